//! Session windows: readings at most `gap` apart, at most `most` from the first to the last.
//!
//! Invariant: sessions are sorted and apart: more than `gap`, or together they would be longer than `most`.

use std::collections::VecDeque;

use huong_types::{Span, Timestamp};

use super::summary::Summary;
use super::{Closed, Judged, Plan, Taken, Window};

#[derive(Clone, Debug)]
pub(super) struct Sessions {
    sessions: VecDeque<Session>,
    /// Last reading of the newest session that was forgotten.
    lost: Timestamp,
}

#[derive(Clone, Debug)]
struct Session {
    first: Timestamp,
    last: Timestamp,
    rows: u64,
    /// Holds the first value after a long silence, or its beginning was forgotten.
    gap: bool,
    judged: Judged,
    summary: Summary,
}

/// When a session with that last reading is over.
pub(super) fn end(window: Window, last: Timestamp) -> Timestamp {
    last + spans(window).0
}

/// The longest pause within a session, and its longest length.
fn spans(window: Window) -> (Span, Span) {
    match window {
        Window::Session { gap, most } => (gap, most),
        Window::Hops { .. } | Window::Count { .. } => (Span::ZERO, Span::ZERO),
    }
}

impl Sessions {
    /// `lost`: the last reading of what was known before and forgotten.
    pub(super) fn new(lost: Timestamp) -> Self {
        Self { sessions: VecDeque::new(), lost }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn lost(&self) -> Timestamp {
        self.lost
    }

    pub(super) fn next_end(&self, window: Window) -> Option<Timestamp> {
        (0..self.sessions.len()).find(|i| self.sessions[*i].judged != Judged::Once).map(|i| self.over(window, i))
    }

    pub(super) fn add(&mut self, plan: &Plan, taken: &Taken) {
        let (gap, most) = spans(plan.window);
        let at = taken.at;
        if at <= self.lost {
            return;
        }
        let next = self.sessions.partition_point(|session| session.first <= at);
        let joins = |session: &Session| session.first.min(at) + most >= session.last.max(at) && session.is_near(at, gap);
        let i = match next.checked_sub(1) {
            Some(before) if joins(&self.sessions[before]) => before,
            _ if self.sessions.get(next).is_some_and(joins) => next,
            _ => {
                let new = Session { gap: at <= self.lost + gap, ..Session::new(plan, at) };
                self.sessions.insert(next, new);
                next
            }
        };
        self.sessions[i].add(plan, taken);
        // It may have reached the next one.
        let session = &self.sessions[i];
        let bridges = |next: &Session| next.is_near(session.last, gap) && session.first + most >= next.last;
        if self.sessions.get(i + 1).is_some_and(bridges)
            && let Some(next) = self.sessions.remove(i + 1)
        {
            self.sessions[i].merge(plan, &next);
        }
    }

    pub(super) fn close(&mut self, plan: &Plan, watermark: Timestamp, each: &mut dyn FnMut(Closed)) {
        for i in 0..self.sessions.len() {
            if self.over(plan.window, i) > watermark {
                break;
            }
            let session = &mut self.sessions[i];
            if session.judged != Judged::Once {
                let may_clear = !session.gap && session.judged == Judged::NotYet;
                session.judged = Judged::Once;
                each(Closed { may_clear, ..session.closed(plan) });
            }
        }
        let (gap, most) = spans(plan.window);
        while let Some(oldest) = self.sessions.front().filter(|session| session.judged == Judged::Once)
            && (self.sessions.len() > 1 || oldest.last + gap + most <= watermark)
        {
            self.lost = oldest.last;
            self.sessions.pop_front();
        }
    }

    /// The newest session with readings that still wait, in their order, if it is not judged.
    pub(super) fn open(&self, plan: &Plan, waiting: &[&Taken]) -> Option<Closed> {
        let mut known = self.clone();
        waiting.iter().for_each(|taken| known.add(plan, taken));
        let newest = known.sessions.back().filter(|session| session.judged != Judged::Once)?;
        Some(Closed { open: true, may_clear: false, ..newest.closed(plan) })
    }

    /// From when on no reading in order can belong to it: a pause has passed, or the next one has begun.
    fn over(&self, window: Window, i: usize) -> Timestamp {
        let paused = end(window, self.sessions[i].last);
        self.sessions.get(i + 1).map_or(paused, |next| paused.min(next.first))
    }
}

impl Session {
    fn new(plan: &Plan, at: Timestamp) -> Self {
        Self { first: at, last: at, rows: 0, gap: false, judged: Judged::NotYet, summary: Summary::new(&plan.layout) }
    }

    /// Whether there is no longer pause than `gap` between it and `at`.
    fn is_near(&self, at: Timestamp, gap: Span) -> bool {
        at <= self.last + gap && self.first <= at + gap
    }

    fn add(&mut self, plan: &Plan, taken: &Taken) {
        self.first = self.first.min(taken.at);
        self.last = self.last.max(taken.at);
        self.rows += 1;
        self.gap |= taken.gap;
        self.summary.add(&plan.layout, taken);
        if self.judged == Judged::Once {
            self.judged = Judged::Again;
        }
    }

    fn merge(&mut self, plan: &Plan, next: &Self) {
        self.last = self.last.max(next.last);
        self.rows += next.rows;
        self.gap |= next.gap;
        self.summary.merge(&plan.layout, &next.summary);
        if next.judged != Judged::NotYet {
            self.judged = Judged::Again;
        }
    }

    fn closed(&self, plan: &Plan) -> Closed {
        // A session is its own newest hop.
        let hop = |back: usize, at: usize| if back == 0 { self.summary.number(at) } else { 0.0 };
        let cells = plan.layout.cells(self.rows, &self.summary, &hop);
        Closed { start: self.first, end: self.last, rows: self.rows, cells, may_clear: true, open: false }
    }
}
