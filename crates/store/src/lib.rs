//! The store: an append-only log of everything that happened, sealed into Parquet, and SQL over both.
//!
//! One [`Writer`] per data directory appends and commits; [`seal`] turns a closed segment of its log into Parquet parts; any number
//! of readers, in this process or others, [`query`], [`replay_readings`] or follow [`transitions_after`] meanwhile.
//!
//! Layout of a data directory:
//! ```text
//! writer.lock                                             held by the writer
//! seal.lock                                               held while parts are made or cleaned up
//! log/<first record sequence>.log                         the segments that are not sealed
//! starts.json                                             when the directory was opened to write
//! manifest.json                                           which segments are sealed, into which parts
//! parquet/<table>/[stream=<stream>/]day=<day>/<first record sequence>.parquet
//! ```
//! Invariants: a record whose `commit` returned is found by every later reader exactly once, whatever stops the process in between;
//! the manifest alone says what is sealed (a part it does not name does not exist, a segment it names is not read from the log).

mod config;
mod disk;
mod error;
mod frame;
mod manifest;
mod output;
mod query;
mod record;
mod replay;
mod restore;
mod rows;
mod seal;
mod segment;
mod snapshot;
mod starts;
mod table;
mod tail;
#[cfg(test)]
mod testing;
mod writer;

pub use arrow::record_batch::RecordBatch;
pub use config::{QueryLimits, StoreConfig};
pub use error::StoreError;
pub use output::{write_csv, write_json, write_pretty};
pub use query::query;
pub use record::{Counts, Record, StreamCounts};
pub use replay::{newest_arrival, replay_readings, transitions_after, transitions_of};
pub use seal::{ClosedSegment, Sealed, seal};
pub use starts::note_start;
pub use tail::TransitionTail;
pub use writer::{Recovered, Writer};
