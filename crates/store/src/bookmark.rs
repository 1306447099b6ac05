//! How far a follower of the store has come, in one small file.
//!
//! Invariant: the file is replaced whole, so it holds the old place or the new one, whatever happens in between.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Context;
use crate::{StoreError, disk};

/// What a follower has done with. Records and transitions are numbered apart: sealed parts know a transition by its own number alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The sequence of the next record.
    pub next_record: u64,
    /// The sequence of the last transition.
    pub transition: u64,
}

/// The file of a [`Place`].
#[derive(Debug)]
pub struct Bookmark {
    path: PathBuf,
    saved: Option<Place>,
}

impl Bookmark {
    /// Reads the file; there may be none yet.
    pub fn open(path: PathBuf) -> Result<Self, StoreError> {
        let saved = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            text => {
                let text = text.during("read", &path)?;
                let found = |error| StoreError::Damaged { what: format!("the place of a follower ({error})"), path: path.clone() };
                Some(serde_json::from_slice(&text).map_err(found)?)
            }
        };
        Ok(Self { path, saved })
    }

    /// What the file holds; `None` when there is none.
    pub fn saved(&self) -> Option<Place> {
        self.saved
    }

    /// Durable when it returns.
    pub fn save(&mut self, place: Place) -> Result<(), StoreError> {
        if self.saved != Some(place) {
            disk::write_whole(&self.path, &serde_json::to_vec(&place)?)?;
            self.saved = Some(place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_outlives_the_process_and_rubbish_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("place.json");
        let mut bookmark = Bookmark::open(path.clone()).expect("no file yet");
        assert_eq!(bookmark.saved(), None);
        let place = Place { next_record: 7, transition: 3 };
        bookmark.save(place).expect("a sound disk");
        assert_eq!(Bookmark::open(path.clone()).expect("just written").saved(), Some(place));
        fs::write(&path, "{\"next_record\":\"x\"}").expect("spoil it");
        let error = Bookmark::open(path).expect_err("rubbish is not taken for the beginning");
        assert!(error.to_string().contains("the place of a follower"), "{error}");
    }
}
