//! The single writer of a data directory.
//!
//! A commit has two halves: [`Writer::write`] puts what was appended into the file, where it survives the end of the process, and
//! [`Writer::sync`] puts it on the disk, where it survives a power cut. A sync may run on another thread while more is written.
//!
//! Invariant: only what a sync that returned well has covered counts as stored. After a write or sync that failed the file may hold
//! anything behind that, and a second sync would lie: the kernel may have dropped the pages that it could not write and then call the
//! file clean. So the next commit cuts the file back and writes all of it anew, from memory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_types::{Alert, Timestamp, Transition};
use tracing::{error, warn};

use crate::disk::{Disk, Real};
use crate::error::Context;
use crate::record::{Checkpoint, State};
use crate::segment::{self, FIRST_SEQ, Segment};
use crate::{ClosedSegment, Committed, Counts, Record, StoreConfig, StoreError, TransitionTail, disk, frame, manifest};

/// Appends records to the open segment. Not `Clone`: the lock file admits one per data directory.
#[derive(Debug)]
pub struct Writer {
    config: StoreConfig,
    /// Unlocked when dropped.
    _lock: File,
    disk: Arc<dyn Disk>,
    file: Arc<File>,
    /// Of the open segment.
    first_seq: u64,
    /// Bytes of the open segment that are durable.
    length: u64,
    /// Whether the file may hold something else behind them.
    torn: bool,
    /// The name of a segment that could not be made whole. It must be gone before the open one takes more: else the next start
    /// would find it, take it for the newest, and read over the records behind its first.
    stray: Option<u64>,
    /// When the open segment was begun.
    since: Option<Timestamp>,
    /// Of the next record.
    next_seq: u64,
    /// Encoded records that are not durable yet.
    buffer: Vec<u8>,
    /// What of them is in the file.
    written: Covers,
    /// Where the last of them begins.
    last: usize,
    /// When the first that no sync covers was appended.
    waiting_since: Option<Instant>,
    /// A sync is under way.
    syncing: bool,
    /// Transitions that are not told yet, with the sequences of their records.
    pending: VecDeque<(u64, Arc<Transition>)>,
    state: State,
    tail: Arc<TransitionTail>,
    committed: Arc<Committed>,
}

/// The slow half of a commit, for another thread; its result goes to [`Writer::synced`].
#[derive(Debug)]
#[must_use = "nothing is durable before it has run"]
pub struct Sync {
    disk: Arc<dyn Disk>,
    file: Arc<File>,
    path: PathBuf,
    covers: Covers,
}

/// What became of a [`Sync`].
#[derive(Debug)]
#[must_use = "the writer waits for it"]
pub struct Synced {
    covers: Covers,
    outcome: Result<(), StoreError>,
    took: Duration,
}

/// A beginning of the buffer: its bytes, behind the sequence of its last record, and its last transition.
#[derive(Clone, Copy, Debug)]
struct Covers {
    bytes: usize,
    next_seq: u64,
    transition: u64,
}

impl Sync {
    /// Blocks until the disk has it.
    pub fn run(self) -> Synced {
        let began = Instant::now();
        let outcome = self.disk.sync(&self.file).during("sync", &self.path);
        Synced { covers: self.covers, outcome, took: began.elapsed() }
    }
}

impl Synced {
    /// How many bytes, and how long the disk took.
    pub fn cost(&self) -> (usize, Duration) {
        (self.covers.bytes, self.took)
    }
}

/// What the log knew when it was opened.
#[derive(Debug)]
pub struct Recovered {
    pub open_alerts: Vec<Alert>,
    /// The sequence of the next transition.
    pub next_seq: u64,
    pub counts: Counts,
    /// Segments that were closed but not sealed; to be given to [`crate::seal`], oldest first.
    pub closed: Vec<ClosedSegment>,
    /// Bytes behind the last good record of the open segment, cut off: a commit that was under way.
    pub cut_bytes: u64,
    /// Gaps in the open segment, told of with their places: bytes that are not what was written, with good records behind them.
    pub damaged: u64,
}

