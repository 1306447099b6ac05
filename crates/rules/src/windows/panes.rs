//! Hop and count windows as a row of panes: each pane summarises the readings between two places where windows may end, a window is
//! the sum of its last panes. The places are times (ms), or for count windows the numbers of the readings.
//!
//! Sums of many panes go by blocks of about √n panes, so that a window of n panes costs about 2·√n merges instead of n. Running sums
//! of two stacks would be cheaper still for numbers, but keep a second summary as large as the window for each pane: too much where
//! a summary is a set or a sketch.
//!
//! Invariant: panes are sorted; a block holds exactly its complete panes.

use std::collections::VecDeque;

use huong_types::Timestamp;

use super::summary::Summary;
use super::{Closed, Judged, Plan, Taken, Window};

/// Fewer panes than these to a window are summed one by one.
const LEAST_FOR_BLOCKS: i64 = 16;

/// Where panes and windows end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Length of a pane.
    step: i64,
    /// Windows end at `size` plus a multiple of this, itself a multiple of `step`.
    every: i64,
    size: i64,
    /// Length of a block; `None`: no blocks.
    block: Option<i64>,
    /// Count windows: numbers begin with 1, no window reaches below.
    counts: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Panes {
    panes: VecDeque<Pane>,
    blocks: VecDeque<Pane>,
    /// End of the newest complete pane; at first where forgotten ones ended.
    complete: i64,
    /// End of the newest pane that was forgotten.
    lost: i64,
    /// End of the first pane that was not judged since its last reading.
    unjudged: Option<i64>,
}

#[derive(Clone, Debug)]
struct Pane {
    end: i64,
    rows: u32,
    /// Holds the first value after a long silence: part of the window was not seen.
    gap: bool,
    judged: Judged,
    summary: Summary,
}

/// The sum of some panes.
struct Sum {
    rows: u64,
    gap: bool,
    summary: Summary,
}

impl Grid {
    pub(super) fn new(window: Window) -> Self {
        let (step, every, size, counts) = match window {
            Window::Hops { size, hop } => (hop.as_millis(), hop.as_millis(), size.as_millis(), false),
            Window::Count { size, every } => {
                let (size, every) = (i64::from(size.max(1)), i64::from(every.max(1)));
                (common_divisor(size, every), every, size, true)
            }
            Window::Session { .. } => (1, 1, 1, false),
        };
        let step = step.max(1);
        let panes = size / step;
        let block = (panes >= LEAST_FOR_BLOCKS).then(|| step * panes.isqrt());
        Self { step, every: every.max(1), size, block, counts }
    }

    /// The end of the pane that holds `place`: panes are `(end − step, end]`.
    pub(super) fn pane(&self, place: i64) -> i64 {
        end_of(place, self.step)
    }

    /// The first end of a window at or after `place`.
    pub(super) fn next_close(&self, place: i64) -> i64 {
        let close = end_of(place.saturating_sub(self.size), self.every).saturating_add(self.size);
        if self.counts { close.max(self.size) } else { close }
    }
}

/// The first multiple of `step` at or after `place`.
fn end_of(place: i64, step: i64) -> i64 {
    match place.rem_euclid(step) {
        0 => place,
        over => place.saturating_add(step - over),
    }
}

fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

