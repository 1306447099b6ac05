//! Backups of a data directory in use, and the way back.
//!
//! A backup is a folder: `files/<sha256>` holds each content once, `backup.json` says which of them stood where.
//! Invariant: the index is replaced whole and last, so the folder holds one complete backup, the new one or the one before, whatever
//! stops the process; what both need is not copied again. Nothing is restored whose checksum is not the one that was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Context;
use crate::manifest::{self, Manifest};
use crate::segment::{self, Segment};
use crate::{StoreError, disk};

const VERSION: u32 = 1;
/// In the data directory: links to sealed parts while they are copied, so that compaction and retention need not wait.
const STAGE: &str = "backup.stage";

/// What a backup or a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub files: u64,
    pub bytes: u64,
    /// Of these, what was not there yet.
    pub new_files: u64,
    pub new_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    version: u32,
    /// By path, with `/`: `store/...` below the data directory, `config/...` as the configuration names it.
    files: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    sha256: String,
    /// Nanoseconds since 1970 of the last change: a sealed part with the same size and time is the same part.
    modified: u128,
}

/// Saves the data directory `dir` into the folder `to`, beside its writer or without one: sealed parts, the log as a crash
/// now would leave it, the manifest and all that lies beside them; and `config`, files that are kept as well.
///
/// On one file system sealed parts are hard links. Blocking.
pub fn backup(dir: &Path, to: &Path, config: &[PathBuf]) -> Result<Saved, StoreError> {
    if !segment::log_dir(dir).is_dir() {
        return Err(StoreError::Damaged { what: "the data directory (it holds no log)".to_owned(), path: dir.to_owned() });
    }
    // One at a time: they would take each other's links away.
    let _lock = disk::try_lock(dir, "backup.lock")?.ok_or_else(|| StoreError::BackupRuns(dir.to_owned()))?;
    let mut target = Target::open(to)?;
    let stage = dir.join(STAGE);
    remove_tree(&stage)?;
    fs::create_dir(&stage).during("create", &stage)?;
    let (parts, segments) = target.freeze(dir, &stage)?;
    for (name, (mut file, path)) in segments {
        target.put(name, &whole_records(&path, &mut file)?, 0)?;
    }
    for (name, staged, modified) in parts {
        target.put_file(name, &staged, modified)?;
    }
    for path in config {
        let name = path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>();
        target.put(format!("config/{}", name.display()), &fs::read(path).during("read", path)?, modified(path)?)?;
    }
    remove_tree(&stage)?;
    target.finish()
}

/// Brings the backup in the folder `from` back as the data directory `to`, which must not exist or be empty: whole, or not at all. With
/// `config`, the configuration that was saved goes into that folder, which must not exist or be empty either. Blocking.
pub fn restore(from: &Path, to: &Path, config: Option<&Path>) -> Result<Saved, StoreError> {
    let index = Index::read(from)?.ok_or_else(|| StoreError::NoBackup(from.to_owned()))?;
    let mut saved = Saved::default();
    for (prefix, to) in [("store/", Some(to)), ("config/", config)] {
        let Some(to) = to else { continue };
        let files = index.files.iter().filter_map(|(name, entry)| Some((name.strip_prefix(prefix)?, entry)));
        restore_tree(from, files, to, &mut saved)?;
    }
    Ok(saved)
}

fn restore_tree<'a>(
    from: &Path,
    files: impl Iterator<Item = (&'a str, &'a Entry)>,
    to: &Path,
    saved: &mut Saved,
) -> Result<(), StoreError> {
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) || to.is_file() {
        return Err(StoreError::NotEmpty(to.to_owned()));
    }
    let beside = to.with_added_extension("restoring");
    remove_tree(&beside)?;
    fs::create_dir_all(&beside).during("create", &beside)?;
    for (name, entry) in files {
        let path = below(&beside, name)?;
        if let Some(parent) = path.parent() {
            disk::create_dirs(&beside, parent)?;
        }
        copy_checked(&content(from, &entry.sha256), &path, &entry.sha256)?;
        saved.files += 1;
        saved.bytes += entry.bytes;
        saved.new_files += 1;
        saved.new_bytes += entry.bytes;
    }
    disk::sync_dir(&beside)?;
    disk::publish(&beside, to)
}

