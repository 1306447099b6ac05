//! Reading back in the order of the log, without SQL: readings to rebuild windows, transitions for the sinks.
//!
//! Invariant: parts are read in slices of a bounded number of records, whatever they hold and however they overlap; besides, one segment
//! of the log at a time is in memory.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use huong_types::{Name, Origin, Reading, Timestamp, Transition};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowFilter};

use crate::manifest::Part;
use crate::restore::{self, Names};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::{Record, StoreError, part};

/// Readings of one slice: some 100 MB.
const READINGS: u64 = 1 << 19;
/// Transitions of one slice: they are large, and who asks mostly wants few.
const TRANSITIONS: u64 = 1 << 12;
/// Rows decoded at once.
const BATCH: usize = 1 << 15;

/// Gives readings to `each` in the order in which they were appended, observations and what rules derived too: of each stream what
/// was received at or after the time that `since` says, nothing of a stream for which it says `None`. Returns how many. Blocking.
///
/// Parts that hold nothing of it are not opened.
pub fn replay_readings(dir: &Path, since: &dyn Fn(&Name) -> Option<Timestamp>, each: &mut dyn FnMut(Reading)) -> Result<u64, StoreError> {
    let Snapshot { manifest, logs } = Snapshot::take(dir)?;
    let wanted = manifest.parts.iter().filter_map(|part| {
        let origin = match part.table {
            Table::Readings => Origin::Sensor,
            Table::Observations => Origin::Vision,
            Table::Derived => Origin::Derived,
            _ => return None,
        };
        let since = since(part.stream.as_ref()?)?;
        (part.arrived.1 >= since.as_millis()).then_some((part, (origin, since)))
    });
    let mut slices = Slices::new(wanted.collect(), READINGS);
    let columns = restore::reading_columns();
    let mut names = Names::new();
    let mut count = 0;
    let mut sealed = |before: u64, slices: &mut Slices<'_, _>, each: &mut dyn FnMut(Reading)| -> Result<(), StoreError> {
        while let Some((slice, parts)) = slices.next(before) {
            let mut readings = Vec::new();
            for (part, (origin, since)) in parts {
                read_slice(dir, part, Some(&columns), slice, &mut |batch| {
                    restore::readings(&batch, origin, since, &mut names, &mut readings)
                })?;
            }
            readings.sort_by_key(|(seq, _)| *seq);
            count += readings.len() as u64;
            readings.into_iter().for_each(|(_, reading)| each(reading));
        }
        Ok(())
    };
    let mut logged = 0;
    for log in logs {
        let segment = log.read()?;
        sealed(segment.first_seq, &mut slices, each)?;
        for (_, record) in segment.records() {
            if let Record::Reading(reading) = record
                && since(&reading.stream).is_some_and(|since| reading.received >= since)
            {
                logged += 1;
                each(reading);
            }
        }
    }
    sealed(u64::MAX, &mut slices, each)?;
    Ok(count + logged)
}

/// When the last reading arrived that is not derived; `None` when there is none. Blocking.
///
/// Segments may hold no reading at all: a broker that sends again what is stored fills them with refusals.
pub fn newest_arrival(dir: &Path) -> Result<Option<Timestamp>, StoreError> {
    let Snapshot { manifest, logs } = Snapshot::take(dir)?;
    for log in logs.into_iter().rev() {
        let arrived = |record| match record {
            Record::Reading(reading) if reading.origin != Origin::Derived => Some(reading.received),
            _ => None,
        };
        let newest = log.read()?.records().filter_map(|(_, record)| arrived(record)).max();
        if newest.is_some() {
            return Ok(newest);
        }
    }
    let measured = manifest.parts.iter().filter(|part| matches!(part.table, Table::Readings | Table::Observations));
    Ok(measured.map(|part| Timestamp::from_millis(part.arrived.1)).max())
}

/// The first `limit` transitions with a sequence above `seq`, in order. Blocking.
///
/// May hold transitions that a running writer has written but not synced; [`crate::TransitionTail`] never gives those.
pub fn transitions_after(dir: &Path, seq: u64, limit: usize) -> Result<Vec<Transition>, StoreError> {
    let mut found = Vec::new();
    each_transition(dir, seq, &mut |transition| {
        if found.len() < limit {
            found.push(transition);
        }
        found.len() < limit
    })?;
    Ok(found)
}

/// Every transition of the alert `id`, in order. Blocking.
pub fn transitions_of(dir: &Path, id: &str) -> Result<Vec<Transition>, StoreError> {
    let mut found = Vec::new();
    each_transition(dir, 0, &mut |transition| {
        if transition.alert.id == *id {
            found.push(transition);
        }
        true
    })?;
    Ok(found)
}

