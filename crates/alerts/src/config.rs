//! What an operator of the system may set of the alert table and of the load figures.
//!
//! Invariant: every limit is finite, so nothing here can grow or last without end.

use std::collections::BTreeMap;

use huong_types::{Name, Problems, Span, Text};
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableConfig {
    /// No alert is shelved for longer. Source of the default: one shift of 8 hours; ISA-18.2 asks for a limit and names none.
    pub longest_shelf: Span,
    /// Ids of raised alerts, and keys of rules that may flap, that are remembered, so that nothing is told twice.
    pub remembered: usize,
    /// How groups are called in texts; a group that is not here goes by its id.
    pub group_names: BTreeMap<Name, Text>,
    pub load: LoadConfig,
}

/// How many share the alarms, and what is too much for one of them.
///
/// Source of the defaults: the targets commonly cited from ISA-18.2, IEC 62682 and EEMUA 191; the standards themselves are to be
/// consulted before anything is signed on them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadConfig {
    pub operators: u32,
    /// Alarms per operator and 10 minutes: about 1 is acceptable, 2 the most manageable.
    pub most_per_10_min: f64,
    /// 12 an hour is the most manageable.
    pub most_per_hour: f64,
    /// A flood begins with more than this in 10 minutes per operator, and ends below `flood_ends`.
    pub flood_begins: f64,
    pub flood_ends: f64,
    /// Share of the time in flood, 0 to 1.
    pub most_flood: f64,
    /// What stands longer than `stale_after` is stale; there should be fewer than `most_stale`.
    pub stale_after: Span,
    pub most_stale: u32,
    pub most_chattering: u32,
    /// Share of the ten most frequent sources, 0 to 1.
    pub most_top_share: f64,
    /// The greatest share of each severity in what is announced: high 5 % (severe and extreme together), medium 15 %.
    pub most_high: f64,
    pub most_medium: f64,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self { longest_shelf: Span::from_mins(8 * 60), remembered: 10_000, group_names: BTreeMap::new(), load: LoadConfig::default() }
    }
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            operators: 1,
            most_per_10_min: 2.0,
            most_per_hour: 12.0,
            flood_begins: 10.0,
            flood_ends: 5.0,
            most_flood: 0.01,
            stale_after: Span::from_mins(24 * 60),
            most_stale: 5,
            most_chattering: 0,
            most_top_share: 0.05,
            most_high: 0.05,
            most_medium: 0.15,
        }
    }
}

impl TableConfig {
    /// Every mistake goes to `problems`; `path` is that of this section in `file`.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let load = &self.load;
        let mut ask = |right: bool, field: &str, found: String, expected: &str| {
            if !right {
                problems.add(file, format!("{path}.{field}"), found, expected);
            }
        };
        ask(self.longest_shelf > Span::ZERO, "longest_shelf", self.longest_shelf.to_string(), "more than 0s");
        ask((1..=1_000_000).contains(&self.remembered), "remembered", self.remembered.to_string(), "1 to 1000000");
        ask(load.operators > 0, "load.operators", load.operators.to_string(), "at least 1");
        let floods = load.flood_begins > load.flood_ends && load.flood_ends > 0.0;
        ask(floods, "load.flood_ends", load.flood_ends.to_string(), "more than 0 and less than flood_begins");
        ask(load.stale_after > Span::ZERO, "load.stale_after", load.stale_after.to_string(), "more than 0s");
        let shares = [
            ("most_flood", load.most_flood),
            ("most_top_share", load.most_top_share),
            ("most_high", load.most_high),
            ("most_medium", load.most_medium),
        ];
        for (field, share) in shares {
            ask((0.0..=1.0).contains(&share), &format!("load.{field}"), share.to_string(), "a share, 0 to 1");
        }
    }

    pub(crate) fn group_name(&self, group: &Name) -> Text {
        self.group_names.get(group).cloned().unwrap_or_else(|| Text { vi: group.to_string(), en: group.to_string() })
    }
}
