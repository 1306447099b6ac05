//! Following the log: readings in the order of the log from a sequence on, as they are committed.
//!
//! Invariant: only what is committed is given out, each reading once, and what cannot be given is counted. The open segment is read
//! on from where the last look ended; whoever is further behind reads closed segments and sealed parts, a slice at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use huong_types::{Origin, Reading, Timestamp};

use crate::error::Context;
use crate::frame::MAX_PAYLOAD;
use crate::manifest::{Manifest, Part};
use crate::replay::read_slice;
use crate::restore::{self, Names};
use crate::segment::{self, Records, Segment};
use crate::table::Table;
use crate::{Record, StoreError};

/// Bytes of the open segment read at once; more where one record is longer.
const CHUNK: usize = 256 << 10;
/// Records of sealed parts in memory at once, some 300 bytes each. A part is sorted by key: each slice reads it anew.
const SLICE: u64 = 250_000;

/// How far the log of a data directory is on disk. The writer moves it, after each commit.
#[derive(Debug)]
pub struct Committed {
    dir: PathBuf,
    next_seq: AtomicU64,
}

/// Reads on in the log of a running writer.
pub struct Follower {
    committed: Arc<Committed>,
    /// Of the first record that was not given out or passed over.
    next_seq: u64,
    log: Option<OpenLog>,
    /// Readings of sealed parts up to `slice_end`.
    slice: VecDeque<(u64, Reading)>,
    slice_end: u64,
    names: Names,
}

/// One look at the log.
#[derive(Debug, Default)]
pub struct Followed {
    /// With their sequences.
    pub readings: Vec<(u64, Reading)>,
    /// Records passed over: too old, or not in the store any more.
    pub skipped: u64,
}

/// A segment and how far it was read. The handle outlives a seal's removal of the name.
struct OpenLog {
    first_seq: u64,
    path: PathBuf,
    file: File,
    at: u64,
}

/// What to look for.
#[derive(Clone, Copy)]
struct Wanted {
    /// At most so many readings.
    most: usize,
    /// Received at this time or later.
    since: Timestamp,
    /// Records before this one.
    end: u64,
}

impl Committed {
    pub(crate) fn new(dir: PathBuf, next_seq: u64) -> Self {
        Self { dir, next_seq: AtomicU64::new(next_seq) }
    }

    /// Behind the sequence of the last committed record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq.load(Ordering::Acquire)
    }

    pub(crate) fn move_to(&self, next_seq: u64) {
        self.next_seq.store(next_seq, Ordering::Release);
    }
}

impl Follower {
    /// Begins with record `next_seq`; 0 and 1 are the first of all.
    pub fn new(committed: Arc<Committed>, next_seq: u64) -> Self {
        Self { committed, next_seq: next_seq.max(1), log: None, slice: VecDeque::new(), slice_end: 0, names: Names::new() }
    }

    /// Of the first record that was not given out or passed over.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next readings that were received at or after `since`, at most `most`; fewer when there are no more committed ones. Blocking.
    ///
    /// An error loses nothing: the next call goes on from there.
    pub fn read(&mut self, most: usize, since: Timestamp) -> Result<Followed, StoreError> {
        let wanted = Wanted { most, since, end: self.committed.next_seq() };
        let mut found = Followed::default();
        let outcome = self.fill(wanted, &mut found);
        // What was found before the error is given first; the error comes again.
        if found.readings.is_empty() && found.skipped == 0 { outcome.map(|()| found) } else { Ok(found) }
    }

    /// Passes over what lies before record `seq`; returns how many records that are.
    pub fn skip_to(&mut self, seq: u64) -> u64 {
        let skipped = seq.saturating_sub(self.next_seq);
        if skipped > 0 {
            self.next_seq = seq;
            self.slice.retain(|(at, _)| *at >= seq);
            self.log = None;
        }
        skipped
    }

    fn fill(&mut self, wanted: Wanted, found: &mut Followed) -> Result<(), StoreError> {
        while self.next_seq < wanted.end && found.readings.len() < wanted.most {
            if self.next_seq < self.slice_end {
                self.take_slice(wanted, found);
                continue;
            }
            let before = self.next_seq;
            if let Some(log) = &mut self.log {
                log.read(&mut self.next_seq, wanted, found)?;
            }
            if self.next_seq == before {
                self.locate(wanted, found)?;
            }
        }
        Ok(())
    }

    fn take_slice(&mut self, wanted: Wanted, found: &mut Followed) {
        while found.readings.len() < wanted.most {
            let Some((seq, reading)) = self.slice.pop_front() else {
                self.next_seq = self.slice_end;
                return;
            };
            self.next_seq = seq + 1;
            found.take(seq, reading, wanted.since);
        }
    }

    /// Finds what holds the next record, or the first behind it when nothing does.
    fn locate(&mut self, wanted: Wanted, found: &mut Followed) -> Result<(), StoreError> {
        // Each further attempt means that a segment was sealed, or a part replaced, within the moment of the one before.
        const ATTEMPTS: u32 = 20;
        for _ in 0..ATTEMPTS {
            match self.try_locate(wanted, found) {
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                outcome => return outcome,
            }
        }
        Err(StoreError::Busy(ATTEMPTS))
    }

