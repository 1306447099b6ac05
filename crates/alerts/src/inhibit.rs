//! Alerts that hide others: of the same key, or of every key.
//!
//! Invariant: an alert names the alert that hides it exactly while that one stands and its rule says so, and no two hide each other.

use huong_types::{Alert, Name, TransitionKind};

use crate::change::{Step, Steps};
use crate::open::Place;
use crate::state::stands;
use crate::table::Table;

impl Table {
    /// The alert that hides `alert`, by the order of the configuration, then of keys.
    pub(crate) fn hidden_by(&self, alert: &Alert) -> Option<Name> {
        let rule = self.rules.get(&alert.rule).filter(|_| !alert.pending)?;
        rule.hidden_by.iter().find_map(|(by, across)| {
            let may = |other: &&Alert| stands(other) && !self.hides(&alert.id, other);
            let own = self.open.get(&Place::rule(by, &alert.key)).filter(may);
            let any = || across.then(|| self.open.of_rule(by).find(may)).flatten();
            own.or_else(any).map(|other| other.id.clone())
        })
    }

    /// `other` begins to stand.
    pub(crate) fn hide(&mut self, other: &Place, id: &Name, steps: &mut Steps) {
        for place in self.hidden_places(other) {
            let free = self.open.get(&place).is_some_and(|alert| !alert.pending && alert.inhibited_by.is_none());
            let circle = self.open.get(other).zip(self.open.get(&place)).is_none_or(|(other, alert)| self.hides(&alert.id, other));
            if free && !circle {
                self.change(&place, Step::new(TransitionKind::Inhibited), steps, |alert| alert.inhibited_by = Some(id.clone()));
            }
        }
    }

    /// `other`, called `id`, stands no longer.
    pub(crate) fn release(&mut self, other: &Place, id: &Name, steps: &mut Steps) {
        for place in self.hidden_places(other) {
            if self.open.get(&place).is_some_and(|alert| alert.inhibited_by.as_ref() == Some(id)) {
                self.hide_anew(&place, steps);
            }
        }
    }

    /// Looks again who hides the alert, and tells when that is another than before.
    pub(crate) fn hide_anew(&mut self, place: &Place, steps: &mut Steps) {
        let Some(alert) = self.open.get(place) else { return };
        let hiding = self.hidden_by(alert);
        if hiding != alert.inhibited_by {
            let kind = if hiding.is_some() { TransitionKind::Inhibited } else { TransitionKind::Released };
            self.change(place, Step::new(kind), steps, |alert| alert.inhibited_by = hiding);
        }
    }

    /// The alerts that one at `place` may hide.
    fn hidden_places(&self, place: &Place) -> Vec<Place> {
        let Some(rule) = self.rules.get(&place.rule) else { return Vec::new() };
        let others = rule.info.inhibits.iter().filter(|hidden| **hidden != place.rule);
        if rule.info.across {
            others.flat_map(|hidden| self.open.of_rule(hidden).map(Place::of)).collect()
        } else {
            others.map(|hidden| Place::rule(hidden, &place.key)).collect()
        }
    }

    /// Whether the alert called `id` hides `other`, itself or through others.
    fn hides(&self, id: &Name, other: &Alert) -> bool {
        let mut by = other.inhibited_by.as_ref();
        while let Some(hiding) = by {
            if hiding == id {
                return true;
            }
            by = self.open.by_id(hiding).and_then(|alert| alert.inhibited_by.as_ref());
        }
        false
    }
}
