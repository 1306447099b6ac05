//! Rollups: what numbers did in bins of a minute and of an hour.
//!
//! Invariant: each part of readings has its partials beside it, made of the same rows, and partials of one bin merge: their counts and sums
//! add up, their least and largest are the least and largest of both. So a bin is right at any time, whatever came late, as long as all
//! its partials are read; whoever asks merges them. A partial of one value is its sum and its time: what else would repeat them is absent,
//! because gauges that measure more seldom than the bins are long would else take several times the room of their readings.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Float64Array, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{Float64Type, TimestampMillisecondType, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{first_value, last_value, max, min, sum};
use datafusion::prelude::{DataFrame, col};
use huong_types::{Flag, Timestamp};

use crate::StoreError;
use crate::restore::{primitive, text};
use crate::table::{Table, local_day};

/// What a reader sees of `partials`, the rows of [`Table::Minutes`] or [`Table::Hours`]: one row for each bin.
pub(crate) fn merged(partials: DataFrame) -> Result<DataFrame, DataFusionError> {
    let keys = ["stream", "key", "field", "at", "day"];
    // Of a single value, only the sum and the time are there.
    let or_sum = |name| coalesce(vec![col(name), col("sum")]);
    let (opened, closed) = (col("first_at"), coalesce(vec![col("last_at"), col("first_at")]));
    let figures = vec![
        sum(col("n")).alias("n"),
        sum(col("sum")).alias("sum"),
        min(or_sum("min")).alias("min"),
        max(or_sum("max")).alias("max"),
        first_value(or_sum("first"), vec![opened.sort(true, false), col("seq").sort(true, false)]).alias("first"),
        last_value(or_sum("last"), vec![closed.sort(true, true), col("seq").sort(true, true)]).alias("last"),
        sum(col("left_out")).alias("left_out"),
    ];
    let shown = keys.into_iter().chain(["n", "sum", "min", "max", "first", "last"]).map(col);
    let mean = (col("sum") / col("n")).alias("mean");
    partials.aggregate(keys.map(col).to_vec(), figures)?.select(shown.chain([mean, col("left_out")]))
}

/// Stream, key, field and beginning of a bin.
type Bin<'a> = (&'a str, &'a str, &'a str, i64);

#[derive(Clone, Copy)]
struct Partial {
    /// The smallest sequence in the bin.
    seq: u64,
    n: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// Time and value; of several at one time the one that came first, or last.
    first: (i64, f64),
    last: (i64, f64),
    left_out: u64,
}

impl Partial {
    fn of(seq: u64, at: i64, value: f64, counts: bool) -> Partial {
        let (n, left_out) = (u64::from(counts), u64::from(!counts));
        Partial { seq, n, sum: if counts { value } else { 0.0 }, min: value, max: value, first: (at, value), last: (at, value), left_out }
    }

    /// Takes in a partial of the same bin whose records came later, or which is of other records altogether.
    fn merge(&mut self, other: Partial) {
        let left_out = self.left_out + other.left_out;
        let seq = self.seq.min(other.seq);
        if self.n == 0 {
            *self = Partial { left_out, seq, ..other };
            return;
        }
        if other.n > 0 {
            self.n += other.n;
            self.sum += other.sum;
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
            if other.first.0 < self.first.0 {
                self.first = other.first;
            }
            if other.last.0 >= self.last.0 {
                self.last = other.last;
            }
        }
        (self.left_out, self.seq) = (left_out, seq);
    }
}

