//! How long to wait before the next attempt.
//!
//! Invariant: a wait is never longer than `most`, and two processors that lost the same receiver do not come back in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015): even from 0 to
/// `min(most, first · 2ⁿ)`.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    /// The first wait is at most `first`, none is longer than `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, attempt: 0 }
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    pub fn next_wait(&mut self) -> Duration {
        let bound = self.first.saturating_mul(1u32.checked_shl(self.attempt).unwrap_or(u32::MAX)).min(self.most);
        self.attempt = (self.attempt + 1).min(31);
        // Each RandomState has keys of its own, seeded by the system: 64 bits of chance with no further dependency.
        let chance = RandomState::new().hash_one(self.attempt) as f64 / u64::MAX as f64;
        bound.mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_differ() {
        let mut seen = Vec::new();
        for _ in 0..50 {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
            for attempt in 0..40 {
                let wait = backoff.next_wait();
                let bound = if attempt < 6 { 1 << attempt } else { 60 };
                assert!(wait <= Duration::from_secs(bound), "attempt {attempt} waits {wait:?}");
                seen.push(wait);
            }
            backoff.reset();
            assert!(backoff.next_wait() <= Duration::from_secs(1));
        }
        assert!(seen.iter().any(|wait| *wait > Duration::from_secs(40)), "waits grow");
        seen.sort();
        seen.dedup();
        assert!(seen.len() > 1900, "waits differ: {} of 2000", seen.len());
    }
}
