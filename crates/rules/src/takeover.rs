//! What outlives the engine that knew it: after a restart the alerts that the journal left open, after a reload everything that the
//! new rules have in common with the old ones.

use huong_types::{Alert, Timestamp};

use crate::derive::Derive;
use crate::group::{By, Group};
use crate::rule::Judge;
use crate::sensor::Facts;
use crate::stream::{StreamEngine, World, ctx};

impl StreamEngine {
    /// Makes the rules' states agree with the open alerts, and forgets who was waited for.
    pub(crate) fn restore(&mut self, open: &[Alert], world: &World) {
        // Silence is measured from the start; but who was silent when the class was told to be still is.
        self.silent = 0;
        for sensor in &mut self.sensors {
            sensor.silent_since = None;
            let class = |alert: &&Alert| {
                self.rules.iter().any(|rule| rule.info.id == alert.rule && matches!(rule.judge, Judge::ClassSilence { .. }))
            };
            if let Some(alert) = open.iter().find(class).filter(|_| sensor.registered)
                && sensor.newest.is_none_or(|newest| newest + sensor.silent_after <= alert.updated)
            {
                sensor.silent_since = Some(sensor.newest.unwrap_or(alert.since));
                self.silent += 1;
            }
        }
        let alive = self.groups.iter_mut().flat_map(|group| &mut group.subjects).chain(self.classes.iter_mut().map(|(_, subject)| subject));
        for subject in alive {
            subject.lives_mut().for_each(|(_, state)| state.life.reset());
        }
        for cluster in &mut self.clusters {
            let rule = &self.rules[cluster.rule as usize];
            if let Judge::Cluster { spec, .. } = &rule.judge {
                cluster.restore(&rule.info.id, spec, open);
            }
        }
        self.remember(open, world);
        self.sleep();
    }

    /// Takes on the alerts of `open` that the rules do not know to be open.
    pub(crate) fn remember(&mut self, open: &[Alert], world: &World) {
        for alert in open {
            let Some(i) = self.rules.iter().position(|rule| rule.info.id == alert.rule) else { continue };
            let subject = match (&self.rules[i].judge, self.rules[i].group) {
                (Judge::Cluster { .. }, _) => continue,
                (Judge::ClassSilence { .. }, _) => self.classes.iter_mut().find(|(rule, _)| *rule == i as u32).map(|(_, subject)| subject),
                (_, 0) => self.sensor(&alert.key, world).map(|k| &mut self.groups[0].subjects[k as usize]),
                (_, g) => {
                    let s = self.groups[g].subject(&alert.key, world.facts.nothing());
                    Some(&mut self.groups[g].subjects[s as usize])
                }
            };
            let Some(subject) = subject else { continue };
            if alert.pending {
                // What the log was read from on is known better.
                if alert.since < world.started {
                    subject.newest = subject.newest.or(Some(alert.updated));
                    self.rules[i].restore_pending(i as u32, ctx(&self.spec, world), subject, alert);
                }
                continue;
            }
            subject.newest = subject.newest.or(Some(alert.updated));
            let state = subject.state_mut(i as u32);
            if !state.life.is_raised() {
                state.life.restore(alert.since, alert.holds, alert.stale_since.is_some(), alert.updated);
                state.told = alert.values.clone();
            }
        }
        for cluster in &mut self.clusters {
            cluster.remember(&self.rules[cluster.rule as usize].info.id, open);
        }
    }

    /// Takes over the keys of the same stream under other rules, and the states of rules that are the same.
    pub(crate) fn adopt(&mut self, old: StreamEngine, facts: &Facts, world: &World) {
        if old.spec != self.spec {
            return;
        }
        let same = |i: u32| {
            let info = &old.rules[i as usize].info;
            (0u32..).zip(&self.rules).find(|(_, rule)| rule.info.id == info.id && rule.info.version == info.version).map(|(i, _)| i)
        };
        let places: Vec<Option<u32>> = (0..old.rules.len() as u32).map(same).collect();
        let same = |was: &Derive| (0u32..).zip(&self.derives).find(|(_, is)| is.id == was.id && is.version == was.version).map(|(i, _)| i);
        let derives: Vec<Option<u32>> = old.derives.iter().map(same).collect();
        (self.unjudged, self.pause) = (old.unjudged, old.pause);
        let (mut old_groups, mut old_sensors) = (old.groups, old.sensors.into_iter().map(Some).collect::<Vec<_>>());
        self.checks = old.checks;
        for (key, position) in old_groups[0].names() {
            let Some(k) = self.sensor(&key, world) else { continue };
            let Some(was) = old_sensors[position as usize].take() else { continue };
            // What the registry says may have changed.
            let sensor = &mut self.sensors[k as usize];
            (sensor.trust, sensor.newest, sensor.silent_since) = (was.trust, was.newest, was.silent_since);
            (sensor.last, sensor.gone, sensor.looked) = (was.last, was.gone, was.looked);
            self.silent += u32::from(sensor.registered && sensor.silent_since.is_some());
        }
        for group in &mut self.groups {
            let same = |old: &&mut Group| match (&old.by, &group.by) {
                (By::Fact(was), By::Fact(is)) => facts.names()[*was] == world.facts.names()[*is],
                (was, is) => was == is,
            };
            let Some(old) = old_groups.iter_mut().find(same) else { continue };
            group.adopt(old, (&places, &derives), world.facts.nothing());
        }
        for (i, subject) in old.classes {
            let Some(place) = places[i as usize] else { continue };
            if let Some((_, own)) = self.classes.iter_mut().find(|(i, _)| *i == place) {
                own.adopt(subject, &places, |_| None);
            }
        }
        for mut cluster in old.clusters {
            let Some(place) = places[cluster.rule as usize] else { continue };
            if let Some(own) = self.clusters.iter_mut().find(|own| own.rule == place) {
                (cluster.rule, cluster.scheduled) = (place, Timestamp::MAX);
                *own = cluster;
            }
        }
    }
}
