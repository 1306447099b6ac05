//! The rules and keys of one stream.
//!
//! Invariant: a condition sees usable values only. A field that is missing, suspect, bad or late is NULL to it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use smallvec::SmallVec;

use huong_types::{Check, Flag, Name, Origin, Reading, Registry, Span, Stream, Timestamp, Value};

use crate::board::Board;
use crate::cluster_rule::ClusterState;
use crate::derive::Derive;
use crate::engine::{Orphan, Out, Verdict};
use crate::expr::{Cell, Kind, Row};
use crate::group::{By, Group};
use crate::life::Judgement;
use crate::pause::Pause;
use crate::quality::{Arrival, Checks};
use crate::rule::{Ctx, Judge, Rule, Sight};
use crate::sensor::{Facts, Sensor};
use crate::silence::fresh;
use crate::subject::Subject;
use crate::windows::{Closed, Window};

/// What all streams share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) registry: Arc<Registry>,
    pub(crate) facts: Facts,
    pub(crate) board: Board,
    pub(crate) exercise: bool,
    pub(crate) watch: Option<(Name, Name)>,
    /// The clock at the first event; a station never heard is silent by it.
    pub(crate) started: Timestamp,
}

#[derive(Debug)]
pub(crate) struct StreamEngine {
    pub(crate) spec: Stream,
    /// The reading's own columns: the fields in order, then `key`.
    pub(crate) columns: Arc<[(Name, Kind)]>,
    pub(crate) checks: Checks,
    pub(crate) keys: Vec<Name>,
    pub(crate) sensors: Vec<Sensor>,
    /// The first is by key, its subjects stand where the sensors do: its index is that of the keys.
    pub(crate) groups: Vec<Group>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) derives: Vec<Derive>,
    /// Those that speak of sensors instead of values.
    pub(crate) silences: Vec<u32>,
    suspicions: Vec<u32>,
    pub(crate) clusters: Vec<ClusterState>,
    /// The stream as a whole, for each rule about its class.
    pub(crate) classes: Vec<(u32, Subject)>,
    pub(crate) queue: BinaryHeap<Reverse<(Timestamp, Slot)>>,
    /// Registered keys, and how many of them are silent.
    pub(crate) registered: u32,
    pub(crate) silent: u32,
    orphans: u32,
    /// So many keys, the first, stand in the registry's order.
    listed: u32,
    pub(crate) unjudged: u64,
    pub(crate) pause: Pause,
    /// Scratch: the usable cells of the reading at hand, and those of them that are the newest of their field.
    pub(crate) cells: Vec<Cell>,
    current: Vec<Cell>,
    /// Scratch: its flagged values, by column.
    flagged: Vec<(usize, f64, Check)>,
    closed: Vec<Closed>,
}

/// Who is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    Sensor(u32),
    Subject(u16, u32),
    Cluster(u32),
}

