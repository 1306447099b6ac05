//! Forecasts: readings dated ahead, each of which says when its forecast was issued.
//!
//! Invariant: what passes [`Stream::check_forecast`] was issued before the moment it is about and not ahead of the clock, so no later
//! issue stands behind one with a wrong date.

use serde::{Deserialize, Serialize};

use crate::{Field, Name, Problems, Reject, RejectReason, Span, Stream, Timestamp, Value};

/// Makes a stream one of forecasts: its `value` is what somebody expects at the time of the reading, between `low` and `high` where
/// these are given. The stream's `id_field` is when it was issued, RFC 3339 with an offset; what was issued later replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// The stream that it foretells.
    pub of: Name,
    /// How long an issue speaks of what is to come; screens grey an older one.
    pub stale_after: Span,
    /// How far the clock of who issues it may run ahead of ours.
    pub ahead: Span,
}

impl Stream {
    /// When the forecast was issued that `fields` are of; `None` in a stream of what is measured, and when they do not say.
    pub fn issued(&self, fields: &[Field]) -> Option<Timestamp> {
        self.forecast.as_ref()?;
        let said = text(fields, self.id_field.as_ref()?)?;
        Timestamp::parse_rfc3339(said)
    }

    /// Refuses what cannot be a forecast for `at`; readings of other streams pass.
    pub(crate) fn check_forecast(&self, at: Timestamp, fields: &[Field], now: Timestamp) -> Result<(), Reject> {
        let (Some(forecast), Some(id_field)) = (&self.forecast, &self.id_field) else { return Ok(()) };
        let bad = |reason, field: &str, found: String, expected: String| {
            Err(Reject::new(reason, format!("field `{field}`: found {found}, expected {expected}")))
        };
        let Some(issued) = self.issued(fields) else {
            let found = text(fields, id_field).map_or("none".to_owned(), |said| format!("\"{said}\""));
            return bad(RejectReason::BadTime, id_field, found, "the time of issue, such as 2025-10-29T05:30:00+07:00".to_owned());
        };
        let latest = now + forecast.ahead;
        if issued > latest {
            return bad(RejectReason::Future, id_field, issued.to_string(), format!("at most {latest}"));
        }
        if issued > at {
            return bad(RejectReason::BadTime, id_field, issued.to_string(), format!("at most the time that it foretells, {at}"));
        }
        let number = |name: &str| fields.iter().find(|field| field.name == *name).and_then(Field::number);
        let Some(value) = number("value") else {
            return bad(RejectReason::BadValue, "value", "none".to_owned(), "a number".to_owned());
        };
        match (number("low"), number("high")) {
            (Some(low), _) if low > value => bad(RejectReason::BadValue, "low", low.to_string(), format!("at most the value, {value}")),
            (_, Some(high)) if high < value => {
                bad(RejectReason::BadValue, "high", high.to_string(), format!("at least the value, {value}"))
            }
            _ => Ok(()),
        }
    }

    /// Adds every mistake of a stream of forecasts to `problems`.
    pub(crate) fn check_forecasts(&self, streams: &[Stream], file: &str, path: &str, problems: &mut Problems) {
        let Some(forecast) = &self.forecast else { return };
        if !self.events {
            problems.add(file, format!("{path}.events"), "`false`", "true: each issue foretells the same moments anew");
        }
        if self.id_field.is_none() {
            problems.add(file, format!("{path}.id_field"), "nothing", "the text field with the time of issue");
        }
        let unit = |stream: &Stream| stream.fields.get("value").filter(|field| !field.text).map(|field| field.unit.clone());
        let foretold = streams.iter().find(|stream| stream.id == forecast.of && stream.forecast.is_none()).and_then(unit);
        match (foretold, unit(self)) {
            (None, _) => {
                let found = format!("`{}`", forecast.of);
                problems.add(file, format!("{path}.forecast.of"), found, "a stream of measurements with a number `value`");
            }
            (Some(there), here) if here.as_ref() != Some(&there) => {
                let found = here.map_or("nothing".to_owned(), |unit| format!("`{unit}`"));
                problems.add(file, format!("{path}.fields.value.unit"), found, format!("`{there}`, as in `{}`", forecast.of));
            }
            _ => {}
        }
    }
}

fn text<'f>(fields: &'f [Field], name: &Name) -> Option<&'f str> {
    fields.iter().find(|field| field.name == *name).and_then(|field| match &field.value {
        Value::Text(text) => Some(text.trim()),
        Value::Number(_) => None,
    })
}
