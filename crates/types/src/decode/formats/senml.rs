//! SenML in JSON (RFC 8428): a list of records whose base fields (`bn`, `bt`, `bu`, `bv`) hold for what follows.
//!
//! The name of a measurement, `bn` + `n`, is split at its last `:` or `/`: before it stands the device, after it the value. The values
//! of one device and moment become one item: `device` (`urn:dev:hue:kimlong`), `name` (its last part, `kimlong`), `time`, and under
//! `values` each value as `{ v, u }`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Document, Format, MOST_PARTS};
use crate::decode::MAX_KEY;
use crate::decode::json::{self, Json};
use crate::{Reject, RejectReason, Span, Timestamp};

pub(super) struct SenMl;

/// §4.4: the version of the format that this reads.
const VERSION: f64 = 10.0;
/// §4.5.3: times below this are relative to now, in seconds.
const RELATIVE_BELOW: f64 = (1u32 << 28) as f64;

/// Device, time and values.
type Group<'p> = (String, Timestamp, Vec<(Cow<'p, str>, Json<'p>)>);

/// What holds for the records that follow, §4.1.
#[derive(Default)]
struct Base<'p> {
    name: Cow<'p, str>,
    time: f64,
    unit: Option<Cow<'p, str>>,
    value: f64,
}

impl Format for SenMl {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], now: Timestamp) -> Result<Document<'p>, Reject> {
        let records = match json::parse(payload)? {
            Json::List(records) if records.len() <= MOST_PARTS => records,
            Json::List(records) => {
                let detail = format!("payload: found {} records, expected at most {MOST_PARTS}", records.len());
                return Err(Reject::new(RejectReason::TooLarge, detail));
            }
            other => return Err(malformed(format!("payload: found {}, expected a list of SenML records", other.shown()))),
        };
        let (mut base, mut refused) = (Base::default(), Vec::new());
        let mut groups: HashMap<(String, Timestamp), usize> = HashMap::new();
        let mut items: Vec<Group<'p>> = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            let placed = |mut reject: Reject| {
                reject.detail.insert_str(0, &format!("record {index}: "));
                reject
            };
            if let Err(reject) = base.take(&record) {
                // What follows would be read under another name or at another time than was meant.
                refused.push(placed(reject));
                break;
            }
            match base.measurement(record, now) {
                Ok(None) => {}
                Ok(Some((name, at, value))) => {
                    let (device, field) = match name.rfind([':', '/']) {
                        Some(end) => (&name[..end], &name[end + 1..]),
                        None => ("", name.as_str()),
                    };
                    let group = *groups.entry((device.to_owned(), at)).or_insert_with(|| {
                        items.push((device.to_owned(), at, Vec::new()));
                        items.len() - 1
                    });
                    items[group].2.push((Cow::Owned(field.to_owned()), value));
                }
                Err(reject) => refused.push(placed(reject)),
            }
        }
        let item = |(device, at, values): Group<'p>| {
            let name = device.rsplit([':', '/']).next().unwrap_or_default().to_owned();
            let (device, name) = (Json::text(device), Json::text(name));
            Json::object([("device", device), ("name", name), ("time", Json::time(at)), ("values", Json::Object(values))])
        };
        Ok(Document { refused, ..Document::grouped(items.into_iter().map(item).collect(), Json::Null) })
    }
}

