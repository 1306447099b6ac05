//! What can go wrong in the store. Whether anything was lost is the caller's to judge: an error of the [`crate::Writer`] means
//! that the records since its last `commit` are not known to be on disk.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use huong_types::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("another process writes to this data directory, {}", .0.display())]
    Locked(PathBuf),
    #[error("another backup of this data directory runs, {}", .0.display())]
    BackupRuns(PathBuf),
    #[error("no backup in {}: found no backup.json", .0.display())]
    NoBackup(PathBuf),
    #[error("{} is not empty: a backup is brought back into a new folder only", .0.display())]
    NotEmpty(PathBuf),
    #[error("a record is longer than the limit of {limit} bytes: {length}")]
    TooLong { length: usize, limit: usize },
    #[error("{what} is damaged in {}", path.display())]
    Damaged { what: String, path: PathBuf },
    #[error("{} has a format that this version cannot read: found {found}, expected {expected}", path.display())]
    Version { path: PathBuf, found: u32, expected: u32 },
    #[error("nothing is deleted: the clock says {now}, the newest reading is of {}; set the clock, or wait for readings", .newest.map_or("no time at all".to_owned(), |at| at.to_string()))]
    ClockAhead { now: Timestamp, newest: Option<Timestamp> },
    #[error("the bucket of sealed parts refused: {0}")]
    Objects(#[from] object_store::Error),
    #[error("no way into the bucket of sealed parts: {0}")]
    Credentials(String),
    #[error("{} says that parts are in {found}, the configuration says {expected}", path.display())]
    Elsewhere { path: PathBuf, found: String, expected: String },
    #[error("cannot encode a record: {0}")]
    Encode(#[from] postcard::Error),
    #[error("cannot encode or decode JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot convert rows: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("cannot read or write Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("the store changed faster than it could be read, {} attempts", .0)]
    Busy(u32),
    #[error("only reading is allowed (SELECT, WITH, EXPLAIN, SHOW TABLES, DESCRIBE): {0}")]
    ReadOnly(String),
    /// A mistake in the statement; the place is line and column from 1, where it is known.
    #[error("{message}{}", place.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default())]
    Sql { message: String, place: Option<(u64, u64)> },
    #[error("the query failed: {0}")]
    Query(#[from] DataFusionError),
    #[error("too many queries: {running} run and {waiting} wait already; ask again later")]
    TooManyQueries { running: usize, waiting: usize },
    #[error("the result has more rows than the limit; add a LIMIT or aggregate: {limit}")]
    TooManyRows { limit: usize },
    #[error("the log that is not sealed yet needs more memory than the limit allows, {used} of {limit} bytes")]
    LogTooLarge { used: usize, limit: usize },
    #[error("the query took longer than the limit, {0}")]
    TooSlow(huong_types::Span),
    #[error("the query ended early: {0}")]
    Task(String),
}

/// Whose fault a failed query is, and what would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The statement is wrong.
    Asker,
    /// It asks for too much at once: rows or memory,
    TooLarge,
    /// .. or time.
    TooSlow,
    /// Others ask at the same time.
    Busy,
    /// Ours: damage, a full disk, a bug.
    Store,
}

impl StoreError {
    /// A mistake in a statement, with its place.
    pub(crate) fn sql(error: DataFusionError) -> StoreError {
        let place = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| (span.start.line, span.start.column));
        let text = error.strip_backtrace();
        match (place, text.rsplit_once(" at Line: ")) {
            (place @ Some(_), _) => StoreError::Sql { message: text, place },
            // The parser has the place only in its words.
            (None, Some((message, place))) => {
                let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
                StoreError::Sql { message: message.to_owned(), place: numbers.next().zip(numbers.next()) }
            }
            (None, None) => StoreError::Sql { message: text, place: None },
        }
    }

    pub fn fault(&self) -> Fault {
        match self {
            StoreError::Sql { .. } | StoreError::ReadOnly(_) => Fault::Asker,
            StoreError::TooManyRows { .. } | StoreError::LogTooLarge { .. } => Fault::TooLarge,
            StoreError::TooSlow(_) => Fault::TooSlow,
            StoreError::TooManyQueries { .. } => Fault::Busy,
            StoreError::Query(error) => match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => Fault::TooLarge,
                // A full spill is told as an error of writing.
                DataFusionError::ArrowError(error, _) if error.to_string().contains("max_temp_directory_size") => Fault::TooLarge,
                DataFusionError::ArrowError(error, _) if matches!(**error, ArrowError::IoError(..)) => Fault::Store,
                // Values that a function or a cast does not take: other words would.
                DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => Fault::Asker,
                _ => Fault::Store,
            },
            _ => Fault::Store,
        }
    }
}

/// Names what was being done to which file.
pub(crate) trait Context<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Context<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.to_owned(), source })
    }
}
