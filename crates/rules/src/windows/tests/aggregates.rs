//! Figures of one window: known values, hard numbers, and the bounds of sketches and sets.

use huong_types::Span;

use super::{KINDS, Raw, call, hops, number, raw, run, seconds, text};
use crate::expr::Aggregate::{self, *};
use crate::expr::{Call, Cell};
use crate::windows::sample::MOST_DISTINCT;
use crate::windows::{Plan, Windows};

const DAY: i64 = 86_400;

/// The figure of one window over all of the readings, which are of one day; once in one pane and once in panes of ten minutes.
fn figure(kind: Aggregate, readings: &[Raw]) -> Cell {
    let of = |hop: i64| {
        let plan = Plan::new(hops(DAY, hop), vec![call(kind, 0)], &KINDS);
        run(&plan, Span::ZERO, readings).last().map_or(Cell::Null, |window| window.cells[0].clone())
    };
    let (one, many) = (of(DAY), of(600));
    match (&one, &many) {
        (Cell::Number(one), Cell::Number(many)) => {
            assert!((one - many).abs() <= 1e-9 * (1.0 + one.abs()), "{kind:?}: {one}, in panes {many}")
        }
        _ => assert_eq!(one, many, "{kind:?}"),
    }
    one
}

#[test]
fn figures_of_a_rising_river() {
    // Every ten minutes from 01:00: 1.0, 1.2, 1.3, 1.7 m.
    let level: Vec<Raw> = [1.0, 1.2, 1.3, 1.7].iter().zip(0..).map(|(level, i)| raw(3600 + i * 600, *level)).collect();
    let expected = [
        (Max, 1.7),
        (Min, 1.0),
        (Avg, 1.3),
        (Sum, 5.2),
        (Count, 4.0),
        (First, 1.0),
        (Last, 1.7),
        (Delta, 0.7),
        (Since, 0.5),
        (Rate, 1.4),
        // 0.22 m per ten minutes; the squared distances from the line 0.97, 1.19, 1.41, 1.63 sum to 0.018.
        (Slope, 1.32),
        (SlopeError, (0.018f64 / 2.0 / 5.0).sqrt() * 6.0),
        (Fit, 1.63),
        (Stddev, (0.26f64 / 3.0).sqrt()),
        (Percentile(0.5), 1.25),
        (Percentile(0.25), 1.15),
        (Percentile(1.0), 1.7),
        (Distinct, 4.0),
    ];
    for (kind, expected) in expected {
        let Cell::Number(got) = figure(kind, &level) else { panic!("{kind:?} is NULL") };
        assert!((got - expected).abs() < 1e-9, "{kind:?}: {got}, expected {expected}");
    }
}

#[test]
fn what_cannot_be_known_is_null() {
    let mut nothing = raw(10, 0.0);
    nothing.cells[0] = Cell::Null;
    let once = [raw(10, 5.0)];
    let instant = [raw(10, 5.0), raw(10, 7.0)];
    let twice = [raw(10, 5.0), raw(3610, 7.0)];
    let null =
        |kinds: &[Aggregate], readings: &[Raw]| kinds.iter().for_each(|kind| assert_eq!(figure(*kind, readings), Cell::Null, "{kind:?}"));
    let all = [Max, Min, Avg, Sum, First, Last, Delta, Rate, Slope, SlopeError, Fit, Stddev, Percentile(0.5), HopAvg, Nowcast, Since];
    null(&all, &[nothing.clone()]);
    for kind in [Count, Distinct] {
        assert_eq!(figure(kind, &[nothing.clone()]), Cell::Number(0.0));
    }
    null(&[Delta, Rate, Slope, SlopeError, Fit, Stddev], &once);
    assert_eq!(figure(Since, &once), Cell::Number(0.0));
    null(&[Delta, Rate, Slope, SlopeError, Fit], &instant);
    null(&[SlopeError], &twice);
    for (kind, expected) in [(Slope, 2.0), (Fit, 7.0), (Rate, 2.0), (Delta, 2.0), (Since, 1.0), (Stddev, 2f64.sqrt())] {
        let Cell::Number(got) = figure(kind, &twice) else { panic!("{kind:?} is NULL") };
        assert!((got - expected).abs() < 1e-12, "{kind:?}: {got}");
    }
    // Of one instant the least is the first and the greatest the last, whichever came first.
    assert_eq!((figure(First, &instant), figure(Last, &instant)), (Cell::Number(5.0), Cell::Number(7.0)));
}

#[test]
fn texts_are_counted_and_told_apart() {
    let said: Vec<Raw> = [(5, "ngập"), (1, "mưa"), (9, "mưa"), (9, "lũ")]
        .iter()
        .map(|(at, word)| Raw { at: seconds(*at), cells: [Cell::Null, text(word), Cell::Null], gap: false })
        .collect();
    let calls = [Count, Distinct, First, Last, Max].map(|kind| call(kind, 1)).to_vec();
    let closed = run(&Plan::new(hops(60, 60), calls, &KINDS), Span::from_secs(30), &said);
    let expected = [Cell::Number(4.0), Cell::Number(3.0), text("mưa"), text("mưa"), Cell::Null];
    assert_eq!(closed[0].cells, expected);
}

