//! Hop windows: where they end, what is judged again, what is forgotten.

use huong_types::Span;

use super::{KINDS, call, close, figures, hops, number, raw, run, seconds};
use crate::expr::Aggregate::{Avg, HopAvg, Max, Nowcast, Rows, Sum};
use crate::expr::{Aggregate, Call, Cell};
use crate::windows::{Plan, Windows};

/// Ten minutes by ten, or an hour by ten.
fn plan(size: i64, kind: Aggregate) -> Plan {
    Plan::new(hops(size, 600), vec![call(kind, 0)], &KINDS)
}

fn add(windows: &mut Windows, plan: &Plan, at: i64, value: f64) {
    let raw = raw(at, value);
    windows.add(plan, raw.at, &raw.cells, false);
}

#[test]
fn a_window_holds_its_end_and_not_its_start() {
    let rain = [raw(0, 1.0), raw(1, 2.0), raw(600, 4.0), raw(601, 8.0), raw(1800, 16.0)];
    let closed = run(&plan(600, Sum), Span::ZERO, &rain);
    assert_eq!(figures(&closed), [(0, Some(1.0)), (600, Some(6.0)), (1200, Some(8.0)), (1800, Some(16.0))]);
    assert_eq!((closed[1].start, closed[1].end, closed[1].rows), (seconds(0), seconds(600), 2));
    let closed = run(&plan(1200, Sum), Span::ZERO, &rain);
    assert_eq!(figures(&closed), [(0, Some(1.0)), (600, Some(7.0)), (1200, Some(14.0)), (1800, Some(24.0))]);
}

#[test]
fn only_a_window_whose_newest_hop_holds_a_reading_is_judged() {
    let closed = run(&plan(3600, Sum), Span::ZERO, &[raw(100, 1.0), raw(2000, 2.0)]);
    assert_eq!(figures(&closed), [(600, Some(1.0)), (2400, Some(3.0))]);
}

#[test]
fn a_reading_without_a_value_counts_as_a_reading() {
    let plan = Plan::new(hops(600, 600), vec![call(Sum, 0), Call { kind: Rows, field: None }], &KINDS);
    let mut empty = raw(10, 0.0);
    empty.cells[0] = Cell::Null;
    let closed = run(&plan, Span::ZERO, &[empty]);
    assert_eq!(closed[0].cells, [Cell::Null, Cell::Number(1.0)]);
}

#[test]
fn every_window_that_reaches_a_gap_may_only_raise() {
    let mut after = raw(700, 1.0);
    after.gap = true;
    let closed = run(&plan(1200, Max), Span::ZERO, &[raw(100, 1.0), after, raw(1300, 1.0), raw(1900, 1.0)]);
    assert_eq!(closed.iter().map(|window| window.may_clear).collect::<Vec<_>>(), [true, false, false, true]);
}

#[test]
fn a_window_closed_by_the_clock_is_judged_again_and_may_then_only_raise() {
    for kind in [Sum, Max] {
        let plan = plan(1200, kind);
        let mut windows = Windows::new(&plan);
        add(&mut windows, &plan, 100, 1.0);
        add(&mut windows, &plan, 700, 2.0);
        assert_eq!(windows.next_end(&plan), Some(seconds(600)));
        assert_eq!(close(&mut windows, &plan, 1300).len(), 2, "{kind:?}");
        assert_eq!(windows.next_end(&plan), None);
        assert_eq!(windows.open(&plan), None);
        // Late, but in its order: only the window that ends its hop is judged again, as the newer one was.
        add(&mut windows, &plan, 500, 8.0);
        assert_eq!(windows.open(&plan), None);
        assert_eq!(windows.next_end(&plan), Some(seconds(600)));
        let again = close(&mut windows, &plan, 1300);
        assert_eq!(figures(&again), [(600, Some(if kind == Sum { 9.0 } else { 8.0 }))]);
        assert!(!again[0].may_clear && !again[0].open);
        // In the newest window it can be told at once.
        add(&mut windows, &plan, 800, 16.0);
        let open = windows.open(&plan).expect("received a reading");
        assert_eq!(number(&open), Some(if kind == Sum { 27.0 } else { 16.0 }));
        let again = close(&mut windows, &plan, 1300);
        assert_eq!((figures(&again), again[0].may_clear), (vec![(1200, number(&open))], false));
        // What comes next sees it all.
        add(&mut windows, &plan, 1300, 0.0);
        let next = close(&mut windows, &plan, 1800);
        assert_eq!((number(&next[0]), next[0].may_clear), (Some(if kind == Sum { 18.0 } else { 16.0 }), true));
    }
}

