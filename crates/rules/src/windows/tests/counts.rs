//! Count windows: closed by their number of readings, once the watermark passes.

use huong_types::Span;

use super::{KINDS, call, close, figures, raw, run, seconds};
use crate::expr::Aggregate::{HopAvg, Last, Sum};
use crate::windows::{Plan, Window, Windows};

fn plan(size: u32, every: u32) -> Plan {
    Plan::new(Window::Count { size, every }, vec![call(Sum, 0), call(HopAvg, 0), call(Last, 0)], &KINDS)
}

/// Readings 1, 2, 3 … each ten seconds.
fn rows(count: i64) -> Vec<super::Raw> {
    (1..=count).map(|i| raw(i * 10, i as f64)).collect()
}

#[test]
fn windows_hold_the_last_readings() {
    let sums = |size, every| figures(&run(&plan(size, every), Span::ZERO, &rows(8)));
    assert_eq!(sums(3, 1)[..3], [(30, Some(6.0)), (40, Some(9.0)), (50, Some(12.0))]);
    assert_eq!(sums(3, 3), [(30, Some(6.0)), (60, Some(15.0))]);
    assert_eq!(sums(3, 2), [(30, Some(6.0)), (50, Some(12.0)), (70, Some(18.0))]);
    // Every fifth time the last two.
    assert_eq!(sums(2, 5), [(20, Some(3.0)), (70, Some(13.0))]);
    assert_eq!(sums(9, 1), []);
    let closed = run(&plan(3, 1), Span::ZERO, &rows(4));
    assert_eq!((closed[1].start, closed[1].end, closed[1].rows), (seconds(20), seconds(40), 3));
}

#[test]
fn long_windows_are_the_same_as_short_ones() {
    // 1,000 panes in blocks.
    let closed = run(&plan(1000, 1), Span::ZERO, &rows(1500));
    assert_eq!(closed.len(), 501);
    for (i, (_, sum)) in figures(&closed).into_iter().enumerate() {
        assert_eq!(sum, Some((i + 1..=i + 1000).sum::<usize>() as f64));
    }
}

#[test]
fn a_window_waits_until_the_watermark_passes_its_last_reading() {
    let plan = plan(2, 2);
    let mut windows = Windows::new(&plan);
    let add = |windows: &mut Windows, at: i64, value: f64| windows.add(&plan, seconds(at), &raw(at, value).cells, false);
    add(&mut windows, 30, 4.0);
    assert_eq!(windows.next_end(&plan), None);
    add(&mut windows, 10, 1.0);
    assert_eq!(windows.next_end(&plan), Some(seconds(30)));
    assert_eq!(close(&mut windows, &plan, 29), []);
    add(&mut windows, 20, 2.0);
    assert_eq!(windows.next_end(&plan), Some(seconds(20)));
    assert_eq!(figures(&close(&mut windows, &plan, 40)), [(20, Some(3.0))]);
    let open = windows.open(&plan).expect("one reading of two");
    assert_eq!((open.rows, open.start, open.end, open.may_clear), (1, seconds(30), seconds(30), false));
    // Their number is never forgotten.
    close(&mut windows, &plan, 1_000_000);
    assert!(!windows.is_empty());
    add(&mut windows, 2_000_000, 8.0);
    assert_eq!(figures(&close(&mut windows, &plan, 2_000_000)), [(2_000_000, Some(12.0))]);
}

#[test]
fn a_gap_taints_the_windows_that_hold_it() {
    let mut readings = rows(6);
    readings[2].gap = true;
    let may_clear: Vec<bool> = run(&plan(2, 1), Span::ZERO, &readings).iter().map(|window| window.may_clear).collect();
    assert_eq!(may_clear, [true, false, false, true, true]);
}