impl Writer {
    /// Opens the log of `config.dir`, makes one when there is none, and repairs what a crash left behind.
    ///
    /// Fails when another writer has it, and when the newest segment's checkpoint is damaged: then the alert table cannot be
    /// restored, and a person must decide.
    pub fn open(config: StoreConfig) -> Result<(Writer, Recovered), StoreError> {
        Self::open_on(Arc::new(Real), config)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<(Writer, Recovered), StoreError> {
        let dir = config.dir.clone();
        fs::create_dir_all(segment::log_dir(&dir)).during("create", &dir)?;
        let lock = disk::try_lock(&dir, "writer.lock")?.ok_or_else(|| StoreError::Locked(dir.clone()))?;
        let manifest = manifest::clean_up(&dir)?;
        remove_temporary(&segment::log_dir(&dir))?;
        let mut unsealed: Vec<u64> = segment::list(&dir)?.into_iter().filter(|seq| !manifest.holds(*seq)).collect();
        if unsealed.is_empty() {
            if !manifest.sealed.is_empty() {
                return Err(StoreError::Damaged {
                    what: "the log (sealed segments, but none open)".to_owned(),
                    path: segment::log_dir(&dir),
                });
            }
            segment::create(&*disk, &dir, FIRST_SEQ, &Checkpoint::default())?;
            unsealed.push(FIRST_SEQ);
        }
        // A later one may be sealed already.
        let end = |pair: &[u64]| manifest.sealed_after(pair[0]).map_or(pair[1], |sealed| sealed.min(pair[1]));
        let closed = unsealed.windows(2).map(|pair| ClosedSegment { dir: dir.clone(), first_seq: pair[0], end_seq: end(pair) }).collect();
        let first_seq = unsealed[unsealed.len() - 1];
        let segment = Segment::read(&segment::path(&dir, first_seq))?;

        let checkpoint = segment.checkpoint.clone();
        let damaged = || StoreError::Damaged { what: "the checkpoint".to_owned(), path: segment.path.clone() };
        let Checkpoint { at: since, mut state } = checkpoint.ok_or_else(damaged)?;
        let tail = TransitionTail::new(dir.clone(), config.transition_tail, state.next_seq.saturating_sub(1));
        let mut records = segment.records();
        for (_, record) in &mut records {
            state.apply(&record);
            if let Record::Transition(transition) = record {
                tail.extend(std::iter::once(transition));
            }
        }
        let end = records.end();
        let recovered = Recovered {
            open_alerts: state.open.values().cloned().collect(),
            next_seq: state.next_seq,
            counts: state.counts.clone(),
            closed,
            cut_bytes: segment.torn(end).len() as u64,
            damaged: records.damaged(),
        };
        tail.settle(state.next_seq.saturating_sub(1));
        let next_seq = records.next_seq();
        let file = repair(&*disk, &segment, end).during("repair", &segment.path)?;
        let writer = Writer {
            config,
            _lock: lock,
            disk,
            file: Arc::new(file),
            first_seq,
            length: end as u64,
            torn: false,
            stray: None,
            since,
            next_seq,
            buffer: Vec::new(),
            written: Covers { bytes: 0, next_seq, transition: state.next_seq.saturating_sub(1) },
            last: 0,
            waiting_since: None,
            syncing: false,
            pending: VecDeque::new(),
            state,
            tail: Arc::new(tail),
            committed: Arc::new(Committed::new(dir, next_seq)),
        };
        Ok((writer, recovered))
    }

    /// Encodes `record` into the buffer; it is safe only after [`Writer::commit`]. A record that is too long is refused and changes nothing.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let start = self.buffer.len();
        segment::push_record(&mut self.buffer, self.next_seq, record)?;
        self.last = start;
        self.waiting_since.get_or_insert_with(Instant::now);
        if let Record::Transition(transition) = record {
            self.pending.push_back((self.next_seq, Arc::clone(transition)));
        }
        self.next_seq += 1;
        self.state.apply(record);
        Ok(())
    }

    /// Behind the sequence of the last record appended, and of the last durable one.
    pub fn progress(&self) -> (u64, u64) {
        (self.next_seq, self.committed.next_seq())
    }

