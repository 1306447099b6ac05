//! What windows cost in memory.

use super::{KINDS, Raw, call, hops, raw, seconds};
use crate::expr::Aggregate::{self, *};
use crate::windows::{MOST_WAITING, Plan, State, Taken, Windows};

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
