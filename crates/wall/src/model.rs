//! What the root tells the wall: the [`Backend`] it implements and the plain figures that screens and scrapers read.
//!
//! Invariant: everything here is a value of one moment; nothing refers to state that may change while it is being sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use huong_types::{Alert, LoadFigures, Name, Order, Reading, Text, Timestamp, Transition};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metrics::Family;
use crate::query::{QueryError, QueryFormat, Rows};

/// What only the root knows. Every method that gives no future is called on the network runtime, some of them each second:
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

    /// What is to be done about alerts of a rule, where somebody has written it down; the same as long as the process runs.
    fn advice(&self, rule: &str) -> Option<Text>;

    /// Hands an operator's order to the alert table; resolves when it has decided.
    fn order(&self, order: Order) -> BoxFuture<'static, Result<(), OrderError>>;

    /// Begins to answer `sql` for `who`; resolves with the first rows. Dropping what it gives ends the query.
    fn query(&self, who: String, sql: String, format: QueryFormat) -> BoxFuture<'static, Result<Rows, QueryError>>;

    /// What was last found in a camera's picture; `None` when it was never looked at.
    fn boxes(&self, camera: &str) -> Option<Value>;

    /// What was, as JSON for a page.
    fn history(&self, who: String, question: History) -> BoxFuture<'static, Result<Found, Trouble>>;

    /// Everything that a screen would have shown from `from` to `to`.
    fn past(&self, who: String, from: Timestamp, to: Timestamp) -> BoxFuture<'static, Result<Past, Trouble>>;

    /// Records of possible violations. Whoever answers notes the look before anything is shown.
    fn evidence(&self, who: String, question: Evidence) -> BoxFuture<'static, Result<Found, Trouble>>;

    /// What is pushed to people, and warnings for the public.
    fn push(&self, who: String, question: Push) -> BoxFuture<'static, Result<Found, Trouble>>;

    /// What the link of a message is about, by its token; followed, it acknowledges for whom the message was.
    fn link(&self, token: String, follow: bool) -> BoxFuture<'static, Result<Found, Trouble>>;

    /// Writes down who did what; resolves when it is on disk. What cannot be written down is not done.
    fn note(&self, action: Action) -> BoxFuture<'static, Result<(), Trouble>>;

    /// The actions after line `after`, and whether the log is whole.
    fn actions(&self, after: u64, limit: usize) -> BoxFuture<'static, Result<Found, Trouble>>;
}

/// A question about what was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// One field of one key, in at most `points` stretches.
    Curve { stream: Name, key: Name, field: Name, from: Timestamp, to: Timestamp, points: u32 },
    /// One alert with all its steps and what belongs to it, open or over.
    Alert { id: String },
    /// Alerts that held or that something happened to.
    Alerts { from: Timestamp, to: Timestamp, limit: usize },
    /// What the next shift must know.
    HandOver { from: Timestamp, to: Timestamp },
    /// The same on paper.
    HandOverSheet { from: Timestamp, to: Timestamp },
}

/// A question about records of possible violations, or a step with them.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    List(RecordsWanted),
    Show {
        id: String,
        why: String,
    },
    File {
        id: String,
        name: String,
    },
    Decide {
        id: String,
        decision: Value,
    },
    /// The names of acts and the reasons to reject.
    Words,
    Search {
        plate: String,
        why: String,
    },
    Export {
        filter: RecordsWanted,
        to: String,
        purpose: String,
    },
    HandOvers,
}

/// Which records; of these only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsWanted {
    pub state: Option<String>,
    pub act: Option<String>,
    pub camera: Option<String>,
    pub plate: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub ids: Option<Vec<String>>,
    pub limit: Option<usize>,
}

/// A question about pushes, or a step with them.
#[derive(Clone, Debug, PartialEq)]
pub enum Push {
    /// The public key that browsers subscribe with.
    Key,
    Subscribe(Value),
    Unsubscribe {
        endpoint: String,
    },
    /// Warnings for the public: drafts and what was released.
    Warnings,
    Release {
        id: String,
    },
    Reject {
        id: String,
    },
    /// A warning as CAP 1.2.
    Warning {
        id: String,
    },
    Feed,
}

/// What was found.
pub enum Found {
    Json(Value),
    Bytes {
        kind: &'static str,
        bytes: Bytes,
    },
    /// To be saved under this name.
    Package {
        name: String,
        kind: &'static str,
        bytes: Rows,
    },
}

/// Why there is no answer, by what the client can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("{0}")]
    Absent(String),
    #[error("{0}")]
    Wrong(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Failed(String),
}

impl From<QueryError> for Trouble {
    fn from(error: QueryError) -> Self {
        let words = error.to_string();
        match error {
            QueryError::Statement { .. } => Trouble::Wrong(words),
            QueryError::TooLarge(_) | QueryError::TooSlow(_) => Trouble::Refused(words),
            QueryError::Busy(_) => Trouble::Busy(words),
            QueryError::Store(_) => Trouble::Failed(words),
        }
    }
}

/// A stretch of the past as screens would have shown it.
pub struct Past {
    /// The alerts that held at its beginning,
    pub alerts: Vec<Alert>,
    /// .. and the newest values then.
    pub values: Vec<Reading>,
    /// What came after, in order.
    pub steps: Vec<Transition>,
    pub readings: Vec<Reading>,
    /// What had been foretold before its end, in the order of its coming; not all of it before its beginning.
    pub forecasts: Vec<Reading>,
}

/// What a person did, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub who: String,
    pub role: String,
    /// Where the request came from.
    pub from: String,
    pub action: String,
    /// What it was done to.
    pub target: String,
    pub outcome: String,
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
