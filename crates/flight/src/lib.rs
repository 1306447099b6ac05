//! Arrow Flight SQL: the answers of a [`Database`] for notebooks and BI tools, reading only.
//!
//! The crate knows no store and no tokens: whoever runs it says who is let in and answers the statements. Off unless configured.
//!
//! Invariant: no call but the handshake is looked at before its token was, and the handshake gives nothing but the token it was given.

mod basic;
mod config;
mod server;
mod service;

use std::fmt;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use config::FlightConfig;
pub use server::{Flight, FlightSqlError};

/// Who may ask, what there is, and the answers.
pub trait Database: Send + Sync + 'static {
    /// The name of whoever holds this token, when that is enough to ask; else why not.
    fn admit(&self, token: Option<&str>) -> Result<String, Refusal>;

    fn catalog(&self) -> BoxFuture<'static, Result<Catalog, SqlError>>;

    /// The columns that the answer to `sql` would have.
    fn columns(&self, sql: String) -> BoxFuture<'static, Result<SchemaRef, SqlError>>;

    /// Begins to answer `sql` for `who`. Dropping the rows ends the query.
    fn ask(&self, who: String, sql: String) -> BoxFuture<'static, Result<Answer, SqlError>>;
}

/// The one catalogue with its one schema.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub name: &'static str,
    pub schema: &'static str,
    pub tables: Vec<(&'static str, SchemaRef)>,
}

pub struct Answer {
    pub schema: SchemaRef,
    /// Whole only when it ends without an error.
    pub rows: BoxStream<'static, Result<RecordBatch, SqlError>>,
}

/// Why somebody may not ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Another token would help; else another role.
    pub unknown: bool,
    pub why: String,
}

/// Why a statement was not answered, by what the client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Mend the statement,
    Statement,
    /// ask for fewer rows or less memory,
    TooLarge,
    /// .. for what takes less time,
    TooSlow,
    /// .. again later.
    Busy,
    /// Nothing.
    Store,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    pub fault: Fault,
    pub message: String,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SqlError {}
