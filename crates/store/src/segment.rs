//! Segments: `log/<first record sequence>.log` = header, checkpoint frame, record frames.
//!
//! Invariant: a segment appears with its header and checkpoint whole and synced, or not at all; record sequences grow within it and
//! from one segment to the next. Damage anywhere is told with its place and costs no more than what it hit: the records are read
//! whatever became of the bytes before them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use tracing::error;

use crate::StoreError;
use crate::disk::Disk;
use crate::error::Context;
use crate::frame::{self, Frames};
use crate::record::{Checkpoint, Record};

const MAGIC: &[u8; 8] = b"huonglog";
/// Of header, checkpoint and records together.
const VERSION: u32 = 4;
/// Zero is never a sequence, so that "after 0" means all.
pub(crate) const FIRST_SEQ: u64 = 1;
/// Magic, version u32, first sequence u64, crc32 of these: little endian.
const HEADER: usize = 24;

/// A segment read into memory.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first_seq: u64,
    /// `None` when it is damaged: the records are readable, the state before them is not known.
    pub(crate) checkpoint: Option<Checkpoint>,
    bytes: Vec<u8>,
    /// Where the records begin.
    start: usize,
    /// What was wrong before them.
    head_damage: u64,
}

/// The good records of a segment with their sequences.
pub(crate) struct Records<'a> {
    path: &'a Path,
    frames: Frames<'a>,
    start: usize,
    next_seq: u64,
    head_damage: u64,
    undecodable: u64,
    /// Gaps that were told of.
    told: u64,
}

pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Twenty digits hold every u64, so names sort as their numbers.
pub(crate) fn path(dir: &Path, first_seq: u64) -> PathBuf {
    log_dir(dir).join(format!("{first_seq:020}.log"))
}

/// The first sequences of the segments on disk, in order; none when there is no log yet.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let log = log_dir(dir);
    let entries = match fs::read_dir(&log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.during("list", &log)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.during("list", &log)?.file_name();
        found.extend(named(Path::new(&name)));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a segment with its checkpoint; the returned file takes its records. Also returns the bytes written.
pub(crate) fn create(disk: &dyn Disk, dir: &Path, first_seq: u64, checkpoint: &Checkpoint) -> Result<(File, u64), StoreError> {
    let bytes = head(first_seq, checkpoint)?;
    Ok((disk.write_whole(&path(dir, first_seq), &bytes)?, bytes.len() as u64))
}

fn header(first_seq: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&first_seq.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..20]);
    bytes[20..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Header and checkpoint.
fn head(first_seq: u64, checkpoint: &Checkpoint) -> Result<Vec<u8>, StoreError> {
    let mut bytes = header(first_seq).to_vec();
    frame::push(&mut bytes, checkpoint)?;
    Ok(bytes)
}

/// The sequence that the file's name says.
pub(crate) fn named(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

impl Segment {
    pub(crate) fn read(path: &Path) -> Result<Segment, StoreError> {
        Self::read_from(&File::open(path).during("open", path)?, path)
    }

    /// From a handle that may outlive the file's name.
    pub(crate) fn read_from(mut file: &File, path: &Path) -> Result<Segment, StoreError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).during("read", path)?;
        Self::parse(path, bytes)
    }

    pub(crate) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Segment, StoreError> {
        let mut head_damage = 0;
        let mut damaged = |what: &str| {
            error!(segment = %path.display(), what, bytes = bytes.len(), "a segment of the log is damaged at its beginning");
            head_damage += 1;
        };
        let read = bytes.first_chunk::<HEADER>();
        let word = |at: usize| read.map_or(0, |read| u32::from_le_bytes([read[at], read[at + 1], read[at + 2], read[at + 3]]));
        let sound = read.is_some_and(|read| &read[..8] == MAGIC && crc32fast::hash(&read[..20]) == word(20));
        if sound && word(8) != VERSION {
            return Err(StoreError::Version { path: path.to_owned(), found: word(8), expected: VERSION });
        }
        let written = u64::from(word(12)) | u64::from(word(16)) << 32;
        // A header says nothing that the file's name does not: damaged, it is known all the same.
        let first_seq = if sound { written } else { named(path).ok_or_else(|| no_segment(path))? };
        if !sound {
            damaged("the header");
        }
        let mut frames = Frames::new(bytes.get(HEADER..).unwrap_or_default());
        let found = frames.next().filter(|_| frames.damaged() == 0).and_then(|payload| postcard::from_bytes::<Checkpoint>(payload).ok());
        let (checkpoint, start) = match found {
            Some(checkpoint) => (Some(checkpoint), HEADER + frames.end()),
            None => {
                damaged("the checkpoint");
                (None, HEADER.min(bytes.len()))
            }
        };
        let mut segment = Segment { path: path.to_owned(), first_seq, checkpoint, start, head_damage, bytes };
        if head_damage > 0 {
            segment.mend_head()?;
        }
        Ok(segment)
    }

    /// Puts right in memory what is known whatever the file says: every header, and the checkpoint before the first record of all.
    fn mend_head(&mut self) -> Result<(), StoreError> {
        let known = if self.first_seq == FIRST_SEQ {
            let known = head(FIRST_SEQ, &Checkpoint::default())?;
            (self.checkpoint, self.start) = (Some(Checkpoint::default()), known.len());
            known
        } else {
            header(self.first_seq).to_vec()
        };
        let end = self.bytes.len().max(known.len());
        self.bytes.resize(end, 0);
        self.bytes[..known.len()].copy_from_slice(&known);
        self.start = self.start.max(known.len());
        Ok(())
    }

    pub(crate) fn records(&self) -> Records<'_> {
        Records {
            path: &self.path,
            frames: Frames::new(&self.bytes[self.start..]),
            start: self.start,
            next_seq: self.first_seq,
            head_damage: self.head_damage,
            undecodable: 0,
            told: 0,
        }
    }

    /// As it should be on disk, up to `end`.
    pub(crate) fn whole(&self, end: usize) -> &[u8] {
        &self.bytes[..end]
    }

    /// What lies behind the last good record.
    pub(crate) fn torn(&self, end: usize) -> &[u8] {
        &self.bytes[end..]
    }
}

