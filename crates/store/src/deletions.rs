//! `deletions.jsonl`: the proof of what was deleted, when and by which rule. One JSON object a line, appended and never changed.
//!
//! Invariant: each line holds the SHA-256 of the one before, so that none can be altered or taken out unseen. A deletion stands here,
//! synced, before anything is dropped, and is completed by a second line once the file is gone: a crash in between is made good by
//! the next [`Deletions::settle`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use huong_types::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Context;
use crate::manifest::Manifest;
use crate::part::hex;
use crate::table::Table;
use crate::{StoreError, disk};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// SHA-256 of the line before, in hex; of the first one, zeros.
    prev: String,
    /// Epoch ms by the clock of the system.
    pub(crate) at: i64,
    #[serde(flatten)]
    pub(crate) step: Step,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub(crate) enum Step {
    /// Decided: from here on the part is not read any more.
    Planned(Box<Planned>),
    /// The file is gone.
    Done { path: String },
    /// Files of a folder that was read, old enough to go; a crash may leave them to be named again.
    Discarded { folder: PathBuf, files: Vec<Discarded>, rule: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Planned {
    pub(crate) path: String,
    pub(crate) table: Table,
    pub(crate) stream: Option<Name>,
    /// Local, such as 2025-10-27.
    pub(crate) day: String,
    pub(crate) rows: u64,
    /// Records by stream; "" when it is not known.
    pub(crate) records: BTreeMap<String, u64>,
    /// Record sequences among which they were, the second one behind the last.
    pub(crate) span: (u64, u64),
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The rule of retention, in words.
    pub(crate) rule: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Discarded {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The log, open to be appended to.
pub(crate) struct Deletions {
    path: PathBuf,
    pub(crate) lines: Vec<Line>,
    /// Of the last line.
    sum: String,
}

impl Deletions {
    /// The log of `dir`; empty when nothing was ever deleted. A last line that was not finished is left out: nothing followed from it.
    ///
    /// # Errors
    /// When a line is not what was written; it is named.
    pub(crate) fn read(dir: &Path) -> Result<Deletions, StoreError> {
        let path = dir.join("deletions.jsonl");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes.during("read", &path)?,
        };
        let mut log = Deletions { path, lines: Vec::new(), sum: "0".repeat(64) };
        for text in bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
            let line = serde_json::from_slice::<Line>(text).ok().filter(|line| line.prev == log.sum);
            let number = log.lines.len() + 1;
            log.lines.push(line.ok_or_else(|| StoreError::Damaged { what: format!("line {number}"), path: log.path.clone() })?);
            log.sum = hex(&Sha256::digest(text));
        }
        Ok(log)
    }

    /// Appends `steps`, durably. The caller holds the lock of the manifest.
    pub(crate) fn append(&mut self, at: i64, steps: Vec<Step>) -> Result<(), StoreError> {
        let mut text = Vec::new();
        for step in steps {
            let line = Line { prev: self.sum.clone(), at, step };
            let begin = text.len();
            serde_json::to_writer(&mut text, &line)?;
            self.sum = hex(&Sha256::digest(&text[begin..]));
            text.push(b'\n');
            self.lines.push(line);
        }
        if text.is_empty() {
            return Ok(());
        }
        let mut file = File::options().create(true).append(true).open(&self.path).during("open", &self.path)?;
        self.cut_torn(&file)?;
        file.write_all(&text).during("write", &self.path)?;
        file.sync_all().during("sync", &self.path)?;
        self.path.parent().map_or(Ok(()), disk::sync_dir)
    }

    /// Takes off a last line that a crash left unfinished.
    fn cut_torn(&self, file: &File) -> Result<(), StoreError> {
        let bytes = fs::read(&self.path).during("read", &self.path)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).during("cut", &self.path)?;
        }
        Ok(())
    }

    /// Planned and not known to be done.
    pub(crate) fn pending(&self) -> Vec<&Planned> {
        let done: BTreeSet<&str> =
            self.lines.iter().filter_map(|line| if let Step::Done { path } = &line.step { Some(path.as_str()) } else { None }).collect();
        self.planned().filter(|planned| !done.contains(planned.path.as_str())).collect()
    }

    pub(crate) fn planned(&self) -> impl Iterator<Item = &Planned> {
        self.lines.iter().filter_map(|line| if let Step::Planned(planned) = &line.step { Some(planned.as_ref()) } else { None })
    }

    /// Completes the deletions whose file is gone. The caller holds the lock of the manifest, which is `manifest`.
    pub(crate) fn settle(&mut self, dir: &Path, manifest: &Manifest, at: i64) -> Result<(), StoreError> {
        let known: BTreeSet<&str> =
            manifest.parts.iter().map(|part| part.path.as_str()).chain(manifest.retired.iter().map(|gone| gone.path.as_str())).collect();
        let gone = self.pending().into_iter().filter(|planned| !known.contains(planned.path.as_str()) && !dir.join(&planned.path).exists());
        let done = gone.map(|planned| Step::Done { path: planned.path.clone() }).collect();
        self.append(at, done)
    }
}
