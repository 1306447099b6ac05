//! The writer thread: the single owner of the store's open segment.
//!
//! Invariant: nothing is acknowledged to the broker, shown on the wall or pushed to anyone before the group commit that
//! holds it has reached the disk. Alert transitions stand before the readings that caused them, so a torn tail can hold an
//! alarm whose reading the broker will send again, never a reading whose alarm is lost.
//!
//! While the disk refuses, alarms are told from memory all the same, because people need them; acknowledgements and the answers to
//! operators wait. A crash then loses nothing: the broker sends the readings again, and the alarms derive the same ids from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_alerts::Load;
use huong_flow::{Ring, Stop};
use huong_notify::Sinks;
use huong_store::{ClosedSegment, Record, StoreError, StreamSource, Writer};
use huong_types::{AckToken, Alert, AlertState, Map, Name, Origin, RejectReason, Span, Timestamp};
use huong_wall::Feed;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::latency::Meter;
use crate::ledger::{Book, Pen};
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

/// What is to be booked once it is on disk, though it may be told before.
struct Due {
    pen: Pen,
    /// Readings, and what was refused for a reason.
    counts: Map<(StreamSource, Option<RejectReason>), u64>,
}

impl Due {
    fn new(book: &Arc<Book>) -> Self {
        Self { pen: Pen::new(book), counts: Map::default() }
    }

    fn note(&mut self, record: &Record) {
        let line = match record {
            Record::Reading(reading) => (StreamSource::of_reading(reading), None),
            Record::Quarantined(refused) => (StreamSource::of_refused(refused), Some(refused.reason)),
            Record::Transition(_) => return,
        };
        *self.counts.entry(line).or_default() += 1;
    }

    fn book(&mut self) {
        for ((account, refused), count) in self.counts.drain() {
            match refused {
                None => self.pen.stored(account, count),
                Some(reason) => self.pen.rejected(account, reason, count),
            }
        }
    }
}

/// Runs until `stop` is set and nothing waits that the disk would take.
pub(crate) fn run(mut writer: Writer, batches: &Ring<Batch>, mut outlets: Outlets, shared: &Shared, clock: Clock, stop: &Stop) {
    batches.waker().register();
    let mut group: Vec<Batch> = Vec::new();
    let (mut meter, mut due) = (Meter::new(), Due::new(&shared.book));
    let (mut commits, mut rotations) = (Retry::default(), Retry::default());
    loop {
        // Looked at before the ring, so that what was pushed before the stop is not left behind.
        let last = stop.is_set();
        while writer.takes_more()
            && let Some(batch) = batches.pop()
        {
            for record in &batch.records {
                append(&mut writer, record, &mut due);
            }
            group.push(batch);
        }
        let failing = commits.next.is_some();
        if failing {
            tell_from_memory(&mut writer, &mut group, &mut outlets, shared, clock);
        }
        // Answers and acknowledgements alone have nothing to wait for.
        let wait = if failing { commits.wait() } else { writer.commit_in().unwrap_or_default() };
        if !last && !wait.is_zero() {
            batches.waker().wait(wait);
            continue;
        }
        match commit(&mut writer, shared) {
            Ok(()) => {
                due.book();
                settle(&mut group, &mut outlets, &mut meter, shared, clock);
                if commits.next.take().is_some() {
                    shared.disk.works();
                }
            }
            Err(error) => {
                commits.failed();
                shared.disk.failed(&error, writer.buffered());
                if last {
                    tracing::error!(
                        bytes = writer.buffered(),
                        "stopping with readings that the disk did not take: the broker sends them again"
                    );
                    return;
                }
                continue;
            }
        }
        rotate(&mut writer, &mut rotations, &outlets, shared, clock);
        if last && group.is_empty() && batches.is_empty() {
            return;
        }
        if writer.commit_in().is_none() && batches.is_empty() && !last {
            batches.waker().wait(IDLE);
        }
    }
}

fn append(writer: &mut Writer, record: &Record, due: &mut Due) {
    match writer.append(record) {
        Ok(()) => due.note(record),
        // Longer than any the processor makes. The ledger shows it as in flight for good.
        Err(error) => tracing::error!(%error, "the log refuses a record: it is lost"),
    }
}

