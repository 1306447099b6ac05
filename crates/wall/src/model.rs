//! What the root tells the wall: the [`Backend`] it implements and the plain figures that screens and scrapers read.
//!
//! Invariant: everything here is a value of one moment; nothing refers to state that may change while it is being sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use huong_types::{LoadFigures, Name, Order, Timestamp};
use serde::Serialize;

use crate::metrics::Family;
use crate::query::{QueryError, QueryFormat, Rows};

/// What only the root knows. Every method but `order` and `query` is called on the network runtime, some of them each second:
/// they must return at once (atomics, an `ArcSwap`), never wait for disk or another thread.
pub trait Backend: Send + Sync + 'static {
    fn clock(&self) -> WallClock;

    fn figures(&self) -> Figures;

    /// The ledger line by line: what came in, by stream and source, and what became of it.
    fn accounts(&self) -> Vec<AccountLedger>;

    /// Everything that is counted, for `/metrics`.
    fn metrics(&self) -> Vec<Family>;

    /// What changes of the cameras; those that the registry does not list are ignored.
    fn cameras(&self) -> Vec<CameraNow>;

    /// The latest frame of a camera.
    fn frame(&self, camera: &str) -> Option<Picture>;

    /// Hands an operator's order to the alert table; resolves when it has decided.
    fn order(&self, order: Order) -> BoxFuture<'static, Result<(), OrderError>>;

    /// Begins to answer `sql` for `who`; resolves with the first rows. Dropping what it gives ends the query.
    fn query(&self, who: String, sql: String, format: QueryFormat) -> BoxFuture<'static, Result<Rows, QueryError>>;
}

/// The processor's time, so that a browser computes ages in it even when a demo runs at 600 times real speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WallClock {
    pub now: Timestamp,
    /// Seconds of processor time per real second: 1 in service, 0 when stopped.
    pub rate: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraNow {
    pub id: Name,
    /// Capture time of the latest frame; `None` when none has come.
    pub last_frame: Option<Timestamp>,
    /// The latest frame could not be used.
    pub failing: bool,
}

/// One JPEG as it came from the camera.
#[derive(Clone, Debug)]
pub struct Picture {
    pub at: Timestamp,
    pub jpeg: Bytes,
}

/// The health of the processor. Counts are totals since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub readings_per_second: f64,
    /// By stream.
    pub ledger: BTreeMap<Name, Ledger>,
    pub frames: FrameFigures,
    /// From receipt to decision; `None` before the first reading.
    pub latency: Option<Latency>,
    pub broker_connected: bool,
    pub sinks: Vec<SinkFigures>,
    /// `None` without one.
    pub mirror: Option<MirrorFigures>,
    /// What the alarms ask of an operator.
    pub load: LoadFigures,
    pub rules: RuleFigures,
}

/// The ledger of one stream and source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountLedger {
    /// `None`: of a refused payload, no stream is known.
    pub stream: Option<Name>,
    /// `None`: no source took the payload.
    pub source: Option<Name>,
    pub received: u64,
    pub stored: u64,
    /// By reason.
    pub rejected: BTreeMap<Name, u64>,
    /// By reason.
    pub shed: BTreeMap<Name, u64>,
    pub in_flight: u64,
}

/// How changes of the rules went while running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleFigures {
    /// Changed files that were taken, and that were refused for their mistakes.
    pub taken: u64,
    pub refused: u64,
    /// The newest files were refused: older rules than those run.
    pub outdated: bool,
}

/// Conservation of one stream: `received = stored + rejected + shed + in_flight` when nothing was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    pub received: u64,
    pub stored: u64,
    pub rejected: u64,
    pub shed: u64,
    pub in_flight: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameFigures {
    pub received: u64,
    /// Overwritten by a newer frame before a worker took them.
    pub replaced: u64,
    /// Passed the motion gate and went through the detector.
    pub inferred: u64,
    /// Held back by the motion gate.
    pub gated: u64,
    pub errors: u64,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkFigures {
    pub name: Name,
    pub delivered: u64,
    /// Transitions journalled and not yet delivered or passed over.
    pub behind: u64,
    pub retries: u64,
    pub dead_letters: u64,
    /// Why the last attempt failed; `None` when it succeeded.
    pub failing: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MirrorFigures {
    /// Records on disk that the mirror has not done with.
    pub behind: u64,
    /// Age of the oldest reading that waits to be sent.
    pub behind_seconds: f64,
    /// Why the last attempt failed; `None` when it succeeded.
    pub failing: Option<String>,
}

/// Why an order could not be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("no open alert has this id: {0}")]
    NotFound(String),
    #[error("the order cannot be followed: {0}")]
    Refused(String),
    #[error("the processor is stopping")]
    Stopping,
}

impl Ledger {
    pub fn balanced(&self) -> bool {
        self.received == self.stored + self.rejected + self.shed + self.in_flight
    }
}
