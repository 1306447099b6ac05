//! `[[rule.test]]`: stories in virtual time that prove a rule where it is written.
//!
//! Each test runs its rule alone, over one station with the levels that the test gives. The clock stands at each reading's own
//! time; between readings it stops at every deadline of the engine, as in service.

use std::collections::VecDeque;
use std::sync::Arc;

use huong_types::{Field, Name, Origin, Problems, Reading, Registry, Signal, SignalKind, Span, Stream, Timestamp};
use smallvec::SmallVec;

use crate::compile::{Written, compile_rules, level_names, load};
use crate::engine::Engine;
use crate::rule_file::{Given, RawRule, RawTest, RawWindow};

/// How one `[[rule.test]]` went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    pub file: String,
    pub rule: Name,
    /// The test's name, or its number within the rule.
    pub name: String,
    /// What differed; empty means passed.
    pub failures: Vec<String>,
}

/// Runs every `[[rule.test]]` of the files, given as (file name, text). Mistakes in the files go to `problems`, as in
/// [`Engine::compile`]; rules that cannot be compiled are not run.
pub fn run_tests(pipelines: &[(String, String)], streams: &[Stream], registry: &Arc<Registry>, problems: &mut Problems) -> Vec<TestReport> {
    let rules = load(pipelines, problems);
    let levels = level_names(registry, &rules);
    if compile_rules(&rules, streams, registry, &levels, problems).is_none() {
        return Vec::new();
    }
    let mut reports = Vec::new();
    for written in &rules {
        for (i, test) in written.rule.test.iter().enumerate() {
            let name = if test.name.is_empty() { format!("#{}", i + 1) } else { test.name.clone() };
            let failures = run(written, test, streams, &levels).unwrap_or_else(|message| vec![message]);
            reports.push(TestReport { file: written.file.clone(), rule: written.rule.id.clone(), name, failures });
        }
    }
    reports
}

fn run(written: &Written, test: &RawTest, streams: &[Stream], levels: &[Name]) -> Result<Vec<String>, String> {
    let stream = streams.iter().find(|s| s.id == written.rule.from).ok_or("no such stream")?;
    let mut problems = Problems::default();
    let registry = Arc::new(registry(stream, test, &mut problems));
    let engine = compile_rules(std::slice::from_ref(written), streams, &registry, levels, &mut problems);
    let mut engine = engine.ok_or_else(|| problems.to_string())?;
    let mut readings = VecDeque::new();
    for (time, given) in &test.given {
        readings.push_back(reading(stream, parse_time(time)?, given)?);
    }
    let last = readings.iter().map(|r| r.at).max().ok_or("no readings in `given`")?;
    let until = match &test.until {
        Some(until) => parse_time(until)?,
        None => last + stream.disorder + settle(&written.rule),
    };
    let mut signals = Vec::new();
    let mut clock = Timestamp::MIN;
    for mut reading in readings {
        clock = clock.max(reading.at);
        run_clock(&mut engine, clock, &mut signals);
        reading.received = clock;
        engine.on_reading(&mut reading, clock, &mut signals);
    }
    run_clock(&mut engine, until + Span::from_millis(1), &mut signals);
    Ok(compare(&written.rule, test, &signals))
}

/// Stops at each deadline before `until`, so that every tick happens when it is due. One at `until` itself is left for after the
/// reading of that moment: what arrives in time is heard first.
fn run_clock(engine: &mut Engine, until: Timestamp, signals: &mut Vec<Signal>) {
    while let Some(due) = engine.next_deadline().filter(|due| *due < until) {
        engine.on_tick(due, signals);
    }
}

/// How long after the last reading its window may close and its on-delay end.
fn settle(rule: &RawRule) -> Span {
    let hop = match &rule.window {
        RawWindow::None(_) => Span::ZERO,
        RawWindow::Tumbling(window) => window.tumbling,
        RawWindow::Sliding(window) => window.every,
    };
    hop.max(rule.hold)
}

fn compare(rule: &RawRule, test: &RawTest, signals: &[Signal]) -> Vec<String> {
    let at = |signal: &Signal| clock_text(signal.at);
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

/// A registry of one station, written and read as any other.
fn registry(stream: &Stream, test: &RawTest, problems: &mut Problems) -> Registry {
    let levels = test.station.iter().map(|(name, value)| format!("\"{name}\" = {value:?}")).collect::<Vec<_>>().join(", ");
    let (kind, streams) = match stream.origin {
        Origin::Sensor | Origin::Derived => {
            ("station", format!("kind = \"test\"\nstreams = [\"{}\"]\nlevels_source = \"the test\"", stream.id))
        }
        Origin::Vision => ("camera", String::new()),
    };
    let text = format!(
        "[[{kind}]]\nid = \"{STATION}\"\nname = \"Trạm thử\"\nname_en = \"Test station\"\nlat = 16.46\nlon = 107.59\nperiod = \"{}\"\nlevels = {{ {levels} }}\n{streams}\n",
        test.period
    );
    Registry::parse("(test)", &text, problems)
}

fn reading(stream: &Stream, at: Timestamp, given: &Given) -> Result<Reading, String> {
    let fields: SmallVec<[Field; 1]> = match given {
        Given::Value(value) => std::iter::once(Field::ok(Name::new("value"), *value)).collect(),
        Given::Fields(fields) => fields.iter().map(|(name, value)| Field::ok(name.clone(), *value)).collect(),
    };
    if let Some(unknown) = fields.iter().find(|field| !stream.fields.contains_key(&field.name)) {
        return Err(format!("`{}` is not a field of the stream `{}`", unknown.name, stream.id));
    }
    let (key, source) = (Name::new(STATION), Name::new("test"));
    Ok(Reading { stream: stream.id.clone(), key, at, received: at, fields, source, origin: stream.origin, orphan: false })
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