impl<'p> Base<'p> {
    /// Takes over the base fields of a record.
    fn take(&mut self, record: &Json<'p>) -> Result<(), Reject> {
        let Json::Object(entries) = record else { return Ok(()) };
        for (label, json) in entries {
            let number = || json.as_number().ok_or_else(|| wanted(label, json, "a number"));
            match &**label {
                "bver" if number()? > VERSION => return Err(wanted(label, json, &format!("at most {VERSION}"))),
                "bn" => self.name = text(label, json.clone())?,
                "bt" => self.time = number()?,
                "bu" => self.unit = Some(text(label, json.clone())?),
                "bv" => self.value = number()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The full name, time and value with unit of a record; `None` when it holds base fields only.
    fn measurement(&self, record: Json<'p>, now: Timestamp) -> Result<Option<(String, Timestamp, Json<'p>)>, Reject> {
        let Json::Object(entries) = record else {
            return Err(malformed(format!("found {}, expected an object", record.shown())));
        };
        let (mut name, mut time, mut unit, mut value, mut sum) = (None, 0.0, None, None, false);
        for (label, json) in entries {
            let number = || json.as_number().ok_or_else(|| wanted(&label, &json, "a number"));
            match &*label {
                "n" => name = Some(text(&label, json)?),
                "t" => time = number()?,
                "u" => unit = Some(text(&label, json)?),
                "v" => value = Some(Json::number(self.value + number()?)),
                "vs" => value = Some(Json::Text(json.into_text().map_err(|other| wanted(&label, &other, "a text"))?)),
                "vb" => match json {
                    Json::Bool(held) => value = Some(Json::number(f64::from(u8::from(held)))),
                    other => return Err(wanted(&label, &other, "true or false")),
                },
                "vd" => return Err(malformed("`vd`: found binary data, expected `v`, `vs` or `vb`".to_owned())),
                "s" => sum = true,
                // §4.4: a label that ends so must be understood.
                must if must.ends_with('_') => return Err(malformed(format!("found `{must}`, expected no label that must be understood"))),
                _ => {}
            }
        }
        let Some(value) = value else {
            // A sum is not the value of any moment; a record of base fields alone is legal.
            let missing = || malformed(format!("found {}, expected `v`, `vs` or `vb`", if sum { "only a sum" } else { "no value" }));
            return if sum || name.is_some() { Err(missing()) } else { Ok(None) };
        };
        let seconds = self.time + time;
        let at = if seconds < RELATIVE_BELOW { now + millis(seconds) } else { Timestamp::from_millis(0) + millis(seconds) };
        let mut entries = vec![(Cow::Borrowed("v"), value)];
        entries.extend(unit.or_else(|| self.unit.clone()).map(|unit| (Cow::Borrowed("u"), known(unit))));
        Ok(Some((format!("{}{}", self.name, name.unwrap_or_default()), at, Json::Object(entries))))
    }
}

/// Units of the SenML registry (RFC 8428 §12.1) that are written otherwise here.
fn known(unit: Cow<'_, str>) -> Json<'_> {
    Json::text(match &*unit {
        "Cel" => Cow::Borrowed("degC"),
        "%RH" | "%EL" => Cow::Borrowed("%"),
        "/" => Cow::Borrowed("ratio"),
        _ => unit,
    })
}

/// `as` saturates: what is that far off is refused as future or too old.
fn millis(seconds: f64) -> Span {
    Span::from_millis((seconds * 1000.0).round() as i64)
}

/// A name or a unit: base ones are copied into every record, so their length is bounded.
fn text<'p>(label: &str, json: Json<'p>) -> Result<Cow<'p, str>, Reject> {
    match json.into_text() {
        Ok(text) if text.len() <= MAX_KEY => Ok(text),
        Ok(text) => Err(wanted(label, &Json::Text(text), &format!("at most {MAX_KEY} bytes"))),
        Err(other) => Err(wanted(label, &other, "a text")),
    }
}

fn wanted(label: &str, found: &Json<'_>, expected: &str) -> Reject {
    malformed(format!("`{label}`: found {}, expected {expected}", found.shown()))
}

fn malformed(detail: String) -> Reject {
    Reject::new(RejectReason::Malformed, detail)
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::{NOW, decode};

    pub(in crate::decode) const EXAMPLE: &str = r#"[{"bn":"urn:dev:hue:kimlong:","bt":1763422800,"bver":10,"n":"level","u":"m","v":2.71},{"n":"rain10","u":"mm","v":4.2,"t":-600},{"n":"batt","u":"V","v":3.6}]"#;
    pub(in crate::decode) const SOURCE: &str = r#"
        [[source]]
        name = "senml"
        topic = "senml/+"
        format = "senml"
        stream = "water_level"
        key = ["name"]
        time = ["time"]
        fields.value = [{ path = "values.level.v", unit_path = "values.level.u" }]
        also = [
          { stream = "rain", fields.value = [{ path = "values.rain10.v", unit_path = "values.rain10.u" }] },
          { stream = "hotline", fields.words = ["values.words.v"] },
        ]
    "#;

    fn shown(payload: &str) -> Vec<String> {
        decode(SOURCE, "senml/x", payload.as_bytes(), NOW)
    }

    #[test]
    fn base_fields_hold_for_what_follows_and_one_moment_is_one_reading() {
        assert_eq!(shown(EXAMPLE), ["water_level kimlong 2025-11-17T23:40:00Z value=2.71", "rain kimlong 2025-11-17T23:30:00Z value=4.2"]);
    }

    #[test]
    fn times_below_2_to_the_28_are_relative_to_now() {
        for (record, expected) in [
            (r#"{"n":"d/x/level","v":1}"#, "water_level x? 2025-11-17T23:45:00Z value=1"),
            (r#"{"n":"d/x/level","t":-60.5,"v":1}"#, "water_level x? 2025-11-17T23:43:59.5Z value=1"),
            (r#"{"bn":"d/x/","bt":-120,"bv":10,"bu":"cm","n":"level","t":60,"v":1}"#, "water_level x? 2025-11-17T23:44:00Z value=0.11"),
            (r#"{"n":"x:level","t":268435455,"v":1}"#, "future: element 0: time: found 2034-05-21T21:09:15Z"),
            (r#"{"n":"x:level","t":268435456,"v":1}"#, "too_old: element 0: time: found 1978-07-04T21:24:16Z"),
            (r#"{"n":"x:level","t":1e300,"v":1}"#, "bad_time"),
            (r#"{"n":"x:words","vs":"mưa to"}"#, "hotline x? 2025-11-17T23:45:00Z words=mưa to"),
            (r#"{"n":"x:level","vb":true}"#, "water_level x? 2025-11-17T23:45:00Z value=1"),
        ] {
            let found = shown(&format!("[{record}]"));
            assert!(found.len() == 1 && found[0].starts_with(expected), "{record}:\n found {found:?}\n expected {expected}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_the_rest_kept() {
        for (record, expected) in [
            (r#"{"n":"x:level","s":5}"#, "malformed: record 1: found only a sum, expected `v`, `vs` or `vb`"),
            (r#"{"n":"x:level"}"#, "malformed: record 1: found no value, expected"),
            (r#"{"n":"x:level","vd":"aGk"}"#, "malformed: record 1: `vd`: found binary data"),
            (r#"{"n":"x:level","v":"2,7"}"#, "malformed: record 1: `v`: found \"2,7\", expected a number"),
            (r#"{"n":7,"v":1}"#, "malformed: record 1: `n`: found 7, expected a text"),
            (r#"{"n":"x:level","v":1,"crs_":1}"#, "malformed: record 1: found `crs_`, expected no label"),
            (r#"{"bver":11,"n":"x:level","v":1}"#, "malformed: record 1: `bver`: found 11, expected at most 10"),
            (r#"{"n":"level","v":1}"#, "missing_key: element 1: key: found none, expected one in name"),
            (r#"{"n":"x:level","u":"Cel","v":1}"#, "bad_unit: element 1: unit of `value`: found a unit of another quantity"),
            ("7", "malformed: record 1: found 7, expected an object"),
        ] {
            let found = shown(&format!(r#"[{{"n":"ok:level","v":1}},{record}]"#));
            assert_eq!(found[0], "water_level ok? 2025-11-17T23:45:00Z value=1", "{record}");
            assert!(found.len() == 2 && found[1].starts_with(expected), "{record}:\n found {found:?}\n expected {expected}");
        }
        let lost = shown(
            r#"[{"bn":"a:","n":"level","v":1},{"n":"level","vd":"","bn":"b:"},{"n":"level","v":2},{"bn":7,"n":"level","v":3},{"n":"level","v":4}]"#,
        );
        assert_eq!(lost[..2], ["water_level a? 2025-11-17T23:45:00Z value=1", "water_level b? 2025-11-17T23:45:00Z value=2"]);
        assert!(lost[2].contains("record 1: `vd`") && lost[3].contains("record 3: `bn`: found 7") && lost.len() == 4, "{lost:?}");
        assert_eq!(shown(r#"{"n":"x:level","v":1}"#), ["malformed: payload: found an object of 2, expected a list of SenML records"]);
        assert_eq!(shown("[]"), ["bad_value: payload: found a list of 0, expected 1 to 20000"]);
        let unwanted = shown(r#"[{"n":"x:batt","v":3.6}]"#);
        assert!(
            unwanted.len() == 1 && unwanted[0].starts_with("bad_value: values: found none, expected a number in one of values.level.v")
        );
    }
}
