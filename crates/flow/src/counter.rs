//! Counts what happens often, in place of a log line each time.
//!
//! Invariant: a counter never goes back and orders nothing: what it counts is published by other means.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that many threads add to and anyone may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
