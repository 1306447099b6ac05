//! The single writer of a data directory.
//!
//! Invariant: once a write or sync failed, nothing is accepted any more: the kernel may have dropped the dirty pages, so trying the
//! sync again would succeed and lie. Opening again reads back what is really there.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use huong_types::{Alert, Timestamp, Transition};
use tracing::{error, warn};

use crate::error::Context;
use crate::record::{Checkpoint, State};
use crate::segment::{self, Segment};
use crate::{ClosedSegment, Counts, Record, StoreConfig, StoreError, TransitionTail, disk, manifest};

/// Zero is never a sequence, so that "after 0" means all.
const FIRST_SEQ: u64 = 1;

/// Appends records to the open segment. Not `Clone`: the lock file admits one per data directory.
#[derive(Debug)]
pub struct Writer {
    config: StoreConfig,
    /// Unlocked when dropped.
    _lock: File,
    file: File,
    /// Of the open segment.
    first_seq: u64,
    /// Bytes of the open segment on disk.
    length: u64,
    /// When the open segment was begun.
    since: Option<Timestamp>,
    /// Of the next record.
    next_seq: u64,
    /// Encoded records that are not written yet.
    buffer: Vec<u8>,
    /// Transitions among them.
    pending: Vec<Arc<Transition>>,
    state: State,
    tail: Arc<TransitionTail>,
    poisoned: bool,
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
    /// Records of the open segment whose checksum failed, with good ones behind them.
    pub damaged: u64,
}

impl Writer {
    /// Opens the log of `config.dir`, makes one when there is none, and repairs what a crash left behind.
    ///
    /// Fails when another writer has it, and when the newest segment's header or checkpoint is damaged: then the alert table
    /// cannot be restored, and a person must decide.
    pub fn open(config: StoreConfig) -> Result<(Writer, Recovered), StoreError> {
        let dir = config.dir.clone();
        fs::create_dir_all(segment::log_dir(&dir)).during("create", &dir)?;
        let lock = lock(&dir)?;
        let manifest = manifest::clean_up(&dir)?;
        remove_temporary(&segment::log_dir(&dir))?;
        let mut unsealed: Vec<u64> = segment::list(&dir)?.into_iter().filter(|seq| !manifest.holds(*seq)).collect();
        if unsealed.is_empty() {
            if !manifest.segments.is_empty() {
                return Err(StoreError::Damaged {
                    what: "the log (sealed segments, but none open)".to_owned(),
                    path: segment::log_dir(&dir),
                });
            }
            segment::create(&dir, FIRST_SEQ, &Checkpoint::default())?;
            unsealed.push(FIRST_SEQ);
        }
        let closed = unsealed.windows(2).map(|pair| ClosedSegment { dir: dir.clone(), first_seq: pair[0], end_seq: pair[1] }).collect();
        let first_seq = unsealed[unsealed.len() - 1];
        let segment = Segment::read(&segment::path(&dir, first_seq))?;

        let Checkpoint { at: since, mut state } = segment.checkpoint.clone();
        let tail = TransitionTail::new(dir, config.transition_tail, state.next_seq.saturating_sub(1));
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
        let file = repair(&segment, end, recovered.damaged)?;
        let next_seq = records.next_seq();
        let (buffer, pending) = (Vec::new(), Vec::new());
        let tail = Arc::new(tail);
        let length = end as u64;
        Ok((
            Writer { config, _lock: lock, file, first_seq, length, since, next_seq, buffer, pending, state, tail, poisoned: false },
            recovered,
        ))
    }

    /// Encodes `record` into the buffer; it is safe only after [`Writer::commit`]. A record that is too long is refused and changes nothing.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        segment::push_record(&mut self.buffer, self.next_seq, record)?;
        self.next_seq += 1;
        self.state.apply(record);
        if let Record::Transition(transition) = record {
            self.pending.push(Arc::clone(transition));
        }
        Ok(())
    }

    /// Bytes appended since the last commit.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Writes and syncs what was appended. After an error nothing of it may be acknowledged, and the writer is of no more use.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = segment::path(&self.config.dir, self.first_seq);
        let written = self.file.write_all(&self.buffer).during("write", &path).and_then(|()| self.file.sync_data().during("sync", &path));
        self.poison_on_error(&written);
        written?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        self.tail.extend(self.pending.drain(..));
        Ok(())
    }

    /// Commits, and when the open segment is full or old, closes it and begins the next, which starts with a checkpoint of what the
    /// writer has seen: open alerts, next transition, counts. The closed segment is then to be given to [`crate::seal`].
    pub fn rotate_if_due(&mut self, now: Timestamp) -> Result<Option<ClosedSegment>, StoreError> {
        self.commit()?;
        let since = *self.since.get_or_insert(now);
        let due = self.length >= self.config.segment_bytes || now.since(since) >= self.config.segment_age;
        if !due || self.next_seq == self.first_seq {
            return Ok(None);
        }
        let checkpoint = Checkpoint { at: Some(now), state: self.state.clone() };
        let created = segment::create(&self.config.dir, self.next_seq, &checkpoint);
        self.poison_on_error(&created);
        (self.file, self.length) = created?;
        let closed = ClosedSegment { dir: self.config.dir.clone(), first_seq: self.first_seq, end_seq: self.next_seq };
        self.first_seq = self.next_seq;
        self.since = Some(now);
        Ok(Some(closed))
    }

    /// Readings and refusals appended since the data directory was made.
    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }

    /// The latest committed transitions, for the sinks.
    pub fn tail(&self) -> Arc<TransitionTail> {
        self.tail.clone()
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        if self.poisoned { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn poison_on_error<T>(&mut self, result: &Result<T, StoreError>) {
        self.poisoned |= result.is_err();
    }
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("writer.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).during("open", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { action: "lock", path, source }),
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

/// Cuts what lies behind `end`, and makes durable what was recovered: the last process may have died between its write and its sync.
fn repair(segment: &Segment, end: usize, damaged: u64) -> Result<File, StoreError> {
    let path = segment.path.as_path();
    let torn = segment.torn(end);
    let file = File::options().append(true).open(path).during("open", path)?;
    if damaged > 0 {
        error!(segment = %path.display(), damaged, "records of the open segment are damaged and passed over");
    }
    if !torn.is_empty() {
        // Kept beside the log: a torn commit is of no use, but a damaged length cannot be told from one and may hide good records.
        let kept = path.with_extension(format!("cut-at-{end}"));
        disk::write_whole(&kept, torn)?;
        file.set_len(end as u64).during("cut", path)?;
        warn!(segment = %path.display(), cut_bytes = torn.len(), kept = %kept.display(), "cut the torn end of the log");
    }
    file.sync_all().during("sync", path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
