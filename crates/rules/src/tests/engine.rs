//! The engine's contract, one story per promise.

use std::sync::Arc;

use huong_types::{Flag, Registry, SignalKind, Span};

use super::{engine, minute, reading, registry, told};
use crate::{Engine, Out, Verdict};

const LEVEL: &str = r#"
    [[rule]]
    id = "high"
    from = "water_level"
    when = "value >= station.bd2"
    clear = "value < station.bd2 - 0.05"
    severity = "severe"
    source = "a test"
    text = { vi = "{station.name} {value:.2} m", en = "{station.name} {value:.2} m" }
    over = { vi = "đã xuống {value:.2}", en = "down to {value:.2}" }
"#;

fn rules(text: &str) -> Vec<(String, String)> {
    vec![("test.toml".to_owned(), text.to_owned())]
}

/// Feeds `(minute, key, value)` of the water level, the clock standing at each reading, then lets it run to `until`.
pub(super) fn play(engine: &mut Engine, story: &[(i64, &str, f64)], until: i64) -> Vec<String> {
    let mut out = Out::default();
    for (at, key, value) in story {
        tick_to(engine, *at, &mut out);
        engine.on_reading(&mut reading("water_level", key, minute(*at), &[("value", *value)]), minute(*at), &mut out);
    }
    tick_to(engine, until, &mut out);
    told(&out.signals)
}

/// What is due at the very moment `until` is left for after the reading of that moment.
fn tick_to(engine: &mut Engine, until: i64, out: &mut Out) {
    let until = minute(until) - Span::from_millis(1);
    if engine.next_deadline().is_some() {
        engine.advance(until, out);
    }
    assert!(engine.next_deadline().is_none_or(|next| next > until), "nothing that was due is left");
}

#[test]
fn hysteresis_tells_every_step() {
    let mut engine = engine(&rules(LEVEL), registry("water_level", &[("kimlong", "bd2 = 2.0")]));
    let story = [
        (0, "kimlong", 1.9),
        (10, "kimlong", 2.0),
        (20, "kimlong", 1.97),
        (30, "kimlong", 2.01),
        (40, "kimlong", 2.2),
        (50, "kimlong", 1.9),
    ];
    let expected =
        ["kimlong high raise@10", "kimlong high recede@20", "kimlong high resume@30", "kimlong high update@40", "kimlong high clear@50"];
    assert_eq!(play(&mut engine, &story, 60), expected);
}

#[test]
fn a_signal_says_what_where_and_why() {
    let mut engine = engine(&rules(LEVEL), registry("water_level", &[("kimlong", "bd2 = 2.0")]));
    let mut out = Out::default();
    engine.on_reading(&mut reading("water_level", "kimlong", minute(0), &[("value", 2.5)]), minute(3), &mut out);
    engine.on_reading(&mut reading("water_level", "kimlong", minute(60), &[("value", 1.8)]), minute(63), &mut out);
    assert_eq!(told(&out.signals), ["kimlong high raise@0", "kimlong high clear@60"]);
    assert_eq!((out.signals[0].text.vi.as_str(), out.signals[0].text.en.as_str()), ("Trạm kimlong 2,50 m", "kimlong station 2.50 m"));
    assert_eq!(out.signals[1].text.vi, "đã xuống 1,80");
    assert_eq!(out.signals[0].values.get("value"), Some(&2.5));
    assert_eq!(out.signals[0].cause.iter().map(|c| c.at).collect::<Vec<_>>(), [minute(0)]);
    assert_eq!(out.signals[0].kind, SignalKind::Raise { since: minute(0) });
}

#[test]
fn an_unknown_key_is_judged_by_what_is_known_and_listed() {
    let text =
        format!("{LEVEL}\n{}", LEVEL.replace("\"high\"", "\"metres\"").replace("station.bd2 - 0.05", "2").replace("station.bd2", "2"));
    let mut engine = engine(&rules(&text), registry("water_level", &[("kimlong", "bd2 = 2.0")]));
    assert_eq!(play(&mut engine, &[(0, "stranger", 1.0), (10, "stranger", 2.5)], 20), ["stranger metres raise@10"]);
    assert_eq!(engine.orphans().iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["stranger"]);
}

#[test]
fn the_on_delay_ends_by_the_next_reading_or_by_the_clock_at_the_same_time() {
    let text = LEVEL.replace("severity", "for = \"20m\"\n severity");
    let stations = registry("water_level", &[("kimlong", "bd2 = 2.0")]);
    let by_reading = [(0, "kimlong", 1.9), (10, "kimlong", 2.1), (20, "kimlong", 2.1), (30, "kimlong", 2.1)];
    assert_eq!(play(&mut engine(&rules(&text), Arc::clone(&stations)), &by_reading, 31), ["kimlong high raise@30"]);
    assert_eq!(play(&mut engine(&rules(&text), Arc::clone(&stations)), &by_reading[..3], 35), ["kimlong high raise@30"]);
    let interrupted = [(10, "kimlong", 2.1), (20, "kimlong", 1.99), (30, "kimlong", 2.1), (40, "kimlong", 2.1)];
    assert_eq!(play(&mut engine(&rules(&text), stations), &interrupted, 45), Vec::<String>::new());
}

