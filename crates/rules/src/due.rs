//! What the clock does to a stream: windows close, on-delays end, schedules end, keys fall silent.
//!
//! Invariant: everything happens at its due time, whenever the clock is looked at: [`StreamEngine::on_due`] is called for one
//! moment after the other, so that the same readings give the same signals however they are split into batches.

use std::cmp::Reverse;
use std::sync::Arc;

use huong_types::{Name, SignalKind, Span, Timestamp};

use crate::engine::Out;
use crate::expr::{Cell, Row};
use crate::life::Judgement;
use crate::rule::{Judge, Rule, Sight};
use crate::stream::{Slot, StreamEngine, World, ctx, judge_window};
use crate::subject::Subject;
use crate::windows::Window;

/// How often a silence is looked at again whose condition does not hold: what it depends on may have changed meanwhile.
const LOOK_AGAIN: Span = Span::from_mins(5);
/// A key of an event stream is forgotten after this much more than its rules remember.
const FORGET: Span = Span::from_mins(60);

impl StreamEngine {
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// Wakes everyone who is due at `now` or before.
    pub(crate) fn on_due(&mut self, now: Timestamp, world: &World, out: &mut Out) {
        let (mut sensors, mut subjects, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(Reverse((due, slot))) = self.queue.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.queue.pop();
            // An entry that was overtaken by an earlier one is void.
            let scheduled = self.scheduled(slot);
            if *scheduled != due {
                continue;
            }
            *scheduled = Timestamp::MAX;
            match slot {
                Slot::Sensor(k) => sensors.push(k),
                Slot::Subject(g, s) => subjects.push((g, s)),
                Slot::Cluster(c) => clusters.push(c),
            }
        }
        sensors.sort_unstable_by_key(|k| self.rank(0, *k));
        subjects.sort_unstable_by_key(|(g, s)| self.rank(*g, *s));
        for (g, s) in subjects {
            self.on_subject(g, s, now, world, out);
        }
        for c in clusters {
            self.expire_clusters(c, now, world, out);
        }
        if !sensors.is_empty() {
            self.fall_silent(&sensors, now, world, out);
        }
    }

    /// After a restart: nobody is waited for any longer.
    pub(crate) fn sleep(&mut self) {
        self.queue.clear();
        self.sensors.iter_mut().for_each(|sensor| sensor.scheduled = Timestamp::MAX);
        self.groups.iter_mut().flat_map(|group| &mut group.subjects).for_each(|subject| subject.scheduled = Timestamp::MAX);
        self.clusters.iter_mut().for_each(|cluster| cluster.scheduled = Timestamp::MAX);
    }

    /// Everyone is waited for.
    pub(crate) fn wake_all(&mut self, world: &World) {
        for k in 0..self.sensors.len() as u32 {
            self.wake_sensor(k, world);
        }
        for g in 0..self.groups.len() as u16 {
            for s in 0..self.groups[g as usize].subjects.len() as u32 {
                self.wake_subject(g, s, world);
            }
        }
        for c in 0..self.clusters.len() as u32 {
            self.wake_cluster(c);
        }
    }

    pub(crate) fn wake_sensor(&mut self, k: u32, world: &World) {
        let due = self.sensor_due(k, world);
        self.wake(Slot::Sensor(k), due);
    }

    pub(crate) fn wake_subject(&mut self, g: u16, s: u32, world: &World) {
        let due = self.subject_due(g, s, world);
        self.wake(Slot::Subject(g, s), due);
    }

    pub(crate) fn wake_cluster(&mut self, c: u32) {
        let due = self.clusters[c as usize].due(self.spec.disorder);
        self.wake(Slot::Cluster(c), due);
    }

    fn wake(&mut self, slot: Slot, due: Timestamp) {
        let scheduled = self.scheduled(slot);
        if due < *scheduled {
            *scheduled = due;
            self.queue.push(Reverse((due, slot)));
        }
    }

    fn scheduled(&mut self, slot: Slot) -> &mut Timestamp {
        match slot {
            Slot::Sensor(k) => &mut self.sensors[k as usize].scheduled,
            Slot::Subject(g, s) => &mut self.groups[g as usize].subjects[s as usize].scheduled,
            Slot::Cluster(c) => &mut self.clusters[c as usize].scheduled,
        }
    }

