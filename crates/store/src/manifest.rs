//! `manifest.json`: which segments are sealed, and into which parts.
//!
//! Invariant: it is replaced whole; a segment and its parts enter it in one step, so rows are in the log or in the parts, never in
//! both or neither.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use huong_types::Name;
use serde::{Deserialize, Serialize};

use crate::error::Context;
use crate::table::Table;
use crate::{StoreError, disk, segment};

const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// Grows with each change, so that a reader sees whether it looked at one state.
    pub(crate) generation: u64,
    /// By `first_seq`, which grows.
    pub(crate) segments: Vec<SealedSegment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SealedSegment {
    pub(crate) first_seq: u64,
    pub(crate) end_seq: u64,
    pub(crate) parts: Vec<Part>,
}

/// One Parquet file, with what a reader needs to pass over it unopened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) table: Table,
    /// Below the data directory, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// Of tables that are split by stream.
    pub(crate) stream: Option<Name>,
    /// Days since 1970-01-01, local.
    pub(crate) day: i32,
    /// Smallest and largest value of the column `seq`,
    pub(crate) seq: (u64, u64),
    /// .. of the table's time of the event,
    pub(crate) at: (i64, i64),
    /// .. of the table's time of arrival,
    pub(crate) arrived: (i64, i64),
    /// .. and of the column that rows are sorted by.
    pub(crate) key: (String, String),
}

impl Manifest {
    /// The manifest of `dir`; an empty one when nothing was sealed yet.
    pub(crate) fn read(dir: &Path) -> Result<Manifest, StoreError> {
        let path = path(dir);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Manifest { version: VERSION, generation: 0, segments: Vec::new() });
            }
            text => text.during("read", &path)?,
        };
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| StoreError::Damaged { what: format!("the manifest ({error})"), path: path.clone() })?;
        if manifest.version != VERSION {
            return Err(StoreError::Version { path, found: manifest.version, expected: VERSION });
        }
        Ok(manifest)
    }

    /// The entry of the segment that begins with `first_seq`, once it is sealed.
    pub(crate) fn find(&self, first_seq: u64) -> Option<&SealedSegment> {
        self.segments.binary_search_by_key(&first_seq, |s| s.first_seq).ok().map(|i| &self.segments[i])
    }

    pub(crate) fn holds(&self, first_seq: u64) -> bool {
        self.find(first_seq).is_some()
    }

    /// Adds `sealed` durably. The caller holds [`lock`].
    pub(crate) fn add(mut self, dir: &Path, sealed: SealedSegment) -> Result<(), StoreError> {
        let at = self.segments.partition_point(|s| s.first_seq < sealed.first_seq);
        self.segments.insert(at, sealed);
        self.generation += 1;
        disk::write_whole(&path(dir), &serde_json::to_vec(&self)?)?;
        Ok(())
    }
}

/// Waits for, and takes, the right to change the manifest and the files under `parquet`; dropped, it is given back.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("seal.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).during("open", &path)?;
    file.lock().during("lock", &path)?;
    Ok(file)
}

/// Removes what an interrupted seal left: parts that the manifest does not name, and segments that it does.
pub(crate) fn clean_up(dir: &Path) -> Result<Manifest, StoreError> {
    let _lock = lock(dir)?;
    disk::remove(&disk::temporary(&path(dir)))?;
    let manifest = Manifest::read(dir)?;
    let named = manifest.segments.iter().flat_map(|s| &s.parts).map(|part| dir.join(&part.path)).collect();
    remove_unnamed(&dir.join("parquet"), &named)?;
    for first_seq in segment::list(dir)?.into_iter().filter(|seq| manifest.holds(*seq)) {
        disk::remove(&segment::path(dir, first_seq))?;
    }
    Ok(manifest)
}

fn remove_unnamed(parquet: &Path, named: &HashSet<PathBuf>) -> Result<(), StoreError> {
    let mut dirs = vec![parquet.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.during("list", &dir)?,
        };
        for entry in entries {
            let entry = entry.during("list", &dir)?;
            let path = entry.path();
            if entry.file_type().during("look at", &path)?.is_dir() {
                dirs.push(path);
            } else if disk::is_temporary(&path) || (path.extension().is_some_and(|e| e == "parquet") && !named.contains(&path)) {
                disk::remove(&path)?;
            }
        }
    }
    Ok(())
}

fn path(dir: &Path) -> PathBuf {
    dir.join("manifest.json")
}
