//! What was raised lately: ids, so that nothing is told twice after a restart, and times, by which flapping is known.
//!
//! Invariant: bounded; what is forgotten is the oldest.

use std::collections::{BTreeMap, VecDeque};

use huong_types::{Flap, Name, Remembered, Timestamp};

use crate::open::Place;

#[derive(Debug)]
pub(crate) struct Recent {
    ids: Remembered<Name>,
    raises: BTreeMap<Place, VecDeque<Timestamp>>,
    capacity: usize,
}

impl Recent {
    pub(crate) fn new(capacity: usize) -> Recent {
        Recent { ids: Remembered::new(capacity), raises: BTreeMap::new(), capacity }
    }

    pub(crate) fn knows(&self, id: &Name) -> bool {
        self.ids.knows(id)
    }

    pub(crate) fn note(&mut self, id: Name) {
        self.ids.note(id);
    }

    /// Counts a raise at event time `at`; true when it is one too many within the time that `flap` allows.
    pub(crate) fn flaps(&mut self, place: &Place, at: Timestamp, flap: Flap) -> bool {
        if self.raises.len() >= self.capacity && !self.raises.contains_key(place) {
            self.forget();
        }
        let times = self.raises.entry(place.clone()).or_default();
        times.push_back(at);
        while times.front().is_some_and(|first| at.since(*first) > flap.within) || times.len() > flap.raises as usize {
            times.pop_front();
        }
        times.len() >= flap.raises as usize
    }

    /// The half of the keys that has been quiet for longest.
    fn forget(&mut self) {
        let mut newest: Vec<Timestamp> = self.raises.values().filter_map(|times| times.back().copied()).collect();
        let middle = newest.len() / 2;
        let (_, limit, _) = newest.select_nth_unstable(middle);
        let limit = *limit;
        self.raises.retain(|_, times| times.back().is_some_and(|last| *last > limit));
    }
}
