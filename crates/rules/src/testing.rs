//! `[[rule.test]]` and `[[derive.test]]`: stories in virtual time that prove a rule where it is written.
//!
//! Each test runs its rule alone, beside the derivations that feed the streams it looks at, over the stations that the test gives.
//! The clock stands at each reading's own time; between readings it stops at every deadline of the engine, as in service.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use huong_types::{Field, Name, Origin, Problems, Quality, Reading, Registry, Signal, SignalKind, Span, Stream, Timestamp, Value};
use smallvec::SmallVec;

use crate::compile::{Written, compile_rules, load};
use crate::engine::{Engine, Out};
use crate::rule_file::{Count, Fact, Given, RawGiven, RawRule, RawTest, RawWindow, Session, Sliding, Tumbling};

/// How one test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    pub file: String,
    /// Of the rule or derivation.
    pub rule: Name,
    /// The test's name, or its number within the rule.
    pub name: String,
    /// What differed; empty means passed.
    pub failures: Vec<String>,
}

/// Runs every test of the files, given as (file name, text). Mistakes in the files go to `problems`, as in [`Engine::compile`]; rules
/// that cannot be compiled are not run.
pub fn run_tests(pipelines: &[(String, String)], streams: &[Stream], registry: &Arc<Registry>, problems: &mut Problems) -> Vec<TestReport> {
    let written = load(pipelines, problems);
    if compile_rules(&written, streams, registry, problems).is_none() {
        return Vec::new();
    }
    let mut reports = Vec::new();
    let mut report = |file: &String, rule: &Name, tests: &[RawTest], story: &dyn Fn(&RawTest) -> Result<Vec<String>, String>| {
        for (i, test) in tests.iter().enumerate() {
            let name = if test.name.is_empty() { format!("#{}", i + 1) } else { test.name.clone() };
            let failures = story(test).unwrap_or_else(|message| vec![message]);
            reports.push(TestReport { file: file.clone(), rule: rule.clone(), name, failures });
        }
    };
    for (file, rule) in &written.rules {
        report(file, &rule.id, &rule.test, &|test| run_rule(&written, file, rule, test, (streams, registry)));
    }
    for (file, derive) in &written.derives {
        report(file, &derive.id, &derive.test, &|test| {
            run_derive(&written, &derive.into, &derive.from, &derive.window, test, (streams, registry))
        });
    }
    reports
}

/// Streams, and the registry that knows the zones.
type World<'a> = (&'a [Stream], &'a Registry);

fn run_rule(written: &Written, file: &str, rule: &RawRule, test: &RawTest, world: World<'_>) -> Result<Vec<String>, String> {
    // Its tests name facts that its conditions speak of.
    let alone = Written { rules: vec![(file.to_owned(), rule.clone())], derives: written.derives.clone() };
    let longest = written.derives.iter().filter(|(_, derive)| derive.into == rule.from).map(|(_, derive)| settle(&derive.window)).max();
    let rest = settle(&rule.window).max(rule.hold) + longest.unwrap_or(Span::ZERO);
    let out = play(&alone, &rule.from, rest, test, world)?;
    Ok(compare(rule, test, &out.signals))
}

fn run_derive(
    written: &Written,
    into: &Name,
    from: &Name,
    window: &RawWindow,
    test: &RawTest,
    world: World<'_>,
) -> Result<Vec<String>, String> {
    let alone = Written { rules: Vec::new(), derives: written.derives.clone() };
    let out = play(&alone, from, settle(window), test, world)?;
    let emitted = out.derived.iter().filter(|reading| reading.stream == *into).map(emission);
    let expected = test.emits.iter().map(|given| {
        let (time, given, key) = parts(given);
        Ok(format!("{} {}", clock_text(parse_time(time)?), shown(given, key.unwrap_or(STATION))))
    });
    let (expected, found) = (expected.collect::<Result<Vec<String>, String>>()?, emitted.collect::<Vec<_>>());
    Ok(if expected == found { Vec::new() } else { vec![format!("emits: found {found:?}, expected {expected:?}")] })
}

/// The story of one test; everything that was said.
fn play(written: &Written, from: &Name, rest: Span, test: &RawTest, (streams, city): World<'_>) -> Result<Out, String> {
    let own = streams.iter().find(|s| s.id == *from).ok_or("no such stream")?;
    let mut readings = VecDeque::new();
    for given in &test.given {
        readings.push_back(reading(streams, own, given)?);
    }
    let mut problems = Problems::default();
    let mut registry = registry(own, test, &readings, streams, &mut problems);
    registry.zones.clone_from(&city.zones);
    let registry = Arc::new(registry);
    let engine = compile_rules(written, streams, &registry, &mut problems);
    let mut engine = engine.ok_or_else(|| problems.to_string())?;
    engine.set_exercise(test.exercise);
    let last = readings.iter().map(|r| r.at).max().ok_or("no readings in `given`")?;
    let until = match &test.until {
        Some(until) => parse_time(until)?,
        None => last + own.disorder + rest,
    };
    let mut out = Out::default();
    let mut clock = Timestamp::MIN;
    for mut reading in readings {
        clock = clock.max(reading.at);
        // What is due at the very moment of a reading comes after it: what arrives in time is heard first.
        run_clock(&mut engine, clock - Span::from_millis(1), &mut out);
        reading.received = clock;
        engine.on_reading(&mut reading, clock, &mut out);
    }
    run_clock(&mut engine, until, &mut out);
    Ok(out)
}

