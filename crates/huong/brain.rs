//! Rules and alert table behind one `match`: every trigger that can change an alarm is an [`Event`].
//!
//! Invariant: pure. The same events in the same order give the same effects, which is what makes a replay of the log, the
//! tests of the pipelines and the running system one and the same thing.

use huong_alerts::{AlertError, Table};
use huong_rules::{Engine, Verdict};
use huong_types::{Alert, Problems, Reading, Registry, Signal, Span, Stream, Timestamp, Transition};
use std::sync::Arc;

/// Everything that can happen to the brain.
pub(crate) enum Event<'a> {
    /// From a sensor or, as an observation, from a camera. The quality flags are set in place.
    Reading(&'a mut Reading),
    /// The clock moved: closes windows of silent keys, matures on-delays, finds the silent.
    Tick,
    Acknowledge {
        id: &'a str,
        by: &'a str,
    },
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
        problems: &mut Problems,
    ) -> Option<Self> {
        let engine = Engine::compile(pipelines, streams, Arc::clone(registry), problems)?;
        let table = Table::new(engine.rules());
        Some(Self { engine, table, signals: Vec::new() })
    }

    /// Takes one event and appends what it changed to `out`. The verdict is about a reading; other events are judged.
    pub(crate) fn on(&mut self, event: Event<'_>, now: Timestamp, out: &mut Vec<Transition>) -> Result<Verdict, AlertError> {
        let verdict = match event {
            Event::Reading(reading) => self.engine.on_reading(reading, now, &mut self.signals),
            Event::Tick => {
                self.engine.on_tick(now, &mut self.signals);
                Verdict::Judged
            }
            Event::Acknowledge { id, by } => {
                out.extend(self.table.acknowledge(id, by, now)?);
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

    /// Takes over the alerts that the journal left open.
    pub(crate) fn restore(&mut self, open: Vec<Alert>, next_seq: u64) {
        self.engine.restore(&open);
        self.table.restore(open, next_seq);
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn longest_window(&self) -> Span {
        self.engine.longest_window()
    }
}
