//! What operators do to alerts. Invariant: every order names a person, and what is put away comes back by itself.

use huong_types::{
    About, Ack, Alert, AlertState, Assigned, Note, NoteKind, Order, Severity, Shelf, Span, Text, Timestamp, Transition, TransitionKind,
};

use crate::change::Step;
use crate::open::Place;
use crate::state::{end, state};
use crate::table::{Table, exercise, id};

/// Notes that an alert carries: every step of it is journalled with all of them.
const NOTES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    #[error("no open alert has this id: `{id}`")]
    NotOpen { id: String },
    #[error("an order needs the name of a person: found nothing")]
    Nameless,
    #[error("shelving needs a reason: found nothing")]
    Reasonless,
    #[error("a shelf ends in the future: found {until}, now is {now}")]
    Past { until: Timestamp, now: Timestamp },
    #[error("nothing is shelved for longer than {longest}: found {found}")]
    TooLong { longest: Span, found: Span },
    #[error("a comment says something: found nothing")]
    Wordless,
    #[error("the alert is not shelved: `{id}`")]
    NotShelved { id: String },
}

impl Table {
    /// Does what an operator orders.
    ///
    /// # Errors
    /// When the order cannot be followed; nothing has changed then.
    pub fn order(&mut self, order: &Order, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        match order {
            Order::Acknowledge { alert, by } => self.acknowledge(alert, by, now),
            Order::Assign { alert, by, to } => self.assign(alert, by, to.as_deref(), now),
            Order::Note { alert, by, kind, text } => self.note(alert, by, *kind, text, now),
            Order::Shelve { alert, by, why, until } => self.shelve(alert, by, why, *until, now),
            Order::Unshelve { alert, by } => self.unshelve(alert, by, now),
            Order::Exercise { on, by } => self.set_exercise(*on, by, now),
        }
    }

    /// Notes that a named person has seen the alert, and with a group's all that it counts. Acknowledging again changes nothing.
    pub fn acknowledge(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let by = name(by)?;
        let alert = self.find(id)?;
        let mut places = vec![Place::of(alert)];
        if alert.about == About::Group {
            places.extend(self.folded(&alert.rule));
        }
        let mut steps = self.begin(now, now);
        for place in places {
            if self.open.get(&place).is_some_and(|alert| alert.ack.is_none()) {
                let ack = Ack { by: by.to_owned(), at: now };
                self.change(&place, Step::new(TransitionKind::Acknowledged).by(by), &mut steps, |alert| alert.ack = Some(ack));
            }
        }
        Ok(self.end(steps))
    }

    /// Gives an alert to a person, or takes it from whoever had it. Giving it to the same person again changes nothing.
    pub fn assign(&mut self, id: &str, by: &str, to: Option<&str>, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let by = name(by)?;
        let to = to.map(name).transpose()?;
        let alert = self.find(id)?;
        let place = Place::of(alert);
        let same = alert.assigned.as_ref().map(|assigned| assigned.to.as_str()) == to;
        let mut steps = self.begin(now, now);
        if !same {
            let assigned = to.map(|to| Assigned { to: to.to_owned(), by: by.to_owned(), at: now });
            self.change(&place, Step::new(TransitionKind::Assigned).by(by), &mut steps, |alert| alert.assigned = assigned);
        }
        Ok(self.end(steps))
    }

    /// Writes down what a person says about an alert. Being on the way is said once by each person: on a bad line it may come twice.
    pub fn note(&mut self, id: &str, by: &str, kind: NoteKind, text: &str, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let (by, text) = (name(by)?, text.trim());
        if kind == NoteKind::Comment && text.is_empty() {
            return Err(AlertError::Wordless);
        }
        let alert = self.find(id)?;
        let place = Place::of(alert);
        let said = kind == NoteKind::Coming && alert.notes.iter().any(|note| note.kind == kind && note.by == by);
        let mut steps = self.begin(now, now);
        if !said {
            let note = Note { by: by.to_owned(), at: now, kind, text: text.to_owned() };
            self.change(&place, Step::new(TransitionKind::Noted).by(by), &mut steps, |alert| {
                if alert.notes.len() >= NOTES {
                    alert.notes.remove(0);
                }
                alert.notes.push(note);
            });
        }
        Ok(self.end(steps))
    }

    /// Puts an alert away until `until`: meanwhile its source is not told of, whatever it does. Shelving again sets another end.
    ///
    /// # Errors
    /// Without a name, a reason, an end in the future or within [`crate::TableConfig::longest_shelf`].
    pub fn shelve(&mut self, id: &str, by: &str, why: &str, until: Timestamp, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let (by, why) = (name(by)?, why.trim());
        if why.is_empty() {
            return Err(AlertError::Reasonless);
        }
        if until <= now {
            return Err(AlertError::Past { until, now });
        }
        let longest = self.config.longest_shelf;
        if until.since(now) > longest {
            return Err(AlertError::TooLong { longest, found: until.since(now) });
        }
        let place = Place::of(self.find(id)?);
        let shelf = Shelf { by: by.to_owned(), why: why.to_owned(), at: now, until };
        let mut steps = self.begin(now, now);
        self.change(&place, Step::new(TransitionKind::Shelved).by(by), &mut steps, |alert| alert.shelf = Some(shelf));
        Ok(self.end(steps))
    }

    /// Takes an alert back from the shelf before its time.
    pub fn unshelve(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let by = name(by)?;
        let alert = self.find(id)?;
        if alert.shelf.is_none() {
            return Err(AlertError::NotShelved { id: id.to_owned() });
        }
        let place = Place::of(alert);
        let mut steps = self.begin(now, now);
        self.change(&place, Step::new(TransitionKind::Unshelved).by(by), &mut steps, |alert| alert.shelf = None);
        Ok(self.end(steps))
    }

    /// Turns exercise mode on or off. While it is on, an alert says so, and every alert raised carries the mark, to its end.
    pub fn set_exercise(&mut self, on: bool, by: &str, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let by = name(by)?;
        let mut steps = self.begin(now, now);
        let place = Place::exercise();
        match (on, self.exercise()) {
            (true, false) => {
                let text = Text { vi: format!("Chế độ diễn tập do {by} bật"), en: format!("Exercise mode, turned on by {by}") };
                let onset = id(&place.rule, &place.key, now);
                let mut alert = Alert::new(About::Exercise, onset, &place.rule, &place.key, Severity::Minor, exercise(text), now);
                alert.exercise = true;
                self.enter(alert, Step::new(TransitionKind::Raised).by(by), &mut steps);
            }
            (false, true) => self.change(&place, Step::new(TransitionKind::Cleared).by(by), &mut steps, |alert| {
                alert.shelf = None;
                end(alert, now);
            }),
            _ => {}
        }
        Ok(self.end(steps))
    }

    /// What an operator can see of and speak about.
    fn find(&self, id: &str) -> Result<&Alert, AlertError> {
        let alert = self.open.by_id(id).filter(|alert| state(alert) != AlertState::Pending);
        alert.ok_or_else(|| AlertError::NotOpen { id: id.to_owned() })
    }
}

fn name(by: &str) -> Result<&str, AlertError> {
    let by = by.trim();
    if by.is_empty() { Err(AlertError::Nameless) } else { Ok(by) }
}
