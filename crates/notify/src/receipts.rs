//! Who has been told of which alert, by what, when, and who has acknowledged it.
//!
//! Invariant: lines are only ever added. The file is set aside when it is large, over the one before: two files at most are kept.
//! It tells what happened and steers nothing, so a disk that refuses costs receipts and no message.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use huong_types::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::durable::OWN;

/// Some 60,000 receipts; as many again in the file set aside.
const FILE_BYTES: u64 = 16 << 20;

/// One thing that happened to one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub alert: Name,
    /// What receivers know a repeated message by.
    pub key: String,
    pub sink: Name,
    /// The person's id; the sink's name for a sink that tells a system.
    pub recipient: Name,
    pub at: Timestamp,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The next system has taken it.
    Delivered,
    /// The first attempt failed; more follow.
    Retrying,
    /// It will never be taken: it is among the dead letters.
    Refused,
    /// The recipient has acknowledged the alert.
    Acknowledged,
}

pub(crate) struct Receipts {
    path: PathBuf,
    /// Some line could not be written; said once.
    broken: Mutex<bool>,
}

impl Receipts {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, broken: Mutex::new(false) }
    }

    pub(crate) fn write(&self, receipts: &[Receipt]) {
        let lines: String = receipts.iter().filter_map(|receipt| serde_json::to_string(receipt).ok()).map(|line| line + "\n").collect();
        if lines.is_empty() {
            return;
        }
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        match self.append(lines.as_bytes()) {
            Ok(()) => *broken = false,
            Err(error) if !*broken => {
                *broken = true;
                tracing::error!(file = %self.path.display(), %error, "receipts cannot be written: messages go out all the same");
            }
            Err(_) => {}
        }
    }

    fn append(&self, lines: &[u8]) -> io::Result<()> {
        if self.path.metadata().is_ok_and(|file| file.len() > FILE_BYTES) {
            rename(&self.path, self.set_aside())?;
        }
        OpenOptions::new().create(true).append(true).mode(OWN).open(&self.path)?.write_all(lines)
    }

    /// Those of an alert, oldest first.
    pub(crate) fn of(&self, alert: &str) -> io::Result<Vec<Receipt>> {
        let mut found = Vec::new();
        for path in [self.set_aside(), self.path.clone()] {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            for line in BufReader::new(file).lines() {
                let line = line?;
                // Few lines hold it, and reading all of each would cost a hundred times as much.
                if line.contains(alert)
                    && let Ok(receipt) = serde_json::from_str::<Receipt>(&line)
                    && receipt.alert == *alert
                {
                    found.push(receipt);
                }
            }
        }
        Ok(found)
    }

    fn set_aside(&self) -> PathBuf {
        self.path.with_extension("old.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_found_by_alert_over_both_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let receipts = Receipts::new(dir.path().join("receipts.jsonl"));
        let receipt = |alert: &str, outcome| Receipt {
            alert: alert.into(),
            key: format!("{alert}/1/an"),
            sink: "mail".into(),
            recipient: "an".into(),
            at: Timestamp::from_millis(1),
            outcome,
            why: None,
        };
        receipts.write(&[receipt("a", Outcome::Delivered), receipt("ab", Outcome::Refused)]);
        rename(&receipts.path, receipts.set_aside()).expect("as if it were large");
        receipts.write(&[receipt("a", Outcome::Acknowledged)]);
        assert_eq!(receipts.of("a").expect("readable"), [receipt("a", Outcome::Delivered), receipt("a", Outcome::Acknowledged)]);
        assert_eq!(receipts.of("never").expect("readable"), []);
    }
}
