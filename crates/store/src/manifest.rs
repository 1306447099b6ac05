//! `manifest.json`: which sequences of the log are sealed, and which parts hold them.
//!
//! Invariant: it is replaced whole, so that a reader sees one generation. What is sealed and its parts enter it in one step, so rows are
//! in the log or in the parts, never in both or neither; merged parts take the place of their sources in one step too.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use huong_types::{Name, Span, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::deletions::Deletions;
use crate::error::Context;
use crate::table::Table;
use crate::{StoreError, disk, objects, segment};

const VERSION: u32 = 2;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// Grows with each change, so that a reader sees whether it looked at one state.
    pub(crate) generation: u64,
    /// Record sequences `(first, behind the last)` whose segments are sealed: in order, none touching the next.
    pub(crate) sealed: Vec<(u64, u64)>,
    pub(crate) parts: Vec<Part>,
    /// Files that this generation does not read any more and a query of an earlier one may.
    #[serde(default)]
    pub(crate) retired: Vec<Retired>,
}

/// One Parquet file, with what a reader needs to pass over it unopened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) table: Table,
    /// Below the data directory, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Of the whole file, in hex.
    pub(crate) sha256: String,
    pub(crate) rows: u64,
    /// Records behind the rows, one or more rows each; none of a rollup.
    pub(crate) records: u64,
    /// Of tables that are split by stream.
    pub(crate) stream: Option<Name>,
    /// Days since 1970-01-01, local.
    pub(crate) day: i32,
    /// In the bucket, under the same path, and not here any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) remote: bool,
    /// Record sequences `(first, behind the last)` of the segments that it was made of.
    pub(crate) span: (u64, u64),
    /// Smallest and largest value of the column `seq`,
    pub(crate) seq: (u64, u64),
    /// .. of the table's time of the event,
    pub(crate) at: (i64, i64),
    /// .. of the table's time of arrival,
    pub(crate) arrived: (i64, i64),
    /// .. and of the column that rows are sorted by.
    pub(crate) key: (String, String),
}

/// A file that goes once no reader can need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Retired {
    pub(crate) path: String,
    /// Epoch ms of the machine's clock.
    pub(crate) since: u64,
    /// Gone from the bucket too, not from here alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) remote: bool,
}

impl Retired {
    pub(crate) fn now(path: String, remote: bool) -> Retired {
        Retired { path, since: epoch_millis(), remote }
    }
}

impl Part {
    /// Whether a start may read it: alerts, and readings that arrived since `needed` says of their stream.
    pub(crate) fn replayed(&self, needed: &dyn Fn(&Name) -> Option<Timestamp>) -> bool {
        match self.table {
            Table::Alerts => true,
            Table::Readings | Table::Observations | Table::Derived => {
                self.stream.as_ref().and_then(needed).is_some_and(|since| self.arrived.1 >= since.as_millis())
            }
            Table::Quarantine | Table::Minutes | Table::Hours => false,
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Of a directory in which nothing was sealed yet.
impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, generation: 0, sealed: Vec::new(), parts: Vec::new(), retired: Vec::new() }
    }
}

impl Manifest {
    /// The manifest of `dir`; an empty one when nothing was sealed yet.
    pub(crate) fn read(dir: &Path) -> Result<Manifest, StoreError> {
        let path = path(dir);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Manifest::default()),
            text => Manifest::parse(&text.during("read", &path)?, path),
        }
    }

    fn parse(text: &[u8], path: PathBuf) -> Result<Manifest, StoreError> {
        let damaged = |error: serde_json::Error| StoreError::Damaged { what: format!("the manifest ({error})"), path: path.clone() };
        match serde_json::from_slice::<Version>(text).map_err(damaged)?.version {
            VERSION => serde_json::from_slice(text).map_err(damaged),
            found => Err(StoreError::Version { path, found, expected: VERSION }),
        }
    }

    /// Whether the segment that begins with `first_seq` is sealed.
    pub(crate) fn holds(&self, first_seq: u64) -> bool {
        let behind = self.sealed.partition_point(|(first, _)| *first <= first_seq);
        behind > 0 && first_seq < self.sealed[behind - 1].1
    }

    /// Where the next sealed sequences behind `seq` begin.
    pub(crate) fn sealed_after(&self, seq: u64) -> Option<u64> {
        self.sealed.iter().map(|(first, _)| *first).find(|first| *first > seq)
    }

    /// Notes that the segment of these sequences is sealed.
    pub(crate) fn seal(&mut self, (first, end): (u64, u64)) {
        let at = self.sealed.partition_point(|(other, _)| *other < first);
        self.sealed.insert(at, (first, end));
        self.sealed.dedup_by(|next, before| {
            let touching = next.0 <= before.1;
            if touching {
                before.1 = before.1.max(next.1);
            }
            touching
        });
    }

    /// Takes the parts with these paths out; their files stay for those who read an earlier generation.
    pub(crate) fn retire(&mut self, paths: &HashSet<&str>) {
        let (gone, kept): (Vec<Part>, Vec<Part>) =
            std::mem::take(&mut self.parts).into_iter().partition(|part| paths.contains(part.path.as_str()));
        self.parts = kept;
        self.retired.extend(gone.into_iter().map(|part| Retired::now(part.path, part.remote)));
    }

    /// Replaces the manifest durably by this one, as the next generation. The caller has read it under [`lock`] and holds that still.
    ///
    /// Where parts are in a bucket, a copy goes there; that it could not is a warning, as the manifest that counts is here.
    pub(crate) fn publish(&mut self, dir: &Path) -> Result<(), StoreError> {
        self.generation += 1;
        let text = serde_json::to_vec(self)?;
        disk::write_whole(&path(dir), &text)?;
        if self.parts.iter().any(|part| part.remote)
            && let Err(error) = objects::copy_manifest(dir, text)
        {
            warn!(%error, "the bucket's copy of the manifest is behind");
        }
        Ok(())
    }
}

