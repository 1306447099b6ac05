//! A closed segment becomes Parquet parts: by table, stream and local day, rows sorted by key and time.
//!
//! Invariant: parts are whole and synced before the manifest names them, and the segment goes only after that, so stopping anywhere
//! leaves either the segment or the parts to be read, and a second try ends the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tracing::error;

use crate::error::Context;
use crate::manifest::{self, Manifest, Part};
use crate::part::Pending;
use crate::rows::Rows;
use crate::segment::{self, Segment};
use crate::table::{Partition, Table};
use crate::{StoreError, disk, part, rollup};

/// A segment that takes no more records and waits to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedSegment {
    /// The data directory.
    pub dir: PathBuf,
    /// Sequence of its first record, which names it.
    pub first_seq: u64,
    /// Behind the sequence of its last record.
    pub end_seq: u64,
}

/// What a seal made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Of the tables of records; the rollups come beside them.
    pub rows: u64,
    pub parts: usize,
    /// Bytes of the parts.
    pub bytes: u64,
    /// Records that were not readable; they are lost, and an ERROR was logged.
    pub damaged: u64,
}

/// What of a closed segment could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Damage {
    /// Records with a bad checksum, with good ones behind them.
    pub(crate) records: u64,
    /// Bytes behind the last good record.
    pub(crate) bytes: usize,
}

impl Damage {
    fn any(self) -> bool {
        self.records > 0 || self.bytes > 0
    }
}

/// Converts `closed` and drops it from the log. Blocking; meant for a thread of its own, at any time, also beside the writer and readers.
///
/// Sealing what is sealed already only finishes what may be left to do. When it fails, the log still has everything: try again.
pub fn seal(closed: &ClosedSegment) -> Result<Sealed, StoreError> {
    let dir = closed.dir.as_path();
    let _lock = manifest::lock(dir)?;
    let mut manifest = Manifest::read(dir)?;
    let path = segment::path(dir, closed.first_seq);
    let mut sealed = Sealed::default();
    if !manifest.holds(closed.first_seq) {
        let (parts, damage) = write_parts(closed)?;
        if damage.any() {
            // What cannot be read here may be read by someone with better tools: the bytes stay.
            let kept = path.with_extension("damaged");
            fs::copy(&path, &kept).during("copy", &kept)?;
        }
        let rows = parts.iter().filter(|part| Table::RECORDS.contains(&part.table)).map(|part| part.rows).sum();
        let bytes = parts.iter().map(|part| part.bytes).sum();
        sealed = Sealed { rows, parts: parts.len(), bytes, damaged: damage.records };
        manifest.seal((closed.first_seq, closed.end_seq));
        manifest.parts.extend(parts);
        manifest.publish(dir)?;
    }
    disk::remove(&path)?;
    disk::sync_dir(&segment::log_dir(dir))?;
    Ok(sealed)
}

/// Writes the parts of a segment, durable under their names but not in the manifest yet. Also returns what could not be read.
pub(crate) fn write_parts(closed: &ClosedSegment) -> Result<(Vec<Part>, Damage), StoreError> {
    let path = segment::path(&closed.dir, closed.first_seq);
    let segment = Segment::read(&path)?;
    let mut partitions: BTreeMap<Partition, Rows> = BTreeMap::new();
    let mut records = segment.records();
    for (seq, record) in &mut records {
        let partition = Partition::of(&record);
        let table = partition.table;
        partitions.entry(partition).or_insert_with(|| Rows::new(table)).push(seq, &record)?;
    }
    let damage = Damage { records: records.damaged(), bytes: segment.torn(records.end()).len() };
    if damage.any() {
        error!(segment = %path.display(), records = damage.records, bytes = damage.bytes, "a closed segment is damaged: a copy of it is kept");
    }
    let (name, span) = (format!("{:020}", closed.first_seq), (closed.first_seq, closed.end_seq));
    let mut parts = Pending::new(&closed.dir);
    for (partition, rows) in partitions {
        let rows = part::sorted(partition.table, &rows.finish()?)?;
        parts.write(&partition, &name, span, &rows)?;
        if partition.table == Table::Readings {
            for table in Table::ROLLUPS {
                if let Some(partials) = rollup::of_readings(table, &rows)? {
                    parts.write(&Partition { table, ..partition.clone() }, &name, span, &partials)?;
                }
            }
        }
    }
    Ok((parts.publish()?, damage))
}

#[cfg(test)]
mod tests;
