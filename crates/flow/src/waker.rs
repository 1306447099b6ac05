//! Sleep and wake for the consumers of one queue, on `std::thread::park`: an unpark of a running thread leaves a token, so
//! "look, find nothing, park" cannot miss what came between.
//!
//! Invariant: a thread that has called `register` and then looked at its queue either saw a value or is woken by the
//! producer of it.

use std::fmt;
use std::time::Duration;

use crate::sync::{OnceSlot, Ordering, Thread, current, fence, park_at_most};

/// The sleeping consumers of one queue.
///
/// A consumer calls [`Waker::register`] once and then repeats: take all there is; when there is nothing, [`Waker::wait`].
pub struct Waker {
    consumers: Box<[OnceSlot<Thread>]>,
}

impl Waker {
    /// Consumers per queue. A queue is drained by about one thread per core; a slot costs a machine word or two, and `wake`
    /// stops at the first empty one.
    pub const MAX_CONSUMERS: usize = 64;

    pub(crate) fn new() -> Self {
        Self { consumers: (0..Self::MAX_CONSUMERS).map(|_| OnceSlot::new()).collect() }
    }

    /// Names the calling thread as one to be woken, for the life of the queue.
    ///
    /// # Panics
    /// When [`Waker::MAX_CONSUMERS`] threads have registered: the queue was wired to more workers than any machine has use for.
    pub fn register(&self) {
        let mut me = current();
        for slot in &self.consumers {
            match slot.set(me) {
                Ok(()) => {
                    // Pairs with the fence in `wake`: either the producer sees this registration, or our next look at the
                    // queue sees what it published.
                    fence(Ordering::SeqCst);
                    return;
                }
                Err(back) => me = back,
            }
        }
        panic!("more than {} consumers on one queue", Self::MAX_CONSUMERS);
    }

    /// Wakes every registered consumer; called by `publish` and `push`, and once after [`crate::Stop::set`].
    ///
    /// All, because the one chosen might be busy while another sleeps beside a waiting frame. For a running thread it is an
    /// atomic swap.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        for slot in &self.consumers {
            if !slot.visit(|thread| thread.unpark()) {
                return;
            }
        }
    }

    /// Sleeps until woken, at most `timeout`. May return early with nothing to do: look again.
    pub fn wait(&self, timeout: Duration) {
        park_at_most(timeout);
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}
