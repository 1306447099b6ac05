//! The brain is blind to batches, and a restart tells each alert once.

use std::collections::BTreeSet;
use std::sync::Arc;

use huong_alerts::TableConfig;
use huong_rules::Verdict;
use huong_types::{Alert, Field, Name, Origin, Problems, Reading, Registry, Span, Stream, Timestamp, Transition, TransitionKind};

use super::{Brain, Event};

const STREAMS: &str = r#"
    [[stream]]
    id = "level"
    name = "Mực nước"
    name_en = "Level"
    disorder = "2m"
    future = "10m"
    max_age = "1d"
    gap = "1d"
    silent_after_periods = 3
    fields.value = { unit = "m" }
"#;

const REGISTRY: &str = r#"
    station = [
        { id = "a", name = "A", name_en = "A", kind = "test", streams = ["level"], lat = 16.4, lon = 107.5, period = "10m", levels = { bd = 1.0 }, levels_source = "t" },
        { id = "b", name = "B", name_en = "B", kind = "test", streams = ["level"], lat = 16.5, lon = 107.6, period = "10m", levels = { bd = 2.0 }, levels_source = "t" },
    ]
"#;

const RULES: &str = r#"
    [[rule]]
    id = "delayed"
    from = "level"
    when = "value >= station.bd"
    for = "15m"
    severity = "severe"
    escalate = [{ after = "10m", to = ["lead"] }]
    flap = { raises = 3, within = "2h" }
    source = "a test"
    text = { vi = "{value:.1}", en = "{value:.1}" }

    [[rule]]
    id = "window"
    from = "level"
    window = { sliding = "30m", every = "10m" }
    select = { top = "max(value)", mean = "avg(value)" }
    when = "mean >= 1.5"
    keep_firing_for = "20m"
    latch = true
    severity = "moderate"
    inhibits = ["silent"]
    source = "a test"
    text = { vi = "{mean:.1}", en = "{mean:.1}" }

    [[rule]]
    id = "silent"
    kind = "silence"
    from = "level"
    severity = "minor"
    source = "a test"
    text = { vi = "im lặng", en = "silent" }
"#;

fn brain() -> Brain {
    brain_with(RULES)
}

fn brain_with(rules: &str) -> Brain {
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams.toml", STREAMS, &mut problems);
    let registry = Arc::new(Registry::parse("registry.toml", REGISTRY, &mut problems));
    let rules = [("rules.toml".to_owned(), rules.to_owned())];
    Brain::new(&rules, &streams, &registry, &TableConfig::default(), &mut problems).unwrap_or_else(|| panic!("{problems}"))
}

/// Arrivals by a plain generator: (arrival, reading).
fn story(seed: u64) -> Vec<(Timestamp, Reading)> {
    let mut state = seed;
    let mut next = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let mut clock = 0i64;
    (0..200)
        .map(|_| {
            clock += [0, 1, 60_000, 299_999, 300_000, 600_000, 2_400_000][next(7) as usize];
            let (now, late) = (Timestamp::from_millis(clock), Span::from_millis(next(120_000) as i64));
            let value = next(7) as f64 / 2.0;
            (now, reading(["a", "b", "z"][next(3) as usize], now - late, now, value))
        })
        .collect()
}

fn reading(key: &str, at: Timestamp, received: Timestamp, value: f64) -> Reading {
    Reading {
        stream: "level".into(),
        key: key.into(),
        at,
        received,
        fields: std::iter::once(Field::ok(Name::new("value"), value)).collect(),
        source: "test".into(),
        origin: Origin::Sensor,
        orphan: false,
    }
}

fn give(brain: &mut Brain, event: Event<'_>, now: Timestamp, out: &mut Vec<Transition>) {
    brain.on(event, now, out).expect("readings and ticks are always taken");
}

#[test]
fn any_split_into_batches_gives_the_same_journal() {
    for seed in 0..8 {
        let (mut plain, mut ticked) = (Vec::new(), Vec::new());
        let (mut one, mut other) = (brain(), brain());
        let mut before: Option<Timestamp> = None;
        for (now, reading) in story(seed) {
            // Just before, at the very moment, and in between, as often as there is time.
            for share in 0..4 {
                if let Some(last) = before {
                    let tick = last + Span::from_millis(now.since(last).as_millis() * share / 3);
                    give(&mut other, Event::Tick, tick, &mut ticked);
                }
            }
            give(&mut one, Event::Reading(&mut reading.clone()), now, &mut plain);
            give(&mut other, Event::Reading(&mut reading.clone()), now, &mut ticked);
            before = Some(now);
        }
        let end = before.unwrap_or(Timestamp::MIN) + Span::from_mins(600);
        give(&mut one, Event::Tick, end, &mut plain);
        give(&mut other, Event::Tick, end, &mut ticked);
        assert!(plain.len() > 50, "{} transitions", plain.len());
        assert_eq!(format!("{plain:?}"), format!("{ticked:?}"), "seed {seed}");
    }
}

