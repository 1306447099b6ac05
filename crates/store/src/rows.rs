//! Records to rows. Invariant: rows come out in the order in which records went in, a reading's fields side by side.

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, StringBuilder, TimestampMillisecondBuilder,
    UInt64Builder,
};
use arrow::record_batch::RecordBatch;
use huong_types::{Quarantined, Reading, Timestamp, Transition, Value};

use crate::table::{Table, local_day};
use crate::{Record, StoreError};

/// Gathers rows of one table.
pub(crate) struct Rows {
    table: Table,
    columns: Columns,
}

/// In the order of the schema.
enum Columns {
    Readings(Box<ReadingColumns>),
    Alerts(Box<AlertColumns>),
    Quarantine(Box<QuarantineColumns>),
}

impl Rows {
    /// Of a table of records.
    pub(crate) fn new(table: Table) -> Rows {
        let columns = match table {
            Table::Alerts => Columns::Alerts(Box::default()),
            Table::Quarantine => Columns::Quarantine(Box::default()),
            _ => Columns::Readings(Box::default()),
        };
        Rows { table, columns }
    }

    /// Adds `record`, which belongs to this table.
    pub(crate) fn push(&mut self, seq: u64, record: &Record) -> Result<(), StoreError> {
        match (&mut self.columns, record) {
            (Columns::Readings(columns), Record::Reading(reading)) => columns.push(seq, reading),
            (Columns::Alerts(columns), Record::Transition(transition)) => columns.push(seq, transition)?,
            (Columns::Quarantine(columns), Record::Quarantined(refused)) => columns.push(seq, refused),
            _ => debug_assert!(false, "a record in the rows of another table"),
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<RecordBatch, StoreError> {
        let columns = match self.columns {
            Columns::Readings(columns) => columns.finish(),
            Columns::Alerts(columns) => columns.finish(),
            Columns::Quarantine(columns) => columns.finish(),
        };
        Ok(RecordBatch::try_new(self.table.schema(), columns)?)
    }
}

/// Timestamps of the schema's type.
struct Times(TimestampMillisecondBuilder);

impl Default for Times {
    fn default() -> Self {
        Self(TimestampMillisecondBuilder::new().with_timezone("UTC"))
    }
}

impl Times {
    fn push(&mut self, at: Timestamp) {
        self.0.append_value(at.as_millis());
    }

    fn push_option(&mut self, at: Option<Timestamp>) {
        self.0.append_option(at.map(Timestamp::as_millis));
    }
}

#[derive(Default)]
struct ReadingColumns {
    seq: UInt64Builder,
    at: Times,
    day: Date32Builder,
    received: Times,
    stream: StringBuilder,
    key: StringBuilder,
    field: StringBuilder,
    value: Float64Builder,
    text: StringBuilder,
    quality: StringBuilder,
    check_failed: StringBuilder,
    source: StringBuilder,
    orphan: BooleanBuilder,
}

impl ReadingColumns {
    /// One row per field.
    fn push(&mut self, seq: u64, reading: &Reading) {
        for field in &reading.fields {
            self.seq.append_value(seq);
            self.at.push(reading.at);
            self.day.append_value(local_day(reading.at));
            self.received.push(reading.received);
            self.stream.append_value(reading.stream.as_str());
            self.key.append_value(reading.key.as_str());
            self.field.append_value(field.name.as_str());
            match &field.value {
                Value::Number(number) => {
                    self.value.append_value(*number);
                    self.text.append_null();
                }
                Value::Text(text) => {
                    self.value.append_null();
                    self.text.append_value(text);
                }
            }
            self.quality.append_value(field.quality.flag.as_str());
            self.check_failed.append_option(field.quality.check.map(|check| check.as_str()));
            self.source.append_value(reading.source.as_str());
            self.orphan.append_value(reading.orphan);
        }
    }

    fn finish(mut self: Box<Self>) -> Vec<ArrayRef> {
        finish([
            &mut self.seq,
            &mut self.at.0,
            &mut self.day,
            &mut self.received.0,
            &mut self.stream,
            &mut self.key,
            &mut self.field,
            &mut self.value,
            &mut self.text,
            &mut self.quality,
            &mut self.check_failed,
            &mut self.source,
            &mut self.orphan,
        ])
    }
}

#[derive(Default)]
struct AlertColumns {
    seq: UInt64Builder,
    at: Times,
    day: Date32Builder,
    decided: Times,
    kind: StringBuilder,
    announced: BooleanBuilder,
    recipients: StringBuilder,
    by: StringBuilder,
    id: StringBuilder,
    about: StringBuilder,
    rule: StringBuilder,
    rule_version: StringBuilder,
    key: StringBuilder,
    stream: StringBuilder,
    severity: StringBuilder,
    state: StringBuilder,
    pending: BooleanBuilder,
    holds: BooleanBuilder,
    stale_since: Times,
    since: Times,
    raised: Times,
    updated: Times,
    ended: Times,
    values: StringBuilder,
    text_vi: StringBuilder,
    text_en: StringBuilder,
    ack_by: StringBuilder,
    ack_at: Times,
    assigned: StringBuilder,
    notes: StringBuilder,
    latch: BooleanBuilder,
    shelved_by: StringBuilder,
    shelved_why: StringBuilder,
    shelved_at: Times,
    shelved_until: Times,
    inhibited_by: StringBuilder,
    folded_into: StringBuilder,
    flapping_until: Times,
    announced_at: Times,
    escalated: UInt64Builder,
    exercise: BooleanBuilder,
    silence: BooleanBuilder,
    notify: StringBuilder,
    cause: StringBuilder,
    record: UInt64Builder,
}

impl AlertColumns {
    /// One row per transition. Its `seq` is the transition's, by which sinks resume.
    fn push(&mut self, record: u64, transition: &Transition) -> Result<(), StoreError> {
        let alert = &transition.alert;
        // Those that may fail come first, so that the columns stay equally long.
        let (values, notify) = (serde_json::to_string(&alert.values)?, serde_json::to_string(&alert.notify)?);
        let (recipients, cause) = (serde_json::to_string(&transition.recipients)?, serde_json::to_string(&transition.cause)?);
        let (assigned, notes) = (alert.assigned.as_ref().map(serde_json::to_string).transpose()?, serde_json::to_string(&alert.notes)?);
        self.assigned.append_option(assigned);
        self.notes.append_value(notes);
        self.recipients.append_value(recipients);
        self.values.append_value(values);
        self.notify.append_value(notify);
        self.cause.append_value(cause);
        self.seq.append_value(transition.seq);
        self.at.push(transition.at);
        self.day.append_value(local_day(transition.at));
        self.decided.push(transition.decided);
        self.kind.append_value(transition.kind.as_str());
        self.announced.append_value(transition.announced);
        self.by.append_option(transition.by.as_ref());
        self.id.append_value(alert.id.as_str());
        self.about.append_value(alert.about.as_str());
        self.rule.append_value(alert.rule.as_str());
        self.rule_version.append_value(alert.rule_version.as_str());
        self.key.append_value(alert.key.as_str());
        self.stream.append_value(alert.stream.as_str());
        self.severity.append_value(alert.severity.as_str());
        self.state.append_value(alert.state.as_str());
        self.pending.append_value(alert.pending);
        self.holds.append_value(alert.holds);
        self.stale_since.push_option(alert.stale_since);
        self.since.push(alert.since);
        self.raised.push(alert.raised);
        self.updated.push(alert.updated);
        self.ended.push_option(alert.ended);
        self.text_vi.append_value(&alert.text.vi);
        self.text_en.append_value(&alert.text.en);
        self.ack_by.append_option(alert.ack.as_ref().map(|ack| &ack.by));
        self.ack_at.push_option(alert.ack.as_ref().map(|ack| ack.at));
        self.latch.append_value(alert.latch);
        let shelf = alert.shelf.as_ref();
        self.shelved_by.append_option(shelf.map(|shelf| &shelf.by));
        self.shelved_why.append_option(shelf.map(|shelf| &shelf.why));
        self.shelved_at.push_option(shelf.map(|shelf| shelf.at));
        self.shelved_until.push_option(shelf.map(|shelf| shelf.until));
        self.inhibited_by.append_option(alert.inhibited_by.as_deref());
        self.folded_into.append_option(alert.folded_into.as_deref());
        self.flapping_until.push_option(alert.flapping_until);
        self.announced_at.push_option(alert.announced);
        self.escalated.append_value(alert.escalated.into());
        self.exercise.append_value(alert.exercise);
        self.silence.append_value(alert.silence);
        self.record.append_value(record);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Vec<ArrayRef> {
        finish([
            &mut self.seq,
            &mut self.at.0,
            &mut self.day,
            &mut self.decided.0,
            &mut self.kind,
            &mut self.announced,
            &mut self.recipients,
            &mut self.by,
            &mut self.id,
            &mut self.about,
            &mut self.rule,
            &mut self.rule_version,
            &mut self.key,
            &mut self.stream,
            &mut self.severity,
            &mut self.state,
            &mut self.pending,
            &mut self.holds,
            &mut self.stale_since.0,
            &mut self.since.0,
            &mut self.raised.0,
            &mut self.updated.0,
            &mut self.ended.0,
            &mut self.values,
            &mut self.text_vi,
            &mut self.text_en,
            &mut self.ack_by,
            &mut self.ack_at.0,
            &mut self.assigned,
            &mut self.notes,
            &mut self.latch,
            &mut self.shelved_by,
            &mut self.shelved_why,
            &mut self.shelved_at.0,
            &mut self.shelved_until.0,
            &mut self.inhibited_by,
            &mut self.folded_into,
            &mut self.flapping_until.0,
            &mut self.announced_at.0,
            &mut self.escalated,
            &mut self.exercise,
            &mut self.silence,
            &mut self.notify,
            &mut self.cause,
            &mut self.record,
        ])
    }
}

#[derive(Default)]
struct QuarantineColumns {
    seq: UInt64Builder,
    received: Times,
    day: Date32Builder,
    topic: StringBuilder,
    source: StringBuilder,
    stream: StringBuilder,
    reason: StringBuilder,
    detail: StringBuilder,
    length: UInt64Builder,
    bytes: BinaryBuilder,
}

impl QuarantineColumns {
    fn push(&mut self, seq: u64, refused: &Quarantined) {
        self.seq.append_value(seq);
        self.received.push(refused.received);
        self.day.append_value(local_day(refused.received));
        self.topic.append_value(&refused.topic);
        self.source.append_option(refused.source.as_deref());
        self.stream.append_option(refused.stream.as_deref());
        self.reason.append_value(refused.reason.as_str());
        self.detail.append_value(&refused.detail);
        self.length.append_value(refused.length);
        self.bytes.append_value(&refused.bytes);
    }

    fn finish(mut self: Box<Self>) -> Vec<ArrayRef> {
        finish([
            &mut self.seq,
            &mut self.received.0,
            &mut self.day,
            &mut self.topic,
            &mut self.source,
            &mut self.stream,
            &mut self.reason,
            &mut self.detail,
            &mut self.length,
            &mut self.bytes,
        ])
    }
}

fn finish<const N: usize>(columns: [&mut dyn ArrayBuilder; N]) -> Vec<ArrayRef> {
    columns.into_iter().map(|column| column.finish()).collect()
}
