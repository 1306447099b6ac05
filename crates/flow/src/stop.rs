//! The request to end, shared by all threads of one process.
//!
//! Invariant: once set it stays set. A sleeping consumer is to be woken ([`crate::Waker::wake`]) after it is set, else it
//! sees it when its wait times out.

use std::fmt;

use crate::sync::{Arc, AtomicBool, Ordering};

/// A flag that says "finish and return"; clones share it.
#[derive(Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// What was written before is seen by whoever sees the flag.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_set()).finish()
    }
}
