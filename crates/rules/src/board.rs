//! What the rules of one stream may know of another: its latest values as of a moment, and the marks that patterns wait for.
//!
//! Invariant: bounded. A key keeps its last values only, a pattern its last marks.

use std::collections::VecDeque;

use huong_types::{Map, Name, Span, Timestamp};

use crate::expr::Cell;

/// Values kept of one key: enough to find the one that held at a moment a few reports back.
const KEPT: usize = 16;
/// Marks kept of one key, and keys with marks per pattern.
const MARKS: usize = 64;
const MARKED: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Board {
    /// By stream; `None` for a stream that nobody joins.
    shelves: Vec<Option<Shelf>>,
    /// By stream: keys whose values are kept.
    most: Vec<usize>,
    /// By pattern.
    marks: Vec<Map<Name, VecDeque<Timestamp>>>,
}

type Shelf = Map<Name, VecDeque<(Timestamp, Box<[Cell]>)>>;

impl Board {
    pub(crate) fn new(streams: usize, patterns: usize) -> Self {
        Self {
            shelves: (0..streams).map(|_| None).collect(),
            most: vec![0; streams],
            marks: (0..patterns).map(|_| Map::default()).collect(),
        }
    }

    /// From now on the values of this stream are kept, of as many keys as there may be at once.
    pub(crate) fn keep(&mut self, stream: usize, most: usize) {
        self.shelves[stream].get_or_insert_default();
        self.most[stream] = most;
    }

    /// Notes the usable values of a reading.
    pub(crate) fn note(&mut self, stream: usize, key: &Name, at: Timestamp, cells: &[Cell]) {
        let Some(shelf) = &mut self.shelves[stream] else { return };
        if !shelf.contains_key(key) {
            make_room(shelf, self.most[stream], |values| values.back().map(|(t, _)| *t));
            shelf.insert(key.clone(), VecDeque::new());
        }
        let Some(values) = shelf.get_mut(key) else { return };
        let position = values.partition_point(|(t, _)| *t <= at);
        if values.len() == KEPT {
            if position == 0 {
                return;
            }
            values.pop_front();
            values.insert(position - 1, (at, cells.into()));
        } else {
            values.insert(position, (at, cells.into()));
        }
    }

    /// The latest value of a field not after `at` and not older than `max_age`, and its time.
    pub(crate) fn as_of(&self, stream: usize, key: &Name, field: usize, at: Timestamp, max_age: Span) -> Option<(Timestamp, &Cell)> {
        let values = self.shelves[stream].as_ref()?.get(key)?;
        let known = values.iter().rev().filter(|(t, _)| *t <= at && *t + max_age >= at);
        known.map(|(t, cells)| (*t, &cells[field])).find(|(_, cell)| **cell != Cell::Null)
    }

    /// The time of the latest reading, whatever it held.
    pub(crate) fn heard(&self, stream: usize, key: &Name, at: Timestamp, max_age: Span) -> Option<Timestamp> {
        let values = self.shelves[stream].as_ref()?.get(key)?;
        values.iter().rev().map(|(t, _)| *t).find(|t| *t <= at && *t + max_age >= at)
    }

    /// Takes over the values of streams that are still joined, `from` and `to` saying where each stands, and the marks of patterns
    /// that are the same, given as (place there, place here).
    pub(crate) fn adopt(&mut self, old: Board, from: &Map<Name, usize>, to: &Map<Name, usize>, patterns: &[(usize, usize)]) {
        let Board { shelves: mut old, mut marks, .. } = old;
        for (there, here) in patterns {
            self.marks[*here] = std::mem::take(&mut marks[*there]);
        }
        for (stream, place) in to {
            if let (Some(shelf), Some(was)) = (&mut self.shelves[*place], from.get(stream))
                && let Some(kept) = old[*was].take()
            {
                *shelf = kept;
            }
        }
    }

    /// Notes that what a pattern waits for has happened to `key`.
    pub(crate) fn mark(&mut self, pattern: usize, key: &Name, at: Timestamp) {
        let marks = &mut self.marks[pattern];
        if !marks.contains_key(key) {
            make_room(marks, MARKED, |times| times.back().copied());
        }
        let times = marks.entry(key.clone()).or_default();
        if times.len() == MARKS {
            times.pop_front();
        }
        let position = times.partition_point(|t| *t <= at);
        times.insert(position, at);
    }

    /// Keys kept, of values and marks.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.shelves.iter().flatten().map(Map::len).chain(self.marks.iter().map(Map::len)).sum()
    }

    /// When it first happened to `key` within these.
    pub(crate) fn mark_between(&self, pattern: usize, key: &Name, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let times = self.marks[pattern].get(key)?;
        times.iter().copied().find(|at| *at >= from).filter(|at| *at <= until)
    }

    /// Whether it has happened to `key` at or after `from`.
    pub(crate) fn marked(&self, pattern: usize, key: &Name, from: Timestamp) -> bool {
        self.marks[pattern].get(key).is_some_and(|times| times.back().is_some_and(|last| *last >= from))
    }
}

/// Forgets the keys heard longest ago, a sixteenth at once, when there are too many.
fn make_room<T>(kept: &mut Map<Name, T>, most: usize, newest: impl Fn(&T) -> Option<Timestamp>) {
    if kept.len() < most.max(1) {
        return;
    }
    let mut all: Vec<(Option<Timestamp>, Name)> = kept.iter().map(|(name, value)| (newest(value), name.clone())).collect();
    all.sort_unstable();
    for (_, name) in all.iter().take(all.len().div_ceil(16)) {
        kept.remove(name);
    }
}
