//! The chain of everything that happened to records, and what it amounts to.
//!
//! Invariant: no line holds personal data, only hashes and ids, so that lines may be handed on and stay when what they speak of is
//! deleted. Each record's state follows from the lines alone.

use std::collections::BTreeMap;

use huong_types::{Act, Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::journal::Line;
use crate::seal::PublicKey;

/// One step. The hashes are SHA-256 in hex of the JSON file that holds the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Step {
    /// From here on this key signs.
    Key { public: String },
    /// Of `record.json`, which holds the hashes of the pictures.
    Kept { record: Name, act: Act, began: Timestamp, void: bool, sha256: String },
    /// Of the review, the `n`th of the record.
    Decided { record: Name, review: u32, state: State, sha256: String },
    /// Of the hand-over, which holds the hash of the package.
    Exported { records: Vec<Name>, sha256: String },
    /// The record is deleted, by this rule.
    Expired { record: Name, rule: String },
}

/// What the review has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    New,
    /// By the first of two persons.
    Seconding,
    Accepted,
    Rejected,
    /// Something speaks against it from the start.
    Void,
}

impl State {
    pub const ALL: [State; 5] = [State::New, State::Seconding, State::Accepted, State::Rejected, State::Void];

    pub fn as_str(self) -> &'static str {
        match self {
            State::New => "new",
            State::Seconding => "seconding",
            State::Accepted => "accepted",
            State::Rejected => "rejected",
            State::Void => "void",
        }
    }
}

/// A record as the chain knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    pub id: Name,
    pub act: Act,
    pub began: Timestamp,
    pub state: State,
    /// Of `record.json`.
    pub sha256: String,
    /// Reviews so far.
    pub reviews: u32,
    pub handed_over: bool,
    /// Number of the line that says it was kept,
    pub first_line: u64,
    /// .. and of the last one about it, and when that was.
    pub last_line: u64,
    pub touched: Timestamp,
}

/// What the lines amount to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) records: BTreeMap<Name, Entry>,
    /// Deleted, with what they were.
    pub(crate) expired: u64,
    /// In the order of time.
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) last: Option<Step>,
    pub(crate) last_at: Option<Timestamp>,
}

impl Ledger {
    pub(crate) fn apply(&mut self, line: Line<Step>) {
        let (n, at) = (line.n, line.at);
        match &line.step {
            Step::Key { public } => {
                if let Some(old) = self.keys.last_mut() {
                    old.until = Some(at);
                }
                self.keys.push(PublicKey { public: public.clone(), from: at, until: None });
            }
            Step::Kept { record, act, began, void, sha256 } => {
                let state = if *void { State::Void } else { State::New };
                let entry = Entry {
                    id: record.clone(),
                    act: *act,
                    began: *began,
                    state,
                    sha256: sha256.clone(),
                    reviews: 0,
                    handed_over: false,
                    first_line: n,
                    last_line: n,
                    touched: at,
                };
                self.records.insert(record.clone(), entry);
            }
            Step::Decided { record, review, state, .. } => {
                if let Some(entry) = self.touch(record, n, at) {
                    entry.reviews = *review;
                    entry.state = *state;
                }
            }
            Step::Exported { records, .. } => {
                for record in records {
                    if let Some(entry) = self.touch(record, n, at) {
                        entry.handed_over = true;
                    }
                }
            }
            Step::Expired { record, .. } => {
                self.expired += u64::from(self.records.remove(record).is_some());
            }
        }
        self.last = Some(line.step);
        self.last_at = Some(at);
    }

    fn touch(&mut self, record: &Name, n: u64, at: Timestamp) -> Option<&mut Entry> {
        let entry = self.records.get_mut(record)?;
        entry.last_line = n;
        entry.touched = at;
        Some(entry)
    }
}
