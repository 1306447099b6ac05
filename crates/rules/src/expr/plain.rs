//! The plainest conditions: a number column compared with a literal or with another column.
//!
//! Invariant: gives what the condition's tree gives.

use super::compile::{Condition, Output};
use super::tree::{BoolExpr, Comparison, NumberExpr};
use super::{Part, Place, Row};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    op: Comparison,
    left: Side,
    right: Side,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Literal(f64),
    Column(Place),
}

impl Condition {
    /// `None` for a condition that is not of this kind, or that reads what is looked up for the rule alone.
    pub(crate) fn plain(&self) -> Option<Plain> {
        let BoolExpr::Compare(op, sides) = &self.expr else { return None };
        Some(Plain { op: *op, left: Side::of(&sides[0])?, right: Side::of(&sides[1])? })
    }
}

impl Output {
    /// The own column that it shows as it is.
    pub(crate) fn shown(&self) -> Option<Place> {
        match self {
            Self::Number(NumberExpr::Column(place)) if place.part == Part::Own => Some(*place),
            _ => None,
        }
    }
}

impl Plain {
    pub(crate) fn eval(&self, row: Row<'_>) -> Option<bool> {
        let (left, right) = (self.left.eval(row)?, self.right.eval(row)?);
        left.partial_cmp(&right).map(|order| self.op.holds(order))
    }

    /// The same over the row beneath, `under` giving the column there that an own column shows.
    pub(crate) fn through(self, under: impl Fn(usize) -> Option<Place>) -> Option<Self> {
        let side = |side| match side {
            Side::Column(Place { part: Part::Own, index }) => under(index).map(Side::Column),
            other => Some(other),
        };
        Some(Self { op: self.op, left: side(self.left)?, right: side(self.right)? })
    }
}

impl Side {
    fn of(expr: &NumberExpr) -> Option<Self> {
        match expr {
            NumberExpr::Literal(literal) => literal.map(Side::Literal),
            NumberExpr::Column(place) if place.part != Part::Extra => Some(Side::Column(*place)),
            _ => None,
        }
    }

    fn eval(self, row: Row<'_>) -> Option<f64> {
        match self {
            Side::Literal(literal) => Some(literal),
            Side::Column(place) => row.number(place),
        }
    }
}
