//! The load on an operator, worked out by hand for small days.

use huong_types::{RuleInfo, Severity, Span, Transition};

use super::{clear_of, feed, minute, raise_of, rule, table};
use crate::{Load, LoadConfig};

fn steps(severity: Severity, raises: &[(&str, i64)]) -> Vec<Transition> {
    let mut table = table(&[RuleInfo { severity, ..rule("r", &[]) }]);
    let story: Vec<_> = raises.iter().flat_map(|(key, at)| [raise_of("r", key, *at), clear_of("r", key, *at)]).collect();
    feed(&mut table, &story)
}

fn load(operators: u32, steps: &[Transition]) -> Load {
    let mut load = Load::new(LoadConfig { operators, ..LoadConfig::default() });
    steps.iter().for_each(|step| load.take(step));
    load
}

#[test]
fn rates_are_per_operator_and_of_the_last_ten_minutes_and_hour() {
    let one_a_minute: Vec<(&str, i64)> = (0..60).map(|n| ("a", n)).collect();
    let steps = steps(Severity::Minor, &one_a_minute);
    let figures = load(1, &steps).figures(minute(59));
    assert_eq!((figures.last_10_min, figures.last_hour), (10.0, 60.0));
    let figures = load(4, &steps).figures(minute(59));
    assert_eq!((figures.operators, figures.last_10_min, figures.last_hour), (4, 2.5, 15.0));
    let later = load(1, &steps).figures(minute(65));
    assert_eq!((later.last_10_min, later.last_hour), (4.0, 54.0));
    let next_day = load(1, &steps).figures(minute(3000));
    assert_eq!((next_day.last_10_min, next_day.last_hour, next_day.per_hour, next_day.missed.len()), (0.0, 0.0, 0.0, 0));
}

#[test]
fn a_flood_begins_above_ten_and_ends_below_five_at_the_moment_it_did() {
    // Eleven at minute 100, nothing after: the flood lasts until they are ten minutes old.
    let steps = steps(Severity::Minor, &[("z", 0)]);
    let mut load = load(1, &steps);
    let burst: Vec<(String, i64)> = (0..11).map(|n| (format!("k{n}"), 100)).collect();
    let burst: Vec<(&str, i64)> = burst.iter().map(|(key, at)| (key.as_str(), *at)).collect();
    let burst = self::steps(Severity::Minor, &burst);
    burst.iter().for_each(|step| load.take(step));
    assert!(load.figures(minute(105)).in_flood);
    let after = load.figures(minute(200));
    assert!(!after.in_flood);
    assert_eq!(after.flood_share, 10.0 / 200.0, "ten of two hundred minutes, however late one looks");
    assert!(after.missed.contains(&"flood_share".into()));
    assert_eq!(load.figures(minute(100 + 2 * 1440)).flood_share, 0.0);
}

#[test]
fn ten_in_ten_minutes_are_no_flood() {
    let steps = steps(Severity::Minor, &(0..10).map(|n| ("a", n)).collect::<Vec<_>>());
    assert!(!load(1, &steps).figures(minute(9)).in_flood);
    let eleven = self::steps(Severity::Minor, &[("a", 0); 1].iter().chain(&[("b", 0); 1]).copied().collect::<Vec<_>>());
    assert!(!load(1, &eleven).figures(minute(0)).in_flood);
}

#[test]
fn sources_are_ranked_with_their_share() {
    let raises: Vec<(String, i64)> = (0..12).flat_map(|n| (0..=n).map(move |i| (format!("k{n:02}"), i))).collect();
    let raises: Vec<(&str, i64)> = raises.iter().map(|(key, at)| (key.as_str(), *at)).collect();
    let figures = load(1, &steps(Severity::Severe, &raises)).figures(minute(20));
    let top: Vec<(&str, u32)> = figures.top.iter().map(|source| (source.key.as_str(), source.count)).collect();
    assert_eq!((top.len(), top[0], top[9]), (10, ("k11", 12), ("k02", 3)));
    assert_eq!(figures.top[0].share, 12.0 / 78.0);
    assert_eq!(figures.top_share, 75.0 / 78.0);
    assert_eq!(figures.priorities[&Severity::Severe], 1.0);
    assert!(
        ["high", "top_share", "last_hour"].iter().all(|name| figures.missed.iter().any(|missed| missed == name)),
        "{:?}",
        figures.missed
    );
}

#[test]
fn what_stands_is_counted_by_how_it_stands() {
    let flap = Some(huong_types::Flap { raises: 2, within: Span::from_mins(60) });
    let rules = [RuleInfo { flap, ..rule("r", &[]) }, RuleInfo { group: "g".into(), group_after: 1, ..rule("s", &[]) }];
    let mut table = table(&rules);
    let mut all = feed(&mut table, &[raise_of("r", "a", 0), raise_of("r", "b", 0), raise_of("r", "c", 0), clear_of("r", "b", 1)]);
    all.extend(feed(&mut table, &[raise_of("r", "b", 2), raise_of("s", "x", 3), raise_of("s", "y", 4)]));
    let id = |key: &str| table.open().find(|alert| alert.key == key).expect("it is open").id.to_string();
    let (a, c) = (id("a"), id("c"));
    all.extend(table.acknowledge(&a, "Lan", minute(5)).expect("it is open"));
    all.extend(table.shelve(&c, "Lan", "sửa", minute(400), minute(5)).expect("it is open"));
    let mut load = load(1, &all);
    let figures = load.figures(minute(6));
    // On the list: a, b (flapping), x and the group; c is shelved, y is counted by its group.
    let counts = (figures.standing, figures.unacknowledged, figures.chattering, figures.shelved, figures.grouped, figures.stale);
    assert_eq!(counts, (4, 3, 1, 1, 1, 0));
    assert!(figures.missed.contains(&"chattering".into()));
    assert_eq!(load.figures(minute(1441)).stale, 1, "a has stood for more than a day");

    let mut after = Load::new(LoadConfig::default());
    after.restore(&table.open().cloned().collect::<Vec<_>>(), &all[3..]);
    assert_eq!(after.figures(minute(6)).standing, 4);
    let mut whole = Load::new(LoadConfig::default());
    whole.restore(&[], &all);
    assert_eq!(whole.figures(minute(6)), figures, "the journal alone gives the same figures");
}
