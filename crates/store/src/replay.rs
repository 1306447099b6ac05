//! Reading back in the order of the log, without SQL: readings to rebuild windows, transitions for the sinks.
//!
//! Invariant: one segment at a time is in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use huong_types::{Origin, Reading, Timestamp, Transition};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::Context;
use crate::manifest::Part;
use crate::restore::{self, Names};
use crate::snapshot::{Snapshot, Source};
use crate::table::Table;
use crate::{Record, StoreError};

/// Gives every reading that was received at or after `since`, observations and what rules derived too, to `each` in the order in which
/// they were appended. Returns how many. Blocking.
pub fn replay_readings(dir: &Path, since: Timestamp, each: &mut dyn FnMut(Reading)) -> Result<u64, StoreError> {
    let mut count = 0;
    let mut names = Names::new();
    for source in Snapshot::take(dir)?.sources {
        match source {
            Source::Sealed(sealed) => {
                let mut readings = BTreeMap::new();
                for part in sealed.parts.iter().filter(|part| part.arrived.1 >= since.as_millis()) {
                    let origin = match part.table {
                        Table::Readings => Origin::Sensor,
                        Table::Observations => Origin::Vision,
                        Table::Derived => Origin::Derived,
                        Table::Alerts | Table::Quarantine => continue,
                    };
                    read_part(dir, part, &mut |batch| restore::readings(&batch, origin, since, &mut names, &mut readings))?;
                }
                count += readings.len() as u64;
                readings.into_values().for_each(&mut *each);
            }
            Source::Log(log) => {
                for (_, record) in log.read()?.records() {
                    if let Record::Reading(reading) = record
                        && reading.received >= since
                    {
                        count += 1;
                        each(reading);
                    }
                }
            }
        }
    }
    Ok(count)
}

/// When the last reading arrived that is not derived; `None` when there is none. Blocking.
///
/// Segments may hold no reading at all: a broker that sends again what is stored fills them with refusals.
pub fn newest_arrival(dir: &Path) -> Result<Option<Timestamp>, StoreError> {
    for source in Snapshot::take(dir)?.sources.into_iter().rev() {
        let newest = match source {
            Source::Sealed(sealed) => {
                let parts = sealed.parts.iter().filter(|part| matches!(part.table, Table::Readings | Table::Observations));
                parts.map(|part| Timestamp::from_millis(part.arrived.1)).max()
            }
            Source::Log(log) => {
                let arrived = |record| match record {
                    Record::Reading(reading) if reading.origin != Origin::Derived => Some(reading.received),
                    _ => None,
                };
                log.read()?.records().filter_map(|(_, record)| arrived(record)).max()
            }
        };
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
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
    for source in Snapshot::take(dir)?.sources {
        match source {
            Source::Sealed(sealed) => {
                let mut transitions = BTreeMap::new();
                for part in sealed.parts.iter().filter(|part| part.table == Table::Alerts && part.seq.1 > seq) {
                    read_part(dir, part, &mut |batch| restore::transitions(&batch, seq, &mut transitions))?;
                }
                if !transitions.into_values().all(&mut *each) {
                    return Ok(());
                }
            }
            Source::Log(log) => {
                for (_, record) in log.read()?.records() {
                    if let Record::Transition(transition) = record
                        && transition.seq > seq
                        && !each(Arc::unwrap_or_clone(transition))
                    {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

fn read_part(dir: &Path, part: &Part, each: &mut dyn FnMut(RecordBatch) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let path = dir.join(&part.path);
    let file = File::open(&path).during("open", &path)?;
    for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
        each(batch?)?;
    }
    Ok(())
}
