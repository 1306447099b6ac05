//! The JSON that screens get: one `snapshot` on connecting, then `delta`s and `heartbeat`s.
//!
//! Invariant: applying the deltas after a snapshot gives what a later snapshot would say. Times are milliseconds since the
//! epoch, numbers are in the stream's unit; formatting is the page's.

use std::collections::BTreeMap;

use bytes::Bytes;
use huong_types::{Alert, Field, Name, Reading, Registry, Stream, Text, Timestamp, Transition, TransitionKind, Value, Values};
use serde::{Deserialize, Serialize, Serializer};

use crate::forecasts::{Forecast, Forecasts};
use crate::model::{AccountLedger, CameraNow, Figures, WallClock};

/// What does not change while the process runs.
#[derive(Serialize)]
pub(crate) struct Places {
    stations: Vec<StationView>,
    cameras: Vec<CameraView>,
    streams: Vec<StreamView>,
    wards: Vec<WardView>,
    /// None of them yet: what puts them together begins with this.
    #[serde(skip)]
    pub(crate) forecasts: Forecasts,
}

#[derive(Serialize)]
struct WardView {
    id: Name,
    name: String,
    name_en: String,
}

/// What an operator has all screens stay on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scene {
    /// `None`: the scenes take turns.
    pub(crate) pinned: Option<SceneName>,
    pub(crate) by: Option<String>,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SceneName {
    Overview,
    Flood,
    Traffic,
    Air,
}

#[derive(Serialize)]
struct StationView {
    id: Name,
    name: String,
    name_en: String,
    kind: Name,
    streams: Vec<StationStream>,
    levels: Values,
    #[serde(flatten)]
    place: Place,
    links: BTreeMap<Name, Vec<Name>>,
}

/// Where something stands, for the map, and what the city calls it.
#[derive(Serialize)]
struct Place {
    lat: f64,
    lon: f64,
    ward: Option<Name>,
    labels: BTreeMap<Name, String>,
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
    #[serde(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct StreamView {
    id: Name,
    name: String,
    name_en: String,
    units: BTreeMap<Name, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<ForecastView>,
}

/// What a stream of forecasts foretells.
#[derive(Serialize)]
struct ForecastView {
    of: Name,
    /// In milliseconds.
    stale_after: i64,
}

#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    /// Changes when the page's own files do: the page then loads itself anew.
    pub(crate) build: &'a str,
    pub(crate) scene: &'a Scene,
    pub(crate) seq: u64,
    pub(crate) clock: WallClock,
    #[serde(flatten)]
    pub(crate) places: &'a Places,
    pub(crate) alerts: Vec<&'a Alert>,
    /// What is to be done about alerts, by rule.
    pub(crate) advice: &'a BTreeMap<Name, Text>,
    pub(crate) values: Vec<ValueView<'a>>,
    /// The latest issue for each station.
    pub(crate) forecasts: Vec<&'a Forecast>,
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
    /// Of rules that had no alert before.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) advice: BTreeMap<Name, Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<ValueView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) forecasts: Vec<&'a Forecast>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) camera_states: Vec<&'a CameraNow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) figures: Option<&'a Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scene: Option<&'a Scene>,
}

/// The past, to be played by the page that plays the present.
#[derive(Serialize)]
pub(crate) struct Replay<'a> {
    pub(crate) snapshot: Snapshot<'a>,
    pub(crate) deltas: Vec<Moment<'a>>,
}

#[derive(Serialize)]
pub(crate) struct Moment<'a> {
    pub(crate) at: Timestamp,
    pub(crate) alerts: Vec<Step<'a>>,
    pub(crate) values: Vec<ValueView<'a>>,
    pub(crate) forecasts: Vec<&'a Forecast>,
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
            place: Place { lat: s.lat, lon: s.lon, ward: s.ward.clone(), labels: s.labels.clone() },
            links: s.links.clone(),
        });
        let cameras = registry.cameras.iter().map(|c| CameraView {
            id: c.id.clone(),
            name: c.name.clone(),
            name_en: c.name_en.clone(),
            period: c.period.as_millis(),
            place: Place { lat: c.lat, lon: c.lon, ward: c.ward.clone(), labels: c.labels.clone() },
        });
        let wards = registry.wards.iter().map(|w| WardView { id: w.id.clone(), name: w.name.clone(), name_en: w.name_en.clone() });
        let forecasts = Forecasts::new(registry, streams);
        let streams = streams.iter().map(|s| StreamView {
            id: s.id.clone(),
            name: s.name.clone(),
            name_en: s.name_en.clone(),
            units: s.fields.iter().map(|(name, field)| (name.clone(), field.unit.clone())).collect(),
            forecast: s.forecast.as_ref().map(|f| ForecastView { of: f.of.clone(), stale_after: f.stale_after.as_millis() }),
        });
        Self { stations: stations.collect(), cameras: cameras.collect(), streams: streams.collect(), wards: wards.collect(), forecasts }
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self { pinned: None, by: None, at: Timestamp::MIN }
    }
}

impl SceneName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            SceneName::Overview => "overview",
            SceneName::Flood => "flood",
            SceneName::Traffic => "traffic",
            SceneName::Air => "air",
        }
    }
}

impl Delta<'_> {
    pub(crate) fn new(seq: u64, clock: WallClock) -> Self {
        Self {
            seq,
            clock,
            alerts: Vec::new(),
            advice: BTreeMap::new(),
            values: Vec::new(),
            forecasts: Vec::new(),
            camera_states: Vec::new(),
            figures: None,
            scene: None,
        }
    }
}

impl Moment<'_> {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self { at, alerts: Vec::new(), values: Vec::new(), forecasts: Vec::new() }
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
