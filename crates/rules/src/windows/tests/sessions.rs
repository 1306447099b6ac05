//! Session windows: where they begin and end, what bridges them.

use huong_types::{Span, Timestamp};

use super::{KINDS, call, close, raw, run, seconds};
use crate::expr::Aggregate::{HopAvg, Sum};
use crate::expr::Cell;
use crate::windows::{Closed, Plan, Window, Windows};

/// Pauses of a minute, five minutes at most.
fn plan() -> Plan {
    let window = Window::Session { gap: Span::from_secs(60), most: Span::from_secs(300) };
    Plan::new(window, vec![call(Sum, 0), call(HopAvg, 0)], &KINDS)
}

/// First and last reading in seconds, and how many; whether it may clear.
fn seen(closed: &[Closed]) -> Vec<(i64, i64, u64, bool)> {
    let second = |at: Timestamp| (at.as_millis() - seconds(0).as_millis()) / 1000;
    closed.iter().map(|window| (second(window.start), second(window.end), window.rows, window.may_clear)).collect()
}

fn add(windows: &mut Windows, plan: &Plan, at: i64) {
    let raw = raw(at, 1.0);
    windows.add(plan, raw.at, &raw.cells, false);
}

#[test]
fn a_pause_ends_a_session_and_so_does_its_length() {
    let at = |times: &[i64]| run(&plan(), Span::ZERO, &times.iter().map(|at| raw(*at, 1.0)).collect::<Vec<_>>());
    assert_eq!(seen(&at(&[0, 60, 121, 130])), [(0, 60, 2, true), (121, 130, 2, true)]);
    assert_eq!(seen(&at(&[0, 60, 120, 180, 240, 300, 301, 361])), [(0, 300, 6, true), (301, 361, 2, true)]);
    let closed = at(&[0, 30]);
    assert_eq!((closed[0].cells.as_slice(), closed[0].open), ([Cell::Number(2.0), Cell::Number(1.0)].as_slice(), false));
}

#[test]
fn a_session_closes_when_the_watermark_has_passed_its_pause() {
    let plan = plan();
    let mut windows = Windows::new(&plan);
    assert_eq!(windows.open(&plan), None);
    [0, 50].iter().for_each(|at| add(&mut windows, &plan, *at));
    let open = windows.open(&plan).expect("not judged");
    assert_eq!((seen(std::slice::from_ref(&open)), open.open), (vec![(0, 50, 2, false)], true));
    assert_eq!(close(&mut windows, &plan, 110), []);
    assert_eq!(windows.next_end(&plan), Some(seconds(110) + Span::from_millis(1)));
    assert_eq!(seen(&close(&mut windows, &plan, 111)), [(0, 50, 2, true)]);
    assert_eq!((windows.next_end(&plan), windows.open(&plan)), (None, None));
    // Kept for what may still come in its order, then forgotten.
    close(&mut windows, &plan, 409);
    assert!(!windows.is_empty());
    close(&mut windows, &plan, 410);
    assert!(windows.is_empty());
}

#[test]
fn a_late_reading_in_order_bridges_two_sessions() {
    let plan = plan();
    let mut windows = Windows::new(&plan);
    // Both are known, neither has closed.
    [0, 100].iter().for_each(|at| add(&mut windows, &plan, *at));
    close(&mut windows, &plan, 10);
    add(&mut windows, &plan, 50);
    assert_eq!(seen(&close(&mut windows, &plan, 161)), [(0, 100, 3, true)]);
    // The first has closed by the clock, and is judged again.
    let mut windows = Windows::new(&plan);
    add(&mut windows, &plan, 0);
    assert_eq!(close(&mut windows, &plan, 70).len(), 1);
    add(&mut windows, &plan, 100);
    add(&mut windows, &plan, 50);
    assert_eq!(seen(&close(&mut windows, &plan, 161)), [(0, 100, 3, false)]);
}

#[test]
fn a_session_that_continues_a_forgotten_one_may_only_raise() {
    let plan = plan();
    let mut windows = Windows::new(&plan);
    add(&mut windows, &plan, 0);
    close(&mut windows, &plan, 1000);
    assert!(windows.is_empty());
    add(&mut windows, &plan, 0);
    add(&mut windows, &plan, 60);
    add(&mut windows, &plan, 300);
    assert_eq!(seen(&close(&mut windows, &plan, 1000)), [(60, 60, 1, false), (300, 300, 1, true)]);
}

#[test]
fn readings_added_before_their_time_still_make_the_same_sessions() {
    use crate::windows::sessions::Sessions;
    // As when too many wait: in any order, no watermark between.
    let plan = plan();
    for order in [[0, 50, 100, 400, 450], [450, 400, 0, 100, 50], [100, 0, 50, 450, 400], [400, 100, 450, 0, 50]] {
        let mut sessions = Sessions::new(Timestamp::MIN);
        order.iter().for_each(|at| sessions.add(&plan, &plan.take(seconds(*at), &raw(*at, 1.0).cells, false)));
        let mut closed = Vec::new();
        sessions.close(&plan, seconds(1000), &mut |window| closed.push(window));
        assert_eq!(seen(&closed), [(0, 100, 3, true), (400, 450, 2, true)], "{order:?}");
    }
}
