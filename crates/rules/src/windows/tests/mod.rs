//! Windows against plain computations from all readings.

mod aggregates;
mod bounds;
mod counts;
mod hops;
mod naive;
mod orders;
mod series;
mod sessions;

use std::sync::Arc;

use huong_types::{Span, Timestamp};

use super::{Closed, Plan, Window, Windows};
use crate::expr::{Aggregate, Call, Cell, Kind};

/// Columns of the streams of these tests.
const KINDS: [Kind; 3] = [Kind::Number, Kind::Text, Kind::Number];

/// A reading: event time in seconds, a number, a text, another number.
#[derive(Clone, Debug)]
struct Raw {
    at: Timestamp,
    cells: [Cell; 3],
    gap: bool,
}

fn seconds(at: i64) -> Timestamp {
    // Some day in the season of rains, at midnight UTC.
    Timestamp::from_millis(1_792_368_000_000 + at * 1000)
}

fn raw(at: i64, value: f64) -> Raw {
    Raw { at: seconds(at), cells: [Cell::Number(value), Cell::Null, Cell::Null], gap: false }
}

fn text(text: &str) -> Cell {
    Cell::Text(Arc::from(text))
}

fn call(kind: Aggregate, field: usize) -> Call {
    Call { kind, field: Some(field) }
}

fn hops(size: i64, hop: i64) -> Window {
    Window::Hops { size: Span::from_secs(size), hop: Span::from_secs(hop) }
}

/// Every aggregate of numbers, of field 0; of field 2 those that need their own count; those of texts, of field 1.
fn every_call() -> Vec<Call> {
    use Aggregate::*;
    let numbers = [Max, Min, Avg, Sum, Count, First, Last, Delta, Rate, Slope, SlopeError, Fit, Stddev, Percentile(0.0), Percentile(0.25)];
    let numbers = numbers.into_iter().chain([Percentile(0.5), Percentile(0.95), Percentile(1.0), Distinct, HopAvg, Since]);
    let others = [Avg, Fit, Last, Count].map(|kind| call(kind, 2));
    let texts = [Count, First, Last, Distinct, Max].map(|kind| call(kind, 1));
    let rows = [Call { kind: Rows, field: None }, Call { kind: Count, field: None }];
    numbers.map(|kind| call(kind, 0)).chain(others).chain(texts).chain(rows).collect()
}

/// Adds readings as they arrive; the watermark follows the newest by `disorder`. What has closed, the rest at the end of time.
fn run(plan: &Plan, disorder: Span, arrivals: &[Raw]) -> Vec<Closed> {
    let (mut windows, mut closed) = (Windows::new(plan), Vec::new());
    let mut newest = Timestamp::MIN;
    for raw in arrivals {
        windows.add(plan, raw.at, &raw.cells, raw.gap);
        newest = newest.max(raw.at);
        windows.close(plan, newest - disorder, &mut |window| closed.push(window));
    }
    windows.close(plan, seconds(1_000_000_000), &mut |window| closed.push(window));
    closed
}

fn close(windows: &mut Windows, plan: &Plan, watermark: i64) -> Vec<Closed> {
    let mut closed = Vec::new();
    windows.close(plan, seconds(watermark), &mut |window| closed.push(window));
    closed
}

/// The first cell of a window.
fn number(window: &Closed) -> Option<f64> {
    if let Cell::Number(number) = window.cells[0] { Some(number) } else { None }
}

/// Ends of windows in seconds, with their first cell.
fn figures(closed: &[Closed]) -> Vec<(i64, Option<f64>)> {
    closed.iter().map(|window| ((window.end.as_millis() - seconds(0).as_millis()) / 1000, number(window))).collect()
}
