//! Rows back to records. Invariant: what [`crate::rows`] made of a record is read back as that record (figures through JSON keep what a
//! shortest decimal keeps; one that is not finite comes back as NaN).

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, TimestampMillisecondType, UInt64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use huong_types::{Ack, Alert, Field, Interner, Name, Origin, Quality, Reading, Shelf, Text, Timestamp, Transition, Value, Values};
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
    let rows = AlertRows(batch);
    for row in 0..batch.num_rows() {
        let seq = rows.whole("seq", row)?;
        if seq > after {
            transitions.insert(seq, rows.transition(seq, row)?);
        }
    }
    Ok(())
}

/// Rows of transitions, read by the name of their columns: there are few of them, and each is read once.
struct AlertRows<'a>(&'a RecordBatch);

impl AlertRows<'_> {
    fn transition(&self, seq: u64, row: usize) -> Result<Transition, StoreError> {
        let figures: BTreeMap<Name, Option<f64>> = self.json("values", row)?;
        let ack = self.note("ack_by", row)?.map(|by| Ok::<_, StoreError>(Ack { by, at: self.time("ack_at", row)? })).transpose()?;
        let shelf = self.note("shelved_by", row)?.map(|by| {
            let (why, at, until) = (self.text("shelved_why", row)?, self.time("shelved_at", row)?, self.time("shelved_until", row)?);
            Ok::<_, StoreError>(Shelf { by, why: why.to_owned(), at, until })
        });
        let alert = Alert {
            id: self.name("id", row)?,
            about: parse(self.text("about", row)?)?,
            rule: self.name("rule", row)?,
            rule_version: self.name("rule_version", row)?,
            key: self.name("key", row)?,
            stream: self.name("stream", row)?,
            severity: parse(self.text("severity", row)?)?,
            state: parse(self.text("state", row)?)?,
            pending: self.truth("pending", row)?,
            holds: self.truth("holds", row)?,
            stale_since: self.moment("stale_since", row)?,
            since: self.time("since", row)?,
            raised: self.time("raised", row)?,
            updated: self.time("updated", row)?,
            ended: self.moment("ended", row)?,
            values: figures.into_iter().map(|(name, figure)| (name, figure.unwrap_or(f64::NAN))).collect::<Values>(),
            text: Text { vi: self.text("text_vi", row)?.to_owned(), en: self.text("text_en", row)?.to_owned() },
            ack,
            latch: self.truth("latch", row)?,
            shelf: shelf.transpose()?,
            inhibited_by: self.note("inhibited_by", row)?.map(Name::from),
            folded_into: self.note("folded_into", row)?.map(Name::from),
            flapping_until: self.moment("flapping_until", row)?,
            announced: self.moment("announced_at", row)?,
            escalated: u32::try_from(self.whole("escalated", row)?).unwrap_or(u32::MAX),
            exercise: self.truth("exercise", row)?,
            silence: self.truth("silence", row)?,
            notify: self.json("notify", row)?,
        };
        Ok(Transition {
            seq,
            kind: parse(self.text("kind", row)?)?,
            at: self.time("at", row)?,
            decided: self.time("decided", row)?,
            announced: self.truth("announced", row)?,
            recipients: self.json("recipients", row)?,
            by: self.note("by", row)?,
            alert,
            cause: self.json("cause", row)?,
        })
    }

    fn whole(&self, column: &str, row: usize) -> Result<u64, StoreError> {
        Ok(primitive::<UInt64Type>(self.0, column)?.value(row))
    }

    fn truth(&self, column: &str, row: usize) -> Result<bool, StoreError> {
        Ok(truth(self.0, column)?.value(row))
    }

    fn text(&self, column: &str, row: usize) -> Result<&str, StoreError> {
        Ok(text(self.0, column)?.value(row))
    }

    fn name(&self, column: &str, row: usize) -> Result<Name, StoreError> {
        Ok(Name::new(self.text(column, row)?))
    }

    fn note(&self, column: &str, row: usize) -> Result<Option<String>, StoreError> {
        let column = text(self.0, column)?;
        Ok(column.is_valid(row).then(|| column.value(row).to_owned()))
    }

    fn time(&self, column: &str, row: usize) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(times(self.0, column)?.value(row)))
    }

    fn moment(&self, column: &str, row: usize) -> Result<Option<Timestamp>, StoreError> {
        let column = times(self.0, column)?;
        Ok(column.is_valid(row).then(|| Timestamp::from_millis(column.value(row))))
    }

    fn json<T: DeserializeOwned>(&self, column: &str, row: usize) -> Result<T, StoreError> {
        Ok(serde_json::from_str(self.text(column, row)?)?)
    }
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