    /// When the clock next does something to a subject; [`Timestamp::MAX`] for never.
    fn subject_due(&self, g: u16, s: u32, world: &World) -> Timestamp {
        let group = &self.groups[g as usize];
        let subject = &group.subjects[s as usize];
        if world.started == Timestamp::MAX {
            return Timestamp::MAX;
        }
        let Some(newest) = subject.newest else { return Timestamp::MAX };
        let mut due = Timestamp::MAX;
        for (p, shared) in group.plans.iter().enumerate() {
            let end = subject.windows[p].windows.next_end(&shared.plan);
            let idle = self.next_idle_end(g, s, p);
            due = end.into_iter().chain(idle).fold(due, |due, end| due.min(subject.clock_reaches(end, self.spec.disorder)));
        }
        for (i, state) in subject.lives() {
            if let Some(matures) = state.life.matures() {
                due = due.min(subject.clock_reaches(matures, self.spec.disorder));
            }
            if let (Some(schedule), Some(_)) = (&self.rules[i as usize].schedule, state.life.since()) {
                due = due.min(schedule.next_change(state.life.judged().max(newest)));
            }
            // Those of single keys follow the silence of the key itself.
            if g > 0 && !self.spec.events && state.life.is_raised() && !state.life.stale {
                due = due.min(newest.max(world.started) + subject.quiet_after);
            }
        }
        if due == Timestamp::MAX && self.is_forgettable(g, s) {
            due = newest.max(world.started) + self.retention();
        }
        due
    }

    fn on_subject(&mut self, g: u16, s: u32, now: Timestamp, world: &World, out: &mut Out) {
        self.close_windows(g, s, now, world, out);
        let events = self.spec.events;
        let Self { spec, groups, rules, sensors, .. } = self;
        let subject = &mut groups[g as usize].subjects[s as usize];
        let ctx = ctx(spec, world);
        let upto = subject.clock_watermark(spec.disorder, now);
        let mature: Vec<u32> =
            subject.lives().filter(|(_, state)| state.life.matures().is_some_and(|at| at <= upto)).map(|(i, _)| i).collect();
        for i in mature {
            rules[i as usize].mature(i, ctx, subject, upto, out);
        }
        let off =
            |(i, state): &(u32, &crate::subject::RuleState)| state.life.since().is_some() && !rules[*i as usize].is_on(now, world.exercise);
        let ended: Vec<u32> = subject.lives().filter(off).map(|(i, _)| i).collect();
        for i in ended {
            rules[i as usize].end(i, ctx, subject, now, &[], out);
        }
        let silent_since = match g {
            0 => sensors[s as usize].silent_since,
            _ => subject.newest.filter(|newest| !events && now >= newest.max(&world.started).to_owned() + subject.quiet_after),
        };
        if let Some(since) = silent_since {
            stale(rules, subject, since, now, out);
        }
        let forgettable = self.is_forgettable(g, s);
        let subject = &self.groups[g as usize].subjects[s as usize];
        if forgettable && subject.newest.is_some_and(|newest| now >= newest.max(world.started) + self.retention()) {
            self.forget(g, s);
            return;
        }
        self.wake_subject(g, s, world);
    }

    fn close_windows(&mut self, g: u16, s: u32, now: Timestamp, world: &World, out: &mut Out) {
        let watermark = self.groups[g as usize].subjects[s as usize].clock_watermark(self.spec.disorder, now);
        self.close_until(g, s, watermark, now, world, out);
    }

    /// A reading of `at` has come, before which nothing more will: hops in which nothing happened are judged before it is.
    pub(crate) fn pass_idle(&mut self, g: u16, s: u32, at: Timestamp, now: Timestamp, world: &World, out: &mut Out) {
        if !self.spec.events {
            return;
        }
        for p in 0..self.groups[g as usize].plans.len() {
            let follows = self.follows(g, s, p);
            let group = &mut self.groups[g as usize];
            let Window::Hops { hop, .. } = group.plans[p].plan.window() else { continue };
            let followed = &mut group.subjects[s as usize].windows[p].followed;
            let begins = (at.min(now) - Span::from_millis(1)).floor(hop);
            *followed = if follows { begins.min(*followed) } else { begins };
        }
        if self.groups[g as usize].subjects[s as usize].newest.is_some_and(|newest| at.min(now) > newest) {
            let until = (at.min(now) - self.spec.disorder).min(at - Span::from_millis(1));
            self.close_until(g, s, until, now, world, out);
        }
    }

