//! Stands in for the expression language's own definitions until both branches are one.

use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Number(f64),
    Text(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aggregate {
    Max,
    Min,
    Avg,
    Sum,
    Count,
    First,
    Last,
    Delta,
    Rate,
    Slope,
    SlopeError,
    Fit,
    Stddev,
    Percentile(f64),
    Distinct,
    HopAvg,
    Nowcast,
    Since,
    Rows,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) kind: Aggregate,
    pub(crate) field: Option<usize>,
}

pub(crate) fn nowcast(hours: &[Option<f64>]) -> Option<f64> {
    hours.first().copied().flatten()
}
