//! The engine: readings and ticks in, signals and derived readings out.
//!
//! Order of signals, which is part of the contract because journals must be equal byte for byte: what a reading causes comes in the
//! order freshness, then group by group readings rules and windows, clusters, suspicion, and after that what derived readings and
//! patterns cause; the clock goes moment by moment and within one moment stream by stream through windows, on-delays, silence.
//! Within each, rules come in the order of the files and keys in the order of the registry, others after them by name.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use huong_types::{Alert, Map, Name, Problems, Reading, Registry, RuleInfo, Signal, Span, Stream, Timestamp};

use crate::compile::{compile_rules, load};
use crate::explain::Watched;
use crate::expr::Row;
use crate::stream::{StreamEngine, World};

/// All rules over all streams, with their state.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<RuleInfo>,
    streams: Vec<StreamEngine>,
    index: Map<Name, usize>,
    world: World,
    /// When the last reading arrived.
    heard: Timestamp,
    /// By stream: the patterns that wait for something in it, as (stream, rule) of the pattern.
    waiting: Vec<Vec<(usize, u32)>>,
}

/// What the engine says, appended to what is there.
#[derive(Debug, Default)]
pub struct Out {
    pub signals: Vec<Signal>,
    /// Readings that rules computed; the engine has judged them already.
    pub derived: Vec<Reading>,
    /// Every judgement of the rule and key given to [`Engine::watch`].
    pub watched: Vec<Watched>,
    /// Derived readings said anew because late readings came: to be stored, and judged by nobody.
    pub corrected: Vec<Reading>,
    /// Windows that changed after they had been judged: they neither raise by history nor clear by it.
    pub corrections: u64,
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

/// Counts of what an engine remembers.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) keys: usize,
    pub(crate) subjects: usize,
    pub(crate) events: usize,
    pub(crate) board: usize,
}

/// A key that sent readings and is not in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub stream: Name,
    pub key: Name,
}

impl Engine {
    /// Compiles the rules of all files, given as (file name, text). Every mistake goes to `problems`; `None` when there is any there.
    pub fn compile(pipelines: &[(String, String)], streams: &[Stream], registry: Arc<Registry>, problems: &mut Problems) -> Option<Engine> {
        let rules = load(pipelines, problems);
        compile_rules(&rules, streams, &registry, problems)
    }

    /// Everything checked: `streams` in the order of the configuration, `rules` in that of the files.
    pub(crate) fn new(rules: Vec<RuleInfo>, mut streams: Vec<StreamEngine>, world: World) -> Self {
        let mut waiting = vec![Vec::new(); streams.len()];
        for (s, stream) in streams.iter().enumerate() {
            for (i, rule) in (0u32..).zip(&stream.rules) {
                if let Some(then) = &rule.then {
                    waiting[then.stream].push((s, i));
                }
            }
        }
        for stream in &mut streams {
            stream.populate(&world);
        }
        let index = streams.iter().enumerate().map(|(i, stream)| (stream.spec.id.clone(), i)).collect();
        Self { rules, streams, index, world, heard: Timestamp::MIN, waiting }
    }

    /// In the order of the files.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// How far back the readings of each stream still matter: to a window, a delay, a pattern, a silence or a baseline of its own, to
    /// rules of others that join it or wait for it, and to what is derived from it, all the way down.
    pub fn reach(&self) -> BTreeMap<Name, Span> {
        let mut reach: Vec<Span> = self.streams.iter().map(StreamEngine::memory).collect();
        // Where a rule begins to matter, what it looks at beside its stream must be known already.
        let beside: Vec<(usize, Span)> =
            self.streams.iter().zip(&reach).flat_map(|(stream, own)| stream.beside().map(|(other, age)| (other, *own + age))).collect();
        for (other, age) in beside {
            reach[other] = reach[other].max(age);
        }
        let known: Vec<Span> = (0..reach.len()).map(|s| self.with_derived(s, &reach)).collect();
        self.streams.iter().map(|stream| stream.spec.id.clone()).zip(known).collect()
    }

    /// Derived readings are computed anew: what they come from must be known for as long before. Streams derive without a circle.
    fn with_derived(&self, s: usize, reach: &[Span]) -> Span {
        let feeds = self.streams[s].feeds().filter_map(|(into, window)| Some(window + self.with_derived(*self.index.get(into)?, reach)));
        feeds.fold(reach[s], Span::max)
    }

