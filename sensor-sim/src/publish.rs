//! Plays a scenario against a broker: readings at least once, frames at most once, each on a connection of its own.
//!
//! Invariant: everything waiting is bounded. A broker that is slow or away holds readings back, and the scenario catches up
//! when it returns; frames that cannot be sent at once are skipped and counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use huong_types::{Registry, Timestamp, local_date_time};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PublishProperties};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::sync::{mpsc, watch};

use crate::faults::FaultCounts;
use crate::frames::Studio;
use crate::scenario::Scenario;
use crate::weather::ScenarioKind;

/// What to play and where.
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub host: String,
    pub port: u16,
    /// First level of every topic.
    pub prefix: String,
    pub scenario: ScenarioKind,
    pub seed: u64,
    pub faults: bool,
    /// How many of the registry's cameras send frames, the first of its list.
    pub cameras: usize,
    /// Frames per second of real time and camera.
    pub fps: f64,
    /// Width and height of drawn frames in pixels.
    pub frame_size: (usize, usize),
    /// Replays the JPEG files of this folder in place of drawn scenes.
    pub pictures: Option<PathBuf>,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct SimReport {
    /// Messages of readings handed to the connection, and those the broker acknowledged.
    pub messages: u64,
    pub acknowledged: u64,
    pub frames: u64,
    /// Frames that found the connection busy or away.
    pub frames_skipped: u64,
    /// Lost connections and vain attempts, of both.
    pub reconnects: u64,
    pub faults: FaultCounts,
}

/// Simulated time, already scaled.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Requests waiting in a connection.
const WAITING_READINGS: usize = 500;
const WAITING_FRAMES: usize = 16;
const SUMMARY_EVERY: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
const DRAIN: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Counts {
    messages: AtomicU64,
    acknowledged: AtomicU64,
    frames: AtomicU64,
    frames_skipped: AtomicU64,
    reconnects: AtomicU64,
}

/// Plays from the clock's present until `stop` becomes true or its sender is gone, then waits a little for the broker to
/// acknowledge what is under way.
///
/// # Errors
/// When the configuration cannot be played (frame size, folder of pictures), a picture cannot be made, or the broker refuses
/// the client for good. A broker that is away is no error: the simulator keeps trying.
pub async fn run(config: SimConfig, registry: Arc<Registry>, clock: Clock, mut stop: watch::Receiver<bool>) -> anyhow::Result<SimReport> {
    let scenario = Scenario::new(config.scenario, registry.clone(), config.seed)
        .with_prefix(&config.prefix)
        .with_faults(config.faults)
        .starting(clock());
    let studio = match &config.pictures {
        Some(folder) => Studio::folder(registry.clone(), config.seed, folder)?,
        None => Studio::drawn(registry.clone(), scenario.weather(), config.seed, config.frame_size)?,
    };
    let counts = Arc::new(Counts::default());
    let (over, finished) = watch::channel(false);
    let (client, events) = connection(&config, "readings", WAITING_READINGS);
    let (frame_client, frame_events) = connection(&config, "frames", WAITING_FRAMES);
    let mut readings_line = tokio::spawn(drive(events, "readings", counts.clone(), finished.clone()));
    let frames_line = tokio::spawn(drive(frame_events, "frames", counts.clone(), finished));

    let (sender, queue) = mpsc::channel(WAITING_FRAMES);
    let shots = config.cameras.min(registry.cameras.len());
    let photographer =
        Photographer { studio, registry, prefix: config.prefix.clone(), clock: clock.clone(), counts: counts.clone(), sender };
    let shooting = std::thread::Builder::new()
        .name("sim-frames".to_owned())
        .spawn(move || photographer.shoot(shots, config.fps))
        .context("cannot start the frame thread")?;
    let sending = tokio::spawn(send_frames(queue, frame_client, counts.clone()));

    let mut scenario = scenario;
    let refused = tokio::select! {
        ended = play(&mut scenario, &clock, &client, &counts) => ended.err(),
        line = &mut readings_line => Some(line.map_or_else(Into::into, |ended| ended.err().unwrap_or_else(|| anyhow::anyhow!("the connection ended")))),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    sending.abort();
    if refused.is_none() {
        drain(&client, &counts).await;
    }
    // The receivers may be gone already, with the connections they ended.
    over.send_replace(true);
    if refused.is_none() {
        readings_line.await??;
    }
    frames_line.await??;
    let shot = tokio::task::spawn_blocking(move || shooting.join()).await?;
    if let Some(error) = refused {
        return Err(error);
    }
    shot.map_err(|_| anyhow::anyhow!("the frame thread panicked"))??;
    Ok(report(&counts, &scenario))
}

fn report(counts: &Counts, scenario: &Scenario) -> SimReport {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    SimReport {
        messages: read(&counts.messages),
        acknowledged: read(&counts.acknowledged),
        frames: read(&counts.frames),
        frames_skipped: read(&counts.frames_skipped),
        reconnects: read(&counts.reconnects),
        faults: scenario.counts().clone(),
    }
}

fn connection(config: &SimConfig, purpose: &str, waiting: usize) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(format!("sensor-sim-{purpose}-{}", std::process::id()), config.host.clone(), config.port);
    // The session outlives a cut line, so readings under way are sent again; a broker that forgot it loses those few.
    options.set_keep_alive(Duration::from_secs(30)).set_clean_start(false).set_session_expiry_interval(Some(300));
    AsyncClient::new(options, waiting)
}

