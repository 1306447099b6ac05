//! What the clock does to alerts: shelves end, flapping ends, escalation goes on; and what new rules do to old alerts.
//!
//! Invariant: each step happens at the moment at which it was due, in the order of these moments, however seldom the clock ticks.

use huong_types::{About, Alert, AlertState, Name, RuleInfo, Text, Timestamp, Transition, TransitionKind};

use crate::change::{Step, Steps};
use crate::open::Place;
use crate::rules::Rules;
use crate::state::{end, state};
use crate::table::Table;

impl Table {
    /// Does what is due at `now`, in processing time.
    pub fn on_tick(&mut self, now: Timestamp) -> Vec<Transition> {
        let mut steps = self.begin(now, now);
        self.catch_up(now, &mut steps);
        self.end(steps)
    }

    /// Does what is due by `until`.
    pub(crate) fn catch_up(&mut self, until: Timestamp, steps: &mut Steps) {
        if std::mem::take(&mut self.unsure) {
            // Readings lived through again fill windows, not the wait of a condition: it will be pending anew if it still holds.
            self.settle_all(steps, |_| true);
            self.fit_rules(steps);
            self.reckon();
        }
        while let Some((due, place)) = self.open.first_due().filter(|(due, _)| *due <= until).cloned() {
            steps.at = due;
            self.act(&place, due, steps);
        }
    }

    /// When [`Table::on_tick`] has something to do at the earliest; `None`: never, unless something else happens first.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.unsure { Some(Timestamp::MIN) } else { self.open.first_due().map(|(due, _)| *due) }
    }

    /// Takes over rules that changed while running. An alert whose rule is gone stays, latched: an acknowledgement closes it.
    pub fn reload(&mut self, rules: &[RuleInfo], now: Timestamp) -> Vec<Transition> {
        let mut steps = self.begin(now, now);
        self.rules = Rules::new(rules);
        self.regroup_all();
        let same = |alert: &Alert| rules.iter().any(|rule| rule.id == alert.rule && rule.version == alert.rule_version);
        self.settle_all(&mut steps, |alert| !same(alert));
        self.fit_rules(&mut steps);
        self.reckon();
        self.end(steps)
    }

    /// What is due of an alert, at the earliest.
    pub(crate) fn deadline(&self, alert: &Alert) -> Option<Timestamp> {
        let escalation = self.escalation(alert).map(|(due, _)| due);
        [alert.shelf.as_ref().map(|shelf| shelf.until), alert.flapping_until, escalation].into_iter().flatten().min()
    }

    /// The next step of an alert that nobody has acknowledged: when, and to whom.
    fn escalation<'a>(&'a self, alert: &'a Alert) -> Option<(Timestamp, &'a [Name])> {
        let announced = alert.announced.filter(|_| alert.ack.is_none() && state(alert).audible())?;
        let rule = self.led_by(alert).and_then(|rule| self.rules.get(rule))?;
        let step = rule.info.escalate.get(alert.escalated as usize)?;
        Some((announced + step.after, &step.to))
    }

    /// Finds all deadlines anew: they hang on the rules.
    fn reckon(&mut self) {
        let places: Vec<Place> = self.open.iter().map(Place::of).collect();
        places.iter().for_each(|place| self.look_again(place));
    }

    fn act(&mut self, place: &Place, due: Timestamp, steps: &mut Steps) {
        let Some(alert) = self.open.get(place) else { return };
        if alert.shelf.as_ref().is_some_and(|shelf| shelf.until <= due) {
            self.change(place, Step::new(TransitionKind::Unshelved), steps, |alert| alert.shelf = None);
        } else if alert.flapping_until.is_some_and(|until| until <= due) {
            let over = alert.ended.is_some() && alert.shelf.is_none();
            let kind = match (over, alert.latch && alert.ack.is_none()) {
                (false, _) => TransitionKind::Steadied,
                (true, true) => TransitionKind::Latched,
                (true, false) => TransitionKind::Cleared,
            };
            self.change(place, Step::new(kind), steps, |alert| alert.flapping_until = None);
        } else if let Some((_, to)) = self.escalation(alert).filter(|(at, _)| *at <= due) {
            let to = to.to_vec();
            self.change(place, Step::new(TransitionKind::Escalated).to(to.clone()), steps, |alert| {
                alert.escalated += 1;
                // They hear of the rest of its life too.
                alert.notify.extend(to.into_iter().filter(|route| !alert.notify.contains(route)).collect::<Vec<_>>());
            });
        } else {
            // A group's escalation is that of its gravest member, which may be another by now.
            self.look_again(place);
        }
    }

    fn look_again(&mut self, place: &Place) {
        if let Some(alert) = self.open.remove(place) {
            let due = self.deadline(&alert);
            self.open.insert(alert, due);
        }
    }

    /// Drops the pending alerts that `of` picks: nobody was told of them.
    fn settle_all(&mut self, steps: &mut Steps, of: impl Fn(&Alert) -> bool) {
        let pending: Vec<Place> = self.open.iter().filter(|alert| alert.pending && of(alert)).map(Place::of).collect();
        for place in pending {
            self.drop_pending(&place, Vec::new(), steps);
        }
    }

    /// Makes of the alerts what the rules of today say.
    fn fit_rules(&mut self, steps: &mut Steps) {
        let places: Vec<Place> = self.open.iter().filter(|alert| alert.about == About::Rule).map(Place::of).collect();
        let at = steps.at;
        for place in &places {
            let orphan = self.open.get(place).filter(|alert| self.rules.get(&alert.rule).is_none());
            if orphan.is_some_and(|alert| state(alert) != AlertState::Latched) {
                self.change(place, Step::new(TransitionKind::Latched), steps, |alert| {
                    // Whoever acknowledged it did not acknowledge that nobody watches it any more.
                    alert.ack = None;
                    alert.latch = true;
                    alert.shelf = None;
                    alert.flapping_until = None;
                    alert.inhibited_by = None;
                    alert.folded_into = None;
                    alert.text =
                        Text { vi: format!("{} (luật đã gỡ)", alert.text.vi), en: format!("{} (rule removed)", alert.text.en) };
                    end(alert, at);
                });
            }
        }
        for place in &places {
            self.hide_anew(place, steps);
        }
        self.arrange_all(steps);
    }
}
