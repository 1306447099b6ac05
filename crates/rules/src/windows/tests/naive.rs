//! What windows should say, computed from all readings in the plainest way.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use huong_types::{Span, Timestamp};

use super::Raw;
use crate::expr::air::nowcast;
use crate::expr::{Aggregate, Call, Cell};
use crate::windows::{Closed, Window};

/// The closed windows of readings that all came in time. Their cells are exact up to rounding.
pub(super) fn windows(window: Window, calls: &[Call], readings: &[Raw]) -> Vec<Closed> {
    let mut readings = readings.to_vec();
    for cell in readings.iter_mut().flat_map(|raw| &mut raw.cells) {
        match cell {
            Cell::Number(number) if !number.is_finite() => *cell = Cell::Null,
            Cell::Number(number) => *number += 0.0,
            _ => {}
        }
    }
    // Of one instant by what they hold: the numbers first, as `every_call` names them.
    readings.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| compare(a, b)));
    match window {
        Window::Hops { size, hop } => hops(size, hop, calls, &readings),
        Window::Session { gap, most } => sessions(gap, most, calls, &readings),
        Window::Count { size, every } => counts(size as usize, every as usize, calls, &readings),
    }
}

fn compare(a: &Raw, b: &Raw) -> Ordering {
    let cell = |a: &Cell, b: &Cell| match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (a, b) => (*b == Cell::Null).cmp(&(*a == Cell::Null)),
    };
    [0, 2, 1].iter().map(|i| cell(&a.cells[*i], &b.cells[*i])).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn hops(size: Span, hop: Span, calls: &[Call], readings: &[Raw]) -> Vec<Closed> {
    let ends: BTreeSet<Timestamp> = readings.iter().map(|raw| hop_end(raw.at, hop)).collect();
    let between = |start: Timestamp, end: Timestamp| {
        &readings[readings.partition_point(|raw| raw.at <= start)..readings.partition_point(|raw| raw.at <= end)]
    };
    let window = |end: Timestamp| {
        let hours = || (0..12).map(|i| end - Span::from_millis(hop.as_millis() * i)).take_while(|hour| *hour > end - size);
        let means = |field: usize| hours().map(|hour| mean(between(hour - hop, hour), field)).collect();
        closed(end - size, end, calls, between(end - size, end), &means)
    };
    ends.into_iter().map(window).collect()
}

fn hop_end(at: Timestamp, hop: Span) -> Timestamp {
    let start = at.floor(hop);
    if start == at { at } else { start + hop }
}

fn sessions(gap: Span, most: Span, calls: &[Call], readings: &[Raw]) -> Vec<Closed> {
    let mut sessions: Vec<Vec<Raw>> = Vec::new();
    for raw in readings {
        let current = sessions.last_mut().filter(|session| {
            let (first, last) = (session[0].at, session[session.len() - 1].at);
            raw.at - last <= gap && raw.at - first <= most
        });
        match current {
            Some(session) => session.push(raw.clone()),
            None => sessions.push(vec![raw.clone()]),
        }
    }
    sessions.iter().map(|session| whole(calls, session)).collect()
}

fn counts(size: usize, every: usize, calls: &[Call], readings: &[Raw]) -> Vec<Closed> {
    (size..=readings.len()).step_by(every).map(|end| whole(calls, &readings[end - size..end])).collect()
}

/// A window that has no hops and spans its readings.
fn whole(calls: &[Call], inside: &[Raw]) -> Closed {
    closed(inside[0].at, inside[inside.len() - 1].at, calls, inside, &|field| vec![mean(inside, field)])
}

fn closed(start: Timestamp, end: Timestamp, calls: &[Call], inside: &[Raw], hops: &dyn Fn(usize) -> Vec<Option<f64>>) -> Closed {
    let cells = calls.iter().map(|call| cell(*call, inside, hops)).collect();
    let may_clear = !inside.iter().any(|raw| raw.gap);
    Closed { start, end, rows: inside.len() as u64, cells, may_clear, open: false }
}

/// Hours after the epoch, and the values, of the usable numbers; of the same time the least first.
fn usable(inside: &[Raw], field: usize) -> Vec<(f64, f64)> {
    let number = |raw: &Raw| match raw.cells[field] {
        Cell::Number(value) if value.is_finite() => Some((raw.at.as_millis(), value)),
        _ => None,
    };
    let mut values: Vec<(i64, f64)> = inside.iter().filter_map(number).collect();
    values.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let start = super::seconds(0).as_millis();
    values.into_iter().map(|(at, value)| ((at - start) as f64 / 3_600_000.0, value)).collect()
}

fn mean(inside: &[Raw], field: usize) -> Option<f64> {
    let values = usable(inside, field);
    (!values.is_empty()).then(|| values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64)
}

fn cell(call: Call, inside: &[Raw], hops: &dyn Fn(usize) -> Vec<Option<f64>>) -> Cell {
    let Some(field) = call.field else { return Cell::Number(inside.len() as f64) };
    if field == 1 { of_texts(call.kind, inside) } else { of_numbers(call.kind, inside, field, hops).map_or(Cell::Null, Cell::Number) }
}

