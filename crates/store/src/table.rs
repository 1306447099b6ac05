//! The tables: their columns, and which part of which table a record belongs to.
//!
//! Invariant: the schemas here are those of the Parquet parts and of the open log alike. Columns may be added, never changed.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::temporal_conversions::date32_to_datetime;
use huong_types::{Name, Origin, Reading, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Table {
    Readings,
    Observations,
    /// What rules computed from other readings.
    Derived,
    Alerts,
    Quarantine,
    /// Partials of the readings' numbers by minute,
    #[serde(rename = "readings_1m")]
    Minutes,
    /// .. and by hour.
    #[serde(rename = "readings_1h")]
    Hours,
}

/// What goes into one file of a seal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    pub(crate) table: Table,
    pub(crate) stream: Option<Name>,
    /// Days since 1970-01-01, local.
    pub(crate) day: i32,
}

/// A day of Huế begins at 17:00 UTC; there is no daylight saving time.
const LOCAL: Span = Span::from_mins(7 * 60);
const DAY: Span = Span::from_mins(24 * 60);

static READINGS: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(vec![
        whole("seq"),
        time("at"),
        day(),
        time("received"),
        text("stream"),
        text("key"),
        text("field"),
        Field::new("value", DataType::Float64, true),
        text("text").with_nullable(true),
        text("quality"),
        text("check_failed").with_nullable(true),
        text("source"),
        truth("orphan"),
    ])
});

static ALERTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(vec![
        whole("seq"),
        time("at"),
        day(),
        time("decided"),
        text("kind"),
        truth("announced"),
        text("recipients"),
        text("by").with_nullable(true),
        text("id"),
        text("about"),
        text("rule"),
        text("rule_version"),
        text("key"),
        text("stream"),
        text("severity"),
        text("state"),
        truth("pending"),
        truth("holds"),
        time("stale_since").with_nullable(true),
        time("since"),
        time("raised"),
        time("updated"),
        time("ended").with_nullable(true),
        text("values"),
        text("text_vi"),
        text("text_en"),
        text("ack_by").with_nullable(true),
        time("ack_at").with_nullable(true),
        text("assigned").with_nullable(true),
        text("notes"),
        truth("latch"),
        text("shelved_by").with_nullable(true),
        text("shelved_why").with_nullable(true),
        time("shelved_at").with_nullable(true),
        time("shelved_until").with_nullable(true),
        text("inhibited_by").with_nullable(true),
        text("folded_into").with_nullable(true),
        time("flapping_until").with_nullable(true),
        time("announced_at").with_nullable(true),
        whole("escalated"),
        truth("exercise"),
        truth("silence"),
        text("notify"),
        text("cause"),
        // Its place in the log.
        whole("record"),
    ])
});

static QUARANTINE: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(vec![
        whole("seq"),
        time("received"),
        day(),
        text("topic"),
        text("source").with_nullable(true),
        text("stream").with_nullable(true),
        text("reason"),
        text("detail"),
        whole("length"),
        Field::new("bytes", DataType::Binary, false),
    ])
});

/// Of partials. Those of one bin are merged when they are read ([`crate::rollup`]); of one value, only `sum` and `first_at` are there.
static ROLLUP: LazyLock<SchemaRef> = LazyLock::new(|| {
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    schema(vec![
        whole("seq"),
        time("at"),
        day(),
        text("stream"),
        text("key"),
        text("field"),
        whole("n"),
        number("sum"),
        number("min"),
        number("max"),
        time("first_at").with_nullable(true),
        number("first"),
        time("last_at").with_nullable(true),
        number("last"),
        whole("left_out"),
    ])
});

impl Table {
    /// What records become.
    pub(crate) const RECORDS: [Table; 5] = [Table::Readings, Table::Observations, Table::Derived, Table::Alerts, Table::Quarantine];
    /// What is made of [`Table::Readings`].
    pub(crate) const ROLLUPS: [Table; 2] = [Table::Minutes, Table::Hours];

    pub(crate) fn all() -> impl Iterator<Item = Table> {
        Table::RECORDS.into_iter().chain(Table::ROLLUPS)
    }

    /// The length of a rollup's bins; they begin on the whole minute or hour of UTC, which are Huế's too.
    pub(crate) fn bin(self) -> Option<Span> {
        match self {
            Table::Minutes => Some(Span::from_mins(1)),
            Table::Hours => Some(Span::from_mins(60)),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Readings => "readings",
            Table::Observations => "observations",
            Table::Derived => "derived",
            Table::Alerts => "alerts",
            Table::Quarantine => "quarantine",
            Table::Minutes => "readings_1m",
            Table::Hours => "readings_1h",
        }
    }