#[test]
fn equal_calls_and_calls_of_one_field_share_what_is_kept() {
    let calls = vec![call(Sum, 0), call(Avg, 0), call(HopAvg, 0), call(Sum, 0), Call { kind: Rows, field: None }];
    let closed = run(&Plan::new(hops(60, 60), calls, &KINDS), Span::ZERO, &[raw(1, 2.0), raw(2, 4.0)]);
    assert_eq!(closed[0].cells, [6.0, 3.0, 3.0, 6.0, 2.0].map(Cell::Number));
}

#[test]
fn small_changes_of_large_numbers_are_not_lost() {
    // A counter at a million that rises by 0.001 a second, with a ripple of known spread: sums of squares would hold nothing of it.
    let values: Vec<Raw> = (0..3600).map(|i| raw(1 + i, 1e6 + i as f64 * 1e-3 + if i % 2 == 0 { 0.5 } else { -0.5 })).collect();
    let Cell::Number(slope) = figure(Slope, &values) else { panic!("a slope") };
    // The ripple itself leans by 0.5·6/n² or so; rounding at a million is 1e-10.
    assert!((slope - 3.6).abs() < 0.01, "{slope}");
    let ripple: Vec<Raw> = (0..3600).map(|i| raw(1 + i, 1e6 + if i % 2 == 0 { 0.5 } else { -0.5 })).collect();
    let Cell::Number(spread) = figure(Stddev, &ripple) else { panic!("a spread") };
    assert!((spread - (900.0f64 / 3599.0).sqrt()).abs() < 1e-6, "{spread}");
    // A line through points a millisecond apart, far from 1970.
    let near: Vec<Raw> = (0..10).map(|i| Raw { at: seconds(50) + Span::from_millis(i), ..raw(0, i as f64) }).collect();
    let Cell::Number(slope) = figure(Slope, &near) else { panic!("a slope") };
    assert!((slope - 3.6e6).abs() < 1e-3, "{slope}");
    // Points on a line have no error beyond rounding.
    let line: Vec<Raw> = (0..100).map(|i| raw(1 + i * 36, 20.0 - i as f64 * 0.01)).collect();
    let Cell::Number(error) = figure(SlopeError, &line) else { panic!("an error") };
    assert!(error < 1e-6, "{error}");
}

#[test]
fn a_sum_beyond_all_numbers_is_null() {
    assert_eq!(figure(Sum, &[raw(1, f64::MAX), raw(2, f64::MAX)]), Cell::Null);
}

#[test]
fn quantiles_are_exact_up_to_a_day_by_the_minute_and_then_within_half_a_percent() {
    // Numbers of both signs over four decades, in no order, and zeros.
    let value = |i: i64| {
        let scattered = (i * 7919) % 10_007;
        if i % 11 == 0 { 0.0 } else { (scattered as f64 / 10_007.0 * 9.2).exp() * if i % 3 == 0 { -0.01 } else { 0.01 } }
    };
    for count in [1, 2, 1440, 1441, 6000] {
        let readings: Vec<Raw> = (0..count).map(|i| raw(1 + i * (DAY - 1) / count, value(i))).collect();
        let mut sorted: Vec<f64> = (0..count).map(value).collect();
        sorted.sort_by(f64::total_cmp);
        for p in [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0] {
            let Cell::Number(got) = figure(Percentile(p), &readings) else { panic!("{count} values have a quantile") };
            let rank = p * (count - 1) as f64;
            let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            if count <= 1440 {
                assert!((got - (low + (high - low) * rank.fract())).abs() < 1e-12, "{count} values, {p}: {got}");
            } else {
                let off = |value: f64| (got - value).abs() <= 0.005 * value.abs() + 1e-6;
                assert!(off(low) || off(high), "{count} values, {p}: {got}, between {low} and {high}");
            }
        }
    }
}

#[test]
fn distinct_counts_stop_at_their_bound() {
    let plan = Plan::new(hops(DAY, 600), vec![call(Distinct, 0), call(Distinct, 1)], &KINDS);
    let mut windows = Windows::new(&plan);
    let mut last = None;
    let most = MOST_DISTINCT as i64;
    for i in 0..most + 500 {
        let at = seconds(i * DAY / (most + 500));
        windows.add(&plan, at, &[Cell::Number(i as f64), text(&i.to_string()), Cell::Null], false);
        // Known already: not counted again.
        windows.add(&plan, at, &[Cell::Number((i % 10) as f64), text("0"), Cell::Null], false);
    }
    windows.close(&plan, seconds(2 * DAY), &mut |window| last = Some(window));
    let last = last.expect("a window");
    assert_eq!(number(&last), Some(most as f64));
    assert_eq!(last.cells[1], Cell::Number(most as f64));
}
