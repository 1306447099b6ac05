//! A closed segment becomes Parquet parts: by table, stream and local day, rows sorted by key and time.
//!
//! Invariant: parts are whole and synced before the manifest names them, and the segment goes only after that, so stopping anywhere
//! leaves either the segment or the parts to be read, and a second try ends the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::{cast, max, min, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tracing::error;

use crate::error::Context;
use crate::manifest::{self, Manifest, Part, SealedSegment};
use crate::rows::Rows;
use crate::segment::{self, Segment};
use crate::table::{Partition, Table};
use crate::{StoreError, disk};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
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
    let manifest = Manifest::read(dir)?;
    let path = segment::path(dir, closed.first_seq);
    let (sealed, damage) = match manifest.find(closed.first_seq) {
        Some(sealed) => (sealed.clone(), Damage::default()),
        None => {
            let (parts, damage) = write_parts(closed)?;
            let sealed = SealedSegment { first_seq: closed.first_seq, end_seq: closed.end_seq, parts };
            if damage.any() {
                // What cannot be read here may be read by someone with better tools: the bytes stay.
                let kept = path.with_extension("damaged");
                fs::copy(&path, &kept).during("copy", &kept)?;
            }
            manifest.add(dir, sealed.clone())?;
            (sealed, damage)
        }
    };
    disk::remove(&path)?;
    disk::sync_dir(&segment::log_dir(dir))?;
    let rows = sealed.parts.iter().map(|part| part.rows).sum();
    let bytes = sealed.parts.iter().map(|part| part.bytes).sum();
    Ok(Sealed { rows, parts: sealed.parts.len(), bytes, damaged: damage.records })
}

/// Writes the parts of a segment, durable under their names but not in the manifest yet. Also returns the count of unreadable records.
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
    let parts = partitions.into_iter().map(|(partition, rows)| write_part(closed, &partition, sorted(partition.table, &rows.finish()?)?));
    Ok((parts.collect::<Result<_, _>>()?, damage))
}

fn write_part(closed: &ClosedSegment, partition: &Partition, batch: RecordBatch) -> Result<Part, StoreError> {
    let path = format!("{}/{:020}.parquet", partition.directory(), closed.first_seq);
    let file_path = closed.dir.join(&path);
    if let Some(parent) = file_path.parent() {
        disk::create_dirs(&closed.dir, parent)?;
    }
    let bytes = write_parquet(&file_path, partition.table, &batch)?;
    let table = partition.table;
    let (first, last) = (0, batch.num_rows().saturating_sub(1));
    let key = batch.column(batch.schema().index_of(table.key_column())?).as_string::<i32>().clone();
    Ok(Part {
        table,
        path,
        bytes,
        rows: batch.num_rows() as u64,
        stream: partition.stream.clone(),
        day: partition.day,
        seq: {
            let seq = batch.column(batch.schema().index_of("seq")?).as_primitive::<UInt64Type>();
            (min(seq).unwrap_or(0), max(seq).unwrap_or(0))
        },
        at: span_of(&batch, table.time_column())?,
        arrived: span_of(&batch, table.arrival_column())?,
        key: (key.value(first).to_owned(), key.value(last).to_owned()),
    })
}

fn span_of(batch: &RecordBatch, column: &str) -> Result<(i64, i64), StoreError> {
    let millis = cast(batch.column(batch.schema().index_of(column)?), &DataType::Int64)?;
    let millis = millis.as_primitive::<Int64Type>();
    Ok((min(millis).unwrap_or(0), max(millis).unwrap_or(0)))
}

/// By key and time; rows that share both stay in the order of the log.
fn sorted(table: Table, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let schema = batch.schema();
    let keys = batch.column(schema.index_of(table.key_column())?).as_string::<i32>();
    let times = cast(batch.column(schema.index_of(table.time_column())?), &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by_cached_key(|row| (keys.value(*row as usize), times.value(*row as usize)));
    Ok(take_record_batch(batch, &UInt32Array::from(order))?)
}

/// Returns the size of the file.
fn write_parquet(path: &Path, table: Table, batch: &RecordBatch) -> Result<u64, StoreError> {
    let temporary = disk::temporary(path);
    let file = File::create(&temporary).during("create", &temporary)?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties(table, batch)?))?;
    writer.write(batch)?;
    let file = writer.into_inner()?;
    file.sync_all().during("sync", &temporary)?;
    disk::publish(&temporary, path)?;
    Ok(fs::metadata(path).during("look at", path)?.len())
}

fn properties(table: Table, batch: &RecordBatch) -> Result<WriterProperties, StoreError> {
    let schema = batch.schema();
    let sorted_by = |column: &str| -> Result<SortingColumn, StoreError> {
        Ok(SortingColumn { column_idx: schema.index_of(column)? as i32, descending: false, nulls_first: false })
    };
    let sorting = vec![sorted_by(table.key_column())?, sorted_by(table.time_column())?];
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("huong ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_sorting_columns(Some(sorting));
    // Sequences and times grow by small steps: their differences are far smaller than a dictionary of them.
    for field in schema.fields().iter().filter(|f| matches!(f.data_type(), DataType::UInt64 | DataType::Timestamp(..))) {
        let column = ColumnPath::from(field.name().as_str());
        properties =
            properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests;
