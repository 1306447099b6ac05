//! The brain is blind to batches, and a restart tells each alert once.

use std::collections::BTreeSet;
use std::sync::Arc;

use huong_alerts::TableConfig;
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
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams.toml", STREAMS, &mut problems);
    let registry = Arc::new(Registry::parse("registry.toml", REGISTRY, &mut problems));
    let rules = [("rules.toml".to_owned(), RULES.to_owned())];
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
            let reading = Reading {
                stream: "level".into(),
                key: ["a", "b", "z"][next(3) as usize].into(),
                at: now - late,
                received: now,
                fields: std::iter::once(Field::ok(Name::new("value"), value)).collect(),
                source: "test".into(),
                origin: Origin::Sensor,
                orphan: false,
            };
            (now, reading)
        })
        .collect()
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