impl Panes {
    /// `lost`: where what was known before and forgotten ended.
    pub(super) fn new(lost: i64) -> Self {
        Self { panes: VecDeque::new(), blocks: VecDeque::new(), complete: lost, lost, unjudged: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    pub(super) fn lost(&self) -> i64 {
        self.lost
    }

    pub(super) fn next_end(&self) -> Option<i64> {
        self.unjudged
    }

    pub(super) fn add(&mut self, plan: &Plan, place: i64, taken: &Taken) {
        let end = plan.grid.pane(place);
        if self.is_too_old(plan, end) {
            return;
        }
        let pane = pane_at(&mut self.panes, plan, end);
        pane.add(plan, taken);
        if pane.judged == Judged::Once {
            pane.judged = Judged::Again;
        }
        if self.unjudged.is_none_or(|first| end < first) {
            self.unjudged = Some(end);
        }
        if end <= self.complete
            && let Some(block) = plan.grid.block
        {
            pane_at(&mut self.blocks, plan, end_of(end, block)).add(plan, taken);
        }
    }

    /// Judges the windows that end at or before `limit`; forgets what no later window reaches.
    pub(super) fn close(&mut self, plan: &Plan, limit: i64, each: &mut dyn FnMut(Closed)) {
        if let Some(first) = self.unjudged.filter(|first| *first <= limit) {
            let mut i = self.panes.partition_point(|pane| pane.end < first);
            while i < self.panes.len() && self.panes[i].end <= limit {
                if self.panes[i].judged != Judged::Once {
                    self.complete(plan, i);
                    let (end, again) = (self.panes[i].end, self.panes[i].judged == Judged::Again);
                    if plan.grid.next_close(end) == end {
                        each(self.closed(plan, end, again));
                    }
                    self.panes[i].judged = Judged::Once;
                }
                i += 1;
            }
            self.unjudged = self.panes.range(i..).find(|pane| pane.judged != Judged::Once).map(|pane| pane.end);
        }
        let reached = limit.saturating_sub(plan.grid.size);
        while let Some(pane) = self.panes.front().filter(|pane| pane.judged == Judged::Once && pane.end <= reached) {
            self.lost = self.lost.max(pane.end);
            self.panes.pop_front();
        }
        while self.blocks.front().is_some_and(|block| block.end <= reached) {
            self.blocks.pop_front();
        }
    }

    /// The window that the newest reading is in, with readings that still wait and their places, if that is not judged.
    pub(super) fn open<'a>(&self, plan: &Plan, waiting: impl Iterator<Item = (i64, &'a Taken)>) -> Option<Closed> {
        // What is not complete yet and what waits, to be added to the complete panes.
        let mut newer = Self::new(i64::MIN);
        newer.panes = self.panes.range(self.panes.partition_point(|pane| pane.end <= self.complete)..).cloned().collect();
        for (place, taken) in waiting.filter(|(place, _)| !self.is_too_old(plan, plan.grid.pane(*place))) {
            newer.add(plan, place, taken);
        }
        let (known, new) = (self.panes.back(), newer.panes.back());
        let newest = known.into_iter().chain(new).map(|pane| pane.end).max()?;
        let end = plan.grid.next_close(newest);
        let judged = end == newest && new.is_none_or(|pane| pane.end < end) && known.is_some_and(|pane| pane.judged == Judged::Once);
        if judged {
            return None;
        }
        let start = end.saturating_sub(plan.grid.size);
        let mut sum = self.sum(plan, start, self.complete.min(end));
        within(&newer.panes, start, end).for_each(|pane| sum.add(plan, pane));
        let hop = |end: i64, at: usize| self.complete_number(end, at) + newer.number(end, at);
        Some(Closed { open: true, may_clear: false, ..finish(plan, end, sum, &hop) })
    }

    /// Older than any window that can still close, or be judged again.
    fn is_too_old(&self, plan: &Plan, end: i64) -> bool {
        end <= self.complete.saturating_sub(plan.grid.size)
    }

    /// Pane `i` becomes part of its block when it is complete.
    fn complete(&mut self, plan: &Plan, i: usize) {
        let pane = &self.panes[i];
        if pane.end <= self.complete {
            return;
        }
        self.complete = pane.end;
        if let Some(block) = plan.grid.block {
            pane_at(&mut self.blocks, plan, end_of(pane.end, block)).merge(plan, pane);
        }
    }

