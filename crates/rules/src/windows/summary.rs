//! What is kept of a stretch of readings; two stretches merge into one.
//!
//! Invariant: only what the plan's calls ask for is kept: a plan of one count keeps one number per stretch.

use std::sync::Arc;

use huong_types::Timestamp;
use smallvec::SmallVec;

use super::Taken;
use super::figure::Ask;
use super::sample::{Distinct, Sample};
use crate::expr::{Call, Cell, Kind};

/// What a summary holds, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Own columns that some call reads, each once, in the order of a [`Taken`]'s values.
    fields: Vec<(usize, Kind)>,
    parts: Vec<Part>,
    asks: Vec<Ask>,
    empty: Vec<f64>,
    empty_rich: Vec<Rich>,
}

/// A part of each kind that the layout names.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// Times as ms since 1970, exact in a float for the next 285 thousand years.
    numbers: SmallVec<[f64; 2]>,
    rich: Box<[Rich]>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    /// Position in a reading's kept values.
    field: usize,
    what: What,
    /// Where it is among the numbers, or among the rich parts.
    at: usize,
    /// Where the number of the field's values is.
    count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Count,
    Sum,
    Min,
    Max,
    /// Time and value; of several at the same time the least.
    First,
    /// Time and value; of several at the same time the greatest.
    Last,
    /// Mean and sum of squared deviations: Welford 1962; to merge, Chan, Golub and LeVeque 1979.
    Spread,
    /// Origin (a time near all others, so that differences stay exact); mean time after it in ms and mean value; sums of the squared
    /// deviations of the times, of the mixed ones, of the squared ones of the values.
    Line,
    /// Of the first and the last reading, whatever they hold.
    Times,
    FirstText,
    LastText,
    Sample,
    Distinct,
}

#[derive(Clone, Debug)]
enum Rich {
    First(Option<(Timestamp, Arc<str>)>),
    Last(Option<(Timestamp, Arc<str>)>),
    Sample(Sample),
    Distinct(Distinct),
}

impl Layout {
    /// `times`: the window needs the times of its first and last reading.
    pub(super) fn new(calls: &[Call], kinds: &[Kind], times: bool) -> Self {
        let mut layout = Self::default();
        if times {
            layout.place(0, What::Times);
        }
        layout.asks = calls.iter().map(|call| Ask::new(*call, kinds, &mut layout)).collect();
        // The others need the number of values before.
        layout.parts.sort_by_key(|part| part.what == What::Count);
        layout
    }

    pub(super) fn cells(&self, rows: u64, summary: &Summary, hop: &dyn Fn(usize, usize) -> f64) -> Vec<Cell> {
        self.asks.iter().map(|ask| ask.cell(rows, summary, hop)).collect()
    }

    /// What is kept of a reading: usable cells of the fields' kinds; zero without its sign, which would depend on the order.
    pub(super) fn take(&self, values: &[Cell]) -> SmallVec<[Cell; 1]> {
        let fields = self.fields.iter().map(|(field, kind)| match (values.get(*field), kind) {
            (Some(Cell::Number(value)), Kind::Number) if value.is_finite() => Cell::Number(*value + 0.0),
            (Some(Cell::Text(text)), Kind::Text) => Cell::Text(Arc::clone(text)),
            _ => Cell::Null,
        });
        fields.collect()
    }

