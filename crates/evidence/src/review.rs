//! What people decide about a record: accepted, rejected with reasons, its plate corrected.
//!
//! Invariant: a decision stands beside what was recorded, never over it, and is a line of the chain. Where two persons must accept, no
//! one counts twice; a corrected plate must be accepted anew.

use std::path::Path;

use huong_types::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::EvidenceError;
use crate::chain::{State, Step};
use crate::disk::SHARED;
use crate::error::given;
use crate::record::Moment;
use crate::records::{Records, plate_of};
use crate::seal::sha256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub enum Decision {
    Accept,
    /// Reasons of `config/violations.toml`, at least one.
    Reject {
        reasons: Vec<Name>,
    },
    Correct {
        plate: String,
    },
}

impl Decision {
    fn as_str(&self) -> &'static str {
        match self {
            Decision::Accept => "accepting",
            Decision::Reject { .. } => "rejecting",
            Decision::Correct { .. } => "correcting",
        }
    }
}

/// `review-<n>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Review {
    pub record: Name,
    /// From 1.
    pub n: u32,
    pub at: Moment,
    pub by: String,
    #[serde(flatten)]
    pub decision: Decision,
    /// Of a correction: the plate that it takes the place of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instead_of: Option<String>,
    pub note: Option<String>,
    /// What the review has come to.
    pub state: State,
}

impl Review {
    pub(crate) fn file(n: u32) -> String {
        format!("review-{n}.json")
    }

    pub(crate) fn plate(&self) -> Option<&str> {
        match &self.decision {
            Decision::Correct { plate } => Some(plate),
            _ => None,
        }
    }
}

/// What a decision makes of a state, or why it is refused. `own` says that the acceptance which is to be seconded is the same person's.
fn next(state: State, decision: &Decision, two_person: bool, own: bool) -> Result<State, &'static str> {
    match (state, decision) {
        (State::Void, _) => Err("something speaks against it from the start"),
        (State::Rejected, _) => Err("it is rejected, which is final"),
        (State::Accepted, Decision::Accept) => Err("it is accepted already"),
        (State::Seconding, Decision::Accept) if own => Err("a second person must accept it"),
        (State::New, Decision::Accept) if two_person => Ok(State::Seconding),
        (State::New | State::Seconding, Decision::Accept) => Ok(State::Accepted),
        (_, Decision::Reject { .. }) => Ok(State::Rejected),
        (_, Decision::Correct { .. }) => Ok(State::New),
    }
}

impl Records {
    /// Notes a decision of the person `by` and returns the state that it leads to.
    ///
    /// # Errors
    /// When the state does not allow it, or a reason is none that the configuration knows.
    pub fn decide(&mut self, id: &str, by: &str, decision: Decision, note: Option<String>, now: Timestamp) -> Result<State, EvidenceError> {
        let by = given("by", by)?;
        let decision = self.checked(decision)?;
        let _lock = self.lock()?;
        let entry = self.entry(id)?.clone();
        let (record, reviews) = self.read(id)?;
        let own = reviews.last().is_some_and(|review| review.by == by);
        let state = next(entry.state, &decision, self.config.two_person, own).map_err(|why| EvidenceError::Refused {
            action: decision.as_str(),
            record: entry.id.clone(),
            why: why.to_owned(),
        })?;
        let instead_of = matches!(decision, Decision::Correct { .. }).then(|| plate_of(&record, &reviews).map(str::to_owned)).flatten();
        let n = entry.reviews + 1;
        let review = Review { record: entry.id.clone(), n, at: Moment::of(now)?, by: by.to_owned(), decision, instead_of, note, state };
        let json = serde_json::to_vec_pretty(&review)?;
        let name = Review::file(n);
        self.disk.write_whole(&self.staged(&name), &json, SHARED)?;
        let step = Step::Decided { record: entry.id.clone(), review: n, state, sha256: sha256(&json) };
        let to = self.place(&entry)?.join(&name);
        self.change(now, step, Path::new("staged").join(&name), to)?;
        Ok(state)
    }

