//! The mirror's thread: gathers lines, sends them until the server has them, remembers how far it came.
//!
//! Invariant: the place is saved only behind lines that were taken, refused for good and buried, or counted as passed over.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use huong_flow::{Backoff, Panicked, Stop, Worker};
use huong_store::{Bookmark, Committed, Follower, Place, StoreError, TransitionTail};
use huong_types::{Stream, Timestamp};
use serde_json::json;

use crate::client::{Answer, Client, Later};
use crate::config::MirrorConfig;
use crate::line::Lines;
use crate::points::{Points, Sample};
use crate::status::{MirrorFigures, Status};

/// How often a waiting mirror looks whether it should stop.
const LOOK: Duration = Duration::from_millis(200);
/// The place is saved at most this often: what was sent since is sent again after a crash, and is the same.
const SAVE: Duration = Duration::from_secs(1);
/// A dead-letter file is set aside, over the one before, when it is larger: the store still has everything.
const DEAD_LETTER_BYTES: u64 = 16 << 20;

/// What the mirror needs of the processor.
pub struct Setup<'a> {
    /// Where its place and the dead letters are kept.
    pub dir: PathBuf,
    pub committed: Arc<Committed>,
    pub transitions: Arc<TransitionTail>,
    /// The last transition journalled before this start.
    pub newest_transition: u64,
    pub streams: &'a [Stream],
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Called every `figures`.
    pub sample: Box<dyn Fn() -> Vec<Sample> + Send>,
}

#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error("the mirror's place cannot be used: {0}")]
    Place(#[from] StoreError),
    #[error("the mirror's folder {} cannot be made: {error}", dir.display())]
    Dir { dir: PathBuf, error: io::Error },
    #[error("the mirror's token: {0}")]
    Token(String),
    #[error("no thread for the mirror: {0}")]
    Thread(io::Error),
}

/// A running mirror.
#[must_use = "dropping the mirror leaves its thread unwatched"]
pub struct Mirror {
    status: Arc<Status>,
    worker: Worker,
}

struct Run {
    config: MirrorConfig,
    client: Client,
    points: Points,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    sample: Box<dyn Fn() -> Vec<Sample> + Send>,
    committed: Arc<Committed>,
    follower: Follower,
    transitions: Arc<TransitionTail>,
    /// The last transition in `lines` or before.
    transition: u64,
    bookmark: Bookmark,
    dead_letters: PathBuf,
    status: Arc<Status>,
    backoff: Backoff,
    lines: Lines,
    sampled: Option<Instant>,
    saved: Instant,
    /// The place could not be saved; said once.
    unsaved: bool,
}

/// Starts the mirror's thread; it ends when `stop` is set. One that never ran begins with what the store holds, as far back as `max_age`.
///
/// # Errors
/// When its place or token cannot be read, or there is no thread.
pub fn start_mirror(config: MirrorConfig, setup: Setup<'_>, stop: Stop) -> Result<Mirror, MirrorError> {
    let Setup { dir, committed, transitions, newest_transition, streams, clock, sample } = setup;
    std::fs::create_dir_all(&dir).map_err(|error| MirrorError::Dir { dir: dir.clone(), error })?;
    let mut bookmark = Bookmark::open(dir.join("place.json"))?;
    let mut place = bookmark.saved().unwrap_or_default();
    if place.next_record > committed.next_seq() || place.transition > newest_transition {
        tracing::warn!(?place, "the store is younger than the mirror's place in it: beginning at its end");
        place = Place { next_record: committed.next_seq(), transition: newest_transition };
        bookmark.save(place)?;
    }
    let status = Arc::new(Status::new(Arc::clone(&committed), place.next_record));
    let run = Run {
        client: Client::new(&config).map_err(MirrorError::Token)?,
        points: Points::new(streams, &config.texts),
        clock,
        sample,
        follower: Follower::new(Arc::clone(&committed), place.next_record),
        committed,
        transitions,
        transition: place.transition,
        bookmark,
        dead_letters: dir.join("dead.jsonl"),
        status: Arc::clone(&status),
        backoff: Backoff::new(config.retry.first.to_std(), config.retry.most.to_std()),
        lines: Lines::default(),
        sampled: None,
        saved: Instant::now(),
        unsaved: false,
        config,
    };
    let worker = Worker::spawn("mirror", move || run.until(&stop)).map_err(MirrorError::Thread)?;
    Ok(Mirror { status, worker })
}

