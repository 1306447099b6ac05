//! Rules and alert table behind one `match`: every trigger that can change an alarm is an [`Event`].
//!
//! Invariant: pure, and blind to batches. Whatever falls due before an event is done at its own due time before that event is
//! looked at, so the same events give the same effects however often the clock is looked at in between. That is what makes a replay
//! of the log, the tests of the pipelines and the running system one and the same thing.

use std::collections::BTreeMap;
use std::sync::Arc;

use huong_alerts::{AlertError, Table, TableConfig};
use huong_rules::{Engine, Out, Verdict, Watched};
use huong_types::{About, Alert, Name, Order, Origin, Problems, Reading, Registry, Span, Stream, Timestamp, Transition};

use crate::repeats::Repeats;

/// Everything that can happen to the brain.
pub(crate) enum Event<'a> {
    /// From a sensor or, as an observation, from a camera. The quality flags are set in place.
    Reading(&'a mut Reading),
    /// A source has said that nothing will come from this key of this stream any more.
    Silent(&'a Name, &'a Name),
    /// The clock moved: closes windows of silent keys, matures on-delays, finds the silent.
    Tick,
    /// Of an operator.
    Order(&'a Order),
    /// Other rules: states of those that have not changed are kept.
    Reload(Box<Engine>),
}

pub(crate) struct Brain {
    engine: Engine,
    table: Table,
    repeats: Repeats,
    out: Out,
}

/// What falls due at the very moment of an event is done after it: what arrives in time is heard first.
const BEFORE: Span = Span::from_millis(1);

impl Brain {
    /// Compiles the pipelines; every mistake goes to `problems`.
    pub(crate) fn new(
        pipelines: &[(String, String)],
        streams: &[Stream],
        registry: &Arc<Registry>,
        config: &TableConfig,
        problems: &mut Problems,
    ) -> Option<Self> {
        let engine = Engine::compile(pipelines, streams, Arc::clone(registry), problems)?;
        let table = Table::new(engine.rules(), config.clone());
        Some(Self { engine, table, repeats: Repeats::new(), out: Out::default() })
    }

    /// Takes one event and appends what it changed to `out`. The verdict is about a reading; other events are judged.
    pub(crate) fn on(&mut self, event: Event<'_>, now: Timestamp, out: &mut Vec<Transition>) -> Result<Verdict, AlertError> {
        self.pass(now - BEFORE, out);
        match event {
            Event::Reading(reading) => {
                if !self.repeats.note(reading) {
                    return Ok(Verdict::Duplicate);
                }
                let verdict = self.engine.on_reading(reading, now, &mut self.out);
                self.apply(now, out);
                return Ok(verdict);
            }
            Event::Silent(stream, key) => {
                self.engine.on_silence(stream, key, now, &mut self.out);
                self.apply(now, out);
            }
            Event::Tick => {}
            Event::Order(order) => {
                out.extend(self.table.order(order, now)?);
                self.engine.set_exercise(self.table.exercise());
            }
            Event::Reload(engine) => {
                let old = std::mem::replace(&mut self.engine, *engine);
                self.engine.adopt(old, &holding(self.table.open()));
                out.extend(self.table.reload(self.engine.rules(), now));
            }
        }
        Ok(Verdict::Judged)
    }

    /// Takes a reading from before the last start: windows fill, nothing is said. What rules derived they derive again; it is known
    /// from now on all the same, so that none of it is stored twice.
    pub(crate) fn relive(&mut self, reading: &mut Reading) {
        self.repeats.note(reading);
        if reading.origin == Origin::Derived {
            return;
        }
        let now = reading.received;
        self.engine.advance(now - BEFORE, &mut self.out);
        self.engine.on_reading(reading, now, &mut self.out);
        self.out = Out::default();
    }

    /// Between the readings relived so far and those that follow the process was away, until `at`.
    pub(crate) fn resume(&mut self, at: Timestamp) {
        self.engine.resume(at);
    }

    /// Takes over the alerts that the journal left open, and the ids that it last raised.
    pub(crate) fn restore(&mut self, open: Vec<Alert>, raised: Vec<Name>, next_seq: u64) {
        // What waits to hold goes on waiting, too.
        let waits = open.iter().filter(|alert| alert.about == About::Rule && alert.pending && alert.ended.is_none()).cloned();
        self.engine.restore(&holding(open.iter()).into_iter().chain(waits).collect::<Vec<_>>());
        self.table.restore(open, raised, next_seq);
        self.engine.set_exercise(self.table.exercise());
    }

    /// The readings that rules computed since the last call, in order, then those that they said anew because of late ones; none that
    /// was stored before the last start.
    pub(crate) fn derived(&mut self) -> impl Iterator<Item = Reading> + '_ {
        let Self { out, repeats, .. } = self;
        out.derived.drain(..).chain(out.corrected.drain(..)).filter(|reading| repeats.note(reading))
    }

    /// How many windows late readings have changed since the last call, after they were judged.
    pub(crate) fn corrections(&mut self) -> u64 {
        std::mem::take(&mut self.out.corrections)
    }

    /// From now on every judgement of `rule` about `key` is noted in full; rules for exercises judge when `exercise`.
    pub(crate) fn watch(&mut self, rule: Name, key: Name, exercise: bool) {
        self.engine.watch(rule, key);
        self.engine.set_exercise(exercise);
    }

    /// The judgements noted since the last call, in order.
    pub(crate) fn watched(&mut self) -> impl Iterator<Item = Watched> + '_ {
        self.out.watched.drain(..)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How far back each stream matters to any rule; see [`Engine::reach`].
    pub(crate) fn reach(&self) -> BTreeMap<Name, Span> {
        self.engine.reach()
    }

    pub(crate) fn longest_window(&self) -> Span {
        self.reach().into_values().max().unwrap_or(Span::ZERO)
    }

    /// Lets time pass: the deadlines of rules and table in the order of their times.
    fn pass(&mut self, until: Timestamp, out: &mut Vec<Transition>) {
        loop {
            let due = [self.engine.next_deadline(), self.table.next_deadline()].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= until) else { return };
            // What was due at the start is due at once, whatever time that was.
            let at = due.max(self.engine.started().unwrap_or(until).min(until));
            self.engine.advance(at, &mut self.out);
            self.apply(at, out);
            out.extend(self.table.on_tick(at));
        }
    }

    fn apply(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        for signal in self.out.signals.drain(..) {
            out.extend(self.table.apply(signal, now));
        }
    }
}

/// To the rules an alert is a condition that holds; those of groups, and what only waits for a person, are the table's alone.
fn holding<'a>(open: impl Iterator<Item = &'a Alert>) -> Vec<Alert> {
    open.filter(|alert| alert.about == About::Rule && !alert.pending && alert.ended.is_none()).cloned().collect()
}

#[cfg(test)]
mod tests;
