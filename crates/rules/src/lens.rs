//! What a rule sees beside the reading or window itself: its limits, values joined from other streams, the baseline.
//!
//! Invariant: a row's extras stand in one order, that of [`Extras::columns`]: limits, joins, baseline. What no expression of the
//! rule names is not looked up and stays NULL.

use std::collections::{BTreeMap, HashMap, HashSet};

use huong_types::{Name, Registry, Span, Timestamp};

use crate::baseline::{BaselineSpec, Expected};
use crate::board::Board;
use crate::expr::{Cell, Kind};
use crate::rule_file::Combine;

#[derive(Debug, Default)]
pub(crate) struct Extras {
    limits: Vec<(Name, f64)>,
    /// The limits of keys that have their own.
    overrides: HashMap<Name, Vec<f64>>,
    /// Keys that the rule is not for.
    off: HashSet<Name>,
    joins: Vec<Join>,
    pub(crate) baseline: Option<BaselinePlan>,
    /// Positions that some expression names.
    used: Vec<bool>,
}

#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) name: Name,
    pub(crate) stream: usize,
    pub(crate) to: To,
    pub(crate) max_age: Span,
    pub(crate) combine: Combine,
    pub(crate) columns: Vec<(Name, Kind, Joined)>,
}

/// Whose values are joined.
#[derive(Clone, Debug)]
pub(crate) enum To {
    Same,
    Key(Name),
    Link(Name),
}

#[derive(Debug)]
pub(crate) enum Joined {
    Field(usize),
    /// A fact of the joined row.
    Level(Name),
    /// Hours since the joined stream's last reading.
    Age,
}

#[derive(Debug)]
pub(crate) struct BaselinePlan {
    pub(crate) spec: BaselineSpec,
    /// Position of the selected column.
    pub(crate) of: usize,
}

/// The baseline's columns, in order.
pub(crate) const BASELINE: [&str; 5] = ["mean", "sd", "median", "spread", "days"];

impl To {
    /// The keys it leads to from `key`.
    pub(crate) fn keys<'a>(&'a self, key: &'a Name, registry: &'a Registry) -> &'a [Name] {
        match self {
            To::Same => std::slice::from_ref(key),
            To::Key(fixed) => std::slice::from_ref(fixed),
            To::Link(link) => registry.row(key).and_then(|row| row.links.get(link)).map_or(&[], Vec::as_slice),
        }
    }
}

impl Extras {
    pub(crate) fn new(limits: &BTreeMap<Name, f64>, joins: Vec<Join>) -> Self {
        Self { limits: limits.iter().map(|(name, value)| (name.clone(), *value)).collect(), joins, ..Self::default() }
    }

    /// `own` are the limits that differ for `key`; `None` when the rule is not for it.
    pub(crate) fn set_override(&mut self, key: &Name, own: Option<&BTreeMap<Name, f64>>) {
        match own {
            None => {
                self.off.insert(key.clone());
            }
            Some(own) => {
                let values = self.limits.iter().map(|(name, value)| own.get(name).copied().unwrap_or(*value)).collect();
                self.overrides.insert(key.clone(), values);
            }
        }
    }

    /// Names and kinds, in the order of the values.
    pub(crate) fn columns(&self) -> Vec<(String, Kind)> {
        let limits = self.limits.iter().map(|(name, _)| (format!("limit.{name}"), Kind::Number));
        let joins = self.joins.iter().flat_map(|join| join.columns.iter().map(|(name, kind, _)| (format!("{}.{name}", join.name), *kind)));
        let baseline = self.baseline.iter().flat_map(|_| BASELINE.map(|name| (format!("baseline.{name}"), Kind::Number)));
        limits.chain(joins).chain(baseline).collect()
    }

    pub(crate) fn is_used(&mut self, position: usize) {
        if self.used.len() <= position {
            self.used.resize(position + 1, false);
        }
        self.used[position] = true;
    }

    pub(crate) fn is_off(&self, key: &Name) -> bool {
        self.off.contains(key)
    }

    pub(crate) fn joins(&self) -> &[Join] {
        &self.joins
    }

    /// The values for `key` as of `at`.
    pub(crate) fn fill(&self, key: &Name, at: Timestamp, board: &Board, registry: &Registry, expected: Option<Expected>) -> Vec<Cell> {
        if self.used.is_empty() {
            return Vec::new();
        }
        let own = self.overrides.get(key);
        let mut cells: Vec<Cell> = match own {
            Some(own) => own.iter().map(|value| Cell::Number(*value)).collect(),
            None => self.limits.iter().map(|(_, value)| Cell::Number(*value)).collect(),
        };
        for join in &self.joins {
            for (_, _, joined) in &join.columns {
                let used = self.used.get(cells.len()).copied().unwrap_or_default();
                cells.push(if used { join.value(joined, key, at, board, registry) } else { Cell::Null });
            }
        }
        if self.baseline.is_some() {
            match expected {
                Some(Expected { mean, sd, median, spread, days }) => {
                    cells.extend([mean, sd, median, spread, f64::from(days)].map(Cell::Number));
                }
                None => cells.extend([const { Cell::Null }; BASELINE.len()]),
            }
        }
        cells
    }
}

impl Join {
    fn value(&self, joined: &Joined, key: &Name, at: Timestamp, board: &Board, registry: &Registry) -> Cell {
        let keys = self.to.keys(key, registry);
        match joined {
            Joined::Field(field) => {
                let found = keys.iter().filter_map(|key| board.as_of(self.stream, key, *field, at, self.max_age));
                combine(self.combine, found, keys.len())
            }
            Joined::Level(name) => match keys {
                [one] => registry.row(one).and_then(|row| row.levels.get(name)).map_or(Cell::Null, |level| Cell::Number(*level)),
                _ => Cell::Null,
            },
            Joined::Age => {
                let newest = keys.iter().filter_map(|key| board.heard(self.stream, key, at, self.max_age)).max();
                newest.map_or(Cell::Null, |newest| Cell::Number(at.since(newest).as_hours()))
            }
        }
    }
}

fn combine<'a>(how: Combine, found: impl Iterator<Item = (Timestamp, &'a Cell)>, wanted: usize) -> Cell {
    if how == Combine::Latest {
        // Of two at the same moment the first link counts.
        let mut latest: Option<(Timestamp, &Cell)> = None;
        for (at, cell) in found {
            if latest.is_none_or(|(newest, _)| at > newest) {
                latest = Some((at, cell));
            }
        }
        return latest.map_or(Cell::Null, |(_, cell)| cell.clone());
    }
    let numbers: Vec<f64> = found.filter_map(|(_, cell)| if let Cell::Number(number) = cell { Some(*number) } else { None }).collect();
    let sum: f64 = numbers.iter().sum();
    let all = numbers.len() == wanted;
    let value = match how {
        Combine::Sum => all.then_some(sum),
        Combine::Avg => Some(sum / numbers.len() as f64),
        Combine::Max => numbers.iter().copied().reduce(f64::max),
        Combine::Min => numbers.iter().copied().reduce(f64::min),
        Combine::Latest => None,
    };
    match value {
        Some(value) if !numbers.is_empty() => Cell::Number(value),
        _ => Cell::Null,
    }
}
