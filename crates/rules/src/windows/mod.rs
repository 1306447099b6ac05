//! Event-time windows of one key of one stream: hopping (tumbling, sliding), session and count windows, each with everything that
//! any rule asks of it.
//!
//! Hop windows are `(end − size, end]`, ends aligned to the epoch: telemetry stamps the end of the interval it measured, so a sum of
//! ten-minute rains ending at 08:00 includes the reading of 08:00. A window is judged only when its newest hop holds a reading:
//! figures that fall merely because a sensor went silent are never judged.
//! A window that closed by the clock and then still receives a reading in its order is judged again, and may then only raise.
//!
//! Invariant: readings that come in any order within the disorder give the same closed windows, bit for bit. Sums of floats depend on
//! their order, so a reading waits until the watermark passes it and is then added in the order of event time; only what came after
//! the clock had spoken is added as it comes.

mod figure;
mod panes;
mod sample;
mod sessions;
mod summary;
#[cfg(test)]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use huong_types::{Span, Timestamp};
use smallvec::SmallVec;

use crate::expr::{Call, Cell, Kind};
use panes::{Grid, Panes};
use sessions::Sessions;
use summary::Layout;

/// Readings of one key that wait for the watermark. Beyond these the oldest is added early: it still counts, but the last bit of a
/// sum may then depend on the order of arrival.
const MOST_WAITING: usize = 1 << 16;

/// When windows begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Every `hop` the last `size`, a whole number of hops; tumbling when they are equal.
    Hops { size: Span, hop: Span },
    /// Readings at most `gap` apart, at most `most` from the first to the last: then a new session begins.
    Session { gap: Span, most: Span },
    /// The last `size` readings, first when there are so many, then after each `every` more.
    Count { size: u32, every: u32 },
}

/// One window of one stream with everything that any rule asks of it: rules over the same stream and window share it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    window: Window,
    calls: Vec<Call>,
    layout: Layout,
    /// Of hop and count windows.
    grid: Grid,
    /// Nothing asked for depends on the order in which readings are added: none has to wait.
    unordered: bool,
}

/// The windows of one plan for one key.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// `None` while nothing is known: there may be a million of these.
    state: Option<Box<State>>,
    /// What had been judged and was forgotten ended here (event time; for sessions their last reading).
    lost: Timestamp,
}

/// A closed window, ready to be judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Closed {
    /// Of a session or count window its first reading.
    pub(crate) start: Timestamp,
    /// Of a session or count window its last reading.
    pub(crate) end: Timestamp,
    pub(crate) rows: u64,
    /// One per call of the plan.
    pub(crate) cells: Vec<Cell>,
    /// False when part of it was not seen or it had been judged before.
    pub(crate) may_clear: bool,
    /// Not closed yet: only what holds already can be said of it.
    pub(crate) open: bool,
}

#[derive(Clone, Debug)]
struct State {
    waiting: BinaryHeap<Reverse<Taken>>,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Hops(Panes),
    /// Panes over the readings' numbers instead of their times.
    Count {
        panes: Panes,
        taken: i64,
    },
    Session(Sessions),
}

/// A reading as windows keep it: only the fields that some call reads.
#[derive(Clone, Debug)]
struct Taken {
    at: Timestamp,
    gap: bool,
    values: SmallVec<[Cell; 1]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    NotYet,
    Once,
    /// Was judged, then received another reading.
    Again,
}

