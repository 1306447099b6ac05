//! Hours of the local day and days of the week, as the roster writes them.
//!
//! Invariant: local time is UTC+7 all year, so hours on a given day are one stretch of time without gap or overlap.

use std::ops::Range;

use huong_types::{LocalDay, Span, Timestamp};
use serde::Deserialize;

const DAY_MINUTES: i64 = 24 * 60;

/// From one time of the day to another, over midnight when that is not later; the whole day by default.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hours {
    from: TimeOfDay,
    to: TimeOfDay,
}

/// `"07:30"`; `"24:00"` is the end of the day. In minutes since local midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct TimeOfDay(i64);

/// `"mon"` to `"sun"`; 0 is Monday.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Weekday(pub(crate) usize);

impl Default for Hours {
    fn default() -> Self {
        Self { from: TimeOfDay(0), to: TimeOfDay(DAY_MINUTES) }
    }
}

impl Hours {
    /// Those that begin on `day`.
    pub(crate) fn on(&self, day: LocalDay) -> Range<Timestamp> {
        let at = |minutes| day.start() + Span::from_mins(minutes);
        let end = if self.to.0 > self.from.0 { self.to.0 } else { self.to.0 + DAY_MINUTES };
        at(self.from.0)..at(end)
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let two = |part: &str| part.parse::<i64>().ok().filter(|_| part.len() == 2 && part.chars().all(|c| c.is_ascii_digit()));
        let minutes = text.split_once(':').and_then(|(hours, minutes)| Some((two(hours)?, two(minutes)?)));
        match minutes {
            Some((hours, minutes)) if minutes < 60 && hours * 60 + minutes <= DAY_MINUTES => Ok(Self(hours * 60 + minutes)),
            _ => Err(format!("`{text}` is not a time of the day, \"00:00\" to \"24:00\"")),
        }
    }
}

impl TryFrom<String> for Weekday {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        names.iter().position(|name| *name == text).map(Self).ok_or_else(|| format!("`{text}` is not one of {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_are_read_strictly() {
        for (text, minutes) in
            [("00:00", Some(0)), ("07:30", Some(450)), ("24:00", Some(1440)), ("24:01", None), ("7:30", None), ("+7:30", None)]
        {
            assert_eq!(TimeOfDay::try_from(text.to_owned()).ok(), minutes.map(TimeOfDay), "{text}");
        }
    }
}