#[test]
fn silence_freezes_an_alarm_and_its_end_thaws_it() {
    let silence = r#"
        [[rule]]
        id = "silent"
        kind = "silence"
        from = "water_level"
        severity = "minor"
        source = "a test"
        text = { vi = "im lặng từ {at}", en = "silent since {at}" }
    "#;
    let mut engine = engine(&rules(&format!("{LEVEL}{silence}")), registry("water_level", &[("kimlong", "bd2 = 2.0"), ("never", "")]));
    let story = [(0, "kimlong", 2.5), (100, "kimlong", 2.4), (110, "kimlong", 1.5)];
    let expected = [
        "kimlong high raise@0",
        "kimlong high stale@30",
        "kimlong silent raise@30",
        "never silent raise@30",
        "kimlong high fresh@100",
        "kimlong silent clear@100",
        "kimlong high update@100",
        "kimlong high clear@110",
    ];
    assert_eq!(play(&mut engine, &story, 120), expected);
}

#[test]
fn an_orphan_is_waited_for_only_while_it_has_an_alarm() {
    let text = LEVEL.replace("station.bd2", "2.0");
    let mut quiet = engine(&rules(&text), Arc::new(Registry::default()));
    assert_eq!(play(&mut quiet, &[(0, "stranger", 1.0)], 100_000), Vec::<String>::new());
    let mut loud = engine(&rules(&text), Arc::new(Registry::default()));
    assert_eq!(play(&mut loud, &[(0, "stranger", 2.5)], 100_000), ["stranger high raise@0", "stranger high stale@1440"]);
}

const SUM: &str = r#"
    [[rule]]
    id = "sum"
    from = "water_level"
    window = { sliding = "30m", every = "10m" }
    select = { total = "sum(value)", n = "count(*)", top = "max(value) - min(value)" }
    when = "total >= 6"
    severity = "minor"
    source = "a test"
    text = { vi = "{total:.1} {n}", en = "{total:.1} {n}" }
"#;

#[test]
fn windows_hold_their_end_and_not_their_start() {
    let mut engine = engine(&rules(SUM), registry("water_level", &[("a", ""), ("b", "")]));
    let story = [(10, "a", 2.0), (20, "a", 2.0), (30, "a", 2.0), (40, "a", 1.5), (50, "a", 1.0)];
    // (0, 30] = 6; (10, 40] = 5.5, which holds no gap any more.
    assert_eq!(play(&mut engine, &story, 60), ["a sum raise@30", "a sum clear@40"]);
}

#[test]
fn the_clock_closes_windows_of_all_keys_in_one_order() {
    let mut engine = engine(&rules(SUM), registry("water_level", &[("b", ""), ("a", "")]));
    let mut out = Out::default();
    for key in ["a", "b", "c"] {
        engine.on_reading(&mut reading("water_level", key, minute(5), &[("value", 7.0)]), minute(5), &mut out);
    }
    assert!(out.signals.is_empty(), "nothing is said of an open window");
    engine.advance(minute(12), &mut out);
    assert_eq!(told(&out.signals), ["b sum raise@10", "a sum raise@10", "c sum raise@10"], "registry first, then orphans");
    assert_eq!(out.signals[0].text.vi, "7,0 1");
}

#[test]
fn a_sum_that_falls_because_nothing_arrives_clears_nothing() {
    let mut engine = engine(&rules(SUM), registry("water_level", &[("a", "")]));
    let story = [(10, "a", 3.0), (20, "a", 3.0), (70, "a", 3.0)];
    assert_eq!(play(&mut engine, &story, 75), ["a sum raise@20", "a sum stale@50", "a sum fresh@70", "a sum clear@70"]);
}