    /// Whether every part is the same, bit for bit, whatever the order of addition.
    pub(super) fn is_unordered(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part.what, What::Sum | What::Spread | What::Line))
    }

    /// The position of own column `field` among the kept values.
    pub(super) fn field(&mut self, field: usize, kind: Kind) -> usize {
        self.fields.iter().position(|(known, _)| *known == field).unwrap_or_else(|| {
            self.fields.push((field, kind));
            self.fields.len() - 1
        })
    }

    /// Where that part of kept field `field` is, new or known.
    pub(super) fn place(&mut self, field: usize, what: What) -> usize {
        if let Some(known) = self.parts.iter().find(|part| part.field == field && part.what == what) {
            return known.at;
        }
        let count = if matches!(what, What::Count | What::Times) { self.empty.len() } else { self.place(field, What::Count) };
        let rich = match what {
            What::FirstText => Some(Rich::First(None)),
            What::LastText => Some(Rich::Last(None)),
            What::Sample => Some(Rich::Sample(Sample::default())),
            What::Distinct => Some(Rich::Distinct(Distinct::new(self.fields[field].1))),
            _ => None,
        };
        let at = if let Some(rich) = rich {
            self.empty_rich.push(rich);
            self.empty_rich.len() - 1
        } else {
            let at = self.empty.len();
            self.empty.extend_from_slice(what.empty());
            at
        };
        self.parts.push(Part { field, what, at, count });
        at
    }
}

impl What {
    fn empty(self) -> &'static [f64] {
        match self {
            Self::Count | Self::Sum => &[0.0],
            Self::Min => &[f64::INFINITY],
            Self::Max => &[f64::NEG_INFINITY],
            Self::First | Self::Last | Self::Spread => &[0.0; 2],
            Self::Line => &[0.0; 6],
            Self::Times => &[f64::INFINITY, f64::NEG_INFINITY],
            Self::FirstText | Self::LastText | Self::Sample | Self::Distinct => &[],
        }
    }
}

impl Summary {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { numbers: SmallVec::from_slice(&layout.empty), rich: layout.empty_rich.clone().into_boxed_slice() }
    }

    pub(super) fn number(&self, at: usize) -> f64 {
        self.numbers[at]
    }

    /// Of the first and the last reading, where the layout was made to keep them: they are its first part.
    pub(super) fn times(&self) -> (Timestamp, Timestamp) {
        let time = |at: usize| Timestamp::from_millis(self.numbers[at] as i64);
        (time(0), time(1))
    }

    pub(super) fn text(&self, at: usize) -> Option<&Arc<str>> {
        match &self.rich[at] {
            Rich::First(known) | Rich::Last(known) => known.as_ref().map(|(_, text)| text),
            Rich::Sample(_) | Rich::Distinct(_) => None,
        }
    }

    pub(super) fn quantile(&self, at: usize, p: f64) -> Option<f64> {
        if let Rich::Sample(sample) = &self.rich[at] { sample.quantile(p) } else { None }
    }

    pub(super) fn distinct(&self, at: usize) -> usize {
        if let Rich::Distinct(distinct) = &self.rich[at] { distinct.len() } else { 0 }
    }

    pub(super) fn add(&mut self, layout: &Layout, taken: &Taken) {
        let time = taken.at.as_millis() as f64;
        for part in &layout.parts {
            let n = self.numbers[part.count];
            let cell = taken.values.get(part.field).unwrap_or(&Cell::Null);
            match (part.what, cell) {
                (What::Times, _) => {
                    self.numbers[part.at] = self.numbers[part.at].min(time);
                    self.numbers[part.at + 1] = self.numbers[part.at + 1].max(time);
                }
                (_, Cell::Null) => {}
                (What::Count, _) => self.numbers[part.at] += 1.0,
                (What::FirstText | What::LastText | What::Sample | What::Distinct, cell) => self.rich[part.at].add(taken.at, cell),
                (what, Cell::Number(value)) => add(what, &mut self.numbers[part.at..], n, time, *value),
                (_, Cell::Text(_)) => {}
            }
        }
    }

    pub(super) fn merge(&mut self, layout: &Layout, other: &Self) {
        for part in &layout.parts {
            let (n, others) = (self.numbers[part.count], other.numbers[part.count]);
            match part.what {
                What::Times => {
                    self.numbers[part.at] = self.numbers[part.at].min(other.numbers[part.at]);
                    self.numbers[part.at + 1] = self.numbers[part.at + 1].max(other.numbers[part.at + 1]);
                }
                _ if others == 0.0 => {}
                What::Count => self.numbers[part.at] += others,
                What::FirstText | What::LastText | What::Sample | What::Distinct => self.rich[part.at].merge(&other.rich[part.at]),
                what if n == 0.0 => {
                    let all = part.at..part.at + what.empty().len();
                    self.numbers[all.clone()].copy_from_slice(&other.numbers[all]);
                }
                what => merge(what, &mut self.numbers[part.at..], n, &other.numbers[part.at..], others),
            }
        }
    }
}