impl StreamEngine {
    /// `groups` hold no subjects yet; the first is by key.
    pub(crate) fn new(spec: Stream, columns: Arc<[(Name, Kind)]>, groups: Vec<Group>, rules: Vec<Rule>, derives: Vec<Derive>) -> Self {
        let clusters = (0u32..).zip(&rules).filter_map(|(i, rule)| ClusterState::of(i, rule)).collect();
        let of_class = (0u32..).zip(&rules).filter(|(_, rule)| matches!(rule.judge, Judge::ClassSilence { .. }));
        let of_sensors =
            |wanted: fn(&Judge) -> bool| (0u32..).zip(&rules).filter(move |(_, rule)| wanted(&rule.judge)).map(|(i, _)| i).collect();
        let silences = of_sensors(|judge| matches!(judge, Judge::Silence { .. }));
        let suspicions = of_sensors(|judge| matches!(judge, Judge::Suspect));
        let classes = of_class.map(|(i, _)| (i, Subject::new(spec.id.clone(), Arc::new([]), std::iter::empty()))).collect();
        Self {
            cells: vec![Cell::Null; columns.len()],
            current: vec![Cell::Null; columns.len()],
            classes,
            checks: Checks::new(&spec),
            spec,
            columns,
            keys: Vec::new(),
            sensors: Vec::new(),
            groups,
            rules,
            derives,
            silences,
            suspicions,
            clusters,
            queue: BinaryHeap::new(),
            registered: 0,
            silent: 0,
            orphans: 0,
            listed: 0,
            unjudged: 0,
            pause: Pause::NONE,
            flagged: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// Makes the keys that the registry lists, in its order.
    pub(crate) fn populate(&mut self, world: &World) {
        let registry = Arc::clone(&world.registry);
        let (stream, vision) = (self.spec.id.clone(), self.spec.origin == Origin::Vision);
        let stations = registry.stations.iter().filter(|s| s.streams.contains(&stream)).map(|s| &s.id);
        let cameras = registry.cameras.iter().filter(|_| vision).map(|c| &c.id);
        for id in stations.chain(cameras) {
            self.sensor(id, world);
        }
        self.listed = self.keys.len() as u32;
    }

    pub(crate) fn orphans(&self) -> impl Iterator<Item = Orphan> + '_ {
        let unknown = self.keys.iter().zip(&self.sensors).filter(|(_, sensor)| sensor.orphan && self.spec.origin != Origin::Derived);
        unknown.map(|(key, _)| Orphan { stream: self.spec.id.clone(), key: key.clone() })
    }

    pub(crate) fn unjudged(&self) -> u64 {
        self.unjudged + self.clusters.iter().map(|state| state.clusters.ignored()).sum::<u64>()
    }

    /// How far back readings matter to any of its rules.
    pub(crate) fn memory(&self) -> Span {
        let windows = self.groups.iter().map(Group::longest).max().unwrap_or(Span::ZERO);
        let delays = self.rules.iter().map(Rule::memory).max().unwrap_or(Span::ZERO);
        let silence = self.sensors.iter().filter(|s| s.registered && !self.spec.events).map(|s| s.silent_after).max();
        windows + delays.max(silence.unwrap_or(Span::ZERO))
    }

    /// Judges one reading; what it changes in other streams is the caller's affair.
    pub(crate) fn on_reading(&mut self, place: usize, world: &mut World, reading: &mut Reading, now: Timestamp, out: &mut Out) -> Verdict {
        let Some(k) = self.sensor(&reading.key, world) else {
            self.unjudged += 1;
            return Verdict::History;
        };
        let (verdict, gap) = self.check(k, reading, now);
        if verdict != Verdict::Judged {
            return verdict;
        }
        let fields = self.columns.len() - 1;
        if self.cells[..fields].iter().any(|cell| *cell != Cell::Null) {
            world.board.note(place, &reading.key, reading.at, &self.cells);
            self.hear(k, reading.at, now, world, out);
            for g in 0..self.groups.len() {
                self.judge_group(g, k, reading.at, now, gap, world, out);
            }
            self.judge_clusters(reading.at, now, world, out);
        }
        // A reading of texts alone says nothing about the trust in numbers.
        if reading.fields.iter().any(|field| field.number().is_some()) {
            self.judge_suspicion(k, reading.at, world, out);
        }
        self.wake_sensor(k, world);
        verdict
    }

    /// The place of a key is free.
    pub(crate) fn release(&mut self, k: u32) {
        let sensor = &mut self.sensors[k as usize];
        self.orphans -= u32::from(sensor.orphan);
        // Nothing may wake it before another key has its place.
        (sensor.newest, sensor.scheduled) = (None, Timestamp::MAX);
    }

    /// Position of the key; `None` when there are too many unknown ones already.
    pub(crate) fn sensor(&mut self, key: &Name, world: &World) -> Option<u32> {
        if let Some(position) = self.groups[0].find(key) {
            return Some(position);
        }
        let sensor = Sensor::new(key, &self.spec, &world.registry, &world.facts, &self.checks);
        self.registered += u32::from(sensor.registered);
        if sensor.orphan {
            if self.orphans == self.spec.most_unknown_keys {
                return None;
            }
            self.orphans += 1;
        }
        // The place of a forgotten key, or a new one.
        let position = self.groups[0].subject(key, &sensor.facts);
        if position as usize == self.keys.len() {
            self.sensors.push(sensor);
            self.keys.push(key.clone());
        } else {
            self.sensors[position as usize] = sensor;
            self.keys[position as usize] = key.clone();
        }
        self.wake_sensor(position, world);
        Some(position)
    }

    /// The usable cells of the reading just judged, for patterns of other streams.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Sets the quality of every judged field; leaves usable values in `cells`, of these the newest of their field in `current`, and
    /// doubtful ones in `flagged`. Also whether the reading follows a gap.
    fn check(&mut self, k: u32, reading: &mut Reading, now: Timestamp) -> (Verdict, bool) {
        self.cells.fill(Cell::Null);
        self.current.fill(Cell::Null);
        self.flagged.clear();
        let Self { sensors, columns, cells, current, flagged, checks, spec, .. } = self;
        let sensor = &mut sensors[k as usize];
        let trust = &mut sensor.trust;
        let Arrival { verdict, gap } = checks.judge(k as usize, trust, reading, now);
        for field in &reading.fields {
            let Some(column) = columns.iter().position(|(name, _)| *name == field.name) else { continue };
            match (&field.value, columns[column].1, field.quality.flag) {
                (Value::Text(text), Kind::Text, _) => {
                    cells[column] = Cell::Text(Arc::clone(text));
                    current[column] = cells[column].clone();
                }
                (Value::Number(value), Kind::Number, Flag::Ok | Flag::Gap) => {
                    cells[column] = Cell::Number(*value);
                    if spec.events || checks.is_newest(trust, &field.name, reading.at.min(now)) {
                        current[column] = Cell::Number(*value);
                    }
                }
                (Value::Number(value), Kind::Number, Flag::Suspect | Flag::Bad) => {
                    flagged.extend(field.quality.check.map(|check| (column, *value, check)));
                }
                _ => {}
            }
        }
        let key = columns.len() - 1;
        cells[key] = sensor.key.clone();
        current[key] = cells[key].clone();
        (verdict, gap)
    }

    #[expect(clippy::too_many_arguments, reason = "a reading and what surrounds it")]
    fn judge_group(&mut self, g: usize, k: u32, at: Timestamp, now: Timestamp, gap: bool, world: &World, out: &mut Out) {
        let Self { spec, keys, sensors, groups, cells, unjudged, .. } = self;
        let (group, sensor, key) = (&mut groups[g], &sensors[k as usize], &keys[k as usize]);
        let Some(name) = group.name(key, &spec.id, cells, &sensor.facts) else { return };
        let s = match group.by {
            By::Key => k,
            By::Field(_) if group.find(&name).is_none() && group.len() >= spec.most_unknown_keys as usize => {
                *unjudged += 1;
                return;
            }
            By::All | By::Field(_) | By::Fact(_) => group.subject(&name, world.facts.nothing()),
        };
        self.pass_idle(g as u16, s, at, now, world, out);
        let Self { spec, keys, sensors, groups, rules, derives, cells, current, closed, pause, .. } = self;
        let (group, sensor, key) = (&mut groups[g], &sensors[k as usize], &keys[k as usize]);
        let Group { filters, plans, rules: on_reading, derives: derived, subjects, .. } = group;
        let subject = &mut subjects[s as usize];
        let newest = subject.heard(key, at, now);
        subject.quiet_after = subject.quiet_after.max(sensor.silent_after);
        // Single keys are heard by their sensor.
        if g > 0 && subject.newest.is_some_and(|newest| now < newest + subject.quiet_after) {
            fresh(rules, subject, at, out);
        }
        let ctx = ctx(spec, world);
        let row = Row { own: cells, facts: &sensor.facts, extra: &[] };
        let passes: SmallVec<[bool; 16]> = filters.iter().map(|filter| filter.condition.eval(row) == Some(true)).collect();
        let taken = |filter: Option<usize>| filter.is_none_or(|filter| passes[filter]);
        // Of a gauge only what is newest speaks of now; an event speaks for itself.
        let own: Option<&[Cell]> = match (&group.by, spec.events) {
            (_, true) => Some(cells),
            (By::Key, _) => Some(current),
            _ => newest.then_some(cells),
        };
        if let Some(own) = own {
            let sight = Sight { at, start: at, own, may_clear: !gap, open: false, flags: &[] };
            let row = Row { own, ..row };
            for gate in on_reading.iter().filter(|gate| taken(gate.filter)) {
                if gate.opens(row, ctx.watch.is_some(), subject) {
                    rules[gate.rule as usize].look(gate.rule, ctx, subject, sight, out);
                }
            }
            for i in derived.iter().filter(|i| taken(derives[**i as usize].filter)) {
                derives[*i as usize].emit(ctx, subject, at, own, now, out);
            }
        }
        // What the clock has closed already is judged again at once.
        let watermark = subject.clock_watermark(spec.disorder, pause.clock(now - Span::from_millis(1)));
        for (p, shared) in plans.iter().enumerate() {
            let windows = &mut subject.windows[p].windows;
            let fed = taken(shared.filter);
            if fed {
                windows.add(&shared.plan, at, cells, gap);
            }
            windows.close(&shared.plan, watermark, &mut |window| closed.push(window));
            if fed && shared.early {
                // What an open window gives is known as of the newest reading.
                let open = windows.open(&shared.plan);
                closed.extend(open.map(|window| Closed { end: subject.newest.unwrap_or(at), ..window }));
            }
            for window in closed.drain(..) {
                judge_window(rules, derives, ctx, shared, p, subject, &window, now, out);
            }
        }
        self.wake_subject(g as u16, s, world);
    }

    fn judge_suspicion(&mut self, k: u32, at: Timestamp, world: &World, out: &mut Out) {
        if self.suspicions.is_empty() {
            return;
        }
        let Self { spec, groups, rules, suspicions, cells, flagged, columns, .. } = self;
        let subject = &mut groups[0].subjects[k as usize];
        let ctx = ctx(spec, world);
        for i in suspicions.iter().copied() {
            let rule = &rules[i as usize];
            if rule.extras.is_off(&subject.name) || (flagged.is_empty() && subject.state(i).is_none()) {
                continue;
            }
            let doubtful = !flagged.is_empty();
            // The text shows what was sent, trusted or not.
            let mut own = cells.clone();
            for (column, value, _) in flagged.iter() {
                own[*column] = Cell::Number(*value);
            }
            let flags: Vec<(&str, f64, Check)> =
                flagged.iter().map(|(column, value, check)| (columns[*column].0.as_str(), *value, *check)).collect();
            let sight = Sight { at, start: at, own: &own, may_clear: true, open: false, flags: &flags };
            if !rule.in_schedule(i, ctx, subject, sight, out) {
                continue;
            }
            let facts = Arc::clone(&subject.facts);
            let row = Row { own: &own, facts: &facts, extra: &[] };
            let judgement = Judgement { at, when: Some(doubtful), clear: Some(!doubtful), may_clear: true };
            rule.apply(i, ctx, subject, judgement, rule.timing.hold, sight, row, out);
        }
        self.wake_subject(0, k, world);
    }

    /// Under which name the `i`-th rule's pattern looks for what has happened to `key`, of its own stream or another.
    pub(crate) fn marked_as(&self, i: u32, own: bool, key: &Name, cells: &[Cell], facts: &[Cell]) -> Option<Name> {
        let rule = &self.rules[i as usize];
        let group = &self.groups[rule.group];
        let same = matches!(rule.then.as_ref()?.to, crate::lens::To::Same);
        if same && (own || group.by == By::All) { group.name(key, &self.spec.id, cells, facts) } else { Some(key.clone()) }
    }

    /// The streams that are computed from this one, and over which windows.
    pub(crate) fn feeds(&self) -> impl Iterator<Item = (&Name, Span)> {
        let window = |derive: &Derive| derive.plan.map_or(Span::ZERO, |plan| self.groups[derive.group].plans[plan].plan.longest());
        self.derives.iter().map(move |derive| (&derive.into, window(derive)))
    }

    /// The streams that its rules and derivations look at beside it, and how far back.
    pub(crate) fn beside(&self) -> impl Iterator<Item = (usize, Span)> {
        let extras = self.rules.iter().map(|rule| &rule.extras).chain(self.derives.iter().map(|derive| &derive.extras));
        let joined = extras.flat_map(|extras| extras.joins().iter().map(|join| (join.stream, join.max_age)));
        joined.chain(self.rules.iter().filter_map(|rule| rule.then.as_ref().map(|then| (then.stream, then.reach()))))
    }

    /// In which order subjects that are due together are looked at.
    pub(crate) fn rank(&self, g: u16, s: u32) -> (u16, u32, &Name) {
        let listed = g == 0 && s < self.listed;
        (g, if listed { s } else { u32::MAX }, &self.groups[g as usize].subjects[s as usize].name)
    }

    /// What a pattern of this stream's `i`-th rule waited for has happened to `key` of another, or of this.
    pub(crate) fn on_mark(&mut self, i: u32, key: &Name, at: Timestamp, world: &World, out: &mut Out) {
        let rule = &self.rules[i as usize];
        let Some(then) = &rule.then else { return };
        let g = rule.group;
        let group = &self.groups[g];
        let mut concerned: Vec<u32> = match &then.to {
            crate::lens::To::Same => group.find(key).into_iter().collect(),
            to => {
                let with_state = (0u32..).zip(&group.subjects).filter(|(_, subject)| subject.state(i).is_some());
                with_state.filter(|(_, subject)| to.keys(&subject.name, &world.registry).contains(key)).map(|(s, _)| s).collect()
            }
        };
        concerned.sort_by_key(|s| self.rank(g as u16, *s));
        for s in concerned {
            let Self { spec, groups, rules, .. } = self;
            let (rule, subject) = (&rules[i as usize], &mut groups[g].subjects[s as usize]);
            rule.followed(i, ctx(spec, world), subject, at, out);
            self.wake_subject(g as u16, s, world);
        }
    }
}

pub(crate) fn ctx<'a>(spec: &'a Stream, world: &'a World) -> Ctx<'a> {
    Ctx {
        stream: spec,
        registry: &world.registry,
        board: &world.board,
        exercise: world.exercise,
        told_at: None,
        watch: world.watch.as_ref().map(|(rule, key)| (rule, key)),
    }
}

/// Everyone who looks through a window looks at it.
#[expect(clippy::too_many_arguments, reason = "a window and what surrounds it")]
pub(crate) fn judge_window(
    rules: &[Rule],
    derives: &[Derive],
    ctx: Ctx<'_>,
    shared: &crate::group::Shared,
    p: usize,
    subject: &mut Subject,
    window: &Closed,
    now: Timestamp,
    out: &mut Out,
) {
    let upto = &mut subject.windows[p].upto;
    // Its successors have been judged: history, neither raised nor cleared by.
    let history = !window.open && window.end < *upto;
    let mut again = false;
    if !window.open && !history {
        again = matches!(shared.plan.window(), Window::Hops { .. }) && window.end == *upto;
        *upto = window.end;
    }
    out.corrections += u64::from(history || again);
    let moved = shared.moved(&window.cells);
    let cells = moved.as_ref().unwrap_or(&window.cells);
    let sight = Sight { at: window.end, start: window.start, own: cells, may_clear: window.may_clear, open: window.open, flags: &[] };
    for gate in shared.rules.iter().filter(|_| !history) {
        let row = Row { own: cells, facts: &subject.facts, extra: &[] };
        if gate.opens(row, ctx.watch.is_some(), subject) {
            let rule = &rules[gate.rule as usize];
            if !window.open || matches!(rule.judge, Judge::Window { early: true, .. }) {
                rule.look(gate.rule, ctx, subject, sight, out);
            }
        }
    }
    for derive in shared.derives.iter().map(|i| &derives[*i as usize]).filter(|_| !window.open) {
        if history || again {
            derive.correct(ctx, subject, window.end, cells, now, out);
        } else {
            derive.emit(ctx, subject, window.end, cells, now, out);
        }
    }
}
