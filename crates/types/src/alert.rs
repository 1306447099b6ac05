//! Alerts: what rules say ([`Signal`]), what holds ([`Alert`]) and how it came about ([`Transition`]).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Name, Span, Timestamp};

/// CAP 1.2 severities, in growing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Minor,
    Moderate,
    Severe,
    Extreme,
}

/// The figures a rule selected, by column name.
pub type Values = BTreeMap<Name, f64>;

/// A message for people, in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    pub vi: String,
    pub en: String,
}

/// What the alert table and the sinks must know of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleInfo {
    pub id: Name,
    pub stream: Name,
    pub severity: Severity,
    /// Of the rule as written, with everything it says: alerts tell which text of the rule raised them.
    pub version: Name,
    /// Rules whose alerts of the same key this one hides while it is open.
    pub inhibits: Vec<Name>,
    /// It hides those alerts for every key, not only for its own: a whole class of sensors gone silent.
    pub across: bool,
    /// Alerts of one group are told one by one up to `group_after` open ones, then as a count; by default a rule is its own group.
    pub group: Name,
    /// 0: never folded.
    pub group_after: u32,
    /// Once raised it stays until somebody acknowledges it, though the condition is over.
    pub latch: bool,
    pub flap: Option<Flap>,
    /// In order of their delays.
    pub escalate: Vec<Escalation>,
    /// Names of notification routes.
    pub notify: Vec<Name>,
    /// A silence rule: it speaks of the sensor, not of the city.
    pub silence: bool,
    /// Alerts once per window or reading, with no state to clear.
    pub each: bool,
}

/// An alert raised this often within this time is flapping: it stays open and quiet until it has been still for as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    pub raises: u32,
    pub within: Span,
}

/// Who else hears of an alert that nobody has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// After the raise.
    pub after: Span,
    /// Names of notification routes.
    pub to: Vec<Name>,
}

/// What a rule says about one key; rules decide conditions, the alert table decides what an operator sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    pub rule: Name,
    pub key: Name,
    /// Event time of the deciding reading, window end or deadline.
    pub at: Timestamp,
    pub kind: SignalKind,
    pub values: Values,
    pub text: Text,
    /// The readings that decided it, at most a few of the latest.
    pub cause: Vec<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalKind {
    /// The condition began to hold and the on-delay runs.
    Pending { since: Timestamp },
    /// It stopped holding before the on-delay was over.
    Settled,
    /// The condition holds and has held for the on-delay; `since` is when it began.
    Raise { since: Timestamp },
    /// New figures; the condition still holds.
    Update,
    /// The condition no longer holds, the clear condition does not hold yet (hysteresis).
    Recede,
    /// The condition holds again before it was cleared.
    Resume,
    /// The clear condition holds.
    Clear,
    /// The key fell silent while the alarm stood: it is frozen at its level. Silence never clears.
    Stale { since: Timestamp },
    /// Readings came back.
    Fresh,
    /// Once, with no state: `window_start` makes it unique.
    Once { window_start: Timestamp },
}

/// A reading named by what makes it unique.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    pub stream: Name,
    pub key: Name,
    pub at: Timestamp,
}

/// Where an alert stands, derived from its facts by `huong_alerts::state`; the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Over, and nothing waits for anybody: it has left the table.
    Cleared,
    /// The condition holds, the on-delay runs: nobody is told.
    Pending,
    /// A graver alert, or one that says the sensor or camera is down, hides it by design.
    Suppressed,
    /// A person has put it away for a time, with a reason.
    Shelved,
    /// Told as one of a group's count, not singly.
    Grouped,
    /// Comes and goes too often to be told of each time: open and quiet.
    Flapping,
    /// The condition is over, and somebody must still acknowledge that it was.
    Latched,
    /// Its sensor fell silent: frozen at its level.
    Stale,
    Acknowledged,
    /// Holds, and nobody has acknowledged it.
    Open,
}

