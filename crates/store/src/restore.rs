//! Rows back to records. Invariant: what [`crate::rows`] made of a record is read back as that record (figures through JSON keep what a
//! shortest decimal keeps; one that is not finite comes back as NaN).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int32Type, Schema, SchemaRef, TimestampMillisecondType, UInt64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use huong_types::{Ack, Alert, Field, Interner, Name, Origin, Quality, Reading, Shelf, Text, Timestamp, Transition, Value, Values};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};
use smallvec::SmallVec;

use crate::StoreError;
use crate::table::Table;

/// Enough for the names of any city; past it names are still right, only not shared.
const NAMES: usize = 1 << 16;

/// The columns that [`readings`] reads, with texts of few values as dictionaries: each is then looked up once a batch, not once a row.
pub(crate) fn reading_columns() -> SchemaRef {
    let columns = Table::Readings.schema();
    let needed = columns.fields().iter().filter(|column| column.name() != "day").map(|column| {
        let shared = *column.data_type() == DataType::Utf8 && column.name() != "text";
        let kind =
            if shared { DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)) } else { column.data_type().clone() };
        column.as_ref().clone().with_data_type(kind)
    });
    Arc::new(Schema::new(needed.collect::<Vec<_>>()))
}

/// Adds the readings of `batch`, which has [`reading_columns`], that were received at or after `since` to `readings`.
///
/// The fields of a reading stand side by side, also over the batches of one part.
pub(crate) fn readings(
    batch: &RecordBatch,
    origin: Origin,
    since: Timestamp,
    names: &mut Names,
    readings: &mut Vec<(u64, Reading)>,
) -> Result<(), StoreError> {
    let seq = primitive::<UInt64Type>(batch, "seq")?;
    let (at, received) = (times(batch, "at")?, times(batch, "received")?);
    let mut name = |text: &str| Ok(names.0.name(text));
    let (stream, key) = (Coded::new(batch, "stream", &mut name)?, Coded::new(batch, "key", &mut name)?);
    let (field, source) = (Coded::new(batch, "field", &mut name)?, Coded::new(batch, "source", &mut name)?);
    let (value, note) = (primitive::<Float64Type>(batch, "value")?, text(batch, "text")?);
    let (quality, check) = (Coded::new(batch, "quality", &mut parse)?, Coded::new(batch, "check_failed", &mut parse)?);
    let orphan = truth(batch, "orphan")?;
    for row in 0..batch.num_rows() {
        let arrived = Timestamp::from_millis(received.value(row));
        if arrived < since {
            continue;
        }
        let value = if value.is_valid(row) { Value::Number(value.value(row)) } else { Value::Text(note.value(row).into()) };
        let quality = Quality { flag: quality.value(row)?, check: check.option(row) };
        let field = Field { name: field.value(row)?, value, quality };
        let seq = seq.value(row);
        match readings.last_mut() {
            Some((last, reading)) if *last == seq => reading.fields.push(field),
            _ => readings.push((
                seq,
                Reading {
                    stream: stream.value(row)?,
                    key: key.value(row)?,
                    at: Timestamp::from_millis(at.value(row)),
                    received: arrived,
                    fields: SmallVec::from_iter([field]),
                    source: source.value(row)?,
                    origin,
                    orphan: orphan.value(row),
                },
            )),
        }
    }
    Ok(())
}

/// A column of a dictionary's codes, with what each code means.
struct Coded<'a, T> {
    codes: &'a PrimitiveArray<Int32Type>,
    values: Vec<T>,
}

impl<'a, T: Clone> Coded<'a, T> {
    fn new(batch: &'a RecordBatch, name: &str, meaning: &mut dyn FnMut(&str) -> Result<T, StoreError>) -> Result<Self, StoreError> {
        let column = column(batch, name)?.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong_type(name))?;
        let texts = column.values().as_string_opt::<i32>().ok_or_else(|| wrong_type(name))?;
        let values = texts.iter().map(|text| meaning(text.unwrap_or_default())).collect::<Result<_, _>>()?;
        Ok(Self { codes: column.keys(), values })
    }

    fn option(&self, row: usize) -> Option<T> {
        let code = self.codes.is_valid(row).then(|| self.codes.value(row))?;
        self.values.get(usize::try_from(code).ok()?).cloned()
    }

    fn value(&self, row: usize) -> Result<T, StoreError> {
        self.option(row).ok_or_else(|| ArrowError::SchemaError("a part has no text where one is needed".to_owned()).into())
    }
}

/// Adds the transitions of `batch` to `transitions`.
pub(crate) fn transitions(batch: &RecordBatch, transitions: &mut Vec<(u64, Transition)>) -> Result<(), StoreError> {
    let rows = AlertRows(batch);
    for row in 0..batch.num_rows() {
        let seq = rows.whole("seq", row)?;
        transitions.push((seq, rows.transition(seq, row)?));
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
            assigned: self.note("assigned", row)?.map(|text| serde_json::from_str(&text)).transpose()?,
            notes: self.json("notes", row)?,
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

pub(crate) fn primitive<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<T>, StoreError> {
    column(batch, name)?.as_primitive_opt().ok_or_else(|| wrong_type(name))
}

fn times<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<TimestampMillisecondType>, StoreError> {
    primitive(batch, name)
}

pub(crate) fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, StoreError> {
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
