//! One place per camera in which the newest frame wins: an old picture of a junction is worth nothing beside a new one.
//!
//! Invariant: a slot's index is in the `ready` of its lane exactly when the slot is full and no consumer has claimed it. So `ready`
//! cannot overflow, memory is at most one value per slot, slots are claimed in the order in which they became full (a fast camera
//! cannot starve the others), and published = taken + replaced + waiting.

use std::fmt;

use crate::sync::{ArrayQueue, AtomicCell};
use crate::{Counter, Waker};

/// Many producers, many consumers, newest wins per slot.
pub struct Mailbox<T> {
    slots: Box<[AtomicCell<Option<Box<T>>>]>,
    lanes: Box<[Lane]>,
    published: Counter,
    replaced: Counter,
    taken: Counter,
}

/// The slots of one group of consumers: every `lanes`-th.
struct Lane {
    ready: ArrayQueue<usize>,
    waker: Waker,
}

/// What became of the slot's earlier value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The slot was empty.
    Stored,
    /// An older value that nobody had taken was dropped.
    Replaced,
}

impl<T: Send> Mailbox<T> {
    /// A mailbox of `slots` places, at least one.
    pub fn new(slots: usize) -> Self {
        Self::with_lanes(slots, 1)
    }

    /// The same, for consumers each of which has slots of its own: slot `s` is served by lane `s % lanes`.
    pub fn with_lanes(slots: usize, lanes: usize) -> Self {
        let slots: Box<[_]> = (0..slots.max(1)).map(|_| AtomicCell::new(None)).collect();
        let lanes = (0..lanes.max(1)).map(|_| Lane { ready: ArrayQueue::new(slots.len()), waker: Waker::new() }).collect();
        Self { slots, lanes, published: Counter::new(), replaced: Counter::new(), taken: Counter::new() }
    }

    /// Puts `value` in `slot`, dropping an older one that waits there, and wakes the consumers. Never waits.
    ///
    /// # Panics
    /// When `slot` is not below the number of slots, which is a mistake of wiring.
    pub fn publish(&self, slot: usize, value: T) -> Published {
        self.published.add(1);
        // The value first, its index after: a consumer that pops an index finds a value there.
        if self.slots[slot].swap(Some(Box::new(value))).is_some() {
            // Its index is still queued, and whoever queued it wakes the consumers after this swap or has woken them already.
            self.replaced.add(1);
            return Published::Replaced;
        }
        let lane = &self.lanes[slot % self.lanes.len()];
        let queued = lane.ready.push(slot);
        debug_assert!(queued.is_ok(), "a slot is queued once at a time");
        lane.waker.wake();
        Published::Stored
    }

    /// The newest value of the slot that has waited longest, of a mailbox with one lane.
    pub fn take(&self) -> Option<(usize, T)> {
        let slot = self.claim(0)?;
        self.collect(slot).map(|value| (slot, value))
    }

    /// The slot of this lane that has waited longest, from now on the caller's to [`Mailbox::collect`], sooner or later: what is published
    /// meanwhile replaces the value in it.
    pub fn claim(&self, lane: usize) -> Option<usize> {
        self.lanes[lane].ready.pop()
    }

    /// The newest value of a slot that the caller has claimed.
    pub fn collect(&self, slot: usize) -> Option<T> {
        let value = self.slots[slot].swap(None);
        debug_assert!(value.is_some(), "a claimed slot is full");
        self.taken.add(value.is_some().into());
        value.map(|value| *value)
    }

    /// Values that a newer one displaced before anyone took them.
    pub fn replaced(&self) -> u64 {
        self.replaced.get()
    }

    /// Values given to `publish`, replaced ones included.
    pub fn published(&self) -> u64 {
        self.published.get()
    }

    /// Slots that hold a value; exact when nobody publishes or takes meanwhile.
    pub fn waiting(&self) -> usize {
        let gone = self.taken.get() + self.replaced.get();
        usize::try_from(self.published.get().saturating_sub(gone)).unwrap_or(usize::MAX)
    }

    /// Of a mailbox with one lane.
    pub fn waker(&self) -> &Waker {
        self.waker_of(0)
    }

    pub fn waker_of(&self, lane: usize) -> &Waker {
        &self.lanes[lane].waker
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("slots", &self.slots.len())
            .field("published", &self.published)
            .field("replaced", &self.replaced)
            .finish_non_exhaustive()
    }
}
