//! Files that appear whole or not at all. Invariant: after [`write_whole`] returns, the file survives a power cut; before, a reader
//! sees the old one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::error::Context;

/// Writes `bytes` under a temporary name, syncs, renames and syncs the directory. Returns the file, positioned at its end.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
    let temporary = temporary(path);
    let mut file = File::create(&temporary).during("create", &temporary)?;
    file.write_all(bytes).during("write", &temporary)?;
    file.sync_all().during("sync", &temporary)?;
    publish(&temporary, path)?;
    Ok(file)
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
    File::open(dir).during("open", dir)?.sync_all().during("sync", dir)
}

/// Creates `dir` and what is missing above it, up to `root`, durably.
pub(crate) fn create_dirs(root: &Path, dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).during("create", dir)?;
    dir.ancestors().skip(1).take_while(|above| above.starts_with(root)).try_for_each(sync_dir)
}

/// Removes a file; one that is gone already is as good.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.during("remove", path),
    }
}
