//! Text files of automatic stations by Thông tư 10/2021/TT-BTNMT: a line per parameter, tab separated: name, value, unit,
//! `yyyyMMddHHmmss` in local time, status (00 measuring, 01 calibrating, 02 fault).
//!
//! The file's name, `<PROVINCE>_<FACILITY>_<STATION>_<time>.txt`, is the last level of the topic. Each status is of its own parameter, so
//! the lines of one time and one status become one item: `province`, `facility`, `station`, `time`, `status`, and under `values` each
//! parameter, by its name, as `{ v, u }`.

use std::borrow::Cow;

use super::{Document, Format, MOST_PARTS};
use crate::decode::json::Json;
use crate::{Reject, RejectReason};

pub(super) struct Tt10;

/// Time and status of a group of lines, and its parameters.
type Group<'p> = (String, &'p str, Vec<(Cow<'p, str>, Json<'p>)>);

/// A file tells some dozen parameters, mostly of one time and status; more groups than this are refused rather than searched through.
const MAX_GROUPS: usize = 1000;

impl Format for Tt10 {
    fn read<'p>(&mut self, topic: &str, payload: &'p [u8], _now: crate::Timestamp) -> Result<Document<'p>, Reject> {
        let shared = named(topic.rsplit('/').next().unwrap_or_default())?;
        let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
        let text = std::str::from_utf8(payload).map_err(|error| malformed(format!("payload: found {error}, expected UTF-8 text")))?;
        let (mut groups, mut refused) = (Vec::<Group<'p>>::new(), Vec::new());
        let lines = text.lines().count();
        if lines > MOST_PARTS {
            return Err(Reject::new(RejectReason::TooLarge, format!("payload: found {lines} lines, expected at most {MOST_PARTS}")));
        }
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match parameter(line) {
                Ok((name, time, status, value)) => match groups.iter().position(|(t, s, _)| *t == time && *s == status) {
                    Some(group) => groups[group].2.push((Cow::Borrowed(name), value)),
                    None if groups.len() < MAX_GROUPS => groups.push((time, status, vec![(Cow::Borrowed(name), value)])),
                    None => {
                        let detail = format!("line {}: found another time or status, expected at most {MAX_GROUPS}", index + 1);
                        return Err(Reject::new(RejectReason::TooLarge, detail));
                    }
                },
                Err((column, found, expected)) => {
                    let found = Json::text(found).shown();
                    refused.push(malformed(format!("line {}, {column}: found {found}, expected {expected}", index + 1)));
                }
            }
        }
        if groups.is_empty() && refused.is_empty() {
            return Err(malformed("payload: found no line, expected name, value, unit, time and status by tabs".to_owned()));
        }
        let item = |(time, status, values)| {
            Json::object([("time", Json::text(time)), ("status", Json::text(status)), ("values", Json::Object(values))])
        };
        Ok(Document { refused, ..Document::grouped(groups.into_iter().map(item).collect(), shared) })
    }
}

/// What the name of a file tells. The time within it is when the file was written; each line has its own.
fn named<'p>(file: &str) -> Result<Json<'p>, Reject> {
    let parts: Vec<&str> = file.strip_suffix(".txt").unwrap_or_default().split('_').collect();
    match parts[..] {
        [province, facility, station, _] if parts.iter().all(|part| !part.is_empty()) => {
            let text = |part: &str| Json::text(part.to_owned());
            Ok(Json::object([("province", text(province)), ("facility", text(facility)), ("station", text(station))]))
        }
        _ => {
            let found = Json::text(file).shown();
            let detail = format!("file name: found {found}, expected <PROVINCE>_<FACILITY>_<STATION>_<time>.txt as the topic's last level");
            Err(Reject::new(RejectReason::MissingKey, detail))
        }
    }
}

/// Name, time as ISO without a zone, status and `{ v, u }` of a line, or the column that is wrong, what it holds and what it should.
#[expect(clippy::type_complexity, reason = "one private function's two outcomes")]
fn parameter(line: &str) -> Result<(&str, String, &str, Json<'_>), (&'static str, &str, &'static str)> {
    let mut columns = line.split('\t').map(str::trim);
    let mut next = |name| columns.next().filter(|text| !text.is_empty()).ok_or((name, line, "name, value, unit, time and status by tabs"));
    let (name, value, unit, time, status) = (next("name")?, next("value")?, next("unit")?, next("time")?, next("status")?);
    if columns.next().is_some() {
        return Err(("a sixth column", line, "name, value, unit, time and status by tabs"));
    }
    if !(time.len() == 14 && time.bytes().all(|b| b.is_ascii_digit())) {
        return Err(("time", time, "yyyyMMddHHmmss"));
    }
    if !matches!(status, "00" | "01" | "02") {
        return Err(("status", status, "00, 01 or 02"));
    }
    let iso = format!("{}-{}-{}T{}:{}:{}", &time[..4], &time[4..6], &time[6..8], &time[8..10], &time[10..12], &time[12..]);
    Ok((name, iso, status, Json::object([("v", Json::text(value)), ("u", Json::text(unit))])))
}