#[test]
fn a_restart_at_any_point_raises_each_alert_once() {
    let raised = |journal: &[Transition]| {
        let raises = journal.iter().filter(|step| step.kind == TransitionKind::Raised && step.alert.rule != *"silent");
        raises.map(|step| step.alert.id.clone()).collect::<Vec<Name>>()
    };
    let story = story(3);
    let mut whole = Vec::new();
    let mut steady = brain();
    for (now, reading) in &story {
        give(&mut steady, Event::Reading(&mut reading.clone()), *now, &mut whole);
    }
    let expected: BTreeSet<Name> = raised(&whole).into_iter().collect();
    for stop in (10..story.len()).step_by(17) {
        let mut journal = Vec::new();
        let mut first = brain();
        for (now, reading) in &story[..stop] {
            give(&mut first, Event::Reading(&mut reading.clone()), *now, &mut journal);
        }
        let open: Vec<Alert> = first.table.open().cloned().collect();
        let mut second = brain();
        for (_, reading) in &story[..stop] {
            second.relive(&mut reading.clone());
        }
        second.restore(open, raised(&journal), first.table.next_seq());
        for (now, reading) in &story[stop..] {
            give(&mut second, Event::Reading(&mut reading.clone()), *now, &mut journal);
        }
        let told = raised(&journal);
        let once: BTreeSet<Name> = told.iter().cloned().collect();
        assert_eq!(told.len(), once.len(), "twice, stopped at {stop}: {told:?}");
        assert_eq!(once, expected, "stopped at {stop}");
        assert!(journal.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "the journal goes on");
    }
}

/// A brain with the log and the journal that its process would leave behind.
struct Process {
    brain: Brain,
    rules: &'static str,
    log: Vec<Reading>,
    journal: Vec<Transition>,
    starts: Vec<Timestamp>,
}

impl Process {
    fn new(rules: &'static str) -> Self {
        Self { brain: brain_with(rules), rules, log: Vec::new(), journal: Vec::new(), starts: Vec::new() }
    }

    fn hear(&mut self, key: &str, at: Timestamp, now: Timestamp) -> Verdict {
        let mut reading = reading(key, at, now, 1.0);
        let verdict = self.brain.on(Event::Reading(&mut reading), now, &mut self.journal).expect("readings are always taken");
        if verdict != Verdict::Duplicate {
            self.log.push(reading);
        }
        verdict
    }

    /// Killed, and started again at `now`.
    fn restart(&mut self, now: Timestamp) {
        let (open, next_seq) = (self.brain.table.open().cloned().collect(), self.brain.table.next_seq());
        self.brain = brain_with(self.rules);
        let mut starts = self.starts.iter().peekable();
        for reading in &self.log {
            while let Some(start) = starts.next_if(|start| **start <= reading.received) {
                self.brain.resume(*start);
            }
            self.brain.relive(&mut reading.clone());
        }
        let raised = self.journal.iter().filter(|step| step.kind == TransitionKind::Raised).map(|step| step.alert.id.clone());
        self.brain.restore(open, raised.collect(), next_seq);
        self.starts.push(now);
        give(&mut self.brain, Event::Tick, now, &mut self.journal);
    }
}

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

#[test]
fn windows_wait_for_what_was_sent_during_a_pause() {
    let mut process = Process::new(
        r#"
        [[rule]]
        id = "each"
        from = "level"
        window = { tumbling = "10m" }
        select = { n = "count(*)" }
        when = "n >= 5"
        each = true
        severity = "minor"
        source = "a test"
        text = { vi = "{n}", en = "{n}" }
        "#,
    );
    for n in 1..=7 {
        process.hear("a", minute(n), minute(n));
    }
    // Down twice within one window; in between only another gauge is heard, and the clock with it.
    process.restart(minute(30));
    process.hear("b", minute(30), minute(30) + Span::from_secs(1));
    process.restart(minute(50));
    for n in 8..=50 {
        process.hear("a", minute(n), minute(50) + Span::from_secs(n));
    }
    for n in 51..=65 {
        process.hear("a", minute(n), minute(n));
    }
    let told = |step: &Transition| (step.kind == TransitionKind::Raised).then(|| (step.alert.since, step.alert.values["n"]));
    let told: Vec<(Timestamp, f64)> = process.journal.iter().filter(|step| step.alert.key == "a").filter_map(told).collect();
    assert_eq!(told, (0..6).map(|window| (minute(10 * window), 10.0)).collect::<Vec<_>>(), "each window whole, and once");
}

#[test]
fn what_was_stored_and_not_acknowledged_is_known_when_it_comes_again() {
    let mut process = Process::new(RULES);
    let second = |n: i64| Timestamp::from_millis(n * 1000);
    let now = minute(10_000);
    // More of one key than the rules remember, and some of it too old to be judged.
    let history: Vec<i64> = (0..3000).chain(-500..0).collect();
    for n in &history {
        assert_ne!(process.hear("a", second(*n), now), Verdict::Duplicate, "{n}");
    }
    for again in [false, true] {
        if again {
            process.restart(now + Span::from_mins(1));
        }
        for n in &history {
            assert_eq!(process.hear("a", second(*n), now + Span::from_mins(2)), Verdict::Duplicate, "{n}");
        }
    }
    assert_eq!(process.log.len(), history.len());
}
