//! The latest committed transitions in memory: sinks ask after each wake-up and rarely need the disk.
//!
//! Invariant: only what is committed is ever given out, so no sink can tell of an alert that a power cut takes back.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use huong_types::Transition;

use crate::{StoreError, transitions_after};

/// Shared by the writer, which adds on each commit, and the sinks.
#[derive(Debug)]
pub struct TransitionTail {
    dir: PathBuf,
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Every committed transition behind `complete_after`, in order. Shared, so that the lock is held for counts, not for copies.
    recent: VecDeque<Arc<Transition>>,
    complete_after: u64,
    /// The sequence of the last committed transition.
    committed: u64,
}

impl TransitionTail {
    /// `committed` is the last transition on disk; none are in memory yet.
    pub(crate) fn new(dir: PathBuf, capacity: usize, committed: u64) -> Self {
        Self { dir, capacity, inner: Mutex::new(Inner { recent: VecDeque::new(), complete_after: committed, committed }) }
    }

    /// At most `limit` committed transitions with a sequence above `seq`, in order; from memory unless `seq` is far behind.
    pub fn transitions_after(&self, seq: u64, limit: usize) -> Result<Vec<Transition>, StoreError> {
        let committed = {
            let inner = self.lock();
            if seq >= inner.complete_after {
                let start = inner.recent.partition_point(|t| t.seq <= seq);
                let found: Vec<Arc<Transition>> = inner.recent.range(start..).take(limit).cloned().collect();
                drop(inner);
                return Ok(found.iter().map(|t| Transition::clone(t)).collect());
            }
            inner.committed
        };
        let mut found = transitions_after(&self.dir, seq, limit)?;
        // The file may hold what is written but not synced yet.
        found.retain(|t| t.seq <= committed);
        Ok(found)
    }

    /// Takes the transitions of one commit.
    pub(crate) fn extend(&self, committed: impl Iterator<Item = Arc<Transition>>) {
        let mut inner = self.lock();
        for transition in committed {
            inner.committed = transition.seq;
            inner.recent.push_back(transition);
            if inner.recent.len() > self.capacity
                && let Some(oldest) = inner.recent.pop_front()
            {
                inner.complete_after = oldest.seq;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves the ring whole, so a panic elsewhere cannot have broken it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
