//! Where the store lives and how much it may use. Invariant: every limit has a bound, and the defaults say where they come from.

use std::path::PathBuf;

use huong_types::{Problems, Span};
use serde::Deserialize;

use crate::{Compact, Keep, Objects};

/// Section `[store]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The data directory; made when absent.
    pub dir: PathBuf,
    /// A segment is closed when it has this many bytes. A query reads the open segment anew each time and a seal holds one in
    /// memory (some four times this as columns), so 32 MiB keeps both under a second and 150 MB.
    #[serde(default = "segment_bytes")]
    pub segment_bytes: u64,
    /// .. or when it is this old: an hour makes 24 parts a day and stream.
    #[serde(default = "segment_age")]
    pub segment_age: Span,
    /// What comes within so long shares one commit, for which its acknowledgement waits. 5 to 20 ms is the usual range; a disk's sync
    /// takes 0.2 to 10 ms. `0ms`: as fast as the disk lets it. The default is where more gains little: see docs/architecture.md.
    #[serde(default = "commit_every")]
    pub commit_every: Span,
    /// .. or once it is this many bytes: a burst of ten thousand readings.
    #[serde(default = "commit_bytes")]
    pub commit_bytes: usize,
    /// When an alarm may go to screens and people.
    #[serde(default)]
    pub tell: Tell,
    /// While the disk refuses, so many encoded bytes are kept in memory before nothing more is taken in: a million readings.
    #[serde(default = "hold_bytes")]
    pub hold_bytes: usize,
    /// How much of the disk the store may take, where others use it too; its free space alone counts when absent.
    #[serde(default)]
    pub budget_bytes: Option<u64>,
    /// How many of the latest transitions are kept in memory for the sinks; one further behind reads the disk. A flood of alarms
    /// is some hundreds in ten minutes.
    #[serde(default = "transition_tail")]
    pub transition_tail: usize,
    #[serde(default)]
    pub compact: Compact,
    /// What is kept how long, before [`Keep::defaults`].
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// A bucket for the sealed parts; without it they stay in the data directory.
    #[serde(default)]
    pub objects: Option<Objects>,
}

/// What an alarm waits for before anyone hears of it. Either way the readings that caused it are acknowledged to the broker only when
/// they are synced, and after whatever happened the same readings raise it under the same id: nothing told is ever taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tell {
    /// Its step is in the log's file: the end of the process does not undo it. After a power cut within the milliseconds until the sync
    /// it may be told a second time, under the same key.
    #[default]
    Written,
    /// Its step is on the disk: not even a power cut has it told twice.
    Synced,
}

/// Section `[query]`: what one query may use, so that a heavy one never harms the alerts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryLimits {
    /// Bytes of memory for the open log, sorts, joins and aggregates of all queries together.
    pub memory: usize,
    /// Bytes of their temporary files, once memory is used up.
    pub spill: u64,
    /// Rows of one result.
    pub rows: usize,
    /// From its turn to its last row.
    pub time: Span,
    /// Queries at once, each on one thread.
    pub concurrent: usize,
    /// Queries that wait for their turn, for `time` at most; one more is refused.
    pub waiting: usize,
    /// Bytes of the log of queries; the older half goes when it is full.
    pub log_bytes: u64,
}

