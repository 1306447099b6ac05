//! The past as screens ask for it: curves, readings and the steps of alerts of some time.
//!
//! Invariant: each answer is bounded by a number of rows that the caller gives, beside the limits of any query.

use std::fmt::Write as _;

use arrow::array::Array;
use arrow::datatypes::{Float64Type, TimestampMillisecondType};
use huong_types::{Alert, AlertState, Name, Origin, Reading, Span, Timestamp, Transition};

use super::{Asker, Queries};
use crate::StoreError;
use crate::restore::{self, Names, primitive};

/// One stretch of a curve, in the stream's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where the stretch begins.
    pub at: Timestamp,
    pub mean: f64,
    pub least: f64,
    pub most: f64,
}

/// What of a curve is asked for: from `from`, up to and without `to`.
#[derive(Clone, Debug)]
pub struct Curve {
    pub stream: Name,
    pub key: Name,
    pub field: Name,
    pub from: Timestamp,
    pub to: Timestamp,
    /// At most so many points; the time is divided evenly.
    pub points: u32,
}

/// Where figures are kept; a stream has its rows in one of them.
const FIGURES: [(&str, Origin); 3] = [("readings", Origin::Sensor), ("observations", Origin::Vision), ("derived", Origin::Derived)];

impl Queries {
    /// What was measured, without what was bad. Stretches without a reading have no point: a gap is not a line.
    pub async fn curve(&self, asker: Asker, curve: &Curve) -> Result<Vec<Point>, StoreError> {
        let span = curve.to.since(curve.from).as_millis().max(1);
        let step = (span / i64::from(curve.points.max(1))).max(1);
        let each = FIGURES.map(|(table, _)| {
            format!(
                "SELECT at, value FROM {table} WHERE stream = {} AND key = {} AND field = {} AND quality <> 'bad' \
                 AND value IS NOT NULL AND at >= TIMESTAMP '{}' AND at < TIMESTAMP '{}'",
                quoted(&curve.stream),
                quoted(&curve.key),
                quoted(&curve.field),
                curve.from,
                curve.to
            )
        });
        let sql = format!(
            "SELECT arrow_cast(date_bin(INTERVAL '{step} milliseconds', at, TIMESTAMP '{}'), 'Timestamp(Millisecond, None)') AS at, avg(value) AS mean, min(value) AS least, \
             max(value) AS most FROM ({}) GROUP BY 1 ORDER BY 1",
            curve.from,
            each.join(" UNION ALL ")
        );
        let mut points = Vec::new();
        for batch in self.ask(asker, sql).await?.gather().await? {
            let at = primitive::<TimestampMillisecondType>(&batch, "at")?;
            let figures = ["mean", "least", "most"].map(|name| primitive::<Float64Type>(&batch, name));
            let [mean, least, most] = figures;
            let (mean, least, most) = (mean?, least?, most?);
            points.extend((0..batch.num_rows()).filter(|row| mean.is_valid(*row)).map(|row| Point {
                at: Timestamp::from_millis(at.value(row)),
                mean: mean.value(row),
                least: least.value(row),
                most: most.value(row),
            }));
        }
        Ok(points)
    }

    /// The readings of `from`..`to` by time of the event, oldest first, of each key one per `every` at most: its last. Texts are left
    /// out, for they may be about persons.
    pub async fn figures(
        &self,
        asker: Asker,
        from: Timestamp,
        to: Timestamp,
        every: Span,
        most: usize,
    ) -> Result<Vec<Reading>, StoreError> {
        let mut found = Vec::new();
        for (table, origin) in FIGURES {
            let sql = format!(
                "WITH w AS (SELECT * FROM {table} WHERE at >= TIMESTAMP '{from}' AND at < TIMESTAMP '{to}' AND value IS NOT NULL) \
                 SELECT r.seq, r.at, r.received, r.value, r.text, r.orphan, {} FROM w r JOIN (SELECT max(seq) AS seq FROM w \
                 GROUP BY stream, key, date_bin(INTERVAL '{} milliseconds', at)) l ON r.seq = l.seq ORDER BY r.seq LIMIT {}",
                coded(),
                every.as_millis().max(1),
                most.saturating_sub(found.len())
            );
            for batch in self.ask(asker.clone(), sql).await?.gather().await? {
                restore::readings(&batch, origin, Timestamp::MIN, &mut Names::new(), &mut found)?;
            }
        }
        let mut readings: Vec<Reading> = found.into_iter().map(|(_, reading)| reading).collect();
        readings.sort_by_key(|reading| reading.at);
        Ok(readings)
    }

