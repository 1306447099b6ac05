//! How far a sink has come, on disk: one number in one file.
//!
//! Invariant: the file is written beside and renamed, so it holds the old number or the new one, whatever happens between. A disk that
//! refuses stops no sink: the number stays in memory and is tried again, and a restart meanwhile delivers again.

use std::io;
use std::path::PathBuf;

use crate::durable::{SHARED, replace};

pub(crate) struct Offset {
    path: PathBuf,
    /// What the file holds; `None` when there is none yet.
    saved: Option<u64>,
}

impl Offset {
    /// Also gives the number: the file's, or `start` without one, which is written at once, so that what is journalled from now on
    /// counts even if we die.
    pub(crate) fn open(path: PathBuf, start: u64) -> io::Result<(Self, u64)> {
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(saved) => Ok((Self { path, saved: Some(saved) }, saved)),
                Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("expected one number, found `{}`", text.escape_debug()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut offset = Self { path, saved: None };
                if let Err(error) = offset.save(start) {
                    tracing::error!(file = %offset.path.display(), %error, "a new sink's offset cannot be written yet");
                }
                Ok((offset, start))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn save(&mut self, seq: u64) -> io::Result<()> {
        if self.saved == Some(seq) { Ok(()) } else { self.write(seq) }
    }

    fn write(&mut self, seq: u64) -> io::Result<()> {
        replace(&self.path, SHARED, format!("{seq}\n").as_bytes())?;
        self.saved = Some(seq);
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
        let (mut offset, start) = Offset::open(path.clone(), 7).expect("a new offset");
        assert_eq!((start, std::fs::read_to_string(&path).expect("written at once").as_str()), (7, "7\n"));
        offset.save(9).expect("save");
        assert_eq!(Offset::open(path.clone(), 0).expect("open again").1, 9);
        std::fs::write(&path, "nine").expect("spoil it");
        let error = Offset::open(path, 0).err().expect("rubbish is not taken for zero");
        assert!(error.to_string().contains("found `nine`"), "{error}");
    }

    #[test]
    fn a_disk_that_refuses_is_tried_again() {
        let dir = tempfile::tempdir().expect("a directory for the offset");
        let path = dir.path().join("duty.offset");
        // In the way of the file that is written beside.
        let beside = path.with_extension("offset.new");
        std::fs::create_dir(&beside).expect("a directory");
        let (mut offset, start) = Offset::open(path.clone(), 7).expect("the sink starts all the same");
        assert_eq!((start, offset.save(7).is_err()), (7, true));
        std::fs::remove_dir(&beside).expect("the test's own");
        offset.save(7).expect("nothing is in the way");
        assert_eq!(Offset::open(path, 0).expect("open again").1, 7);
    }
}
