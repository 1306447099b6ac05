//! What the screens show, and the fan-out to them.
//!
//! Invariant: one task owns all of it, so a screen's snapshot and the deltas after it are in one order and nothing falls between
//! them. A screen whose queue is full is cut off there and then; the others do not notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use huong_flow::{Counter, Mailbox, Stop};
use huong_types::{Alert, AlertState, Name, Reading, Registry, Stream, Text, Transition, TransitionKind};
use serde::Serialize;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::assets;
use crate::connection::stopped;
use crate::feed::Feed;
use crate::forecasts::Forecast;
use crate::model::{Backend, CameraNow, Figures};
use crate::view::{Delta, Heartbeat, Latest, LatestView, Places, Scene, Snapshot, Step, ValueView, event};

/// Values are gathered this long, so each key changes on a screen at most once a second.
const BEAT: Duration = Duration::from_secs(1);
/// A page that hears nothing for three of these says that the connection is lost.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Unknown stations shown at once, over the registry's.
const UNKNOWN_KEYS: usize = 512;
/// Alert transitions on their way to the hub; see [`Feed`] for what happens beyond.
const ALERT_QUEUE: usize = 8192;
/// Transitions told in one event.
const STEPS: usize = 64;

/// What all screens show. Made by the root, run by [`crate::Wall`].
pub struct Hub {
    places: Arc<Places>,
    alerts: BTreeMap<Name, Alert>,
    /// Of every rule that had an alert.
    advice: BTreeMap<Name, Text>,
    values: BTreeMap<(Name, Name), Reading>,
    forecasts: BTreeMap<(Name, Name), Forecast>,
    cameras: BTreeMap<Name, CameraNow>,
    figures: Figures,
    /// What an operator has all screens stay on.
    scene: Scene,
    /// Of the last event sent to every screen.
    seq: u64,
    screens: Vec<Screen>,
    latest: Arc<Mailbox<Reading>>,
    keys: usize,
    foretold: Arc<Mailbox<Forecast>>,
    steps: mpsc::Receiver<Transition>,
    asked: mpsc::Receiver<Ask>,
    desk: Desk,
}

/// Counts of the wall itself.
#[derive(Debug, Default)]
pub struct HubStats {
    pub screens: AtomicU64,
    pub alerts_open: AtomicU64,
    /// Screens cut off because they did not keep up.
    pub screens_cut: Counter,
    /// Readings of unknown keys beyond the limit, which no screen shows.
    pub keys_over_limit: Counter,
}

/// How the routes reach the hub.
#[derive(Clone)]
pub(crate) struct Desk {
    ask: mpsc::Sender<Ask>,
    /// For what is put together beside the hub.
    pub(crate) places: Arc<Places>,
    pub(crate) stats: Arc<HubStats>,
}

/// A screen's place in the fan-out.
pub(crate) struct Seat {
    pub(crate) snapshot: Bytes,
    pub(crate) events: mpsc::Receiver<Bytes>,
}

enum Ask {
    Seat { queue: usize, limit: usize, cut: Arc<Notify>, reply: oneshot::Sender<Option<Seat>> },
    Snapshot { reply: oneshot::Sender<Bytes> },
    Latest { stream: Option<String>, key: Option<String>, reply: oneshot::Sender<Bytes> },
    Pin { scene: Scene },
}

struct Screen {
    events: mpsc::Sender<Bytes>,
    cut: Arc<Notify>,
}

impl Hub {
    /// `open` are the alerts that hold at the start. The feed goes to the thread that judges readings.
    pub fn new(registry: &Registry, streams: &[Stream], open: Vec<Alert>) -> (Hub, Feed) {
        let stations = registry.stations.iter().flat_map(|s| s.streams.iter().map(|stream| (stream.clone(), s.id.clone())));
        let mut keys: Vec<(Name, Name)> = stations.collect();
        keys.sort();
        keys.dedup();
        let capacity = keys.len() + registry.cameras.len() + UNKNOWN_KEYS;
        let latest = Arc::new(Mailbox::new(capacity));
        let (tell, steps) = mpsc::channel(ALERT_QUEUE);
        let (ask, asked) = mpsc::channel(64);
        let places = Arc::new(Places::new(registry, streams));
        let desk = Desk { ask, places: Arc::clone(&places), stats: Arc::new(HubStats::default()) };
        let forecasts = places.forecasts.clone();
        let foretold = Arc::new(Mailbox::new(forecasts.places()));
        let feed = Feed::new(keys, Arc::clone(&latest), capacity, (forecasts, Arc::clone(&foretold)), tell, Arc::clone(&desk.stats));
        let open: Vec<Alert> = open.into_iter().filter(|alert| alert.state != AlertState::Pending).collect();
        desk.stats.alerts_open.store(open.len() as u64, Ordering::Relaxed);
        let never =
            |camera: &huong_types::Camera| (camera.id.clone(), CameraNow { id: camera.id.clone(), last_frame: None, failing: false });
        let hub = Hub {
            places,
            alerts: open.into_iter().map(|alert| (alert.id.clone(), alert)).collect(),
            advice: BTreeMap::new(),
            values: BTreeMap::new(),
            forecasts: BTreeMap::new(),
            cameras: registry.cameras.iter().map(never).collect(),
            figures: Figures::default(),
            scene: Scene::default(),
            seq: 0,
            screens: Vec::new(),
            latest,
            keys: capacity,
            foretold,
            steps,
            asked,
            desk,
        };
        (hub, feed)
    }

