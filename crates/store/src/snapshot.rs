//! One state of the data directory for a reader, while a writer and seals go on.
//!
//! Invariant: a record is in exactly one part or log. Open segments are held by their file handles, which outlive a seal's removal of the
//! name; the files of parts outlive the manifest that named them by a period of grace.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::StoreError;
use crate::error::Context;
use crate::manifest::{Manifest, ManifestCache};
use crate::segment::{self, Segment};

pub(crate) struct Snapshot {
    /// Names everything that is sealed.
    pub(crate) manifest: Arc<Manifest>,
    /// The segments that are not, in order. Their sequences may lie between those of parts.
    pub(crate) logs: Vec<LogFile>,
}

pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
}

impl Snapshot {
    /// Empty when `dir` holds no data or does not exist yet.
    pub(crate) fn take(dir: &Path) -> Result<Snapshot, StoreError> {
        Snapshot::take_by(&ManifestCache::default(), dir)
    }

    /// For those who take many.
    pub(crate) fn take_by(cache: &ManifestCache, dir: &Path) -> Result<Snapshot, StoreError> {
        // Each further attempt means that a whole seal ended within the few microseconds of the one before.
        const ATTEMPTS: u32 = 20;
        for _ in 0..ATTEMPTS {
            if let Some(snapshot) = attempt(cache, dir)? {
                return Ok(snapshot);
            }
        }
        Err(StoreError::Busy(ATTEMPTS))
    }
}

/// `None` when a seal came between.
fn attempt(cache: &ManifestCache, dir: &Path) -> Result<Option<Snapshot>, StoreError> {
    let manifest = cache.read(dir)?;
    let mut logs = Vec::new();
    for first_seq in segment::list(dir)?.into_iter().filter(|seq| !manifest.holds(*seq)) {
        let path = segment::path(dir, first_seq);
        match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => logs.push(LogFile { file: file.during("open", &path)?, path }),
        }
    }
    // A segment sealed after the first look and removed before the listing would be in neither.
    let unchanged = cache.read(dir)?.generation == manifest.generation;
    Ok(unchanged.then_some(Snapshot { manifest, logs }))
}

impl LogFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn read(&self) -> Result<Segment, StoreError> {
        Segment::read_from(&self.file, &self.path)
    }

    /// Appends what stands behind the first `start` bytes to `bytes`.
    pub(crate) fn read_after(&self, start: u64, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(bytes)).during("read", &self.path)?;
        Ok(())
    }
}
