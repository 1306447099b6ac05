//! The compiled trees: one type per type of value, evaluated on a row without allocation.
//!
//! `None` is NULL everywhere; numbers are always finite (see [`super::finite`]).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use huong_types::{Zone, geo};
use smallvec::SmallVec;

use super::foreign::Foreign;
use super::functions::Function;
use super::{Place, Row, finite};

#[derive(Clone, Debug)]
pub(crate) enum NumberExpr {
    Literal(Option<f64>),
    Column(Place),
    Negative(Box<NumberExpr>),
    Arithmetic(Arithmetic, Box<[NumberExpr; 2]>),
    Call(&'static Function, Box<[NumberExpr]>),
    ZoneDistance(Arc<Zone>, Box<[NumberExpr; 2]>),
    Case(Box<Case<NumberExpr>>),
    Foreign(Arc<Foreign>),
}

#[derive(Clone, Debug)]
pub(crate) enum BoolExpr {
    Literal(Option<bool>),
    Compare(Comparison, Box<[NumberExpr; 2]>),
    CompareText(Comparison, Box<[TextExpr; 2]>),
    In(Box<NumberExpr>, Box<[NumberExpr]>),
    InText(Box<TextExpr>, Box<[TextExpr]>),
    NumberIsNull(Box<NumberExpr>),
    TextIsNull(Box<TextExpr>),
    /// Whether the value is the one asked for, NULL being a value like the others.
    Is(Box<BoolExpr>, Option<bool>),
    Not(Box<BoolExpr>),
    And(Box<[BoolExpr]>),
    Or(Box<[BoolExpr]>),
    InZone(Arc<Zone>, Box<[NumberExpr; 2]>),
    Case(Box<Case<BoolExpr>>),
    Foreign(Arc<Foreign>),
}

#[derive(Clone, Debug)]
pub(crate) enum TextExpr {
    Literal(Option<Arc<str>>),
    Column(Place),
    Coalesce(Box<[TextExpr]>),
    Case(Box<Case<TextExpr>>),
    Foreign(Arc<Foreign>),
}

#[derive(Clone, Debug)]
pub(crate) struct Case<T> {
    pub(crate) arms: Box<[(BoolExpr, T)]>,
    pub(crate) otherwise: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl NumberExpr {
    pub(crate) fn eval(&self, row: Row<'_>) -> Option<f64> {
        match self {
            Self::Literal(x) => *x,
            Self::Column(place) => row.number(*place),
            Self::Negative(of) => of.eval(row).map(|x| 0.0 - x),
            Self::Arithmetic(op, sides) => {
                let [left, right] = pair(sides, row)?;
                finite(op.apply(left, right))
            }
            Self::Call(function, args) => {
                let args: SmallVec<[Option<f64>; 6]> = args.iter().map(|a| a.eval(row)).collect();
                (function.eval)(&args).and_then(finite)
            }
            Self::ZoneDistance(zone, point) => {
                let [lat, lon] = pair(point, row)?;
                geo::edge_distance_m(&zone.points, (lat, lon)).and_then(finite)
            }
            Self::Case(case) => case.pick(row).eval(row),
            Self::Foreign(foreign) => foreign.number(row),
        }
    }
}

impl BoolExpr {
    pub(crate) fn eval(&self, row: Row<'_>) -> Option<bool> {
        match self {
            Self::Literal(x) => *x,
            Self::Compare(op, sides) => {
                let [left, right] = pair(sides, row)?;
                // Finite, so there is always an order.
                left.partial_cmp(&right).map(|order| op.holds(order))
            }
            Self::CompareText(op, sides) => {
                let (left, right) = (sides[0].eval(row)?, sides[1].eval(row)?);
                Some(op.holds(left.as_ref().cmp(right.as_ref())))
            }
            Self::In(of, list) => {
                let of = of.eval(row)?;
                any(list.iter().map(|item| item.eval(row).map(|item| item == of)))
            }
            Self::InText(of, list) => {
                let of = of.eval(row)?;
                any(list.iter().map(|item| item.eval(row).map(|item| item == of)))
            }
            Self::NumberIsNull(of) => Some(of.eval(row).is_none()),
            Self::TextIsNull(of) => Some(of.eval(row).is_none()),
            Self::Is(of, value) => Some(of.eval(row) == *value),
            Self::Not(of) => of.eval(row).map(|x| !x),
            Self::And(all) => any(all.iter().map(|x| x.eval(row).map(|x| !x))).map(|x| !x),
            Self::Or(all) => any(all.iter().map(|x| x.eval(row))),
            Self::InZone(zone, point) => pair(point, row).map(|[lat, lon]| geo::contains(&zone.points, (lat, lon))),
            Self::Case(case) => case.pick(row).eval(row),
            Self::Foreign(foreign) => foreign.truth(row),
        }
    }
}

impl TextExpr {
    pub(crate) fn eval<'a>(&'a self, row: Row<'a>) -> Option<Cow<'a, Arc<str>>> {
        match self {
            Self::Literal(text) => text.as_ref().map(Cow::Borrowed),
            Self::Column(place) => row.text(*place).map(Cow::Borrowed),
            Self::Coalesce(all) => all.iter().find_map(|text| text.eval(row)),
            Self::Case(case) => case.pick(row).eval(row),
            Self::Foreign(foreign) => foreign.text(row).map(Cow::Owned),
        }
    }
}

impl<T> Case<T> {
    fn pick(&self, row: Row<'_>) -> &T {
        let arm = self.arms.iter().find(|(when, _)| when.eval(row) == Some(true));
        arm.map_or(&self.otherwise, |(_, then)| then)
    }
}

impl Arithmetic {
    fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Remainder => left % right,
        }
    }
}

impl Comparison {
    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn pair(sides: &[NumberExpr; 2], row: Row<'_>) -> Option<[f64; 2]> {
    Some([sides[0].eval(row)?, sides[1].eval(row)?])
}

/// SQL's OR: true as soon as one is, else NULL when one is, else false.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return truth,
            Some(false) => {}
            None => result = None,
        }
    }
    result
}