fn malformed(detail: String) -> Reject {
    Reject::new(RejectReason::Malformed, detail)
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::decode;

    const NOW: &str = "2026-11-22T01:31:00Z";
    pub(in crate::decode) const FILE: &str = "hue/files/tt10/HUE_KKHV_KK01_20261122083000.txt";
    pub(in crate::decode) const EXAMPLE: &str =
        "PM10\t54.2\tug/Nm3\t20261122083000\t00\r\nPM2,5\t31.7\tug/Nm3\t20261122083000\t00\r\nSO2\t0\tug/Nm3\t20261122083000\t02\r\n";

    #[test]
    fn each_status_is_of_its_own_parameter() {
        assert_eq!(
            decode("", FILE, EXAMPLE.as_bytes(), NOW),
            ["air KK01? 2026-11-22T01:30:00Z pm10=54.2 pm25=31.7 status=00", "air KK01? 2026-11-22T01:30:00Z so2=0 status=02"]
        );
        let bom = format!("\u{feff}{}", EXAMPLE.replace("31.7", "31,7").replace("\r\n", "\n"));
        assert_eq!(decode("", FILE, bom.as_bytes(), NOW).len(), 2, "a mark at the start, decimal commas and bare line feeds are read");
    }

    #[test]
    fn parameters_that_nothing_takes_make_no_reading() {
        let beside = format!("{EXAMPLE}Temp\t28.1\toC\t20261122083000\t01\r\n");
        assert_eq!(decode("", FILE, beside.as_bytes(), NOW).len(), 2);
        let alone = decode("", FILE, b"Temp\t28.1\toC\t20261122083000\t00\r\n", NOW);
        assert!(alone.len() == 1 && alone[0].starts_with("bad_value: values: found none"), "{alone:?}");
    }

    #[test]
    fn every_refusal_names_line_and_column() {
        for (line, expected) in [
            (
                "PM10 54.2 ug/Nm3",
                "malformed: line 4, value: found \"PM10 54.2 ug/Nm3\", expected name, value, unit, time and status by tabs",
            ),
            ("PM10\t1\tug/Nm3\t20261122083000", "malformed: line 4, status: found"),
            ("PM10\t1\tug/Nm3\t20261122083000\t00\tx", "malformed: line 4, a sixth column: found"),
            ("PM10\t1\tug/Nm3\t2026-11-22\t00", "malformed: line 4, time: found \"2026-11-22\", expected yyyyMMddHHmmss"),
            ("PM10\t1\tug/Nm3\t20261122083000\t03", "malformed: line 4, status: found \"03\", expected 00, 01 or 02"),
            ("NO2\tx\tug/Nm3\t20261122083000\t01", "bad_value: element 2: field `no2`: found \"x\" in `values.NO2.v`, expected a number"),
            ("NO2\t1\tppb\t20261122083000\t01", "bad_unit: element 2: unit of `no2`: found \"ppb\""),
            ("NO2\t1\tug/Nm3\t20261322083000\t00", "bad_time: element 2: `time`: found \"2026-13-22T08:30:00\", expected ISO 8601"),
            ("NO2\t1\tug/Nm3\t20261122103000\t00", "future: element 2: time: found 2026-11-22T03:30:00Z"),
        ] {
            let found = decode("", FILE, format!("{EXAMPLE}{line}\r\n").as_bytes(), NOW);
            assert!(found.len() == 3 && found[2].starts_with(expected), "{line}:\n found {found:?}\n expected {expected}");
        }
        for (topic, payload, expected) in [
            ("hue/files/tt10/KK01.txt", EXAMPLE.as_bytes(), "missing_key: file name: found \"KK01.txt\", expected <PROVINCE>_"),
            ("hue/files/tt10/A__C_1.txt", EXAMPLE.as_bytes(), "missing_key: file name"),
            (FILE, b"", "malformed: payload: found no line"),
            (FILE, b"PM10\t\xff", "malformed: payload: found invalid utf-8"),
        ] {
            let found = decode("", topic, payload, NOW);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{topic}:\n found {found:?}\n expected {expected}");
        }
        let many: String = (0..1001).map(|i| format!("PM10\t1\tug/Nm3\t2026{i:010}\t00\n")).collect();
        assert!(decode("", FILE, many.as_bytes(), NOW)[0].starts_with("too_large: line 1001: found another time or status"));
    }
}
