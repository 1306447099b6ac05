//! The rows of the log that is not sealed yet, decoded once for all queries: each query reads only what was written since the last.
//!
//! Invariant: what is kept of a segment is a prefix of it that ends behind a good record, so reading on from there gives the rows
//! that reading it anew would; should the file hold something else there (the writer took back what did not reach the disk), it is read
//! anew. All of it counts against the memory of queries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::rows::Rows;
use crate::segment::{Records, Segment};
use crate::snapshot::LogFile;
use crate::table::{Partition, Table};
use crate::{StoreError, part, rollup};

/// Rows of one piece: the size that DataFusion works in.
const PIECE: usize = 8192;
/// More than the header and checksum of a frame.
const MARK: usize = 32;

/// Pieces of each table, in the order of [`Table::all`].
pub(super) type Pieces = [Vec<RecordBatch>; Table::RECORDS.len() + Table::ROLLUPS.len()];

pub(super) struct OpenLog {
    decoded: Mutex<Decoded>,
    limit: usize,
}

struct Decoded {
    /// By file.
    segments: BTreeMap<PathBuf, OpenSegment>,
    memory: MemoryReservation,
}

#[derive(Default)]
struct OpenSegment {
    /// Bytes of the file decoded so far; it ends with a good record.
    end: u64,
    /// The last of these bytes.
    mark: Vec<u8>,
    next_seq: u64,
    pieces: Pieces,
    /// That the pieces take.
    bytes: usize,
}

impl OpenLog {
    /// `limit` is that of `pool`.
    pub(super) fn new(pool: &Arc<dyn MemoryPool>, limit: usize) -> Self {
        let memory = MemoryConsumer::new("open log").register(pool);
        Self { decoded: Mutex::new(Decoded { segments: BTreeMap::new(), memory }), limit }
    }

    /// The rows of `logs`, which are all there are. Blocking.
    pub(super) fn rows(&self, logs: &[LogFile]) -> Result<Pieces, StoreError> {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = decoded.read(logs, self.limit);
        if rows.is_err() {
            // It may have grown beyond its share, or stopped within a segment: begin anew.
            decoded.segments.clear();
            decoded.memory.free();
        }
        rows
    }
}

impl Decoded {
    fn read(&mut self, logs: &[LogFile], limit: usize) -> Result<Pieces, StoreError> {
        // What is sealed meanwhile is read from its parts.
        self.segments.retain(|path, _| logs.iter().any(|log| log.path() == path));
        let mut all = Pieces::default();
        for log in logs {
            let segment = self.segments.entry(log.path().to_owned()).or_default();
            segment.catch_up(log)?;
            for (all, pieces) in all.iter_mut().zip(&segment.pieces) {
                all.extend_from_slice(pieces);
            }
            let used = self.segments.values().map(|segment| segment.bytes).sum();
            self.memory.try_resize(used).map_err(|_| StoreError::LogTooLarge { used, limit })?;
        }
        Ok(all)
    }
}

impl OpenSegment {
    /// Decodes what was written since the last time.
    fn catch_up(&mut self, log: &LogFile) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        log.read_after(self.end - self.mark.len() as u64, &mut bytes)?;
        let Some(new) = bytes.strip_prefix(self.mark.as_slice()).filter(|_| self.end > 0) else {
            if self.end > 0 {
                *self = OpenSegment::default();
                bytes.clear();
                log.read_after(0, &mut bytes)?;
            }
            let segment = Segment::parse(log.path(), bytes)?;
            let mut records = segment.records();
            self.add(&mut records)?;
            let (end, next_seq) = (records.end(), records.next_seq());
            self.stop_at(segment.whole(end), end as u64, next_seq);
            return Ok(());
        };
        let mut records = Records::resume(log.path(), new, self.next_seq);
        self.add(&mut records)?;
        let (passed, next_seq) = (records.end(), records.next_seq());
        self.stop_at(&bytes[..self.mark.len() + passed], self.end + passed as u64, next_seq);
        Ok(())
    }

    fn stop_at(&mut self, before: &[u8], end: u64, next_seq: u64) {
        self.mark = before[before.len().saturating_sub(MARK)..].to_vec();
        (self.end, self.next_seq) = (end, next_seq);
    }

    fn add(&mut self, records: &mut Records<'_>) -> Result<(), StoreError> {
        let mut rows = Table::RECORDS.map(Rows::new);
        for (seq, record) in records {
            rows[Partition::of(&record).table as usize].push(seq, &record)?;
        }
        for (table, rows) in Table::RECORDS.into_iter().zip(rows) {
            let rows = rows.finish()?;
            if table == Table::Readings {
                let sorted = part::sorted(table, &rows)?;
                for rollup in Table::ROLLUPS {
                    if let Some(partials) = rollup::of_readings(rollup, &sorted)? {
                        add(&mut self.pieces[rollup as usize], partials)?;
                    }
                }
            }
            add(&mut self.pieces[table as usize], rows)?;
        }
        self.bytes = self.pieces.iter().flatten().map(size).sum::<Result<usize, ArrowError>>()?;
        Ok(())
    }
}

/// Fills up the last piece, and adds further ones.
fn add(pieces: &mut Vec<RecordBatch>, rows: RecordBatch) -> Result<(), StoreError> {
    if rows.num_rows() == 0 {
        return Ok(());
    }
    // The buffers of builders may be twice as long as what they hold.
    let (schema, mut columns, _) = rows.into_parts();
    columns.iter_mut().filter_map(Arc::get_mut).for_each(|column| column.shrink_to_fit());
    let rows = RecordBatch::try_new(schema, columns)?;
    let mut from = 0;
    if let Some(last) = pieces.pop_if(|last| last.num_rows() < PIECE) {
        from = (PIECE - last.num_rows()).min(rows.num_rows());
        pieces.push(concat_batches(rows.schema_ref(), [&last, &rows.slice(0, from)])?);
    }
    while from < rows.num_rows() {
        let piece = rows.slice(from, PIECE.min(rows.num_rows() - from));
        from += piece.num_rows();
        pieces.push(piece);
    }
    Ok(())
}

fn size(piece: &RecordBatch) -> Result<usize, ArrowError> {
    piece.columns().iter().map(|column| column.to_data().get_slice_memory_size()).sum()
}