    /// Begins with a scene that was pinned before.
    pub(crate) fn showing(self, scene: Scene) -> Hub {
        Hub { scene, ..self }
    }

    pub fn stats(&self) -> Arc<HubStats> {
        Arc::clone(&self.desk.stats)
    }

    pub(crate) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Runs until `stop`; then every screen's stream ends.
    pub(crate) async fn run(mut self, backend: Arc<dyn Backend>, stop: Stop) {
        self.advise(&*backend);
        let mut beat = interval_at(Instant::now(), BEAT);
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = stopped(stop);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                Some(step) = self.steps.recv() => self.step(step, &*backend),
                Some(ask) = self.asked.recv() => self.answer(ask, &*backend),
                _ = beat.tick() => self.beat(&*backend),
                _ = heartbeat.tick() => {
                    self.seq += 1;
                    self.send("heartbeat", &Heartbeat { seq: self.seq, clock: backend.clock() });
                }
            }
        }
    }

    fn step(&mut self, first: Transition, backend: &dyn Backend) {
        let mut steps = vec![first];
        while steps.len() < STEPS
            && let Ok(step) = self.steps.try_recv()
        {
            steps.push(step);
        }
        steps.retain(shown);
        if steps.is_empty() {
            return;
        }
        for step in &steps {
            if step.alert.state == AlertState::Cleared {
                self.alerts.remove(&step.alert.id);
            } else {
                self.alerts.insert(step.alert.id.clone(), step.alert.clone());
            }
        }
        self.desk.stats.alerts_open.store(self.alerts.len() as u64, Ordering::Relaxed);
        self.seq += 1;
        let advice = self.advise(backend);
        let alerts = steps.iter().map(Step::from).collect();
        self.send("delta", &Delta { alerts, advice, ..Delta::new(self.seq, backend.clock()) });
    }

    /// Asks what is to be done about alerts of rules that had none before; gives what is new.
    fn advise(&mut self, backend: &dyn Backend) -> BTreeMap<Name, Text> {
        let rules = self.alerts.values().map(|alert| &alert.rule).filter(|rule| !self.advice.contains_key(*rule));
        let new = advice_of(rules, backend);
        self.advice.extend(new.clone());
        new
    }

    fn beat(&mut self, backend: &dyn Backend) {
        let mut changed = Vec::new();
        // A busy feed could refill the mailbox for ever: at most one look at each slot.
        for _ in 0..self.keys {
            let Some((_, reading)) = self.latest.take() else { break };
            let key = (reading.stream.clone(), reading.key.clone());
            changed.push(key.clone());
            self.values.insert(key, reading);
        }
        changed.sort();
        changed.dedup();
        let mut foretold = BTreeSet::new();
        for _ in 0..self.desk.places.forecasts.places() {
            let Some((_, forecast)) = self.foretold.take() else { break };
            let key = (forecast.stream.clone(), forecast.key.clone());
            foretold.insert(key.clone());
            self.forecasts.insert(key, forecast);
        }
        let mut moved = Vec::new();
        for now in backend.cameras() {
            if let Some(known) = self.cameras.get_mut(&now.id)
                && *known != now
            {
                moved.push(now.id.clone());
                *known = now;
            }
        }
        self.figures = backend.figures();
        self.seq += 1;
        let delta = Delta {
            values: changed.iter().filter_map(|key| self.values.get(key)).map(ValueView::from).collect(),
            forecasts: foretold.iter().filter_map(|key| self.forecasts.get(key)).collect(),
            camera_states: moved.iter().filter_map(|id| self.cameras.get(id)).collect(),
            figures: Some(&self.figures),
            ..Delta::new(self.seq, backend.clock())
        };
        let text = event("delta", self.seq, &delta);
        self.fan_out(text);
    }

    fn answer(&mut self, ask: Ask, backend: &dyn Backend) {
        let json = |what: serde_json::Result<Vec<u8>>, reply: oneshot::Sender<Bytes>| match what {
            // A failed `send` here and below means that the asker has gone, and there is no one to tell.
            Ok(json) => drop(reply.send(Bytes::from(json))),
            Err(error) => tracing::error!(%error, "an answer could not be written"),
        };
        match ask {
            Ask::Latest { stream, key, reply } => {
                let clock = backend.clock();
                let wanted = |asked: &Option<String>, name: &Name| asked.as_ref().is_none_or(|asked| asked == name.as_str());
                let readings = self.values.values().filter(|r| wanted(&stream, &r.stream) && wanted(&key, &r.key));
                let values = readings.map(|reading| LatestView::new(reading, clock.now)).collect();
                json(serde_json::to_vec(&Latest { clock, values }), reply);
            }
            Ask::Pin { scene } => {
                self.seq += 1;
                let text = event("delta", self.seq, &Delta { scene: Some(&scene), ..Delta::new(self.seq, backend.clock()) });
                self.fan_out(text);
                self.scene = scene;
            }
            Ask::Snapshot { reply } => json(serde_json::to_vec(&self.snapshot(backend)), reply),
            Ask::Seat { queue, limit, cut, reply } => {
                self.screens.retain(|screen| !screen.events.is_closed());
                if self.screens.len() >= limit {
                    return drop(reply.send(None));
                }
                match event("snapshot", self.seq, &self.snapshot(backend)) {
                    Ok(snapshot) => {
                        let (sender, events) = mpsc::channel(queue);
                        self.screens.push(Screen { events: sender, cut });
                        drop(reply.send(Some(Seat { snapshot, events })));
                    }
                    Err(error) => tracing::error!(%error, "a snapshot could not be written"),
                }
                self.desk.stats.screens.store(self.screens.len() as u64, Ordering::Relaxed);
            }
        }
    }

    fn snapshot(&self, backend: &dyn Backend) -> Snapshot<'_> {
        Snapshot {
            scene: &self.scene,
            build: assets::build(),
            seq: self.seq,
            clock: backend.clock(),
            places: &self.places,
            alerts: self.alerts.values().collect(),
            advice: &self.advice,
            values: self.values.values().map(ValueView::from).collect(),
            forecasts: self.forecasts.values().collect(),
            camera_states: self.cameras.values().collect(),
            figures: &self.figures,
            accounts: backend.accounts(),
        }
    }

    fn send(&mut self, name: &str, data: &impl Serialize) {
        let text = event(name, self.seq, data);
        self.fan_out(text);
    }

    fn fan_out(&mut self, text: serde_json::Result<Bytes>) {
        let text = match text {
            Ok(text) => text,
            // The gap in the sequence makes every screen ask for a snapshot.
            Err(error) => return tracing::error!(%error, seq = self.seq, "an event could not be written"),
        };
        self.screens.retain(|screen| match screen.events.try_send(text.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.desk.stats.screens_cut.add(1);
                screen.cut.notify_one();
                false
            }
        });
        self.desk.stats.screens.store(self.screens.len() as u64, Ordering::Relaxed);
    }
}

