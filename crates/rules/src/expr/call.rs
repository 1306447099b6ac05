//! The aggregate calls a `select` makes: what the windows must compute, and of which field.
//!
//! Invariant: a call is a plain value; two equal calls of one rule are computed once.

/// What windows can compute of a field. Times are event times, rates and slopes per hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aggregate {
    Max,
    Min,
    Avg,
    Sum,
    /// Of a field: its present values.
    Count,
    First,
    Last,
    /// Last minus first.
    Delta,
    /// Delta divided by the hours between the two.
    Rate,
    /// Of the least-squares line through the values, per hour.
    Slope,
    /// Standard error of that slope, per hour.
    SlopeError,
    /// Value of that line at the time of the last value.
    Fit,
    /// Of a sample (n − 1).
    Stddev,
    /// The share of values at or below it, 0 to 1.
    Percentile(f64),
    /// How many different values.
    Distinct,
    /// Mean of the window's newest hop.
    HopAvg,
    /// Of the hourly hop means, see [`super::air::nowcast`].
    Nowcast,
    /// Hours from the first to the last value.
    Since,
    /// Readings, whatever they hold.
    Rows,
}

/// One aggregate of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) kind: Aggregate,
    /// Own column of the stream; `None` = the reading itself, `count(*)`.
    pub(crate) field: Option<usize>,
}

impl Aggregate {
    /// Aggregates of one field that are named in SQL and take nothing else; the others are `percentile(x, p)`, `median(x)` and
    /// `count(*)`.
    pub(crate) const NAMED: [(&str, Self); 17] = [
        ("max", Self::Max),
        ("min", Self::Min),
        ("avg", Self::Avg),
        ("sum", Self::Sum),
        ("count", Self::Count),
        ("first", Self::First),
        ("last", Self::Last),
        ("delta", Self::Delta),
        ("rate", Self::Rate),
        ("slope", Self::Slope),
        ("slope_error", Self::SlopeError),
        ("fit", Self::Fit),
        ("stddev", Self::Stddev),
        ("distinct", Self::Distinct),
        ("hop_avg", Self::HopAvg),
        ("nowcast", Self::Nowcast),
        ("since", Self::Since),
    ];

    /// Whether a text field may be given.
    pub(crate) fn takes_text(self) -> bool {
        matches!(self, Self::Count | Self::First | Self::Last | Self::Distinct)
    }
}
