//! The writer thread: the single owner of the store's open segment.
//!
//! Invariant: nothing is acknowledged to the broker, shown on the wall or pushed to anyone before the group commit that
//! holds it has reached the disk. Alert transitions stand before the readings that caused them, so a torn tail can hold an
//! alarm whose reading the broker will send again, never a reading whose alarm is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_alerts::Load;
use huong_flow::{Ring, Stop};
use huong_notify::Sinks;
use huong_store::{ClosedSegment, Record, StreamSource, Writer, seal};
use huong_types::{AckToken, Alert, AlertState, Name, Origin, Span, Timestamp};
use huong_wall::Feed;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::latency::Meter;
use crate::ledger::Pen;
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

/// A commit is begun at the latest when this much waits for it, so that a burst does not grow the memory.
const COMMIT_BYTES: usize = 4 << 20;
/// How often the open segment's age is looked at when nothing comes.
const IDLE: Duration = Duration::from_secs(1);

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

/// Runs until `stop` is set and nothing waits. Panics when the disk refuses: what was not committed was not acknowledged,
/// and the process must not go on as if it could still keep its promise.
pub(crate) fn run(mut writer: Writer, batches: &Ring<Batch>, mut outlets: Outlets, shared: &Shared, clock: Clock, stop: &Stop) {
    batches.waker().register();
    let mut group: Vec<Batch> = Vec::new();
    let (mut meter, mut book) = (Meter::new(), Pen::new(&shared.book));
    loop {
        // Looked at before the ring, so that what was pushed before the stop is not left behind.
        let last = stop.is_set();
        while writer.buffered() < COMMIT_BYTES
            && let Some(batch) = batches.pop()
        {
            for record in &batch.records {
                append(&mut writer, record);
            }
            group.push(batch);
        }
        if group.is_empty() {
            if last {
                return;
            }
            batches.waker().wait(IDLE);
        }
        // While one commit is under way the next group gathers: the disk's own speed sets the size of the groups.
        commit(&mut writer, shared);
        tell(&mut group, &mut outlets, &mut meter, &mut book, shared, clock);
        rotate(&mut writer, &outlets, shared, clock);
    }
}

fn append(writer: &mut Writer, record: &Record) {
    if let Err(error) = writer.append(record) {
        panic!("the log refuses a record: {error}");
    }
}

fn commit(writer: &mut Writer, shared: &Shared) {
    let (began, bytes) = (Instant::now(), writer.buffered());
    if let Err(error) = writer.commit() {
        panic!("the log cannot be made durable: {error}");
    }
    if bytes > 0 {
        shared.store.commit.add(began.elapsed());
        shared.store.commit_bytes.add(bytes as u64);
    }
}

fn tell(group: &mut Vec<Batch>, outlets: &mut Outlets, meter: &mut Meter, book: &mut Pen, shared: &Shared, clock: Clock) {
    let mut newest = None;
    let now = clock.now();
    for batch in group.drain(..) {
        for token in batch.acks {
            // Nobody listens when ingest has stopped: the broker sends the message again, and it is known then.
            let _gone = outlets.acks.send(token);
        }
        for (reply, answer) in batch.replies {
            let _gone = reply.send(answer);
        }
        for record in batch.records {
            match record {
                Record::Reading(reading) => {
                    book.stored(StreamSource::of_reading(&reading));
                    // A frame's time in the mailbox and the detector is the cameras' affair; their ages show it.
                    if reading.origin == Origin::Sensor {
                        let millis = millis(now, reading.received, clock);
                        meter.add(millis);
                        shared.store.latency.add(Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default());
                    }
                    outlets.feed.value(&reading);
                }
                Record::Transition(transition) => {
                    newest = Some(transition.seq);
                    shared.store.transitions.add(transition.kind);
                    outlets.load.take(&transition);
                    outlets.feed.alert(&transition);
                    outlets.keep(&transition.alert);
                }
                Record::Quarantined(refused) => book.rejected(StreamSource::of_refused(&refused), refused.reason),
            }
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
    if let Some(latency) = meter.figures() {
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

fn rotate(writer: &mut Writer, outlets: &Outlets, shared: &Shared, clock: Clock) {
    match writer.rotate_if_due(clock.now()) {
        Ok(None) => {}
        Ok(Some(closed)) => {
            shared.store.segments_closed.add(1);
            if let Err(closed) = outlets.sealer.push(closed) {
                // Nothing is lost: the segment stays readable as a log and is sealed at the next start.
                tracing::warn!(segment = closed.first_seq, "the sealer is far behind");
            }
        }
        Err(error) => panic!("the log cannot begin a segment: {error}"),
    }
}

/// The sealer thread: closed segments become Parquet, away from the path of the commits.
pub(crate) fn run_sealer(segments: &Ring<ClosedSegment>, shared: &Shared, stop: &Stop) {
    segments.waker().register();
    loop {
        let last = stop.is_set();
        while let Some(closed) = segments.pop() {
            let began = Instant::now();
            match seal(&closed) {
                Ok(sealed) => {
                    shared.store.seal.add(began.elapsed());
                    tracing::info!(segment = closed.first_seq, rows = sealed.rows, parts = sealed.parts, "sealed a segment");
                }
                Err(error) => {
                    shared.store.seals_failed.add(1);
                    tracing::error!(segment = closed.first_seq, %error, "a segment could not be sealed; it stays readable as a log")
                }
            }
        }
        if last {
            return;
        }
        segments.waker().wait(IDLE);
    }
}