impl Mirror {
    /// As of `now`.
    pub fn figures(&self, now: Timestamp) -> MirrorFigures {
        self.status.figures(now)
    }

    /// True once the thread has ended, which it does only when it is stopped or panics.
    pub fn ended(&self) -> bool {
        self.worker.is_finished()
    }

    /// Waits for the thread, after its stop is set.
    ///
    /// # Errors
    /// What its panic said.
    pub fn join(self) -> Result<(), Panicked> {
        self.worker.join()
    }
}

impl Run {
    fn until(mut self, stop: &Stop) {
        loop {
            // Once more after the stop, when the writer has stopped too: what was committed last goes, if the server is there to take it.
            let last = stop.is_set();
            if last && self.status.is_failing() {
                break;
            }
            let gathered = self.gather();
            if !self.lines.is_empty() && !self.deliver(stop) {
                break;
            }
            let full = self.lines.len() >= self.config.batch;
            self.lines.clear();
            self.status.wait_since(None);
            self.status.next_record.store(self.follower.next_seq(), Ordering::Relaxed);
            self.save(last);
            match gathered {
                _ if last => return,
                Ok(()) if full => {}
                Ok(()) => {
                    rest(stop, self.config.every.to_std());
                }
                Err(why) => {
                    self.status.failed(why, false);
                    rest(stop, self.backoff.next_wait());
                }
            }
        }
        // Lines that wait are lost with the process, so they must not be behind the place.
        if self.lines.is_empty() {
            self.save(true);
        }
    }

    /// Adds up to a batch of lines. When the store cannot be read, what could be read before is among the lines.
    fn gather(&mut self) -> Result<(), String> {
        let now = (self.clock)();
        let since = now - self.config.max_age;
        if self.sampled.is_none_or(|sampled| sampled.elapsed() >= self.config.figures.to_std()) {
            self.sampled = Some(Instant::now());
            let left_out = (self.sample)().iter().map(|sample| sample.write(&mut self.lines, now)).sum();
            self.status.left_out.add(left_out);
        }
        let transitions = self.gather_transitions(since);
        let readings = self.gather_readings(since);
        transitions.and(readings).map_err(|error| format!("the store cannot be read: {error}"))
    }

    fn gather_transitions(&mut self, since: Timestamp) -> Result<(), StoreError> {
        let mut skipped = 0;
        for transition in self.transitions.transitions_after(self.transition, self.config.batch)? {
            self.transition = transition.seq;
            if transition.decided >= since {
                self.status.left_out.add(self.points.transition(&mut self.lines, &transition));
            } else {
                skipped += 1;
            }
        }
        self.passed_over(skipped, "steps of alerts");
        Ok(())
    }

    fn gather_readings(&mut self, since: Timestamp) -> Result<(), StoreError> {
        let oldest = self.committed.next_seq().saturating_sub(self.config.max_records);
        let mut skipped = self.follower.skip_to(oldest);
        let most = self.config.batch.saturating_sub(self.lines.len());
        let found = self.follower.read(most, since);
        if let Ok(found) = &found {
            skipped += found.skipped;
            self.status.wait_since(found.readings.iter().map(|(_, reading)| reading.received).min());
            for (seq, reading) in &found.readings {
                self.status.left_out.add(self.points.reading(&mut self.lines, *seq, reading));
            }
        }
        self.passed_over(skipped, "records");
        found.map(|_| ())
    }

