//! The writer thread: the single owner of the store's open segment. Beside it a thread that only waits for the disk.
//!
//! Invariant: nothing is acknowledged to the broker, answered to an operator or shown as a value before the sync that covers it has
//! ended. An alarm is told once its step is in the log's file, which the end of the process does not undo, or, when so configured,
//! synced too. Alert transitions stand before the readings that caused them, so a torn tail can hold an alarm whose reading the broker
//! will send again, never a reading whose alarm is lost.
//!
//! While the disk refuses, alarms are told from memory all the same, because people need them; acknowledgements and the answers to
//! operators wait. A crash then loses nothing: the broker sends the readings again, and the alarms derive the same ids from them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_alerts::Load;
use huong_flow::{Ring, Stop};
use huong_notify::Sinks;
use huong_store::{ClosedSegment, Record, StoreError, StreamSource, Sync, Synced, Tell, Writer};
use huong_types::{AckToken, Alert, AlertState, Map, Name, Origin, RejectReason, Span, Timestamp};
use huong_wall::Feed;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::latency::Meter;
use crate::ledger::Pen;
use crate::run::SetOnDrop;
use crate::shared::Shared;

/// What one turn of the brain produced.
#[derive(Default)]
pub(crate) struct Batch {
    /// In the order in which they are to be journalled.
    pub(crate) records: Vec<Record>,
    pub(crate) acks: Vec<AckToken>,
    /// Operators waiting for an answer, which is true only once it is on disk.
    pub(crate) replies: Vec<(oneshot::Sender<Reply>, Reply)>,
}

/// The answer to an operator's command.
pub(crate) type Reply = Result<(), huong_alerts::AlertError>;

/// How often the open segment's age is looked at when nothing comes.
const IDLE: Duration = Duration::from_secs(1);
/// .. and when something came a moment ago: longer than the brain leaves the writer undisturbed.
const SOON: Duration = Duration::from_millis(10);
/// A disk that refuses is tried again after the first of these, then after twice as long each time, up to the last: often enough that
/// an operator who makes room sees it work, seldom enough to leave a sick disk in peace.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Load figures change slowly, and are of a whole day.
const FIGURES: Span = Span::from_secs(1);

/// What the writer tells after a commit.
pub(crate) struct Outlets {
    pub(crate) acks: mpsc::UnboundedSender<AckToken>,
    pub(crate) feed: Feed,
    pub(crate) sinks: Arc<Sinks>,
    pub(crate) sealer: Arc<Ring<ClosedSegment>>,
    /// The alerts that hold, as of the last commit.
    pub(crate) open: BTreeMap<Name, Alert>,
    pub(crate) load: Load,
    pub(crate) load_told: Timestamp,
}

/// What failed, and when it is tried again.
#[derive(Default)]
struct Retry {
    /// When, and how long the wait was; `None` while all is well.
    next: Option<(Instant, Duration)>,
}

impl Retry {
    fn wait(&self) -> Duration {
        self.next.map_or(Duration::ZERO, |(at, _)| at.saturating_duration_since(Instant::now()))
    }

    fn failed(&mut self) {
        let wait = self.next.map_or(RETRY.0, |(_, wait)| (2 * wait).min(RETRY.1));
        self.next = Some((Instant::now() + wait, wait));
    }
}

/// The way to the thread that waits for the disk, and back. One sync at a time.
struct Syncer {
    jobs: Ring<Sync>,
    done: Ring<Synced>,
}

impl Syncer {
    /// Runs until `stop` is set.
    fn run(&self, stop: &Stop) {
        self.jobs.waker().register();
        loop {
            match self.jobs.pop() {
                // The writer waits for it before it gives another.
                Some(job) => drop(self.done.push(job.run())),
                None if stop.is_set() => return,
                None => self.jobs.waker().wait(IDLE),
            }
        }
    }
}

/// A batch that is appended and not settled.
struct Waiting {
    /// Behind the sequence of its last record.
    upto: u64,
    batch: Batch,
    /// Its alarms have been told.
    told: bool,
    /// Its values have been shown, too: only while the disk refuses.
    shown: bool,
}

/// What the thread holds.
struct Desk<'a> {
    writer: Writer,
    /// In order.
    waiting: VecDeque<Waiting>,
    /// There are alarms among them that nobody has heard of.
    news: bool,
    outlets: Outlets,
    meter: Meter,
    pen: Pen,
    /// What is booked together.
    counts: Map<(StreamSource, Option<RejectReason>), u64>,
    commits: Retry,
    rotations: Retry,
    tell: Tell,
    /// When something was last appended.
    busy: Instant,
    shared: &'a Shared,
    clock: Clock,
}

