//! Any window, any readings: what closes is what a plain computation says, whatever the order of arrival.

use huong_types::Span;
use proptest::prelude::*;

use super::{KINDS, Raw, every_call, hops, naive, run, seconds, text};
use crate::expr::{Aggregate, Call, Cell};
use crate::windows::{Plan, Window, Windows};

fn windows() -> impl Strategy<Value = Window> {
    let hops =
        prop_oneof![Just(hops(600, 600)), Just(hops(3600, 600)), Just(hops(300, 60)), Just(hops(10_800, 60)), Just(hops(2_000, 100))];
    let session =
        (1i64..900, 1i64..4000).prop_map(|(gap, most)| Window::Session { gap: Span::from_secs(gap), most: Span::from_secs(most) });
    let count = (1u32..40, 1u32..20).prop_map(|(size, every)| Window::Count { size, every });
    prop_oneof![2 => hops, 1 => session, 1 => count]
}

fn number() -> impl Strategy<Value = Cell> {
    let usable = prop_oneof![-50.0..50.0f64, (-20i32..20).prop_map(|tenths| f64::from(tenths) / 10.0), Just(-0.0), Just(1e3)];
    prop_oneof![8 => usable.prop_map(Cell::Number), 1 => Just(Cell::Null), 1 => Just(Cell::Number(f64::NAN))]
}

/// Readings in the order of arrival, late by less than the disorder: a window that ends at its very edge is over.
fn arrivals() -> impl Strategy<Value = (Span, Vec<Raw>)> {
    let word = prop_oneof![Just(Cell::Null), Just(text("mưa")), Just(text("lũ")), Just(text("ngập"))];
    let reading = (0i64..10_000, number(), word, number(), prop::bool::weighted(0.02), 0.0..1.0f64);
    let readings = prop::collection::vec(reading, 0..100);
    (prop_oneof![Just(0i64), Just(45), Just(700), Just(5_000)], readings).prop_map(|(disorder, readings)| {
        let delayed = readings.into_iter().map(|(at, a, b, c, gap, share)| {
            let delay = (share * disorder as f64) as i64;
            (at + delay, Raw { at: seconds(at), cells: [a, b, c], gap })
        });
        let mut delayed: Vec<(i64, Raw)> = delayed.collect();
        delayed.sort_by_key(|(arrival, _)| *arrival);
        (Span::from_secs(disorder + 1), delayed.into_iter().map(|(_, raw)| raw).collect())
    })
}

/// Everything; and only what depends on no order, for which no reading waits.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    use Aggregate::*;
    let ordered = |call: &Call| matches!(call.kind, Avg | Sum | Slope | SlopeError | Fit | Stddev | HopAvg | Nowcast);
    prop_oneof![3 => Just(every_call()), 1 => Just(every_call().into_iter().filter(|call| !ordered(call)).collect::<Vec<_>>())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn closed_windows_are_what_a_plain_computation_says((disorder, arrivals) in arrivals(), window in windows(), calls in calls()) {
        let plan = Plan::new(window, calls, &KINDS);
        let mut sorted = arrivals.clone();
        sorted.sort_by_key(|raw| raw.at);
        let closed = run(&plan, Span::from_secs(100_000), &sorted);
        if let Err(difference) = naive::difference(plan.calls(), &closed, &naive::windows(window, plan.calls(), &arrivals)) {
            prop_assert!(false, "{difference}");
        }
        // As they arrive: the same, bit for bit.
        prop_assert_eq!(run(&plan, disorder, &arrivals), closed);
    }

    #[test]
    fn an_open_window_says_what_is_known_so_far((disorder, arrivals) in arrivals(), window in windows(), calls in calls()) {
        let plan = Plan::new(window, calls, &KINDS);
        let mut windows = Windows::new(&plan);
        let mut newest = seconds(0);
        for (i, raw) in arrivals.iter().enumerate() {
            windows.add(&plan, raw.at, &raw.cells, raw.gap);
            newest = newest.max(raw.at);
            let mut closed = Vec::new();
            windows.close(&plan, newest - disorder, &mut |window| closed.push(window));
            let Some(open) = windows.open(&plan) else { continue };
            prop_assert!(open.open && !open.may_clear);
            if let Window::Count { size, every } = window {
                // Not full yet, unless what fills it still waits.
                prop_assert!(open.rows <= u64::from(size) && (open.rows > 0 || every > size));
                continue;
            }
            let mut expected = naive::windows(window, plan.calls(), &arrivals[..=i]);
            let Some(last) = expected.pop() else { continue };
            let expected = crate::windows::Closed { open: true, may_clear: false, ..last };
            if let Err(difference) = naive::difference(plan.calls(), &[open], &[expected]) {
                prop_assert!(false, "{difference}");
            }
        }
    }

    #[test]
    fn it_is_known_when_something_closes((disorder, arrivals) in arrivals(), window in windows(), calls in calls()) {
        let plan = Plan::new(window, calls, &KINDS);
        let mut windows = Windows::new(&plan);
        let mut newest = seconds(0);
        for raw in &arrivals {
            windows.add(&plan, raw.at, &raw.cells, raw.gap);
            newest = newest.max(raw.at);
            windows.close(&plan, newest - disorder, &mut |_| {});
            if let Some(next) = windows.next_end(&plan) {
                let mut early = 0;
                windows.clone().close(&plan, next - Span::from_millis(1), &mut |_| early += 1);
                prop_assert_eq!(early, 0, "closed before {}", next);
                let mut due = 0;
                windows.clone().close(&plan, next, &mut |_| due += 1);
                prop_assert!(due > 0, "nothing closed at {}", next);
            }
        }
        let mut steps = 0;
        while let Some(next) = windows.next_end(&plan) {
            windows.close(&plan, next, &mut |_| {});
            steps += 1;
            prop_assert!(steps <= 2 * arrivals.len(), "no end at {}", next);
        }
        let mut left = 0;
        windows.close(&plan, seconds(1_000_000), &mut |_| left += 1);
        prop_assert_eq!(left, 0);
        let counts = matches!(window, Window::Count { .. });
        prop_assert!(windows.is_empty() || counts);
    }
}
