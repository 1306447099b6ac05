//! The JSON that screens get: one `snapshot` on connecting, then `delta`s and `heartbeat`s.
//!
//! Invariant: applying the deltas after a snapshot gives what a later snapshot would say. Times are milliseconds since the
//! epoch, numbers are in the stream's unit; formatting is the page's.

use bytes::Bytes;
use huong_types::{Alert, Field, Name, Reading, Registry, Stream, Timestamp, Transition, TransitionKind, Value, Values};
use serde::{Serialize, Serializer};

use crate::model::{AccountLedger, CameraNow, Figures, WallClock};

/// What does not change while the process runs.
#[derive(Serialize)]
pub(crate) struct Places {
    stations: Vec<StationView>,
    cameras: Vec<CameraView>,
    streams: Vec<StreamView>,
}

#[derive(Serialize)]
struct StationView {
    id: Name,
    name: String,
    name_en: String,
    kind: Name,
    streams: Vec<StationStream>,
    levels: Values,
}

#[derive(Serialize)]
struct StationStream {
    id: Name,
    /// The station is silent when its newest reading is older than this.
    silent_after: i64,
}

#[derive(Serialize)]
struct CameraView {
    id: Name,
    name: String,
    name_en: String,
    /// Milliseconds between expected frames.
    period: i64,
}

#[derive(Serialize)]
struct StreamView {
    id: Name,
    name: String,
    name_en: String,
    units: std::collections::BTreeMap<Name, String>,
}

#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    /// Changes when the page's own files do: the page then loads itself anew.
    pub(crate) build: &'a str,
    pub(crate) seq: u64,
    pub(crate) clock: WallClock,
    #[serde(flatten)]
    pub(crate) places: &'a Places,
    pub(crate) alerts: Vec<&'a Alert>,
    pub(crate) values: Vec<ValueView<'a>>,
    pub(crate) camera_states: Vec<&'a CameraNow>,
    pub(crate) figures: &'a Figures,
    /// For who asks why the ledger is off; screens need only its sum, which is among the figures.
    pub(crate) accounts: Vec<AccountLedger>,
}

#[derive(Serialize)]
pub(crate) struct Delta<'a> {
    /// One more than the event before.
    pub(crate) seq: u64,
    pub(crate) clock: WallClock,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alerts: Vec<Step<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<ValueView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) camera_states: Vec<&'a CameraNow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) figures: Option<&'a Figures>,
}

#[derive(Serialize)]
pub(crate) struct Heartbeat {
    pub(crate) seq: u64,
    pub(crate) clock: WallClock,
}

/// The newest readings that were asked for.
#[derive(Serialize)]
pub(crate) struct Latest<'a> {
    pub(crate) clock: WallClock,
    pub(crate) values: Vec<LatestView<'a>>,
}

#[derive(Serialize)]
pub(crate) struct LatestView<'a> {
    #[serde(flatten)]
    value: ValueView<'a>,
    /// Milliseconds from the time of the event to now.
    age: i64,
}

/// One transition of an alert and the alert after it.
#[derive(Serialize)]
pub(crate) struct Step<'a> {
    transition: u64,
    kind: TransitionKind,
    alert: &'a Alert,
}

/// The latest reading of one key in one stream.
#[derive(Serialize)]
pub(crate) struct ValueView<'a> {
    stream: &'a Name,
    key: &'a Name,
    at: Timestamp,
    received: Timestamp,
    orphan: bool,
    #[serde(serialize_with = "fields")]
    fields: &'a [Field],
}

impl Places {
    pub(crate) fn new(registry: &Registry, streams: &[Stream]) -> Self {
        let silent_after = |stream: &Name, period: i64| {
            let periods = streams.iter().find(|s| s.id == *stream).map_or(1, |s| s.silent_after_periods);
            StationStream { id: stream.clone(), silent_after: period.saturating_mul(i64::from(periods)) }
        };
        let stations = registry.stations.iter().map(|s| StationView {
            id: s.id.clone(),
            name: s.name.clone(),
            name_en: s.name_en.clone(),
            kind: s.kind.clone(),
            streams: s.streams.iter().map(|stream| silent_after(stream, s.period.as_millis())).collect(),
            levels: s.levels.clone(),
        });
        let cameras = registry.cameras.iter().map(|c| CameraView {
            id: c.id.clone(),
            name: c.name.clone(),
            name_en: c.name_en.clone(),
            period: c.period.as_millis(),
        });
        let streams = streams.iter().map(|s| StreamView {
            id: s.id.clone(),
            name: s.name.clone(),
            name_en: s.name_en.clone(),
            units: s.fields.iter().map(|(name, field)| (name.clone(), field.unit.clone())).collect(),
        });
        Self { stations: stations.collect(), cameras: cameras.collect(), streams: streams.collect() }
    }
}

impl<'a> From<&'a Transition> for Step<'a> {
    fn from(transition: &'a Transition) -> Self {
        Self { transition: transition.seq, kind: transition.kind, alert: &transition.alert }
    }
}

impl<'a> LatestView<'a> {
    pub(crate) fn new(reading: &'a Reading, now: Timestamp) -> Self {
        Self { value: reading.into(), age: now.since(reading.at).as_millis() }
    }
}

impl<'a> From<&'a Reading> for ValueView<'a> {
    fn from(r: &'a Reading) -> Self {
        Self { stream: &r.stream, key: &r.key, at: r.at, received: r.received, orphan: r.orphan, fields: &r.fields }
    }
}

fn fields<S: Serializer>(fields: &[Field], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct View<'a> {
        name: &'a Name,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        flag: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        check: Option<&'static str>,
    }
    serializer.collect_seq(fields.iter().map(|field| View {
        name: &field.name,
        number: field.number(),
        text: match &field.value {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        },
        flag: field.quality.flag.as_str(),
        check: field.quality.check.map(|check| check.as_str()),
    }))
}

/// One SSE event. JSON has no line breaks of its own, so one `data:` line carries it.
pub(crate) fn event(name: &str, seq: u64, data: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut text = format!("event: {name}\nid: {seq}\ndata: ").into_bytes();
    serde_json::to_writer(&mut text, data)?;
    text.extend_from_slice(b"\n\n");
    Ok(Bytes::from(text))
}