    /// Judges a reading that arrived at `now`: sets the quality of its fields and says what follows from it. Time must have been let
    /// pass up to `now` before: see [`Engine::advance`].
    pub fn on_reading(&mut self, reading: &mut Reading, now: Timestamp, out: &mut Out) -> Verdict {
        self.start(now);
        self.heard = self.heard.max(now);
        let derived = out.derived.len();
        let verdict = self.judge(reading, now, out);
        self.judge_derived(derived, now, out);
        verdict
    }

    /// A source has said that nothing will come from this key any more: it is silent at once, not after its period.
    pub fn on_silence(&mut self, stream: &Name, key: &Name, now: Timestamp, out: &mut Out) {
        self.start(now);
        if let Some(&s) = self.index.get(stream) {
            self.streams[s].silence(key, now, &self.world, out);
        }
    }

    /// Lets time pass up to `now`: closes windows, ends delays, notices silence, each at its own due time.
    pub fn advance(&mut self, now: Timestamp, out: &mut Out) {
        self.start(now);
        while let Some(due) = self.next_deadline().filter(|due| *due <= now) {
            // What was due before the start is done at the start.
            let at = due.max(self.world.started);
            for s in 0..self.streams.len() {
                let derived = out.derived.len();
                self.streams[s].on_due(at, &self.world, out);
                self.judge_derived(derived, at, out);
            }
        }
    }

