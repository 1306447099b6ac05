//! The log of queries: who asked what, when, how long it took and how many rows went out. Plates and calls are personal data, so
//! that reading them leaves a trace.
//!
//! Invariant: one JSON object per line, appended only, one line per query whatever its end; the two files together keep to the limit.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use huong_types::Timestamp;
use serde::Serialize;

use super::Asker;
use crate::StoreError;
use crate::error::Context;

/// Appends to `queries.jsonl` in the data directory; the lines before it are in `queries.old.jsonl`.
#[derive(Clone, Debug)]
pub struct QueryLog(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    length: u64,
    /// Of one file.
    limit: u64,
}

/// One query from its asking to its end; writes its line when dropped, so that none goes unnoted.
pub(super) struct Entry {
    log: Option<QueryLog>,
    asker: Asker,
    sql: String,
    began: Instant,
    pub(super) rows: usize,
    outcome: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: Timestamp,
    via: &'a str,
    who: &'a str,
    sql: &'a str,
    rows: usize,
    /// Milliseconds from asking to the end, the wait for a turn included.
    ms: u64,
    outcome: &'a str,
}

impl QueryLog {
    /// Makes `dir` when it is absent. The two files together take at most `bytes`, but for one line.
    pub fn open(dir: &Path, bytes: u64) -> Result<QueryLog, StoreError> {
        fs::create_dir_all(dir).during("create", dir)?;
        let path = dir.join("queries.jsonl");
        let file = append_to(&path)?;
        let length = file.metadata().during("look at", &path)?.len();
        Ok(QueryLog(Arc::new(Mutex::new(Inner { path, file, length, limit: bytes / 2 }))))
    }
}

impl Inner {
    fn append(&mut self, line: &Line<'_>) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.length + text.len() as u64 > self.limit && self.length > 0 {
            let old = self.path.with_extension("old.jsonl");
            fs::rename(&self.path, &old).during("rename", &self.path)?;
            self.file = append_to(&self.path)?;
            self.length = 0;
        }
        self.file.write_all(&text).during("write", &self.path)?;
        self.length += text.len() as u64;
        Ok(())
    }
}

fn append_to(path: &Path) -> Result<File, StoreError> {
    File::options().create(true).append(true).open(path).during("open", path)
}

impl Entry {
    pub(super) fn new(log: Option<&QueryLog>, asker: Asker, sql: &str) -> Self {
        let kept = sql.floor_char_boundary(super::LONGEST_SQL);
        Self { log: log.cloned(), asker, sql: sql[..kept].to_owned(), began: Instant::now(), rows: 0, outcome: None }
    }

    pub(super) fn ends(&mut self, outcome: &str) {
        self.outcome = Some(outcome.to_owned());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(log) = &self.log else { return };
        let line = Line {
            at: self.asker.at,
            via: self.asker.via,
            who: &self.asker.who,
            sql: &self.sql,
            rows: self.rows,
            ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            // Without one it never had a turn, or its thread broke.
            outcome: self.outcome.as_deref().unwrap_or("not begun or broken off"),
        };
        // A panic of another query has left whole lines.
        if let Err(error) = log.0.lock().unwrap_or_else(PoisonError::into_inner).append(&line) {
            tracing::error!(%error, who = line.who, sql = line.sql, "a query could not be noted");
        }
    }
}
