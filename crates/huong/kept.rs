//! The store that a replay in virtual time leaves behind, written the way of the running system: log, segments, parts.
//!
//! Invariant: as there, alarms stand before the readings that caused them, and what was derived stands after them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use huong_store::{Record, StoreConfig, Writer, seal};
use huong_types::{Reading, Span, Timestamp, Transition};

/// So much virtual time is one commit: the disk is not what a replay waits for.
const COMMIT: Span = Span::from_mins(1);

pub(crate) struct Kept {
    writer: Writer,
    committed: Timestamp,
}

impl Kept {
    /// # Errors
    /// When there is a store in `dir` already.
    pub(crate) fn new(dir: &Path, config: &StoreConfig) -> Result<Kept> {
        ensure!(!dir.exists(), "{}: found a file or folder, expected none", dir.display());
        let (writer, _) = Writer::open(StoreConfig { dir: dir.to_owned(), ..config.clone() })?;
        Ok(Kept { writer, committed: Timestamp::MIN })
    }

    /// Takes what one message brought at `now`.
    pub(crate) fn take(&mut self, transitions: &[Transition], readings: impl Iterator<Item = Reading>, now: Timestamp) -> Result<()> {
        let records = transitions.iter().cloned().map(Record::from).chain(readings.map(Record::Reading));
        for record in records {
            self.writer.append(&record)?;
        }
        if now >= self.committed + COMMIT {
            self.committed = now;
            if let Some(closed) = self.writer.rotate_if_due(now)? {
                seal(&closed)?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.writer.commit().context("the store cannot be written")
    }
}
