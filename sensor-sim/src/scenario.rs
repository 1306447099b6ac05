//! The scenario as a sequence of messages: what the fleet publishes, in the order it is sent.
//!
//! Invariant: the sequence is a function of kind, registry, seed, start and faults alone. It reads no clock and needs no
//! broker, so the same seed gives the same bytes.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use bytes::Bytes;
use huong_types::{Registry, Span, Station, Timestamp};

use crate::city;
use crate::dice::Dice;
use crate::events;
use crate::faults::{self, Fault, FaultCounts};
use crate::forecast;
use crate::frames;
use crate::payload::{self, Row};
use crate::weather::{Measured, ScenarioKind, Weather};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// When it leaves the sender; emissions come in this order.
    pub send: Timestamp,
    /// Event time: when its rows were measured, whatever date they carry.
    pub at: Timestamp,
    pub topic: Arc<str>,
    pub payload: Bytes,
    /// MQTT quality of service: readings go at least once.
    pub qos: u8,
    /// What is wrong with it on purpose.
    pub faults: Vec<Fault>,
}

/// The endless sequence of emissions of one scenario.
pub struct Scenario {
    registry: Arc<Registry>,
    weather: Arc<Weather>,
    seed: u64,
    prefix: String,
    with_faults: bool,
    counts: FaultCounts,
    next_minute: Timestamp,
    pending: BinaryHeap<Reverse<Queued>>,
    queued: u64,
}

/// Ids that no registry has: real networks carry a few.
const ORPHANS: [(&str, &str); 3] = [("rain", "999901"), ("water_level", "999902"), ("street_flood", "ngap-chua-khai-bao")];
const MINUTE: Span = Span::from_mins(1);
/// Periods count from local midnight (UTC+7).
const LOCAL: Span = Span::from_mins(7 * 60);

impl Scenario {
    /// Starts at the beginning of the storm's evening, 18:00 on 26 October 2025, with faults, under the topic prefix `hue`.
    pub fn new(kind: ScenarioKind, registry: Arc<Registry>, seed: u64) -> Self {
        let start = Timestamp::from_millis(1_761_476_400_000);
        let weather = Arc::new(Weather::new(kind, seed));
        Self {
            registry,
            weather,
            seed,
            prefix: "hue".to_owned(),
            with_faults: true,
            counts: FaultCounts::default(),
            next_minute: start,
            pending: BinaryHeap::new(),
            queued: 0,
        }
    }

    /// Begins at the first full minute at or after `start`.
    pub fn starting(mut self, start: Timestamp) -> Self {
        self.next_minute = (start + Span::from_millis(MINUTE.as_millis() - 1)).floor(MINUTE);
        self
    }

    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    pub fn with_faults(mut self, on: bool) -> Self {
        self.with_faults = on;
        self
    }

    /// Rows that were due and faults done so far.
    pub fn counts(&self) -> &FaultCounts {
        &self.counts
    }

    /// Vehicles that a faultless detector would count at `at` in the view of the camera at `index` of the registry; `None` while it is
    /// dark. Cameras send frames, which this sequence does not hold.
    pub fn vehicles(&self, index: usize, at: Timestamp) -> Option<usize> {
        frames::vehicles(&self.registry, self.seed, &self.weather, index, at)
    }

    pub(crate) fn weather(&self) -> Arc<Weather> {
        self.weather.clone()
    }

    /// Queues what is measured at this minute; it is sent at that minute or later.
    fn measure(&mut self, minute: Timestamp) {
        let registry = self.registry.clone();
        let mut feeds: BTreeMap<&str, Feed<'_>> = BTreeMap::new();
        for station in &registry.stations {
            for stream in &station.streams {
                // Once per period; a street sensor under water every minute.
                let due = local(minute).since(local(minute).floor(self.weather.period(station, minute))) < MINUTE;
                if !due && stream != "street_flood" {
                    continue;
                }
                let Some(measured) = self.weather.measure(station, stream, minute) else { continue };
                if !due && measured == Measured::Depth(0.0) {
                    continue;
                }
                self.counts.rows += 1;
                let fault = match self.with_faults {
                    true if city::collector_is_out(&self.weather, station, minute) => Some(Fault::Gap),
                    true => faults::draw(self.seed, station, minute, &measured),
                    false => None,
                };
                if let Some(fault) = fault {
                    self.counts.add(fault);
                    if matches!(fault, Fault::Dropped | Fault::Gap) {
                        continue;
                    }
                }
                let row = self.row(station, minute, measured, fault);
                match payload::feed_id(station, stream) {
                    Some(id) => {
                        let row = Row { id, ..row };
                        // What happens to a whole message must not happen to the rows beside it.
                        if matches!(fault, Some(Fault::Delayed | Fault::Duplicate | Fault::Malformed)) {
                            self.send_row(&format!("feeds/{stream}"), minute, id, payload::feed(&[row]), fault);
                        } else {
                            let feed = feeds.entry(stream.as_str()).or_default();
                            feed.rows.push(row);
                            feed.faults.extend(fault);
                        }
                    }
                    None => {
                        let topic = format!("{}/{stream}/{}", payload::branch(&measured), station.id);
                        self.send_row(&topic, minute, &station.id, payload::single(stream, &row), fault);
                    }
                }
            }
        }
        for (stream, feed) in feeds {
            self.send(&format!("feeds/{stream}"), minute, 30.0, payload::feed(&feed.rows).into(), feed.faults);
        }
        for event in events::at_minute(&self.weather, &registry, self.seed, minute) {
            let payload = payload::event(event.at, &event.fields);
            self.send_event(&format!("city/{}/{}", event.stream, event.key), event.at, &event.key, payload);
        }
        for station in forecast::GAUGES.iter().filter_map(|id| registry.station(id)) {
            if let Some(issue) = forecast::issued(&self.weather, station, minute) {
                self.send(&format!("forecasts/water_level/{}", station.id), minute, 30.0, issue.into(), Vec::new());
            }
        }
        if self.with_faults && local(minute).floor(Span::from_mins(10)) == local(minute) {
            self.send_orphans(minute);
        }
    }

