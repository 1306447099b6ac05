//! `starts.json`: when processes have opened this data directory. Reliving the log needs to know where it paused.
//!
//! Invariant: a start is noted before anything is appended after it, unless the disk is full: a start on a full disk must be possible.

use std::fs;
use std::path::Path;

use huong_types::Timestamp;

use crate::error::Context;
use crate::{StoreError, disk};

const FILE: &str = "starts.json";

/// The starts at or after `since`, oldest first: those before it nobody relives any more.
pub fn starts(dir: &Path, since: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
    let path = dir.join(FILE);
    let starts: Vec<Timestamp> = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        text => serde_json::from_slice(&text.during("read", &path)?)
            .map_err(|error| StoreError::Damaged { what: format!("the list of starts ({error})"), path: path.clone() })?,
    };
    Ok(starts.into_iter().filter(|start| *start >= since).collect())
}

/// Notes a start at `now` behind those `before`.
pub fn note_start(dir: &Path, before: &[Timestamp], now: Timestamp) -> Result<(), StoreError> {
    let starts: Vec<&Timestamp> = before.iter().chain([&now]).collect();
    disk::write_whole(&dir.join(FILE), &serde_json::to_vec(&starts)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_remembered_as_long_as_they_matter() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = Timestamp::from_millis;
        let note = |now, since| {
            let before = starts(dir.path(), at(since)).expect("a sound list");
            note_start(dir.path(), &before, at(now)).expect("noted");
            before
        };
        assert_eq!(note(10, 0), []);
        assert_eq!(note(20, 0), [at(10)]);
        assert_eq!(note(30, 15), [at(20)]);
        fs::write(dir.path().join(FILE), "[1,").expect("spoiled");
        let error = starts(dir.path(), at(15)).expect_err("a damaged list is no empty one").to_string();
        assert!(error.contains(FILE), "{error}");
    }
}
