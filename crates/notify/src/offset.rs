//! How far a sink has come, on disk: one number in one file.
//!
//! Invariant: the file is written beside and renamed, so it holds the old number or the new one, whatever happens between.

use std::fs::{File, rename};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(crate) struct Offset {
    path: PathBuf,
    saved: u64,
}

impl Offset {
    /// Reads the file; without one, writes `start`, so that what is journalled from now on counts even if we die at once.
    pub(crate) fn open(path: PathBuf, start: u64) -> io::Result<Self> {
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(saved) => Ok(Self { path, saved }),
                Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("expected one number, found `{}`", text.escape_debug()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut offset = Self { path, saved: start };
                offset.write(start)?;
                Ok(offset)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn saved(&self) -> u64 {
        self.saved
    }

    pub(crate) fn save(&mut self, seq: u64) -> io::Result<()> {
        if seq == self.saved { Ok(()) } else { self.write(seq) }
    }

    fn write(&mut self, seq: u64) -> io::Result<()> {
        let beside = self.path.with_extension("offset.new");
        let mut file = File::create(&beside)?;
        writeln!(file, "{seq}")?;
        file.sync_all()?;
        rename(&beside, &self.path)?;
        // The rename itself is on disk only when the directory is.
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        self.saved = seq;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_outlives_the_process_and_rubbish_is_refused() {
        let dir = tempfile::tempdir().expect("a directory for the offset");
        let path = dir.path().join("duty.offset");
        let mut offset = Offset::open(path.clone(), 7).expect("a new offset");
        assert_eq!(std::fs::read_to_string(&path).expect("written at once"), "7\n");
        offset.save(9).expect("save");
        assert_eq!(Offset::open(path.clone(), 0).expect("open again").saved(), 9);
        std::fs::write(&path, "nine").expect("spoil it");
        let error = Offset::open(path, 0).err().expect("rubbish is not taken for zero");
        assert!(error.to_string().contains("found `nine`"), "{error}");
    }
}
