//! How a source's messages are read, as configuration says it: one `[[source]]` each.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::time::TimeFormat;
use crate::{Name, Problems, load_toml};

/// One format of message on one topic filter. Paths are names and indices joined by dots: `values.level_cm`, `data.0.v`.
/// Topic levels count from 0 in `topic` as it is written here; `{prefix}` is one level.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    pub name: Name,
    /// MQTT topic filter; `{prefix}` at its start stands for the configured prefix. The first source that matches a topic takes it.
    pub topic: String,
    /// How the bytes are written: one of the formats that `docs/operations.md` lists.
    #[serde(default = "json")]
    pub format: String,
    /// Where the list of items is, when it is not the whole payload; what stands beside it counts for each of them.
    #[serde(default)]
    pub items: Option<String>,
    pub stream: StreamFrom,
    /// Where the station's id or alias is: the first alternative that is present counts.
    pub key: Vec<KeyFrom>,
    /// Paths of the time of measurement: the first that is present counts.
    #[serde(default)]
    pub time: Vec<String>,
    #[serde(default)]
    pub time_format: TimeFormat,
    /// For local times without an offset: `"+07:00"` or `"Asia/Ho_Chi_Minh"`.
    #[serde(default)]
    pub zone: Option<String>,
    /// Takes the time of arrival where the payload has none.
    #[serde(default)]
    pub time_from_arrival: bool,
    /// Per field of the stream, where its value is: the first alternative that is present counts.
    pub fields: BTreeMap<Name, Vec<ValueFrom>>,
    /// Further streams that the same items go to, each with what it takes of them.
    #[serde(default)]
    pub also: Vec<Also>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Also {
    pub stream: Name,
    pub fields: BTreeMap<Name, Vec<ValueFrom>>,
}

fn json() -> String {
    "json".to_owned()
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a stream's id, or { topic = LEVEL }")]
pub enum StreamFrom {
    Fixed(Name),
    Topic(TopicLevel),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a path, or { topic = LEVEL }")]
pub enum KeyFrom {
    Path(String),
    Topic(TopicLevel),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicLevel {
    pub topic: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a path, or { path, unit, unit_path, scale }")]
pub enum ValueFrom {
    /// In the stream's own unit.
    Path(String),
    Detailed(Detailed),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detailed {
    pub path: String,
    /// The sender's unit where the payload does not tell; absent: the stream's own.
    #[serde(default)]
    pub unit: Option<String>,
    /// Where the payload tells the unit.
    #[serde(default)]
    pub unit_path: Option<String>,
    /// Multiplies the value before conversion.
    #[serde(default)]
    pub scale: Option<f64>,
}

/// Bounds on what one message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload.
    pub payload: usize,
    /// Elements of a payload that is an array.
    pub items: usize,
}

impl Default for Limits {
    /// A day of ten-minute readings of every station of the city in one message is about 100 KB and 15,000 rows.
    fn default() -> Self {
        Self { payload: 1 << 20, items: 20_000 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    source: Vec<SourceConfig>,
}

impl SourceConfig {
    /// Reads `config/sources.toml`; every mistake of form goes to `problems`. What the sources mean is checked by
    /// [`super::Decoder::compile`].
    pub fn parse_all(file: &str, text: &str, problems: &mut Problems) -> Vec<SourceConfig> {
        load_toml::<Raw>(file, text, problems).unwrap_or_default().source
    }
}
