//! What was last said of each of the latest things, for formats whose senders say one thing several times.
//!
//! Invariant: holds at most [`Seen::MOST`] keys; the one that came first goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub(super) struct Seen<V> {
    last: HashMap<Arc<str>, V>,
    order: VecDeque<Arc<str>>,
}

impl<V> Default for Seen<V> {
    fn default() -> Self {
        Self { last: HashMap::new(), order: VecDeque::new() }
    }
}

impl<V> Seen<V> {
    /// More devices, or vehicles in view, than a city's cameras and sensors have between two messages about the same one.
    const MOST: usize = 1 << 14;

    pub(super) fn last(&self, key: &str) -> Option<&V> {
        self.last.get(key)
    }

    /// Keys are as long as the caller lets them be.
    pub(super) fn tell(&mut self, key: &str, value: V) {
        if let Some(last) = self.last.get_mut(key) {
            *last = value;
            return;
        }
        if self.order.len() == Self::MOST
            && let Some(first) = self.order.pop_front()
        {
            self.last.remove(&first);
        }
        let key: Arc<str> = Arc::from(key);
        self.order.push_back(Arc::clone(&key));
        self.last.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_latest_and_no_more() {
        let mut seen = Seen::default();
        for i in 0..Seen::<usize>::MOST + 10 {
            seen.tell(&i.to_string(), i);
            seen.tell(&i.to_string(), i + 1);
        }
        assert_eq!((seen.last("9"), seen.last("10")), (None, Some(&11)));
        assert_eq!((seen.last.len(), seen.order.len()), (Seen::<usize>::MOST, Seen::<usize>::MOST));
    }
}
