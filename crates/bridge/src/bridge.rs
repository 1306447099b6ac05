//! All cameras of a bridge: a thread each, and one that watches them and tells how they fare.
//!
//! Invariant: what waits is at most one picture and one state per camera.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use huong_flow::{Mailbox, Panicked, Stop, Worker};
use huong_types::{Name, Publish, Span, Timestamp};
use serde::Serialize;

use crate::eye::{Eye, State};
use crate::{BridgeConfig, Clock};

/// The running cameras.
#[derive(Debug)]
pub struct Bridge {
    eyes: Vec<Worker>,
    watch: Worker,
    feed: Feed,
    states: Vec<Arc<State>>,
}

/// What is to be published: pictures and states, of each camera the newest.
#[derive(Clone, Debug)]
pub struct Feed {
    mailbox: Arc<Mailbox<Publish>>,
    /// Nothing more will come.
    over: Stop,
}

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(100);

impl Bridge {
    /// Starts every camera of a checked configuration, with topics under `prefix`, until `stop` is set or all have played once.
    ///
    /// # Errors
    /// When there is no thread for one.
    pub fn start(config: &BridgeConfig, prefix: &str, clock: &Clock, stop: &Stop) -> io::Result<Self> {
        let cameras = config.camera.len();
        let feed = Feed { mailbox: Arc::new(Mailbox::new(2 * cameras)), over: Stop::new() };
        let states: Vec<Arc<State>> = config.camera.iter().map(|_| Arc::default()).collect();
        let (mut eyes, mut watched) = (Vec::new(), Vec::new());
        for (slot, (camera, state)) in config.camera.iter().zip(&states).enumerate() {
            let done = Stop::new();
            let eye = Eye {
                camera: camera.clone(),
                state: Arc::clone(state),
                slot,
                prefix: prefix.to_owned(),
                retry: config.retry,
                stalled_after: config.stalled_after,
                max_bytes: config.max_bytes,
                mailbox: Arc::clone(&feed.mailbox),
                clock: Arc::clone(clock),
                stop: stop.clone(),
                due: clock().as_millis(),
            };
            watched.push(Watched {
                topic: format!("{prefix}/bridge/cameras/{}", camera.id),
                camera: camera.id.clone(),
                // A slow camera is not a dead one.
                patience_ms: config.stalled_after.as_millis() + camera.interval_ms(),
                slot: cameras + slot,
                state: Arc::clone(state),
                done: done.clone(),
                told: Told { at: clock(), connected: false, frames: VecDeque::new() },
                began: clock(),
            });
            let body = move || {
                let _done = SetOnDrop(done);
                eye.run();
            };
            eyes.push(Worker::spawn(&format!("eye-{}", camera.id), body)?);
        }
        let watch = {
            let (feed, clock, stop, every) = (feed.clone(), Arc::clone(clock), stop.clone(), config.status_every);
            Worker::spawn("watch", move || watch(watched, every, &feed, &clock, &stop))?
        };
        Ok(Self { eyes, watch, feed, states })
    }

    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Waits for the end of all and says what became of the pictures.
    ///
    /// # Errors
    /// The first thread that panicked.
    pub fn join(self) -> Result<(), Panicked> {
        for worker in self.eyes.into_iter().chain([self.watch]) {
            worker.join()?;
        }
        let sum = |count: fn(&State) -> u64| self.states.iter().map(|state| count(state)).sum::<u64>();
        tracing::info!(
            frames = sum(|s| s.frames.get()),
            surplus = sum(|s| s.surplus.get()),
            refused = sum(|s| s.refused.get()),
            replaced = self.feed.mailbox.replaced(),
            "the cameras have stopped"
        );
        Ok(())
    }
}

impl Feed {
    /// To be called once by the thread that calls [`Feed::next`].
    pub fn register(&self) {
        self.mailbox.waker().register();
    }

    /// The next thing to publish; waits for it. `None` at the end.
    pub fn next(&self) -> Option<Publish> {
        loop {
            // Looked at first: what came before the end is still given.
            let over = self.over.is_set();
            match self.mailbox.take() {
                Some((_, publish)) => return Some(publish),
                None if over => return None,
                None => self.mailbox.waker().wait(TICK),
            }
        }
    }
}

/// A camera as its watch knows it.
struct Watched {
    camera: Name,
    topic: String,
    patience_ms: i64,
    slot: usize,
    state: Arc<State>,
    done: Stop,
    told: Told,
    began: Timestamp,
}

struct Told {
    at: Timestamp,
    connected: bool,
    /// When, and how many pictures there were by then; the oldest is at least one period old.
    frames: VecDeque<(Timestamp, u64)>,
}

/// A reading of the stream `cameras`.
#[derive(Serialize)]
struct Status<'a> {
    camera: &'a str,
    at: i64,
    connected: u8,
    /// Seconds since the last picture, or since the start.
    frame_age: f64,
    /// Pictures a second since the state before the last.
    fps: f64,
}

fn watch(mut cameras: Vec<Watched>, every: Span, feed: &Feed, clock: &Clock, stop: &Stop) {
    let mut stopped_at = None;
    loop {
        let now = clock();
        for camera in &mut cameras {
            camera.look(now, every, feed);
        }
        if cameras.iter().all(|camera| camera.done.is_set()) {
            feed.over.set();
            return;
        }
        if stop.is_set() {
            cameras.iter().for_each(|camera| camera.state.kill());
            let since: Instant = *stopped_at.get_or_insert_with(Instant::now);
            if since.elapsed() > Duration::from_secs(10) {
                tracing::error!("a camera does not stop");
                feed.over.set();
                return;
            }
        }
        std::thread::park_timeout(TICK);
    }
}

impl Watched {
    fn look(&mut self, now: Timestamp, every: Span, feed: &Feed) {
        let state = &self.state;
        let silent = now.as_millis() - state.heard.load(Ordering::Relaxed);
        if silent > self.patience_ms && state.streams() && !state.stalled.swap(true, Ordering::Relaxed) {
            tracing::debug!(camera = %self.camera, "no picture for {silent} ms");
            state.kill();
        }
        let connected = state.connected.load(Ordering::Relaxed);
        if connected == self.told.connected && now.since(self.told.at) < every {
            return;
        }
        let seen = state.seen.load(Ordering::Relaxed);
        let last = if seen == 0 { self.began.as_millis() } else { seen };
        let frames = state.frames.get();
        self.told.frames.push_back((now, frames));
        if self.told.frames.len() > 2 {
            self.told.frames.pop_front();
        }
        let fps = self.told.frames.front().map_or(0.0, |(since, before)| {
            let seconds = now.since(*since).as_millis() as f64 / 1000.0;
            if seconds > 0.0 { (frames - before) as f64 / seconds } else { 0.0 }
        });
        let status = Status {
            camera: &self.camera,
            at: now.as_millis(),
            connected: u8::from(connected),
            frame_age: (now.as_millis() - last) as f64 / 1000.0,
            fps,
        };
        self.told.at = now;
        self.told.connected = connected;
        match serde_json::to_vec(&status) {
            Ok(payload) => drop(feed.mailbox.publish(self.slot, Publish { topic: self.topic.clone(), payload })),
            Err(error) => tracing::error!(camera = %self.camera, "a state cannot be written: {error}"),
        }
    }
}

/// Tells that the thread which owns it has ended, however it ended.
struct SetOnDrop(Stop);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