/// Gives the transitions with a sequence above `seq` to `each`, in order, until it has enough.
fn each_transition(dir: &Path, seq: u64, each: &mut dyn FnMut(Transition) -> bool) -> Result<(), StoreError> {
    let Snapshot { manifest, logs } = Snapshot::take(dir)?;
    let wanted = manifest.parts.iter().filter(|part| part.table == Table::Alerts).map(|part| (part, ()));
    let mut slices = Slices::new(wanted.collect(), TRANSITIONS);
    slices.from = seq.saturating_add(1);
    let sealed = |before: u64, slices: &mut Slices<'_, ()>, each: &mut dyn FnMut(Transition) -> bool| -> Result<bool, StoreError> {
        while let Some((slice, parts)) = slices.next(before) {
            let mut transitions = Vec::new();
            for (part, ()) in parts {
                read_slice(dir, part, None, slice, &mut |batch| restore::transitions(&batch, &mut transitions))?;
            }
            transitions.sort_by_key(|(seq, _)| *seq);
            if !transitions.into_iter().all(|(_, transition)| each(transition)) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    for log in logs {
        let segment = log.read()?;
        // Its checkpoint says where its transitions begin; where that is damaged, the first of them does.
        let first =
            || segment.records().find_map(|(_, record)| if let Record::Transition(first) = record { Some(first.seq) } else { None });
        let begin = segment.checkpoint.as_ref().map(|checkpoint| checkpoint.state.next_seq).or_else(first);
        if !sealed(begin.unwrap_or(0), &mut slices, each)? {
            return Ok(());
        }
        for (_, record) in segment.records() {
            if let Record::Transition(transition) = record
                && transition.seq > seq
                && !each(Arc::unwrap_or_clone(transition))
            {
                return Ok(());
            }
        }
    }
    sealed(u64::MAX, &mut slices, each)?;
    Ok(())
}

/// Cuts the sequences of parts, each with something of its reader's, into slices that hold at most so many records.
struct Slices<'a, T> {
    parts: Vec<(&'a Part, T)>,
    from: u64,
    most: u64,
}

/// Sequences `(first, behind the last)` and the parts that may hold them.
type Slice<'a, T> = ((u64, u64), Vec<(&'a Part, T)>);

impl<'a, T: Copy> Slices<'a, T> {
    fn new(parts: Vec<(&'a Part, T)>, most: u64) -> Self {
        Self { parts, from: 0, most }
    }

    /// The next slice below `before`, `(first, behind the last)`, with the parts that may hold any of it.
    fn next(&mut self, before: u64) -> Option<Slice<'a, T>> {
        let from = self.from;
        self.parts.retain(|(part, _)| part.seq.1 >= from);
        let first = self.parts.iter().map(|(part, _)| part.seq.0.max(from)).min().filter(|first| *first < before)?;
        let last = self.parts.iter().map(|(part, _)| part.seq.1).max()?;
        // No more records than sequences, and no more of a part than it has rows: both grow with the end of the slice.
        let records = |end: u64| {
            let of_parts = self.parts.iter().map(|(part, _)| {
                let overlap = end.min(part.seq.1 + 1).saturating_sub(part.seq.0.max(first));
                overlap.min(part.rows)
            });
            of_parts.sum::<u64>().min(end - first)
        };
        let (mut fits, mut exceeds) = (first + 1, before.min(last + 1).max(first + 1) + 1);
        while exceeds - fits > 1 {
            let middle = fits + (exceeds - fits) / 2;
            if records(middle) <= self.most { fits = middle } else { exceeds = middle }
        }
        self.from = fits;
        let parts = self.parts.iter().filter(|(part, _)| part.seq.0 < fits && part.seq.1 >= first);
        Some(((first, fits), parts.copied().collect()))
    }
}

/// Gives the rows of `part` whose `seq` is in `slice` to `each`; of the columns `columns`, or all as they are.
pub(crate) fn read_slice(
    dir: &Path,
    part: &Part,
    columns: Option<&SchemaRef>,
    (first, end): (u64, u64),
    each: &mut dyn FnMut(RecordBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let file = part::open(dir, part)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let stored = metadata.parquet_schema();
    let mut mask = ProjectionMask::all();
    let mut metadata = metadata.clone();
    if let Some(columns) = columns {
        mask = ProjectionMask::columns(stored, columns.fields().iter().map(|column| column.name().as_str()));
        let schema = part::with_types(metadata.schema(), columns);
        metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))?;
    }
    let mut reader =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone()).with_projection(mask).with_batch_size(BATCH);
    if part.seq.0 < first || part.seq.1 >= end {
        let seq = ProjectionMask::columns(metadata.parquet_schema(), ["seq"]);
        let inside = move |batch: RecordBatch| {
            let seqs = batch.column(0).as_primitive::<UInt64Type>();
            Ok(BooleanArray::from_unary(seqs, |seq| first <= seq && seq < end))
        };
        reader = reader.with_row_filter(RowFilter::new(vec![Box::new(ArrowPredicateFn::new(seq, inside))]));
    }
    for batch in reader.build()? {
        each(batch?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