    /// Bytes appended that are not durable.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// How long what was appended may still wait for company: none once it is old or large enough. `None` when nothing waits.
    pub fn commit_in(&self) -> Option<Duration> {
        let waited = self.waiting_since?.elapsed();
        let enough = self.buffer.len() >= self.config.commit_bytes;
        Some(if enough { Duration::ZERO } else { self.config.commit_every.to_std().saturating_sub(waited) })
    }

    /// Whether more should be appended before the next attempt to commit: a burst does not grow the memory, and while the disk
    /// refuses there is more room. During a sync the next commit may gather.
    pub fn takes_more(&self) -> bool {
        let commits = if self.syncing { 2 } else { 1 };
        self.buffer.len() < if self.torn { self.config.hold_bytes } else { commits * self.config.commit_bytes }
    }

    /// A sync is under way: its result must come before a segment is closed, or a failed write is tried again.
    pub fn is_syncing(&self) -> bool {
        self.syncing
    }

    /// Writes and syncs what was appended. After an error nothing of it may be acknowledged: it stays in memory, and the next call
    /// tries again. Not while a sync is under way.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.write()?;
        self.sync().map_or(Ok(()), |sync| self.synced(sync.run()))
    }

    /// Writes what was appended into the file: from here on it survives the end of the process. After an error it stays in memory, and
    /// the next call tries again, not while a sync is under way.
    pub fn write(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() || (self.written.bytes == self.buffer.len() && !self.torn) {
            return Ok(());
        }
        debug_assert!(!(self.torn && self.syncing), "the file would be cut beneath a sync");
        frame::mark_end(&mut self.buffer[self.last..], true);
        if let Err(error) = self.remove_stray().and_then(|()| self.put()) {
            self.torn = true;
            // More may be appended before the next attempt: the commit will end elsewhere.
            frame::mark_end(&mut self.buffer[self.last..], false);
            return Err(error);
        }
        self.torn = false;
        self.written = Covers { bytes: self.buffer.len(), next_seq: self.next_seq, transition: self.state.next_seq.saturating_sub(1) };
        Ok(())
    }

    /// Begins a sync of what has been written; `None` when that is nothing, or when one is under way.
    pub fn sync(&mut self) -> Option<Sync> {
        if self.written.bytes == 0 || self.syncing || self.torn {
            return None;
        }
        self.syncing = true;
        // Of what was appended behind it nothing is older than this.
        self.waiting_since = (self.written.bytes < self.buffer.len()).then(Instant::now);
        let path = segment::path(&self.config.dir, self.first_seq);
        Some(Sync { disk: Arc::clone(&self.disk), file: Arc::clone(&self.file), path, covers: self.written })
    }

    /// The end of a sync. After an error nothing that it covered may be acknowledged.
    pub fn synced(&mut self, Synced { covers, outcome, .. }: Synced) -> Result<(), StoreError> {
        self.syncing = false;
        if let Err(error) = outcome {
            self.torn = true;
            return Err(error);
        }
        self.length += covers.bytes as u64;
        self.buffer.drain(..covers.bytes);
        self.written.bytes = self.written.bytes.saturating_sub(covers.bytes);
        self.last = self.last.saturating_sub(covers.bytes);
        // What was kept for a disk that refused is not needed again soon.
        self.buffer.shrink_to(2 * self.config.commit_bytes);
        self.tell(covers.next_seq);
        self.tail.settle(covers.transition);
        self.committed.move_to(covers.next_seq);
        Ok(())
    }

    fn put(&mut self) -> Result<(), StoreError> {
        let path = segment::path(&self.config.dir, self.first_seq);
        let mut from = self.written.bytes;
        if self.torn {
            // By its name, because a disk that was taken out and put back has left the old handle without a file.
            let file = self.disk.open(&path).during("open", &path)?;
            let found = file.metadata().during("look at", &path)?.len();
            self.file = Arc::new(file);
            if found < self.length {
                // Another disk stands in its place, or this one lost what it had: cutting would write zeros for it.
                let what = format!("the open segment (found {found} bytes, expected {} at least)", self.length);
                return Err(StoreError::Damaged { what, path });
            }
            self.disk.set_len(&self.file, self.length).during("cut", &path)?;
            from = 0;
        }
        self.disk.write_at(&self.file, &self.buffer[from..], self.length + from as u64).during("write", &path)
    }

    /// Gives the transitions of records before `seq` to the sinks. Those that are only written do not survive a power cut, and those
    /// that are only in memory, when the disk refuses, not the end of the process: then they come again, as the readings do that caused
    /// them, under the same ids.
    pub fn tell(&mut self, seq: u64) {
        let told = self.pending.partition_point(|(at, _)| *at < seq);
        self.tail.extend(self.pending.drain(..told).map(|(_, transition)| transition));
    }

    /// Commits, and when the open segment is full or old, closes it and begins the next, which starts with a checkpoint of what the
    /// writer has seen: open alerts, next transition, counts. The closed segment is then to be given to [`crate::seal`]. After an
    /// error the open segment goes on taking records.
    pub fn rotate_if_due(&mut self, now: Timestamp) -> Result<Option<ClosedSegment>, StoreError> {
        self.commit()?;
        if !self.is_rotation_due(now) {
            return Ok(None);
        }
        let checkpoint = Checkpoint { at: Some(now), state: self.state.clone() };
        self.remove_stray()?;
        self.stray = Some(self.next_seq);
        let (file, length) = segment::create(&*self.disk, &self.config.dir, self.next_seq, &checkpoint)?;
        (self.file, self.length) = (Arc::new(file), length);
        self.stray = None;
        let closed = ClosedSegment { dir: self.config.dir.clone(), first_seq: self.first_seq, end_seq: self.next_seq };
        self.first_seq = self.next_seq;
        self.since = Some(now);
        Ok(Some(closed))
    }

    /// Whether the open segment is full or old.
    pub fn is_rotation_due(&mut self, now: Timestamp) -> bool {
        let since = *self.since.get_or_insert(now);
        let due = self.length >= self.config.segment_bytes || now.since(since) >= self.config.segment_age;
        due && self.next_seq > self.first_seq
    }

    fn remove_stray(&mut self) -> Result<(), StoreError> {
        let Some(first_seq) = self.stray else { return Ok(()) };
        let path = segment::path(&self.config.dir, first_seq);
        for path in [&disk::temporary(&path), &path] {
            disk::gone(self.disk.remove(path)).during("remove", path)?;
        }
        let log = segment::log_dir(&self.config.dir);
        self.disk.sync_dir(&log).during("sync", &log)?;
        self.stray = None;
        Ok(())
    }

    /// The latest committed transitions, for the sinks.
    pub fn tail(&self) -> Arc<TransitionTail> {
        self.tail.clone()
    }

    /// How far the log is on disk, for those who follow it.
    pub fn committed(&self) -> Arc<Committed> {
        self.committed.clone()
    }
}

