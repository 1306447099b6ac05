//! Scalar SQL expressions of rules: parsed and type-checked once by DataFusion, then compiled to small typed trees that are evaluated
//! on one row without allocation.
//!
//! Invariants. A value depends on nothing but the row. NULL follows SQL's three-valued logic, as DataFusion does. Every number is
//! finite and zero has no sign: what is not finite (a division by zero, a logarithm of zero) is NULL where it arises, so that it can
//! never decide a comparison. What the trees do not cover is a leaf that DataFusion itself evaluates; an error there is NULL.

pub(crate) mod air;
pub(crate) mod call;
mod check;
mod compile;
mod explain;
mod foreign;
mod functions;
mod lower;
mod node;
mod plain;
mod schema;
mod select;
mod sql;
mod tree;

use std::sync::Arc;

pub(crate) use call::{Aggregate, Call};
pub(crate) use compile::{Compiler, Condition, Number, Output};
pub(crate) use plain::Plain;
pub(crate) use schema::{Part, Place, Schema};

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Number(f64),
    Text(Arc<str>),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
}

/// The columns of one row, borrowed from where they live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// Fields of the reading and its key, or the selected figures.
    pub(crate) own: &'a [Cell],
    /// Of the registry row.
    pub(crate) facts: &'a [Cell],
    /// Limits, joins, baseline.
    pub(crate) extra: &'a [Cell],
}

impl<'a> Row<'a> {
    /// NULL when the row is shorter than its schema.
    pub(crate) fn cell(self, place: Place) -> &'a Cell {
        let part = match place.part {
            Part::Own => self.own,
            Part::Facts => self.facts,
            Part::Extra => self.extra,
        };
        part.get(place.index).unwrap_or(&Cell::Null)
    }

    pub(crate) fn number(self, place: Place) -> Option<f64> {
        match self.cell(place) {
            Cell::Number(x) => finite(*x),
            Cell::Null | Cell::Text(_) => None,
        }
    }

    pub(crate) fn text(self, place: Place) -> Option<&'a Arc<str>> {
        match self.cell(place) {
            Cell::Text(text) => Some(text),
            Cell::Null | Cell::Number(_) => None,
        }
    }
}

/// The one door through which numbers enter: finite, and zero without a sign.
fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x + 0.0)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
