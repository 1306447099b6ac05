//! What a stream carries: its fields, their units, and which values are plausible. Listed in `config/streams.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Forecast, Name, Origin, Problems, Span, load_toml};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub id: Name,
    /// Vietnamese and English names for people.
    pub name: String,
    pub name_en: String,
    #[serde(default = "sensor")]
    pub origin: Origin,
    pub fields: BTreeMap<Name, FieldSpec>,
    /// Each reading is an occurrence of its own (a call, a report, a boat's position), not the state of a gauge: many may fall on
    /// one moment, none follows from the one before, and their keys come and go.
    #[serde(default)]
    pub events: bool,
    /// The text field that tells two occurrences of one key and moment apart.
    #[serde(default)]
    pub id_field: Option<Name>,
    /// Its readings are of moments to come.
    #[serde(default)]
    pub forecast: Option<Forecast>,
    /// Where the source says of each reading how it was measured.
    #[serde(default)]
    pub status: Option<SourceStatus>,
    /// Keys that the registry does not know and that are judged all the same: bounds what hostile ids can cost.
    #[serde(default = "ten_thousand")]
    pub most_unknown_keys: u32,
    /// How far out of order readings of one key may come and still be judged in their place: the watermark is the largest
    /// event time of the key minus this.
    pub disorder: Span,
    /// A reading dated further ahead of the clock is quarantined.
    pub future: Span,
    /// A reading older than this on arrival is quarantined.
    pub max_age: Span,
    /// After a silence longer than this, the first value may raise an alarm but not clear one.
    pub gap: Span,
    /// A station is silent after this many of its registry periods.
    pub silent_after_periods: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// The unit in which values are kept; senders' units are converted to it.
    pub unit: String,
    /// Text fields are stored, never judged.
    #[serde(default)]
    pub text: bool,
    /// Outside of these a value is bad. A registry row's levels `min` and `max` take precedence.
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub max: Option<f64>,
    #[serde(default)]
    pub step: Option<Step>,
    /// Factors by which a slipped unit multiplies: 1000 for millimetres sent as metres. A value out of range or stepping too far
    /// that one of them explains is a unit slip, and no second value of the kind confirms it. Needs `step`.
    #[serde(default)]
    pub slips: Vec<f64>,
    /// A value within the range counts as slipped only when, corrected, it lies within this share of the value before: a true
    /// flood may well rise tenfold.
    #[serde(default = "a_fifth")]
    pub slip_within: f64,
    #[serde(default)]
    pub flat: Option<FlatLine>,
    /// Where the limits come from; required when there are any.
    #[serde(default)]
    pub source: Option<String>,
}

/// The largest plausible change between two readings Δt apart: `base + per_hour · Δt`, up and down apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub rise_base: f64,
    pub rise_per_hour: f64,
    pub fall_base: f64,
    pub fall_per_hour: f64,
}

/// A value that stays the same to the last digit for too long while others of the stream move is a stuck sensor's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlatLine {
    /// How long it must have been the same. A silence of more than an eighth of this begins anew: it takes nine equal reports at
    /// least, fewer may be chance.
    pub after: Span,
    /// How many other registered keys must have moved within `after`; zero asks nobody.
    pub neighbours: usize,
    /// By how much, in the field's unit, since they last did; zero counts every change.
    #[serde(default)]
    pub moved: f64,
    /// Values that may stand for ever, such as no rain.
    #[serde(default)]
    pub except: Vec<f64>,
}

/// A text field that says whether the instrument was measuring, such as the `00`, `01` (calibration), `02` (fault) of circular
/// TT 10/2021. What is in neither list makes the reading suspect; a reading without the field is judged as if there were none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceStatus {
    pub field: Name,
    pub ok: Vec<String>,
    /// The numbers of such a reading are bad.
    pub bad: Vec<String>,
}

fn ten_thousand() -> u32 {
    10_000
}

fn a_fifth() -> f64 {
    0.2
}

fn sensor() -> Origin {
    Origin::Sensor
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    stream: Vec<Stream>,
}

impl Stream {
    /// Reads and checks `config/streams.toml`; every mistake goes to `problems`.
    pub fn parse_all(file: &str, text: &str, problems: &mut Problems) -> Vec<Stream> {
        let streams = load_toml::<Raw>(file, text, problems).unwrap_or_default().stream;
        for (i, stream) in streams.iter().enumerate() {
            let path = format!("stream `{}`", stream.id);
            if streams[..i].iter().any(|other| other.id == stream.id) {
                problems.add(file, &path, "an id again", "an id of its own");
            }
            if stream.fields.is_empty() {
                problems.add(file, format!("{path}.fields"), "none", "at least one field");
            }
            if stream.silent_after_periods == 0 {
                problems.add(file, format!("{path}.silent_after_periods"), "`0`", "at least 1");
            }
            let is_text = |name: &Name| stream.fields.get(name).is_some_and(|field| field.text);
            for (what, name) in [("id_field", stream.id_field.as_ref()), ("status.field", stream.status.as_ref().map(|s| &s.field))] {
                if let Some(name) = name.filter(|name| !is_text(name)) {
                    problems.add(file, format!("{path}.{what}"), format!("`{name}`"), "one of the stream's text fields");
                }
            }
            stream.check_forecasts(&streams, file, &path, problems);
            for (name, field) in &stream.fields {
                field.check(stream.events, file, &format!("{path}.fields.{name}"), problems);
            }
        }
        streams
    }
}

