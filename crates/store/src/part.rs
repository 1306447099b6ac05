//! One Parquet part: written, and opened again.
//!
//! Invariant: a part is whole and synced before anyone hears of it, and never changed after. Its rows are sorted by key, time and
//! sequence.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::{cast, max, min, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::error::Context;
use crate::manifest::Part;
use crate::table::{Partition, Table};
use crate::{StoreError, disk, objects};

/// Of a row group: what a reader holds of one column at a time, and the least that a second thread of a query takes over.
const GROUP_ROWS: usize = 1 << 17;

/// Parts on their way to the disk: written one by one, made durable together.
///
/// Dropped before [`Pending::publish`], they leave temporary files that the next start removes.
pub(crate) struct Pending<'a> {
    dir: &'a Path,
    parts: Vec<Part>,
    files: Vec<PathBuf>,
}

impl<'a> Pending<'a> {
    pub(crate) fn new(dir: &'a Path) -> Self {
        Self { dir, parts: Vec::new(), files: Vec::new() }
    }

    /// Writes `batch`, which is [`sorted`], as the part `name` of `partition`.
    pub(crate) fn write(&mut self, partition: &Partition, name: &str, span: (u64, u64), batch: &RecordBatch) -> Result<(), StoreError> {
        let table = partition.table;
        let path = format!("{}/{name}.parquet", partition.directory());
        let file_path = self.dir.join(&path);
        if let Some(parent) = file_path.parent() {
            disk::create_dirs(self.dir, parent)?;
        }
        let (bytes, sha256) = write_file(&file_path, batch, properties(table, batch)?)?;
        self.files.push(file_path);
        let (first, last) = (0, batch.num_rows().saturating_sub(1));
        let key = batch.column(batch.schema().index_of(table.key_column())?).as_string::<i32>();
        let seq = batch.column(batch.schema().index_of("seq")?).as_primitive::<UInt64Type>();
        self.parts.push(Part {
            table,
            path,
            bytes,
            sha256,
            rows: batch.num_rows() as u64,
            // The rows of one record stand side by side.
            records: if Table::RECORDS.contains(&table) { seq.values().chunk_by(|a, b| a == b).count() as u64 } else { 0 },
            stream: partition.stream.clone(),
            day: partition.day,
            remote: false,
            span,
            seq: (min(seq).unwrap_or(0), max(seq).unwrap_or(0)),
            at: span_of(batch, table.time_column())?,
            arrived: span_of(batch, table.arrival_column())?,
            key: (key.value(first).to_owned(), key.value(last).to_owned()),
        });
        Ok(())
    }

    /// Makes them durable under their names; no manifest has them yet.
    pub(crate) fn publish(self) -> Result<Vec<Part>, StoreError> {
        for path in &self.files {
            let temporary = disk::temporary(path);
            fs::rename(&temporary, path).during("rename", &temporary)?;
        }
        if !self.files.is_empty() {
            disk::sync_everything(&self.dir.join("parquet"))?;
        }
        Ok(self.parts)
    }
}

fn span_of(batch: &RecordBatch, column: &str) -> Result<(i64, i64), StoreError> {
    let millis = cast(batch.column(batch.schema().index_of(column)?), &DataType::Int64)?;
    let millis = millis.as_primitive::<Int64Type>();
    Ok((min(millis).unwrap_or(0), max(millis).unwrap_or(0)))
}