/// What is to be done about alerts of these rules.
pub(crate) fn advice_of<'a>(rules: impl Iterator<Item = &'a Name>, backend: &dyn Backend) -> BTreeMap<Name, Text> {
    let rules: BTreeSet<&Name> = rules.collect();
    rules.into_iter().filter_map(|rule| Some((rule.clone(), backend.advice(rule)?))).collect()
}

/// What is pending may come to nothing: no screen hears of it.
pub(crate) fn shown(step: &Transition) -> bool {
    step.kind != TransitionKind::Settled && step.alert.state != AlertState::Pending
}

impl Desk {
    /// A seat for a screen whose connection ends when `cut` is notified; `None` when all are taken or the hub has stopped.
    pub(crate) async fn seat(&self, queue: usize, limit: usize, cut: Arc<Notify>) -> Option<Seat> {
        let (reply, answer) = oneshot::channel();
        self.ask.send(Ask::Seat { queue, limit, cut, reply }).await.ok()?;
        answer.await.ok().flatten()
    }

    /// The newest readings as JSON, as of the last beat; `None` when the hub has stopped.
    pub(crate) async fn latest(&self, stream: Option<String>, key: Option<String>) -> Option<Bytes> {
        let (reply, answer) = oneshot::channel();
        self.ask.send(Ask::Latest { stream, key, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Every screen stays on `scene` from now on, or on none.
    pub(crate) async fn pin(&self, scene: Scene) {
        // Without a hub there are no screens.
        self.ask.send(Ask::Pin { scene }).await.ok();
    }

    /// The snapshot as JSON; `None` when the hub has stopped.
    pub(crate) async fn snapshot(&self) -> Option<Bytes> {
        let (reply, answer) = oneshot::channel();
        self.ask.send(Ask::Snapshot { reply }).await.ok()?;
        answer.await.ok()
    }
}
