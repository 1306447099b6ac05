//! Alerts told as a count: what goes beyond a group's limit is folded into an alert of the group.
//!
//! Invariant: a group's alert enters the table when it has more members than its limit and leaves when half of the limit are left, so
//! that a count which swings about the limit is told once. While it is there it counts all members, and exactly one, the gravest and of
//! these the longest standing, is told singly; otherwise none is folded. Rules with `group_after = 0` have no group.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use huong_types::{About, Alert, AlertState, Name, Severity, Text, Timestamp, TransitionKind};

use crate::change::{Step, Steps};
use crate::open::Place;
use crate::state::{end, stands, state};
use crate::table::{Table, exercise, id, without_mark};

#[derive(Debug, Default)]
pub(crate) struct Group {
    members: BTreeSet<Rank>,
    by_severity: [usize; 4],
    /// Of its alert, while it has one.
    id: Option<Name>,
    /// Who is told singly while there is an alert of the group.
    single: Option<Place>,
}

/// Sorts the members: the gravest first, of these the one that has stood for longest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    severity: Reverse<Severity>,
    raised: Timestamp,
    place: Place,
}

impl Group {
    fn insert(&mut self, rank: Rank) {
        self.by_severity[rank.severity.0 as usize] += 1;
        self.members.insert(rank);
    }

    fn first(&self) -> Option<&Place> {
        self.members.first().map(|rank| &rank.place)
    }
}

impl Table {
    /// The group of an alert and its rank there; `None` when it is not for a group to count.
    pub(crate) fn rank(&self, alert: &Alert) -> Option<(Name, Rank)> {
        let counted = alert.about == About::Rule && stands(alert) && alert.inhibited_by.is_none() && alert.shelf.is_none();
        let rule = self.rules.get(&alert.rule).filter(|rule| counted && rule.info.group_after > 0)?;
        let rank = Rank { severity: Reverse(alert.severity), raised: alert.raised, place: Place::of(alert) };
        (state(alert) != AlertState::Cleared).then(|| (rule.info.group.clone(), rank))
    }

    pub(crate) fn join(&mut self, name: &Name, rank: Rank, alert: &mut Alert, steps: &Steps) {
        let place = rank.place.clone();
        self.groups.entry(name.clone()).or_default().insert(rank);
        self.number(name, steps);
        let group = self.groups.get(name).filter(|group| group.first() != Some(&place));
        alert.folded_into = group.and_then(|group| group.id.clone());
    }

    pub(crate) fn leave(&mut self, name: &Name, rank: &Rank, alert: &mut Alert) {
        alert.folded_into = None;
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.members.remove(rank) {
            group.by_severity[rank.severity.0 as usize] -= 1;
        }
    }

    /// Whether the alert at `place` is the one that its group's alert quotes.
    pub(crate) fn leads(&self, name: &Name, place: &Place) -> bool {
        self.groups.get(name).is_some_and(|group| group.id.is_some() && group.first() == Some(place))
    }

