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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC: BaselineSpec = BaselineSpec { days: 14, least: 3 };

    /// The end of the window, in local days and hours; day 0 is 25 October 2025.
    fn end(day: i64, hour: f64) -> Timestamp {
        let midnight = Timestamp::parse_rfc3339("2025-10-25T00:00:00+07:00").expect("valid");
        midnight + Span::from_millis(((day * 24) as f64 * 3.6e6 + hour * 3.6e6) as i64)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * (1.0 + b.abs())
    }

    #[test]
    fn the_same_hour_of_the_days_before() {
        let mut baseline = Baseline::new();
        for (day, value) in [(0, 10.0), (1, 12.0), (2, 14.0), (3, 100.0)] {
            // Two windows of half an hour: the hour's mean counts.
            baseline.add(&SPEC, end(day, 8.5), value - 1.0, true);
            baseline.add(&SPEC, end(day, 9.0), value + 1.0, true);
            baseline.add(&SPEC, end(day, 9.5), 777.0, true);
        }
        let expected = baseline.expected(&SPEC, end(3, 8.25)).expect("three days");
        assert_eq!((expected.days, expected.mean, expected.median), (3, 12.0, 12.0), "today is not its own measure");
        assert!(near(expected.sd, 2.0) && near(expected.spread, 1.4826 * 2.0), "{expected:?}");
        assert_eq!(baseline.expected(&SPEC, end(3, 9.0)), Some(expected), "a window that ends at nine is of the hour from eight");
        assert_eq!(baseline.expected(&SPEC, end(2, 9.0)), None, "two days are too few");
        assert_eq!(baseline.expected(&SPEC, end(4, 8.0)), None, "nothing is known of the hour from seven");
        let with_outlier = baseline.expected(&SPEC, end(4, 9.0)).expect("four days");
        assert_eq!((with_outlier.days, with_outlier.mean, with_outlier.median), (4, 34.0, 13.0));
        assert!(with_outlier.sd > 40.0 && with_outlier.spread < 4.0, "{with_outlier:?}");
    }

    #[test]
    fn midnight_belongs_to_the_day_that_ends() {
        let mut baseline = Baseline::new();
        for day in 0..4 {
            baseline.add(&SPEC, end(day, 24.0), day as f64, true);
        }
        let expected = baseline.expected(&SPEC, end(3, 24.0)).expect("three days");
        assert_eq!((expected.days, expected.mean), (3, 1.0));
        assert_eq!(baseline.expected(&SPEC, end(4, 0.5)), None);
    }

    #[test]
    fn an_hour_with_a_gap_or_an_alert_is_left_out_and_outages_are_absent() {
        let mut baseline = Baseline::new();
        for day in [0, 1, 2, 5, 6] {
            baseline.add(&SPEC, end(day, 7.5), 5.0, true);
            baseline.add(&SPEC, end(day, 8.0), 5.0, day != 5);
            baseline.add(&SPEC, end(day, 8.0), if day == 5 { 500.0 } else { 5.0 }, true);
        }
        let expected = baseline.expected(&SPEC, end(7, 8.0)).expect("four days");
        assert_eq!((expected.days, expected.mean, expected.sd), (4, 5.0, 0.0));
    }

    #[test]
    fn days_long_past_are_forgotten_and_late_figures_count() {
        let mut baseline = Baseline::new();
        for day in 0..1000 {
            baseline.add(&SPEC, end(day, 8.0), day as f64, true);
            assert!(baseline.hours[7].len() <= 15);
        }
        let newest = baseline.expected(&SPEC, end(1000, 8.0)).expect("fourteen days");
        assert_eq!((newest.days, newest.mean), (14, 992.5));
        baseline.add(&SPEC, end(999, 7.9), 999.0 + 28.0, true);
        assert_eq!(baseline.expected(&SPEC, end(1000, 8.0)).map(|e| e.mean), Some(993.5));
        baseline.add(&SPEC, end(3, 8.0), 1e9, true);
        assert_eq!(baseline.expected(&SPEC, end(1000, 8.0)).map(|e| e.mean), Some(993.5));
    }

    #[test]
    fn specifications_without_sense_are_refused() {
        assert_eq!(SPEC.check(), Ok(()));
        assert_eq!(BaselineSpec { days: 0, least: 0 }.check(), Err("days = 0, expected 2 to 366".to_owned()));
        let one = BaselineSpec { days: 14, least: 1 }.check();
        assert_eq!(one, Err("least = 1, expected 2, for there to be a deviation, up to days, 14".to_owned()));
        assert!(BaselineSpec { days: 14, least: 15 }.check().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_agrees_with_a_plain_count_in_any_order(
            figures in prop::collection::vec((0..40i64, 0..48i64, -50.0..50.0f64, prop::bool::weighted(0.9)), 1..400),
            asked in (0..45i64, 0..48i64), days in 2..20u16, least in 2..4u16, seed in any::<u64>(),
        ) {
            let spec = BaselineSpec { days, least };
            let mut baseline = Baseline::new();
            let mut shuffled = figures.clone();
            shuffled.sort_by_key(|(day, half, ..)| (*day as u64 * 48 + *half as u64).wrapping_mul(seed | 1));
            for (day, half, value, clean) in &shuffled {
                baseline.add(&spec, end(*day, (*half + 1) as f64 / 2.0), *value, *clean);
            }
            let (today, half) = asked;
            let mut means = Vec::new();
            let newest = figures.iter().filter(|(_, h, ..)| h / 2 == half / 2).map(|(day, ..)| *day).max().unwrap_or(0);
            for day in (today - i64::from(days)..today).filter(|day| *day >= newest - i64::from(days)) {
                let of_hour: Vec<_> = figures.iter().filter(|(d, h, ..)| *d == day && h / 2 == half / 2).collect();
                if !of_hour.is_empty() && of_hour.iter().all(|(.., clean)| *clean) {
                    means.push(of_hour.iter().map(|(_, _, value, _)| value).sum::<f64>() / of_hour.len() as f64);
                }
            }
            let found = baseline.expected(&spec, end(today, (half + 1) as f64 / 2.0));
            prop_assert_eq!(found.map(|e| usize::from(e.days)), Some(means.len()).filter(|n| *n >= usize::from(least)));
            if let Some(found) = found {
                let n = means.len() as f64;
                let mean = means.iter().sum::<f64>() / n;
                let sd = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
                prop_assert!((found.mean - mean).abs() < 1e-9 && (found.sd - sd).abs() < 1e-9);
                let below = means.iter().filter(|m| **m < found.median - 1e-9).count();
                let above = means.iter().filter(|m| **m > found.median + 1e-9).count();
                prop_assert!(2 * below <= means.len() && 2 * above <= means.len());
            }
        }
    }
}
