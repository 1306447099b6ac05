//! What records do to files: [`Disk`] is the seam between them and the system, and tests copy the folder at each of its steps.
//!
//! Invariant: what a step has done survives a power cut once it has returned.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::EvidenceError;
use crate::error::Context;

pub(crate) const SHARED: u32 = 0o640;
pub(crate) const SECRET: u32 = 0o600;

pub(crate) trait Disk: Debug + Send {
    /// A new file in place of one that is there. After an error any part of `bytes` may be there.
    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Adds to a file, which is made when it is not there.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).mode(SHARED).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_dir_of(path)
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    /// Files and folders alike.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync_dir_of(from)?;
        sync_dir_of(to)
    }

    /// With what is missing above it.
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        // Pictures of people: for the owner and their group alone.
        DirBuilder::new().recursive(true).mode(0o750).create(path)?;
        // A day's folder and the one above it are new at once at most.
        sync_dir_of(path)?;
        path.parent().map_or(Ok(()), sync_dir_of)
    }

    /// A file, or a folder with all that is in it.
    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            fs::remove_dir_all(path)?
        } else {
            fs::remove_file(path)?
        }
        sync_dir_of(path)
    }
}

/// The system's.
#[derive(Debug)]
pub(crate) struct Real;

impl Disk for Real {}

impl dyn Disk + '_ {
    /// Writes under a temporary name and renames: a reader sees the whole file or none.
    pub(crate) fn write_whole(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), EvidenceError> {
        let temporary = path.with_added_extension("tmp");
        self.write(&temporary, bytes, mode).during("write", &temporary)?;
        self.rename(&temporary, path).during("rename", &temporary)
    }
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The names in a folder, in order; none when there is no such folder.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, EvidenceError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.during("list", dir)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.during("list", dir)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
