//! Rules and alert table behind one `match`: every trigger that can change an alarm is an [`Event`].
//!
//! Invariant: pure. The same events in the same order give the same effects, which is what makes a replay of the log, the
//! tests of the pipelines and the running system one and the same thing.

use huong_alerts::{AlertError, Table, TableConfig};
use huong_rules::{Engine, Verdict};
use huong_types::{About, Alert, Name, Order, Problems, Reading, Registry, Signal, Span, Stream, Timestamp, Transition};
use std::sync::Arc;

/// Everything that can happen to the brain.
pub(crate) enum Event<'a> {
    /// From a sensor or, as an observation, from a camera. The quality flags are set in place.
    Reading(&'a mut Reading),
    /// The clock moved: closes windows of silent keys, matures on-delays, finds the silent.
    Tick,
    /// Of an operator.
    Order(&'a Order),
}

pub(crate) struct Brain {
    engine: Engine,
    table: Table,
    signals: Vec<Signal>,
}

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
        Some(Self { engine, table, signals: Vec::new() })
    }

    /// Takes one event and appends what it changed to `out`. The verdict is about a reading; other events are judged.
    pub(crate) fn on(&mut self, event: Event<'_>, now: Timestamp, out: &mut Vec<Transition>) -> Result<Verdict, AlertError> {
        let verdict = match event {
            Event::Reading(reading) => self.engine.on_reading(reading, now, &mut self.signals),
            Event::Tick => {
                self.engine.on_tick(now, &mut self.signals);
                out.extend(self.table.on_tick(now));
                Verdict::Judged
            }
            Event::Order(order) => {
                out.extend(self.table.order(order, now)?);
                Verdict::Judged
            }
        };
        for signal in self.signals.drain(..) {
            out.extend(self.table.apply(signal, now));
        }
        Ok(verdict)
    }

    /// Takes a reading from before the last start: windows fill, nothing is said.
    pub(crate) fn relive(&mut self, reading: &mut Reading) {
        let now = reading.received;
        self.engine.on_reading(reading, now, &mut self.signals);
        self.signals.clear();
    }

    /// Takes over the alerts that the journal left open, and the ids that it last raised.
    pub(crate) fn restore(&mut self, open: Vec<Alert>, raised: Vec<Name>, next_seq: u64) {
        // To the rules an alert is a condition that holds; those of groups, and what only waits for a person, are the table's alone.
        let holds = |alert: &&Alert| alert.about == About::Rule && !alert.pending && alert.ended.is_none();
        self.engine.restore(&open.iter().filter(holds).cloned().collect::<Vec<_>>());
        self.table.restore(open, raised, next_seq);
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn longest_window(&self) -> Span {
        self.engine.longest_window()
    }
}
