//! The ledger: what came in, and what became of it. Received = stored + rejected + shed + in flight, always. Shed is only what
//! found no room while stopping, and refused frames that found the ring full.
//!
//! The two sides are counted by different hands: the entrance by whoever decodes (ingest, vision), the exit by the writer
//! after the records are on disk. A difference that does not go back to zero at rest is a bug, and shows.

use huong_store::Counts;

/// One moment's sum of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) rejected: u64,
    pub(crate) shed: u64,
}

impl Balance {
    /// `None` when more left than came in: the one thing that can never be right.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        self.received.checked_sub(self.stored + self.rejected + self.shed)
    }
}

/// (stored, rejected) over all streams.
pub(crate) fn totals(counts: &Counts) -> (u64, u64) {
    counts.values().fold((0, 0), |(stored, rejected), line| (stored + line.stored, rejected + line.rejected.values().sum::<u64>()))
}
