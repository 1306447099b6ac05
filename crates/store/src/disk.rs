//! What the store does to files: [`Disk`] is the seam between the log and the system, and files appear whole or not at all.
//!
//! Invariant: after [`write_whole`] returns, the file survives a power cut; before, a reader sees the old one.

use std::fmt::Debug;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::error::Context;

/// The operations of the log on its files; tests have any of them fail.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes an empty file, in place of one that is there.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(true).open(path)
    }

    /// Opens a file that is there.
    fn open(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).open(path)
    }

    /// After an error any part of `bytes` may be there.
    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// After an error what was written since the last sync may be lost, though reading still shows it.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Makes names created in, renamed in or removed from `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The system's.
#[derive(Debug)]
pub(crate) struct Real;

impl Disk for Real {}

impl dyn Disk + '_ {
    /// Writes `bytes` under a temporary name, syncs, renames and syncs the directory. Returns the file.
    pub(crate) fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        let temporary = temporary(path);
        let file = self.create(&temporary).during("create", &temporary)?;
        self.write_at(&file, bytes, 0).during("write", &temporary)?;
        self.sync(&file).during("sync", &temporary)?;
        self.rename(&temporary, path).during("rename", &temporary)?;
        if let Some(parent) = path.parent() {
            self.sync_dir(parent).during("sync", parent)?;
        }
        Ok(file)
    }
}

/// Writes `bytes` under a temporary name, syncs, renames and syncs the directory.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
    (&Real as &dyn Disk).write_whole(path, bytes)
}

/// Gives a file that is already synced its real name.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    fs::rename(temporary, path).during("rename", temporary)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Where `path` is written before it has its name. Its ending is known to those who list directories.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    path.with_added_extension("tmp")
}

pub(crate) fn is_temporary(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tmp")
}

/// Makes names created in, renamed in or removed from `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    Real.sync_dir(dir).during("sync", dir)
}

/// Makes everything durable that was written to the file system of `dir`: one wait for the disk, where syncing many small files and their
/// directories would be a hundred. Since Linux 5.8 it fails when any of it could not be written.
pub(crate) fn sync_everything(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)).during("sync", dir)
}

/// Creates `dir` and what is missing above it, up to `root`, durably.
pub(crate) fn create_dirs(root: &Path, dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).during("create", dir)?;
    dir.ancestors().skip(1).take_while(|above| above.starts_with(root)).try_for_each(sync_dir)
}

/// The file `name` of `dir` to take a lock on, which the file system gives back when it is closed.
pub(crate) fn lock_file(dir: &Path, name: &str) -> Result<(File, PathBuf), StoreError> {
    let path = dir.join(name);
    Ok((File::options().create(true).truncate(false).write(true).open(&path).during("open", &path)?, path))
}

/// Takes the lock `name` of `dir`; `None` when another has it.
pub(crate) fn try_lock(dir: &Path, name: &str) -> Result<Option<File>, StoreError> {
    let (file, path) = lock_file(dir, name)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { action: "lock", path, source }),
    }
}

/// Removes a file; one that is gone already is as good.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    gone(Real.remove(path)).during("remove", path)
}

/// What is gone already is as good as removed.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
