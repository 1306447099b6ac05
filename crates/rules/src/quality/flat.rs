//! Which keys of a field move: what a flat line is held against.
//!
//! Invariant: one entry per registered key, the moment of its latest move; asking for N moving neighbours looks at N + 1 entries.

use std::collections::{BTreeSet, HashMap};

use huong_types::{FlatLine, Span, Timestamp};

#[derive(Debug)]
pub(super) struct Neighbours {
    after: Span,
    /// So many must move.
    needed: usize,
    moved: f64,
    /// By key: its latest move and its value then.
    moves: HashMap<usize, (Timestamp, f64)>,
    /// The keys that moved, by the moment of their latest move.
    latest: BTreeSet<(Timestamp, usize)>,
}

impl Neighbours {
    pub(super) fn new(flat: &FlatLine) -> Self {
        let (moves, latest) = (HashMap::new(), BTreeSet::new());
        Self { after: flat.after, needed: flat.neighbours, moved: flat.moved, moves, latest }
    }

    /// Takes a usable value of the key at position `k`. Small changes add up until they make a move.
    pub(super) fn heard(&mut self, k: usize, at: Timestamp, value: f64) {
        let Some(last) = self.moves.get_mut(&k) else {
            // The first value moves nothing, it is what later ones are held against.
            self.moves.insert(k, (at, value));
            return;
        };
        if at <= last.0 || value == last.1 || (value - last.1).abs() < self.moved {
            return;
        }
        self.latest.remove(&(last.0, k));
        *last = (at, value);
        self.latest.insert((at, k));
    }

    /// Whether enough keys beside `k` moved within the last `after` before `at`, or later.
    pub(super) fn moving(&self, k: usize, at: Timestamp) -> bool {
        let recent = self.latest.iter().rev().take_while(|(moved, _)| *moved > at - self.after);
        recent.filter(|(_, other)| *other != k).take(self.needed).count() == self.needed
    }
}
