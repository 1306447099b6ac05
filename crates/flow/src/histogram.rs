//! How long things take, counted by bounds.
//!
//! Invariant: like a [`crate::Counter`] it never goes back and orders nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations that many threads may add and anyone may read.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds, for what is above all of them.
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Each upper bound in seconds with how many took as long or less; the last bound is infinite.
    pub upto: Vec<(f64, u64)>,
    /// Seconds.
    pub sum: f64,
}

impl Histogram {
    /// `bounds` in seconds, growing.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), nanos: AtomicU64::new(0) }
    }

    pub fn add(&self, took: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn read(&self) -> Buckets {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = self.counts.iter().scan(0, |below, count| {
            *below += count.load(Ordering::Relaxed);
            Some(*below)
        });
        Buckets { upto: bounds.zip(cumulative).collect(), sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_each_bound() {
        let histogram = Histogram::new(&[0.001, 0.01]);
        for millis in [0, 1, 5, 10, 11, 4000] {
            histogram.add(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.upto, [(0.001, 2), (0.01, 4), (f64::INFINITY, 6)]);
        assert!((read.sum - 4.027).abs() < 1e-9, "{}", read.sum);
    }
}
