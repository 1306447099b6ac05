//! What windows cost in memory.

use huong_types::{Span, Timestamp};

use super::{KINDS, Raw, call, every_call, hops, raw, seconds};
use crate::expr::Aggregate::{self, *};
use crate::windows::{MOST_WAITING, Plan, State, Taken, Window, Windows};

#[test]
fn a_key_without_readings_costs_next_to_nothing() {
    let (windows, state, taken) = (size_of::<Windows>(), size_of::<State>(), size_of::<Taken>());
    let told = format!("{windows} bytes, with readings {state} more and for each that waits {taken}");
    assert!(windows <= 16 && state <= 160 && taken <= 48, "{told}");
}

#[test]
fn readings_that_wait_are_bounded_and_none_is_lost() {
    let plan = Plan::new(hops(600, 600), vec![call(Sum, 0), call(Count, 0)], &KINDS);
    let mut windows = Windows::new(&plan);
    // Twice as many as may wait, the newest first.
    let many = 2 * MOST_WAITING as i64;
    for i in (0..many).rev() {
        let Raw { at, cells, .. } = raw(i, 1.0);
        windows.add(&plan, at, &cells, false);
    }
    assert_eq!(windows.state.as_ref().map(|state| state.waiting.len()), Some(MOST_WAITING));
    let (mut rows, mut last) = (0, None);
    windows.close(&plan, seconds(many * 2), &mut |window| {
        assert!(last.is_none_or(|last| last < window.end) && window.may_clear);
        last = Some(window.end);
        rows += window.rows;
    });
    assert_eq!(rows, many as u64);
    assert!(windows.is_empty());
}

#[test]
fn times_at_the_ends_of_all_times_break_nothing() {
    let minute = Span::from_secs(60);
    let kinds = [Window::Hops { size: minute, hop: minute }, hops(86_400, 60), Window::Session { gap: minute, most: minute }];
    for window in kinds.into_iter().chain([Window::Count { size: 2, every: 1 }]) {
        let plan = Plan::new(window, every_call(), &KINDS);
        let mut windows = Windows::new(&plan);
        let mut rows = 0;
        for at in [i64::MAX, i64::MIN, 0, i64::MAX - 1, i64::MIN / 4].map(Timestamp::from_millis) {
            windows.add(&plan, at, &raw(0, 1.0).cells, false);
            rows += windows.open(&plan).map_or(0, |open| open.rows);
            assert!(windows.next_end(&plan).is_some() || matches!(window, Window::Count { .. }));
        }
        windows.close(&plan, Timestamp::from_millis(i64::MAX), &mut |window| rows += window.rows);
        assert!(rows > 5, "{window:?}");
    }
}

/// Resident memory in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells its memory");
    4096 * pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages")
}

#[test]
#[ignore = "measures, decides nothing: run it alone and by hand"]
fn memory_of_a_key() {
    let plans: [(&str, i64, i64, &[Aggregate]); 6] = [
        ("count, 10 min", 600, 600, &[Count]),
        ("sum, 1 h by 10 min", 3600, 600, &[Sum]),
        ("sum, a day by the minute", 86_400, 60, &[Sum]),
        ("slope and its error, 1 h by 10 min", 3600, 600, &[Slope, SlopeError, Fit]),
        ("slope, a day by the minute", 86_400, 60, &[Slope]),
        ("median, a day by 10 min", 86_400, 600, &[Percentile(0.5)]),
    ];
    use std::io::Write;
    let mut terminal = std::io::stderr().lock();
    // Kept, so that no plan is given what another has freed.
    let mut measured = Vec::new();
    for (name, size, hop, kinds) in plans {
        let plan = Plan::new(hops(size, hop), kinds.iter().map(|kind| call(*kind, 0)).collect(), &KINDS);
        let keys = if size == 86_400 { 1000 } else { 20_000 };
        let before = resident();
        let mut all: Vec<Windows> = (0..keys).map(|_| Windows::new(&plan)).collect();
        for windows in &mut all {
            for minute in 0..size / 60 + 10 {
                let Raw { at, cells, .. } = raw(minute * 60, minute as f64);
                windows.add(&plan, at, &cells, false);
                windows.close(&plan, seconds(minute * 60 - 300), &mut |_| {});
            }
        }
        writeln!(terminal, "{name}: {} bytes a key", (resident() - before) / keys).expect("stderr is open");
        measured.push(all);
    }
}