    pub(super) fn closed(&self, plan: &Plan, end: i64, again: bool) -> Closed {
        let start = end.saturating_sub(plan.grid.size);
        let sum = self.sum(plan, start, end);
        let may_clear = !sum.gap && !again && self.lost <= start;
        Closed { may_clear, ..finish(plan, end, sum, &|end, at| self.number(end, at)) }
    }

    /// Of the panes within `(start, end]`, all of them complete.
    fn sum(&self, plan: &Plan, start: i64, end: i64) -> Sum {
        let mut sum = Sum { rows: 0, gap: false, summary: Summary::new(&plan.layout) };
        // Whole blocks within it, and the panes on both sides of them.
        let blocks = plan.grid.block.map(|size| (end_of(start, size), end_of(end.saturating_sub(size).saturating_add(1), size)));
        if let Some((from, to)) = blocks.filter(|(from, to)| from < to) {
            within(&self.panes, start, from).for_each(|pane| sum.add(plan, pane));
            within(&self.blocks, from, to).for_each(|block| sum.add(plan, block));
            within(&self.panes, to, end).for_each(|pane| sum.add(plan, pane));
        } else {
            within(&self.panes, start, end).for_each(|pane| sum.add(plan, pane));
        }
        sum
    }

    fn number(&self, end: i64, at: usize) -> f64 {
        self.panes.binary_search_by_key(&end, |pane| pane.end).map_or(0.0, |i| self.panes[i].summary.number(at))
    }

    fn complete_number(&self, end: i64, at: usize) -> f64 {
        if end <= self.complete { self.number(end, at) } else { 0.0 }
    }
}

impl Pane {
    fn add(&mut self, plan: &Plan, taken: &Taken) {
        self.rows = self.rows.saturating_add(1);
        self.gap |= taken.gap;
        self.summary.add(&plan.layout, taken);
    }

    fn merge(&mut self, plan: &Plan, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.gap |= other.gap;
        self.summary.merge(&plan.layout, &other.summary);
    }
}

impl Sum {
    fn add(&mut self, plan: &Plan, pane: &Pane) {
        self.rows += u64::from(pane.rows);
        self.gap |= pane.gap;
        self.summary.merge(&plan.layout, &pane.summary);
    }
}

/// Those that end in `(start, end]`.
fn within(panes: &VecDeque<Pane>, start: i64, end: i64) -> impl Iterator<Item = &Pane> {
    panes.range(panes.partition_point(|pane| pane.end <= start)..).take_while(move |pane| pane.end <= end)
}

/// The pane that ends there, new or known.
fn pane_at<'a>(panes: &'a mut VecDeque<Pane>, plan: &Plan, end: i64) -> &'a mut Pane {
    // Nearly always the last.
    let i = if panes.back().is_some_and(|last| last.end == end) { panes.len() - 1 } else { panes.partition_point(|pane| pane.end < end) };
    if panes.get(i).is_none_or(|pane| pane.end != end) {
        panes.insert(i, Pane { end, rows: 0, gap: false, judged: Judged::NotYet, summary: Summary::new(&plan.layout) });
    }
    &mut panes[i]
}

/// `number`: of the pane that ends there.
fn finish(plan: &Plan, end: i64, sum: Sum, number: &dyn Fn(i64, usize) -> f64) -> Closed {
    let Sum { rows, summary, .. } = sum;
    let start = end.saturating_sub(plan.grid.size);
    if plan.grid.counts {
        let (start, end) = summary.times();
        let cells = plan.layout.cells(rows, &summary, &|back, at| if back == 0 { summary.number(at) } else { 0.0 });
        return Closed { start, end, rows, cells, may_clear: true, open: false };
    }
    let hop = |back: usize, at: usize| {
        let end = end.saturating_sub(plan.grid.every.saturating_mul(i64::try_from(back).unwrap_or(i64::MAX)));
        if end > start { number(end, at) } else { 0.0 }
    };
    let cells = plan.layout.cells(rows, &summary, &hop);
    Closed { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end), rows, cells, may_clear: true, open: false }
}
