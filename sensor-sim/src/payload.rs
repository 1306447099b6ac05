//! Rows as the bytes that senders would publish: one JSON object per reading, or the arrays of the city's own feeds.
//!
//! Invariant: the order of keys is that of the structs here, so equal rows are equal bytes.

use huong_types::{Station, Timestamp};
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::weather::Measured;

/// The city's feeds carry local times without a zone.
const LOCAL: Offset = jiff::tz::offset(7);

/// One row as it will be sent.
pub(crate) struct Row<'a> {
    /// The id the sender uses.
    pub(crate) id: &'a str,
    /// The time the sender gives; wrong on purpose for a future date.
    pub(crate) dated: Timestamp,
    pub(crate) measured: Measured,
}

/// The id under which a station's rows come in an array on `<prefix>/feeds/<stream>`; `None` when it sends its own messages.
/// Stations with a number for an alias, wind masts, the lakes with a letter code, and the gauges without alarm levels.
pub(crate) fn feed_id<'a>(station: &'a Station, stream: &str) -> Option<&'a str> {
    let alias = |fits: fn(&u8) -> bool| station.aliases.iter().map(|a| a.as_str()).find(|a| a.bytes().all(|b| fits(&b)));
    match stream {
        "rain" => alias(u8::is_ascii_digit),
        "water_level" => alias(u8::is_ascii_digit).or_else(|| station.levels.is_empty().then_some(station.id.as_str())),
        "reservoir" => alias(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
        "wind" => Some(station.id.as_str()),
        _ => None,
    }
}

/// The second level of the topic a station sends on by itself: `sensors` for gauges, `city` for machines.
pub(crate) fn branch(measured: &Measured) -> &'static str {
    use Measured::{Air, Depth, Lake, Level, Rain, Wind};
    if matches!(measured, Level(_) | Rain(_) | Lake { .. } | Wind { .. } | Air { .. } | Depth(_)) { "sensors" } else { "city" }
}

/// A message of one sensor: `{"sensor","kind","ts","value","unit"}`, or one key per field.
pub(crate) fn single(stream: &str, row: &Row<'_>) -> Vec<u8> {
    let value = |value: f64, unit: &'static str| Fields::Value { value, unit };
    let fields = match row.measured {
        Measured::Level(level) => value(level, "m"),
        Measured::Rain(rain) => value(rain, "mm"),
        Measured::Depth(depth) => value(depth, "cm"),
        Measured::Lake { level, inflow, outflow, gates } => Fields::Lake { level, q_in: inflow, q_out: outflow, gates_open: gates },
        Measured::Wind { speed, gust, direction } => Fields::Wind { speed, gust, dir: direction },
        Measured::Air { pm25, pm10, so2, no2, o3, co } => Fields::Air { pm25, pm10, so2, no2, o3, co },
        Measured::Water { ph, oxygen, cod, tss, nh4 } => Fields::Water { ph, oxygen, cod, tss, nh4 },
        Measured::Effluent { ph, cod, tss, nh4, flow, status } => Fields::Effluent { ph, cod, tss, nh4, flow, status },
        Measured::Counters { attacks, spam } => Fields::Counters { attacks, spam },
        Measured::Screen { content, emergency } => {
            Fields::Screen { on: 1, content: format!("{content:x}"), emergency: u8::from(emergency) }
        }
        Measured::Gateway { requests, errors } => Fields::Gateway { requests, errors },
        Measured::Heartbeat { battery } => Fields::Heartbeat { up: 1, battery },
    };
    bytes(&Single { sensor: row.id, kind: stream, ts: row.dated.as_millis(), fields })
}

/// An event, with the time its sender gives.
pub(crate) fn event(at: Timestamp, fields: &Map<String, Value>) -> Vec<u8> {
    bytes(&Event { at: at.as_millis(), fields })
}

/// An array as the city's feeds send it.
pub(crate) fn feed(rows: &[Row<'_>]) -> Vec<u8> {
    bytes(&rows.iter().filter_map(feed_row).collect::<Vec<_>>())
}

#[derive(Serialize)]
struct Event<'a> {
    at: i64,
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Single<'a> {
    sensor: &'a str,
    kind: &'a str,
    ts: i64,
    #[serde(flatten)]
    fields: Fields,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Fields {
    Value { value: f64, unit: &'static str },
    Lake { level: f64, q_in: f64, q_out: f64, gates_open: u32 },
    Wind { speed: f64, gust: f64, dir: f64 },
    Air { pm25: f64, pm10: f64, so2: f64, no2: f64, o3: f64, co: f64 },
    Water { ph: f64, oxygen: f64, cod: f64, tss: f64, nh4: f64 },
    Effluent { ph: f64, cod: f64, tss: f64, nh4: f64, flow: f64, status: &'static str },
    Counters { attacks: f64, spam: f64 },
    Screen { on: u8, content: String, emergency: u8 },
    Gateway { requests: f64, errors: f64 },
    Heartbeat { up: u8, battery: f64 },
}

#[derive(Serialize)]
#[serde(untagged)]
enum FeedRow<'a> {
    /// Level: mm. Rain: mm in ten minutes.
    Depth {
        station_id: &'a str,
        time_point: String,
        depth: f64,
    },
    Wind {
        station_id: &'a str,
        time_point: String,
        ws: f64,
        wsg: f64,
        wd: f64,
        wdg: f64,
    },
    Lake {
        id: &'a str,
        ngaylaysolieu: String,
        htl: f64,
        hhl: Option<f64>,
        qden: f64,
        qdi: f64,
        socuamo: u32,
    },
}

/// `None` for what no feed of the city carries; [`feed_id`] names none of those.
fn feed_row<'a>(row: &Row<'a>) -> Option<FeedRow<'a>> {
    let station_id = row.id;
    let time_point = local(row.dated, "%Y-%m-%d %H:%M:%S");
    Some(match row.measured {
        Measured::Level(level) => FeedRow::Depth { station_id, time_point, depth: (level * 1000.0).round() },
        Measured::Rain(depth) => FeedRow::Depth { station_id, time_point, depth },
        Measured::Wind { speed, gust, direction } => {
            FeedRow::Wind { station_id, time_point, ws: speed, wsg: gust, wd: direction, wdg: direction }
        }
        Measured::Lake { level, inflow, outflow, gates } => {
            let ngaylaysolieu = local(row.dated, "%Y-%m-%dT%H:%M:%S");
            FeedRow::Lake { id: station_id, ngaylaysolieu, htl: level, hhl: None, qden: inflow, qdi: outflow, socuamo: gates }
        }
        _ => return None,
    })
}

/// With the offset of Huế.
pub(crate) fn iso(at: Timestamp) -> String {
    local(at, "%Y-%m-%dT%H:%M:%S+07:00")
}

fn local(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant.to_zoned(TimeZone::fixed(LOCAL)).strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

/// Structs of numbers and texts always serialise.
pub(crate) fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
