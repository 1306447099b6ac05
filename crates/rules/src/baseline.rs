//! What is usual: the figures that the same hour of the day had on the days before.
//!
//! Invariants: today never counts into its own baseline; an hour in which data were missing or an alert stood open counts on no day;
//! an hour of which nothing is known is absent, never zero. The order in which figures arrive does not matter, but for rounding.

use huong_types::{LocalDay, Span, Timestamp};

const HOURS: usize = 24;

/// How far back a baseline looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BaselineSpec {
    /// Local days before today.
    pub(crate) days: u16,
    /// With fewer days of this hour nothing is expected.
    pub(crate) least: u16,
}

/// The hours of one key; empty until the first figure. At most 24 × (days + 1) cells of 16 bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    /// By hour of the day, each in order of days.
    hours: Vec<Vec<Cell>>,
}

/// One hour of one day.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Days since 1970.
    day: i32,
    /// Figures in `sum`; those past the most it can count are left out.
    count: u16,
    clean: bool,
    sum: f64,
}

/// What the hour had on the days before, one mean of its figures per day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    pub(crate) mean: f64,
    /// Sample standard deviation.
    pub(crate) sd: f64,
    /// Beside the mean for days like no other: half of the days may be anything without moving it far.
    pub(crate) median: f64,
    /// 1.4826 × the median distance from the median: what `sd` would be of a normal distribution, and as hard to move as the
    /// median (Rousseeuw and Croux 1993). Zero when more than half of the days are alike.
    pub(crate) spread: f64,
    pub(crate) days: u16,
}

impl BaselineSpec {
    /// An error names what was found and what was expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        const MOST_DAYS: u16 = 366;
        if !(2..=MOST_DAYS).contains(&self.days) {
            return Err(format!("days = {}, expected 2 to {MOST_DAYS}", self.days));
        }
        if !(2..=self.days).contains(&self.least) {
            return Err(format!("least = {}, expected 2, for there to be a deviation, up to days, {}", self.least, self.days));
        }
        Ok(())
    }
}

impl Baseline {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the figure of a window that ended `at`; it belongs to the hour in which the window's last moment lies. Not `clean`
    /// (a gap, an open alert): that hour of that day is left out as a whole.
    pub(crate) fn add(&mut self, spec: &BaselineSpec, at: Timestamp, value: f64, clean: bool) {
        let (day, hour) = place(at);
        if self.hours.is_empty() {
            self.hours.resize_with(HOURS, Vec::new);
        }
        let cells = &mut self.hours[hour];
        let newest = cells.last().map_or(day, |cell| cell.day.max(day));
        let oldest = newest - i32::from(spec.days);
        let old = cells.partition_point(|cell| cell.day < oldest);
        cells.drain(..old);
        if day < oldest {
            return;
        }
        let position = cells.partition_point(|cell| cell.day < day);
        if cells.get(position).is_none_or(|cell| cell.day != day) {
            cells.insert(position, Cell { day, count: 0, clean: true, sum: 0.0 });
        }
        let cell = &mut cells[position];
        cell.clean &= clean;
        if cell.count < u16::MAX {
            cell.count += 1;
            cell.sum += value;
        }
    }

    /// What a window that ends `at` is expected to have, by the same hour of the previous days; `None` with too few of them.
    pub(crate) fn expected(&self, spec: &BaselineSpec, at: Timestamp) -> Option<Expected> {
        let (today, hour) = place(at);
        let days = today - i32::from(spec.days)..today;
        let cells = self.hours.get(hour)?.iter().filter(|cell| cell.clean && days.contains(&cell.day));
        let mut means: Vec<f64> = cells.map(|cell| cell.sum / f64::from(cell.count)).collect();
        if means.is_empty() || means.len() < usize::from(spec.least) {
            return None;
        }
        let n = means.len() as f64;
        let mean = means.iter().sum::<f64>() / n;
        let squares: f64 = means.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = if means.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let days = means.len() as u16;
        let median = middle(&mut means);
        means.iter_mut().for_each(|value| *value = (*value - median).abs());
        let spread = 1.4826 * middle(&mut means);
        Some(Expected { mean, sd, median, spread, days })
    }
}

/// Day and hour of the day of the last moment before `at`.
fn place(at: Timestamp) -> (i32, usize) {
    let last = at - Span::from_millis(1);
    let day = LocalDay::of(last);
    let hour = last.since(day.start()).as_millis() / 3_600_000;
    (i32::try_from(day.number()).unwrap_or(i32::MIN / 2), (hour as usize).min(HOURS - 1))
}

/// The median; sorts. Of an even number, the mean of the two in the middle.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}
