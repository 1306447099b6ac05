//! Which points become of a record.
//!
//! | measurement | tags | fields |
//! | --- | --- | --- |
//! | the stream | `key`, `source`, `quality`, `check` (which check failed), `id` | the reading's own, side by side |
//! | `huong_alerts` | `rule`, `key`, `stream`, `severity`, `kind`, `state` | the rule's figures, `announced`, `escalated`, `exercise`, `id`, `seq` |
//! | `huong_ledger`, `huong_latency`, `huong_load`, .. | as in `/metrics` | figures of the processor |
//!
//! Invariant: points are a pure function of the record, so one sent again is the same point; and two different records are two points
//! (measurement, tags and time differ). Occurrences have an id as a tag, since many may fall on one moment: the one that they bring
//! where the stream's texts are copied, else the sequence of their record; so has a second value for the moment of a first. Fields of
//! different quality are in lines of their own. The exceptions are late values of one key and source in one millisecond, and new
//! figures of one alert in one millisecond: of these the last stands, as it does for whoever asks what holds. A number in a tag would
//! make a series of each.

use std::collections::{BTreeMap, BTreeSet};

use huong_types::{Check, Name, Quality, Reading, Stream, Timestamp, Transition, Value as Held};

use crate::line::{Lines, Value};

/// Figures of the processor at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub measurement: &'static str,
    /// In the order of their keys.
    pub tags: Vec<(&'static str, Name)>,
    pub fields: Vec<(&'static str, f64)>,
}

/// What to make of each stream.
pub(crate) struct Points {
    /// Streams of occurrences, and their field that tells two of one moment apart.
    occurrences: BTreeMap<Name, Option<Name>>,
    /// Streams whose texts go too.
    texts: BTreeSet<Name>,
}

impl Points {
    pub(crate) fn new(streams: &[Stream], texts: &[Name]) -> Self {
        let events = streams.iter().filter(|stream| stream.events);
        Self {
            occurrences: events.map(|stream| (stream.id.clone(), stream.id_field.clone())).collect(),
            texts: texts.iter().cloned().collect(),
        }
    }

    /// Returns how many numbers were not finite.
    pub(crate) fn reading(&self, lines: &mut Lines, seq: u64, reading: &Reading) -> u64 {
        let texts = self.texts.contains(&reading.stream);
        let said = |field: &Option<Name>| said_id(reading, field.as_ref()).filter(|_| texts);
        let occurrence = self.occurrences.get(&reading.stream).map(|field| said(field).unwrap_or_else(|| seq.to_string()));
        let mut left_out = 0;
        for (i, first) in reading.fields.iter().enumerate() {
            let quality = first.quality;
            if reading.fields[..i].iter().any(|field| field.quality == quality) {
                continue;
            }
            let conflict = (quality.check == Some(Check::Conflict)).then(|| seq.to_string());
            let id = occurrence.as_ref().or(conflict.as_ref()).map_or("", String::as_str);
            let Quality { flag, check } = quality;
            let tags = [
                ("check", check.map_or("", Check::as_str)),
                ("id", id),
                ("key", reading.key.as_str()),
                ("quality", flag.as_str()),
                ("source", reading.source.as_str()),
            ];
            let fields = reading.fields.iter().filter(|field| field.quality == quality).filter_map(|field| match &field.value {
                Held::Number(number) => Some((field.name.as_str(), Value::Number(*number))),
                Held::Text(text) => texts.then_some((field.name.as_str(), Value::Text(text))),
            });
            left_out += lines.push(&reading.stream, &tags, fields, reading.at);
        }
        left_out
    }

    /// Returns how many figures were not finite.
    pub(crate) fn transition(&self, lines: &mut Lines, transition: &Transition) -> u64 {
        let alert = &transition.alert;
        let tags = [
            ("key", alert.key.as_str()),
            ("kind", transition.kind.as_str()),
            ("rule", alert.rule.as_str()),
            ("severity", alert.severity.as_str()),
            ("state", alert.state.as_str()),
            ("stream", alert.stream.as_str()),
        ];
        let own = [
            ("announced", Value::Truth(transition.announced)),
            ("escalated", Value::Number(alert.escalated.into())),
            ("exercise", Value::Truth(alert.exercise)),
            ("id", Value::Text(&alert.id)),
            ("seq", Value::Number(transition.seq as f64)),
        ];
        // A figure that a rule happens to call like one of ours gives way: a line has each field once.
        let figures = alert.values.iter().map(|(name, figure)| (name.as_str(), Value::Number(*figure)));
        let figures = figures.filter(|(name, _)| own.iter().all(|(ours, _)| ours != name));
        lines.push("huong_alerts", &tags, own.iter().copied().chain(figures), transition.at)
    }
}

impl Sample {
    pub(crate) fn write(&self, lines: &mut Lines, at: Timestamp) -> u64 {
        let tags: Vec<(&str, &str)> = self.tags.iter().map(|(key, value)| (*key, value.as_str())).collect();
        lines.push(self.measurement, &tags, self.fields.iter().map(|(name, figure)| (*name, Value::Number(*figure))), at)
    }
}

/// The id that an occurrence brings with it.
fn said_id(reading: &Reading, field: Option<&Name>) -> Option<String> {
    let field = reading.fields.iter().find(|other| Some(&other.name) == field)?;
    match &field.value {
        Held::Text(text) if !text.trim().is_empty() => Some(text.to_string()),
        Held::Number(number) => Some(number.to_string()),
        Held::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use huong_types::{About, Alert, Field, Flag, Origin, Severity, Text, TransitionKind};

    use super::*;

    fn reading(stream: &str, fields: Vec<Field>) -> Reading {
        Reading {
            stream: stream.into(),
            key: "kim long".into(),
            at: Timestamp::from_millis(1000),
            received: Timestamp::from_millis(2000),
            fields: fields.into(),
            source: "vrain".into(),
            origin: Origin::Sensor,
            orphan: false,
        }
    }

    fn points(texts: &[Name]) -> Points {
        Points {
            occurrences: [("calls".into(), Some("call".into())), ("boats".into(), None)].into(),
            texts: texts.iter().cloned().collect(),
        }
    }

    fn written(points: &Points, seq: u64, reading: &Reading) -> (String, u64) {
        let mut lines = Lines::default();
        let left_out = points.reading(&mut lines, seq, reading);
        (lines.text(0..lines.len()).to_owned(), left_out)
    }

    fn text(name: &str, text: &str) -> Field {
        Field { name: name.into(), value: Held::Text(text.into()), quality: Quality::OK }
    }

    #[test]
    fn fields_of_one_quality_share_a_line() {
        let suspect = Field { quality: Quality::new(Flag::Suspect, Check::Step), ..Field::ok("q_out".into(), 9000.0) };
        let fields = vec![Field::ok("level".into(), 2.5), suspect, Field::ok("q_in".into(), f64::INFINITY), Field::ok("gates".into(), 3.0)];
        let (lines, left_out) = written(&points(&[]), 1, &reading("reservoir", fields));
        let expected = "reservoir,key=kim\\ long,quality=ok,source=vrain level=2.5,gates=3 1000\n\
                        reservoir,check=step,key=kim\\ long,quality=suspect,source=vrain q_out=9000 1000\n";
        assert_eq!((lines.as_str(), left_out), (expected, 1));
    }

    #[test]
    fn what_shares_a_moment_is_told_apart() {
        let conflict = Field { quality: Quality::new(Flag::Suspect, Check::Conflict), ..Field::ok("level".into(), 2.6) };
        let (lines, _) = written(&points(&[]), 77, &reading("water_level", vec![conflict]));
        assert_eq!(lines, "water_level,check=conflict,id=77,key=kim\\ long,quality=suspect,source=vrain level=2.6 1000\n");
        let call = reading("calls", vec![text("call", "A-1"), Field::ok("wait".into(), 4.0)]);
        assert_eq!(written(&points(&[]), 78, &call).0, "calls,id=78,key=kim\\ long,quality=ok,source=vrain wait=4 1000\n");
        let (lines, _) = written(&points(&["calls".into()]), 78, &call);
        assert_eq!(lines, "calls,id=A-1,key=kim\\ long,quality=ok,source=vrain call=\"A-1\",wait=4 1000\n");
        let (lines, _) = written(&points(&[]), 79, &reading("boats", vec![Field::ok("lat".into(), 16.5)]));
        assert_eq!(lines, "boats,id=79,key=kim\\ long,quality=ok,source=vrain lat=16.5 1000\n");
    }

    #[test]
    fn a_step_of_an_alert_is_a_point_of_its_rule_and_key() {
        let at = Timestamp::from_millis(5000);
        let (id, rule, key) = ("river-bd3:kim long:1".into(), "river-bd3".into(), "kim long".into());
        let alert = Alert {
            stream: "water_level".into(),
            // The last one is called like a field of ours, which stays.
            values: [("level".into(), 3.5), ("trend".into(), f64::NAN), ("seq".into(), 1.0)].into(),
            announced: Some(at),
            ..Alert::new(About::Rule, id, &rule, &key, Severity::Extreme, Text::default(), at)
        };
        let kind = TransitionKind::Raised;
        let transition =
            Transition { seq: 42, kind, at, decided: at, announced: true, recipients: Vec::new(), by: None, alert, cause: Vec::new() };
        let mut lines = Lines::default();
        assert_eq!(points(&[]).transition(&mut lines, &transition), 1);
        let expected = "huong_alerts,key=kim\\ long,kind=raised,rule=river-bd3,severity=extreme,state=open,stream=water_level \
                        announced=true,escalated=0,exercise=false,id=\"river-bd3:kim long:1\",seq=42,level=3.5 5000\n";
        assert_eq!(lines.text(0..1), expected);
    }

    #[test]
    fn texts_stay_here_unless_the_stream_is_named() {
        let plate = reading("plates", vec![text("plate", "75A-123.45")]);
        assert_eq!(written(&points(&[]), 1, &plate), (String::new(), 0));
        let (lines, _) = written(&points(&["plates".into()]), 1, &plate);
        assert_eq!(lines, "plates,key=kim\\ long,quality=ok,source=vrain plate=\"75A-123.45\" 1000\n");
    }
}