    /// After members came, went or changed: makes, corrects or ends the group's alert, folds and unfolds.
    pub(crate) fn arrange(&mut self, name: &Name, steps: &mut Steps) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let limit = self.rules.group(name).map_or(usize::MAX, |rule| rule.limit);
        let fewest = if self.open.get(&Place::group(name)).is_some() { limit / 2 } else { limit };
        let Some(first) = group.first().cloned().filter(|_| group.members.len() > fewest) else {
            return self.disband(name, steps);
        };
        let Some(id) = group.id.clone() else { return };
        let before = group.single.replace(first.clone());
        let new = self.tell_group(name, &id, &first, steps);
        if new {
            self.fold_all(name, steps);
        } else if before.as_ref() != Some(&first) {
            let before =
                before.filter(|before| self.open.get(before).and_then(|alert| self.rank(alert)).is_some_and(|(of, _)| of == *name));
            if let Some(before) = before {
                self.fold(&before, Some(&id), steps);
            }
            self.fold(&first, None, steps);
        }
    }

    /// Makes groups anew from the alerts in the table, without a word.
    pub(crate) fn regroup_all(&mut self) {
        self.groups.clear();
        for alert in self.open.iter() {
            if let Some((name, rank)) = self.rank(alert) {
                self.groups.entry(name).or_default().insert(rank);
            }
            if alert.about == About::Group {
                self.groups.entry(alert.rule.clone()).or_default().id = Some(alert.id.clone());
            }
        }
        for group in self.groups.values_mut() {
            group.single = group.first().cloned();
        }
    }

    /// After [`Table::regroup_all`]: tells what the rules of today make different.
    pub(crate) fn arrange_all(&mut self, steps: &mut Steps) {
        let folded: Vec<(Place, Option<Name>)> = {
            let folded = self.open.iter().filter(|alert| alert.folded_into.is_some());
            folded.map(|alert| (Place::of(alert), self.rank(alert).map(|(name, _)| name))).collect()
        };
        for (place, group) in folded {
            let id = group.and_then(|name| self.groups.get(&name)).and_then(|group| group.id.clone());
            if self.open.get(&place).is_some_and(|alert| alert.folded_into != id) {
                self.change(&place, Step::new(TransitionKind::Unfolded), steps, |alert| alert.folded_into = None);
            }
        }
        let names: Vec<Name> = self.groups.keys().cloned().collect();
        for name in names {
            self.number(&name, steps);
            self.arrange(&name, steps);
            self.fold_all(&name, steps);
        }
    }

    /// Gives a group that is over its limit the id of its alert.
    fn number(&mut self, name: &Name, steps: &Steps) {
        let limit = self.rules.group(name).map_or(usize::MAX, |rule| rule.limit);
        let Some(group) = self.groups.get_mut(name).filter(|group| group.id.is_none() && group.members.len() > limit) else { return };
        let first = id("group", name, steps.at);
        // A group may end and begin again at one event time; its number in the journal tells them apart then.
        let taken = self.recent.knows(&first);
        let id = if taken { Name::from(format!("{first}-{}", steps.next_seq())) } else { first };
        self.recent.note(id.clone());
        group.id = Some(id);
    }

    /// True when the group's alert is new.
    fn tell_group(&mut self, name: &Name, id: &Name, first: &Place, steps: &mut Steps) -> bool {
        let (Some(group), Some(gravest)) = (self.groups.get(name), self.open.get(first)) else { return false };
        let place = Place::group(name);
        let known = self.open.get(&place);
        let mut alert = known.cloned().unwrap_or_else(|| {
            let mut new = Alert::new(About::Group, id.clone(), name, &place.key, gravest.severity, Text::default(), steps.at);
            new.notify = self.rules.group(name).map(|rule| rule.notify.clone()).unwrap_or_default();
            new
        });
        let count = group.members.len();
        alert.values = Severity::ALL.iter().map(|s| (Name::new(s.as_str()), group.by_severity[*s as usize] as f64)).collect();
        alert.values.insert(Name::new("count"), count as f64);
        alert.text = text(&self.config.group_name(name), count, gravest);
        alert.severity = gravest.severity;
        alert.stream = gravest.stream.clone();
        alert.rule_version = gravest.rule_version.clone();
        alert.exercise = gravest.exercise;
        alert.silence = gravest.silence;
        match known {
            None => {
                self.enter(alert, Step::new(TransitionKind::Raised), steps);
                true
            }
            Some(known) => {
                if *known != alert {
                    self.change(&place, Step::new(TransitionKind::Updated), steps, |known| *known = alert);
                }
                false
            }
        }
    }

    /// Folds all members but the first, which is told singly.
    fn fold_all(&mut self, name: &Name, steps: &mut Steps) {
        let Some(group) = self.groups.get(name) else { return };
        let Some(id) = group.id.clone() else { return };
        let places: Vec<Place> = group.members.iter().map(|rank| rank.place.clone()).collect();
        for (n, place) in places.iter().enumerate() {
            self.fold(place, Some(&id).filter(|_| n > 0), steps);
        }
    }

    /// Folds an alert into the group's, or takes the place of the single one: the operator has heard of one as grave, and of the count.
    fn fold(&mut self, place: &Place, into: Option<&Name>, steps: &mut Steps) {
        if self.open.get(place).is_some_and(|alert| alert.folded_into.as_ref() != into) {
            let kind = if into.is_some() { TransitionKind::Folded } else { TransitionKind::Unfolded };
            self.change(place, Step::new(kind).quiet(), steps, |alert| alert.folded_into = into.cloned());
        }
    }

    /// The group has few members: all are told singly, aloud if they never were.
    fn disband(&mut self, name: &Name, steps: &mut Steps) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.id.take().is_some() {
            group.single = None;
            let places: Vec<Place> = group.members.iter().map(|rank| rank.place.clone()).collect();
            for place in places {
                let unheard = |alert: &Alert| alert.state.audible() && alert.announced.is_none() && alert.ack.is_none();
                if self.open.get(&place).is_some_and(|alert| alert.folded_into.is_some() || unheard(alert)) {
                    self.change(&place, Step::new(TransitionKind::Unfolded), steps, |alert| alert.folded_into = None);
                }
            }
            let at = steps.at;
            self.change(&Place::group(name), Step::new(TransitionKind::Cleared), steps, |alert| {
                alert.shelf = None;
                end(alert, at);
            });
        }
        if self.groups.get(name).is_some_and(|group| group.members.is_empty()) {
            self.groups.remove(name);
        }
    }

    /// The folded members of a group.
    pub(crate) fn folded(&self, name: &Name) -> Vec<Place> {
        let Some(group) = self.groups.get(name) else { return Vec::new() };
        group.members.iter().skip(1).map(|rank| rank.place.clone()).collect()
    }

    /// The rule whose escalation an alert follows: its own, or that of its group's gravest member.
    pub(crate) fn led_by<'a>(&'a self, alert: &'a Alert) -> Option<&'a Name> {
        match alert.about {
            About::Rule => Some(&alert.rule),
            About::Group => self.groups.get(&alert.rule).and_then(Group::first).map(|place| &place.rule),
            About::Exercise => None,
        }
    }
}

/// What a group's alert says: how many, and the gravest in its own words.
fn text(called: &Text, count: usize, gravest: &Alert) -> Text {
    let quoted = if gravest.exercise { without_mark(&gravest.text) } else { gravest.text.clone() };
    let text = Text {
        vi: format!("{}: {count} cảnh báo, cao nhất: {}", called.vi, quoted.vi),
        en: format!("{}: {count} alarms, the gravest: {}", called.en, quoted.en),
    };
    if gravest.exercise { exercise(text) } else { text }
}
