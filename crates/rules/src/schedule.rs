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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> RawSchedule {
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(&raw(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Local time, such as `2025-12-15 23:30`.
    fn local(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(&format!("{}+07:00", text.replace(' ', "T"))).unwrap_or_else(|| panic!("not a time: {text}"))
    }

    #[test]
    fn hours_days_and_seasons_hold_in_local_time() {
        const ALWAYS: &str = "";
        const NIGHT: &str = "hours = '22:00-05:00'";
        const WORK: &str = "hours = '07:30-17:00'\ndays = ['mon', 'tue', 'wed', 'thu', 'fri']";
        const FLOODS: &str = "season = '09-01..12-15'";
        const DRY: &str = "season = '12-16..08-31'";
        // 25 October 2025 was a Saturday.
        const PARTY: &str = "hours = '20:00-02:00'\ndays = ['sat']\nseason = '10-01..10-25'";
        for (text, at, holds) in [
            (ALWAYS, "2025-10-27 06:00:00", true),
            (NIGHT, "2025-10-27 21:59:59.999", false),
            (NIGHT, "2025-10-27 22:00:00", true),
            (NIGHT, "2025-10-28 00:00:00", true),
            (NIGHT, "2025-10-28 04:59:59.999", true),
            (NIGHT, "2025-10-28 05:00:00", false),
            (WORK, "2025-10-27 07:29:59", false),
            (WORK, "2025-10-27 07:30:00", true),
            (WORK, "2025-10-27 17:00:00", false),
            (WORK, "2025-10-25 12:00:00", false),
            (FLOODS, "2025-08-31 23:59:59.999", false),
            (FLOODS, "2025-09-01 00:00:00", true),
            (FLOODS, "2025-12-15 23:59:59.999", true),
            (FLOODS, "2025-12-16 00:00:00", false),
            (DRY, "2025-12-31 12:00:00", true),
            (DRY, "2026-01-01 12:00:00", true),
            (DRY, "2026-09-01 00:00:00", false),
            (PARTY, "2025-10-25 20:00:00", true),
            (PARTY, "2025-10-26 01:59:59", true),
            (PARTY, "2025-10-26 20:00:00", false),
            (PARTY, "2025-10-25 01:00:00", false),
            (PARTY, "2025-11-01 21:00:00", false),
        ] {
            assert_eq!(schedule(text).holds(local(at)), holds, "{text} at {at}");
        }
    }

    #[test]
    fn the_next_change_is_where_it_changes() {
        for (text, after, next) in [
            ("hours = '22:00-05:00'", "2025-10-27 12:00:00", Some("2025-10-27 22:00:00")),
            ("hours = '22:00-05:00'", "2025-10-27 22:00:00", Some("2025-10-28 05:00:00")),
            ("hours = '22:00-05:00'\ndays = ['sat']", "2025-10-26 05:00:00", Some("2025-11-01 22:00:00")),
            ("days = ['sat', 'sun']", "2025-10-25 12:00:00", Some("2025-10-27 00:00:00")),
            ("season = '09-01..12-15'", "2025-10-25 12:00:00", Some("2025-12-16 00:00:00")),
            ("season = '12-16..08-31'", "2025-12-20 12:00:00", Some("2026-09-01 00:00:00")),
            ("season = '02-29..02-29'\ndays = ['mon']", "2072-03-01 00:00:00", Some("2112-02-29 00:00:00")),
            ("exercise = true", "2025-10-25 12:00:00", None),
            ("hours = '00:00-24:00'", "2025-10-25 12:00:00", None),
        ] {
            let expected = next.map_or(Timestamp::MAX, local);
            assert_eq!(schedule(text).next_change(local(after)), expected, "{text} after {after}");
        }
        assert!(schedule("exercise = true").exercise());
        assert!(!schedule("").exercise());
    }

    #[test]
    fn mistakes_say_what_was_found() {
        for (text, found) in [
            ("hours = '22:00'", "hours `22:00`, expected such as \"22:00-05:00\""),
            ("hours = '24:00-05:00'", "hours `24:00-05:00`, expected such as \"22:00-05:00\""),
            ("hours = '7:00-8:00'", "hours `7:00-8:00`, expected such as \"22:00-05:00\""),
            ("hours = '07:60-08:00'", "hours `07:60-08:00`, expected such as \"22:00-05:00\""),
            ("hours = '07:00-07:00'", "hours `07:00-07:00`, expected two different times; leave `hours` out for the whole day"),
            ("season = '09-01'", "season `09-01`, expected two dates such as \"09-01..12-15\""),
            ("season = '09-31..12-15'", "season `09-31..12-15`, expected two dates such as \"09-01..12-15\""),
            ("season = '13-01..12-15'", "season `13-01..12-15`, expected two dates such as \"09-01..12-15\""),
            ("season = '1/9..15/12'", "season `1/9..15/12`, expected two dates such as \"09-01..12-15\""),
        ] {
            assert_eq!(Schedule::parse(&raw(text)), Err(found.to_owned()));
        }
        assert!(toml::from_str::<RawSchedule>("hour = '22:00-05:00'").is_err());
        assert!(toml::from_str::<RawSchedule>("days = ['saturday']").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_changes_before_the_next_change_and_something_does_then(
            from in 0..24u8, until in 0..=24u8, days in prop::collection::vec(0..7usize, 0..4), season in prop::option::of((1..=12u8, 1..=12u8)),
            after in 1_700_000_000_000i64..1_800_000_000_000,
        ) {
            prop_assume!(from != until);
            let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let days: Vec<String> = days.iter().map(|day| format!("'{}'", names[*day])).collect();
            let season = season.map(|(a, b)| format!("season = '{a:02}-15..{b:02}-10'")).unwrap_or_default();
            let schedule = schedule(&format!("hours = '{from:02}:00-{until:02}:00'\ndays = [{}]\n{season}", days.join(",")));
            let after = Timestamp::from_millis(after);
            let next = schedule.next_change(after);
            let now = schedule.holds(after);
            prop_assert!(next > after);
            if next == Timestamp::MAX {
                prop_assert_eq!((from, until, season.as_str()), (0, 24, ""), "only a schedule of no limit stays for good");
                return Ok(());
            }
            prop_assert_ne!(schedule.holds(next), now);
            prop_assert_eq!(schedule.holds(next - Span::from_millis(1)), now);
            let steps = next.since(after).as_millis() / 3_600_000;
            for hour in 0..steps {
                prop_assert_eq!(schedule.holds(after + Span::from_mins(60 * hour)), now);
            }
        }
    }
}