/// The manifest as it was read last: it is parsed anew only when another file has taken its place.
#[derive(Debug, Default)]
pub(crate) struct ManifestCache(Mutex<Option<(Stamp, Arc<Manifest>)>>);

/// What tells one file from the next at the same path. Each generation is a file of its own.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl ManifestCache {
    /// As [`Manifest::read`].
    pub(crate) fn read(&self, dir: &Path) -> Result<Arc<Manifest>, StoreError> {
        let path = path(dir);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            file => file.during("open", &path)?,
        };
        let found = file.metadata().during("look at", &path)?;
        let stamp = Stamp { inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()), length: found.len() };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = last.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(Arc::clone(known));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).during("read", &path)?;
        let manifest = Arc::new(Manifest::parse(&text, path)?);
        *last = Some((stamp, Arc::clone(&manifest)));
        Ok(manifest)
    }
}

/// Waits for, and takes, the right to change the manifest and the files under `parquet`; dropped, it is given back.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let (file, path) = disk::lock_file(dir, "seal.lock")?;
    file.lock().during("lock", &path)?;
    Ok(file)
}

/// Removes what an interrupted seal or merge left: parts that the manifest does not name, and segments that it does.
pub(crate) fn clean_up(dir: &Path) -> Result<Manifest, StoreError> {
    let _lock = lock(dir)?;
    disk::remove(&disk::temporary(&path(dir)))?;
    let manifest = Manifest::read(dir)?;
    let named = manifest.parts.iter().map(|part| &part.path).chain(manifest.retired.iter().map(|retired| &retired.path));
    remove_unnamed(&dir.join("parquet"), &named.map(|path| dir.join(path)).collect())?;
    for first_seq in segment::list(dir)?.into_iter().filter(|seq| manifest.holds(*seq)) {
        disk::remove(&segment::path(dir, first_seq))?;
    }
    Ok(manifest)
}

/// Removes the files that were retired at least `grace` ago by the machine's clock: by then no query of an earlier generation runs.
/// Deletions among them are completed in their log, as of `now`. Returns how many files went. Blocking.
pub fn sweep(dir: &Path, grace: Span, now: Timestamp) -> Result<usize, StoreError> {
    let _lock = lock(dir)?;
    let mut manifest = Manifest::read(dir)?;
    let latest = epoch_millis().saturating_sub(u64::try_from(grace.as_millis()).unwrap_or(0));
    let (due, kept): (Vec<Retired>, Vec<Retired>) = std::mem::take(&mut manifest.retired).into_iter().partition(|r| r.since <= latest);
    if due.is_empty() {
        return Ok(0);
    }
    // First the files, then their names: one that is forgotten and still there would stay until the next start.
    for retired in &due {
        if retired.remote {
            objects::bucket(dir)?.remove(&retired.path)?;
        }
        let path = dir.join(&retired.path);
        if path.exists() {
            disk::remove(&path)?;
            path.parent().map_or(Ok(()), disk::sync_dir)?;
        }
    }
    manifest.retired = kept;
    manifest.publish(dir)?;
    Deletions::read(dir)?.settle(dir, &manifest, now.as_millis())?;
    Ok(due.len())
}

fn epoch_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
}

fn remove_unnamed(parquet: &Path, named: &HashSet<PathBuf>) -> Result<(), StoreError> {
    let mut dirs = vec![parquet.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_ranges_join_and_answer() {
        let mut manifest = Manifest::default();
        for span in [(10, 20), (1, 5), (30, 31), (5, 10)] {
            manifest.seal(span);
        }
        assert_eq!(manifest.sealed, [(1, 20), (30, 31)]);
        let held: Vec<u64> = (0..33).filter(|seq| manifest.holds(*seq)).collect();
        assert_eq!(held, (1..20).chain([30]).collect::<Vec<u64>>());
    }

    #[test]
    fn a_manifest_of_another_version_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for found in [1, 3] {
            fs::write(path(dir.path()), format!("{{\"version\":{found}}}")).expect("a writable directory");
            let error = Manifest::read(dir.path()).expect_err("another version");
            assert!(matches!(error, StoreError::Version { found: version, expected: 2, .. } if version == found), "{error}");
        }
    }
}
