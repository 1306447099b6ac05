//! One step of one alert, with everything that follows from it for its group and for those it hides.
//!
//! Invariant: every change of the table goes through [`Table::enter`] or [`Table::change`], so facts, state, group, inhibition and
//! journal cannot part.

use huong_types::{Alert, AlertState, Cause, Name, Timestamp, Transition, TransitionKind};

use crate::group::Rank;
use crate::open::Place;
use crate::state::{stands, state};
use crate::table::Table;

/// The transitions of one call, numbered as they come.
pub(crate) struct Steps {
    pub(crate) at: Timestamp,
    pub(crate) now: Timestamp,
    next_seq: u64,
    list: Vec<Transition>,
}

/// What is told of a step, besides the alert.
pub(crate) struct Step {
    kind: TransitionKind,
    cause: Vec<Cause>,
    by: Option<String>,
    /// Instead of the alert's.
    recipients: Option<Vec<Name>>,
    /// Never announced: the operator knows of it by other means.
    quiet: bool,
}

/// What an alert is to others.
struct Stance {
    hides: bool,
    rank: Option<(Name, Rank)>,
}

impl Step {
    pub(crate) fn new(kind: TransitionKind) -> Step {
        Step { kind, cause: Vec::new(), by: None, recipients: None, quiet: false }
    }

    pub(crate) fn because(self, cause: Vec<Cause>) -> Step {
        Step { cause, ..self }
    }

    pub(crate) fn by(self, by: &str) -> Step {
        Step { by: Some(by.to_owned()), ..self }
    }

    pub(crate) fn to(self, recipients: Vec<Name>) -> Step {
        Step { recipients: Some(recipients), ..self }
    }

    pub(crate) fn quiet(self) -> Step {
        Step { quiet: true, ..self }
    }
}

impl Steps {
    pub(crate) fn new(at: Timestamp, now: Timestamp, next_seq: u64) -> Steps {
        Steps { at, now, next_seq, list: Vec::new() }
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(crate) fn into_list(self) -> (Vec<Transition>, u64) {
        (self.list, self.next_seq)
    }

    /// Derives the state and writes the step down.
    fn push(&mut self, step: Step, alert: &mut Alert) {
        alert.state = state(alert);
        alert.updated = self.at;
        let announced = !step.quiet && announced(step.kind, alert);
        // Escalation steps count from the first announcement, not from each other.
        if announced && step.kind != TransitionKind::Escalated {
            alert.announced = Some(self.now);
        }
        let recipients = step.recipients.unwrap_or_else(|| alert.notify.clone());
        let (seq, kind, at, decided) = (self.next_seq, step.kind, self.at, self.now);
        self.list.push(Transition { seq, kind, at, decided, announced, recipients, by: step.by, alert: alert.clone(), cause: step.cause });
        self.next_seq += 1;
    }
}

/// Whether an operator hears this step: the first time that an alert is audible while it holds, its return from the shelf while nobody
/// has acknowledged it, each escalation, and what happened once if anyone is to be notified of it. One that comes out from behind
/// another when only hysteresis keeps it is no news; what waits for an acknowledgement is, even when it is over.
fn announced(kind: TransitionKind, alert: &Alert) -> bool {
    use TransitionKind as T;
    match kind {
        T::Escalated => true,
        T::Raised if alert.state == AlertState::Cleared => alert.inhibited_by.is_none() && !alert.notify.is_empty(),
        _ if !alert.state.audible() || alert.ack.is_some() => false,
        T::Raised | T::Released | T::Unfolded | T::Steadied | T::Resumed => {
            alert.announced.is_none() && (alert.holds || alert.state == AlertState::Latched)
        }
        T::Unshelved => true,
        _ => false,
    }
}

impl Table {
    /// Takes in a new alert, in place of a pending one of its place.
    pub(crate) fn enter(&mut self, alert: Alert, step: Step, steps: &mut Steps) {
        self.open.remove(&Place::of(&alert));
        self.put(Stance { hides: false, rank: None }, alert, step, steps);
    }

    /// Changes an alert of the table; nothing when it is not there.
    pub(crate) fn change(&mut self, place: &Place, step: Step, steps: &mut Steps, edit: impl FnOnce(&mut Alert)) {
        let Some(mut alert) = self.open.remove(place) else { return };
        let before = self.stance(&alert);
        edit(&mut alert);
        self.put(before, alert, step, steps);
    }

    fn put(&mut self, before: Stance, mut alert: Alert, step: Step, steps: &mut Steps) {
        let place = Place::of(&alert);
        if state(&alert) == AlertState::Cleared && step.kind != TransitionKind::Raised {
            alert.inhibited_by = None;
        }
        let after = self.stance(&alert);
        let mut moved: Vec<Name> = Vec::new();
        if before.rank != after.rank {
            if let Some((group, rank)) = before.rank {
                self.leave(&group, &rank, &mut alert);
                moved.push(group);
            }
            if let Some((group, rank)) = after.rank.clone() {
                self.join(&group, rank, &mut alert, steps);
                moved.push(group);
            }
        }
        steps.push(step, &mut alert);
        let id = alert.id.clone();
        // The group tells the text of its highest member, which may have changed though the members have not.
        let group = after.rank.map(|(group, _)| group).filter(|group| moved.is_empty() && self.leads(group, &place));
        if alert.state != AlertState::Cleared {
            let due = self.deadline(&alert);
            self.open.insert(alert, due);
        }
        // First, so that no group is told of members that this very step hides or lets go.
        match (before.hides, after.hides) {
            (false, true) => self.hide(&place, &id, steps),
            (true, false) => self.release(&place, &id, steps),
            _ => {}
        }
        for group in moved.iter().chain(&group) {
            self.arrange(group, steps);
        }
    }

    fn stance(&self, alert: &Alert) -> Stance {
        Stance { hides: alert.about == huong_types::About::Rule && stands(alert), rank: self.rank(alert) }
    }
}