/// Runs until `stop` is set and nothing waits that the disk would take.
pub(crate) fn run(writer: Writer, tell: Tell, batches: &Ring<Batch>, outlets: Outlets, shared: &Shared, clock: Clock, stop: &Stop) {
    let syncer = Syncer { jobs: Ring::new(1), done: Ring::new(1) };
    batches.waker().register();
    syncer.done.waker().register();
    let desk = Desk {
        writer,
        waiting: VecDeque::new(),
        news: false,
        outlets,
        meter: Meter::new(),
        pen: Pen::new(&shared.book),
        counts: Map::default(),
        commits: Retry::default(),
        rotations: Retry::default(),
        tell,
        busy: Instant::now(),
        shared,
        clock,
    };
    let ended = Stop::new();
    std::thread::scope(|scope| {
        let waits = || syncer.run(&ended);
        if let Err(error) = std::thread::Builder::new().name("syncer".to_owned()).spawn_scoped(scope, waits) {
            tracing::error!(%error, "no thread to wait for the disk");
            return;
        }
        let _ended = SetOnDrop(ended.clone());
        attend(desk, batches, &syncer, stop);
        ended.set();
        syncer.jobs.waker().wake();
    });
}

fn attend(mut desk: Desk<'_>, batches: &Ring<Batch>, syncer: &Syncer, stop: &Stop) {
    loop {
        // Looked at before the ring, so that what was pushed before the stop is not left behind.
        let last = stop.is_set();
        while desk.writer.takes_more()
            && let Some(batch) = batches.pop()
        {
            desk.append(batch);
        }
        let outcome = desk.advance(syncer, last);
        if let Err(error) = outcome {
            desk.commits.failed();
            desk.shared.disk.failed(&error, desk.writer.buffered());
            if last {
                tracing::error!(
                    bytes = desk.writer.buffered(),
                    "stopping with readings that the disk did not take: the broker sends them again"
                );
                return;
            }
        }
        let idle = desk.waiting.is_empty() && !desk.writer.is_syncing();
        if last && idle && batches.is_empty() {
            return;
        }
        let full = batches.is_empty() || !desk.writer.takes_more();
        if full && (!last || desk.writer.is_syncing()) {
            batches.waker().wait(desk.wait());
        }
    }
}

impl Desk<'_> {
    fn append(&mut self, mut batch: Batch) {
        batch.records.retain(|record| match self.writer.append(record) {
            Ok(()) => true,
            Err(error) => {
                // Longer than any the processor makes. The ledger shows it as in flight for good.
                tracing::error!(%error, "the log refuses a record: it is lost");
                false
            }
        });
        self.busy = Instant::now();
        self.news |= batch.records.iter().any(|record| matches!(record, Record::Transition(_)));
        self.waiting.push_back(Waiting { upto: self.writer.progress().0, batch, told: false, shown: false });
    }

    /// Takes the log as far as it goes now: what is synced is settled, what is written is told, what is due is synced.
    fn advance(&mut self, syncer: &Syncer, last: bool) -> Result<(), StoreError> {
        if let Some(synced) = syncer.done.pop() {
            let (bytes, took) = synced.cost();
            self.writer.synced(synced)?;
            self.shared.store.commit.add(took);
            self.shared.store.commit_bytes.add(bytes as u64);
        }
        if self.commits.next.is_some() {
            self.tell_from_memory();
            if (!last && !self.commits.wait().is_zero()) || self.writer.is_syncing() {
                return Ok(());
            }
            self.writer.commit()?;
            self.commits.next = None;
            self.shared.disk.works();
        }
        self.settle();
        let due = last || self.writer.commit_in().is_some_and(|wait| wait.is_zero());
        let sync = due && !self.writer.is_syncing();
        if sync || (self.tell == Tell::Written && self.news) {
            self.writer.write()?;
            if self.tell == Tell::Written {
                self.tell_written();
            }
        }
        if sync && let Some(job) = self.writer.sync() {
            // There is room: the last one has come back.
            drop(syncer.jobs.push(job));
        }
        self.rotate()
    }

    /// How long there is nothing to do, unless something comes.
    fn wait(&self) -> Duration {
        // Its end wakes us.
        if self.writer.is_syncing() {
            return IDLE;
        }
        if self.commits.next.is_some() {
            return self.commits.wait();
        }
        // What comes soon after other readings comes without waking anyone.
        let calm = if self.busy.elapsed() < 2 * SOON { SOON } else { IDLE };
        self.writer.commit_in().unwrap_or(calm)
    }

    fn tell_written(&mut self) {
        self.news = false;
        self.writer.tell(u64::MAX);
        let Self { waiting, outlets, shared, clock, .. } = self;
        for waiting in waiting.iter_mut().filter(|waiting| !waiting.told) {
            waiting.told = true;
            tell(&waiting.batch.records, outlets, shared, *clock);
        }
    }

    /// Alarms and values that the disk has not taken go out; acknowledgements and answers stay.
    fn tell_from_memory(&mut self) {
        self.shared.disk.holds(self.writer.buffered(), self.writer.takes_more());
        self.writer.tell(u64::MAX);
        let Self { waiting, outlets, shared, clock, .. } = self;
        let mut alarms = 0;
        for waiting in waiting.iter_mut().filter(|waiting| !waiting.shown) {
            let records = &waiting.batch.records;
            if !waiting.told {
                alarms += records.iter().filter(|record| matches!(record, Record::Transition(_))).count();
                tell(records, outlets, shared, *clock);
            }
            show(records, outlets, None, shared, *clock);
            (waiting.told, waiting.shown) = (true, true);
        }
        if alarms > 0 {
            shared.disk.from_memory.add(alarms as u64);
            tracing::warn!(alarms, "steps of alarms are told before they are on disk");
        }
    }

    /// What is on disk is acknowledged, booked and shown, and told unless it was.
    fn settle(&mut self) {
        let (_, durable) = self.writer.progress();
        let Self { waiting, outlets, meter, counts, shared, clock, .. } = self;
        while let Some(Waiting { batch, told, shown, .. }) = waiting.pop_front_if(|waiting| waiting.upto <= durable) {
            for token in batch.acks {
                // Nobody listens when ingest has stopped: the broker sends the message again, and it is known then.
                let _gone = outlets.acks.send(token);
            }
            for (reply, answer) in batch.replies {
                let _gone = reply.send(answer);
            }
            for record in &batch.records {
                note(record, counts);
            }
            if !told {
                tell(&batch.records, outlets, shared, *clock);
            }
            if !shown {
                show(&batch.records, outlets, Some(meter), shared, *clock);
            }
        }
        for ((account, refused), count) in self.counts.drain() {
            match refused {
                None => self.pen.stored(account, count),
                Some(reason) => self.pen.rejected(account, reason, count),
            }
        }
    }

    fn rotate(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if !self.rotations.wait().is_zero() || self.writer.is_syncing() || !self.writer.is_rotation_due(now) {
            return Ok(());
        }
        self.writer.commit()?;
        match self.writer.rotate_if_due(now) {
            Ok(closed) => {
                self.rotations.next = None;
                self.shared.store.segments_closed.add(u64::from(closed.is_some()));
                if let Some(Err(closed)) = closed.map(|closed| self.outlets.sealer.push(closed)) {
                    // Nothing is lost: the segment stays readable as a log and is sealed at the next start.
                    tracing::warn!(segment = closed.first_seq, "the sealer is far behind");
                }
            }
            Err(error) => {
                if self.rotations.next.is_none() {
                    tracing::error!(%error, "the log cannot begin a segment: it goes on in the old one, and tries again");
                }
                self.rotations.failed();
            }
        }
        self.settle();
        Ok(())
    }
}