/// Adds a value to `kept`, which holds `n` values.
fn add(what: What, kept: &mut [f64], n: f64, time: f64, value: f64) {
    match what {
        What::Sum => kept[0] += value,
        What::Min => kept[0] = kept[0].min(value),
        What::Max => kept[0] = kept[0].max(value),
        What::First if n == 0.0 || time < kept[0] => kept[..2].copy_from_slice(&[time, value]),
        What::First if time == kept[0] => kept[1] = kept[1].min(value),
        What::Last if n == 0.0 || time > kept[0] => kept[..2].copy_from_slice(&[time, value]),
        What::Last if time == kept[0] => kept[1] = kept[1].max(value),
        What::Spread => {
            let off = value - kept[0];
            kept[0] += off / (n + 1.0);
            kept[1] += off * (value - kept[0]);
        }
        What::Line => {
            if n == 0.0 {
                kept[0] = time;
            }
            let after = time - kept[0];
            let (off_time, off) = (after - kept[1], value - kept[2]);
            kept[1] += off_time / (n + 1.0);
            kept[2] += off / (n + 1.0);
            kept[3] += off_time * (after - kept[1]);
            kept[4] += off_time * (value - kept[2]);
            kept[5] += off * (value - kept[2]);
        }
        _ => {}
    }
}

/// Adds `others` values to `kept`, which holds `n`; neither is zero.
fn merge(what: What, kept: &mut [f64], n: f64, other: &[f64], others: f64) {
    let all = n + others;
    match what {
        What::Sum => kept[0] += other[0],
        What::Min => kept[0] = kept[0].min(other[0]),
        What::Max => kept[0] = kept[0].max(other[0]),
        What::First | What::Last => add(what, kept, n, other[0], other[1]),
        What::Spread => {
            let off = other[0] - kept[0];
            kept[0] += off * (others / all);
            kept[1] += other[1] + off * off * (n * others / all);
        }
        What::Line => {
            let off_time = other[1] + (other[0] - kept[0]) - kept[1];
            let off = other[2] - kept[2];
            kept[1] += off_time * (others / all);
            kept[2] += off * (others / all);
            let weight = n * others / all;
            kept[3] += other[3] + off_time * off_time * weight;
            kept[4] += other[4] + off_time * off * weight;
            kept[5] += other[5] + off * off * weight;
        }
        _ => {}
    }
}

impl Rich {
    fn add(&mut self, at: Timestamp, cell: &Cell) {
        match (self, cell) {
            (Self::First(first), Cell::Text(text)) if first.as_ref().is_none_or(|first| (at, text) < (first.0, &first.1)) => {
                *first = Some((at, Arc::clone(text)));
            }
            (Self::Last(last), Cell::Text(text)) if last.as_ref().is_none_or(|last| (at, text) > (last.0, &last.1)) => {
                *last = Some((at, Arc::clone(text)));
            }
            (Self::Sample(sample), Cell::Number(value)) => sample.add(*value),
            (Self::Distinct(distinct), cell) => distinct.add(cell),
            _ => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::First(_) | Self::Last(_), Self::First(Some((at, text))) | Self::Last(Some((at, text)))) => {
                self.add(*at, &Cell::Text(Arc::clone(text)));
            }
            (Self::Sample(sample), Self::Sample(other)) => sample.merge(other),
            (Self::Distinct(distinct), Self::Distinct(other)) => distinct.merge(other),
            _ => {}
        }
    }
}
