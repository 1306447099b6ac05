//! What threads tell each other without waiting: counters and whole values swapped in one step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use huong_evidence::Actions;
use huong_flow::{Counter, Histogram, Mailbox, Ring};
use huong_ingest::IngestStats;
use huong_mirror::Mirror;
use huong_notify::{Office, Sinks};
use huong_store::{Queries, TransitionTail};
use huong_types::{Alert, Detection, Frame, Inbound, LoadFigures, Name, Order, Registry, Span, Stream, Timestamp, Transition};
use huong_wall::{AccountLedger, Action, Latency};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::health::DiskHealth;
use crate::ledger::{Balance, Book};
use crate::metrics::{Recovery, StoreStats};
use crate::reload::Reload;
use crate::review::Reviewed;
use crate::vision::SignalWord;
use crate::writer::{Batch, Reply};

/// An operator's order on its way to the brain.
pub(crate) struct Command {
    pub(crate) order: Order,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Counters of the camera path.
pub(crate) struct VisionStats {
    pub(crate) inferred: Counter,
    pub(crate) gated: Counter,
    /// Frames that could not be looked at; skipped, never taken for empty.
    pub(crate) errors: Counter,
    /// Observations handed to the brain: the camera path's part of the ledger's entrance.
    pub(crate) observations: Counter,
    /// What a person should look at, the void ones included.
    pub(crate) candidates: Counter,
    /// Of them, those that became records of evidence, and those that could not.
    pub(crate) records: Counter,
    pub(crate) records_failed: Counter,
    /// From arrival to having been looked at.
    pub(crate) age: Histogram,
}

/// The latest frame of one camera.
#[derive(Default)]
pub(crate) struct Lens {
    pub(crate) latest: ArcSwapOption<Frame>,
    /// What was last found, and in the picture of when.
    pub(crate) found: ArcSwapOption<(Timestamp, Vec<Detection>)>,
    pub(crate) failing: std::sync::atomic::AtomicBool,
}

pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) registry: Arc<Registry>,
    pub(crate) streams: Arc<[Stream]>,
    pub(crate) queries: Queries,
    pub(crate) ingest: Arc<IngestStats>,
    pub(crate) vision: VisionStats,
    pub(crate) mailbox: Arc<Mailbox<Frame>>,
    /// What signal controllers say, for each thread that looks at frames.
    pub(crate) signals: Vec<Ring<SignalWord>>,
    pub(crate) lenses: Vec<Lens>,
    /// What came in at the brain's door and left behind the commit.
    pub(crate) book: Arc<Book>,
    pub(crate) store: StoreStats,
    pub(crate) recovery: Recovery,
    /// By stream, how long readings are needed by the rules that run.
    pub(crate) reach: ArcSwap<BTreeMap<Name, Span>>,
    /// Readings that wait for the brain, and its turns that wait for the disk.
    pub(crate) ring: Arc<Ring<Inbound>>,
    pub(crate) batches: Arc<Ring<Batch>>,
    pub(crate) latency: ArcSwapOption<Latency>,
    pub(crate) orphans: Counter,
    /// Readings that rules computed: they come in at the brain.
    pub(crate) derived: Counter,
    /// Windows that late readings changed after they were judged.
    pub(crate) corrected: Counter,
    /// Readings that the processor tells of itself.
    pub(crate) told: Counter,
    pub(crate) disk: DiskHealth,
    /// The alerts that hold, as of the last commit; while the disk refuses, as they were told.
    pub(crate) open: Arc<ArcSwap<Vec<Alert>>>,
    /// What the alarms ask of an operator, as of the last commit or second.
    pub(crate) load: ArcSwap<LoadFigures>,
    /// Set once the sinks run; taken at the end to wait for them.
    pub(crate) sinks: ArcSwapOption<Sinks>,
    /// The same for the mirror, when there is one.
    pub(crate) mirror: ArcSwapOption<Mirror>,
    pub(crate) commands: Arc<Ring<Command>>,
    pub(crate) reload: Reload,
    /// Who did what.
    pub(crate) actions: Arc<Mutex<Actions<Action>>>,
    /// Records of possible violations, where they are kept.
    pub(crate) reviewed: Option<Arc<Reviewed>>,
    /// Who is told and how: roster, links, warnings for the public.
    pub(crate) office: Arc<Office>,
    /// For documents; without it the first that is installed.
    pub(crate) font: Option<PathBuf>,
    /// Readings and time at the last look, for a rate.
    pub(crate) rate: ArcSwap<(std::time::Instant, u64, f64)>,
}

impl Shared {
    /// Both sides of the ledger since the start. The exit is read first: what leaves in between has come in before.
    pub(crate) fn balance(&self) -> Balance {
        let (stored, rejected) = self.book.left();
        let shed = self.ingest.shed.total();
        let received =
            self.ingest.decoded.get() + self.ingest.rejected.get() + self.vision.observations.get() + self.derived.get() + self.told.get();
        Balance { received, stored, rejected, shed }
    }

    /// The ledger line by line.
    pub(crate) fn accounts(&self) -> Vec<AccountLedger> {
        self.book.accounts(&self.ingest.shed)
    }

    /// Readings per second since the last call that is at least half a second ago.
    pub(crate) fn readings_per_second(&self) -> f64 {
        let now = std::time::Instant::now();
        let received = self.balance().received;
        let last = self.rate.load();
        let passed = now.duration_since(last.0).as_secs_f64();
        if passed < 0.5 {
            return last.2;
        }
        let rate = received.saturating_sub(last.1) as f64 / passed;
        self.rate.store(Arc::new((now, received, rate)));
        rate
    }
}

/// The sinks' view of the store.
pub(crate) struct Journal {
    pub(crate) tail: Arc<TransitionTail>,
    pub(crate) open: Arc<ArcSwap<Vec<Alert>>>,
}

impl huong_notify::Journal for Journal {
    fn transitions_after(&self, seq: u64, limit: usize) -> Result<Vec<Transition>, String> {
        self.tail.transitions_after(seq, limit).map_err(|error| error.to_string())
    }

    fn open_alerts(&self) -> Result<Vec<Alert>, String> {
        Ok(self.open.load().as_ref().clone())
    }
}