fn of_texts(kind: Aggregate, inside: &[Raw]) -> Cell {
    let mut texts: Vec<_> =
        inside.iter().filter_map(|raw| if let Cell::Text(text) = &raw.cells[1] { Some((raw.at, text)) } else { None }).collect();
    texts.sort();
    let said = |text: Option<&(Timestamp, &std::sync::Arc<str>)>| text.map_or(Cell::Null, |(_, text)| Cell::Text((*text).clone()));
    match kind {
        Aggregate::Count => Cell::Number(texts.len() as f64),
        Aggregate::Distinct => Cell::Number(texts.iter().map(|(_, text)| *text).collect::<BTreeSet<_>>().len() as f64),
        Aggregate::First => said(texts.first()),
        Aggregate::Last => said(texts.last()),
        _ => Cell::Null,
    }
}

fn of_numbers(kind: Aggregate, inside: &[Raw], field: usize, hops: &dyn Fn(usize) -> Vec<Option<f64>>) -> Option<f64> {
    let points = usable(inside, field);
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    let n = values.len() as f64;
    match kind {
        Aggregate::Count => return Some(n),
        Aggregate::Distinct => return Some(values.iter().map(|value| (value + 0.0).to_bits()).collect::<BTreeSet<_>>().len() as f64),
        _ => {}
    }
    let (first, last) = (*points.first()?, *points.last()?);
    let (mean_time, mean) = (points.iter().map(|(time, _)| time).sum::<f64>() / n, values.iter().sum::<f64>() / n);
    let squares_time: f64 = points.iter().map(|(time, _)| (time - mean_time).powi(2)).sum();
    let slope = || {
        let mixed: f64 = points.iter().map(|(time, value)| (time - mean_time) * (value - mean)).sum();
        (last.0 > first.0).then(|| mixed / squares_time)
    };
    match kind {
        Aggregate::Max => values.iter().copied().reduce(f64::max),
        Aggregate::Min => values.iter().copied().reduce(f64::min),
        Aggregate::Avg => Some(mean),
        Aggregate::Sum => Some(values.iter().sum()),
        Aggregate::First => Some(first.1),
        Aggregate::Last => Some(last.1),
        Aggregate::Delta => (last.0 > first.0).then_some(last.1 - first.1),
        Aggregate::Rate => (last.0 > first.0).then(|| (last.1 - first.1) / (last.0 - first.0)),
        Aggregate::Since => Some(last.0 - first.0),
        Aggregate::Slope => slope(),
        Aggregate::SlopeError => {
            let slope = slope()?;
            let left: f64 = points.iter().map(|(time, value)| (value - mean - slope * (time - mean_time)).powi(2)).sum();
            (n > 2.0).then(|| (left / (n - 2.0) / squares_time).sqrt())
        }
        Aggregate::Fit => Some(mean + slope()? * (last.0 - mean_time)),
        Aggregate::Stddev => (n > 1.0).then(|| (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()),
        Aggregate::Percentile(p) => {
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let rank = p * (n - 1.0);
            let share = rank - rank.floor();
            Some(sorted[rank.floor() as usize] * (1.0 - share) + sorted[rank.ceil() as usize] * share)
        }
        Aggregate::HopAvg => hops(field)[0],
        Aggregate::Nowcast => nowcast(&hops(field)),
        Aggregate::Count | Aggregate::Distinct | Aggregate::Rows => None,
    }
}

/// Says what differs: windows one by one, numbers by more than rounding.
pub(super) fn difference(calls: &[Call], got: &[Closed], expected: &[Closed]) -> Result<(), String> {
    if got.len() != expected.len() {
        let ends = |windows: &[Closed]| windows.iter().map(|window| window.end.to_string()).collect::<Vec<_>>();
        return Err(format!("{} windows, expected {}: {:?}, expected {:?}", got.len(), expected.len(), ends(got), ends(expected)));
    }
    for (got, expected) in got.iter().zip(expected) {
        let frame = |window: &Closed| (window.start, window.end, window.rows, window.may_clear, window.open);
        if frame(got) != frame(expected) {
            return Err(format!("{:?}, expected {:?}", frame(got), frame(expected)));
        }
        for (i, call) in calls.iter().enumerate() {
            let (got_cell, expected_cell) = (&got.cells[i], &expected.cells[i]);
            let scale = match call.kind {
                // Values of a thousand a second apart leave their rounding.
                Aggregate::Slope => 100.0,
                // Of points nearly on a line it is the root of what rounding leaves: a share of the slope, which comes before.
                Aggregate::SlopeError => 100.0 + 10.0 * magnitude(&expected.cells[i - 1]),
                _ => 1.0,
            };
            if !same(got_cell, expected_cell, scale) {
                return Err(format!("{call:?} of the window ending {}: {got_cell:?}, expected {expected_cell:?}", got.end));
            }
        }
    }
    Ok(())
}

fn magnitude(cell: &Cell) -> f64 {
    if let Cell::Number(number) = cell { number.abs() } else { 0.0 }
}

fn same(a: &Cell, b: &Cell, scale: f64) -> bool {
    match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => (a - b).abs() <= 1e-8 * (1.0 + scale + a.abs() + b.abs()),
        (a, b) => a == b,
    }
}
