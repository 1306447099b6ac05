//! How long readings take from receipt to being on disk and told, over the last second or so.

use std::time::{Duration, Instant};

use huong_wall::Latency;

/// Gathers samples of one thread; bounded.
pub(crate) struct Meter {
    samples: Vec<f64>,
    since: Instant,
}

/// Figures are made this often ..
const EVERY: Duration = Duration::from_secs(1);
/// .. from at most this many samples; a busier second is judged by its first ones.
const MOST: usize = 8192;

impl Meter {
    pub(crate) fn new() -> Self {
        Self { samples: Vec::with_capacity(MOST), since: Instant::now() }
    }

    /// One reading's milliseconds.
    pub(crate) fn add(&mut self, millis: f64) {
        if self.samples.len() < MOST {
            self.samples.push(millis);
        }
    }

    /// The percentiles since the last call that gave any, once a second; `None` in between or when nothing came.
    pub(crate) fn figures(&mut self) -> Option<Latency> {
        if self.since.elapsed() < EVERY || self.samples.is_empty() {
            return None;
        }
        self.samples.sort_by(f64::total_cmp);
        let at = |share: f64| self.samples[((self.samples.len() as f64 * share).ceil() as usize).clamp(1, self.samples.len()) - 1];
        let figures = Latency { p50: at(0.50), p99: at(0.99) };
        self.samples.clear();
        self.since = Instant::now();
        Some(figures)
    }
}
