//! What threads tell each other without waiting: counters and whole values swapped in one step. Also the wall's view of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::future::BoxFuture;
use huong_flow::{Counter, Histogram, Mailbox, Ring};
use huong_ingest::IngestStats;
use huong_mirror::Mirror;
use huong_notify::Sinks;
use huong_store::{Asker, Queries, TransitionTail};
use huong_types::{Alert, Frame, Inbound, LoadFigures, Name, Order, Registry, Span, Transition};
use huong_wall::{
    AccountLedger, Backend, CameraNow, Family, Figures, FrameFigures, Latency, MirrorFigures, OrderError, Picture, QueryError, QueryFormat,
    Rows, RuleFigures, SinkFigures, WallClock,
};
use tokio::sync::oneshot;

use crate::answers;
use crate::clock::Clock;
use crate::health::DiskHealth;
use crate::ledger::{Balance, Book, by_stream};
use crate::metrics::{self, Recovery, StoreStats};
use crate::reload::Reload;
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
    pub(crate) failing: std::sync::atomic::AtomicBool,
}

pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) registry: Arc<Registry>,
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

    /// Readings per second since the last call that is at least half a second ago.
    fn readings_per_second(&self) -> f64 {
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

impl Backend for Shared {
    fn clock(&self) -> WallClock {
        WallClock { now: self.clock.now(), rate: self.clock.rate() }
    }

    fn figures(&self) -> Figures {
        Figures {
            readings_per_second: self.readings_per_second(),
            ledger: by_stream(&self.accounts()),
            frames: FrameFigures {
                received: self.mailbox.published(),
                replaced: self.mailbox.replaced(),
                inferred: self.vision.inferred.get(),
                gated: self.vision.gated.get(),
                errors: self.vision.errors.get(),
            },
            latency: self.latency.load().as_deref().copied(),
            broker_connected: self.ingest.readings.connected(),
            sinks: self.sinks.load().as_deref().map(sink_figures).unwrap_or_default(),
            mirror: self.mirror.load().as_deref().map(|mirror| {
                let figures = mirror.figures(self.clock.now());
                MirrorFigures { behind: figures.behind, behind_seconds: figures.behind_seconds, failing: figures.failing }
            }),
            load: self.load.load().as_ref().clone(),
            rules: RuleFigures { taken: self.reload.taken.get(), refused: self.reload.refused.get(), outdated: self.reload.is_broken() },
        }
    }

    fn accounts(&self) -> Vec<AccountLedger> {
        self.book.accounts(&self.ingest.shed)
    }

    fn metrics(&self) -> Vec<Family> {
        metrics::families(self)
    }

    fn cameras(&self) -> Vec<CameraNow> {
        let cameras = self.registry.cameras.iter().zip(&self.lenses);
        cameras
            .map(|(camera, lens)| CameraNow {
                id: camera.id.clone(),
                last_frame: lens.latest.load().as_ref().map(|frame| frame.at),
                failing: lens.failing.load(std::sync::atomic::Ordering::Relaxed),
            })
            .collect()
    }

    fn frame(&self, camera: &str) -> Option<Picture> {
        let lens = self.lenses.get(self.registry.camera_position(camera)?)?;
        lens.latest.load().as_ref().map(|frame| Picture { at: frame.at, jpeg: frame.jpeg.clone() })
    }

    fn order(&self, order: Order) -> BoxFuture<'static, Result<(), OrderError>> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.push(Command { order, reply });
        Box::pin(async move {
            if sent.is_err() {
                return Err(OrderError::Refused("too many commands wait".to_owned()));
            }
            match answer.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(huong_alerts::AlertError::NotOpen { id })) => Err(OrderError::NotFound(id)),
                Ok(Err(error)) => Err(OrderError::Refused(error.to_string())),
                Err(_) => Err(OrderError::Stopping),
            }
        })
    }

    fn query(&self, who: String, sql: String, format: QueryFormat) -> BoxFuture<'static, Result<Rows, QueryError>> {
        let asker = Asker { who, via: "http", at: self.clock.now() };
        Box::pin(answers::encoded(self.queries.clone(), asker, sql, format))
    }
}

fn sink_figures(sinks: &Sinks) -> Vec<SinkFigures> {
    let figures = sinks.figures().into_iter();
    figures
        .map(|sink| SinkFigures {
            name: sink.name,
            delivered: sink.delivered,
            behind: sink.behind,
            retries: sink.retries,
            dead_letters: sink.dead_letters,
            failing: sink.failing,
        })
        .collect()
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
