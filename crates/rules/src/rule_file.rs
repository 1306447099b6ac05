//! The shape of `pipelines/*.toml`, as written: nothing here is checked against streams or registry yet.

use std::collections::BTreeMap;

use huong_types::{Escalation, Flap, Name, Severity, Span, Text};
use serde::Deserialize;

use crate::schedule::RawSchedule;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuleFile {
    pub(crate) rule: Vec<RawRule>,
    pub(crate) derive: Vec<RawDerive>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    pub(crate) id: Name,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// The stream.
    pub(crate) from: Name,
    /// What alerts are about: `key`, `all`, a text field of the reading, `station.kind`, `station.ward` or `station.<label>`.
    #[serde(default = "key")]
    pub(crate) by: String,
    /// Only readings for which this holds are taken.
    #[serde(default, rename = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) window: RawWindow,
    /// May raise while the window is still open: right for figures that only grow until it closes, sums and maxima.
    #[serde(default)]
    pub(crate) early: bool,
    /// Column name → SQL over the aggregates of the window.
    #[serde(default)]
    pub(crate) select: BTreeMap<Name, String>,
    /// Named thresholds.
    #[serde(default)]
    pub(crate) limit: BTreeMap<Name, f64>,
    #[serde(default, rename = "override")]
    pub(crate) overrides: BTreeMap<Name, RawOverride>,
    #[serde(default)]
    pub(crate) join: BTreeMap<Name, RawJoin>,
    #[serde(default)]
    pub(crate) baseline: Option<RawBaseline>,
    #[serde(default)]
    pub(crate) then: Option<RawThen>,
    #[serde(default)]
    pub(crate) cluster: Option<RawCluster>,
    /// Of a silence: instead of so many of the registry's periods.
    #[serde(default)]
    pub(crate) after: Option<Span>,
    /// Of a class silence: the share of silent keys beyond which the class is.
    #[serde(default)]
    pub(crate) share: Option<f64>,
    /// Of a class silence: not with fewer silent keys than this.
    #[serde(default)]
    pub(crate) least: Option<u32>,
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// Defaults to "`when` does not hold".
    #[serde(default)]
    pub(crate) clear: Option<String>,
    /// On-delay: how long `when` must hold.
    #[serde(default, rename = "for")]
    pub(crate) hold: Span,
    /// Off-delay: how long `clear` must hold.
    #[serde(default)]
    pub(crate) clear_for: Span,
    /// Not cleared before this long after `when` last held.
    #[serde(default)]
    pub(crate) keep_firing_for: Span,
    /// `3/5`: `when` counts once it held in three of the last five judgements.
    #[serde(default)]
    pub(crate) of: Option<String>,
    #[serde(default)]
    pub(crate) schedule: Option<RawSchedule>,
    /// New figures of a standing alert are told at most this often.
    #[serde(default = "ten_minutes")]
    pub(crate) update_every: Span,
    /// An alert per window or reading, with no state.
    #[serde(default)]
    pub(crate) each: bool,
    pub(crate) severity: Severity,
    #[serde(default)]
    pub(crate) inhibits: Vec<Name>,
    #[serde(default)]
    pub(crate) across: bool,
    #[serde(default)]
    pub(crate) group: Option<Name>,
    #[serde(default = "ten")]
    pub(crate) group_after: u32,
    #[serde(default)]
    pub(crate) latch: bool,
    #[serde(default)]
    pub(crate) flap: Option<Flap>,
    #[serde(default)]
    pub(crate) escalate: Vec<Escalation>,
    #[serde(default)]
    pub(crate) notify: Vec<Name>,
    pub(crate) text: Text,
    /// What is said when the condition no longer holds; `text` when absent.
    #[serde(default)]
    pub(crate) over: Option<Text>,
    /// Where the thresholds come from.
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) test: Vec<RawTest>,
}

/// Readings computed from readings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDerive {
    pub(crate) id: Name,
    pub(crate) from: Name,
    #[serde(default = "key")]
    pub(crate) by: String,
    #[serde(default, rename = "where")]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) window: RawWindow,
    /// The fields of the new reading: over the aggregates of the window, or over the reading's own fields without one.
    pub(crate) select: BTreeMap<Name, String>,
    #[serde(default)]
    pub(crate) limit: BTreeMap<Name, f64>,
    #[serde(default, rename = "override")]
    pub(crate) overrides: BTreeMap<Name, RawOverride>,
    #[serde(default)]
    pub(crate) join: BTreeMap<Name, RawJoin>,
    /// A stream with `origin = "derived"`.
    pub(crate) into: Name,
    /// Where the formula comes from.
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) test: Vec<RawTest>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// `when` over a reading or a window.
    #[default]
    Condition,
    /// The key sends nothing usable.
    Silence,
    /// Too many keys of the stream send nothing usable.
    ClassSilence,
    /// The key sends values that fail the plausibility checks.
    Suspect,
}

