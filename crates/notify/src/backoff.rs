//! How long to wait before the next attempt.
//!
//! Invariant: a wait is never longer than `most`, and two processors that lost the same receiver do not come back in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::config::RetryConfig;

/// Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015): even from 0 to
/// `min(most, first · 2ⁿ)`.
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    pub(crate) fn new(config: &RetryConfig) -> Self {
        Self { first: config.first.to_std(), most: config.most.to_std(), attempt: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }

    pub(crate) fn next_wait(&mut self) -> Duration {
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
    use huong_types::Span;

    #[test]
    fn waits_grow_to_the_bound_and_differ() {
        let config = RetryConfig { first: Span::from_secs(1), most: Span::from_secs(60) };
        let mut seen = Vec::new();
        for _ in 0..50 {
            let mut backoff = Backoff::new(&config);
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
