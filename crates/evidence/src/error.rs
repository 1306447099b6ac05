//! What can go wrong with records. Nothing was changed when an operation fails, but for what the next one completes.

use std::io;
use std::path::{Path, PathBuf};

use huong_types::Name;

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{what} is damaged in {}", path.display())]
    Damaged { what: String, path: PathBuf },
    #[error("cannot encode or decode JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the table of records: {0}")]
    Csv(#[from] csv::Error),
    #[error("found no record `{0}`, expected an id as `huong evidence list` prints it")]
    Unknown(String),
    #[error("{action} is refused for record {record}: {why}")]
    Refused { action: &'static str, record: Name, why: String },
    #[error("{field}: found `{found}`, expected {expected}")]
    Argument { field: &'static str, found: String, expected: String },
    #[error("no record to hand over: {0}")]
    Nothing(String),
    #[error("the package would have {found}, expected at most {limit}: hand over a shorter time")]
    TooLarge { found: String, limit: String },
    #[error("{}: {found}, expected the private key of {public} with mode 0600; bring it back from the backup, or rotate the key", path.display())]
    Key { path: PathBuf, found: String, public: String },
    #[error("no font for the sheets: found none of {0}; install it (Debian: fonts-dejavu-core) or name one in evidence.font")]
    NoFont(String),
    #[error("the font {} cannot be used: {why}", path.display())]
    Font { path: PathBuf, why: String },
    #[error(
        "nothing is deleted: the clock says {now}, the newest line of the chain is of {newest}; set the clock, or say that it is right"
    )]
    ClockAhead { now: huong_types::Timestamp, newest: huong_types::Timestamp },
    #[error("{0} is not a time that a calendar has")]
    Time(huong_types::Timestamp),
}

/// Names what was being done to which file.
pub(crate) trait Context<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, EvidenceError>;
}

impl<T> Context<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, EvidenceError> {
        self.map_err(|source| EvidenceError::Io { action, path: path.to_owned(), source })
    }
}

/// A text that a person must give, such as a reason.
pub(crate) fn given<'a>(field: &'static str, text: &'a str) -> Result<&'a str, EvidenceError> {
    match text.trim() {
        "" => Err(EvidenceError::Argument { field, found: String::new(), expected: "a text".to_owned() }),
        text => Ok(text),
    }
}