    /// The readings of `streams` that arrived in `from`..`to`, in the order of their coming, with their texts; the last of them, when their
    /// rows are more than `most`.
    pub async fn arrived(
        &self,
        asker: Asker,
        streams: &[Name],
        (from, to): (Timestamp, Timestamp),
        most: usize,
    ) -> Result<Vec<Reading>, StoreError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let streams = streams.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT r.seq, r.at, r.received, r.value, r.text, r.orphan, {} FROM (SELECT * FROM readings WHERE stream IN ({streams}) \
             AND received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}' ORDER BY seq DESC LIMIT {most}) r ORDER BY r.seq",
            coded()
        );
        let mut found = Vec::new();
        for batch in self.ask(asker, sql).await?.gather().await? {
            restore::readings(&batch, Origin::Sensor, Timestamp::MIN, &mut Names::new(), &mut found)?;
        }
        Ok(found.into_iter().map(|(_, reading)| reading).collect())
    }

    /// Steps of alerts that were decided in `from`..`to`, of one of them or of all, oldest first, at most `most`.
    pub async fn steps(
        &self,
        asker: Asker,
        (from, to): (Timestamp, Timestamp),
        alert: Option<&str>,
        most: usize,
    ) -> Result<Vec<Transition>, StoreError> {
        let mut sql = format!("SELECT * FROM alerts WHERE decided >= TIMESTAMP '{from}' AND decided < TIMESTAMP '{to}'");
        if let Some(id) = alert {
            write!(sql, " AND id = {}", quoted(&Name::new(id))).map_err(|error| StoreError::Task(error.to_string()))?;
        }
        write!(sql, " ORDER BY seq LIMIT {most}").map_err(|error| StoreError::Task(error.to_string()))?;
        self.transitions(asker, sql).await
    }

    /// Alerts as they were at `to`, newest first: those that held then, and those that anything happened to since `from`.
    /// Only what happened within `back` before `from` is looked at.
    pub async fn alerts(
        &self,
        asker: Asker,
        (from, to): (Timestamp, Timestamp),
        back: Span,
        most: usize,
    ) -> Result<Vec<Alert>, StoreError> {
        let sql = format!(
            "WITH w AS (SELECT * FROM alerts WHERE decided >= TIMESTAMP '{}' AND decided < TIMESTAMP '{to}') \
             SELECT a.* FROM w a JOIN (SELECT max(seq) AS seq FROM w GROUP BY id) l ON a.seq = l.seq \
             WHERE a.decided >= TIMESTAMP '{from}' OR a.state <> 'cleared' ORDER BY a.seq DESC LIMIT {most}",
            from - back
        );
        let steps = self.transitions(asker, sql).await?;
        let alerts = steps.into_iter().map(|step| step.alert);
        Ok(alerts.filter(|alert| alert.state != AlertState::Pending && !(alert.pending && alert.ended.is_some())).collect())
    }

    async fn transitions(&self, asker: Asker, sql: String) -> Result<Vec<Transition>, StoreError> {
        let mut found = Vec::new();
        for batch in self.ask(asker, sql).await?.gather().await? {
            restore::transitions(&batch, &mut found)?;
        }
        Ok(found.into_iter().map(|(_, transition)| transition).collect())
    }
}

/// The names of a row of `r`, in the shape that a replay reads.
pub(super) fn coded() -> String {
    let names = ["stream", "key", "field", "source", "quality", "check_failed"];
    names.map(|name| format!("arrow_cast(r.{name}, 'Dictionary(Int32, Utf8)') AS {name}")).join(", ")
}

/// A text as a literal of SQL.
pub(super) fn quoted(text: &Name) -> String {
    format!("'{}'", text.as_str().replace('\'', "''"))
}