/// A segment whose making was interrupted has a temporary name and no records.
fn remove_temporary(log: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(log).during("list", log)? {
        let path = entry.during("list", log)?.path();
        if disk::is_temporary(&path) {
            disk::remove(&path)?;
        }
    }
    Ok(())
}

/// Cuts what lies behind `end`, and makes durable what was recovered.
///
/// The last process may have died between its write and its sync, or after a sync that failed: then reading shows pages that the
/// kernel calls clean and that the disk never had. Syncing those does nothing; they are written again.
fn repair(disk: &dyn Disk, segment: &Segment, end: usize) -> std::io::Result<File> {
    let path = segment.path.as_path();
    let file = disk.open(path)?;
    let torn = segment.torn(end);
    if !torn.is_empty() {
        // Kept beside the log: of a torn commit it is of no use, but what was one cannot be told from what was damaged. On a full disk
        // the cut itself may make the room; and a start that raises alarms is worth more than this copy.
        let kept = path.with_extension(format!("cut-at-{end}"));
        let copied = disk::write_whole(&kept, torn);
        disk.set_len(&file, end as u64)?;
        match copied.or_else(|_| disk::write_whole(&kept, torn)) {
            Ok(_) => warn!(segment = %path.display(), cut_bytes = torn.len(), kept = %kept.display(), "cut the torn end of the log"),
            Err(error) => error!(segment = %path.display(), cut_bytes = torn.len(), %error, "cut the torn end of the log, no copy kept"),
        }
    }
    disk.write_at(&file, segment.whole(end), 0)?;
    disk.sync(&file)?;
    Ok(file)
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
