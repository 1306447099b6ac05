//! What can go wrong in the store. Whether anything was lost is the caller's to judge: an error of the [`crate::Writer`] means
//! that the records since its last `commit` are not known to be on disk.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::error::DataFusionError;
use huong_types::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("another process writes to this data directory, {}", .0.display())]
    Locked(PathBuf),
    #[error("the log refuses records since an earlier write failed; it must be opened again")]
    Poisoned,
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
    #[error("the query failed: {0}")]
    Query(#[from] DataFusionError),
    #[error("the result has more rows than the limit; add a LIMIT or aggregate: {limit}")]
    TooManyRows { limit: usize },
    #[error("the log that is not sealed yet needs more memory than the limit allows, {used} of {limit} bytes")]
    LogTooLarge { used: usize, limit: usize },
    #[error("the query took longer than the limit, {0}")]
    TooSlow(huong_types::Span),
    #[error("a task of the query ended early: {0}")]
    Task(String),
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