impl Plan {
    /// `kinds` are those of the stream's own columns; a call of a numeric aggregate on a text column gives NULL.
    pub(crate) fn new(window: Window, calls: Vec<Call>, kinds: &[Kind]) -> Self {
        let layout = Layout::new(&calls, kinds, matches!(window, Window::Count { .. }));
        let unordered = matches!(window, Window::Hops { .. }) && layout.is_unordered();
        Self { window, calls, layout, grid: Grid::new(window), unordered }
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// How far back readings matter; zero for count windows, which know no time.
    pub(crate) fn longest(&self) -> Span {
        match self.window {
            Window::Hops { size, .. } => size,
            Window::Session { gap, most } => Span::from_millis(most.as_millis().saturating_add(gap.as_millis())),
            Window::Count { .. } => Span::ZERO,
        }
    }

    fn take(&self, at: Timestamp, values: &[Cell], gap: bool) -> Taken {
        Taken { at, gap, values: self.layout.take(values) }
    }
}

impl Windows {
    pub(crate) fn new(_plan: &Plan) -> Self {
        Self { state: None, lost: Timestamp::MIN }
    }

    /// A reading's usable values: one cell per own column. A reading older than any window that can still close is ignored.
    pub(crate) fn add(&mut self, plan: &Plan, at: Timestamp, values: &[Cell], gap: bool) {
        let taken = plan.take(at, values, gap);
        let lost = self.lost;
        let state = self.state.get_or_insert_with(|| Box::new(State::new(plan, lost)));
        if plan.unordered {
            state.shape.add(plan, &taken);
            return;
        }
        state.waiting.push(Reverse(taken));
        if state.waiting.len() > MOST_WAITING
            && let Some(Reverse(oldest)) = state.waiting.pop()
        {
            state.shape.add(plan, &oldest);
        }
    }

    /// The windows that `watermark` closes and that were not judged yet, in order of their ends.
    ///
    /// Count windows close by their number of readings: each is held until the watermark passes its last reading, so that the order
    /// within the disorder does not matter.
    pub(crate) fn close(&mut self, plan: &Plan, watermark: Timestamp, each: &mut dyn FnMut(Closed)) {
        let Some(state) = &mut self.state else { return };
        while let Some(Reverse(oldest)) = state.waiting.peek()
            && state.shape.may_add(plan, oldest.at, watermark)
            && let Some(Reverse(oldest)) = state.waiting.pop()
        {
            // In order, so whatever ends before this reading is complete: long backlogs do not pile up.
            state.shape.close_before(plan, oldest.at, each);
            state.shape.add(plan, &oldest);
        }
        state.shape.close(plan, watermark, each);
        if state.waiting.is_empty() && state.shape.is_empty() {
            self.lost = state.shape.lost();
            self.state = None;
        }
    }

    /// The newest window as far as it is known, if it has not been judged.
    pub(crate) fn open(&self, plan: &Plan) -> Option<Closed> {
        let state = self.state.as_ref()?;
        let mut waiting: Vec<&Taken> = state.waiting.iter().map(|Reverse(taken)| taken).collect();
        waiting.sort_unstable();
        state.shape.open(plan, &waiting)
    }

    /// Event time at which [`Self::close`] would next do something; `None` when nothing waits.
    pub(crate) fn next_end(&self, plan: &Plan) -> Option<Timestamp> {
        let state = self.state.as_ref()?;
        let times = || state.waiting.iter().map(|Reverse(taken)| taken.at).collect::<Vec<_>>();
        match &state.shape {
            Shape::Hops(panes) => {
                let oldest = state.waiting.peek().map(|Reverse(taken)| plan.grid.pane(taken.at.as_millis()));
                panes.next_end().into_iter().chain(oldest).min().map(Timestamp::from_millis)
            }
            Shape::Count { taken, .. } => {
                let missing = usize::try_from(plan.grid.next_close(taken + 1) - taken).ok()?;
                (missing <= state.waiting.len()).then(|| *times().select_nth_unstable(missing - 1).1)
            }
            Shape::Session(sessions) => {
                let mut times = times();
                times.sort_unstable();
                sessions.next_end(plan.window, &times)
            }
        }
    }

