//! How far a value can be trusted: range, step, conflict, gap, order. One state per stream, key and field.
//!
//! Invariants: each instant of a field has at most one usable value, the first; a value is usable once. A suspect or bad value
//! moves neither the watermark nor the reference of the step check; only a second reading that agrees with a suspect one does.

use std::collections::VecDeque;

use huong_types::{Check, FieldSpec, Flag, Quality, Span, Step, Timestamp};

/// How many readings back a repeat is recognised as such. An older one than these is late, never judged twice.
const REMEMBERED: usize = 256;

/// The limits of one field of one key: the stream's, or the registry row's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    min: Option<f64>,
    max: Option<f64>,
    step: Option<Step>,
}

#[derive(Clone, Debug)]
pub(crate) struct FieldState {
    /// The newest usable value.
    last: Option<(Timestamp, f64)>,
    /// A value that stepped too far, until the next one agrees or not.
    doubt: Option<(Timestamp, f64)>,
    recent: VecDeque<Seen>,
    /// Event time of the newest reading that fell out of `recent`.
    forgotten: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Timestamp,
    value: f64,
    usable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judged {
    /// The same value for the same instant again.
    Repeat,
    As(Quality),
}

impl Limits {
    /// A row's `min` and `max` speak of the stream's main field.
    pub(crate) fn new(spec: &FieldSpec, row_min: Option<f64>, row_max: Option<f64>) -> Self {
        Self { min: row_min.or(spec.min), max: row_max.or(spec.max), step: spec.step }
    }
}

impl FieldState {
    pub(crate) fn new() -> Self {
        Self { last: None, doubt: None, recent: VecDeque::new(), forgotten: Timestamp::MIN }
    }

    /// Judges the value measured `at`; `disorder` and `gap` are the stream's.
    pub(crate) fn judge(&mut self, at: Timestamp, value: f64, limits: &Limits, disorder: Span, gap: Span) -> Judged {
        let newest = self.last.map_or(Timestamp::MIN, |(at, _)| at);
        let mut contradicts = false;
        // Most readings are newer than all before: nothing to look up.
        if at <= self.recent.back().map_or(Timestamp::MIN, |seen| seen.at) || at <= newest {
            for seen in self.recent.iter().rev().filter(|seen| seen.at == at) {
                if seen.value == value {
                    return Judged::Repeat;
                }
                contradicts |= seen.usable;
            }
            if !contradicts && (at <= self.forgotten || at < newest - disorder) {
                return Judged::As(Quality::new(Flag::Late, Check::Late));
            }
        }
        let quality = self.check(at, value, contradicts, limits, gap);
        self.remember(at, value, quality.flag);
        Judged::As(quality)
    }

    fn check(&mut self, at: Timestamp, value: f64, contradicts: bool, limits: &Limits, gap: Span) -> Quality {
        if limits.min.is_some_and(|min| value < min) || limits.max.is_some_and(|max| value > max) {
            return Quality::new(Flag::Bad, Check::Range);
        }
        if contradicts {
            return Quality::new(Flag::Suspect, Check::Conflict);
        }
        let Some(last) = self.last else {
            // Nothing is known of the time before: it may raise, it cannot call anything safe.
            self.last = Some((at, value));
            return Quality::new(Flag::Gap, Check::Gap);
        };
        let newest = at > last.0;
        if !limits.step.is_none_or(|step| within(step, last, (at, value))) {
            let confirmed =
                newest && self.doubt.is_some_and(|doubt| at > doubt.0 && limits.step.is_none_or(|step| within(step, doubt, (at, value))));
            if !confirmed {
                if newest {
                    self.doubt = Some((at, value));
                }
                return Quality::new(Flag::Suspect, Check::Step);
            }
        }
        if !newest {
            return Quality::OK;
        }
        self.doubt = None;
        self.last = Some((at, value));
        if at.since(last.0) > gap { Quality::new(Flag::Gap, Check::Gap) } else { Quality::OK }
    }

    fn remember(&mut self, at: Timestamp, value: f64, flag: Flag) {
        if self.recent.len() == REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.at);
        }
        // Sorted by event time, so that the newest is at the back and the oldest is forgotten first.
        let position = self.recent.partition_point(|seen| seen.at <= at);
        self.recent.insert(position, Seen { at, value, usable: flag < Flag::Late });
    }
}

/// Whether the change between two values is plausible, whichever of them is the older.
fn within(step: Step, a: (Timestamp, f64), b: (Timestamp, f64)) -> bool {
    let (older, newer) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let hours = newer.0.since(older.0).as_hours();
    let change = newer.1 - older.1;
    // The limits are decimal fractions: a change of exactly the limit must not fail by its last bit.
    const SLACK: f64 = 1e-9;
    change <= step.rise_base + step.rise_per_hour * hours + SLACK && -change <= step.fall_base + step.fall_per_hour * hours + SLACK
}
