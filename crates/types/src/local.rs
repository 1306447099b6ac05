//! The local calendar of Huế: which day a moment falls on, for schedules and for comparing days with one another.
//!
//! Invariant: every moment lies in exactly one day, all days are 24 hours long.

use crate::{Span, Timestamp};

/// Asia/Ho_Chi_Minh has had no daylight saving time since 1975: a fixed offset of 7 hours is exact.
const OFFSET: Span = Span::from_mins(7 * 60);
const DAY: Span = Span::from_mins(24 * 60);

/// A day from local midnight to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDay(i64);

impl LocalDay {
    /// The day that holds `at`.
    pub fn of(at: Timestamp) -> Self {
        Self((at + OFFSET).as_millis().div_euclid(DAY.as_millis()))
    }

    /// Days since 1 January 1970.
    pub fn number(self) -> i64 {
        self.0
    }

    /// Local midnight.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(DAY.as_millis())) - OFFSET
    }

    /// The day `days` later, or earlier when negative.
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// 0 for Monday to 6 for Sunday.
    pub fn weekday(self) -> usize {
        // 1 January 1970 was a Thursday.
        (self.0 + 3).rem_euclid(7) as usize
    }

    /// Month 1 to 12 and day of the month 1 to 31 of the Gregorian calendar.
    pub fn month_day(self) -> (u8, u8) {
        // Years are counted from 1 March, so that the leap day is the last: 400 of them have 146,097 days, 0000-03-01 is 719,468 days
        // before 1970, and the months from March have 153 days in each five.
        let of_era = (self.0 + 719_468).rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        (if month < 10 { month + 3 } else { month - 9 } as u8, day as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_agree_with_the_calendar_library() {
        for number in (-40_000..60_000).step_by(7).chain(19_000..20_600) {
            let day = LocalDay(number);
            let date = jiff::Timestamp::from_millisecond((day.start() + OFFSET).as_millis()).expect("in range");
            let date = date.to_zoned(jiff::tz::TimeZone::UTC).date();
            assert_eq!(day.month_day(), (date.month() as u8, date.day() as u8), "{date}");
            assert_eq!(day.weekday(), date.weekday().to_monday_zero_offset() as usize, "{date}");
        }
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        let before = Timestamp::parse_rfc3339("2025-10-26T16:59:59.999Z").expect("valid");
        let day = LocalDay::of(before);
        assert_eq!(day.month_day(), (10, 26));
        assert_eq!(LocalDay::of(before + Span::from_millis(1)), day.plus(1));
        assert_eq!(day.plus(1).start(), before + Span::from_millis(1));
        assert_eq!(LocalDay::of(Timestamp::MIN).plus(-1).start().as_millis() % 1000, 0, "no overflow far away");
    }
}
