//! What a rule's figures mean, and what is to be done: `[[guide]]` entries, the first that fits an alert's rule.
//!
//! Invariant: a guide adds words and units to what the rule has said; it decides nothing.

use huong_types::{Alert, Name, Problems, Registry, Text};
use serde::Deserialize;

use crate::roster::fits;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guide {
    /// Rules, with `*` at the end for any further letters.
    rules: Vec<Name>,
    /// The first of these figures that the alert has.
    #[serde(default = "value")]
    value: Vec<Name>,
    #[serde(default)]
    unit: String,
    #[serde(default = "two")]
    decimals: usize,
    /// A level of the station that the value is measured against.
    #[serde(default)]
    limit: Option<Name>,
    /// The figure that is a rate, and its unit.
    #[serde(default)]
    rate: Option<Name>,
    #[serde(default)]
    rate_unit: Text,
    /// What it is called: CAP's `event`.
    #[serde(default)]
    pub(crate) event: Text,
    /// What staff are to do.
    #[serde(default)]
    pub(crate) advice: Text,
    /// What people are to do: the instruction of a public CAP message.
    #[serde(default)]
    pub(crate) public: Text,
    /// CAP 1.2, 3.2.2: `Met`, `Geo`, `Safety`, `Env`, `Transport`, `Infra`, `Fire`, `Health`, `Security`, `Rescue`, `CBRNE`, `Other`.
    #[serde(default = "other")]
    pub(crate) category: String,
    /// CAP 1.2: the line reaches the level later, so it is `Expected` and `Likely`; `Immediate` and `Observed` otherwise.
    #[serde(default)]
    pub(crate) ahead: bool,
}

/// An alert's figures by what they mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) value: Option<f64>,
    pub(crate) limit: Option<f64>,
    pub(crate) unit: String,
    pub(crate) decimals: usize,
    pub(crate) rate: Option<f64>,
    pub(crate) rate_unit: Text,
    /// Hours to the next level, and the interval.
    pub(crate) hours: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

fn value() -> Vec<Name> {
    ["value", "level"].map(Name::new).to_vec()
}

fn two() -> usize {
    2
}

fn other() -> String {
    "Other".to_owned()
}

const CATEGORIES: [&str; 12] =
    ["Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"];

impl Guide {
    pub(crate) fn fits(&self, rule: &str) -> bool {
        self.rules.iter().any(|pattern| fits(pattern, rule))
    }

    pub(crate) fn figures(&self, alert: &Alert, registry: &Registry) -> Figures {
        let of = |name: &str| alert.values.get(name).copied();
        let level = |name: &Name| registry.row(&alert.key).and_then(|row| row.levels.get(name).copied());
        let rate = self.rate.as_ref().and_then(|name| of(name));
        // Hours go with a line through readings, and so with its rate.
        let ahead = |name: &str| if self.ahead { of(name) } else { None };
        Figures {
            value: self.value.iter().find_map(|name| of(name)),
            limit: self.limit.as_ref().and_then(level),
            unit: self.unit.clone(),
            decimals: self.decimals,
            rate,
            rate_unit: self.rate_unit.clone(),
            hours: ahead("hours"),
            low: ahead("low"),
            high: ahead("high"),
        }
    }

    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if !CATEGORIES.contains(&self.category.as_str()) {
            problems.add(file, format!("{path}.category"), format!("`{}`", self.category), CATEGORIES.join(", "));
        }
        if self.decimals > 9 {
            problems.add(file, format!("{path}.decimals"), self.decimals.to_string(), "0 to 9");
        }
        if self.rules.is_empty() {
            problems.add(file, format!("{path}.rules"), "nothing", "at least one rule");
        }
    }
}

impl Figures {
    /// What is not known of it is taken from a line that looks ahead.
    pub(crate) fn with_line(self, line: Figures) -> Figures {
        if self.hours.is_some() || line.hours.is_none() {
            return self;
        }
        Figures { rate: line.rate, rate_unit: line.rate_unit, hours: line.hours, low: line.low, high: line.high, ..self }
    }
}