/// What one key has of its own.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RawOverride {
    /// The rule is not for this key.
    #[serde(default)]
    pub(crate) off: bool,
    #[serde(flatten)]
    pub(crate) limits: BTreeMap<Name, f64>,
}

/// The latest value of another stream, as of the moment that is judged.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawJoin {
    pub(crate) from: Name,
    /// A link of the registry row.
    #[serde(default)]
    pub(crate) link: Option<Name>,
    /// One fixed row.
    #[serde(default)]
    pub(crate) key: Option<Name>,
    /// An older value is NULL.
    pub(crate) max_age: Span,
    #[serde(default)]
    pub(crate) combine: Combine,
}

/// How the values of several linked rows become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Combine {
    /// The newest of them.
    #[default]
    Latest,
    /// NULL unless every linked row has a fresh value: half of a sum is no sum.
    Sum,
    Max,
    Min,
    Avg,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBaseline {
    /// A selected column.
    pub(crate) of: Name,
    pub(crate) days: u16,
    pub(crate) least: u16,
}

/// What must, or must not, follow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawThen {
    #[serde(default)]
    pub(crate) from: Option<Name>,
    #[serde(default)]
    pub(crate) link: Option<Name>,
    #[serde(default)]
    pub(crate) key: Option<Name>,
    pub(crate) when: String,
    #[serde(default)]
    pub(crate) within: Option<Span>,
    /// SQL over the columns of the first, in hours.
    #[serde(default)]
    pub(crate) within_h: Option<String>,
    #[serde(default)]
    pub(crate) before: Span,
    #[serde(default)]
    pub(crate) absent: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCluster {
    pub(crate) events: u32,
    pub(crate) radius_m: f64,
    pub(crate) within: Span,
    #[serde(default)]
    pub(crate) class: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "\"none\", { tumbling = \"10m\" }, { sliding = \"1h\", every = \"10m\" }, { session = \"30m\", most = \"6h\" } or { count = 5, every = 1 }"
)]
pub(crate) enum RawWindow {
    Tumbling(Tumbling),
    Sliding(Sliding),
    Session(Session),
    Count(Count),
    None(NoWindow),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tumbling {
    pub(crate) tumbling: Span,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sliding {
    #[serde(alias = "hopping")]
    pub(crate) sliding: Span,
    pub(crate) every: Span,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    pub(crate) session: Span,
    pub(crate) most: Span,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    pub(crate) count: u32,
    #[serde(default)]
    pub(crate) every: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoWindow {
    None,
}

/// A story in virtual time: readings of one or more stations, and what the rule must say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTest {
    #[serde(default)]
    pub(crate) name: String,
    /// `[time, value]` or `[time, { field = value }]` in order of arrival, with a third `"key"` or `"stream/key"` when it is not
    /// about the key `test` of the rule's stream; time is `HH:MM` or `HH:MM:SS` after midnight UTC.
    pub(crate) given: Vec<RawGiven>,
    /// The facts of the station `test`.
    #[serde(default)]
    pub(crate) station: BTreeMap<Name, Fact>,
    #[serde(default)]
    pub(crate) links: BTreeMap<Name, Vec<Name>>,
    /// Further rows of the registry, with their facts.
    #[serde(default)]
    pub(crate) stations: BTreeMap<Name, BTreeMap<Name, Fact>>,
    /// The stations' reporting period.
    #[serde(default = "ten_minutes")]
    pub(crate) period: Span,
    /// The clock runs on until then; by default until the last reading has been judged.
    #[serde(default)]
    pub(crate) until: Option<String>,
    #[serde(default)]
    pub(crate) exercise: bool,
    /// `severity@time`, or `severity@time key` for another key than `test`.
    #[serde(default)]
    pub(crate) raises: Vec<String>,
    #[serde(default)]
    pub(crate) clears: Vec<String>,
    #[serde(default)]
    pub(crate) stale: Vec<String>,
    /// The Vietnamese texts of the raised alerts, when given.
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// Of a derived stream: `[time, { field = value }]`, with a third `"key"` as above.
    #[serde(default)]
    pub(crate) emits: Vec<RawGiven>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "[\"00:10\", 1.2], [\"00:10\", { field = 1.2 }] or either with a third \"key\" or \"stream/key\"")]
pub(crate) enum RawGiven {
    Own(String, Given),
    Of(String, Given, String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number, or fields such as { level = 45.1, kind = \"open\" }")]
pub(crate) enum Given {
    Value(f64),
    Fields(BTreeMap<Name, Fact>),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a number or a text")]
pub(crate) enum Fact {
    Number(f64),
    Text(String),
}

impl Default for RawWindow {
    fn default() -> Self {
        RawWindow::None(NoWindow::None)
    }
}

fn ten_minutes() -> Span {
    Span::from_mins(10)
}

fn ten() -> u32 {
    10
}

fn key() -> String {
    "key".to_owned()
}
