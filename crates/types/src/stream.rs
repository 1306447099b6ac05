//! What a stream carries: its fields, their units, and which values are plausible. Listed in `config/streams.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Name, Origin, Problems, Span, load_toml};

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
            if let Some(id) = stream.id_field.as_ref().filter(|id| !stream.fields.get(*id).is_some_and(|field| field.text)) {
                problems.add(file, format!("{path}.id_field"), format!("`{id}`"), "one of the stream's text fields");
            }
            for (name, field) in &stream.fields {
                let limited = field.min.is_some() || field.max.is_some() || field.step.is_some();
                if limited && field.source.is_none() {
                    problems.add(file, format!("{path}.fields.{name}.source"), "nothing", "where the limits come from");
                }
                if let (Some(min), Some(max)) = (field.min, field.max)
                    && (min.is_nan() || max.is_nan() || min >= max)
                {
                    problems.add(file, format!("{path}.fields.{name}.min"), format!("`{min}`"), format!("less than max, {max}"));
                }
            }
        }
        streams
    }
}