/// Partials that are gathered from rows in the order of a part: what belongs to one bin mostly stands together, but for other fields between.
#[derive(Default)]
struct Bins<'a> {
    done: Vec<(Bin<'a>, Partial)>,
    /// Of the stream, key and beginning that rows come of now: one of each field.
    current: Vec<(Bin<'a>, Partial)>,
}

impl<'a> Bins<'a> {
    fn add(&mut self, bin: Bin<'a>, partial: Partial) {
        // Times and keys tell most neighbours apart, and are cheaper to compare than a stream that all have.
        let same = |a: &Bin<'_>, b: &Bin<'_>| a.3 == b.3 && a.1 == b.1 && a.0 == b.0;
        if self.current.first().is_some_and(|(current, _)| !same(current, &bin)) {
            self.done.append(&mut self.current);
        }
        match self.current.iter_mut().find(|(current, _)| current.2 == bin.2) {
            Some((_, known)) => known.merge(partial),
            None => self.current.push((bin, partial)),
        }
    }

    fn finish(mut self) -> Vec<(Bin<'a>, Partial)> {
        self.done.append(&mut self.current);
        self.done
    }
}

/// The partials of rows of readings, sorted as parts are; `None` when none of them is a number.
///
/// Suspect and bad values are counted apart and left out of everything else.
pub(crate) fn of_readings(table: Table, rows: &RecordBatch) -> Result<Option<RecordBatch>, StoreError> {
    let Some(size) = table.bin() else { return Ok(None) };
    let (seq, at, value) = (
        primitive::<UInt64Type>(rows, "seq")?,
        primitive::<TimestampMillisecondType>(rows, "at")?,
        primitive::<Float64Type>(rows, "value")?,
    );
    let (stream, key, field, quality) = (text(rows, "stream")?, text(rows, "key")?, text(rows, "field")?, text(rows, "quality")?);
    let mut bins = Bins::default();
    for row in (0..rows.num_rows()).filter(|row| value.is_valid(*row)) {
        let counts = ![Flag::Suspect.as_str(), Flag::Bad.as_str()].contains(&quality.value(row));
        let partial = Partial::of(seq.value(row), at.value(row), value.value(row), counts);
        let begin = Timestamp::from_millis(at.value(row)).floor(size).as_millis();
        bins.add((stream.value(row), key.value(row), field.value(row), begin), partial);
    }
    batch(table, &bins.finish())
}

/// The partials of several parts as one per bin, from rows that are sorted as parts are.
pub(crate) fn merge(table: Table, rows: &RecordBatch) -> Result<Option<RecordBatch>, StoreError> {
    let whole = |name| primitive::<UInt64Type>(rows, name);
    let time = |name| primitive::<TimestampMillisecondType>(rows, name);
    let number = |name| primitive::<Float64Type>(rows, name);
    let (seq, n, left_out) = (whole("seq")?, whole("n")?, whole("left_out")?);
    let (at, first_at, last_at) = (time("at")?, time("first_at")?, time("last_at")?);
    let (sum, min, max, first, last) = (number("sum")?, number("min")?, number("max")?, number("first")?, number("last")?);
    let (stream, key, field) = (text(rows, "stream")?, text(rows, "key")?, text(rows, "field")?);
    let mut bins = Bins::default();
    for row in 0..rows.num_rows() {
        let single = Partial::of(seq.value(row), first_at.value(row), sum.value(row), true);
        let partial = match n.value(row) {
            1 => Partial { left_out: left_out.value(row), ..single },
            n => Partial {
                n,
                min: min.value(row),
                max: max.value(row),
                first: (first_at.value(row), first.value(row)),
                last: (last_at.value(row), last.value(row)),
                left_out: left_out.value(row),
                ..single
            },
        };
        bins.add((stream.value(row), key.value(row), field.value(row), at.value(row)), partial);
    }
    batch(table, &bins.finish())
}

fn batch(table: Table, bins: &[(Bin<'_>, Partial)]) -> Result<Option<RecordBatch>, StoreError> {
    if bins.is_empty() {
        return Ok(None);
    }
    let partials = || bins.iter().map(|(_, partial)| partial);
    let names = |of: for<'b> fn(&'b Bin<'_>) -> &'b str| -> ArrayRef {
        Arc::new(bins.iter().map(|(bin, _)| Some(of(bin))).collect::<StringArray>())
    };
    let whole = |of: fn(&Partial) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(partials().map(of))) };
    // A bin whose values were all left out has no figures, one of a single value only the least of them.
    let number = |least: u64, of: fn(&Partial) -> f64| -> ArrayRef {
        Arc::new(partials().map(|partial| (partial.n >= least).then(|| of(partial))).collect::<Float64Array>())
    };
    let moment = |least: u64, of: fn(&Partial) -> i64| -> ArrayRef {
        let times = partials().map(|partial| (partial.n >= least).then(|| of(partial)));
        Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let begins = bins.iter().map(|((.., at), _)| *at);
    let days = Date32Array::from_iter_values(begins.clone().map(|at| local_day(Timestamp::from_millis(at))));
    Ok(Some(RecordBatch::try_new(
        table.schema(),
        vec![
            whole(|p| p.seq),
            Arc::new(TimestampMillisecondArray::from_iter_values(begins).with_timezone("UTC")),
            Arc::new(days),
            names(|bin| bin.0),
            names(|bin| bin.1),
            names(|bin| bin.2),
            whole(|p| p.n),
            number(1, |p| p.sum),
            number(2, |p| p.min),
            number(2, |p| p.max),
            moment(1, |p| p.first.0),
            number(2, |p| p.first.1),
            moment(2, |p| p.last.0),
            number(2, |p| p.last.1),
            whole(|p| p.left_out),
        ],
    )?))
}

#[cfg(test)]
mod tests;
