//! What the engine knows of one key of one stream: its registry row, the trust in its values, its silence, its rules' states.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use huong_types::{Cause, Name, Row, Span, Stream, Timestamp, Values};

use crate::life::Life;
use crate::panes::Panes;
use crate::quality::Trust;

/// A signal names at most so many of the readings that decided it.
const CAUSES: usize = 3;

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Name,
    /// Vietnamese and English; `None` for a key the registry does not know.
    names: Option<(Box<str>, Box<str>)>,
    /// The row's levels as one-row columns, in the order of the engine's level names.
    pub(crate) station: Vec<ArrayRef>,
    pub(crate) levels: Vec<Option<f64>>,
    pub(crate) trust: Trust,
    /// Event time of the newest reading with a usable value.
    pub(crate) newest: Option<Timestamp>,
    /// How late that reading arrived: the clock runs this much ahead of the key's event time.
    pub(crate) lag: Span,
    /// Nothing usable for so long is silence.
    pub(crate) silent_after: Span,
    /// Set while silent: since the newest usable reading, or since the start.
    pub(crate) silent_since: Option<Timestamp>,
    recent: VecDeque<Timestamp>,
    /// One per rule of the stream.
    pub(crate) rules: Vec<RuleState>,
    /// One per rule with windows.
    pub(crate) panes: Vec<Panes>,
}

#[derive(Debug)]
pub(crate) struct RuleState {
    pub(crate) life: Life,
    /// The figures last told, to keep quiet when nothing is new.
    pub(crate) told: Values,
    /// The row that began or continued the on-delay, for the signal that ends it.
    pub(crate) pending: Option<RecordBatch>,
    /// Event time of the last `each` alert.
    pub(crate) once: Timestamp,
}

impl Key {
    pub(crate) fn new(
        id: Name,
        row: Option<Row<'_>>,
        stream: &Stream,
        trust: Trust,
        levels: &[Name],
        rules: usize,
        windows: usize,
    ) -> Self {
        let level = |name: &str| row.and_then(|row| row.levels.get(name).copied());
        let levels: Vec<Option<f64>> = levels.iter().map(|name| level(name)).collect();
        Self {
            trust,
            names: row.map(|row| (row.name.into(), row.name_en.into())),
            station: levels.iter().map(|level| Arc::new(Float64Array::from(vec![*level])) as ArrayRef).collect(),
            levels,
            newest: None,
            lag: Span::ZERO,
            silent_after: row.map_or(stream.gap, |row| Span::from_millis(row.period.as_millis() * i64::from(stream.silent_after_periods))),
            silent_since: None,
            recent: VecDeque::new(),
            rules: (0..rules).map(|_| RuleState::new()).collect(),
            panes: (0..windows).map(|_| Panes::new()).collect(),
            id,
        }
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.names.is_none()
    }

    pub(crate) fn names(&self) -> (&str, &str) {
        self.names.as_ref().map_or((&*self.id, &*self.id), |(vi, en)| (vi, en))
    }

    /// Notes a reading with a usable value. One dated ahead of the clock counts as of the clock.
    pub(crate) fn heard(&mut self, at: Timestamp, now: Timestamp) {
        let known = at.min(now);
        if self.newest.is_none_or(|newest| known >= newest) {
            self.newest = Some(known);
            self.lag = now.since(at);
        }
        if self.recent.back() != Some(&at) {
            if self.recent.len() == CAUSES {
                self.recent.pop_front();
            }
            self.recent.push_back(at);
        }
    }

    /// The latest usable readings not after `at`.
    pub(crate) fn cause(&self, stream: &Name, at: Timestamp) -> Vec<Cause> {
        let until = self.recent.iter().filter(|t| **t <= at);
        until.map(|t| Cause { stream: stream.clone(), key: self.id.clone(), at: *t }).collect()
    }

    /// Up to which event time everything in order has arrived, judged by the readings alone.
    pub(crate) fn watermark(&self, disorder: Span) -> Timestamp {
        self.newest.map_or(Timestamp::MIN, |newest| newest - disorder)
    }

    /// The same, judged by the clock: what is not here by now will not come in order.
    pub(crate) fn clock_watermark(&self, disorder: Span, now: Timestamp) -> Timestamp {
        self.watermark(disorder).max(now - self.lag - disorder)
    }

    /// When the clock watermark reaches `event`.
    fn clock_reaches(&self, event: Timestamp, disorder: Span) -> Timestamp {
        event + self.lag + disorder
    }

    pub(crate) fn has_alert(&self) -> bool {
        self.rules.iter().any(|rule| rule.life.is_raised())
    }

    /// When this key falls silent, if it has not and someone would care. Not sooner after the start than a station may be silent at
    /// all: what was sent while we were away is still on its way.
    pub(crate) fn silent_at(&self, started: Timestamp) -> Option<Timestamp> {
        let cares = !self.is_orphan() || self.has_alert();
        (cares && self.silent_since.is_none()).then(|| self.newest.map_or(started, |newest| newest.max(started)) + self.silent_after)
    }

    /// The next clock time at which a tick would do something for this key. `timing` of each rule in order.
    pub(crate) fn deadline(
        &self,
        started: Timestamp,
        disorder: Span,
        matures: impl Fn(usize, &Life) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        let windows = self.panes.iter().filter_map(Panes::next_end);
        let pending = self.rules.iter().enumerate().filter_map(|(i, rule)| matures(i, &rule.life));
        let events = windows.chain(pending).map(|event| self.clock_reaches(event, disorder));
        events.chain(self.silent_at(started)).min()
    }
}

impl RuleState {
    fn new() -> Self {
        Self { life: Life::new(), told: Values::new(), pending: None, once: Timestamp::MIN }
    }
}