    fn close_until(&mut self, g: u16, s: u32, watermark: Timestamp, now: Timestamp, world: &World, out: &mut Out) {
        let mut closed = Vec::new();
        for p in 0..self.groups[g as usize].plans.len() {
            loop {
                let idle = self.next_idle_end(g, s, p);
                let Self { spec, groups, rules, derives, .. } = self;
                let group = &mut groups[g as usize];
                let (subject, shared) = (&mut group.subjects[s as usize], &group.plans[p]);
                let idle = idle.filter(|end| *end <= watermark);
                let windows = &mut subject.windows[p].windows;
                windows.close(&shared.plan, idle.unwrap_or(watermark), &mut |window| closed.push(window));
                if let Some(end) = idle.filter(|end| closed.last().is_none_or(|last| last.end != *end)) {
                    closed.extend(windows.at_end(&shared.plan, end));
                }
                for window in closed.drain(..) {
                    judge_window(rules, derives, ctx(spec, world), shared, p, subject, &window, now, out);
                }
                if idle.is_none() {
                    break;
                }
            }
        }
    }

    /// In a stream of events nothing is a figure too: the next hop that is to be judged though nothing may have come in it.
    fn next_idle_end(&self, g: u16, s: u32, p: usize) -> Option<Timestamp> {
        let group = &self.groups[g as usize];
        let (subject, shared) = (&group.subjects[s as usize], &group.plans[p]);
        let Window::Hops { hop, .. } = shared.plan.window() else { return None };
        let watched = &subject.windows[p];
        let follows = self.spec.events && watched.followed != Timestamp::MAX && self.follows(g, s, p);
        follows.then(|| watched.upto.max(watched.followed).floor(hop) + hop)
    }

    /// Whether hops in which nothing comes matter: of what is listed, and while something stands or is not forgotten yet.
    fn follows(&self, g: u16, s: u32, p: usize) -> bool {
        let group = &self.groups[g as usize];
        let subject = &group.subjects[s as usize];
        let stands = || group.plans[p].rules.iter().any(|gate| subject.state(gate.rule).is_some_and(|state| !state.life.is_blank()));
        !subject.windows[p].windows.is_empty() || self.is_registered(g, s) || stands()
    }

    /// What is listed is looked at even when nothing comes; the stream as a whole is listed.
    fn is_registered(&self, g: u16, s: u32) -> bool {
        match self.groups[g as usize].by {
            crate::group::By::Key => self.sensors[s as usize].registered,
            crate::group::By::All => true,
            crate::group::By::Field(_) | crate::group::By::Fact(_) => false,
        }
    }

    /// Keys of a gauge are few; those of occurrences, and texts, come and go.
    fn is_forgettable(&self, g: u16, s: u32) -> bool {
        let group = &self.groups[g as usize];
        let subject = &group.subjects[s as usize];
        // What windows hold and have judged outlives its use, by less than the key does.
        let judged = || subject.windows.iter().zip(&group.plans).all(|(watched, shared)| watched.windows.next_end(&shared.plan).is_none());
        (self.spec.events || g > 0) && !self.is_registered(g, s) && subject.is_idle() && judged()
    }

    fn retention(&self) -> Span {
        let counts = self.groups.iter().flat_map(|group| &group.plans).any(|shared| matches!(shared.plan.window(), Window::Count { .. }));
        // Count windows know no time: of these the stream says after which silence nothing follows from what was.
        (self.memory() + FORGET).max(if counts { self.spec.gap } else { Span::ZERO })
    }

    fn forget(&mut self, g: u16, s: u32) {
        if g == 0 {
            self.release(s);
        }
        self.groups[g as usize].forget(s);
    }

    /// The source of a key has said that nothing will come any more. A key that was never heard is nobody's loss.
    pub(crate) fn silence(&mut self, key: &Name, now: Timestamp, world: &World, out: &mut Out) {
        let Some(k) = self.groups[0].find(key) else { return };
        self.sensors[k as usize].gone = true;
        self.fall_silent(&[k], now, world, out);
    }

