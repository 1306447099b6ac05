//! Rows back to records. Invariant: what [`crate::rows`] made of a record is read back as that record (figures through JSON keep what a
//! shortest decimal keeps; one that is not finite comes back as NaN).

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, TimestampMillisecondType, UInt64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use huong_types::{Ack, Alert, Field, Interner, Name, Origin, Quality, Reading, Text, Timestamp, Transition, Value, Values};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};
use smallvec::SmallVec;

use crate::StoreError;

/// Enough for the names of any city; past it names are still right, only not shared.
const NAMES: usize = 1 << 16;

/// Adds the readings of `batch` that were received at or after `since` to `readings`, by record sequence.
///
/// The fields of a reading may be spread over batches; they come in their order.
pub(crate) fn readings(
    batch: &RecordBatch,
    origin: Origin,
    since: Timestamp,
    names: &mut Names,
    readings: &mut BTreeMap<u64, Reading>,
) -> Result<(), StoreError> {
    let seq = primitive::<UInt64Type>(batch, "seq")?;
    let (at, received) = (times(batch, "at")?, times(batch, "received")?);
    let (stream, key, field, source) = (text(batch, "stream")?, text(batch, "key")?, text(batch, "field")?, text(batch, "source")?);
    let (value, note) = (primitive::<Float64Type>(batch, "value")?, text(batch, "text")?);
    let (quality, check, orphan) = (text(batch, "quality")?, text(batch, "check_failed")?, truth(batch, "orphan")?);
    for row in 0..batch.num_rows() {
        let arrived = Timestamp::from_millis(received.value(row));
        if arrived < since {
            continue;
        }
        let value = if value.is_valid(row) { Value::Number(value.value(row)) } else { Value::Text(note.value(row).into()) };
        let check = check.is_valid(row).then(|| parse(check.value(row))).transpose()?;
        let field = Field { name: names.0.name(field.value(row)), value, quality: Quality { flag: parse(quality.value(row))?, check } };
        let reading = readings.entry(seq.value(row)).or_insert_with(|| Reading {
            stream: names.0.name(stream.value(row)),
            key: names.0.name(key.value(row)),
            at: Timestamp::from_millis(at.value(row)),
            received: arrived,
            fields: SmallVec::new(),
            source: names.0.name(source.value(row)),
            origin,
            orphan: orphan.value(row),
        });
        reading.fields.push(field);
    }
    Ok(())
}

/// Adds the transitions of `batch` with a sequence above `after` to `transitions`.
pub(crate) fn transitions(batch: &RecordBatch, after: u64, transitions: &mut BTreeMap<u64, Transition>) -> Result<(), StoreError> {
    let seqs = primitive::<UInt64Type>(batch, "seq")?;
    let column = |name| text(batch, name);
    let time = |name| times(batch, name);
    let (at, decided, since, raised, updated) = (time("at")?, time("decided")?, time("since")?, time("raised")?, time("updated")?);
    let (stale_since, ack_at) = (time("stale_since")?, time("ack_at")?);
    let (kind, id, rule, key, stream) = (column("kind")?, column("id")?, column("rule")?, column("key")?, column("stream")?);
    let (severity, state, values, vi, en) =
        (column("severity")?, column("state")?, column("values")?, column("text_vi")?, column("text_en")?);
    let (ack_by, inhibited_by, notify, cause) = (column("ack_by")?, column("inhibited_by")?, column("notify")?, column("cause")?);
    let (holds, silence) = (truth(batch, "holds")?, truth(batch, "silence")?);
    let name = |column: &StringArray, row: usize| Name::new(column.value(row));
    for row in 0..batch.num_rows() {
        let seq = seqs.value(row);
        if seq <= after {
            continue;
        }
        let instant = |column: &PrimitiveArray<TimestampMillisecondType>| Timestamp::from_millis(column.value(row));
        let figures: BTreeMap<Name, Option<f64>> = serde_json::from_str(values.value(row))?;
        let values: Values = figures.into_iter().map(|(name, figure)| (name, figure.unwrap_or(f64::NAN))).collect();
        let alert = Alert {
            id: name(id, row),
            rule: name(rule, row),
            key: name(key, row),
            stream: name(stream, row),
            severity: parse(severity.value(row))?,
            state: parse(state.value(row))?,
            holds: holds.value(row),
            stale_since: stale_since.is_valid(row).then(|| instant(stale_since)),
            since: instant(since),
            raised: instant(raised),
            updated: instant(updated),
            values,
            text: Text { vi: vi.value(row).to_owned(), en: en.value(row).to_owned() },
            ack: ack_by.is_valid(row).then(|| Ack { by: ack_by.value(row).to_owned(), at: instant(ack_at) }),
            inhibited_by: inhibited_by.is_valid(row).then(|| name(inhibited_by, row)),
            silence: silence.value(row),
            notify: serde_json::from_str(notify.value(row))?,
        };
        let cause = serde_json::from_str(cause.value(row))?;
        transitions
            .insert(seq, Transition { seq, kind: parse(kind.value(row))?, at: instant(at), decided: instant(decided), alert, cause });
    }
    Ok(())
}

/// Shares the few names of many readings.
pub(crate) struct Names(Interner);

impl Names {
    pub(crate) fn new() -> Names {
        Names(Interner::new(NAMES))
    }
}

/// An enum by its name, as it is in JSON.
fn parse<T: DeserializeOwned>(name: &str) -> Result<T, StoreError> {
    T::deserialize(StrDeserializer::<NameError>::new(name)).map_err(|error| ArrowError::ParseError(error.to_string()).into())
}

fn primitive<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<T>, StoreError> {
    column(batch, name)?.as_primitive_opt().ok_or_else(|| wrong_type(name))
}

fn times<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<TimestampMillisecondType>, StoreError> {
    primitive(batch, name)
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, StoreError> {
    column(batch, name)?.as_string_opt().ok_or_else(|| wrong_type(name))
}

fn truth<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a BooleanArray, StoreError> {
    column(batch, name)?.as_boolean_opt().ok_or_else(|| wrong_type(name))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, StoreError> {
    Ok(batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a part has no column `{name}`")))?.as_ref())
}

fn wrong_type(name: &str) -> StoreError {
    ArrowError::SchemaError(format!("a part has another type in column `{name}`")).into()
}
