//! The brain's thread: readings, orders and other rules go in, records for the journal come out, turn by turn.
//!
//! Invariant: an alarm stands in the batch before the reading that caused it, what is computed from a reading after it, and the right
//! to acknowledge a message behind all that it caused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_flow::{Ring, Stop};
use huong_rules::{Engine, Verdict};
use huong_store::{Record, StreamSource};
use huong_types::{Inbound, Quarantined, Reading, Reject, RejectReason, Timestamp, Transition};

use crate::brain::{Brain, Event};
use crate::ledger::Pen;
use crate::shared::{Command, Shared};
use crate::vision;
use crate::writer::Batch;

/// Messages of one turn: large enough to share a commit, small enough that an alarm does not wait behind them.
const TURN: usize = 512;
const RECORDS: usize = 4096;
/// The writer wakes by itself to commit what it has. Within this time of having been woken it need not be woken for readings alone; in
/// a flood that would be for a handful of them each time. At most this long, and never longer than it gathers a commit.
const UNDISTURBED: Duration = Duration::from_millis(4);
/// The clock ticks at least this often.
const TICK: Duration = Duration::from_millis(200);

/// The brain's thread: takes what waits, judges it, hands the turn to the writer. Ends when `stop` is set and nothing waits.
/// The writer commits every `commit_every`.
pub(crate) fn run(
    mut brain: Brain,
    commit_every: Duration,
    ring: &Ring<Inbound>,
    batches: &Ring<Batch>,
    shared: &Shared,
    stop: &Stop,
    writer_gone: &Stop,
) {
    let undisturbed = commit_every.min(UNDISTURBED);
    ring.waker().register();
    shared.commands.waker().register();
    shared.reload.engines.waker().register();
    let mut entrance = Pen::new(&shared.book);
    let mut transitions: Vec<Transition> = Vec::new();
    let mut woken: Option<Instant> = None;
    loop {
        let last = stop.is_set();
        let mut batch = Batch::default();
        let mut took = 0;
        while let Some(engine) = shared.reload.engines.pop() {
            reload(&mut brain, engine, &mut transitions, shared);
        }
        // A message may hold many readings: a turn ends by either count.
        while took < TURN
            && batch.records.len() < RECORDS
            && let Some(inbound) = ring.pop()
        {
            took += 1;
            take(&mut brain, inbound, &mut batch, &mut entrance, &mut transitions, shared);
        }
        let drained = took < TURN && batch.records.len() < RECORDS;
        while let Some(command) = shared.commands.pop() {
            order(&mut brain, command, &mut batch, &mut transitions, shared.clock.now());
        }
        // What waits has arrived before now: it goes first, and moves time itself.
        if drained {
            tick(&mut brain, &mut transitions, shared.clock.now());
        }
        batch.records.extend(transitions.drain(..).map(Record::from));
        derived(&mut brain, &mut batch, &mut entrance, shared);
        if !hand_over(batch, batches, (&mut woken, undisturbed), shared, stop, writer_gone) {
            return;
        }
        if took == 0 {
            if last {
                return;
            }
            ring.waker().wait(TICK);
        }
    }
}

fn take(brain: &mut Brain, inbound: Inbound, batch: &mut Batch, entrance: &mut Pen, transitions: &mut Vec<Transition>, shared: &Shared) {
    for mut reading in inbound.readings {
        entrance.received(StreamSource::of_reading(&reading));
        if reading.orphan {
            shared.orphans.add(1);
        }
        // As of its arrival, which the log knows, and not of when its turn came: relived after a restart it is judged the same.
        let now = reading.received;
        match brain.on(Event::Reading(&mut reading), now, transitions) {
            Ok(Verdict::Duplicate) => batch.records.push(Record::Quarantined(duplicate(&reading))),
            Ok(Verdict::Judged | Verdict::History) => {
                vision::hear(&reading, shared);
                batch.records.extend(transitions.drain(..).map(Record::from));
                batch.records.push(Record::Reading(reading));
                derived(brain, batch, entrance, shared);
            }
            Err(error) => tracing::error!(%error, "the alert table refused an event"),
        }
    }
    for (stream, key) in &inbound.silent {
        if let Err(error) = brain.on(Event::Silent(stream, key), shared.clock.now(), transitions) {
            tracing::error!(%error, "the alert table refused an event");
        }
    }
    for refused in inbound.rejected {
        entrance.received(StreamSource::of_refused(&refused));
        batch.records.push(Record::Quarantined(refused));
    }
    batch.acks.extend(inbound.ack);
}

/// What rules computed is stored beside what it was computed from, and counted as come in here.
fn derived(brain: &mut Brain, batch: &mut Batch, entrance: &mut Pen, shared: &Shared) {
    for reading in brain.derived() {
        shared.derived.add(1);
        entrance.received(StreamSource::of_reading(&reading));
        batch.records.push(Record::Reading(reading));
    }
    shared.corrected.add(brain.corrections());
}

/// A reading that is already stored; its payload would add nothing, so only its name is kept.
fn duplicate(reading: &Reading) -> Quarantined {
    let detail = format!("{} of {} at {}", reading.stream, reading.key, reading.at);
    let reject = Reject::new(RejectReason::Duplicate, detail);
    reject.quarantine(reading.received, "", Some(reading.source.clone()), Some(reading.stream.clone()), &[])
}

fn order(brain: &mut Brain, command: Command, batch: &mut Batch, transitions: &mut Vec<Transition>, now: Timestamp) {
    let answer = brain.on(Event::Order(&command.order), now, transitions).map(|_| ());
    batch.replies.push((command.reply, answer));
}

fn reload(brain: &mut Brain, engine: Box<Engine>, transitions: &mut Vec<Transition>, shared: &Shared) {
    let rules = engine.rules().len();
    match brain.on(Event::Reload(engine), shared.clock.now(), transitions) {
        Ok(_) => {
            shared.reach.store(Arc::new(brain.reach()));
            shared.reload.taken.add(1);
            tracing::info!(rules, "the changed rules run");
        }
        Err(error) => tracing::error!(%error, "the alert table refused other rules"),
    }
}

fn tick(brain: &mut Brain, transitions: &mut Vec<Transition>, now: Timestamp) {
    if let Err(error) = brain.on(Event::Tick, now, transitions) {
        tracing::error!(%error, "the alert table refused a tick");
    }
}

/// Waits for room: the disk is behind, and the broker keeps what is not acknowledged. False when the writer is gone, or when it takes
/// no more and the end has come.
fn hand_over(
    mut batch: Batch,
    batches: &Ring<Batch>,
    (woken, undisturbed): (&mut Option<Instant>, Duration),
    shared: &Shared,
    stop: &Stop,
    writer_gone: &Stop,
) -> bool {
    if batch.records.is_empty() && batch.acks.is_empty() && batch.replies.is_empty() {
        return true;
    }
    let urgent = !batch.replies.is_empty() || batch.records.iter().any(|record| matches!(record, Record::Transition(_)));
    if !urgent && woken.is_some_and(|woken| woken.elapsed() < undisturbed) {
        match batches.push_quietly(batch) {
            Ok(()) => return true,
            Err(back) => batch = back,
        }
    }
    *woken = Some(Instant::now());
    while let Err(back) = batches.push(batch) {
        if writer_gone.is_set() || (stop.is_set() && shared.disk.is_out_of_room()) {
            return false;
        }
        batch = back;
        // It may not know of what was pushed quietly.
        batches.waker().wake();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    true
}
