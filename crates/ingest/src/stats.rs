//! What ingest has seen, for metrics and for the ledger.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use huong_flow::Counter;
use huong_types::{Inbound, Name};

/// Everything counted since start. `decoded + rejected` is what ingest handed over of readings.
#[derive(Debug, Default)]
pub struct IngestStats {
    pub readings: LinkStats,
    pub frames: LinkStats,
    /// Readings handed over.
    pub decoded: Counter,
    /// Refused messages or parts handed over, of readings and frames alike.
    pub rejected: Counter,
    /// Of those, what found no room.
    pub shed: Shed,
    /// Frames handed over to the mailbox.
    pub delivered_frames: Counter,
    /// Cameras' posts that are safe on disk, and those that could not be kept.
    pub posts: Counter,
    pub posts_lost: Counter,
    /// Acknowledgements that came after their connection had ended: the broker sends those messages again.
    pub void_acks: Counter,
}

/// What found no room, by stream, source and why. It is rare, so a lock does.
#[derive(Debug, Default)]
pub struct Shed(Mutex<BTreeMap<ShedOf, u64>>);

/// A line of [`Shed`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShedOf {
    pub stream: Option<Name>,
    pub source: Option<Name>,
    pub reason: ShedReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShedReason {
    /// The ring was full: refused frames only, everything else waits.
    Full,
    /// While stopping: the broker keeps what it sent at QoS 1.
    Stopping,
}

impl Shed {
    pub fn add(&self, inbound: &Inbound, reason: ShedReason) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut one = |stream: Option<Name>, source: Option<Name>| *counts.entry(ShedOf { stream, source, reason }).or_default() += 1;
        inbound.readings.iter().for_each(|reading| one(Some(reading.stream.clone()), Some(reading.source.clone())));
        inbound.rejected.iter().for_each(|refused| one(refused.stream.clone(), refused.source.clone()));
    }

    pub fn read(&self) -> BTreeMap<ShedOf, u64> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub fn total(&self) -> u64 {
        self.read().values().sum()
    }
}

impl ShedReason {
    pub fn as_str(self) -> &'static str {
        match self {
            ShedReason::Full => "full",
            ShedReason::Stopping => "stopping",
        }
    }
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