    fn passed_over(&self, skipped: u64, what: &str) {
        if skipped > 0 {
            self.status.skipped.add(skipped);
            tracing::warn!(skipped, what, max_age = %self.config.max_age, "the mirror passes over what is too old or no longer in the store");
        }
    }

    /// True when the server has taken, or finally refused, every line; false when the mirror is to stop first.
    fn deliver(&mut self, stop: &Stop) -> bool {
        loop {
            let mut refused = Vec::new();
            match self.send(0..self.lines.len(), &mut refused) {
                Ok(()) => {
                    self.bury(&refused);
                    self.status.sent.add((self.lines.len() - refused.len()) as u64);
                    self.status.works();
                    self.backoff.reset();
                    return true;
                }
                Err(Later { why, asked, grave }) => {
                    self.status.failed(why, grave);
                    if !rest(stop, self.backoff.next_wait().max(asked)) {
                        return false;
                    }
                }
            }
        }
    }

    /// Sends `lines`; halves what is refused until the lines at fault are found.
    fn send(&self, lines: Range<usize>, refused: &mut Vec<(usize, String)>) -> Result<(), Later> {
        match self.client.send(self.lines.text(lines.clone())) {
            Answer::Taken => Ok(()),
            Answer::Later(later) => Err(later),
            Answer::Refused(why) if lines.len() == 1 => {
                if refused.is_empty() {
                    self.probe()?;
                }
                refused.push((lines.start, why));
                Ok(())
            }
            Answer::Refused(_) => {
                let middle = lines.start + lines.len() / 2;
                self.send(lines.start..middle, refused)?;
                self.send(middle..lines.end, refused)
            }
        }
    }

    /// Whether the server takes a line that is surely right: when it does not, the request is at fault and not the lines.
    fn probe(&self) -> Result<(), Later> {
        let mut line = Lines::default();
        let fields = vec![("dead_letters", self.status.dead_letters.get() as f64), ("sent", self.status.sent.get() as f64)];
        Sample { measurement: "huong_mirror", tags: Vec::new(), fields }.write(&mut line, (self.clock)());
        match self.client.send(line.text(0..1)) {
            Answer::Taken => Ok(()),
            Answer::Later(later) => Err(later),
            Answer::Refused(why) => Err(Later { why: format!("every line is refused: {why}"), asked: Duration::ZERO, grave: true }),
        }
    }

    /// Puts lines that the server will never take aside, for a person.
    fn bury(&self, refused: &[(usize, String)]) {
        let Some((_, why)) = refused.first() else { return };
        self.status.dead_letters.add(refused.len() as u64);
        tracing::error!(lines = refused.len(), why, file = %self.dead_letters.display(), "the mirror's server refused lines: see the dead-letter file");
        let letters = refused.iter().map(|(line, why)| json!({ "why": why, "line": self.lines.text(*line..line + 1).trim_end() }));
        let text: String = letters.map(|letter| format!("{letter}\n")).collect();
        if let Err(error) = append(&self.dead_letters, &text) {
            tracing::error!(%error, "the dead-letter file cannot be written: what was refused is in the store only");
        }
    }

    fn save(&mut self, now: bool) {
        if !now && self.saved.elapsed() < SAVE {
            return;
        }
        self.saved = Instant::now();
        let place = Place { next_record: self.follower.next_seq(), transition: self.transition };
        match self.bookmark.save(place) {
            Ok(()) => self.unsaved = false,
            Err(error) if !self.unsaved => {
                self.unsaved = true;
                tracing::error!(%error, "the mirror's place cannot be written: a restart will send again");
            }
            Err(_) => {}
        }
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > DEAD_LETTER_BYTES) {
        std::fs::rename(path, path.with_extension("old.jsonl"))?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Waits; false when the mirror is to stop.
fn rest(stop: &Stop, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if stop.is_set() {
            return false;
        }
        std::thread::park_timeout(left.min(LOOK));
    }
    !stop.is_set()
}

#[cfg(test)]
mod tests;
