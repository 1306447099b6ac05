//! What ingest has seen, for metrics and for the ledger.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use huong_flow::Counter;

/// Everything counted since start. `decoded + rejected` is what ingest handed over of readings.
#[derive(Debug, Default)]
pub struct IngestStats {
    pub readings: LinkStats,
    pub frames: LinkStats,
    /// Readings handed over.
    pub decoded: Counter,
    /// Refused messages or parts handed over, of readings and frames alike.
    pub rejected: Counter,
    /// Of those, what found no room: refused frames when the ring was full, and anything while stopping (the broker keeps it).
    pub shed: Counter,
    /// Frames handed over to the mailbox.
    pub delivered_frames: Counter,
    /// Cameras' posts that are safe on disk, and those that could not be kept.
    pub posts: Counter,
    pub posts_lost: Counter,
    /// Acknowledgements that came after their connection had ended: the broker sends those messages again.
    pub void_acks: Counter,
}

/// One connection to the broker.
#[derive(Debug, Default)]
pub struct LinkStats {
    pub messages: Counter,
    pub bytes: Counter,
    /// Connections made; one less than this are reconnections.
    pub connects: Counter,
    /// Connections or attempts that ended in an error.
    pub faults: Counter,
    /// Times a packet above the limit ended the connection.
    pub oversized: Counter,
    /// Commands to senders' devices that found no connection or no room.
    pub unsent: Counter,
    connected: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl LinkStats {
    /// Connected and subscribed.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Why the connection last ended or was not made; kept after it is made again.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    pub(crate) fn set_error(&self, error: &str) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.to_owned());
    }
}