#[test]
fn a_late_reading_is_history_and_a_repeat_is_a_duplicate() {
    let mut engine = engine(&rules(LEVEL), registry("water_level", &[("a", "bd2 = 2.0")]));
    let mut out = Out::default();
    let mut give = |at: i64, value: f64| {
        let mut reading = reading("water_level", "a", minute(at), &[("value", value)]);
        let verdict = engine.on_reading(&mut reading, minute(100), &mut out);
        (verdict, reading.flag())
    };
    assert_eq!(give(50, 1.0), (Verdict::Judged, Flag::Gap));
    assert_eq!(give(60, 1.1), (Verdict::Judged, Flag::Ok));
    assert_eq!(give(60, 1.1).0, Verdict::Duplicate);
    assert_eq!(give(50, 1.0).0, Verdict::Duplicate);
    assert_eq!(give(60, 1.2), (Verdict::Judged, Flag::Suspect));
    assert_eq!(give(60, 1.2).0, Verdict::Duplicate, "also of what was doubted");
    assert_eq!(give(55, 3.0), (Verdict::History, Flag::Late));
    assert_eq!(give(59, 1.15), (Verdict::Judged, Flag::Ok), "within the disorder");
    assert!(out.signals.is_empty(), "{:?}", out.signals);
}

#[test]
fn partial_readings_of_one_moment_complete_each_other() {
    let text = r#"
        [[rule]]
        id = "full"
        from = "reservoir"
        when = "level >= 45"
        severity = "severe"
        source = "a test"
        text = { vi = "{level:.1} {q_in}", en = "{level:.1} {q_in}" }
    "#;
    let mut engine = engine(&rules(text), registry("reservoir", &[("tatrach", "")]));
    let mut out = Out::default();
    let mut give =
        |at: i64, fields: &[(&str, f64)]| engine.on_reading(&mut reading("reservoir", "tatrach", minute(at), fields), minute(at), &mut out);
    assert_eq!(give(0, &[("level", 45.2)]), Verdict::Judged);
    assert_eq!(give(0, &[("q_in", 900.0)]), Verdict::Judged);
    assert_eq!(give(0, &[("q_in", 900.0)]), Verdict::Duplicate);
    assert_eq!(give(60, &[("q_in", 950.0)]), Verdict::Judged);
    assert_eq!(give(120, &[("level", 44.0), ("q_in", -1.0)]), Verdict::Judged);
    // A reading without the level says nothing about it; a bad inflow does not spoil the level beside it.
    assert_eq!(told(&out.signals), ["tatrach full raise@0", "tatrach full clear@120"]);
    assert_eq!(out.signals[0].text.vi, "45,2 –");
}

#[test]
fn an_each_rule_speaks_once_per_reading_and_forgets() {
    let text = LEVEL.replace("clear =", "each = true #").replace("over =", "#");
    let mut engine = engine(&rules(&text), registry("water_level", &[("a", "bd2 = 2.0")]));
    let story = [(0, "a", 2.5), (10, "a", 2.5), (20, "a", 1.0), (30, "a", 2.0)];
    assert_eq!(play(&mut engine, &story, 200), ["a high once@0", "a high once@10", "a high once@30"]);
}

#[test]
fn after_a_restart_the_engine_agrees_with_the_journal() {
    let stations = registry("water_level", &[("a", "bd2 = 2.0"), ("b", "bd2 = 2.0")]);
    let mut before = engine(&rules(LEVEL), Arc::clone(&stations));
    let mut table = Out::default();
    before.on_reading(&mut reading("water_level", "a", minute(0), &[("value", 2.5)]), minute(0), &mut table);
    assert_eq!(told(&table.signals), ["a high raise@0"]);
    let alert = alert_of(&table.signals[0]);

    let mut after = engine(&rules(LEVEL), stations);
    let mut dropped = Out::default();
    // The log also holds a raise of `b` that never reached the journal.
    after.on_reading(&mut reading("water_level", "b", minute(0), &[("value", 2.5)]), minute(0), &mut dropped);
    after.restore(std::slice::from_ref(&alert));
    let story = [(10, "a", 1.97), (10, "b", 2.5), (20, "a", 1.5)];
    assert_eq!(play(&mut after, &story, 30), ["b high raise@10", "a high clear@20"], "the first value after the start clears nothing");
}

pub(super) fn alert_of(signal: &huong_types::Signal) -> huong_types::Alert {
    let (about, severity) = (huong_types::About::Rule, huong_types::Severity::Severe);
    let alert = huong_types::Alert::new(about, "id".into(), &signal.rule, &signal.key, severity, signal.text.clone(), signal.at);
    huong_types::Alert { rule_version: "v1".into(), stream: "water_level".into(), values: signal.values.clone(), ..alert }
}

#[test]
fn how_far_back_the_log_must_be_replayed() {
    let text = format!("{LEVEL}{SUM}");
    let engine = engine(&rules(&text), registry("water_level", &[("a", "bd2 = 2.0")]));
    let reach = engine.reach()[&huong_types::Name::new("water_level")];
    assert_eq!(reach, huong_types::Span::from_mins(60), "window 30 min, and after it silence of 3 × 10 min");
    assert_eq!(engine.rules().iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["high", "sum"]);
}
