//! What must hold for any stream of readings, plausible or not.

use std::collections::{BTreeMap, BTreeSet};

use huong_types::{Flag, Name, Signal, SignalKind, Timestamp};
use proptest::prelude::*;

use super::{engine, minute, reading, registry, shipped};
use crate::Out;

/// Readings of two stations in order of arrival: minutes between arrivals, how late each is, its value.
fn story() -> impl Strategy<Value = Vec<(i64, i64, bool, f64)>> {
    let late = prop_oneof![8 => Just(0i64), 1 => 0i64..3, 1 => 0i64..60];
    let value = prop_oneof![10 => (0i64..60).prop_map(|v| v as f64 / 10.0), 1 => Just(-999_999.0), 1 => Just(2050.0)];
    prop::collection::vec((0i64..40, late, any::<bool>(), value), 1..80)
}

/// A reading's key, time and value, and how it was flagged.
type Flagged = (Name, Timestamp, f64, Flag);

/// What the engine says to a story, and how it flagged each reading.
fn play(story: &[(i64, i64, bool, f64)]) -> (Vec<Signal>, Vec<Flagged>) {
    told(story, false)
}

/// The same, for `watched` with every rule looking at everything.
fn told(story: &[(i64, i64, bool, f64)], watched: bool) -> (Vec<Signal>, Vec<Flagged>) {
    let stations = registry("water_level", &[("a", "bd1 = 1.0, bd2 = 2.0, bd3 = 3.5"), ("b", "bd1 = 1.5, bd2 = 3.0, bd3 = 4.5")]);
    let mut engine = engine(&shipped(&["river.toml", "silence.toml", "suspect.toml"]), stations);
    if watched {
        engine.watch(Name::new("no rule"), Name::new("no key"));
    }
    let (mut out, mut flags, mut clock) = (Out::default(), Vec::new(), 1000);
    for (wait, late, first, value) in story {
        clock += wait;
        engine.advance(minute(clock), &mut out);
        let mut reading = reading("water_level", if *first { "a" } else { "b" }, minute(clock - late), &[("value", *value)]);
        engine.on_reading(&mut reading, minute(clock), &mut out);
        flags.push((reading.key.clone(), reading.at, *value, reading.flag()));
    }
    (out.signals, flags)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_readings_and_ticks_give_the_same_signals(story in story()) {
        prop_assert_eq!(play(&story), play(&story));
    }

    #[test]
    fn a_shut_gate_hides_nothing(story in story()) {
        prop_assert_eq!(told(&story, false), told(&story, true));
    }

    #[test]
    fn every_alert_has_a_well_formed_life(story in story()) {
        let mut lives: BTreeMap<(Name, Name), (bool, bool, bool)> = BTreeMap::new();
        let mut onsets = BTreeSet::new();
        for signal in play(&story).0 {
            let (open, holds, stale) = lives.entry((signal.rule.clone(), signal.key.clone())).or_default();
            let fits = match signal.kind {
                SignalKind::Raise { since } => !std::mem::replace(open, true) && onsets.insert((signal.rule.clone(), signal.key.clone(), since)),
                SignalKind::Pending { .. } | SignalKind::Settled => !*open,
                SignalKind::Update => *open && *holds,
                SignalKind::Recede => *open && *holds,
                SignalKind::Resume => *open && !*holds,
                SignalKind::Clear => *open,
                SignalKind::Stale { .. } => *open && !*stale,
                SignalKind::Fresh => *open && *stale,
                SignalKind::Once { .. } => false,
            };
            prop_assert!(fits, "{signal:?}");
            match signal.kind {
                SignalKind::Raise { .. } | SignalKind::Resume => *holds = true,
                SignalKind::Recede => *holds = false,
                SignalKind::Clear => (*open, *stale) = (false, false),
                SignalKind::Stale { .. } => *stale = true,
                SignalKind::Fresh => *stale = false,
                _ => {}
            }
        }
    }

    #[test]
    fn one_moment_has_one_usable_value_and_only_that_raises_a_level(story in story()) {
        let (signals, flags) = play(&story);
        let usable = |flag: &Flag| *flag <= Flag::Gap;
        let mut seen = BTreeMap::new();
        for (key, at, value, flag) in flags.iter().filter(|(.., flag)| usable(flag)) {
            prop_assert!((-1.5..=10.0).contains(value), "{value} is {flag}");
            prop_assert!(seen.insert((key.clone(), *at), *value).is_none(), "a second usable value of {key} at {at}");
        }
        let level = |signal: &&Signal| ["river-bd1", "river-bd2", "river-bd3"].contains(&signal.rule.as_str());
        for signal in signals.iter().filter(level).filter(|s| matches!(s.kind, SignalKind::Raise { .. } | SignalKind::Clear)) {
            let value = seen.get(&(signal.key.clone(), signal.at));
            prop_assert!(value.is_some_and(|value| signal.values.get("value") == Some(value)), "{signal:?}");
        }
    }
}