    fn checked(&self, decision: Decision) -> Result<Decision, EvidenceError> {
        match decision {
            Decision::Accept => Ok(Decision::Accept),
            Decision::Reject { reasons } => {
                let known = self.laws.reasons();
                let expected = || known.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
                if let Some(unknown) = reasons.iter().find(|reason| !known.contains_key(reason.as_str())) {
                    return Err(EvidenceError::Argument { field: "reason", found: unknown.to_string(), expected: expected() });
                }
                if reasons.is_empty() {
                    return Err(EvidenceError::Argument { field: "reason", found: String::new(), expected: expected() });
                }
                Ok(Decision::Reject { reasons })
            }
            Decision::Correct { plate } => {
                let plate = plate.trim().to_uppercase();
                // Of electric motorbikes the series is MĐ; there are no other letters beside the Latin ones.
                let sign = |c: char| c.is_ascii_alphanumeric() || c == 'Đ';
                let allowed = |c: char| sign(c) || matches!(c, '-' | '.' | ' ');
                // The longest plates in use, of foreigners and projects, have 10 signs and separators.
                if !(4..=16).contains(&plate.chars().count())
                    || !plate.chars().all(allowed)
                    || !plate.starts_with(sign)
                    || !plate.ends_with(sign)
                {
                    let expected = "a plate of 4 to 16 letters, digits, dots and dashes, at both ends a letter or digit".to_owned();
                    return Err(EvidenceError::Argument { field: "plate", found: plate, expected });
                }
                Ok(Decision::Correct { plate })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOON, folder, violation};
    use huong_types::Span;

    fn reject(reason: &str) -> Decision {
        Decision::Reject { reasons: vec![Name::new(reason)] }
    }

    fn correct(plate: &str) -> Decision {
        Decision::Correct { plate: plate.to_owned() }
    }

    /// Every decision in every state, under both rules.
    #[test]
    fn the_table_of_states() {
        use State::{Accepted, New, Rejected, Seconding, Void};
        let rows = [
            // state, two persons, own: accept, reject, correct
            (New, false, false, [Some(Accepted), Some(Rejected), Some(New)]),
            (New, true, false, [Some(Seconding), Some(Rejected), Some(New)]),
            (New, true, true, [Some(Seconding), Some(Rejected), Some(New)]),
            (Seconding, true, false, [Some(Accepted), Some(Rejected), Some(New)]),
            (Seconding, true, true, [None, Some(Rejected), Some(New)]),
            (Accepted, false, false, [None, Some(Rejected), Some(New)]),
            (Rejected, false, false, [None, None, None]),
            (Void, false, false, [None, None, None]),
        ];
        for (state, two_person, own, expected) in rows {
            for (decision, expected) in [Decision::Accept, reject("duplicate"), correct("75A-12345")].iter().zip(expected) {
                assert_eq!(next(state, decision, two_person, own).ok(), expected, "{state:?} {decision:?} {two_person} {own}");
            }
        }
    }

    #[test]
    fn two_persons_must_agree_on_the_same_plate() {
        let mut folder = folder();
        folder.config.two_person = true;
        let mut records = folder.open();
        let id = folder.keep(&mut records, &violation(1));
        let mut at = NOON;
        let mut decide = |by: &str, decision: Decision| {
            at = at + Span::from_mins(1);
            records.decide(&id, by, decision, None, at).map_err(|error| error.to_string())
        };
        assert_eq!(decide("lan", Decision::Accept), Ok(State::Seconding));
        assert!(decide("lan", Decision::Accept).expect_err("the same person").contains("a second person must accept it"));
        assert_eq!(decide("minh", correct("75a-999.99")), Ok(State::New), "accepted was another plate");
        assert_eq!(decide("minh", Decision::Accept), Ok(State::Seconding));
        assert_eq!(decide("lan", Decision::Accept), Ok(State::Accepted));
        assert_eq!(decide("lan", reject("priority_vehicle")), Ok(State::Rejected));
        assert!(decide("lan", Decision::Accept).expect_err("final").contains("which is final"));
        let (record, reviews) = records.read(&id).expect("readable");
        assert_eq!(record.plate.as_ref().and_then(|plate| plate.text.as_deref()), Some("75A-123.45"), "the reading stays");
        assert_eq!(plate_of(&record, &reviews), Some("75A-999.99"));
        assert_eq!(reviews[1].instead_of.as_deref(), Some("75A-123.45"));
        assert!(records.audit().expect("readable").faults.is_empty());
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let folder = folder();
        let mut records = folder.open();
        let id = folder.keep(&mut records, &violation(1));
        let mut refused =
            |id: &str, by: &str, decision: Decision| records.decide(id, by, decision, None, NOON).expect_err("refused").to_string();
        assert!(refused(&id, " ", Decision::Accept).starts_with("by: found ``"));
        assert!(refused(&id, "lan", reject("because")).contains("found `because`, expected"));
        assert!(refused(&id, "lan", Decision::Reject { reasons: vec![] }).contains("priority_vehicle"));
        for no_plate in ["=cmd()", "----", "75A-12345.", "75Ж-12345"] {
            assert!(refused(&id, "lan", correct(no_plate)).contains("expected a plate"), "{no_plate}");
        }
        assert!(refused("../../etc", "lan", Decision::Accept).contains("found no record"));
    }
}
