//! `starts.json`: when processes have opened this data directory. Reliving the log needs to know where it paused.
//!
//! Invariant: a start is durable before anything is appended after it.

use std::fs;
use std::path::Path;

use huong_types::Timestamp;

use crate::error::Context;
use crate::{StoreError, disk};

const FILE: &str = "starts.json";

/// Notes a start at `now` and drops those before `since`, which nobody relives any more. Returns the others before `now`, oldest first.
pub fn note_start(dir: &Path, now: Timestamp, since: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
    let path = dir.join(FILE);
    let mut starts: Vec<Timestamp> = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        text => serde_json::from_slice(&text.during("read", &path)?)
            .map_err(|error| StoreError::Damaged { what: format!("the list of starts ({error})"), path: path.clone() })?,
    };
    starts.retain(|start| *start >= since);
    let before = starts.clone();
    starts.push(now);
    disk::write_whole(&path, &serde_json::to_vec(&starts)?)?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_remembered_as_long_as_they_matter() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = Timestamp::from_millis;
        assert_eq!(note_start(dir.path(), at(10), at(0)).expect("noted"), []);
        assert_eq!(note_start(dir.path(), at(20), at(0)).expect("noted"), [at(10)]);
        assert_eq!(note_start(dir.path(), at(30), at(15)).expect("noted"), [at(20)]);
        fs::write(dir.path().join(FILE), "[1,").expect("spoiled");
        let error = note_start(dir.path(), at(40), at(15)).expect_err("a damaged list is no empty one").to_string();
        assert!(error.contains(FILE), "{error}");
    }
}
