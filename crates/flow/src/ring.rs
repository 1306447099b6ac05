//! The bounded queue of readings. It never drops: a full ring hands the value back, and the caller withholds the
//! acknowledgement so that the broker keeps the message.
//!
//! Invariant: what `push` accepted is popped once, in the order of each producer.

use std::collections::VecDeque;
use std::fmt;

use crate::Waker;
use crate::sync::ArrayQueue;

/// Many producers, many consumers, first in first out, never more than its capacity.
pub struct Ring<T> {
    queue: ArrayQueue<T>,
    waker: Waker,
    capacity: usize,
}

impl<T: Send> Ring<T> {
    /// A ring of `capacity` places, at least one.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { queue: ArrayQueue::new(capacity), waker: Waker::new(), capacity }
    }

    /// Appends and wakes the consumers.
    ///
    /// # Errors
    /// The value itself when the ring is full: keep it and try again once there is room.
    pub fn push(&self, value: T) -> Result<(), T> {
        self.queue.push(value)?;
        self.waker.wake();
        Ok(())
    }

    /// Appends and wakes nobody: for what can wait until the consumers look by themselves.
    ///
    /// # Errors
    /// The value itself when the ring is full.
    pub fn push_quietly(&self, value: T) -> Result<(), T> {
        self.queue.push(value)
    }

    /// Appends from the front of `values` what there is room for, and wakes the consumers once. What is left stays, in order.
    pub fn append(&self, values: &mut VecDeque<T>) {
        let before = values.len();
        while let Some(value) = values.pop_front() {
            if let Err(back) = self.queue.push(value) {
                values.push_front(back);
                break;
            }
        }
        if values.len() < before {
            self.waker.wake();
        }
    }

    pub fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
