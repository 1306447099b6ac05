//! A log of JSON lines, appended and never changed.
//!
//! Invariant: each line holds the SHA-256 of the one before and its number, so that none can be altered, moved or taken out unseen,
//! but for the last ones: whoever knows a later line's hash ([`crate::Head`]) finds that too. A last line without its end was never
//! written, and nothing followed from it.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use huong_types::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::EvidenceError;
use crate::disk::Disk;
use crate::error::Context;
use crate::seal::sha256;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line<T> {
    /// SHA-256 of the line before without its line break, in hex; of the first one, zeros.
    pub prev: String,
    /// From 1.
    pub n: u64,
    pub at: Timestamp,
    #[serde(flatten)]
    pub step: T,
}

/// Of the line before the first.
pub(crate) fn origin() -> String {
    "0".repeat(64)
}

/// One journal, as far as it has been read.
#[derive(Debug)]
pub(crate) struct Journal<T> {
    path: PathBuf,
    /// Bytes of whole lines read.
    length: u64,
    /// Lines read.
    pub(crate) n: u64,
    /// Of the last one.
    pub(crate) sum: String,
    step: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, length: 0, n: 0, sum: origin(), step: PhantomData }
    }

    /// As if read up to line `n` of hash `sum`, whose end is at byte `length`.
    pub(crate) fn behind(path: PathBuf, (n, length, sum): (u64, u64, String)) -> Self {
        Self { path, length, n, sum, step: PhantomData }
    }

    /// Reads what was written since, by whomever; `each` gets every whole line with its text and its hash.
    ///
    /// # Errors
    /// When a line is not what was written; it is named.
    pub(crate) fn catch_up(&mut self, mut each: impl FnMut(Line<T>, &[u8], &str)) -> Result<(), EvidenceError> {
        self.read(|line, text, sum| {
            each(line, text, sum);
            ControlFlow::Continue(())
        })
    }

    /// The same, until `each` has enough.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Line<T>, &[u8], &str) -> ControlFlow<()>) -> Result<(), EvidenceError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.shorter(0),
            file => file.during("open", &self.path)?,
        };
        self.shorter(file.metadata().during("read", &self.path)?.len())?;
        file.seek(SeekFrom::Start(self.length)).during("read", &self.path)?;
        let mut file = BufReader::new(file);
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = file.read_until(b'\n', &mut text).during("read", &self.path)?;
            if text.pop() != Some(b'\n') {
                return Ok(());
            }
            let line = follow(&text, &self.sum, self.n)
                .map_err(|what| EvidenceError::Damaged { what: format!("line {}, {what},", self.n + 1), path: self.path.clone() })?;
            self.sum = sha256(&text);
            self.n = line.n;
            self.length += read as u64;
            if each(line, &text, &self.sum).is_break() {
                return Ok(());
            }
        }
    }

    /// What has been read must still be there.
    fn shorter(&self, length: u64) -> Result<(), EvidenceError> {
        if length >= self.length {
            return Ok(());
        }
        let what = format!("the end ({length} bytes, {} were there)", self.length);
        Err(EvidenceError::Damaged { what, path: self.path.clone() })
    }

    /// Appends a line, durably. The caller holds the lock and has caught up: whatever is behind the last whole line is of a crash.
    pub(crate) fn append(&mut self, disk: &dyn Disk, at: Timestamp, step: T) -> Result<(Line<T>, String), EvidenceError> {
        let line = Line { prev: self.sum.clone(), n: self.n + 1, at, step };
        let mut text = serde_json::to_vec(&line)?;
        let sum = sha256(&text);
        text.push(b'\n');
        if std::fs::metadata(&self.path).is_ok_and(|file| file.len() > self.length) {
            disk.cut(&self.path, self.length).during("cut", &self.path)?;
        }
        disk.append(&self.path, &text).during("append to", &self.path)?;
        self.length += text.len() as u64;
        self.n = line.n;
        self.sum.clone_from(&sum);
        Ok((line, sum))
    }

    /// Bytes of whole lines read.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The line of `text`, which must follow line `n` of hash `sum`.
pub(crate) fn follow<T: DeserializeOwned>(text: &[u8], sum: &str, n: u64) -> Result<Line<T>, String> {
    let line: Line<T> = serde_json::from_slice(text).map_err(|error| format!("which is no line of a journal ({error})"))?;
    if line.prev != sum {
        return Err("which does not follow from the line before".to_owned());
    }
    if line.n != n + 1 {
        return Err(format!("which says that it is line {}", line.n));
    }
    Ok(line)
}