#[test]
fn a_late_reading_is_part_of_long_windows_too() {
    // Long enough for blocks: 144 hops.
    for kind in [Sum, Max] {
        let plan = plan(86_400, kind);
        let mut windows = Windows::new(&plan);
        (0..100).for_each(|hop| add(&mut windows, &plan, hop * 600 + 1, 1.0));
        assert_eq!(close(&mut windows, &plan, 60_000).len(), 100);
        // Into a pane that is there, and into a hop that had none: hop 80 of a row that skips it.
        add(&mut windows, &plan, 30_000, 1000.0);
        assert_eq!(figures(&close(&mut windows, &plan, 60_000)), [(30_000, Some(if kind == Sum { 1050.0 - 1.0 + 1.0 } else { 1000.0 }))]);
        add(&mut windows, &plan, 60_001, 1.0);
        let next = close(&mut windows, &plan, 61_000);
        assert_eq!(figures(&next), [(60_600, Some(if kind == Sum { 1101.0 } else { 1000.0 }))]);
    }
}

#[test]
fn a_late_reading_in_a_hop_without_any_has_a_window_of_its_own() {
    let plan = plan(86_400, Sum);
    let mut windows = Windows::new(&plan);
    (0..100).filter(|hop| *hop != 50).for_each(|hop| add(&mut windows, &plan, hop * 600 + 1, 1.0));
    assert_eq!(close(&mut windows, &plan, 60_000).len(), 99);
    add(&mut windows, &plan, 30_300, 100.0);
    let late = close(&mut windows, &plan, 60_000);
    assert_eq!((figures(&late), late[0].may_clear), (vec![(30_600, Some(150.0))], true));
    add(&mut windows, &plan, 60_001, 1.0);
    assert_eq!(figures(&close(&mut windows, &plan, 61_000)), [(60_600, Some(200.0))]);
}

#[test]
fn a_reading_older_than_any_window_that_may_close_is_ignored() {
    let plan = plan(1200, Sum);
    let mut windows = Windows::new(&plan);
    add(&mut windows, &plan, 5000, 1.0);
    close(&mut windows, &plan, 5400);
    add(&mut windows, &plan, 4200, 7.0);
    assert_eq!(windows.open(&plan), None);
    assert_eq!(close(&mut windows, &plan, 5400), []);
    // But in a window that is open no reading is too old, however long the disorder.
    let mut windows = Windows::new(&plan);
    add(&mut windows, &plan, 5000, 1.0);
    add(&mut windows, &plan, 100, 7.0);
    assert_eq!(figures(&close(&mut windows, &plan, 5400)), [(600, Some(7.0)), (5400, Some(1.0))]);
}

#[test]
fn what_is_out_of_reach_is_forgotten_and_not_called_safe() {
    let plan = plan(1200, Max);
    let mut windows = Windows::new(&plan);
    add(&mut windows, &plan, 100, 9.0);
    assert!(!windows.is_empty());
    assert_eq!(close(&mut windows, &plan, 1799).len(), 1);
    assert!(!windows.is_empty());
    assert_eq!(close(&mut windows, &plan, 1800), []);
    assert!(windows.is_empty() && windows.next_end(&plan).is_none());
    // What was sent meanwhile comes in its order, into windows that would hold what is forgotten, and then into others.
    add(&mut windows, &plan, 300, 1.0);
    add(&mut windows, &plan, 700, 1.0);
    add(&mut windows, &plan, 1300, 1.0);
    let judged: Vec<_> = close(&mut windows, &plan, 3000).iter().map(|window| (window.end, window.may_clear)).collect();
    assert_eq!(judged, [(seconds(600), false), (seconds(1200), false), (seconds(1800), true)]);
}

