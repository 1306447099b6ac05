//! The engine: readings and ticks in, signals out.
//!
//! Order of signals, which is part of the contract because journals must be equal byte for byte: what a reading causes comes in the
//! order freshness, readings rules, windows, suspicion; a tick goes stream by stream through windows, on-delays, silence. Within
//! each, rules come in the order of the files and keys in the order of the registry, orphans after them as they appeared.

use std::collections::HashMap;
use std::sync::Arc;

use huong_types::{Alert, Name, Problems, Reading, Registry, RuleInfo, Signal, Span, Stream, Timestamp};

use crate::compile::{compile_rules, level_names, load};
use crate::stream_engine::StreamEngine;

/// All rules over all streams, with their state.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<RuleInfo>,
    streams: Vec<StreamEngine>,
    index: HashMap<Name, usize>,
    /// The clock at the first event; a station never heard is silent by it.
    started: Option<Timestamp>,
    /// No tick before this clock time does anything. A lower bound: it may be early, never late.
    deadline: Timestamp,
}

/// What the engine made of a reading; the caller stores it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// New to us; its fields carry their quality.
    Judged,
    /// Its time had been judged, or nobody judges it: store it only.
    History,
    /// The same values for the same instant again.
    Duplicate,
}

/// A key that sent readings and is not in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub stream: Name,
    pub key: Name,
}

const FAR_FUTURE: Timestamp = Timestamp::from_millis(i64::MAX / 4);

impl Engine {
    /// Compiles the rules of all files, given as (file name, text). Every mistake goes to `problems`; `None` when there is any there.
    pub fn compile(pipelines: &[(String, String)], streams: &[Stream], registry: Arc<Registry>, problems: &mut Problems) -> Option<Engine> {
        let rules = load(pipelines, problems);
        let levels = level_names(&registry, &rules);
        compile_rules(&rules, streams, &registry, &levels, problems)
    }

    /// Everything checked: `streams` in the order of the configuration, `rules` in that of the files.
    pub(crate) fn new(rules: Vec<RuleInfo>, streams: Vec<StreamEngine>) -> Self {
        let index = streams.iter().enumerate().map(|(i, stream)| (stream.id().clone(), i)).collect();
        Self { rules, streams, index, started: None, deadline: FAR_FUTURE }
    }

    /// In the order of the files.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// How far back readings still matter to a window, an on-delay or a silence.
    pub fn longest_window(&self) -> Span {
        let spans = self.streams.iter().flat_map(|stream| {
            let rules = stream.rules().iter().map(|rule| {
                let delay = rule.timing.hold.max(rule.timing.clear_for);
                Span::from_millis(rule.window_size().as_millis() + delay.as_millis())
            });
            rules.chain(stream.longest_silence())
        });
        spans.max().unwrap_or(Span::ZERO)
    }

    /// Judges a reading that arrived at `now`: sets the quality of its fields and says what follows from it.
    pub fn on_reading(&mut self, reading: &mut Reading, now: Timestamp, out: &mut Vec<Signal>) -> Verdict {
        let started = self.start(now);
        let Some(&stream) = self.index.get(&reading.stream) else { return Verdict::History };
        let (verdict, deadline) = self.streams[stream].on_reading(reading, now, started, out);
        if let Some(deadline) = deadline {
            self.deadline = self.deadline.min(deadline);
        }
        verdict
    }

    /// Lets time pass: closes windows, ends on-delays, notices silence.
    pub fn on_tick(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        let started = self.start(now);
        if now < self.deadline {
            return;
        }
        for stream in &mut self.streams {
            stream.on_tick(now, started, out);
        }
        self.deadline = self.streams.iter().filter_map(|stream| stream.deadline(started)).min().unwrap_or(FAR_FUTURE);
    }

    /// The next clock time at which a tick would do something; it may be early, never late. `None` before the first event.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.started.map(|_| self.deadline).filter(|deadline| *deadline < FAR_FUTURE)
    }

    /// After a restart: makes the rules' states agree with the alerts that the table remembers.
    ///
    /// Call it after the log of [`Engine::longest_window`] has been fed through [`Engine::on_reading`], whose signals are to be
    /// dropped. An alert that the journal does not know is raised again by the next reading that finds its condition true.
    pub fn restore(&mut self, open: &[Alert]) {
        for stream in &mut self.streams {
            stream.restore(open);
        }
        // The clock starts anew: the readings replayed are of before the pause.
        self.started = None;
        // Whatever was due is due at the next tick.
        self.deadline = Timestamp::MIN;
    }

    /// Keys that sent readings but are not in the registry, by stream and key.
    pub fn orphans(&self) -> Vec<Orphan> {
        let mut orphans: Vec<Orphan> = self.streams.iter().flat_map(StreamEngine::orphans).collect();
        orphans.sort_by(|a, b| (&a.stream, &a.key).cmp(&(&b.stream, &b.key)));
        orphans
    }

    /// Readings that went unjudged because their stream has too many keys that the registry does not know.
    pub fn unjudged_orphans(&self) -> u64 {
        self.streams.iter().map(StreamEngine::unjudged_orphans).sum()
    }

    fn start(&mut self, now: Timestamp) -> Timestamp {
        if self.started.is_none() {
            // From here on stations that are never heard are waited for.
            self.deadline = now;
        }
        *self.started.get_or_insert(now)
    }
}
