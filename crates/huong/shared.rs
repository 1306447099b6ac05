//! What threads tell each other without waiting: counters and whole values swapped in one step. Also the wall's view of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::future::BoxFuture;
use huong_flow::{Counter, Mailbox, Ring};
use huong_ingest::IngestStats;
use huong_notify::Sinks;
use huong_store::{Asker, Counts, Queries, TransitionTail};
use huong_types::{Alert, Frame, LoadFigures, Name, Order, Registry, Transition};
use huong_wall::{
    Backend, CameraNow, Figures, FrameFigures, Latency, Ledger, OrderError, Picture, QueryError, QueryFormat, Rows, RuleFigures,
    SinkFigures, WallClock,
};
use tokio::sync::oneshot;

use crate::answers;
use crate::clock::Clock;
use crate::health::DiskHealth;
use crate::ledger::{Balance, totals};
use crate::reload::Reload;
use crate::writer::Reply;

/// An operator's order on its way to the brain.
pub(crate) struct Command {
    pub(crate) order: Order,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Counters of the camera path.
#[derive(Default)]
pub(crate) struct VisionStats {
    pub(crate) inferred: Counter,
    pub(crate) gated: Counter,
    /// Frames that could not be looked at; skipped, never taken for empty.
    pub(crate) errors: Counter,
    /// Observations handed to the brain: the camera path's part of the ledger's entrance.
    pub(crate) observations: Counter,
    /// Observations that found no room while stopping.
    pub(crate) shed: Counter,
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
    pub(crate) lenses: Vec<Lens>,
    /// By stream, what the brain took in since the start; `None` is what no stream could be found for.
    pub(crate) entrance: ArcSwap<BTreeMap<Option<Name>, u64>>,
    /// The store's account, and what it was at the start.
    pub(crate) book: ArcSwap<Counts>,
    pub(crate) opening: Counts,
    pub(crate) latency: ArcSwapOption<Latency>,
    pub(crate) orphans: Counter,
    /// Readings that rules computed: they come in at the brain.
    pub(crate) derived: Counter,
    /// Readings that the processor tells of itself.
    pub(crate) told: Counter,
    pub(crate) disk: DiskHealth,
    /// The alerts that hold, as of the last commit; while the disk refuses, as they were told.
    pub(crate) open: Arc<ArcSwap<Vec<Alert>>>,
    /// What the alarms ask of an operator, as of the last commit or second.
    pub(crate) load: ArcSwap<LoadFigures>,
    /// Set once the sinks run; taken at the end to wait for them.
    pub(crate) sinks: ArcSwapOption<Sinks>,
    pub(crate) commands: Arc<Ring<Command>>,
    pub(crate) reload: Reload,
    /// Readings and time at the last look, for a rate.
    pub(crate) rate: ArcSwap<(std::time::Instant, u64, f64)>,
}

impl Shared {
    /// Both sides of the ledger since the start. The exit is read first: what leaves in between has come in before.
    pub(crate) fn balance(&self) -> Balance {
        let (stored, rejected) = totals(&self.book.load());
        let (before, refused) = totals(&self.opening);
        let shed = self.ingest.shed.get() + self.vision.shed.get();
        let received =
            self.ingest.decoded.get() + self.ingest.rejected.get() + self.vision.observations.get() + self.derived.get() + self.told.get();
        Balance { received, stored: stored - before, rejected: rejected - refused, shed }
    }

    /// By stream from the brain's door on; the book is read first, for the same reason.
    fn ledger(&self) -> BTreeMap<Name, Ledger> {
        let book = self.book.load();
        let entrance = self.entrance.load();
        let line = |stream: &Option<Name>, received: u64| {
            let since = |counts: &Counts| counts.get(stream).map_or((0, 0), |line| (line.stored, line.rejected.values().sum::<u64>()));
            let ((stored, rejected), (before, refused)) = (since(&book), since(&self.opening));
            let (stored, rejected) = (stored - before, rejected - refused);
            Ledger { received, stored, rejected, shed: 0, in_flight: received.saturating_sub(stored + rejected) }
        };
        entrance.iter().map(|(stream, received)| (stream.clone().unwrap_or_else(|| Name::new("?")), line(stream, *received))).collect()
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
        let ingest = &self.ingest;
        let counters = [
            ("messages", ingest.readings.messages.get()),
            ("mqtt_faults", ingest.readings.faults.get() + ingest.frames.faults.get()),
            ("void_acks", ingest.void_acks.get()),
            ("shed", ingest.shed.get() + self.vision.shed.get()),
            ("oversized", ingest.readings.oversized.get() + ingest.frames.oversized.get()),
            ("orphans", self.orphans.get()),
            ("posts", ingest.posts.get()),
            ("posts_lost", ingest.posts_lost.get()),
            ("commands_unsent", ingest.readings.unsent.get()),
            ("commit_failures", self.disk.failures.get()),
            ("told_from_memory", self.disk.from_memory.get()),
        ];
        Figures {
            readings_per_second: self.readings_per_second(),
            ledger: self.ledger(),
            frames: FrameFigures {
                received: self.mailbox.published(),
                replaced: self.mailbox.replaced(),
                inferred: self.vision.inferred.get(),
                gated: self.vision.gated.get(),
                errors: self.vision.errors.get(),
            },
            latency: self.latency.load().as_deref().copied(),
            broker_connected: ingest.readings.connected(),
            sinks: self.sinks.load().as_deref().map(sink_figures).unwrap_or_default(),
            load: self.load.load().as_ref().clone(),
            rules: RuleFigures { taken: self.reload.taken.get(), refused: self.reload.refused.get(), outdated: self.reload.is_broken() },
            counters: counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        }
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
