//! What the outside may ask of a running mirror.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use huong_flow::Counter;
use huong_store::Committed;
use huong_types::{Span, Timestamp};

/// A mirror's counts since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MirrorFigures {
    /// Records that are committed and not yet done with.
    pub behind: u64,
    /// Age of the oldest reading that waits to be sent.
    pub behind_seconds: f64,
    /// Lines that the server took.
    pub sent: u64,
    /// Attempts that failed and were or will be made again.
    pub retries: u64,
    /// Records passed over: too old, too many, or not in the store any more.
    pub skipped: u64,
    /// Lines that the server refuses for good.
    pub dead_letters: u64,
    /// Numbers that line protocol cannot carry: not finite.
    pub left_out: u64,
    /// Why the last attempt failed; `None` when it succeeded.
    pub failing: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Status {
    committed: Arc<Committed>,
    pub(crate) next_record: AtomicU64,
    /// When the oldest reading of the lines that wait was received, milliseconds; [`NONE`] when nothing waits.
    waiting: AtomicI64,
    pub(crate) sent: Counter,
    retries: Counter,
    pub(crate) skipped: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) left_out: Counter,
    failing: Mutex<Option<String>>,
}

const NONE: i64 = i64::MAX;

impl Status {
    pub(crate) fn new(committed: Arc<Committed>, next_record: u64) -> Self {
        Self {
            committed,
            next_record: AtomicU64::new(next_record),
            waiting: AtomicI64::new(NONE),
            sent: Counter::new(),
            retries: Counter::new(),
            skipped: Counter::new(),
            dead_letters: Counter::new(),
            left_out: Counter::new(),
            failing: Mutex::new(None),
        }
    }

    pub(crate) fn wait_since(&self, received: Option<Timestamp>) {
        self.waiting.store(received.map_or(NONE, Timestamp::as_millis), Ordering::Relaxed);
    }

    /// An attempt failed and will be made again; said when it is news.
    pub(crate) fn failed(&self, why: String, grave: bool) {
        self.retries.add(1);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.is_none() {
            if grave {
                tracing::error!(why, "the mirror's server refuses us: check url, org, bucket and token; retrying, nothing is lost");
            } else {
                tracing::warn!(why, "the mirror does not get on: retrying, nothing is lost");
            }
        }
        *failing = Some(why);
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn works(&self) {
        if self.failing.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the mirror works again");
        }
    }

    pub(crate) fn figures(&self, now: Timestamp) -> MirrorFigures {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let waits = (waiting != NONE).then(|| now.since(Timestamp::from_millis(waiting)).max(Span::ZERO));
        MirrorFigures {
            behind: self.committed.next_seq().saturating_sub(self.next_record.load(Ordering::Relaxed)),
            behind_seconds: waits.map_or(0.0, |waits| waits.as_millis() as f64 / 1000.0),
            sent: self.sent.get(),
            retries: self.retries.get(),
            skipped: self.skipped.get(),
            dead_letters: self.dead_letters.get(),
            left_out: self.left_out.get(),
            failing: self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
