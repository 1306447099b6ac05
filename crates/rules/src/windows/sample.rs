//! What quantiles and distinct counts keep of a stretch of values.
//!
//! Invariant: bounded, and the same whatever the order of the values and of the merges.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use sketches_ddsketch::{Config, DDSketch};

use crate::expr::{Cell, Kind};

/// So many values are kept as they are and give exact quantiles: a day by the minute.
const MOST_EXACT: usize = 1440;
/// Beyond, a quantile is within this share of a value of its rank.
const RELATIVE_ERROR: f64 = 0.005;
/// Values nearer to zero than this count as zero then.
const NEAR_ZERO: f64 = 1e-6;
/// So many steps of twice the relative error reach from [`NEAR_ZERO`] to 6e11: bins of larger or smaller values are never joined.
const BINS: u32 = 4096;

/// A distinct count goes no further.
pub(super) const MOST_DISTINCT: usize = 4096;

/// Values for quantiles: exact up to [`MOST_EXACT`], then a sketch (DDSketch: Masson, Rim and Lee, VLDB 2019).
#[derive(Clone, Default)]
pub(super) struct Sample {
    /// In no order; empty once there is a sketch.
    exact: Vec<f64>,
    sketch: Option<Box<DDSketch>>,
}

/// Different values, up to [`MOST_DISTINCT`].
#[derive(Clone, Debug)]
pub(super) enum Distinct {
    /// Bits of the numbers.
    Numbers(BTreeSet<u64>),
    Texts(BTreeSet<Arc<str>>),
}

impl Sample {
    pub(super) fn add(&mut self, value: f64) {
        if self.fits(1) { self.exact.push(value) } else { self.sketched().add(value) }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if let Some(other) = &other.sketch {
            let merged = self.sketched().merge(other);
            debug_assert!(merged.is_ok(), "all sketches have one configuration");
        } else if self.fits(other.exact.len()) {
            self.exact.extend_from_slice(&other.exact);
        } else {
            let sketch = self.sketched();
            other.exact.iter().for_each(|value| sketch.add(*value));
        }
    }

    /// Exact: linear between the two nearest ranks. `p` from 0 to 1; `None` when empty.
    pub(super) fn quantile(&self, p: f64) -> Option<f64> {
        let p = p.clamp(0.0, 1.0);
        if let Some(sketch) = &self.sketch {
            let value = sketch.quantile(p).ok().flatten()?;
            return Some(value.clamp(sketch.min()?, sketch.max()?));
        }
        let mut sorted = self.exact.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = p * sorted.len().checked_sub(1)? as f64;
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        Some(low + (high - low) * rank.fract())
    }

    fn fits(&self, more: usize) -> bool {
        self.sketch.is_none() && self.exact.len() + more <= MOST_EXACT
    }

    fn sketched(&mut self) -> &mut DDSketch {
        let sketch = self.sketch.get_or_insert_with(|| Box::new(DDSketch::new(Config::new(RELATIVE_ERROR, BINS, NEAR_ZERO))));
        for value in std::mem::take(&mut self.exact) {
            sketch.add(value);
        }
        sketch
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample").field("exact", &self.exact).field("sketched", &self.sketch.as_ref().map(|s| s.count())).finish()
    }
}

impl Distinct {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Number => Self::Numbers(BTreeSet::new()),
            Kind::Text => Self::Texts(BTreeSet::new()),
        }
    }

    pub(super) fn add(&mut self, cell: &Cell) {
        match (self, cell) {
            (Self::Numbers(known), Cell::Number(value)) => join(known, [&value.to_bits()]),
            (Self::Texts(known), Cell::Text(text)) => join(known, [text]),
            _ => {}
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Numbers(known), Self::Numbers(others)) => join(known, others),
            (Self::Texts(known), Self::Texts(others)) => join(known, others),
            _ => {}
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(known) => known.len(),
            Self::Texts(known) => known.len(),
        }
    }
}

fn join<'a, T: Ord + Clone + 'a>(known: &mut BTreeSet<T>, others: impl IntoIterator<Item = &'a T>) {
    for value in others {
        if known.len() < MOST_DISTINCT && !known.contains(value) {
            known.insert(value.clone());
        }
    }
}
