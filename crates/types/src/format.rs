//! Numbers and times as people in Huế read them: decimal comma, dd/MM/yyyy, UTC+7.

use jiff::tz::{Offset, TimeZone};

use crate::Timestamp;

/// Asia/Ho_Chi_Minh has had no daylight saving time since 1975: a fixed offset is exact.
const LOCAL: Offset = jiff::tz::offset(7);

/// `value` with `decimals` places; `comma` for Vietnamese.
pub fn format_number(value: f64, decimals: usize, comma: bool) -> String {
    // Rounding may leave a minus sign on a zero.
    let text = format!("{:.decimals$}", value);
    let text = if text.trim_start_matches(['-', '0', '.']).is_empty() { text.trim_start_matches('-').to_owned() } else { text };
    if comma { text.replace('.', ",") } else { text }
}

/// `08:30 22/11/2026` in local time.
pub fn local_date_time(at: Timestamp) -> String {
    strftime(at, "%H:%M %d/%m/%Y")
}

/// `08:30:05` in local time.
pub fn local_time(at: Timestamp) -> String {
    strftime(at, "%H:%M:%S")
}

fn strftime(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(t) => t.to_zoned(TimeZone::fixed(LOCAL)).strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vietnamese_numbers_have_a_comma_and_zero_has_no_sign() {
        assert_eq!(format_number(2.71, 2, true), "2,71");
        assert_eq!(format_number(-0.001, 2, true), "0,00");
        assert_eq!(format_number(1739.0, 0, true), "1739");
        assert_eq!(format_number(-1.5, 1, false), "-1.5");
    }

    #[test]
    fn times_are_local() {
        let at = Timestamp::parse_rfc3339("2025-10-26T23:00:00Z").expect("valid");
        assert_eq!(local_date_time(at), "06:00 27/10/2025");
    }
}
