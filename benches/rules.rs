//! Rules by keys: throughput and memory of the rule engine, beside the same comparisons hard-coded: part of `make bench`.
//!
//! Each combination runs in a process of its own, so that its memory is its own. Time is CPU time of the one thread that works, as
//! the kernel accounts for it: other programs on the machine do not count. The engine is fed as the running system feeds it: time
//! passes up to each reading, then the reading comes.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use huong_rules::{Engine, Out};
use huong_types::decode::{Decoder, SourceConfig};
use huong_types::{Field, Name, Origin, Problems, Reading, Registry, Span, Stream, Timestamp};

/// 22 November 2025, 00:00 UTC.
const START: i64 = 1_763_769_600_000;
/// Each key reports once in this time, the keys evenly spread over it.
const PERIOD: i64 = 600_000;
/// Readings made at a time, so that making them is not measured and does not fill the memory.
const CHUNK: usize = 10_000;
/// How much work is measured at most, where one round is not more than that.
const EVALUATIONS: u64 = 100_000_000;
const READINGS: u64 = 500_000;
/// eKuiper's published figures: 300 rules over one shared stream of 500 messages a second take half of 2 cores and 95 MB.
const EKUIPER: (f64, f64) = (150_000.0, 95.0);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["case", mix, rules, keys] => {
            let number = |text: &str| text.parse().expect("a number");
            let mix = MIXES.into_iter().find(|known| known.name() == mix).expect("a mix");
            case(mix, number(rules), number(keys));
        }
        ["shared", alerts] => shared(alerts == "alerts"),
        ref only => table(only),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mix {
    /// Each rule compares each reading with a threshold of its own.
    Readings,
    /// One sliding window, each rule compares its largest value with a threshold of its own.
    Window,
    /// The same window, rules over eight different aggregates of it.
    Aggregates,
    /// Each rule compares each reading with the latest of the same key in another stream.
    Join,
}

const MIXES: [Mix; 4] = [Mix::Readings, Mix::Window, Mix::Aggregates, Mix::Join];
const AGGREGATES: [&str; 8] =
    ["max(value)", "avg(value)", "sum(value)", "last(value)", "delta(value)", "stddev(value)", "slope(value)", "percentile(value, 0.99)"];

impl Mix {
    fn name(self) -> &'static str {
        match self {
            Mix::Readings => "readings",
            Mix::Window => "window",
            Mix::Aggregates => "aggregates",
            Mix::Join => "join",
        }
    }

    fn rule(self, i: usize) -> String {
        let level = threshold(i);
        let looks = match self {
            Mix::Readings => format!("when = \"value > {level}\""),
            Mix::Window | Mix::Aggregates => {
                let figure = AGGREGATES[if self == Mix::Window { 0 } else { i % AGGREGATES.len() }];
                format!("window = {{ sliding = \"1h\", every = \"10m\" }}\nselect = {{ level = \"{figure}\" }}\nwhen = \"level > {level}\"")
            }
            Mix::Join => format!("when = \"value > up.value + {level}\"\njoin.up = {{ from = \"up\", max_age = \"3h\" }}"),
        };
        rule(i, "here", &looks)
    }
}

/// Calm water stays below all of them.
fn threshold(i: usize) -> f64 {
    100.0 + i as f64
}

fn rule(i: usize, stream: &str, looks: &str) -> String {
    format!(
        "[[rule]]\nid = \"r{i}\"\nfrom = \"{stream}\"\n{looks}\nseverity = \"minor\"\nsource = \"bench\"\n\
         text.vi = \"{{station.name}} vượt ngưỡng {i}\"\ntext.en = \"{{station.name}} above threshold {i}\"\n\n"
    )
}

fn streams(ids: &[&str]) -> Vec<Stream> {
    let text = ids.iter().fold(String::new(), |mut text, id| {
        let _infallible = write!(
            text,
            "[[stream]]\nid = \"{id}\"\nname = \"{id}\"\nname_en = \"{id}\"\ndisorder = \"2m\"\nfuture = \"10m\"\nmax_age = \"1d\"\n\
             gap = \"1d\"\nsilent_after_periods = 3\nmost_unknown_keys = 4000000\n[stream.fields.value]\nunit = \"m\"\n"
        );
        text
    });
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams", &text, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    streams
}

fn compile(rules: impl Iterator<Item = String>, streams: &[Stream]) -> Engine {
    let pipelines = [("bench".to_owned(), rules.collect())];
    let mut problems = Problems::default();
    let engine = Engine::compile(&pipelines, streams, Arc::new(Registry::default()), &mut problems);
    engine.unwrap_or_else(|| panic!("{problems}"))
}