    /// The next clock time at which [`Engine::advance`] would do something; it may be early, never late. `None` before the first event.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.streams.iter().filter_map(StreamEngine::deadline).min()
    }

    /// The clock at the first event.
    pub fn started(&self) -> Option<Timestamp> {
        Some(self.world.started).filter(|started| *started != Timestamp::MAX)
    }

    /// Whether rules that are for exercises only are judged.
    pub fn set_exercise(&mut self, on: bool) {
        self.world.exercise = on;
    }

    /// From now on every judgement of `rule` about `key` is told in full.
    pub fn watch(&mut self, rule: Name, key: Name) {
        self.world.watch = Some((rule, key));
    }

    /// After a restart: makes the rules' states agree with the alerts that the table remembers.
    ///
    /// Call it after the log of [`Engine::longest_window`] has been fed through [`Engine::advance`] and [`Engine::on_reading`], whose
    /// output is to be dropped. An alert that the journal does not know is raised again by the next reading that finds its condition
    /// true.
    pub fn restore(&mut self, open: &[Alert]) {
        for stream in &mut self.streams {
            stream.restore(open, &self.world);
        }
        // The clock starts anew: the readings replayed are of before the pause.
        self.world.started = Timestamp::MAX;
    }

    /// The process was away since the last reading and is back at `now`. What was sent meanwhile is still on its way: until it has had
    /// its stream's disorder of time to come, the clock closes no window and ends no delay that fell due in between.
    pub fn resume(&mut self, now: Timestamp) {
        if self.heard == Timestamp::MIN {
            return;
        }
        for s in 0..self.streams.len() {
            let until = now + self.patience(s);
            let stream = &mut self.streams[s];
            stream.pause = stream.pause.then(self.heard, until);
        }
    }

    /// How long what is on its way may take; what is derived waits for what it is derived from.
    fn patience(&self, s: usize) -> Span {
        let spec = &self.streams[s].spec;
        let sources = (0..self.streams.len()).filter(|from| self.streams[*from].feeds().any(|(into, _)| *into == spec.id));
        sources.map(|from| self.patience(from)).max().unwrap_or(Span::ZERO).max(spec.disorder)
    }

    /// Takes over from an engine with other rules: what was known of the keys, and the states of rules that have not changed. Rules that
    /// have begin anew, but the alerts that the table has `open` go on under them: what one text raised the next one clears.
    pub fn adopt(&mut self, old: Engine, open: &[Alert]) {
        let patterns: Vec<(usize, usize)> = patterns(&self.streams)
            .filter_map(|(info, new)| {
                let same = |(was, _): &(&RuleInfo, usize)| was.id == info.id && was.version == info.version;
                Some((patterns(&old.streams).find(same)?.1, new))
            })
            .collect();
        self.world.board.adopt(old.world.board, &old.index, &self.index, &patterns);
        self.world.exercise = old.world.exercise;
        self.heard = old.heard;
        let mut streams: Map<Name, StreamEngine> = old.streams.into_iter().map(|stream| (stream.spec.id.clone(), stream)).collect();
        for stream in &mut self.streams {
            if let Some(was) = streams.remove(&stream.spec.id) {
                stream.adopt(was, &old.world.facts, &self.world);
            }
            stream.remember(open, &self.world);
        }
        if old.world.started != Timestamp::MAX {
            self.world.started = old.world.started;
            for stream in &mut self.streams {
                stream.wake_all(&self.world);
            }
        }
    }

    /// Keys that sent readings but are not in the registry, by stream and key.
    pub fn orphans(&self) -> Vec<Orphan> {
        let mut orphans: Vec<Orphan> = self.streams.iter().flat_map(StreamEngine::orphans).collect();
        orphans.sort_by(|a, b| (&a.stream, &a.key).cmp(&(&b.stream, &b.key)));
        orphans
    }

    /// Readings that went unjudged: their stream has too many keys that the registry does not know, or a cluster rule too many events.
    pub fn unjudged(&self) -> u64 {
        self.streams.iter().map(StreamEngine::unjudged).sum()
    }

    /// What it remembers, for tests of bounds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> Held {
        let groups = || self.streams.iter().flat_map(|stream| &stream.groups);
        Held {
            keys: self.streams.iter().map(|stream| stream.groups[0].len()).sum(),
            subjects: groups().map(crate::group::Group::len).sum(),
            events: self.streams.iter().flat_map(|stream| &stream.clusters).map(|state| state.clusters.kept()).sum(),
            board: self.world.board.kept(),
        }
    }

    fn judge(&mut self, reading: &mut Reading, now: Timestamp, out: &mut Out) -> Verdict {
        let Some(&s) = self.index.get(&reading.stream) else { return Verdict::History };
        let verdict = self.streams[s].on_reading(s, &mut self.world, reading, now, out);
        if verdict == Verdict::Judged && !self.waiting[s].is_empty() {
            self.judge_patterns(s, reading, out);
        }
        verdict
    }

    /// Derived readings are judged as any other, in the order in which they were made; streams derive from each other without a
    /// circle, so this ends.
    fn judge_derived(&mut self, from: usize, now: Timestamp, out: &mut Out) {
        let mut waiting: VecDeque<Reading> = out.derived.drain(from..).collect();
        let mut done = Vec::new();
        while let Some(mut reading) = waiting.pop_front() {
            let verdict = self.judge(&mut reading, now, out);
            waiting.extend(out.derived.drain(from..));
            if verdict != Verdict::Duplicate {
                done.push(reading);
            }
        }
        out.derived.append(&mut done);
    }

    /// Marks what patterns wait for, and tells them.
    fn judge_patterns(&mut self, s: usize, reading: &Reading, out: &mut Out) {
        for w in 0..self.waiting[s].len() {
            let (owner, i) = self.waiting[s][w];
            let Some(then) = &self.streams[owner].rules[i as usize].then else { continue };
            let facts = self.world.facts.of(self.world.registry.row(&reading.key).as_ref());
            let row = Row { own: self.streams[s].cells(), facts: &facts, extra: &[] };
            if then.when.eval(row) == Some(true)
                && let Some(key) = self.streams[owner].marked_as(i, s == owner, &reading.key, self.streams[s].cells(), &facts)
            {
                self.world.board.mark(then.pattern, &key, reading.at);
                self.streams[owner].on_mark(i, &key, reading.at, &self.world, out);
            }
        }
    }

    fn start(&mut self, now: Timestamp) {
        if self.world.started == Timestamp::MAX {
            self.world.started = now;
            self.resume(now);
            // From here on stations that are never heard are waited for.
            for stream in &mut self.streams {
                stream.wake_all(&self.world);
            }
        }
    }
}

/// Rules that wait for something to follow, with the places of their marks.
fn patterns(streams: &[StreamEngine]) -> impl Iterator<Item = (&RuleInfo, usize)> {
    let rules = streams.iter().flat_map(|stream| &stream.rules);
    rules.filter_map(|rule| rule.then.as_ref().map(|then| (&rule.info, then.pattern)))
}