    fn row<'a>(&self, station: &'a Station, at: Timestamp, measured: Measured, fault: Option<Fault>) -> Row<'a> {
        let mut dice = Dice::new(self.seed, &station.id, at.as_millis() ^ 0x0072_6f77);
        let dated = if fault == Some(Fault::Future) { at + Span::from_mins(1440 * (1 + dice.below(30) as i64)) } else { at };
        let measured = if fault == Some(Fault::Outlier) { faults::distort(measured, &mut dice) } else { measured };
        Row { id: &station.id, dated, measured }
    }

    fn send_row(&mut self, topic: &str, at: Timestamp, id: &str, mut payload: Vec<u8>, fault: Option<Fault>) {
        let mut dice = Dice::new(self.seed, id, at.as_millis() ^ 0x7365_6e64);
        // A delayed row passes its successor; the others take the seconds that a radio network takes.
        let seconds = if fault == Some(Fault::Delayed) { dice.between(660.0, 1500.0) } else { dice.between(1.0, 20.0) };
        if fault == Some(Fault::Malformed) {
            payload.truncate(payload.len() / 2);
        }
        let payload = Bytes::from(payload);
        self.send(topic, at, seconds, payload.clone(), fault.into_iter().collect());
        if fault == Some(Fault::Duplicate) {
            self.send(topic, at, seconds + dice.between(1.0, 60.0), payload, vec![Fault::Duplicate]);
        }
    }

    /// Events come from systems that queue: they are sent twice now and then, but not lost, and soon.
    fn send_event(&mut self, topic: &str, at: Timestamp, key: &str, payload: Vec<u8>) {
        let mut dice = Dice::new(self.seed, key, at.as_millis() ^ 0x7365_6e64);
        let twice = self.with_faults && dice.chance(faults::DUPLICATES);
        let payload = Bytes::from(payload);
        self.send(topic, at, dice.between(0.2, 3.0), payload.clone(), Vec::new());
        if twice {
            self.send(topic, at, dice.between(3.0, 9.0), payload, vec![Fault::Duplicate]);
        }
    }

    fn send_orphans(&mut self, minute: Timestamp) {
        for (stream, id) in ORPHANS {
            let measured = match stream {
                "rain" => Measured::Rain(0.0),
                "water_level" => Measured::Level(0.4),
                _ => Measured::Depth(0.0),
            };
            self.counts.rows += 1;
            self.counts.add(Fault::Orphan);
            let row = Row { id, dated: minute, measured };
            self.send_row(&format!("sensors/{stream}/{id}"), minute, id, payload::single(stream, &row), Some(Fault::Orphan));
        }
    }

    fn send(&mut self, topic: &str, at: Timestamp, seconds: f64, payload: Bytes, faults: Vec<Fault>) {
        let emission = Emission {
            send: at + Span::from_millis((seconds * 1000.0) as i64),
            at,
            topic: format!("{}/{topic}", self.prefix).into(),
            payload,
            qos: 1,
            faults,
        };
        self.queued += 1;
        self.pending.push(Reverse(Queued { order: self.queued, emission }));
    }
}

impl Iterator for Scenario {
    type Item = Emission;

    /// Never ends; a registry without stations would make it search for ever, so that gives `None`.
    fn next(&mut self) -> Option<Emission> {
        if self.registry.stations.is_empty() {
            return None;
        }
        loop {
            // Nothing measured later can be sent before `next_minute`.
            if self.pending.peek().is_some_and(|Reverse(top)| top.emission.send < self.next_minute) {
                return self.pending.pop().map(|Reverse(top)| top.emission);
            }
            let minute = self.next_minute;
            self.next_minute = minute + MINUTE;
            self.measure(minute);
        }
    }
}

#[derive(Default)]
struct Feed<'a> {
    rows: Vec<Row<'a>>,
    faults: Vec<Fault>,
}

/// Ordered by time of sending, then by order of making.
struct Queued {
    order: u64,
    emission: Emission,
}

impl Queued {
    fn rank(&self) -> (Timestamp, u64) {
        (self.emission.send, self.order)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// So that floors of it are of the local day.
pub(crate) fn local(at: Timestamp) -> Timestamp {
    at + LOCAL
}
