//! The alerts in the table, found by what they are about, by id and by when the clock has something to do with them.
//!
//! Invariant: all ways lead to the same alerts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use huong_types::{About, Alert, Name, Timestamp};

/// What an alert is about. Sorted, so that what several alerts do at once has one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) about: About,
    pub(crate) rule: Name,
    pub(crate) key: Name,
}

#[derive(Debug, Default)]
pub(crate) struct Open {
    alerts: BTreeMap<Place, Entry>,
    ids: HashMap<Name, Place>,
    due: BTreeSet<(Timestamp, Place)>,
}

#[derive(Debug)]
struct Entry {
    alert: Alert,
    due: Option<Timestamp>,
}

impl Place {
    pub(crate) fn of(alert: &Alert) -> Place {
        Place { about: alert.about, rule: alert.rule.clone(), key: alert.key.clone() }
    }

    pub(crate) fn rule(rule: &Name, key: &Name) -> Place {
        Place { about: About::Rule, rule: rule.clone(), key: key.clone() }
    }

    pub(crate) fn group(name: &Name) -> Place {
        Place { about: About::Group, rule: name.clone(), key: Name::new("*") }
    }

    pub(crate) fn exercise() -> Place {
        Place { about: About::Exercise, rule: Name::new("exercise"), key: Name::new("*") }
    }
}

impl Open {
    /// Takes in an alert in place of any other of its place.
    pub(crate) fn insert(&mut self, alert: Alert, due: Option<Timestamp>) {
        let place = Place::of(&alert);
        self.remove(&place);
        self.ids.insert(alert.id.clone(), place.clone());
        self.due.extend(due.map(|due| (due, place.clone())));
        self.alerts.insert(place, Entry { alert, due });
    }

    pub(crate) fn remove(&mut self, place: &Place) -> Option<Alert> {
        let Entry { alert, due } = self.alerts.remove(place)?;
        self.ids.remove(&alert.id);
        if let Some(due) = due {
            self.due.remove(&(due, place.clone()));
        }
        Some(alert)
    }

    pub(crate) fn get(&self, place: &Place) -> Option<&Alert> {
        self.alerts.get(place).map(|entry| &entry.alert)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Alert> {
        self.get(self.ids.get(id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().map(|entry| &entry.alert)
    }

    /// Which alert is due first, and when.
    pub(crate) fn first_due(&self) -> Option<&(Timestamp, Place)> {
        self.due.first()
    }

    /// The alerts of one rule, by key.
    pub(crate) fn of_rule<'a>(&'a self, rule: &'a Name) -> impl Iterator<Item = &'a Alert> {
        let first = Place { about: About::Rule, rule: rule.clone(), key: Name::new("") };
        self.alerts
            .range(first..)
            .take_while(move |(place, _)| place.about == About::Rule && place.rule == *rule)
            .map(|(_, entry)| &entry.alert)
    }
}
