//! A log of what people did, chained like the records' own, for whoever must show later who did what.
//!
//! Invariant: once [`Actions::append`] has returned, the line survives a power cut; none can be altered or taken out unseen but the last.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use huong_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::EvidenceError;
use crate::disk::{Disk, Real};
use crate::error::Context;
use crate::journal::{Journal, Line, origin};

/// One log, written by one process.
#[derive(Debug)]
pub struct Actions<T> {
    journal: Journal<T>,
    reader: Arc<Reader<T>>,
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
        let mut index = Index { journal: Journal::new(path.clone()), marks: vec![(0, 0, origin())] };
        index.catch_up()?;
        let mut journal = Journal::behind(path, index.end());
        journal.catch_up(|_, _, _| {})?;
        Ok(Actions { journal, reader: Arc::new(Reader { index: Mutex::new(index) }) })
    }

    pub fn append(&mut self, at: Timestamp, action: T) -> Result<(), EvidenceError> {
        self.journal.append(&Real, at, action).map(|_line| ())
    }

    /// Who reads waits for nobody who appends, and the other way round.
    pub fn reader(&self) -> Arc<Reader<T>> {
        Arc::clone(&self.reader)
    }
}

/// Reads a log whose beginning was read before: what is given is checked against what was found then.
#[derive(Debug)]
pub struct Reader<T> {
    index: Mutex<Index<T>>,
}

/// Lines from one mark to the next: what is read at most to give one line.
const EVERY: u64 = 1024;

#[derive(Debug)]
struct Index<T> {
    /// As far as it was read.
    journal: Journal<T>,
    /// Number, end in bytes and hash of each line whose number [`EVERY`] divides, and of the beginning.
    marks: Vec<(u64, u64, String)>,
}

impl<T: Serialize + DeserializeOwned> Index<T> {
    fn catch_up(&mut self) -> Result<(), EvidenceError> {
        let (marks, mut length) = (&mut self.marks, self.journal.length());
        self.journal.catch_up(|line, text, sum| {
            length += text.len() as u64 + 1;
            if line.n.is_multiple_of(EVERY) {
                marks.push((line.n, length, sum.to_owned()));
            }
        })
    }

    fn end(&self) -> (u64, u64, String) {
        (self.journal.n, self.journal.length(), self.journal.sum.clone())
    }
}

impl<T: Serialize + DeserializeOwned> Reader<T> {
    /// At most `limit` lines behind line `after`, each with its hash, and what is wrong with them or with what was written since the last time, if
    /// anything is. The whole log is read when it is opened.
    pub fn read(&self, after: u64, limit: usize) -> (Vec<(Line<T>, String)>, Option<EvidenceError>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fault = index.catch_up().err();
        let end = index.end();
        let first = index.marks.partition_point(|(n, ..)| *n <= after).saturating_sub(1);
        let Some(begin) = index.marks.get(first).cloned() else { return (Vec::new(), fault) };
        let (path, mut lines, mut changed) = (index.journal.path().to_owned(), Vec::new(), None);
        let known = |n: u64| index.marks.iter().skip(first).chain([&end]).find(|(mark, ..)| *mark == n);
        let read = Journal::behind(path.clone(), begin).read(|line: Line<T>, _, sum| {
            let (n, mark) = (line.n, known(line.n));
            if mark.is_some_and(|(.., was)| was != sum) {
                changed = Some(n);
            }
            if n > after && n <= end.0 && lines.len() < limit {
                lines.push((line, sum.to_owned()));
            }
            // Up to what is known of it: lines that were changed and follow from each other all the same end elsewhere.
            let enough = n >= end.0 || (lines.len() == limit && mark.is_some());
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let altered = |n: u64| EvidenceError::Damaged {
            what: format!("line {n} or one before it, which was another when it was read before,"),
            path,
        };
        fault = read.err().or(changed.map(altered)).or(fault);
        (lines, fault)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;

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
        let (lines, fault) = actions.reader().read(1, 2);
        assert_eq!(lines.iter().map(|(line, _)| (line.n, line.step["what"].as_str())).collect::<Vec<_>>(), [(2, "shelve"), (3, "logout")]);
        assert!(fault.is_none());
        let text = std::fs::read_to_string(&path).expect("readable").replace("shelve", "comment");
        std::fs::write(&path, text).expect("writable");
        let error = open().expect_err("a changed line").to_string();
        assert!(error.contains("line 3"), "{error}");
        assert!(actions.reader().read(0, 9).1.is_some());
    }

    /// As the system's, but what is written need not survive.
    #[derive(Debug)]
    struct Quick;

    impl Disk for Quick {
        fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
            File::options().append(true).create(true).open(path)?.write_all(bytes)
        }
    }

    #[test]
    fn a_page_of_a_long_log_is_checked_against_what_was_read_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("actions.jsonl");
        let mut journal = Journal::new(path.clone());
        let mut write =
            |lines: std::ops::RangeInclusive<u32>| lines.for_each(|n| drop(journal.append(&Quick, NOON, action(n)).expect("writable")));
        write(1..=3000);
        let actions = Actions::<BTreeMapAction>::open(path.clone()).expect("whole");
        let page = |after: u64, limit: usize| {
            let (lines, fault) = actions.reader().read(after, limit);
            (lines.first().map(|(line, _)| line.n), lines.len(), fault.map(|fault| fault.to_string()))
        };
        assert_eq!(
            [page(0, 10), page(1024, 5), page(2995, 500), page(3000, 5)],
            [(Some(1), 10, None), (Some(1025), 5, None), (Some(2996), 5, None), (None, 0, None)]
        );
        write(3001..=3003);
        assert_eq!(page(2999, 500), (Some(3000), 4, None), "and what was written since");
        // Somebody makes the log anew from line 1500 on, so that each line follows from the one before.
        let text = std::fs::read_to_string(&path).expect("readable");
        let kept: String = text.lines().take(1499).flat_map(|line| [line, "\n"]).collect();
        std::fs::write(&path, kept).expect("writable");
        let mut forged = Journal::new(path.clone());
        forged.catch_up(|_, _, _| {}).expect("whole");
        // Of the same length, so that marks lie where they did.
        (1500..=3003).for_each(|n| drop(forged.append(&Quick, NOON, action(9000 - n)).expect("writable")));
        for (after, limit) in [(1400, 5), (1600, 5), (2995, 5)] {
            let (_, _, fault) = page(after, limit);
            assert!(fault.as_ref().is_some_and(|fault| fault.contains("actions.jsonl")), "{after}: {fault:?}");
        }
        assert_eq!(page(0, 10), (Some(1), 10, None), "of these nothing was changed");
    }

    fn action(n: u32) -> BTreeMapAction {
        BTreeMapAction::from([("what".to_owned(), format!("{n:04}"))])
    }

    type BTreeMapAction = std::collections::BTreeMap<String, String>;
}