/// By key, time and sequence; the rows of one record stay in their order.
pub(crate) fn sorted(table: Table, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let schema = batch.schema();
    let keys = batch.column(schema.index_of(table.key_column())?).as_string::<i32>();
    let times = cast(batch.column(schema.index_of(table.time_column())?), &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let seqs = batch.column(schema.index_of("seq")?).as_primitive::<UInt64Type>();
    let distinct: BTreeSet<&str> = keys.iter().flatten().collect();
    let ranks: HashMap<&str, u32> = distinct.into_iter().zip(0..).collect();
    let place = |row: u32| (ranks.get(keys.value(row as usize)), times.value(row as usize), seqs.value(row as usize));
    let mut order: Vec<_> = (0..batch.num_rows() as u32).map(|row| (place(row), row)).collect();
    // A stable sort makes use of the runs that there are: rows come by time, or from parts that are sorted.
    order.sort_by_key(|(place, _)| *place);
    Ok(take_record_batch(batch, &UInt32Array::from_iter_values(order.into_iter().map(|(_, row)| row)))?)
}

/// Writes the file under its temporary name, not synced. Returns its size and its SHA-256.
fn write_file(path: &Path, batch: &RecordBatch, properties: WriterProperties) -> Result<(u64, String), StoreError> {
    let temporary = disk::temporary(path);
    let file = Summed { file: File::create(&temporary).during("create", &temporary)?, sum: Sha256::new(), bytes: 0 };
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    let Summed { sum, bytes, .. } = writer.into_inner()?;
    Ok((bytes, hex(&sum.finalize())))
}

/// A file that is summed up while it is written.
struct Summed {
    file: File,
    sum: Sha256,
    bytes: u64,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Statistics and the page index come by default. A bloom filter on the key costs a part less than a hundredth and lets a
/// query for one station pass over the streams that it has no part in; alerts and refusals are few and not split by stream, so they
/// have none.
fn properties(table: Table, batch: &RecordBatch) -> Result<WriterProperties, StoreError> {
    let schema = batch.schema();
    let sorted_by = |column: &str| -> Result<SortingColumn, StoreError> {
        Ok(SortingColumn { column_idx: schema.index_of(column)? as i32, descending: false, nulls_first: false })
    };
    let sorting = vec![sorted_by(table.key_column())?, sorted_by(table.time_column())?, sorted_by("seq")?];
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("huong ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_column_bloom_filter_enabled(ColumnPath::from(table.key_column()), table.by_stream())
        .set_sorting_columns(Some(sorting));
    // Sequences and times grow by small steps: their differences are far smaller than a dictionary of them.
    for field in schema.fields().iter().filter(|f| matches!(f.data_type(), DataType::UInt64 | DataType::Timestamp(..))) {
        let column = ColumnPath::from(field.name().as_str());
        properties =
            properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

/// The bytes of a part: a file here, or what was fetched from the bucket.
pub(crate) enum Bytes {
    Here(File),
    Fetched(bytes::Bytes),
}

pub(crate) fn open(dir: &Path, part: &Part) -> Result<Bytes, StoreError> {
    if part.remote {
        return Ok(Bytes::Fetched(objects::bucket(dir)?.get(&part.path)?));
    }
    let path = dir.join(&part.path);
    Ok(Bytes::Here(File::open(&path).during("open", &path)?))
}

impl Length for Bytes {
    fn len(&self) -> u64 {
        match self {
            Bytes::Here(file) => file.len(),
            Bytes::Fetched(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Bytes {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Bytes::Here(file) => Box::new(file.get_read(start)?),
            Bytes::Fetched(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<bytes::Bytes> {
        match self {
            Bytes::Here(file) => file.get_bytes(start, length),
            Bytes::Fetched(bytes) => bytes.get_bytes(start, length),
        }
    }
}

/// `stored` with the types of `wanted` where both have a column.
pub(crate) fn with_types(stored: &SchemaRef, wanted: &Schema) -> SchemaRef {
    let typed = stored.fields().iter().map(|field| {
        let kind = wanted.field_with_name(field.name()).map_or(field.data_type(), Field::data_type);
        field.as_ref().clone().with_data_type(kind.clone())
    });
    Arc::new(Schema::new(typed.collect::<Vec<_>>()))
}

/// Gives the rows of `part`, some at a time, to `each`; of these columns only, or of all when none is named.
pub(crate) fn read(
    dir: &Path,
    part: &Part,
    columns: &[&str],
    each: &mut dyn FnMut(RecordBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(open(dir, part)?)?;
    let mask =
        if columns.is_empty() { ProjectionMask::all() } else { ProjectionMask::columns(reader.parquet_schema(), columns.iter().copied()) };
    for batch in reader.with_projection(mask).build()? {
        each(batch?)?;
    }
    Ok(())
}

/// The values of a column of sequences, one for the rows of a record that stand side by side; absent ones are left out.
pub(crate) fn sequences(dir: &Path, part: &Part, column: &str) -> Result<Vec<u64>, StoreError> {
    let mut found = Vec::new();
    read(dir, part, &[column], &mut |batch| {
        let seqs = batch.column_by_name(column).map(|seqs| seqs.as_primitive::<UInt64Type>());
        found.extend(seqs.into_iter().flatten().flatten());
        found.dedup();
        Ok(())
    })?;
    Ok(found)
}

/// Size and SHA-256 of the file as it is now.
pub(crate) fn sha256(dir: &Path, part: &Part) -> Result<(u64, String), StoreError> {
    let path = dir.join(&part.path);
    let mut sum = Sha256::new();
    let bytes = io::copy(&mut open(dir, part)?.get_read(0)?, &mut sum).during("read", &path)?;
    Ok((bytes, hex(&sum.finalize())))
}

#[cfg(test)]
mod tests;