#[test]
fn a_stray_reading_from_before_does_not_hide_what_is_forgotten() {
    let plan = plan(1800, Max);
    let mut windows = Windows::new(&plan);
    add(&mut windows, &plan, 1200, 9.0);
    close(&mut windows, &plan, 3000);
    assert!(windows.is_empty());
    let mut judged = Vec::new();
    for (at, watermark) in [(0, 1800), (2000, 2400), (2500, 3000)] {
        add(&mut windows, &plan, at, 1.0);
        judged.extend(close(&mut windows, &plan, watermark).iter().map(|window| (window.end, window.may_clear)));
    }
    // The second would hold the reading of 1200, the third begins there.
    assert_eq!(judged, [(seconds(0), false), (seconds(2400), false), (seconds(3000), true)]);
}

#[test]
fn a_long_backlog_in_order_does_not_pile_up() {
    let plan = Plan::new(hops(600, 60), vec![call(Sum, 0)], &KINDS);
    let mut windows = Windows::new(&plan);
    (0..20_000).for_each(|minute| add(&mut windows, &plan, minute * 60, 1.0));
    let mut closed = 0;
    windows.close(&plan, seconds(19_999 * 60), &mut |window| {
        closed += 1;
        assert_eq!(number(&window), Some(f64::from(closed.min(10))));
    });
    assert_eq!(closed, 20_000);
}

#[test]
fn an_early_window_knows_its_newest_hop() {
    let plan = Plan::new(hops(3600, 600), vec![call(Avg, 0), call(HopAvg, 0)], &KINDS);
    let mut windows = Windows::new(&plan);
    for (at, value) in [(100, 1.0), (700, 2.0), (800, 4.0), (1300, 9.0)] {
        add(&mut windows, &plan, at, value);
    }
    // The first hop is complete, the second begun, the newest waits.
    close(&mut windows, &plan, 750);
    let open = windows.open(&plan).expect("not judged");
    assert_eq!((open.end, open.rows, open.cells), (seconds(1800), 4, vec![Cell::Number(4.0), Cell::Number(9.0)]));
    let closed = close(&mut windows, &plan, 1200);
    assert_eq!(closed[0].cells, [Cell::Number(7.0 / 3.0), Cell::Number(3.0)]);
}

#[test]
fn nowcast_of_hours_seen_and_missing() {
    let hour = 3600;
    let plan = Plan::new(hops(12 * hour, hour), vec![call(Nowcast, 0)], &KINDS);
    // Hourly means 80, 60, 40 and nine times 30 from the newest back, each of two readings.
    let means: [f64; 12] = std::array::from_fn(|back| [80.0, 60.0, 40.0].get(back).copied().unwrap_or(30.0));
    let readings = |skip: &[usize]| {
        let hours = (0..12usize).rev().filter(|back| !skip.contains(back));
        let two = |back: usize| [(-600, 5.0), (-300, -5.0)].map(|(at, off)| raw((12 - back as i64) * hour + at, means[back] + off));
        hours.flat_map(two).collect::<Vec<_>>()
    };
    let newest = |skip: &[usize]| run(&plan, Span::ZERO, &readings(skip)).last().and_then(number);
    let expected = crate::expr::air::nowcast(&means.map(Some));
    assert!(expected.is_some_and(|value| (value - 63.758).abs() < 1e-3));
    assert_eq!(newest(&[]), expected);
    let mut missing = means.map(Some);
    (missing[2], missing[7]) = (None, None);
    assert_eq!(newest(&[2, 7]), crate::expr::air::nowcast(&missing));
    assert_eq!(newest(&[1, 2]), None);
}
