//! What was seen lately.
//!
//! Invariant: bounded; what is forgotten is what was noted first.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The last things noted, each once.
#[derive(Clone, Debug)]
pub struct Remembered<T> {
    seen: HashSet<T>,
    /// The same, oldest first.
    order: VecDeque<T>,
    most: usize,
}

impl<T: Clone + Eq + Hash> Remembered<T> {
    /// Remembers at most `most`, at least one.
    pub fn new(most: usize) -> Self {
        Self { seen: HashSet::new(), order: VecDeque::new(), most: most.max(1) }
    }

    pub fn knows(&self, item: &T) -> bool {
        self.seen.contains(item)
    }

    /// Notes something; false when it is known.
    pub fn note(&mut self, item: T) -> bool {
        if !self.seen.insert(item.clone()) {
            return false;
        }
        if self.order.len() == self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(item);
        true
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut last = Remembered::new(2);
        assert_eq!([1, 2, 2, 3, 1].map(|item| last.note(item)), [true, true, false, true, true]);
        assert_eq!(([1, 2, 3].map(|item| last.knows(&item)), last.len()), ([true, false, true], 2));
    }
}
