//! The one place where the system's time is read.
//!
//! Everything else takes time as an argument. A scaled clock lets a recorded or simulated day run in minutes while every
//! rule, age and limit keeps its meaning.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use huong_types::Timestamp;

/// Real time, or time that started at `start` and runs `rate` times as fast.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Wall,
    Scaled { started: Instant, start: Timestamp, rate: f64 },
}

impl Clock {
    pub(crate) fn scaled(start: Timestamp, rate: f64) -> Self {
        Clock::Scaled { started: Instant::now(), start, rate }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Clock::Wall => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Clock::Scaled { started, start, rate } => {
                Timestamp::from_millis(start.as_millis() + (started.elapsed().as_secs_f64() * 1000.0 * rate) as i64)
            }
        }
    }

    /// How many seconds of this clock pass in one real second.
    pub(crate) fn rate(&self) -> f64 {
        match self {
            Clock::Wall => 1.0,
            Clock::Scaled { rate, .. } => *rate,
        }
    }

    pub(crate) fn shared(self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        Arc::new(move || self.now())
    }
}
