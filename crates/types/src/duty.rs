//! Operators: what they may order, and the figures of how much is asked of them.
//!
//! Invariant: every order names the person who gave it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Name, NoteKind, Severity, Timestamp};

/// An operator's order to the alert table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `alert` is an id; a group's acknowledges what it counts.
    Acknowledge {
        alert: String,
        by: String,
    },
    /// To nobody: it is taken from whoever had it.
    Assign {
        alert: String,
        by: String,
        to: Option<String>,
    },
    Note {
        alert: String,
        by: String,
        kind: NoteKind,
        text: String,
    },
    Shelve {
        alert: String,
        by: String,
        why: String,
        until: Timestamp,
    },
    Unshelve {
        alert: String,
        by: String,
    },
    /// Alerts raised while it is on are marked as those of an exercise.
    Exercise {
        on: bool,
        by: String,
    },
}

/// How much the alarms ask of one operator, against the usual targets (ISA-18.2, IEC 62682, EEMUA 191).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadFigures {
    /// Those who share the alarms; rates are per operator.
    pub operators: u32,
    pub last_10_min: f64,
    pub last_hour: f64,
    /// Over 24 hours, or since the figures began if that is less.
    pub per_hour: f64,
    /// On the list.
    pub standing: u32,
    pub unacknowledged: u32,
    /// Flapping now.
    pub chattering: u32,
    /// Standing for longer than the limit.
    pub stale: u32,
    pub shelved: u32,
    pub suppressed: u32,
    /// Counted by a group and not told singly.
    pub grouped: u32,
    /// What was announced most in 24 hours, most first.
    pub top: Vec<LoadSource>,
    /// Share of `top` in all that was announced, 0 to 1.
    pub top_share: f64,
    /// Share of each severity in what was announced in 24 hours, 0 to 1.
    pub priorities: BTreeMap<Severity, f64>,
    pub in_flood: bool,
    /// Share of the last 24 hours spent in an alarm flood, 0 to 1.
    pub flood_share: f64,
    /// The targets that are missed, by the name of the figure.
    pub missed: Vec<Name>,
}

/// A rule and key that alarms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadSource {
    pub rule: Name,
    pub key: Name,
    pub count: u32,
    /// Of all that was announced, 0 to 1.
    pub share: f64,
}
