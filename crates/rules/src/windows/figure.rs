//! The figures that calls ask of a window, made of its summary.
//!
//! Invariant: what cannot be known is NULL: a figure of no values, a slope of one instant, a standard error of two points.

use std::sync::Arc;

use super::summary::{Layout, Summary, What};
use crate::expr::air::{NOWCAST_HOURS, nowcast};
use crate::expr::{Aggregate, Call, Cell, Kind};

const MILLIS_PER_HOUR: f64 = 3_600_000.0;

/// A call, and where in the summary it finds what it needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Rows,
    /// A numeric aggregate of a text.
    Nothing,
    /// The first or last text.
    Text {
        at: usize,
    },
    Number {
        kind: Aggregate,
        count: usize,
        at: usize,
        /// The second part of those that need two.
        and: usize,
    },
}

impl Ask {
    pub(super) fn new(call: Call, kinds: &[Kind], layout: &mut Layout) -> Self {
        let Some(field) = call.field.filter(|_| call.kind != Aggregate::Rows) else { return Self::Rows };
        let kind = kinds.get(field).copied().unwrap_or(Kind::Number);
        let (what, and) = match (call.kind, kind) {
            (Aggregate::Count, _) => (What::Count, None),
            (Aggregate::Distinct, _) => (What::Distinct, None),
            (Aggregate::First, Kind::Text) => (What::FirstText, None),
            (Aggregate::Last, Kind::Text) => (What::LastText, None),
            (_, Kind::Text) => return Self::Nothing,
            (Aggregate::Max, _) => (What::Max, None),
            (Aggregate::Min, _) => (What::Min, None),
            (Aggregate::Avg | Aggregate::Sum | Aggregate::HopAvg | Aggregate::Nowcast, _) => (What::Sum, None),
            (Aggregate::First, _) => (What::First, None),
            (Aggregate::Last, _) => (What::Last, None),
            (Aggregate::Delta | Aggregate::Rate | Aggregate::Since, _) => (What::First, Some(What::Last)),
            (Aggregate::Slope | Aggregate::SlopeError, _) => (What::Line, None),
            (Aggregate::Fit, _) => (What::Line, Some(What::Last)),
            (Aggregate::Stddev, _) => (What::Spread, None),
            (Aggregate::Percentile(_), _) => (What::Sample, None),
            (Aggregate::Rows, _) => return Self::Rows,
        };
        let field = layout.field(field, kind);
        let at = layout.place(field, what);
        if matches!(what, What::FirstText | What::LastText) {
            return Self::Text { at };
        }
        let and = and.map_or(at, |what| layout.place(field, what));
        Self::Number { kind: call.kind, count: layout.place(field, What::Count), at, and }
    }

    /// `hop`: a number of the hop that ends so many hops before the window does, 0 where there is none; windows without hops are one.
    pub(super) fn cell(self, rows: u64, summary: &Summary, hop: &dyn Fn(usize, usize) -> f64) -> Cell {
        let figure = match self {
            Self::Rows => Some(rows as f64),
            Self::Nothing => None,
            Self::Text { at } => return summary.text(at).map_or(Cell::Null, |text| Cell::Text(Arc::clone(text))),
            Self::Number { kind, count, at, and } => figure(kind, summary, [count, at, and], hop),
        };
        // A sum may grow beyond what a float holds.
        figure.filter(|figure| figure.is_finite()).map_or(Cell::Null, |figure| Cell::Number(figure + 0.0))
    }
}

fn figure(kind: Aggregate, summary: &Summary, [count, at, and]: [usize; 3], hop: &dyn Fn(usize, usize) -> f64) -> Option<f64> {
    let number = |place: usize| summary.number(place);
    let n = number(count);
    let hop_mean = |back: usize| Some(hop(back, count)).filter(|n| *n > 0.0).map(|n| hop(back, at) / n);
    let change = || (number(and + 1) - number(at + 1), (number(and) - number(at)) / MILLIS_PER_HOUR);
    let line = || Line::of(summary, at, n);
    match kind {
        Aggregate::Count | Aggregate::Rows => Some(n),
        Aggregate::Distinct => Some(summary.distinct(at) as f64),
        _ if n == 0.0 => None,
        Aggregate::Max | Aggregate::Min | Aggregate::Sum => Some(number(at)),
        Aggregate::Avg => Some(number(at) / n),
        Aggregate::First | Aggregate::Last => Some(number(at + 1)),
        Aggregate::Delta => Some(change()).filter(|(_, hours)| *hours > 0.0).map(|(delta, _)| delta),
        Aggregate::Rate => Some(change()).filter(|(_, hours)| *hours > 0.0).map(|(delta, hours)| delta / hours),
        Aggregate::Since => Some(change().1),
        Aggregate::Slope => line().map(|line| line.slope * MILLIS_PER_HOUR),
        Aggregate::SlopeError => line()?.slope_error().map(|error| error * MILLIS_PER_HOUR),
        Aggregate::Fit => line().map(|line| line.value(number(and))),
        Aggregate::Stddev => (n > 1.0).then(|| (number(at + 1) / (n - 1.0)).sqrt()),
        Aggregate::Percentile(p) => summary.quantile(at, p),
        Aggregate::HopAvg => hop_mean(0),
        Aggregate::Nowcast => nowcast(&std::array::from_fn::<_, NOWCAST_HOURS, _>(hop_mean)),
    }
}

/// The least-squares line through values at two times or more; per ms.
struct Line {
    n: f64,
    slope: f64,
    origin: f64,
    mean_after: f64,
    mean: f64,
    squares_time: f64,
    /// Of the values about the line.
    squares_left: f64,
}

impl Line {
    fn of(summary: &Summary, at: usize, n: f64) -> Option<Self> {
        let [origin, mean_after, mean, tt, tv, vv] = std::array::from_fn(|i| summary.number(at + i));
        (tt > 0.0).then(|| {
            let slope = tv / tt;
            // Rounding may leave less than nothing of points on a line.
            Self { n, slope, origin, mean_after, mean, squares_time: tt, squares_left: (vv - slope * tv).max(0.0) }
        })
    }

    fn slope_error(&self) -> Option<f64> {
        (self.n > 2.0).then(|| (self.squares_left / (self.n - 2.0) / self.squares_time).sqrt())
    }

    fn value(&self, time: f64) -> f64 {
        self.mean + self.slope * (time - self.origin - self.mean_after)
    }
}
