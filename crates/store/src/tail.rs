//! The latest committed transitions in memory: sinks ask after each wake-up and rarely need the disk.
//!
//! Invariant: only what the writer has told is given out, and what is not on disk yet stays in memory until it is.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use huong_types::Transition;

use crate::{StoreError, transitions_after};

/// Shared by the writer, which adds to it, and the sinks.
#[derive(Debug)]
pub struct TransitionTail {
    dir: PathBuf,
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Every transition told behind `complete_after`, in order. Shared, so that the lock is held for counts, not for copies.
    recent: VecDeque<Arc<Transition>>,
    complete_after: u64,
    /// The sequence of the last transition that is on disk.
    committed: u64,
}

impl TransitionTail {
    /// `committed` is the last transition on disk; none are in memory yet.
    pub(crate) fn new(dir: PathBuf, capacity: usize, committed: u64) -> Self {
        let inner = Inner { recent: VecDeque::new(), complete_after: committed, committed };
        Self { dir, capacity, inner: Mutex::new(inner) }
    }

    /// At most `limit` transitions with a sequence above `seq`, in order; from memory unless `seq` is far behind.
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

    /// Takes transitions that may be told.
    pub(crate) fn extend(&self, transitions: impl Iterator<Item = Arc<Transition>>) {
        let mut inner = self.lock();
        for transition in transitions {
            inner.recent.push_back(transition);
        }
    }

    /// Transitions up to `seq` are on disk: the oldest may be forgotten.
    pub(crate) fn settle(&self, seq: u64) {
        let mut inner = self.lock();
        inner.committed = seq;
        while inner.recent.len() > self.capacity && inner.recent.front().is_some_and(|oldest| oldest.seq <= seq) {
            inner.complete_after = inner.recent.pop_front().map_or(seq, |oldest| oldest.seq);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves the ring whole, so a panic elsewhere cannot have broken it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