    /// Ends the silence of a key, unless what arrived is itself too old to speak of now.
    pub(crate) fn hear(&mut self, k: u32, at: Timestamp, now: Timestamp, world: &World, out: &mut Out) {
        let keep = self.silence_rules().any(|(_, rule)| rule.when.is_some());
        let cells: Box<[Cell]> = if keep { self.cells().into() } else { Box::default() };
        let Self { spec, sensors, groups, rules, silences, .. } = self;
        let sensor = &mut sensors[k as usize];
        sensor.gone = false;
        let known = at.min(now);
        if sensor.newest.is_none_or(|newest| known >= newest) {
            sensor.newest = Some(known);
            sensor.last = cells;
        }
        let Some(newest) = sensor.newest else { return };
        let subject = &mut groups[0].subjects[k as usize];
        let was_silent = now < newest + sensor.silent_after && sensor.silent_since.take().is_some();
        if now < newest + sensor.silent_after {
            fresh(rules, subject, at, out);
        }
        for i in silences.iter().copied() {
            let rule = &rules[i as usize];
            let Judge::Silence { after } = rule.judge else { continue };
            let over = now < newest + after.unwrap_or(sensor.silent_after);
            let Some(state) = subject.state(i).filter(|state| over && state.life.is_raised()) else { continue };
            // The silence was noticed by the clock; what ends it may be dated before that moment.
            let at = at.max(state.life.judged() + Span::from_millis(1));
            let judgement = Judgement { at, when: Some(false), clear: Some(true), may_clear: true };
            silence_row(rule, i, judgement, None, spec, subject, &sensor.last, world, out);
        }
        if was_silent && self.sensors[k as usize].registered {
            self.silent -= 1;
            self.judge_class(at, world, out);
        }
    }

    fn sensor_due(&self, k: u32, world: &World) -> Timestamp {
        if world.started == Timestamp::MAX {
            return Timestamp::MAX;
        }
        let (sensor, subject) = (&self.sensors[k as usize], &self.groups[0].subjects[k as usize]);
        let from = sensor.quiet_from(world.started);
        let mut due = Timestamp::MAX;
        if !self.spec.events && sensor.silent_since.is_none() && (sensor.registered || subject.has_alert()) {
            due = from + sensor.silent_after;
        }
        for (i, rule) in self.silence_rules() {
            let Some(after) = self.silence_after(rule, k) else { continue };
            if subject.state(i).is_some_and(|state| state.life.is_raised()) || rule.extras.is_off(&subject.name) {
                continue;
            }
            let at = from + after;
            let at = if sensor.looked >= at { sensor.looked + LOOK_AGAIN } else { at };
            let on = rule.schedule.as_ref().filter(|schedule| !schedule.holds(at)).map(|schedule| schedule.next_change(at));
            due = due.min(on.unwrap_or(at));
        }
        due
    }

    fn silence_rules(&self) -> impl Iterator<Item = (u32, &Rule)> {
        self.silences.iter().map(|i| (*i, &self.rules[*i as usize]))
    }

    /// After which silence of a key the rule speaks; `None` when it does not speak of this key.
    fn silence_after(&self, rule: &Rule, k: u32) -> Option<Span> {
        let sensor = &self.sensors[k as usize];
        match rule.judge {
            Judge::Silence { after: Some(after) } => (sensor.registered || sensor.newest.is_some()).then_some(after),
            Judge::Silence { after: None } => (sensor.registered && !self.spec.events).then_some(sensor.silent_after),
            _ => None,
        }
    }