/// What an alert speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// One key of one rule.
    Rule,
    /// The folded members of a group: `rule` is the group's name, `key` is `*`, `values` are the counts.
    Group,
    /// That exercise mode is on.
    Exercise,
}

/// What holds for one rule and key. The id derives from rule, key and onset, so a replay cannot raise it twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub id: Name,
    pub about: About,
    pub rule: Name,
    /// Of the rule that raised it, as it was written then.
    pub rule_version: Name,
    pub key: Name,
    pub stream: Name,
    pub severity: Severity,
    /// What follows from the facts below; kept for those who read an alert and not its logic.
    pub state: AlertState,
    /// The on-delay runs; it is not raised yet.
    pub pending: bool,
    /// False while only hysteresis, a latch, a shelf or flapping keeps it.
    pub holds: bool,
    /// Set while the key is silent: the figures are of before this moment.
    pub stale_since: Option<Timestamp>,
    /// Event time at which the condition began to hold.
    pub since: Timestamp,
    /// Event time at which it was raised (`since` plus the on-delay).
    pub raised: Timestamp,
    /// Event time of the last change.
    pub updated: Timestamp,
    /// Event time at which the clear condition was met.
    pub ended: Option<Timestamp>,
    pub values: Values,
    pub text: Text,
    pub ack: Option<Ack>,
    /// Who has it in hand.
    pub assigned: Option<Assigned>,
    /// What people said about it, oldest first; the oldest go when there are too many, and stay in the journal.
    pub notes: Vec<Note>,
    /// Once over it still waits for an acknowledgement.
    pub latch: bool,
    pub shelf: Option<Shelf>,
    /// The open alert that hides this one.
    pub inhibited_by: Option<Name>,
    /// The alert of the group that counts this one.
    pub folded_into: Option<Name>,
    /// Set while it is flapping: processing time until which it must be still.
    pub flapping_until: Option<Timestamp>,
    /// Processing time at which it was last announced; `None`: nobody has heard of it.
    pub announced: Option<Timestamp>,
    /// Escalation steps taken.
    pub escalated: u32,
    /// Raised in exercise mode.
    pub exercise: bool,
    pub silence: bool,
    /// Names of notification routes; those it was escalated to are added.
    pub notify: Vec<Name>,
}

impl Alert {
    /// An alert that begins to hold at `at`, of which nothing else is known yet.
    pub fn new(about: About, id: Name, rule: &Name, key: &Name, severity: Severity, text: Text, at: Timestamp) -> Self {
        Self {
            id,
            about,
            rule: rule.clone(),
            rule_version: Name::new(""),
            key: key.clone(),
            stream: Name::new(""),
            severity,
            state: AlertState::Open,
            pending: false,
            holds: true,
            stale_since: None,
            since: at,
            raised: at,
            updated: at,
            ended: None,
            values: Values::new(),
            text,
            ack: None,
            assigned: None,
            notes: Vec::new(),
            latch: false,
            shelf: None,
            inhibited_by: None,
            folded_into: None,
            flapping_until: None,
            announced: None,
            escalated: 0,
            exercise: false,
            silence: false,
            notify: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    pub by: String,
    pub at: Timestamp,
}

/// Whom an alert was given to, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assigned {
    pub to: String,
    pub by: String,
    pub at: Timestamp,
}

/// What a person said about an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub by: String,
    pub at: Timestamp,
    pub kind: NoteKind,
    /// Empty when the kind says it all.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteKind {
    Comment,
    /// The person is on the way there.
    Coming,
}

/// Who put an alert away, why and until when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shelf {
    pub by: String,
    pub why: String,
    pub at: Timestamp,
    pub until: Timestamp,
}