/// A segment as a crash now would leave it; the writer may be adding meanwhile.
fn whole_records(path: &Path, file: &mut File) -> Result<Vec<u8>, StoreError> {
    let segment = Segment::read_from(file, path)?;
    let mut records = segment.records();
    while records.next().is_some() {}
    Ok(segment.whole(records.end()).to_vec())
}

/// The folder of a backup while it is written.
struct Target {
    dir: PathBuf,
    old: BTreeMap<String, Entry>,
    new: BTreeMap<String, Entry>,
    saved: Saved,
}

/// Name, link and time of change of a sealed part.
type Part = (String, PathBuf, u128);
/// Name, and the open file with its path.
type Log = (String, (File, PathBuf));

impl Target {
    fn open(dir: &Path) -> Result<Self, StoreError> {
        let files = dir.join("files");
        fs::create_dir_all(&files).during("create", &files)?;
        let old = Index::read(dir)?.map(|index| index.files).unwrap_or_default();
        Ok(Self { dir: dir.to_owned(), old, new: BTreeMap::new(), saved: Saved::default() })
    }

    /// Holds one state of `dir` fast while no part can come or go: links to the sealed parts that are new, handles of the log's
    /// segments; and takes the small files, of which the manifest is one.
    fn freeze(&mut self, dir: &Path, stage: &Path) -> Result<(Vec<Part>, Vec<Log>), StoreError> {
        let _lock = manifest::lock(dir)?;
        let manifest = Manifest::read(dir)?;
        let (mut parts, mut segments) = (Vec::new(), Vec::new());
        let mut paths = Vec::new();
        walk(dir, &mut paths)?;
        for path in paths {
            let Ok(below) = path.strip_prefix(dir) else { continue };
            let name = format!("store/{}", below.display());
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if below.starts_with(STAGE) || matches!(ending, "lock" | "tmp" | "new") {
                continue;
            }
            if let Some(first_seq) = segment::named(&path) {
                if !manifest.holds(first_seq) {
                    segments.push((name, (File::open(&path).during("open", &path)?, path)));
                }
            } else if below.starts_with("parquet") {
                let about = fs::metadata(&path).during("look at", &path)?;
                let modified = modified(&path)?;
                match self.old.get(&name).cloned() {
                    Some(old) if (old.bytes, old.modified) == (about.len(), modified) && self.has(&old) => {
                        self.count(old.bytes, false);
                        self.new.insert(name, old);
                    }
                    _ => {
                        let link = stage.join(parts.len().to_string());
                        fs::hard_link(&path, &link).during("link", &path)?;
                        parts.push((name, link, modified));
                    }
                }
            } else {
                self.put(name, &fs::read(&path).during("read", &path)?, modified(&path)?)?;
            }
        }
        Ok((parts, segments))
    }

    fn has(&self, entry: &Entry) -> bool {
        fs::metadata(content(&self.dir, &entry.sha256)).is_ok_and(|about| about.len() == entry.bytes)
    }

