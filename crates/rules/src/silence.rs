//! The silence of keys: when it begins and ends, what it freezes, and the rules that speak of it.
//!
//! Invariant: silence clears nothing. What stands at a silent key is marked as frozen at its level.

use std::sync::Arc;

use huong_types::{Name, SignalKind, Span, Timestamp};

use crate::engine::Out;
use crate::expr::{Cell, Row};
use crate::life::Judgement;
use crate::rule::{Judge, Rule, Sight};
use crate::stream::{StreamEngine, World, ctx};
use crate::subject::Subject;

/// How often a silence is looked at again whose condition does not hold: what it depends on may have changed meanwhile.
const LOOK_AGAIN: Span = Span::from_mins(5);

impl StreamEngine {
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

    pub(crate) fn sensor_due(&self, k: u32, world: &World) -> Timestamp {
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

    pub(crate) fn fall_silent(&mut self, due: &[u32], now: Timestamp, world: &World, out: &mut Out) {
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
pub(crate) fn stale(rules: &[Rule], subject: &mut Subject, since: Timestamp, at: Timestamp, out: &mut Out) {
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
