//! Event-time windows of one key as a row of panes: each pane summarises one hop, a window is the sum of its last panes.
//!
//! Windows are `(end − size, end]`, ends aligned to the epoch: telemetry stamps the end of the interval it measured, so a sum of
//! ten-minute rains ending at 08:00 includes the reading of 08:00. A window is judged only when its newest hop holds a reading:
//! figures that fall merely because a sensor went silent are never judged.
//! A pane that closed by the clock and then still receives a reading in its order is judged again, and may then only raise.

use std::collections::VecDeque;

use huong_types::{Span, Timestamp};

/// What windows can compute of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Max,
    Min,
    Avg,
    Sum,
    Count,
    First,
    Last,
    /// Change per hour from the first to the last value by event time; NULL with fewer than two.
    Rate,
}

/// One aggregate of one field; `field: None` counts readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: Aggregate,
    pub(crate) field: Option<usize>,
}

/// All aggregates of one field over one stretch of time; merging two gives those of both stretches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    first: (Timestamp, f64),
    last: (Timestamp, f64),
}

/// The windows of one rule for one key.
#[derive(Clone, Debug)]
pub(crate) struct Panes {
    panes: VecDeque<Pane>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) size: Span,
    /// `size` is a whole number of these.
    pub(crate) hop: Span,
}

#[derive(Clone, Debug)]
struct Pane {
    end: Timestamp,
    rows: u64,
    fields: Vec<Summary>,
    /// Holds the first value after a long silence: part of the window was not seen.
    gap: bool,
    judged: Judged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    NotYet,
    Once,
    /// Was judged, then received another reading.
    Again,
}

/// A closed window of one key, ready to be judged.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) end: Timestamp,
    pub(crate) rows: u64,
    pub(crate) fields: Vec<Summary>,
    /// False when part of it was not seen or it had been judged before.
    pub(crate) may_clear: bool,
    /// Not closed yet: only what holds already can be said of it.
    pub(crate) open: bool,
}

impl Aggregate {
    pub(crate) const NAMES: [&str; 8] = ["max", "min", "avg", "sum", "count", "first", "last", "rate"];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "max" => Self::Max,
            "min" => Self::Min,
            "avg" => Self::Avg,
            "sum" => Self::Sum,
            "count" => Self::Count,
            "first" => Self::First,
            "last" => Self::Last,
            "rate" => Self::Rate,
            _ => return None,
        })
    }
}

impl Summary {
    pub(crate) const EMPTY: Summary = Summary {
        count: 0,
        sum: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        first: (Timestamp::MIN, 0.0),
        last: (Timestamp::MIN, 0.0),
    };

    pub(crate) fn add(&mut self, at: Timestamp, value: f64) {
        self.merge(&Summary { count: 1, sum: value, min: value, max: value, first: (at, value), last: (at, value) });
    }

    pub(crate) fn merge(&mut self, other: &Summary) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 || other.first.0 < self.first.0 {
            self.first = other.first;
        }
        if self.count == 0 || other.last.0 >= self.last.0 {
            self.last = other.last;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(crate) fn get(&self, kind: Aggregate) -> Option<f64> {
        if kind == Aggregate::Count {
            return Some(self.count as f64);
        }
        if self.count == 0 {
            return None;
        }
        Some(match kind {
            Aggregate::Max => self.max,
            Aggregate::Min => self.min,
            Aggregate::Avg => self.sum / self.count as f64,
            Aggregate::Sum => self.sum,
            Aggregate::Count => self.count as f64,
            Aggregate::First => self.first.1,
            Aggregate::Last => self.last.1,
            Aggregate::Rate => {
                let hours = self.last.0.since(self.first.0).as_hours();
                if hours <= 0.0 {
                    return None;
                }
                (self.last.1 - self.first.1) / hours
            }
        })
    }
}

impl Closed {
    pub(crate) fn get(&self, call: Call) -> Option<f64> {
        match call.field {
            Some(field) => self.fields[field].get(call.kind),
            None => Some(self.rows as f64),
        }
    }
}

impl Window {
    /// The end of the hop that holds `at`: hops are `(end − hop, end]`.
    fn end(&self, at: Timestamp) -> Timestamp {
        let start = at.floor(self.hop);
        if start == at { at } else { start + self.hop }
    }
}

impl Panes {
    pub(crate) fn new() -> Self {
        Self { panes: VecDeque::new() }
    }

    /// Takes a reading's usable values, one per field of the stream. One older than every window that can still close is ignored.
    pub(crate) fn add(&mut self, window: Window, at: Timestamp, values: &[Option<f64>], gap: bool) {
        let end = window.end(at);
        if self.panes.back().is_some_and(|newest| end <= newest.end - window.size) {
            return;
        }
        let position = self.panes.partition_point(|pane| pane.end < end);
        if self.panes.get(position).is_none_or(|pane| pane.end != end) {
            self.panes
                .insert(position, Pane { end, rows: 0, fields: vec![Summary::EMPTY; values.len()], gap: false, judged: Judged::NotYet });
        }
        let pane = &mut self.panes[position];
        pane.rows += 1;
        pane.gap |= gap;
        for (summary, value) in pane.fields.iter_mut().zip(values) {
            if let Some(value) = value {
                summary.add(at, *value);
            }
        }
        if pane.judged == Judged::Once {
            pane.judged = Judged::Again;
        }
    }

    /// The windows that `watermark` closes and that were not judged yet, in order of their ends.
    pub(crate) fn close(&mut self, window: Window, watermark: Timestamp, mut each: impl FnMut(Closed)) {
        for i in 0..self.panes.len() {
            let (end, judged) = (self.panes[i].end, self.panes[i].judged);
            if end > watermark {
                break;
            }
            if judged == Judged::Once {
                continue;
            }
            each(self.sum(window, i, judged == Judged::Again));
            self.panes[i].judged = Judged::Once;
        }
        // Panes that no later window reaches; the newest stays, as it tells which readings are too old.
        while self.panes.len() > 1 && self.panes[0].judged == Judged::Once && self.panes[0].end <= watermark - window.size {
            self.panes.pop_front();
        }
    }

    /// The newest window as far as it is known, if it has not been judged.
    pub(crate) fn open(&self, window: Window) -> Option<Closed> {
        let position = self.panes.len().checked_sub(1)?;
        (self.panes[position].judged != Judged::Once).then(|| Closed { open: true, ..self.sum(window, position, true) })
    }

    /// The end of the first window not judged yet.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.panes.iter().find(|pane| pane.judged != Judged::Once).map(|pane| pane.end)
    }

    fn sum(&self, window: Window, last: usize, again: bool) -> Closed {
        let end = self.panes[last].end;
        let first = self.panes.partition_point(|pane| pane.end <= end - window.size);
        let mut fields = vec![Summary::EMPTY; self.panes[last].fields.len()];
        let (mut rows, mut gap) = (0, false);
        for pane in self.panes.range(first..=last) {
            rows += pane.rows;
            gap |= pane.gap;
            for (total, part) in fields.iter_mut().zip(&pane.fields) {
                total.merge(part);
            }
        }
        Closed { end, rows, fields, may_clear: !gap && !again, open: false }
    }
}
