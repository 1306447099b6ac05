//! One camera: opens its source, hands pictures over at the asked rate, opens it again when it ends.
//!
//! Invariant: it never gives up and never waits for anyone but its source; every picture that is not handed over is counted.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use huong_flow::{Backoff, Counter, Mailbox, Stop};
use huong_types::{Publish, Span};

use crate::config::Source;
use crate::{BridgeError, CameraConfig, Clock, Splitter, ffmpeg};

/// What the camera's thread and the watch share.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The source is open and has given a picture.
    pub(crate) connected: AtomicBool,
    /// When the last picture came, or the attempt at one began: epoch milliseconds.
    pub(crate) heard: AtomicI64,
    /// When the last picture came; 0 before the first.
    pub(crate) seen: AtomicI64,
    /// Pictures handed over, left out for the asked rate, and skipped because they are too large or none.
    pub(crate) frames: Counter,
    pub(crate) surplus: Counter,
    pub(crate) refused: Counter,
    /// Killed by the watch, because nothing came.
    pub(crate) stalled: AtomicBool,
    child: Mutex<Option<Child>>,
}

impl State {
    /// Ends the process behind the camera, if there is one: its thread then finds the end of the pictures.
    pub(crate) fn kill(&self) {
        if let Some(child) = self.child().as_mut() {
            // It fails only when it has ended by itself.
            let _ended = child.kill();
        }
    }

    pub(crate) fn streams(&self) -> bool {
        self.child().is_some()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Eye {
    pub(crate) camera: CameraConfig,
    pub(crate) state: Arc<State>,
    pub(crate) slot: usize,
    pub(crate) prefix: String,
    pub(crate) retry: Span,
    pub(crate) stalled_after: Span,
    pub(crate) max_bytes: usize,
    pub(crate) mailbox: Arc<Mailbox<Publish>>,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
    /// When the next picture is due, epoch milliseconds.
    pub(crate) due: i64,
}

/// How often a waiting thread looks at the stop flag.
const TICK: Duration = Duration::from_millis(50);

impl Eye {
    /// Runs until the stop flag is set, or its folder or video has been played once.
    pub(crate) fn run(mut self) {
        let mut backoff = Backoff::new(self.retry.to_std() / 60, self.retry.to_std());
        let mut said = String::new();
        while !self.stop.is_set() {
            let before = self.state.frames.get();
            self.state.heard.store((self.clock)().as_millis(), Ordering::Relaxed);
            let outcome = self.play();
            self.state.connected.store(false, Ordering::Relaxed);
            let Err(error) = outcome else { return };
            if self.stop.is_set() {
                return;
            }
            if self.state.frames.get() > before {
                backoff.reset();
                said.clear();
            }
            let text = error.to_string();
            if said != text {
                tracing::warn!(camera = %self.camera.id, "no pictures: {text}; retrying");
                said = text;
            }
            self.pause(backoff.next_wait());
        }
    }

    /// `Ok` when there is nothing more to play.
    fn play(&mut self) -> Result<(), BridgeError> {
        let camera = self.camera.clone();
        if let Some(Source::Folder(dir)) = camera.source() {
            return self.play_folder(dir);
        }
        let Some(running) = ffmpeg::start(&camera)? else { return Ok(()) };
        let (child, pictures, words) = running.split();
        self.state.stalled.store(false, Ordering::Relaxed);
        *self.state.child() = Some(child);
        // The flag may have been set before the watch could see the process.
        if !self.stop.is_set() {
            self.read(pictures);
        }
        let child = self.state.child().take();
        let over = child.is_some_and(|mut child| {
            // The end of its output is the end of its work; what does not end then has hung.
            let over = camera.once && wait_a_little(&mut child);
            ffmpeg::end(child);
            over
        });
        if over {
            return Ok(());
        }
        let why = words.last();
        if self.state.stalled.load(Ordering::Relaxed) {
            return Err(BridgeError::Stalled(self.stalled_after.as_millis().unsigned_abs() / 1000));
        }
        Err(BridgeError::Ended(why))
    }

    /// Until the pictures end.
    fn read(&mut self, mut pictures: ChildStdout) {
        let mut splitter = Splitter::new(self.max_bytes);
        let mut bytes = vec![0; 64 << 10];
        loop {
            match pictures.read(&mut bytes) {
                Ok(0) => return,
                Ok(n) => splitter.push(&bytes[..n], |picture| self.take(picture.ok())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn play_folder(&mut self, dir: &Path) -> Result<(), BridgeError> {
        loop {
            let files = jpegs(dir).map_err(|reason| BridgeError::File { path: dir.to_owned(), reason })?;
            if files.is_empty() {
                return Err(BridgeError::Empty { path: dir.to_owned() });
            }
            for path in files {
                let wait = self.due - (self.clock)().as_millis();
                self.pause(Duration::from_millis(wait.clamp(0, self.camera.interval_ms().max(1)).unsigned_abs()));
                if self.stop.is_set() {
                    return Ok(());
                }
                let mut file = std::fs::File::open(&path).map_err(|reason| BridgeError::File { path: path.clone(), reason })?;
                let mut bytes = Vec::new();
                file.by_ref()
                    .take(self.max_bytes as u64 + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|reason| BridgeError::File { path: path.clone(), reason })?;
                let mut picture = None;
                Splitter::new(self.max_bytes).push(&bytes, |found| picture = picture.take().or(found.ok()));
                self.take(picture);
            }
            if self.camera.once {
                return Ok(());
            }
        }
    }

    /// A picture that came; `None` for one that is too large or none.
    fn take(&mut self, picture: Option<Vec<u8>>) {
        let now = (self.clock)().as_millis();
        self.state.heard.store(now, Ordering::Relaxed);
        let Some(payload) = picture else { return self.state.refused.add(1) };
        self.state.seen.store(now, Ordering::Relaxed);
        self.state.connected.store(true, Ordering::Relaxed);
        // On average the asked rate: a picture may come a quarter early, and one that comes late moves no other.
        let interval = self.camera.interval_ms();
        if now + interval / 4 < self.due {
            return self.state.surplus.add(1);
        }
        self.due = self.due.max(now - interval) + interval;
        self.state.frames.add(1);
        let topic = format!("{}/cameras/{}/frame/{now}", self.prefix, self.camera.id);
        self.mailbox.publish(self.slot, Publish { topic, payload });
    }

    fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while !self.stop.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left.min(TICK));
        }
    }
}

/// True when it ends well within a second.
fn wait_a_little(child: &mut Child) -> bool {
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::park_timeout(Duration::from_millis(5)),
            Err(_) => return false,
        }
    }
    false
}

fn jpegs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg")));
    files.sort();
    Ok(files)
}