    /// The hop window that ends at `end`, up to which all windows have been closed, though nothing came in its newest hop: among
    /// occurrences nothing is a figure too. `None` for other windows.
    pub(crate) fn at_end(&self, plan: &Plan, end: Timestamp) -> Option<Closed> {
        match self.state.as_ref().map(|state| &state.shape) {
            Some(Shape::Hops(panes)) => Some(panes.closed(plan, end.as_millis(), false)),
            None if matches!(plan.window, Window::Hops { .. }) => {
                Some(Panes::new(self.lost.as_millis()).closed(plan, end.as_millis(), false))
            }
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.is_none()
    }
}

impl State {
    fn new(plan: &Plan, lost: Timestamp) -> Self {
        let shape = match plan.window {
            Window::Hops { .. } => Shape::Hops(Panes::new(lost.as_millis())),
            Window::Count { .. } => Shape::Count { panes: Panes::new(0), taken: 0 },
            Window::Session { .. } => Shape::Session(Sessions::new(lost)),
        };
        Self { waiting: BinaryHeap::new(), shape }
    }
}

impl Shape {
    /// Whether a reading of `at` can be added: none that is still to come in order belongs before it. Readings of the watermark
    /// itself wait for others of the same instant, unless a window ends there.
    fn may_add(&self, plan: &Plan, at: Timestamp, watermark: Timestamp) -> bool {
        match self {
            Self::Hops(_) => at < watermark || plan.grid.pane(at.as_millis()) <= watermark.as_millis(),
            Self::Count { .. } => at <= watermark,
            Self::Session(_) => at < watermark,
        }
    }

    fn add(&mut self, plan: &Plan, taken: &Taken) {
        match self {
            Self::Hops(panes) => panes.add(plan, taken.at.as_millis(), taken),
            Self::Count { panes, taken: count } => {
                *count += 1;
                panes.add(plan, *count, taken);
            }
            Self::Session(sessions) => sessions.add(plan, taken),
        }
    }

    fn close_before(&mut self, plan: &Plan, at: Timestamp, each: &mut dyn FnMut(Closed)) {
        match self {
            Self::Hops(panes) => panes.close(plan, plan.grid.pane(at.as_millis()).saturating_sub(1), each),
            Self::Count { panes, taken } => panes.close(plan, *taken, each),
            Self::Session(_) => {}
        }
    }

    fn close(&mut self, plan: &Plan, watermark: Timestamp, each: &mut dyn FnMut(Closed)) {
        match self {
            Self::Hops(panes) => panes.close(plan, watermark.as_millis(), each),
            Self::Count { panes, taken } => panes.close(plan, *taken, each),
            Self::Session(sessions) => sessions.close(plan, watermark, each),
        }
    }

    fn open(&self, plan: &Plan, waiting: &[&Taken]) -> Option<Closed> {
        match self {
            Self::Hops(panes) => panes.open(plan, waiting.iter().map(|taken| (taken.at.as_millis(), *taken))),
            Self::Count { panes, taken } => panes.open(plan, (taken + 1..).zip(waiting.iter().copied())),
            Self::Session(sessions) => sessions.open(plan, waiting),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Hops(panes) => panes.is_empty(),
            // How many there were must not be forgotten.
            Self::Count { .. } => false,
            Self::Session(sessions) => sessions.is_empty(),
        }
    }

    fn lost(&self) -> Timestamp {
        match self {
            Self::Hops(panes) | Self::Count { panes, .. } => Timestamp::from_millis(panes.lost()),
            Self::Session(sessions) => sessions.lost(),
        }
    }
}

/// By time, then by what they hold: the order of addition must not depend on the order of arrival.
impl Ord for Taken {
    fn cmp(&self, other: &Self) -> Ordering {
        let cells = || self.values.iter().zip(&other.values).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
        self.at.cmp(&other.at).then_with(|| cells().unwrap_or(Ordering::Equal))
    }
}

impl PartialOrd for Taken {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Taken {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Taken {}

fn order(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Less,
        (_, Cell::Null) => Ordering::Greater,
        (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
        (Cell::Number(_), Cell::Text(_)) => Ordering::Less,
        (Cell::Text(_), Cell::Number(_)) => Ordering::Greater,
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
    }
}
