//! How far a sink has come, on disk: one number in one file.
//!
//! Invariant: the number is written in place and in one piece, at once, so that the end of the process delivers nothing again that was noted; it is
//! on disk a moment later, so that a power cut delivers again what left in that moment. A disk that refuses stops no sink: the number
//! stays in memory and is tried again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::durable::SHARED;

pub(crate) struct Offset {
    path: PathBuf,
    /// `None` while it cannot be opened.
    file: Option<File>,
    /// What the file holds; `None` when there is none yet.
    saved: Option<u64>,
    /// What is on disk, and since when.
    synced: Option<(u64, Instant)>,
}

/// A sync blocks the sink, as long as a delivery or longer: not after each.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Offset {
    /// Also gives the number: the file's, or `start` without one, which is written at once, so that what is journalled from now on
    /// counts even if we die.
    pub(crate) fn open(path: PathBuf, start: u64) -> io::Result<(Self, u64)> {
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(saved) => Ok((Self { path, file: None, saved: Some(saved), synced: None }, saved)),
                Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("expected one number, found `{}`", text.escape_debug()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut offset = Self { path, file: None, saved: None, synced: None };
                if let Err(error) = offset.save(start) {
                    tracing::error!(file = %offset.path.display(), %error, "a new sink's offset cannot be written yet");
                }
                Ok((offset, start))
            }
            Err(error) => Err(error),
        }
    }

    /// Call it now and then without news, too: that is when the last one reaches the disk.
    pub(crate) fn save(&mut self, seq: u64) -> io::Result<()> {
        if self.saved != Some(seq) {
            // Always as long, so that it replaces the one before whole.
            self.file()?.write_all_at(format!("{seq:020}\n").as_bytes(), 0)?;
            self.saved = Some(seq);
        }
        if self.synced.is_none_or(|(synced, at)| synced != seq && at.elapsed() >= SYNC_EVERY) {
            self.file()?.sync_data()?;
            self.synced = Some((seq, Instant::now()));
        }
        Ok(())
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(SHARED).open(&self.path)?;
            // Its name, when it is new.
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
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
        assert_eq!((start, std::fs::read_to_string(&path).expect("written at once").trim().parse()), (7, Ok(7)));
        offset.save(9).expect("save");
        assert_eq!(Offset::open(path.clone(), 0).expect("open again").1, 9);
        std::fs::write(&path, "7\n").expect("a file of an earlier version");
        assert_eq!(Offset::open(path.clone(), 0).expect("open again").1, 7);
        std::fs::write(&path, "nine").expect("spoil it");
        let error = Offset::open(path, 0).err().expect("rubbish is not taken for zero");
        assert!(error.to_string().contains("found `nine`"), "{error}");
    }

    #[test]
    fn a_disk_that_refuses_is_tried_again() {
        let dir = tempfile::tempdir().expect("a directory for the offset");
        let path = dir.path().join("duty.offset");
        // No file can be made there.
        let sinks = path.parent().expect("a directory").join("sinks");
        let path = sinks.join("duty.offset");
        let (mut offset, start) = Offset::open(path.clone(), 7).expect("the sink starts all the same");
        assert_eq!((start, offset.save(7).is_err()), (7, true));
        std::fs::create_dir(&sinks).expect("a directory");
        offset.save(7).expect("nothing is in the way");
        assert_eq!(Offset::open(path, 0).expect("open again").1, 7);
    }
}