impl FieldSpec {
    fn check(&self, events: bool, file: &str, path: &str, problems: &mut Problems) {
        let follows = self.step.is_some() || self.flat.is_some() || !self.slips.is_empty();
        if (self.min.is_some() || self.max.is_some() || follows) && self.source.is_none() {
            problems.add(file, format!("{path}.source"), "nothing", "where the limits come from");
        }
        if events && follows {
            problems.add(file, path, "`step`, `slips` or `flat`", "none of them: an occurrence does not follow from the one before");
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && (min.is_nan() || max.is_nan() || min >= max)
        {
            problems.add(file, format!("{path}.min"), format!("`{min}`"), format!("less than max, {max}"));
        }
        for factor in self.slips.iter().filter(|factor| !factor.is_finite() || **factor <= 0.0 || **factor == 1.0) {
            problems.add(file, format!("{path}.slips"), format!("`{factor}`"), "positive factors other than 1");
        }
        if !self.slips.is_empty() && self.step.is_none() {
            problems.add(file, format!("{path}.slips"), "no `step`", "a step, by which a corrected value is recognised");
        }
        if !(0.0..1.0).contains(&self.slip_within) {
            problems.add(file, format!("{path}.slip_within"), format!("`{}`", self.slip_within), "a share from 0 to below 1");
        }
        if let Some(flat) = &self.flat {
            if flat.after <= Span::ZERO {
                problems.add(file, format!("{path}.flat.after"), format!("`{}`", flat.after), "longer than nothing");
            }
            if !flat.moved.is_finite() || flat.moved < 0.0 {
                problems.add(file, format!("{path}.flat.moved"), format!("`{}`", flat.moved), "zero or more");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(head: &str, fields: &str) -> Vec<String> {
        let text = format!(
            "[[stream]]\nid = \"s\"\nname = \"s\"\nname_en = \"s\"\ndisorder = \"2m\"\nfuture = \"10m\"\nmax_age = \"1d\"\n\
             gap = \"1d\"\nsilent_after_periods = 3\n{head}\n[stream.fields.value]\nunit = \"m\"\n{fields}"
        );
        let mut problems = Problems::default();
        Stream::parse_all("streams.toml", &text, &mut problems);
        problems.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn checks_without_sense_are_refused() {
        const STEP: &str = "step = { rise_base = 1.0, rise_per_hour = 1.0, fall_base = 1.0, fall_per_hour = 1.0 }\nsource = \"t\"";
        let stepping = |more: &str| format!("{STEP}\n{more}");
        for (head, fields, found) in [
            ("", stepping("slips = [1000.0, 0.001]\nflat = { after = \"6h\", neighbours = 2 }"), None),
            ("", "slips = [10.0]\nsource = \"t\"".to_owned(), Some("fields.value.slips: found no `step`")),
            ("", stepping("slips = [1.0]"), Some("fields.value.slips: found `1`")),
            ("", stepping("slips = [-10.0]"), Some("fields.value.slips: found `-10`")),
            ("", stepping("slip_within = 1.0"), Some("fields.value.slip_within: found `1`")),
            ("", stepping("flat = { after = \"0s\", neighbours = 2 }"), Some("fields.value.flat.after: found `0s`")),
            ("", stepping("flat = { after = \"6h\", neighbours = 2, moved = -1.0 }"), Some("fields.value.flat.moved: found `-1`")),
            ("", "flat = { after = \"6h\", neighbours = 2 }".to_owned(), Some("fields.value.source: found nothing")),
            ("events = true", stepping(""), Some("fields.value: found `step`, `slips` or `flat`")),
            ("status = { field = \"value\", ok = [], bad = [] }", String::new(), Some("status.field: found `value`")),
            ("id_field = \"nothing\"", String::new(), Some("id_field: found `nothing`")),
            (
                "forecast = { of = \"s\", stale_after = \"12h\", ahead = \"10m\" }\nid_field = \"issued\"\nevents = true\nfields.issued = { unit = \"\", text = true }",
                String::new(),
                Some("forecast.of: found `s`"),
            ),
        ] {
            let problems = problems(head, &fields);
            match found {
                None => assert!(problems.is_empty(), "{problems:?}"),
                Some(found) => assert!(problems.len() == 1 && problems[0].contains(found), "{found}: {problems:?}"),
            }
        }
    }
}
