//! The primitives under the hand-over types. Under `cfg(loom)` each is a model with the same interface, so that loom can
//! try every interleaving of the *protocol* above them; crossbeam's own implementations are not what is checked there.
//!
//! Invariant: the other modules of this crate take their synchronisation from here only. ([`crate::Counter`] does not: it
//! synchronises nothing.)

#[cfg(loom)]
pub(crate) use self::model::{ArrayQueue, AtomicCell, OnceSlot, park_at_most};
#[cfg(not(loom))]
pub(crate) use self::real::{ArrayQueue, AtomicCell, OnceSlot, park_at_most};
#[cfg(loom)]
pub(crate) use loom::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering, fence},
    thread::{Thread, current},
};
#[cfg(not(loom))]
pub(crate) use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering, fence},
    thread::{Thread, current},
};

#[cfg(not(loom))]
mod real {
    pub(crate) use crossbeam::atomic::AtomicCell;
    pub(crate) use crossbeam::queue::ArrayQueue;
    pub(crate) use std::thread::park_timeout as park_at_most;

    /// A place that is filled once; reading it is one atomic load.
    pub(crate) struct OnceSlot<T>(std::sync::OnceLock<T>);

    impl<T> OnceSlot<T> {
        pub(crate) fn new() -> Self {
            Self(std::sync::OnceLock::new())
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.0.set(value)
        }

        /// Calls `f` with the value; false when there is none yet.
        pub(crate) fn visit(&self, f: impl FnOnce(&T)) -> bool {
            self.0.get().map(f).is_some()
        }
    }
}

#[cfg(loom)]
mod model {
    use std::collections::VecDeque;
    use std::sync::{Mutex, OnceLock};
    use std::time::Duration;

    use loom::sync::atomic::{AtomicUsize, Ordering};

    /// Waits for ever: with no timeout to save it, a lost wake-up is a deadlock that loom reports.
    pub(crate) fn park_at_most(_timeout: Duration) {
        loom::thread::park();
    }

    /// State that changes in one indivisible step. Loom switches threads at its own atomics only, so the step is as a whole
    /// at the `fetch_add`. (Loom's mutex will not do: an unpark of a thread that waits for one loses the token.)
    struct Indivisible<S> {
        step: AtomicUsize,
        state: Mutex<S>,
    }

    impl<S> Indivisible<S> {
        fn new(state: S) -> Self {
            Self { step: AtomicUsize::new(0), state: Mutex::new(state) }
        }

        fn change<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
            self.step.fetch_add(1, Ordering::AcqRel);
            change(&mut self.state.lock().expect("no step panics"))
        }
    }

    pub(crate) struct AtomicCell<T>(Indivisible<T>);

    impl<T> AtomicCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Indivisible::new(value))
        }

        pub(crate) fn swap(&self, value: T) -> T {
            self.0.change(|state| std::mem::replace(state, value))
        }
    }

    pub(crate) struct ArrayQueue<T> {
        items: Indivisible<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self { items: Indivisible::new(VecDeque::new()), capacity }
        }

        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            self.items.change(|items| {
                if items.len() == self.capacity {
                    return Err(value);
                }
                items.push_back(value);
                Ok(())
            })
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.items.change(VecDeque::pop_front)
        }

        pub(crate) fn len(&self) -> usize {
            self.items.change(|items| items.len())
        }
    }

    pub(crate) struct OnceSlot<T> {
        step: AtomicUsize,
        value: OnceLock<T>,
    }

    impl<T> OnceSlot<T> {
        pub(crate) fn new() -> Self {
            Self { step: AtomicUsize::new(0), value: OnceLock::new() }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.step.fetch_add(1, Ordering::AcqRel);
            self.value.set(value)
        }

        pub(crate) fn visit(&self, f: impl FnOnce(&T)) -> bool {
            self.step.load(Ordering::Acquire);
            self.value.get().map(f).is_some()
        }
    }
}