/// Publishes what the scenario sends up to the clock's present, for ever.
async fn play(scenario: &mut Scenario, clock: &Clock, client: &AsyncClient, counts: &Counts) -> anyhow::Result<()> {
    let mut next = scenario.next();
    let mut summary = Summary::new();
    while let Some(emission) = next {
        while emission.send > clock() {
            summary.tell_if_due(clock, counts);
            tokio::time::sleep(PAUSE).await;
        }
        let qos = if emission.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        client.publish(&*emission.topic, qos, false, emission.payload).await.context("the connection is closed")?;
        counts.messages.fetch_add(1, Ordering::Relaxed);
        next = scenario.next();
    }
    anyhow::bail!("the registry has no stations")
}

/// One line on what was published since the last.
struct Summary {
    told: Instant,
    messages: u64,
    frames: u64,
}

impl Summary {
    fn new() -> Self {
        Self { told: Instant::now(), messages: 0, frames: 0 }
    }

    fn tell_if_due(&mut self, clock: &Clock, counts: &Counts) {
        let elapsed = self.told.elapsed();
        if elapsed < SUMMARY_EVERY {
            return;
        }
        let (messages, frames) = (counts.messages.load(Ordering::Relaxed), counts.frames.load(Ordering::Relaxed));
        let rate = |now: u64, before: u64| ((now - before) as f64 / elapsed.as_secs_f64()).round();
        tracing::info!(
            "simulated time {}: {} readings/s, {} frames/s, {} frames skipped",
            local_date_time(clock()),
            rate(messages, self.messages),
            rate(frames, self.frames),
            counts.frames_skipped.load(Ordering::Relaxed)
        );
        *self = Self { told: Instant::now(), messages, frames };
    }
}

/// Waits until the broker has acknowledged everything, but not long, then says goodbye.
async fn drain(client: &AsyncClient, counts: &Counts) {
    let deadline = Instant::now() + DRAIN;
    while counts.acknowledged.load(Ordering::Relaxed) < counts.messages.load(Ordering::Relaxed) && Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
    }
    if let Err(error) = client.try_disconnect() {
        tracing::debug!("cannot say goodbye to the broker: {error}");
    }
}

/// Keeps one connection going until the play is over.
async fn drive(mut events: EventLoop, purpose: &str, counts: Arc<Counts>, mut over: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut backoff = PAUSE;
    loop {
        let polled = tokio::select! {
            polled = events.poll() => polled,
            _ = over.wait_for(|over| *over) => return Ok(()),
        };
        match polled {
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                tracing::info!("connected for {purpose}");
                backoff = PAUSE;
            }
            // After our own goodbye the play is over.
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
            Ok(_) => {}
            Err(ConnectionError::ConnectionRefused(code))
                if !matches!(code, ConnectReturnCode::ServerUnavailable | ConnectReturnCode::ServerBusy) =>
            {
                anyhow::bail!("the broker refuses the simulator: {code:?}")
            }
            Err(error) => {
                // Told once per outage; the counter tells the rest.
                if backoff == PAUSE {
                    tracing::warn!("no connection for {purpose}, trying again: {error}");
                }
                counts.reconnects.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    }
}

struct Shot {
    topic: String,
    at: Timestamp,
    jpeg: Bytes,
}

/// Publishes frames with the time they were taken, epoch milliseconds in the user property `capture-time`.
async fn send_frames(mut queue: mpsc::Receiver<Shot>, client: AsyncClient, counts: Arc<Counts>) {
    while let Some(shot) = queue.recv().await {
        let properties = PublishProperties {
            user_properties: vec![("capture-time".to_owned(), shot.at.as_millis().to_string())],
            ..PublishProperties::default()
        };
        if client.publish_with_properties(shot.topic, QoS::AtMostOnce, false, shot.jpeg, properties).await.is_err() {
            return;
        }
        counts.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes the cameras' pictures one after the other on a thread of its own: drawing is no work for a network thread.
struct Photographer {
    studio: Studio,
    registry: Arc<Registry>,
    prefix: String,
    clock: Clock,
    counts: Arc<Counts>,
    sender: mpsc::Sender<Shot>,
}

impl Photographer {
    /// `cameras` in turn, each `fps` times a second of real time, until nobody takes the frames any more.
    fn shoot(mut self, cameras: usize, fps: f64) -> anyhow::Result<()> {
        let rate = cameras as f64 * fps;
        if !(rate > 0.0 && rate.is_finite()) {
            return Ok(());
        }
        let begun = Instant::now();
        let mut number = 0u64;
        while !self.sender.is_closed() {
            let due = (begun.elapsed().as_secs_f64() * rate) as u64;
            if number > due {
                std::thread::sleep(PAUSE.min(Duration::from_secs_f64(1.0 / rate)));
                continue;
            }
            // More than a second behind: the missed frames are gone, as with a camera.
            let late = (due - number).saturating_sub(rate as u64 + 1);
            self.counts.frames_skipped.fetch_add(late, Ordering::Relaxed);
            number += late;
            let index = usize::try_from(number % cameras as u64)?;
            let at = (self.clock)();
            let jpeg =
                self.studio.frame(index, number / cameras as u64, at).inspect_err(|error| tracing::error!("no more frames: {error:#}"))?;
            number += 1;
            let Some(jpeg) = jpeg else { continue };
            let topic = format!("{}/cameras/{}/frame", self.prefix, self.registry.cameras[index].id);
            if self.sender.try_send(Shot { topic, at, jpeg }).is_err() {
                self.counts.frames_skipped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
