//! A log of what people did, chained like the records' own, for whoever must show later who did what.
//!
//! Invariant: once [`Actions::append`] has returned, the line survives a power cut; none can be altered or taken out unseen but the last.

use std::path::PathBuf;

use huong_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::EvidenceError;
use crate::disk::{Disk, Real};
use crate::error::Context;
use crate::journal::{Journal, Line};

/// One log, written by one process.
#[derive(Debug)]
pub struct Actions<T> {
    journal: Journal<T>,
}

impl<T: Serialize + DeserializeOwned> Actions<T> {
    /// The log at `path`, which is made when there is none; read to its end, so that a fault is found at the start.
    ///
    /// # Errors
    /// When a line is not what was written; it is named.
    pub fn open(path: PathBuf) -> Result<Actions<T>, EvidenceError> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            Real.create_dir(dir).during("create", dir)?;
        }
        let mut journal = Journal::new(path);
        journal.catch_up(|_, _, _| {})?;
        Ok(Actions { journal })
    }

    pub fn append(&mut self, at: Timestamp, action: T) -> Result<(), EvidenceError> {
        self.journal.append(&Real, at, action).map(|_line| ())
    }

    /// At most `limit` lines behind line `after`, each with its hash, and what is wrong with the log, if anything is.
    pub fn read(&self, after: u64, limit: usize) -> (Vec<(Line<T>, String)>, Option<EvidenceError>) {
        let mut lines = Vec::new();
        let read = Journal::new(self.journal.path().to_owned()).catch_up(|line: Line<T>, _, sum| {
            if line.n > after && lines.len() < limit {
                lines.push((line, sum.to_owned()));
            }
        });
        (lines, read.err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOON;

    #[test]
    fn what_was_done_is_there_after_a_restart_and_a_changed_line_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("wall/actions.jsonl");
        let open = || Actions::<BTreeMapAction>::open(path.clone());
        let action = |what: &str| BTreeMapAction::from([("what".to_owned(), what.to_owned())]);
        let mut actions = open().expect("a new log");
        ["login", "shelve", "logout"].into_iter().for_each(|what| actions.append(NOON, action(what)).expect("writable"));
        drop(actions);
        let mut actions = open().expect("the same log");
        actions.append(NOON, action("login")).expect("writable");
        let (lines, fault) = actions.read(1, 2);
        assert_eq!(lines.iter().map(|(line, _)| (line.n, line.step["what"].as_str())).collect::<Vec<_>>(), [(2, "shelve"), (3, "logout")]);
        assert!(fault.is_none());
        let text = std::fs::read_to_string(&path).expect("readable").replace("shelve", "comment");
        std::fs::write(&path, text).expect("writable");
        let error = open().expect_err("a changed line").to_string();
        assert!(error.contains("line 3"), "{error}");
        assert!(actions.read(0, 9).1.is_some());
    }

    type BTreeMapAction = std::collections::BTreeMap<String, String>;
}
