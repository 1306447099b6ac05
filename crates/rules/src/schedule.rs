//! When a rule is on: hours, weekdays and a season of the year, in local time (UTC+7).
//!
//! Invariant: a night that runs over midnight belongs to the day on which it began, for weekdays and season alike; so each instant is
//! judged by one day only, and [`Schedule::next_change`] finds exactly the instants at which [`Schedule::holds`] changes.

use huong_types::{LocalDay, Span, Timestamp};
use serde::Deserialize;

const DAY: Span = Span::from_mins(24 * 60);

/// As written in a rule file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSchedule {
    /// `"22:00-05:00"`: from the first until before the second, over midnight when the second is the earlier.
    hours: Option<String>,
    /// `mon` to `sun`; empty means all.
    days: Vec<Weekday>,
    /// `"09-01..12-15"`: month and day, both included, over New Year when the second is the earlier.
    season: Option<String>,
    /// Judged only in exercise mode.
    exercise: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// From local midnight of a day on; `until` may lie in the next day.
    from: Span,
    until: Span,
    /// By weekday, Monday first.
    days: [bool; 7],
    season: Option<(MonthDay, MonthDay)>,
    exercise: bool,
}

type MonthDay = (u8, u8);

impl Schedule {
    /// An error names what was found and what was expected.
    pub(crate) fn parse(raw: &RawSchedule) -> Result<Schedule, String> {
        let (from, until) = raw.hours.as_deref().map_or(Ok((Span::ZERO, DAY)), hours)?;
        let mut days = [raw.days.is_empty(); 7];
        raw.days.iter().for_each(|day| days[*day as usize] = true);
        let season = raw.season.as_deref().map(season).transpose()?;
        Ok(Schedule { from, until, days, season, exercise: raw.exercise })
    }

    /// Whether the hours, days and season hold at this instant; of exercises it says nothing.
    pub(crate) fn holds(&self, at: Timestamp) -> bool {
        let today = LocalDay::of(at);
        // The period that began yesterday may still run.
        [today.plus(-1), today].into_iter().any(|day| {
            let since = at - day.start();
            self.on(day) && self.from <= since && since < self.until
        })
    }

    /// The first instant later than `after` at which `holds` is another than at `after`; [`Timestamp::MAX`] when it stays for good.
    pub(crate) fn next_change(&self, after: Timestamp) -> Timestamp {
        // The longest wait: one weekday of a season of one day, the 29th of February: 40 years over a century without a leap year.
        const MOST_DAYS: i64 = 41 * 366;
        let now = self.holds(after);
        let today = LocalDay::of(after);
        // In order of time: one day's period ends before the next day's begins.
        let mut edges = (-1..MOST_DAYS).flat_map(|ahead| {
            let start = today.plus(ahead).start();
            [start + self.from, start + self.until]
        });
        edges.find(|edge| *edge > after && self.holds(*edge) != now).unwrap_or(Timestamp::MAX)
    }

    /// Whether the rule is judged in exercise mode only.
    pub(crate) fn exercise(&self) -> bool {
        self.exercise
    }

    fn on(&self, day: LocalDay) -> bool {
        let in_season = |(first, last): (MonthDay, MonthDay)| {
            let date = day.month_day();
            if first <= last { first <= date && date <= last } else { first <= date || date <= last }
        };
        self.days[day.weekday()] && self.season.is_none_or(in_season)
    }
}

fn hours(text: &str) -> Result<(Span, Span), String> {
    let wrong = || format!("hours `{text}`, expected such as \"22:00-05:00\"");
    let (from, until) = text.split_once('-').ok_or_else(wrong)?;
    let from = time_of_day(from).filter(|from| *from < DAY).ok_or_else(wrong)?;
    let until = time_of_day(until).ok_or_else(wrong)?;
    match from.cmp(&until) {
        std::cmp::Ordering::Less => Ok((from, until)),
        std::cmp::Ordering::Equal => Err(format!("hours `{text}`, expected two different times; leave `hours` out for the whole day")),
        std::cmp::Ordering::Greater => Ok((from, Span::from_millis(until.as_millis() + DAY.as_millis()))),
    }
}

/// `HH:MM` from 00:00 to 24:00.
fn time_of_day(text: &str) -> Option<Span> {
    let (hours, minutes) = two_digits(text.trim(), ':')?;
    (hours < 24 && minutes < 60 || hours == 24 && minutes == 0).then(|| Span::from_mins(i64::from(hours) * 60 + i64::from(minutes)))
}

fn season(text: &str) -> Result<(MonthDay, MonthDay), String> {
    let wrong = || format!("season `{text}`, expected two dates such as \"09-01..12-15\"");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    Ok((month_day(first).ok_or_else(wrong)?, month_day(last).ok_or_else(wrong)?))
}

/// `MM-DD` of a date that some year has.
fn month_day(text: &str) -> Option<MonthDay> {
    let (month, day) = two_digits(text.trim(), '-')?;
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then_some((month, day))
}

fn two_digits(text: &str, between: char) -> Option<(u8, u8)> {
    let (a, b) = text.split_once(between)?;
    let number = |digits: &str| (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten();
    Some((number(a)?, number(b)?))
}
