//! A drawn forecast of a river, as somebody would issue it who knows the gauge and not the rain to come: the trend of the last hour goes on
//! and dies away. In the flood of 2025 it foretells the first wave and misses the second by more than a metre, as the real one did.
//!
//! Invariant: made of what the simulated gauge has shown by the hour of issue, and of nothing after it.

use huong_types::{Span, Station, Timestamp};
use serde::Serialize;

use crate::payload;
use crate::scenario;
use crate::weather::{Measured, ScenarioKind, Weather};

/// The gauges that bulletins name.
pub(crate) const GAUGES: [&str; 2] = ["kimlong", "phuoc"];
/// Said to be drawn.
const BY: &str = "mô phỏng";
/// Bulletins of a flood come out every six hours, at half past five by the clock of Huế among others.
const EVERY: Span = Span::from_mins(6 * 60);
const HALF_PAST_FIVE: Span = Span::from_mins(5 * 60 + 30);
const HOURS: i64 = 24;
/// The trend loses two thirds in so many hours (assumed).
const FADES: f64 = 6.0;
/// Half the width of the band at once, m, and what each hour adds (assumed).
const UNSURE: (f64, f64) = (0.1, 0.03);

#[derive(Serialize)]
struct Issue {
    issued: String,
    by: &'static str,
    unit: &'static str,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    at: i64,
    value: f64,
    low: f64,
    high: f64,
}

/// What is issued at this minute for a station; nothing at most minutes, and in calm weather.
pub(crate) fn issued(weather: &Weather, station: &Station, minute: Timestamp) -> Option<Vec<u8>> {
    let since = scenario::local(minute) - HALF_PAST_FIVE;
    if weather.kind() != ScenarioKind::Storm2025 || since.floor(EVERY) != since {
        return None;
    }
    let level = |at: Timestamp| match weather.measure(station, "water_level", at) {
        Some(Measured::Level(level)) => Some(level),
        _ => None,
    };
    let (now, before) = (level(minute)?, level(minute - Span::from_mins(60))?);
    let centimetres = |metres: f64| (metres * 100.0).round() / 100.0;
    let point = |hour: i64| {
        let hours = hour as f64;
        let value = now + (now - before) * FADES * (1.0 - (-hours / FADES).exp());
        let unsure = UNSURE.0 + UNSURE.1 * hours;
        let at = (minute + Span::from_mins(60 * hour)).as_millis();
        Point { at, value: centimetres(value), low: centimetres(value - unsure), high: centimetres(value + unsure) }
    };
    let issue = Issue { issued: payload::iso(minute), by: BY, unit: "m", points: (1..=HOURS).map(point).collect() };
    Some(payload::bytes(&issue))
}