    /// Whether its parts are of one stream each.
    pub(crate) fn by_stream(self) -> bool {
        !matches!(self, Table::Alerts | Table::Quarantine)
    }

    pub(crate) fn schema(self) -> SchemaRef {
        match self {
            Table::Readings | Table::Observations | Table::Derived => READINGS.clone(),
            Table::Alerts => ALERTS.clone(),
            Table::Quarantine => QUARANTINE.clone(),
            Table::Minutes | Table::Hours => ROLLUP.clone(),
        }
    }

    /// The column that rows of a part are sorted by, before their time.
    pub(crate) fn key_column(self) -> &'static str {
        if self == Table::Quarantine { "topic" } else { "key" }
    }

    /// The time of the event; a refused payload has none that could be trusted.
    pub(crate) fn time_column(self) -> &'static str {
        if self == Table::Quarantine { "received" } else { "at" }
    }

    /// When we had it; of a bin, when it began.
    pub(crate) fn arrival_column(self) -> &'static str {
        match self {
            Table::Alerts => "decided",
            Table::Minutes | Table::Hours => "at",
            _ => "received",
        }
    }
}

impl Partition {
    pub(crate) fn of(record: &Record) -> Partition {
        match record {
            Record::Reading(reading) => {
                Partition { table: of_reading(reading), stream: Some(reading.stream.clone()), day: local_day(reading.at) }
            }
            Record::Transition(transition) => Partition { table: Table::Alerts, stream: None, day: local_day(transition.at) },
            Record::Quarantined(refused) => Partition { table: Table::Quarantine, stream: None, day: local_day(refused.received) },
        }
    }

    /// The directory below the data directory, e.g. `parquet/readings/stream=water_level/day=2025-10-27`.
    pub(crate) fn directory(&self) -> String {
        let table = self.table.name();
        let day = day_name(self.day);
        match &self.stream {
            Some(stream) => format!("parquet/{table}/stream={}/day={day}", file_name(stream)),
            None => format!("parquet/{table}/day={day}"),
        }
    }
}

/// Such as 2025-10-27.
pub(crate) fn day_name(day: i32) -> String {
    date32_to_datetime(day).map_or_else(|| day.to_string(), |at| at.date().to_string())
}

pub(crate) fn of_reading(reading: &Reading) -> Table {
    match reading.origin {
        Origin::Sensor => Table::Readings,
        Origin::Vision => Table::Observations,
        Origin::Derived => Table::Derived,
    }
}

/// Days since 1970-01-01 of the local date at `at`; times that no calendar holds are put at its ends.
pub(crate) fn local_day(at: Timestamp) -> i32 {
    let days = (at + LOCAL).as_millis().div_euclid(DAY.as_millis());
    i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX })
}

/// `text` as one component of a path, different for different texts: what is not a letter, digit, `-` or `_` becomes `@` and its
/// bytes in hex; what is too long for a file system ends in its checksum.
fn file_name(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("@{byte:02x}")),
        }
    }
    if name.len() > LONGEST {
        name.truncate(LONGEST);
        name.push_str(&format!("@@{:08x}", crc32fast::hash(text.as_bytes())));
    }
    name
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn whole(name: &str) -> Field {
    Field::new(name, DataType::UInt64, false)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn truth(name: &str) -> Field {
    Field::new(name, DataType::Boolean, false)
}

/// Milliseconds, UTC.
fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false)
}

/// The local date of the time column.
fn day() -> Field {
    Field::new("day", DataType::Date32, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_in_hue() {
        for (at, dir) in [
            ("2025-10-26T16:59:59.999Z", "parquet/alerts/day=2025-10-26"),
            ("2025-10-26T17:00:00Z", "parquet/alerts/day=2025-10-27"),
            ("1969-12-31T16:00:00Z", "parquet/alerts/day=1969-12-31"),
        ] {
            let day = local_day(Timestamp::parse_rfc3339(at).expect(at));
            assert_eq!(Partition { table: Table::Alerts, stream: None, day }.directory(), dir);
        }
        for at in [i64::MIN, i64::MAX] {
            let day = local_day(Timestamp::from_millis(at));
            assert!(Partition { table: Table::Alerts, stream: None, day }.directory().starts_with("parquet/alerts/day="));
        }
    }

    #[test]
    fn names_stay_inside_their_directory_and_differ() {
        let long = "ợ".repeat(300);
        let names = ["water_level", "..", "a/b", "a@2fb", "", "mực nước", "a=b", "\0", &long, &long[3..]];
        let files: std::collections::BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|f| f.len() < 200 && f.bytes().all(|b| b.is_ascii_alphanumeric() || b"@-_".contains(&b))), "{files:?}");
    }
}