    fn fall_silent(&mut self, due: &[u32], now: Timestamp, world: &World, out: &mut Out) {
        let mut fell = Vec::new();
        for k in due {
            let events = self.spec.events;
            let has_alert = self.groups[0].subjects[*k as usize].has_alert();
            let sensor = &mut self.sensors[*k as usize];
            let quiet = now >= sensor.quiet_from(world.started) + sensor.silent_after;
            if !events && quiet && sensor.silent_since.is_none() && (sensor.registered || has_alert) {
                sensor.silent_since = Some(sensor.newest.unwrap_or(world.started));
                self.silent += u32::from(sensor.registered);
                fell.push(*k);
            }
        }
        if !fell.is_empty() {
            // Of many that fall silent at once people are told as one; the single ones come after it and hidden by it.
            self.judge_class(now, world, out);
        }
        for k in &fell {
            let subject = &mut self.groups[0].subjects[*k as usize];
            if let Some(since) = self.sensors[*k as usize].silent_since {
                stale(&self.rules, subject, since, now, out);
            }
        }
        for k in due {
            let speaking: Vec<u32> = self
                .silence_rules()
                .filter(|(_, rule)| rule.is_on(now, world.exercise))
                .filter(|(_, rule)| {
                    let from = self.sensors[*k as usize].quiet_from(world.started);
                    self.silence_after(rule, *k).is_some_and(|after| now >= from + after)
                })
                .map(|(i, _)| i)
                .collect();
            let Self { spec, groups, rules, sensors, .. } = self;
            let (sensor, subject) = (&mut sensors[*k as usize], &mut groups[0].subjects[*k as usize]);
            sensor.looked = now;
            let since = sensor.newest.unwrap_or(world.started);
            for i in speaking {
                let rule = &rules[i as usize];
                if !rule.extras.is_off(&subject.name) {
                    let silent = Judgement { at: now, when: Some(true), clear: Some(false), may_clear: false };
                    silence_row(rule, i, silent, Some(since), spec, subject, &sensor.last, world, out);
                }
            }
            self.wake_sensor(*k, world);
            self.wake_subject(0, *k, world);
        }
    }

    /// Whether too many of the stream's keys are silent.
    fn judge_class(&mut self, at: Timestamp, world: &World, out: &mut Out) {
        let Self { spec, rules, classes, silent, registered, .. } = self;
        for (i, subject) in classes {
            let rule = &rules[*i as usize];
            let Judge::ClassSilence { share, least } = rule.judge else { continue };
            let when = *silent >= least && f64::from(*silent) > share * f64::from(*registered);
            let own = [Cell::Number(f64::from(*silent)), Cell::Number(f64::from(*registered))];
            let at = subject.state(*i).map_or(at, |state| at.max(state.life.judged() + Span::from_millis(1)));
            let judgement = Judgement { at, when: Some(when), clear: Some(!when), may_clear: true };
            let sight = Sight { at, start: at, own: &own, may_clear: true, open: false, flags: &[] };
            rule.apply(*i, ctx(spec, world), subject, judgement, rule.timing.hold, sight, Row { own: &own, facts: &[], extra: &[] }, out);
        }
    }
}

/// Takes a judgement about silence to its rule, if its condition holds for what was last heard.
#[expect(clippy::too_many_arguments, reason = "a judgement and what surrounds it")]
fn silence_row(
    rule: &Rule,
    i: u32,
    judgement: Judgement,
    since: Option<Timestamp>,
    spec: &huong_types::Stream,
    subject: &mut Subject,
    last: &[Cell],
    world: &World,
    out: &mut Out,
) {
    let ctx = crate::rule::Ctx { told_at: since, ..ctx(spec, world) };
    let extra = rule.extras.fill(&subject.name, judgement.at, ctx.board, ctx.registry, None);
    let nothing = vec![Cell::Null; rule.columns];
    let own = if last.is_empty() { &nothing } else { last };
    let facts = Arc::clone(&subject.facts);
    let row = Row { own, facts: &facts, extra: &extra };
    let holds = rule.when.as_ref().is_none_or(|when| when.eval(row) == Some(true));
    if judgement.when == Some(true) && !holds {
        return;
    }
    let sight = Sight { at: judgement.at, start: judgement.at, own, may_clear: true, open: false, flags: &[] };
    rule.apply(i, ctx, subject, judgement, rule.timing.hold, sight, row, out);
}

/// Marks what stands as frozen at its level: silence never clears.
fn stale(rules: &[Rule], subject: &mut Subject, since: Timestamp, at: Timestamp, out: &mut Out) {
    mark(rules, subject, at, SignalKind::Stale { since }, out);
}

pub(crate) fn fresh(rules: &[Rule], subject: &mut Subject, at: Timestamp, out: &mut Out) {
    mark(rules, subject, at, SignalKind::Fresh, out);
}

fn mark(rules: &[Rule], subject: &mut Subject, at: Timestamp, kind: SignalKind, out: &mut Out) {
    let to = matches!(kind, SignalKind::Stale { .. });
    let name: Name = subject.name.clone();
    for (i, state) in subject.lives_mut() {
        let rule = &rules[i as usize];
        if state.life.is_raised() && state.life.stale != to && !matches!(rule.judge, Judge::Silence { .. }) {
            state.life.stale = to;
            out.signals.push(rule.bare_signal(&name, at, kind));
        }
    }
}