/// One step of an alert's life, journalled before anyone is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Grows by one per transition over the life of the data directory; sinks resume by it.
    pub seq: u64,
    pub kind: TransitionKind,
    /// Event time.
    pub at: Timestamp,
    /// Processing time.
    pub decided: Timestamp,
    /// An operator hears this step: it is what the load figures count and what is pushed to people.
    pub announced: bool,
    /// The routes it is for: the alert's, or those of the escalation step.
    pub recipients: Vec<Name>,
    /// The person who ordered it.
    pub by: Option<String>,
    /// The alert after this step.
    pub alert: Alert,
    pub cause: Vec<Cause>,
}

/// What happened to an alert; with the state before it one of the rows of `huong_alerts::TABLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransitionKind {
    /// The on-delay began to run.
    Pending,
    /// The condition stopped holding before the on-delay was over.
    Settled,
    Raised,
    Updated,
    Receded,
    Resumed,
    Stale,
    Fresh,
    Acknowledged,
    /// Given to a person, or taken from them.
    Assigned,
    /// A person said something about it.
    Noted,
    Inhibited,
    Released,
    Shelved,
    /// By a person, or because the shelf's time is over.
    Unshelved,
    /// Counted by its group from here on.
    Folded,
    /// Told singly again.
    Unfolded,
    /// It has been still for long enough and the condition holds.
    Steadied,
    /// Nobody has acknowledged it: others are told.
    Escalated,
    /// Over, and waits for an acknowledgement.
    Latched,
    Cleared,
}

impl Severity {
    pub const ALL: [Severity; 4] = [Severity::Minor, Severity::Moderate, Severity::Severe, Severity::Extreme];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Minor => "minor",
            Severity::Moderate => "moderate",
            Severity::Severe => "severe",
            Severity::Extreme => "extreme",
        }
    }
}

impl AlertState {
    pub const ALL: [AlertState; 10] = [
        AlertState::Cleared,
        AlertState::Pending,
        AlertState::Suppressed,
        AlertState::Shelved,
        AlertState::Grouped,
        AlertState::Flapping,
        AlertState::Latched,
        AlertState::Stale,
        AlertState::Acknowledged,
        AlertState::Open,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Cleared => "cleared",
            AlertState::Pending => "pending",
            AlertState::Suppressed => "suppressed",
            AlertState::Shelved => "shelved",
            AlertState::Grouped => "grouped",
            AlertState::Flapping => "flapping",
            AlertState::Latched => "latched",
            AlertState::Stale => "stale",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Open => "open",
        }
    }

    /// On the operator's list, told singly.
    pub fn listed(self) -> bool {
        self == AlertState::Flapping || self.audible()
    }

    /// On the list, and a change of it may be announced.
    pub fn audible(self) -> bool {
        matches!(self, AlertState::Latched | AlertState::Stale | AlertState::Acknowledged | AlertState::Open)
    }
}

impl About {
    pub fn as_str(self) -> &'static str {
        match self {
            About::Rule => "rule",
            About::Group => "group",
            About::Exercise => "exercise",
        }
    }
}

impl TransitionKind {
    pub fn as_str(self) -> &'static str {
        match self {
            TransitionKind::Pending => "pending",
            TransitionKind::Settled => "settled",
            TransitionKind::Raised => "raised",
            TransitionKind::Updated => "updated",
            TransitionKind::Receded => "receded",
            TransitionKind::Resumed => "resumed",
            TransitionKind::Stale => "stale",
            TransitionKind::Fresh => "fresh",
            TransitionKind::Acknowledged => "acknowledged",
            TransitionKind::Assigned => "assigned",
            TransitionKind::Noted => "noted",
            TransitionKind::Inhibited => "inhibited",
            TransitionKind::Released => "released",
            TransitionKind::Shelved => "shelved",
            TransitionKind::Unshelved => "unshelved",
            TransitionKind::Folded => "folded",
            TransitionKind::Unfolded => "unfolded",
            TransitionKind::Steadied => "steadied",
            TransitionKind::Escalated => "escalated",
            TransitionKind::Latched => "latched",
            TransitionKind::Cleared => "cleared",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TransitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