    fn put(&mut self, name: String, bytes: &[u8], modified: u128) -> Result<(), StoreError> {
        let entry = Entry { bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)), modified };
        let path = content(&self.dir, &entry.sha256);
        let is_new = !self.has(&entry);
        if is_new {
            disk::write_whole(&path, bytes)?;
            check(&path, &entry.sha256)?;
        }
        self.count(entry.bytes, is_new);
        self.new.insert(name, entry);
        Ok(())
    }

    fn put_file(&mut self, name: String, staged: &Path, modified: u128) -> Result<(), StoreError> {
        let bytes = fs::metadata(staged).during("look at", staged)?.len();
        let entry = Entry { bytes, sha256: checksum(staged)?, modified };
        let path = content(&self.dir, &entry.sha256);
        let is_new = !self.has(&entry);
        if is_new {
            match fs::hard_link(staged, &path) {
                Ok(()) => disk::sync_dir(&self.dir.join("files"))?,
                // Another file system.
                Err(_) => copy_checked(staged, &path, &entry.sha256)?,
            }
        }
        self.count(bytes, is_new);
        self.new.insert(name, entry);
        Ok(())
    }

    fn count(&mut self, bytes: u64, is_new: bool) {
        self.saved.files += 1;
        self.saved.bytes += bytes;
        self.saved.new_files += u64::from(is_new);
        self.saved.new_bytes += if is_new { bytes } else { 0 };
    }

    /// From here on the backup is this one; what only the one before needed goes.
    fn finish(self) -> Result<Saved, StoreError> {
        let index = Index { version: VERSION, files: self.new };
        disk::write_whole(&Index::path(&self.dir), &serde_json::to_vec_pretty(&index)?)?;
        let named: BTreeSet<&str> = index.files.values().map(|entry| entry.sha256.as_str()).collect();
        let files = self.dir.join("files");
        for entry in fs::read_dir(&files).during("list", &files)? {
            let entry = entry.during("list", &files)?;
            if entry.file_name().to_str().is_none_or(|name| !named.contains(name)) {
                disk::remove(&entry.path())?;
            }
        }
        Ok(self.saved)
    }
}

impl Index {
    fn path(dir: &Path) -> PathBuf {
        dir.join("backup.json")
    }

    /// `None` when there is none.
    fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = Self::path(dir);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.during("read", &path)?,
        };
        let index: Index = serde_json::from_slice(&text)
            .map_err(|error| StoreError::Damaged { what: format!("the index of the backup ({error})"), path: path.clone() })?;
        if index.version != VERSION {
            return Err(StoreError::Version { path, found: index.version, expected: VERSION });
        }
        Ok(Some(index))
    }
}

fn content(dir: &Path, sha256: &str) -> PathBuf {
    dir.join("files").join(sha256)
}

/// `name` below `dir`, and nowhere else: an index may come from anywhere.
fn below(dir: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let path = Path::new(name);
    if path.components().all(|part| matches!(part, Component::Normal(_))) && !name.is_empty() {
        return Ok(dir.join(path));
    }
    Err(StoreError::Damaged {
        what: format!("the index of the backup (it names `{name}`, expected a path below the folder)"),
        path: dir.to_owned(),
    })
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).during("list", dir)? {
        let entry = entry.during("list", dir)?;
        if entry.file_type().during("look at", &entry.path())?.is_dir() {
            walk(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn modified(path: &Path) -> Result<u128, StoreError> {
    let time = fs::metadata(path).and_then(|about| about.modified()).during("look at", path)?;
    Ok(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos())
}

fn remove_tree(dir: &Path) -> Result<(), StoreError> {
    disk::gone(fs::remove_dir_all(dir)).during("remove", dir)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checksum(path: &Path) -> Result<String, StoreError> {
    let mut sum = Sha256::new();
    io::copy(&mut File::open(path).during("open", path)?, &mut sum).during("read", path)?;
    Ok(hex(&sum.finalize()))
}

/// Reads back what was written.
fn check(path: &Path, expected: &str) -> Result<(), StoreError> {
    let found = checksum(path)?;
    if found == expected {
        return Ok(());
    }
    Err(StoreError::Damaged { what: format!("the content (checksum {found}, expected {expected})"), path: path.to_owned() })
}

/// Copies durably under a temporary name, and gives the name only to what has the checksum.
fn copy_checked(from: &Path, to: &Path, expected: &str) -> Result<(), StoreError> {
    let temporary = disk::temporary(to);
    let mut source = File::open(from).during("open", from)?;
    let mut file = File::create(&temporary).during("create", &temporary)?;
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = source.read(&mut buffer).during("read", from)?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
        file.write_all(&buffer[..read]).during("write", &temporary)?;
    }
    file.sync_all().during("sync", &temporary)?;
    let found = hex(&sum.finalize());
    if found != expected {
        disk::remove(&temporary)?;
        return Err(StoreError::Damaged { what: format!("the content (checksum {found}, expected {expected})"), path: from.to_owned() });
    }
    check(&temporary, &found)?;
    disk::publish(&temporary, to)
}

#[cfg(test)]
mod tests;
