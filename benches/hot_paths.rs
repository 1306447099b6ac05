//! The hot paths beside a limit of the same machine in the same run: `make bench`.
//!
//! Medians of interleaved rounds; what counts is the ratio, machines are noisy.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use huong_rules::{Engine, Out};
use huong_store::{Record, StoreConfig, Writer};
use huong_types::decode::{Decoder, SourceConfig};
use huong_types::{Field, Name, Origin, Problems, Reading, Registry, Stream, Timestamp};
use serde::Deserialize;

const ROUNDS: usize = 7;
const COUNT: usize = 100_000;
/// 22 November 2025, 00:00 UTC.
const START: i64 = 1_763_769_600_000;

fn main() {
    let world = World::load();
    let messages: Vec<(String, String)> = (0..COUNT).map(|i| world.message(i)).collect();
    decode(&world, &messages);
    judge(&world);
    store();
}

struct World {
    registry: Arc<Registry>,
    streams: Vec<Stream>,
    sources: Vec<SourceConfig>,
    pipelines: Vec<(String, String)>,
    rivers: Vec<Name>,
}

impl World {
    fn load() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let read = |name: &str| std::fs::read_to_string(format!("{root}/{name}")).expect("the shipped configuration is there");
        let mut problems = Problems::default();
        let registry = Registry::parse("registry", &read("config/registry.toml"), &mut problems);
        let streams = Stream::parse_all("streams", &read("config/streams.toml"), &mut problems);
        let sources = SourceConfig::parse_all("sources", &read("config/sources.toml"), &mut problems);
        let packs = ["river", "rain", "reservoir", "street_flood", "air", "wind", "traffic", "silence", "suspect"];
        let pipelines = packs.iter().map(|pack| ((*pack).to_owned(), read(&format!("pipelines/{pack}.toml")))).collect();
        assert!(problems.is_empty(), "{problems}");
        let rivers = registry.stations.iter().filter(|s| s.kind == "river").map(|s| s.id.clone()).collect();
        Self { registry: Arc::new(registry), streams, sources, pipelines, rivers }
    }

    /// Station, event time and level of the i-th reading: calm water.
    fn sample(&self, i: usize) -> (&Name, i64, f64) {
        let (station, round) = (&self.rivers[i % self.rivers.len()], (i / self.rivers.len()) as i64);
        (station, START + round * 60_000, 0.4 + (round % 7) as f64 * 0.01)
    }

    fn message(&self, i: usize) -> (String, String) {
        let (station, at, level) = self.sample(i);
        let payload = format!("{{\"sensor\":\"{station}\",\"kind\":\"water_level\",\"ts\":{at},\"value\":{level:.3},\"unit\":\"m\"}}");
        (format!("hue/sensors/water_level/{station}"), payload)
    }
}

/// Seconds of `ours` and of `limit`, in turn.
fn race(what: &str, unit: &str, limit_is: &str, mut ours: impl FnMut() -> f64, mut limit: impl FnMut() -> f64) {
    let mut times: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (ours(), limit())).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let a = times[ROUNDS / 2].0;
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    let b = times[ROUNDS / 2].1;
    let rate = |seconds: f64| COUNT as f64 / seconds / 1000.0;
    println!("{what:<28} {:>8.0} k {unit}/s   {limit_is:<44} {:>8.0} k/s   ratio {:.2}", rate(a), rate(b), b / a);
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn decode(world: &World, messages: &[(String, String)]) {
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        sensor: &'a str,
        ts: i64,
        value: f64,
    }
    let mut problems = Problems::default();
    let mut decoder = Decoder::compile("sources", &world.sources, "hue", &world.streams, Arc::clone(&world.registry), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let now = Timestamp::from_millis(START);
    let ours = || {
        timed(|| {
            for (topic, payload) in messages {
                let inbound = decoder.decode(topic, payload.as_bytes(), now);
                std::hint::black_box(inbound);
            }
        })
    };
    let limit = || {
        timed(|| {
            for (_, payload) in messages {
                let parsed: Borrowed<'_> = serde_json::from_str(payload).expect("valid JSON");
                std::hint::black_box((parsed.sensor.len(), parsed.ts, parsed.value));
            }
        })
    };
    race("decode a reading", "readings", "serde_json into a fixed borrowed struct", ours, limit);
}

fn judge(world: &World) {
    let readings: Vec<Reading> = (0..COUNT).map(|i| reading(world.sample(i))).collect();
    let ours = || {
        let mut problems = Problems::default();
        let engine = Engine::compile(&world.pipelines, &world.streams, Arc::clone(&world.registry), &mut problems);
        let mut engine = engine.expect("the shipped pipelines compile");
        let mut fed = readings.clone();
        let mut out = Out::default();
        timed(|| {
            for reading in &mut fed {
                let now = reading.at;
                engine.advance(now, &mut out);
                std::hint::black_box(engine.on_reading(reading, now, &mut out));
                out.signals.clear();
            }
        })
    };
    let limit = || {
        timed(|| {
            let mut highest: HashMap<&str, f64> = HashMap::new();
            for reading in &readings {
                let level = reading.number("value").unwrap_or_default();
                let most = highest.entry(&reading.key).or_insert(level);
                *most = most.max(level);
            }
            std::hint::black_box(highest);
        })
    };
    race("judge by all shipped rules", "readings", "the largest value per station in a HashMap", ours, limit);
}

fn store() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(StoreConfig::new(dir.path().join("store"))).expect("a new store opens");
    let station = Name::new("kimlong");
    let record = Record::Reading(reading((&station, START, 1.25)));
    let group = 1000;
    let mut bytes = 0;
    let ours = || {
        timed(|| {
            for _ in 0..COUNT / group {
                for _ in 0..group {
                    writer.append(&record).expect("appended");
                }
                bytes = writer.buffered();
                writer.commit().expect("committed");
            }
        })
    };
    let mut file = File::create(dir.path().join("raw")).expect("a file");
    let block = vec![7u8; 100 * group];
    let limit = || {
        timed(|| {
            for _ in 0..COUNT / group {
                file.write_all(&block).expect("written");
                file.sync_data().expect("synced");
            }
        })
    };
    race("store, 1,000 per commit", "readings", "write and fdatasync of 100 bytes a reading", ours, limit);
    println!("{:<28} {:>8.0} bytes a reading", "", bytes as f64 / group as f64);
}

fn reading((station, at, level): (&Name, i64, f64)) -> Reading {
    Reading {
        stream: Name::new("water_level"),
        key: station.clone(),
        at: Timestamp::from_millis(at),
        received: Timestamp::from_millis(at),
        fields: [Field::ok(Name::new("value"), level)].into_iter().collect(),
        source: Name::new("bench"),
        origin: Origin::Sensor,
        orphan: false,
    }
}
