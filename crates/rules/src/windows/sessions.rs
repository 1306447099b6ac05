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

/// The first instant that no longer belongs to a session with that last reading.
fn end(window: Window, last: Timestamp) -> Timestamp {
    last + spans(window).0 + Span::from_millis(1)
}

/// The longest pause within a session, and its longest length.
fn spans(window: Window) -> (Span, Span) {
    match window {
        Window::Session { gap, most } => (gap, most),
        Window::Hops { .. } | Window::Count { .. } => (Span::ZERO, Span::ZERO),
    }
}

/// Whether a reading of `at` belongs to the session from `first` to `last`.
fn joins((first, last): (Timestamp, Timestamp), at: Timestamp, gap: Span, most: Span) -> bool {
    at <= last + gap && first <= at + gap && last.max(at) <= first.min(at) + most
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

    /// The watermark at which a session is over, when readings of those times still wait, in order.
    pub(super) fn next_end(&self, window: Window, waiting: &[Timestamp]) -> Option<Timestamp> {
        let (gap, most) = spans(window);
        let unjudged = self.sessions.iter().position(|session| session.judged != Judged::Once);
        if let Some(i) = unjudged.filter(|i| i + 1 < self.sessions.len()) {
            return Some(self.over(window, i));
        }
        let mut newest = self.sessions.back().map(|session| (session.first, session.last));
        let mut due = unjudged.is_some();
        for at in waiting {
            match newest {
                Some(known) if joins(known, *at, gap, most) => newest = Some((known.0.min(*at), known.1.max(*at))),
                // The reading ends it, once that is added.
                Some((_, last)) if due => return Some(end(window, last).min(*at + Span::from_millis(1))),
                _ => newest = Some((*at, *at)),
            }
            due = true;
        }
        newest.filter(|_| due).map(|(_, last)| end(window, last))
    }

    pub(super) fn add(&mut self, plan: &Plan, taken: &Taken) {
        let (gap, most) = spans(plan.window);
        let at = taken.at;
        if at <= self.lost {
            return;
        }
        let next = self.sessions.partition_point(|session| session.first <= at);
        let joins = |session: &Session| joins((session.first, session.last), at, gap, most);
        let i = match next.checked_sub(1) {
            Some(before) if joins(&self.sessions[before]) => before,
            _ if self.sessions.get(next).is_some_and(joins) => next,
            _ => {
                let new = Session { gap: next == 0 && at <= self.lost + gap, ..Session::new(plan, at) };
                self.sessions.insert(next, new);
                next
            }
        };
        self.sessions[i].add(plan, taken);
        // It may have reached the next one.
        let session = &self.sessions[i];
        let bridges = |next: &Session| next.first <= session.last + gap && next.last <= session.first + most;
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
