//! What windows cost in memory.

use huong_types::{Span, Timestamp};

use super::{KINDS, Raw, call, every_call, hops, raw, seconds};
use crate::expr::Aggregate::*;
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