/// Every combination in a process of its own, or only those of the mixes named.
fn table(only: &[&str]) {
    let run = |args: &[&str]| {
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new(program).args(args).output().expect("this program starts again");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8_lossy(&output.stdout));
    };
    println!(
        "{:<10} {:>6} {:>9} {:>10} {:>13} {:>9} {:>9} {:>9} {:>7} {:>9}",
        "mix", "rules", "keys", "readings/s", "evaluations/s", "ns/eval", "x limit", "B/key", "MB", "compile s"
    );
    for mix in MIXES.into_iter().filter(|mix| only.is_empty() || only.contains(&mix.name())) {
        for (rules, keys) in [
            (1, 1_000),
            (1, 100_000),
            (1, 1_000_000),
            (100, 1_000),
            (100, 100_000),
            (100, 1_000_000),
            (10_000, 1_000),
            (10_000, 100_000),
            (10_000, 1_000_000),
        ] {
            run(&["case", mix.name(), &rules.to_string(), &keys.to_string()]);
        }
    }
    if only.is_empty() || only.contains(&"shared") {
        println!("\n300 rules over one shared stream, decoding included (eKuiper: 150,000 evaluations/s on one core, 95 MB)");
        run(&["shared", "calm"]);
        run(&["shared", "alerts"]);
    }
}

fn case(mix: Mix, rules: usize, keys: usize) {
    let streams = streams(&["here", "up"]);
    let begun = Instant::now();
    let engine = compile((0..rules).map(|i| mix.rule(i)), &streams);
    let compiled = begun.elapsed().as_secs_f64();
    // The decoder has the names anyway; the index is that of the hard-coded loop.
    let names: Vec<Name> = (0..keys).map(|k| Name::from(format!("station-{k}"))).collect();
    let index: HashMap<Name, usize> = names.iter().cloned().zip(0..).collect();
    let thresholds: Vec<f64> = (0..rules).map(threshold).collect();
    let before = resident();
    let mut bed = Bed { mix, engine, names, ids: ["here", "up", "value", "bench"].map(Name::new), rounds: 0, out: Out::default() };
    let hard_coded = |readings: &[Reading]| {
        let above = readings.iter().map(|reading| {
            let (known, value) = (index.get(&reading.key), reading.number("value").unwrap_or_default());
            known.map_or(0, |_| thresholds.iter().filter(|threshold| value > **threshold).count())
        });
        std::hint::black_box(above.sum::<usize>());
    };
    // The first round makes the keys, and closes no window. Where a round takes long, a part of the keys is measured; not of windows,
    // which time closes for all keys.
    bed.lap(1, keys, hard_coded);
    let windows = matches!(mix, Mix::Window | Mix::Aggregates);
    let part = if windows { keys } else { keys.min((EVALUATIONS / rules as u64) as usize) };
    let rounds = (EVALUATIONS / (part * rules) as u64).min(READINGS / part as u64).max(1);
    let laps: Vec<(f64, f64)> = (0..rounds.min(5)).map(|_| bed.lap(rounds.div_ceil(5), part, hard_coded)).collect();
    let most = resident();
    assert_eq!(bed.flood(), rules, "a flood raises every rule: all of them are judged");
    let (ours, limit) = (median(laps.iter().map(|lap| lap.0)), median(laps.iter().map(|lap| lap.1)));
    println!(
        "{:<10} {rules:>6} {keys:>9} {:>10.0} {:>13.0} {:>9.1} {:>9.1} {:>9} {:>7.0} {compiled:>9.2}",
        mix.name(),
        1.0 / ours,
        rules as f64 / ours,
        ours * 1e9 / rules as f64,
        ours / limit,
        if keys < 100_000 { "–".to_owned() } else { format!("{:.0}", (most - before) * 1e6 / keys as f64) },
        most,
    );
}

/// An engine and what it is fed.
struct Bed {
    mix: Mix,
    engine: Engine,
    names: Vec<Name>,
    /// The two streams, the field, the source.
    ids: [Name; 4],
    rounds: i64,
    out: Out,
}

impl Bed {
    /// Seconds per reading of the engine, and of what is done beside it: rounds of the first `keys` keys.
    fn lap(&mut self, rounds: u64, keys: usize, beside: impl Fn(&[Reading])) -> (f64, f64) {
        let (mut ours, mut others) = (0.0, 0.0);
        for _ in 0..rounds {
            if self.mix == Mix::Join && self.rounds % 12 == 0 {
                // The other stream speaks every two hours; that is not measured.
                self.round(1, self.names.len(), 0.2, feed);
            }
            self.round(0, keys, 0.4 + (self.rounds % 7) as f64 * 0.01, |engine, chunk, out| {
                others += timed(|| beside(chunk));
                ours += timed(|| feed(engine, chunk, out));
            });
        }
        assert!(self.out.signals.is_empty(), "calm water");
        let readings = rounds as f64 * keys as f64;
        (ours / readings, others / readings)
    }

