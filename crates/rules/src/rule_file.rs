//! The shape of `pipelines/*.toml`, as written: nothing here is checked against streams or registry yet.

use std::collections::BTreeMap;

use huong_types::{Name, Severity, Span, Text};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuleFile {
    pub(crate) rule: Vec<RawRule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    pub(crate) id: Name,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// The stream.
    pub(crate) from: Name,
    /// What alerts are about; it says so for the reader, there is one choice.
    #[serde(default, rename = "by")]
    pub(crate) _by: By,
    #[serde(default)]
    pub(crate) window: RawWindow,
    /// May raise while the window is still open: right for figures that only grow until it closes, sums and maxima.
    #[serde(default)]
    pub(crate) early: bool,
    /// Column name → SQL over the aggregates of the window.
    #[serde(default)]
    pub(crate) select: BTreeMap<Name, String>,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// `when` over a reading or a window.
    #[default]
    Condition,
    /// The key sends nothing usable.
    Silence,
    /// The key sends values that fail the plausibility checks.
    Suspect,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    #[default]
    #[serde(alias = "station", alias = "camera")]
    Key,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "\"none\", { tumbling = \"10m\" } or { sliding = \"1h\", every = \"10m\" }")]
pub(crate) enum RawWindow {
    Tumbling(Tumbling),
    Sliding(Sliding),
    None(NoWindow),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tumbling {
    pub(crate) tumbling: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sliding {
    #[serde(alias = "hopping")]
    pub(crate) sliding: Span,
    pub(crate) every: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoWindow {
    None,
}

/// A story in virtual time: readings of one station, and what the rule must say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTest {
    #[serde(default)]
    pub(crate) name: String,
    /// `[time, value]` or `[time, { field = value }]` in order of arrival; time is `HH:MM` or `HH:MM:SS` after midnight UTC.
    pub(crate) given: Vec<(String, Given)>,
    /// The station's levels.
    #[serde(default)]
    pub(crate) station: BTreeMap<Name, f64>,
    /// The station's reporting period.
    #[serde(default = "ten_minutes")]
    pub(crate) period: Span,
    /// The clock runs on until then; by default until the last reading has been judged.
    #[serde(default)]
    pub(crate) until: Option<String>,
    /// `severity@time`.
    #[serde(default)]
    pub(crate) raises: Vec<String>,
    #[serde(default)]
    pub(crate) clears: Vec<String>,
    #[serde(default)]
    pub(crate) stale: Vec<String>,
    /// The Vietnamese texts of the raised alerts, when given.
    #[serde(default)]
    pub(crate) says: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number, or fields such as { level = 45.1, q_out = 300 }")]
pub(crate) enum Given {
    Value(f64),
    Fields(BTreeMap<Name, f64>),
}

impl Default for RawWindow {
    fn default() -> Self {
        RawWindow::None(NoWindow::None)
    }
}

fn ten_minutes() -> Span {
    Span::from_mins(10)
}