fn no_segment(path: &Path) -> StoreError {
    StoreError::Damaged { what: "the header (and the name is not that of a segment)".to_owned(), path: path.to_owned() }
}

/// Appends one record as a frame; on an error `buffer` is as before.
pub(crate) fn push_record(buffer: &mut Vec<u8>, seq: u64, record: &Record) -> Result<(), StoreError> {
    frame::push(buffer, &(seq, record))
}

impl<'a> Records<'a> {
    /// The records of `bytes`, which stand in the file at `path` behind a good record; the next sequence is `next_seq` or more.
    pub(crate) fn resume(path: &'a Path, bytes: &'a [u8], next_seq: u64) -> Self {
        Records { path, frames: Frames::new(bytes), start: 0, next_seq, head_damage: 0, undecodable: 0, told: 0 }
    }

    /// Just behind the last good frame read so far, from the beginning of the file or of the bytes given.
    pub(crate) fn end(&self) -> usize {
        self.start + self.frames.end()
    }

    /// Behind the sequence of the last record read so far.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// What was passed over so far because its bytes are not what was written.
    pub(crate) fn damaged(&self) -> u64 {
        self.head_damage + self.frames.damaged() + self.undecodable
    }
}

impl Iterator for Records<'_> {
    type Item = (u64, Record);

    fn next(&mut self) -> Option<(u64, Record)> {
        loop {
            let before = self.end();
            let payload = self.frames.next()?;
            let found = postcard::from_bytes::<(u64, Record)>(payload).ok().filter(|(seq, _)| *seq >= self.next_seq && *seq < u64::MAX);
            self.undecodable += u64::from(found.is_none());
            let gaps = self.frames.damaged() + self.undecodable;
            if gaps > self.told {
                self.told = gaps;
                error!(segment = %self.path.display(), from = before, to = self.end(), "damaged records of the log are passed over");
            }
            if let Some((seq, record)) = found {
                self.next_seq = seq + 1;
                return Some((seq, record));
            }
        }
    }
}