/// What the ledger says of a record that is on disk.
fn note(record: &Record, counts: &mut Map<(StreamSource, Option<RejectReason>), u64>) {
    let line = match record {
        Record::Reading(reading) => (StreamSource::of_reading(reading), None),
        Record::Quarantined(refused) => (StreamSource::of_refused(refused), Some(refused.reason)),
        Record::Transition(_) => return,
    };
    *counts.entry(line).or_default() += 1;
}

/// Alarms, to the wall and the sinks.
fn tell(records: &[Record], outlets: &mut Outlets, shared: &Shared, clock: Clock) {
    let mut newest = None;
    for record in records {
        if let Record::Transition(transition) = record {
            newest = Some(transition.seq);
            shared.store.transitions.add(transition.kind, 1);
            outlets.load.take(transition);
            outlets.feed.alert(transition);
            outlets.keep(&transition.alert);
        }
    }
    if let Some(newest) = newest {
        // People first.
        outlets.sinks.wake(newest);
        shared.open.store(Arc::new(outlets.open.values().cloned().collect()));
    }
    let now = clock.now();
    if now.since(outlets.load_told) >= FIGURES {
        outlets.load_told = now;
        shared.load.store(Arc::new(outlets.load.figures(now)));
    }
}

/// Values, to the wall. With a meter, how long readings took to be safe is measured.
fn show(records: &[Record], outlets: &mut Outlets, mut meter: Option<&mut Meter>, shared: &Shared, clock: Clock) {
    let now = clock.now();
    for record in records {
        if let Record::Reading(reading) = record {
            // A frame's time in the mailbox and the detector is the cameras' affair; their ages show it.
            if let Some(meter) = meter.as_deref_mut().filter(|_| reading.origin == Origin::Sensor) {
                let millis = millis(now, reading.received, clock);
                meter.add(millis);
                shared.store.latency.add(Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default());
            }
            outlets.feed.value(reading);
        }
    }
    if let Some(latency) = meter.and_then(Meter::figures) {
        shared.latency.store(Some(Arc::new(latency)));
    }
}

impl Outlets {
    fn keep(&mut self, alert: &Alert) {
        if alert.state == AlertState::Cleared {
            self.open.remove(&alert.id);
        } else {
            self.open.insert(alert.id.clone(), alert.clone());
        }
    }
}

/// Real milliseconds between two readings of a clock that may be scaled.
fn millis(now: Timestamp, received: Timestamp, clock: Clock) -> f64 {
    now.since(received).as_millis() as f64 / clock.rate()
}
