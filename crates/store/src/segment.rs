//! Segments: `log/<first record sequence>.log` = header, checkpoint frame, record frames.
//!
//! Invariant: a segment appears with its header and checkpoint whole and synced, or not at all; record sequences grow within it and
//! from one segment to the next.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::Context;
use crate::frame::{self, Frames};
use crate::record::{Checkpoint, Record};
use crate::{StoreError, disk};

const MAGIC: &[u8; 8] = b"huonglog";
/// Of header, checkpoint and records together.
const VERSION: u32 = 3;
/// Differs in the checkpoint's counts alone.
const OLDEST: u32 = 2;
/// Magic, version u32, first sequence u64, crc32 of these: little endian.
const HEADER: usize = 24;

/// A segment read into memory.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first_seq: u64,
    pub(crate) checkpoint: Checkpoint,
    bytes: Vec<u8>,
    /// Where the records begin.
    start: usize,
}

/// The good records of a segment with their sequences.
pub(crate) struct Records<'a> {
    frames: Frames<'a>,
    start: usize,
    next_seq: u64,
    undecodable: u64,
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
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        found.extend(digits.filter(|digits| digits.len() == 20).and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a segment with its checkpoint; the returned file takes its records. Also returns the bytes written.
pub(crate) fn create(dir: &Path, first_seq: u64, checkpoint: &Checkpoint) -> Result<(File, u64), StoreError> {
    let mut bytes = Vec::with_capacity(4096);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&first_seq.to_le_bytes());
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    frame::push(&mut bytes, checkpoint)?;
    Ok((disk::write_whole(&path(dir, first_seq), &bytes)?, bytes.len() as u64))
}

impl Segment {
    pub(crate) fn read(path: &Path) -> Result<Segment, StoreError> {
        Self::read_from(&mut File::open(path).during("open", path)?, path)
    }

    /// From a handle that may outlive the file's name.
    pub(crate) fn read_from(file: &mut File, path: &Path) -> Result<Segment, StoreError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).during("read", path)?;
        Self::parse(path, bytes)
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Segment, StoreError> {
        let damaged = |what: &str| StoreError::Damaged { what: what.to_owned(), path: path.to_owned() };
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or_else(|| damaged("the header"))?;
        let word = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        if &header[..8] != MAGIC || crc32fast::hash(&header[..20]) != word(20) {
            return Err(damaged("the header"));
        }
        let version = word(8);
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(StoreError::Version { path: path.to_owned(), found: version, expected: VERSION });
        }
        let first_seq = u64::from(word(12)) | u64::from(word(16)) << 32;
        let mut frames = Frames::new(&bytes[HEADER..]);
        let payload = frames.next().filter(|_| frames.damaged() == 0).ok_or_else(|| damaged("the checkpoint"))?;
        let checkpoint = Checkpoint::decode(version, payload).ok_or_else(|| damaged("the checkpoint"))?;
        let start = HEADER + frames.end();
        Ok(Segment { path: path.to_owned(), first_seq, checkpoint, bytes, start })
    }

    pub(crate) fn records(&self) -> Records<'_> {
        Records { frames: Frames::new(&self.bytes[self.start..]), start: self.start, next_seq: self.first_seq, undecodable: 0 }
    }

    /// What lies behind the last good record.
    pub(crate) fn torn(&self, end: usize) -> &[u8] {
        &self.bytes[end..]
    }
}

/// Appends one record as a frame; on an error `buffer` is as before.
pub(crate) fn push_record(buffer: &mut Vec<u8>, seq: u64, record: &Record) -> Result<(), StoreError> {
    frame::push(buffer, &(seq, record))
}

impl<'a> Records<'a> {
    /// Of a stretch of a segment that begins with a frame, whose record is `next_seq` or later.
    pub(crate) fn of(bytes: &'a [u8], next_seq: u64) -> Self {
        Self { frames: Frames::new(bytes), start: 0, next_seq, undecodable: 0 }
    }

    /// Just behind the last good frame read so far, from the beginning of the file.
    pub(crate) fn end(&self) -> usize {
        self.start + self.frames.end()
    }

    /// Behind the sequence of the last record read so far.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Records passed over so far because their bytes are not what was written.
    pub(crate) fn damaged(&self) -> u64 {
        self.frames.damaged() + self.undecodable
    }
}

impl Iterator for Records<'_> {
    type Item = (u64, Record);

    fn next(&mut self) -> Option<(u64, Record)> {
        loop {
            match postcard::from_bytes::<(u64, Record)>(self.frames.next()?) {
                Ok((seq, record)) if seq >= self.next_seq && seq < u64::MAX => {
                    self.next_seq = seq + 1;
                    return Some((seq, record));
                }
                _ => self.undecodable += 1,
            }
        }
    }
}
