//! The store: an append-only log of everything that happened, sealed into Parquet, and SQL over both.
//!
//! One [`Writer`] per data directory appends and commits; [`seal`] turns a closed segment of its log into Parquet parts, [`compact`]
//! merges small ones, [`retain`] drops those that were kept long enough and [`ship`] takes them to a bucket; any number of readers, in
//! this process or others, ask [`Queries`], [`audit`], [`replay_readings`], follow [`transitions_after`] or, with a [`Follower`], the
//! readings meanwhile.
//!
//! Layout of a data directory:
//! ```text
//! writer.lock                                             held by the writer
//! seal.lock                                               held while parts are made or cleaned up
//! log/<first record sequence>.log                         the segments that are not sealed
//! starts.json                                             when the directory was opened to write
//! manifest.json                                           which sequences are sealed, and the parts that hold them
//! parquet/<table>/[stream=<stream>/]day=<day>/<first record sequence>[-<generation>].parquet
//! deletions.jsonl                                         what was deleted, when and by which rule; a chain of checksums
//! objects.json                                            the bucket that parts were taken to, if any
//! ```
//! Invariants: a record whose `commit` returned is found by every later reader exactly once, whatever stops the process in between;
//! the manifest alone says what is sealed (a part it does not name does not exist, a segment it names is not read from the log).

mod audit;
mod backup;
mod bookmark;
mod compact;
mod config;
mod deletions;
mod disk;
mod error;
mod follow;
mod frame;
mod health;
mod manifest;
mod objects;
mod output;
mod part;
mod query;
mod record;
mod replay;
mod restore;
mod retention;
mod rollup;
mod rows;
mod seal;
mod segment;
mod snapshot;
mod starts;
mod table;
mod tail;
#[cfg(test)]
mod testing;
mod usage;
mod writer;

pub use arrow::datatypes::SchemaRef;
pub use arrow::record_batch::RecordBatch;
pub use audit::{Audit, StreamAudit, audit};
pub use backup::{Saved, backup, restore};
pub use bookmark::{Bookmark, Place};
pub use compact::{Compact, Compacted, compact};
pub use config::{QueryLimits, StoreConfig, Tell};
pub use error::{Fault, StoreError};
pub use follow::{Committed, Followed, Follower};
pub use health::{Room, disk_room};
pub use manifest::sweep;
pub use objects::{Objects, ship, use_objects};
pub use output::{Encoder, Format};
pub use query::{Answer, Asker, Curve, Point, Queries, QueryLog};
pub use record::{Counts, Record, StreamCounts, StreamSource};
pub use replay::{newest_arrival, replay_readings, transitions_after, transitions_of};
pub use retention::{Keep, discard, retain};
pub use seal::{ClosedSegment, Sealed, seal};
pub use starts::{note_start, starts};
pub use tail::TransitionTail;
pub use usage::{Usage, usage};
pub use writer::{Recovered, Sync, Synced, Writer};