fn run_clock(engine: &mut Engine, until: Timestamp, out: &mut Out) {
    // Before the first reading there is no clock.
    if engine.next_deadline().is_some() {
        engine.advance(until, out);
    }
}

/// How long after the last reading its window may close.
fn settle(window: &RawWindow) -> Span {
    match window {
        RawWindow::None(_) | RawWindow::Count(Count { .. }) => Span::ZERO,
        RawWindow::Tumbling(Tumbling { tumbling }) => *tumbling,
        RawWindow::Sliding(Sliding { every, .. }) => *every,
        RawWindow::Session(Session { session, .. }) => *session,
    }
}

fn compare(rule: &RawRule, test: &RawTest, signals: &[Signal]) -> Vec<String> {
    let at = |signal: &Signal| match signal.key == STATION {
        true => clock_text(signal.at),
        false => format!("{} {}", clock_text(signal.at), signal.key),
    };
    let raised: Vec<&Signal> = signals.iter().filter(|s| matches!(s.kind, SignalKind::Raise { .. } | SignalKind::Once { .. })).collect();
    let raises = raised.iter().map(|signal| format!("{}@{}", rule.severity, at(signal))).collect();
    let clears = signals.iter().filter(|s| s.kind == SignalKind::Clear).map(at).collect();
    let stale = signals.iter().filter(|s| matches!(s.kind, SignalKind::Stale { .. })).map(at).collect();
    let mut failures = Vec::new();
    let mut check = |what: &str, expected: &[String], found: Vec<String>| {
        if expected != found {
            failures.push(format!("{what}: found {found:?}, expected {expected:?}"));
        }
    };
    check("raises", &test.raises, raises);
    check("clears", &test.clears, clears);
    check("stale", &test.stale, stale);
    if !test.says.is_empty() {
        check("says", &test.says, raised.iter().map(|signal| signal.text.vi.clone()).collect());
    }
    failures
}

const STATION: &str = "test";

