//! What the clock does to a stream: windows close, on-delays end, schedules end; keys that fall silent are woken here too.
//!
//! Invariant: everything happens at its due time, whenever the clock is looked at: [`StreamEngine::on_due`] is called for one
//! moment after the other, so that the same readings give the same signals however they are split into batches.

use std::cmp::Reverse;

use huong_types::{Span, Timestamp};

use crate::engine::Out;
use crate::silence::stale;
use crate::stream::{Slot, StreamEngine, World, ctx, judge_window};
use crate::windows::Window;

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
        let due = self.clusters[c as usize].due(self.spec.disorder, self.pause);
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
        let reached = |event| self.pause.due(subject.clock_reaches(event, self.spec.disorder));
        let mut due = Timestamp::MAX;
        for (p, shared) in group.plans.iter().enumerate() {
            let end = subject.windows[p].windows.next_end(&shared.plan);
            let idle = self.next_idle_end(g, s, p);
            due = end.into_iter().chain(idle).fold(due, |due, end| due.min(reached(end)));
        }
        for (i, state) in subject.lives() {
            if let Some(matures) = state.life.matures() {
                due = due.min(reached(matures));
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
        let Self { spec, groups, rules, sensors, pause, .. } = self;
        let subject = &mut groups[g as usize].subjects[s as usize];
        let ctx = ctx(spec, world);
        let upto = subject.clock_watermark(spec.disorder, pause.clock(now));
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
        let watermark = self.groups[g as usize].subjects[s as usize].clock_watermark(self.spec.disorder, self.pause.clock(now));
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
}