    /// A reading of each of the first `keys` keys.
    fn round(&mut self, stream: usize, keys: usize, value: f64, mut each: impl FnMut(&mut Engine, &mut [Reading], &mut Out)) {
        for from in (0..keys).step_by(CHUNK) {
            let at = |k: usize| START + self.rounds * PERIOD + PERIOD * k as i64 / keys as i64;
            let chunk = (from..keys.min(from + CHUNK)).map(|k| self.reading(stream, k, at(k), value));
            let mut chunk: Vec<Reading> = chunk.collect();
            each(&mut self.engine, &mut chunk, &mut self.out);
        }
        self.rounds += 1;
    }

    fn reading(&self, stream: usize, k: usize, at: i64, value: f64) -> Reading {
        let [_, _, field, source] = &self.ids;
        let at = Timestamp::from_millis(at);
        Reading {
            stream: self.ids[stream].clone(),
            key: self.names[k].clone(),
            at,
            received: at,
            fields: [Field::ok(field.clone(), value)].into_iter().collect(),
            source: source.clone(),
            origin: Origin::Sensor,
            orphan: true,
        }
    }

    /// How many signals a value above all thresholds raises.
    fn flood(&mut self) -> usize {
        let at = START + self.rounds * PERIOD;
        let mut high = [self.reading(0, 0, at, 1e9)];
        feed(&mut self.engine, &mut high, &mut self.out);
        self.engine.advance(Timestamp::from_millis(at + 2 * PERIOD), &mut self.out);
        self.out.signals.len()
    }
}

/// One stream of 1,000 keys, 300 rules that tell of each reading above 20: of none, or of one in ten as in eKuiper's figures.
fn shared(alerts: bool) {
    const RULES: usize = 300;
    let streams = streams(&["temperature"]);
    let mut engine = compile((0..RULES).map(|i| rule(i, "temperature", "each = true\nwhen = \"value > 20\"")), &streams);
    let mut problems = Problems::default();
    let source = "[[source]]\nname = \"bench\"\ntopic = \"{prefix}/sensors/+/+\"\nstream = { topic = 2 }\nkey = [\"sensor\"]\n\
                  time = [\"ts\"]\nfields.value = [{ path = \"value\", unit_path = \"unit\" }]\n";
    let sources = SourceConfig::parse_all("sources", source, &mut problems);
    let mut decoder = Decoder::compile("sources", &sources, "hue", &streams, Arc::new(Registry::default()), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let (mut out, mut told, mut laps) = (Out::default(), 0, Vec::new());
    for lap in 0..5 {
        let messages = (0..CHUNK).map(|i| {
            let (at, station) = (START + (lap * CHUNK + i) as i64 * 2, i % 1_000);
            let value = if alerts && i % 10 == 0 { 25.5 } else { 15.5 };
            let payload = format!("{{\"sensor\":\"s{station}\",\"ts\":{at},\"value\":{value},\"unit\":\"m\"}}");
            (format!("hue/sensors/temperature/s{station}"), payload, Timestamp::from_millis(at))
        });
        let messages: Vec<(String, String, Timestamp)> = messages.collect();
        laps.push(timed(|| {
            for (topic, payload, now) in &messages {
                let mut inbound = decoder.decode(topic, payload.as_bytes(), *now);
                feed(&mut engine, &mut inbound.readings, &mut out);
                told += out.signals.drain(..).len();
            }
        }));
    }
    assert_eq!(told, if alerts { RULES * CHUNK / 10 * 5 } else { 0 }, "every rule tells of one reading in ten, or of none");
    let rate = (RULES * CHUNK) as f64 / median(laps.into_iter());
    let (wanted, memory) = EKUIPER;
    println!(
        "{:<10} {rate:>10.0} evaluations/s on one core, {:>6.1} times eKuiper's; {:>4.0} MB in all, {:.1} times less; {told} signals told",
        if alerts { "1 in 10" } else { "calm" },
        rate / wanted,
        resident(),
        memory / resident(),
    );
}

/// As the running system does it: what falls due before a reading is done before it.
fn feed(engine: &mut Engine, readings: &mut [Reading], out: &mut Out) {
    for reading in readings {
        let now = reading.at;
        engine.advance(now - Span::from_millis(1), out);
        std::hint::black_box(engine.on_reading(reading, now, out));
    }
}

/// CPU seconds of this thread.
fn timed(work: impl FnOnce()) -> f64 {
    let start = cpu();
    work();
    cpu() - start
}

fn cpu() -> f64 {
    // The kernel brings its account up to date when a thread yields.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux keeps account");
    account.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("nanoseconds first") / 1e9
}

/// Memory of this process in MB.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux keeps account");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("resident pages second") * 4096.0 / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