/// Alarms and values that the disk has not taken go out; acknowledgements and answers stay.
fn tell_from_memory(writer: &mut Writer, group: &mut [Batch], outlets: &mut Outlets, shared: &Shared, clock: Clock) {
    shared.disk.holds(writer.buffered(), writer.takes_more());
    let records: Vec<Record> = group.iter_mut().flat_map(|batch| std::mem::take(&mut batch.records)).collect();
    if !records.is_empty() {
        writer.tell();
        let alarms = records.iter().filter(|record| matches!(record, Record::Transition(_))).count();
        if alarms > 0 {
            shared.disk.from_memory.add(alarms as u64);
            tracing::warn!(alarms, "steps of alarms are told before they are on disk");
        }
        announce(records, outlets, None, shared, clock);
    }
}

/// One attempt to make durable what was appended.
fn commit(writer: &mut Writer, shared: &Shared) -> Result<(), StoreError> {
    let (began, bytes) = (Instant::now(), writer.buffered());
    writer.commit()?;
    if bytes > 0 {
        shared.store.commit.add(began.elapsed());
        shared.store.commit_bytes.add(bytes as u64);
    }
    Ok(())
}

/// What is on disk is acknowledged, and told unless it was.
fn settle(group: &mut Vec<Batch>, outlets: &mut Outlets, meter: &mut Meter, shared: &Shared, clock: Clock) {
    let mut records = Vec::new();
    for batch in group.drain(..) {
        for token in batch.acks {
            // Nobody listens when ingest has stopped: the broker sends the message again, and it is known then.
            let _gone = outlets.acks.send(token);
        }
        for (reply, answer) in batch.replies {
            let _gone = reply.send(answer);
        }
        records.extend(batch.records);
    }
    announce(records, outlets, Some(meter), shared, clock);
}

/// To the wall and the sinks. With a meter, how long readings took to be safe is measured.
fn announce(records: Vec<Record>, outlets: &mut Outlets, mut meter: Option<&mut Meter>, shared: &Shared, clock: Clock) {
    let mut newest = None;
    let now = clock.now();
    for record in records {
        match record {
            Record::Reading(reading) => {
                // A frame's time in the mailbox and the detector is the cameras' affair; their ages show it.
                if let Some(meter) = meter.as_deref_mut().filter(|_| reading.origin == Origin::Sensor) {
                    let millis = millis(now, reading.received, clock);
                    meter.add(millis);
                    shared.store.latency.add(Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default());
                }
                outlets.feed.value(&reading);
            }
            Record::Transition(transition) => {
                newest = Some(transition.seq);
                shared.store.transitions.add(transition.kind, 1);
                outlets.load.take(&transition);
                outlets.feed.alert(&transition);
                outlets.keep(&transition.alert);
            }
            Record::Quarantined(_) => {}
        }
    }
    if now.since(outlets.load_told) >= FIGURES {
        outlets.load_told = now;
        shared.load.store(Arc::new(outlets.load.figures(now)));
    }
    if let Some(newest) = newest {
        shared.open.store(Arc::new(outlets.open.values().cloned().collect()));
        outlets.sinks.wake(newest);
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

fn rotate(writer: &mut Writer, retry: &mut Retry, outlets: &Outlets, shared: &Shared, clock: Clock) {
    if !retry.wait().is_zero() {
        return;
    }
    match writer.rotate_if_due(clock.now()) {
        Ok(closed) => {
            retry.next = None;
            shared.store.segments_closed.add(u64::from(closed.is_some()));
            if let Some(Err(closed)) = closed.map(|closed| outlets.sealer.push(closed)) {
                // Nothing is lost: the segment stays readable as a log and is sealed at the next start.
                tracing::warn!(segment = closed.first_seq, "the sealer is far behind");
            }
        }
        Err(error) => {
            if retry.next.is_none() {
                tracing::error!(%error, "the log cannot begin a segment: it goes on in the old one, and tries again");
            }
            retry.failed();
        }
    }
}
