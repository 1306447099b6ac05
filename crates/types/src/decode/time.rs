//! Times as senders write them.
//!
//! Invariant: a local time without an offset is read only in a zone that the source declares.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;

use super::json::Json;
use crate::Timestamp;

/// How a source writes its times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// ISO text, or a number whose magnitude tells seconds, milli-, micro- and nanoseconds apart.
    #[default]
    Auto,
    EpochS,
    EpochMs,
    EpochNs,
    Iso,
    /// `dd/MM/yyyy HH:mm`, with or without seconds: never guessed, as others write the month first.
    DayMonth,
}

/// `"+07:00"`, or an IANA name such as `"Asia/Ho_Chi_Minh"`.
pub(super) fn parse_zone(text: &str) -> Option<TimeZone> {
    let Some(sign) = text.chars().next().filter(|c| matches!(c, '+' | '-')) else {
        return TimeZone::get(text).ok();
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let two =
        |digits: &str| (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|m| *m < 60)?);
    let seconds = (hours * 60 + minutes) * 60;
    Offset::from_seconds(if sign == '-' { -seconds } else { seconds }).ok().map(TimeZone::fixed)
}

/// The instant, or what was expected instead.
pub(super) fn parse_time(json: &Json<'_>, format: TimeFormat, zone: Option<&TimeZone>) -> Result<Timestamp, &'static str> {
    const EXPECTED: &str = "ISO 8601, or seconds, ms, µs or ns since 1970";
    match (json, format) {
        (Json::Number(_), TimeFormat::Iso) => Err("ISO 8601"),
        (Json::Number(_), TimeFormat::DayMonth) => Err(DAY_MONTH),
        (Json::Number(number), _) => number.as_f64().and_then(|n| epoch(n, format)).ok_or(EXPECTED),
        (Json::Text(text), _) => {
            let text = text.trim();
            match (format, text.parse::<f64>()) {
                (TimeFormat::DayMonth, _) => day_month(text, zone),
                (TimeFormat::Iso, _) | (TimeFormat::Auto, Err(_)) => iso(text, zone),
                (_, Ok(number)) => epoch(number, format).ok_or(EXPECTED),
                (_, Err(_)) => Err("a number of s, ms or ns since 1970"),
            }
        }
        _ => Err(EXPECTED),
    }
}

/// Seconds below 10¹¹ reach the year 5138, milliseconds below 10¹⁴ the same, and so on: real clocks never come near the limits.
fn epoch(number: f64, format: TimeFormat) -> Option<Timestamp> {
    let per_ms = match format {
        TimeFormat::EpochS => 1e-3,
        TimeFormat::EpochMs => 1.0,
        TimeFormat::EpochNs => 1e6,
        TimeFormat::Auto | TimeFormat::Iso | TimeFormat::DayMonth => match number.abs() {
            n if n < 1e11 => 1e-3,
            n if n < 1e14 => 1.0,
            n if n < 1e17 => 1e3,
            _ => 1e6,
        },
    };
    // `as` saturates; what is that far off is refused as future or too old.
    number.is_finite().then(|| Timestamp::from_millis((number / per_ms).round() as i64))
}

const DAY_MONTH: &str = "dd/MM/yyyy HH:mm, such as 18/11/2025 06:40";

fn iso(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, &'static str> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(instant.as_millisecond()));
    }
    local(text.parse().map_err(|_| "ISO 8601, such as 2025-11-18T06:40:00+07:00")?, zone)
}

fn day_month(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, &'static str> {
    let with_seconds = DateTime::strptime("%d/%m/%Y %H:%M:%S", text);
    local(with_seconds.or_else(|_| DateTime::strptime("%d/%m/%Y %H:%M", text)).map_err(|_| DAY_MONTH)?, zone)
}

fn local(local: DateTime, zone: Option<&TimeZone>) -> Result<Timestamp, &'static str> {
    let zone = zone.ok_or("an offset, as the source declares no zone")?;
    let instant = zone.to_ambiguous_timestamp(local).compatible().map_err(|_| "a time within the calendar's range")?;
    Ok(Timestamp::from_millis(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn read(json: &str, format: TimeFormat, zone: Option<&str>) -> Result<String, &'static str> {
        let zone = zone.map(|z| parse_zone(z).expect(z));
        let json = match json.parse::<serde_json::Number>() {
            Ok(number) => Json::Number(number),
            Err(_) => Json::Text(Cow::Borrowed(json.trim_matches('"'))),
        };
        parse_time(&json, format, zone.as_ref()).map(|t| t.to_string())
    }

    #[test]
    fn many_ways_to_write_one_instant() {
        for text in [
            "1763422800",
            "1763422800.0",
            "1763422800000",
            "1763422800000000",
            "1763422800000000000",
            "\"1763422800000\"",
            "2025-11-18 06:40:00",
            "2025-11-18T06:40:00",
            "2025-11-18 06:40",
            "2025-11-17T23:40:00Z",
            "2025-11-17 23:40:00.000Z",
            "2025-11-18T06:40:00+07:00",
            "2025-11-18T06:40:00.000+0700",
        ] {
            for zone in ["+07:00", "Asia/Ho_Chi_Minh"] {
                assert_eq!(read(text, TimeFormat::Auto, Some(zone)).as_deref(), Ok("2025-11-17T23:40:00Z"), "{text}");
            }
        }
        assert_eq!(read("1763422800", TimeFormat::EpochS, None).as_deref(), Ok("2025-11-17T23:40:00Z"));
        assert_eq!(read("1763422800123000000", TimeFormat::EpochNs, None).as_deref(), Ok("2025-11-17T23:40:00.123Z"));
        assert_eq!(read("1763422800", TimeFormat::EpochMs, None).as_deref(), Ok("1970-01-21T09:50:22.8Z"));
    }

    #[test]
    fn the_day_comes_first_where_the_source_says_so() {
        for text in ["18/11/2025 06:40", "18/11/2025 06:40:00"] {
            assert_eq!(read(text, TimeFormat::DayMonth, Some("+07:00")).as_deref(), Ok("2025-11-17T23:40:00Z"), "{text}");
        }
        for text in ["11/18/2025 06:40", "2025-11-18 06:40", "18/11/2025", "1763422800"] {
            assert_eq!(read(text, TimeFormat::DayMonth, Some("+07:00")), Err(DAY_MONTH), "{text}");
        }
        assert!(read("18/11/2025 06:40", TimeFormat::DayMonth, None).is_err_and(|e| e.contains("zone")));
    }

    #[test]
    fn what_is_no_time_says_what_was_expected() {
        assert!(read("2025-11-18 06:40:00", TimeFormat::Auto, None).is_err_and(|e| e.contains("zone")));
        for text in ["yesterday", "2025-13-40 06:40:00", "\"\"", "18/11/2025 06:40", "\"inf\"", "\"NaN\""] {
            assert!(read(text, TimeFormat::Auto, Some("+07:00")).is_err(), "{text}");
        }
        assert!(read("1763422800", TimeFormat::Iso, None).is_err());
        assert!(read("2025-11-18T06:40:00Z", TimeFormat::EpochS, None).is_err());
        for zone in ["", "Hue", "+7", "+07:99", "+99:00"] {
            assert!(parse_zone(zone).is_none(), "{zone}");
        }
    }
}
