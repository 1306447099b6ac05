//! Why a rule said what it said: every judgement of one rule and key, with the figures and the parts of its conditions.

use huong_types::{Name, Timestamp};

use crate::expr::{Cell, Row};
use crate::rule::{Rule, Sight};

/// One judgement in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Event time.
    pub at: Timestamp,
    /// Where its window begins; `at` without one.
    pub start: Timestamp,
    /// The columns it rests on with their values, as text.
    pub columns: Vec<(Name, String)>,
    /// Parts of `when`, then of `clear`: SQL and value.
    pub parts: Vec<(String, String)>,
    /// `None` is SQL's NULL.
    pub when: Option<bool>,
    pub clear: Option<bool>,
}

impl Watched {
    pub(crate) fn new(rule: &Rule, sight: Sight<'_>, row: Row<'_>, when: Option<bool>, clear: Option<bool>) -> Self {
        let named = rule.shown.iter().filter_map(|(position, name)| Some((name.clone(), row.own.get(*position)?)));
        let conditions = rule.when.iter().chain(&rule.clear);
        Self {
            at: sight.at,
            start: sight.start,
            columns: named.map(|(name, cell)| (name, shown(cell))).collect(),
            parts: conditions.flat_map(|condition| condition.explain(row)).collect(),
            when,
            clear,
        }
    }
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.to_string(),
    }
}