    fn try_locate(&mut self, wanted: Wanted, found: &mut Followed) -> Result<(), StoreError> {
        let dir = &self.committed.dir;
        let next = self.next_seq;
        let manifest = Manifest::read(dir)?;
        let logs: Vec<u64> = segment::list(dir)?.into_iter().filter(|first| !manifest.holds(*first)).collect();
        // A log that was read to its end holds no more.
        let read = self.log.as_ref().map(|log| log.first_seq);
        let log = logs.iter().copied().rfind(|first| *first <= next && Some(*first) != read);
        let sealed = manifest.sealed.iter().rfind(|(first, end)| *first <= next && next < *end);
        match (sealed, log) {
            (Some((_, end)), _) => {
                let end = (*end).min(next + SLICE).min(wanted.end);
                let holds = |part: &&Part| origin(part.table).is_some() && part.seq.0 < end && part.seq.1 >= next;
                let parts: Vec<&Part> = manifest.parts.iter().filter(holds).collect();
                self.log = None;
                if parts.iter().all(|part| part.arrived.1 < wanted.since.as_millis()) && !parts.is_empty() {
                    found.skipped += end - next;
                    self.next_seq = end;
                } else {
                    self.slice = slice(dir, &parts, (next, end), &mut self.names)?;
                    self.slice_end = end;
                }
            }
            (None, Some(first)) => self.log = Some(OpenLog::at(segment::path(dir, first), next)?),
            (None, None) => {
                let starts = logs.iter().copied().chain(manifest.sealed.iter().map(|(first, _)| *first));
                let Some(first) = starts.filter(|first| *first > next).min() else {
                    let what = format!("the log (records from {next} to {} are committed, and in no file)", wanted.end);
                    return Err(StoreError::Damaged { what, path: segment::log_dir(dir) });
                };
                found.skipped += first - next;
                self.next_seq = first;
            }
        }
        Ok(())
    }
}

impl Followed {
    fn take(&mut self, seq: u64, reading: Reading, since: Timestamp) {
        if reading.received >= since {
            self.readings.push((seq, reading));
        } else {
            self.skipped += 1;
        }
    }
}

impl OpenLog {
    /// Opens the segment at `path` and passes over the records before `next_seq`.
    fn at(path: PathBuf, next_seq: u64) -> Result<Self, StoreError> {
        let file = File::open(&path).during("open", &path)?;
        let segment = Segment::read_from(&file, &path)?;
        let mut records = segment.records();
        let mut at = records.end();
        while records.next().is_some_and(|(seq, _)| seq < next_seq) {
            at = records.end();
        }
        Ok(Self { first_seq: segment.first_seq, file, at: at as u64, path })
    }

    /// Reads on from `next_seq`, which stays where it is at the end of the file.
    ///
    /// Bytes behind the last wanted record are read again next time: what is not committed yet may still be written anew.
    fn read(&mut self, next_seq: &mut u64, wanted: Wanted, found: &mut Followed) -> Result<(), StoreError> {
        let mut bytes = vec![0; CHUNK];
        loop {
            let length = read_at(&self.file, &mut bytes, self.at).during("read", &self.path)?;
            let mut records = Records::resume(&self.path, &bytes[..length], *next_seq);
            let mut used = 0;
            while found.readings.len() < wanted.most {
                let Some((seq, record)) = records.next().filter(|(seq, _)| *seq < wanted.end) else { break };
                used = records.end();
                // Sequences have no gaps of their own: what lies between is damaged.
                found.skipped += seq.saturating_sub(*next_seq);
                *next_seq = seq + 1;
                if let Record::Reading(reading) = record {
                    found.take(seq, reading, wanted.since);
                }
            }
            self.at += used as u64;
            if used > 0 || length < bytes.len() || length > MAX_PAYLOAD {
                return Ok(());
            }
            bytes.resize(2 * length, 0);
        }
    }
}

/// Fills `bytes` from offset `at`, or up to the end of the file.
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], at + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The readings of `parts` whose sequences are in `range`, in order.
fn slice(dir: &Path, parts: &[&Part], range: (u64, u64), names: &mut Names) -> Result<VecDeque<(u64, Reading)>, StoreError> {
    let (columns, mut readings) = (restore::reading_columns(), Vec::new());
    for part in parts {
        let Some(origin) = origin(part.table) else { continue };
        read_slice(dir, part, Some(&columns), range, &mut |batch| restore::readings(&batch, origin, Timestamp::MIN, names, &mut readings))?;
    }
    readings.sort_by_key(|(seq, _)| *seq);
    Ok(readings.into())
}

/// Of the readings in `table`; `None` when it holds none.
fn origin(table: Table) -> Option<Origin> {
    match table {
        Table::Readings => Some(Origin::Sensor),
        Table::Observations => Some(Origin::Vision),
        Table::Derived => Some(Origin::Derived),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