/// A registry of the stations that the test gives, written and read as any other.
fn registry(own: &Stream, test: &RawTest, readings: &VecDeque<Reading>, streams: &[Stream], problems: &mut Problems) -> Registry {
    let mut rows: BTreeMap<&str, BTreeMap<&Name, &Fact>> = BTreeMap::new();
    rows.insert(STATION, test.station.iter().collect());
    rows.extend(test.stations.iter().map(|(key, facts)| (key.as_str(), facts.iter().collect())));
    let mut text = String::new();
    let mut wards = BTreeSet::new();
    for (key, facts) in rows {
        let sensors = streams.iter().filter(|s| s.origin == Origin::Sensor);
        let heard = sensors.filter(|s| (key == STATION && s.id == own.id) || readings.iter().any(|r| r.key == *key && r.stream == s.id));
        let heard = heard.map(|s| format!("{:?}", s.id.as_str())).collect::<Vec<_>>().join(", ");
        let camera = own.origin == Origin::Vision;
        let (table, name) = (if camera { "camera" } else { "station" }, if key == STATION { "Trạm thử" } else { key });
        let number = |name: &str, otherwise: f64| match facts.get(&Name::new(name)) {
            Some(Fact::Number(number)) => *number,
            _ => otherwise,
        };
        let word = |name: &str| match facts.get(&Name::new(name)) {
            Some(Fact::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let of = |wanted: bool| {
            let chosen = facts
                .iter()
                .filter(|(name, fact)| matches!(fact, Fact::Text(_)) == wanted && !["lat", "lon", "kind", "ward"].contains(&name.as_str()));
            let entries = chosen.map(|(name, fact)| match fact {
                Fact::Number(number) => format!("{:?} = {number:?}", name.as_str()),
                Fact::Text(text) => format!("{:?} = {text:?}", name.as_str()),
            });
            entries.collect::<Vec<_>>().join(", ")
        };
        let (lat, lon) = (number("lat", 16.46), number("lon", 107.59));
        let _infallible = write!(
            text,
            "[[{table}]]\nid = {key:?}\nname = {name:?}\nname_en = {:?}\nlat = {lat:?}\nlon = {lon:?}\nperiod = \"{}\"\nlevels = {{ {} }}\nlabels = {{ {} }}\n",
            if key == STATION { "Test station" } else { key },
            test.period,
            of(false),
            of(true),
        );
        if let Some(ward) = word("ward") {
            let _infallible = writeln!(text, "ward = {ward:?}");
            wards.insert(ward);
        }
        if !camera {
            let kind = word("kind").unwrap_or("test");
            let _infallible = writeln!(text, "kind = {kind:?}\nstreams = [{heard}]\nlevels_source = \"the test\"");
        }
        if key == STATION {
            let links = test.links.iter().map(|(name, to)| format!("{:?} = {:?}", name.as_str(), to));
            let _infallible = writeln!(text, "links = {{ {} }}", links.collect::<Vec<_>>().join(", "));
        }
    }
    for ward in wards {
        let _infallible = writeln!(text, "[[ward]]\nid = {ward:?}\nname = {ward:?}\nname_en = {ward:?}");
    }
    Registry::parse("(test)", &text, problems)
}

fn parts(given: &RawGiven) -> (&str, &Given, Option<&str>) {
    match given {
        RawGiven::Own(time, given) => (time, given, None),
        RawGiven::Of(time, given, key) => (time, given, Some(key)),
    }
}

fn reading(streams: &[Stream], own: &Stream, given: &RawGiven) -> Result<Reading, String> {
    let (time, given, of) = parts(given);
    let (stream, key) = match of.map(|of| of.split_once('/').map_or((None, of), |(stream, key)| (Some(stream), key))) {
        None => (own, STATION),
        Some((None, key)) => (own, key),
        Some((Some(stream), key)) => (
            streams.iter().find(|s| s.id == *stream).ok_or_else(|| format!("`{stream}` is no stream"))?,
            if key.is_empty() { STATION } else { key },
        ),
    };
    let at = parse_time(time)?;
    let field = |(name, fact): (&Name, &Fact)| match fact {
        Fact::Number(value) => Field::ok(name.clone(), *value),
        Fact::Text(text) => Field { name: name.clone(), value: Value::Text(text.as_str().into()), quality: Quality::OK },
    };
    let fields: SmallVec<[Field; 1]> = match given {
        Given::Value(value) => std::iter::once(Field::ok(Name::new("value"), *value)).collect(),
        Given::Fields(fields) => fields.iter().map(field).collect(),
    };
    for field in &fields {
        let known =
            stream.fields.get(&field.name).ok_or_else(|| format!("`{}` is not a field of the stream `{}`", field.name, stream.id))?;
        if known.text != matches!(field.value, Value::Text(_)) {
            return Err(format!("`{}` of the stream `{}` is a {}", field.name, stream.id, if known.text { "text" } else { "number" }));
        }
    }
    let (key, source) = (Name::new(key), Name::new("test"));
    Ok(Reading { stream: stream.id.clone(), key, at, received: at, fields, source, origin: stream.origin, orphan: false })
}

fn emission(reading: &Reading) -> String {
    let fields = reading.fields.iter().map(|field| match &field.value {
        Value::Number(number) => (field.name.clone(), Fact::Number(*number)),
        Value::Text(text) => (field.name.clone(), Fact::Text(text.to_string())),
    });
    format!("{} {}", clock_text(reading.at), shown(&Given::Fields(fields.collect()), &reading.key))
}

/// To four decimals: what a test writes by hand.
fn shown(given: &Given, key: &str) -> String {
    let fields: BTreeMap<Name, Fact> = match given {
        Given::Value(value) => BTreeMap::from([(Name::new("value"), Fact::Number(*value))]),
        Given::Fields(fields) => fields.clone(),
    };
    let fields = fields.iter().map(|(name, fact)| match fact {
        Fact::Number(number) => format!("{name} = {}", (number * 1e4).round() / 1e4),
        Fact::Text(text) => format!("{name} = {text:?}"),
    });
    let fields = fields.collect::<Vec<_>>().join(", ");
    if key == STATION { format!("{{ {fields} }}") } else { format!("{{ {fields} }} {key}") }
}

/// `HH:MM` or `HH:MM:SS`; hours may pass 24.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("`{text}` is not a time such as \"00:10\" or \"26:00:30\"");
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    match parts.as_slice() {
        [hours, minutes] => Ok(Timestamp::from_millis((hours * 3600 + minutes * 60) * 1000)),
        [hours, minutes, seconds] => Ok(Timestamp::from_millis((hours * 3600 + minutes * 60 + seconds) * 1000)),
        _ => Err(wrong()),
    }
}

fn clock_text(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1000);
    let (hours, minutes, rest) = (seconds.div_euclid(3600), seconds.rem_euclid(3600) / 60, seconds.rem_euclid(60));
    if rest == 0 { format!("{hours:02}:{minutes:02}") } else { format!("{hours:02}:{minutes:02}:{rest:02}") }
}