impl StoreConfig {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: segment_bytes(),
            segment_age: segment_age(),
            transition_tail: transition_tail(),
            compact: Compact::default(),
            keep: Vec::new(),
            commit_every: commit_every(),
            commit_bytes: commit_bytes(),
            tell: Tell::default(),
            hold_bytes: hold_bytes(),
            budget_bytes: None,
            objects: None,
        }
    }

    /// Adds every mistake to `problems`; `path` is the section's name.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.dir.as_os_str().is_empty() {
            problems.add(file, format!("{path}.dir"), "an empty path", "a directory");
        }
        if !(64 * 1024..=256 << 20).contains(&self.segment_bytes) {
            problems.add(file, format!("{path}.segment_bytes"), format!("`{}`", self.segment_bytes), "65536 to 268435456");
        }
        if self.segment_age <= Span::ZERO {
            problems.add(file, format!("{path}.segment_age"), format!("`{}`", self.segment_age), "more than 0s");
        }
        if !(Span::ZERO..=Span::from_secs(1)).contains(&self.commit_every) {
            problems.add(file, format!("{path}.commit_every"), format!("`{}`", self.commit_every), "0ms to 1s");
        }
        if !(4096..=64 << 20).contains(&self.commit_bytes) {
            problems.add(file, format!("{path}.commit_bytes"), format!("`{}`", self.commit_bytes), "4096 to 67108864");
        }
        if self.hold_bytes < self.commit_bytes {
            problems.add(file, format!("{path}.hold_bytes"), format!("`{}`", self.hold_bytes), "at least commit_bytes");
        }
        if let Some(budget) = self.budget_bytes.filter(|budget| *budget < 2 * self.segment_bytes) {
            problems.add(file, format!("{path}.budget_bytes"), format!("`{budget}`"), "room for two segments at least");
        }
        if self.transition_tail == 0 {
            problems.add(file, format!("{path}.transition_tail"), "`0`", "at least 1");
        }
        self.compact.check(file, &format!("{path}.compact"), problems);
        for (i, keep) in self.keep.iter().enumerate() {
            keep.check(file, &format!("{path}.keep[{i}]"), problems);
        }
        if let Some(objects) = &self.objects {
            objects.check(file, &format!("{path}.objects"), problems);
        }
    }
}

impl QueryLimits {
    /// Adds every mistake to `problems`; `path` is the section's name.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.memory == 0 {
            problems.add(file, format!("{path}.memory"), "`0`", "more than 0 bytes");
        }
        if self.rows == 0 {
            problems.add(file, format!("{path}.rows"), "`0`", "more than 0 rows");
        }
        if self.time <= Span::ZERO {
            problems.add(file, format!("{path}.time"), format!("`{}`", self.time), "more than 0s");
        }
        if !(1..=64).contains(&self.concurrent) {
            problems.add(file, format!("{path}.concurrent"), format!("`{}`", self.concurrent), "1 to 64");
        }
        if self.waiting > 10_000 {
            problems.add(file, format!("{path}.waiting"), format!("`{}`", self.waiting), "0 to 10000");
        }
        if self.log_bytes < 1 << 20 {
            problems.add(file, format!("{path}.log_bytes"), format!("`{}`", self.log_bytes), "at least 1048576");
        }
    }
}

/// For a machine of 2 cores, 4 GB and more that also runs the processor: an eighth of its memory, a table that a person can still open,
/// a wait that a person still makes, a long query beside a short one, and a year of a hundred queries a day.
impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            spill: 4 << 30,
            rows: 1_000_000,
            time: Span::from_secs(60),
            concurrent: 2,
            waiting: 8,
            log_bytes: 16 << 20,
        }
    }
}

fn segment_bytes() -> u64 {
    32 << 20
}

fn segment_age() -> Span {
    Span::from_mins(60)
}

fn commit_every() -> Span {
    Span::from_millis(5)
}

fn commit_bytes() -> usize {
    1 << 20
}

fn hold_bytes() -> usize {
    64 << 20
}

fn transition_tail() -> usize {
    4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named() {
        let mut problems = Problems::default();
        StoreConfig::new("data").check("huong.toml", "store", &mut problems);
        QueryLimits::default().check("huong.toml", "query", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let store = StoreConfig {
            segment_bytes: 1,
            segment_age: Span::ZERO,
            commit_every: Span::from_secs(2),
            commit_bytes: 1,
            tell: Tell::Written,
            hold_bytes: 0,
            budget_bytes: Some(1),
            transition_tail: 0,
            ..StoreConfig::new(PathBuf::new())
        };
        store.check("huong.toml", "store", &mut problems);
        QueryLimits { memory: 0, spill: 0, rows: 0, time: Span::ZERO, concurrent: 0, waiting: 10_001, log_bytes: 0 }.check(
            "huong.toml",
            "query",
            &mut problems,
        );
        let paths: Vec<&str> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "store.dir",
                "store.segment_bytes",
                "store.segment_age",
                "store.commit_every",
                "store.commit_bytes",
                "store.hold_bytes",
                "store.budget_bytes",
                "store.transition_tail",
                "query.memory",
                "query.rows",
                "query.time",
                "query.concurrent",
                "query.waiting",
                "query.log_bytes"
            ]
        );
    }
}
