//! From a message's bytes to valid readings, or to a reason why not.
//!
//! Invariant: any topic and any payload end in readings, refusals or both, never in nothing and never in a panic. A value that
//! comes out is finite and in its stream's unit. What a message holds beside a refused part is kept.

mod compile;
mod config;
mod json;
mod time;
mod topic;

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

pub use self::config::{Detailed, KeyFrom, Limits, SourceConfig, StreamFrom, TopicLevel, ValueFrom};
pub use self::time::TimeFormat;

use self::compile::{Alternative, FieldPlan, KeyAt, Source, StreamAt};
use self::json::Json;
use crate::units::Unit;
use crate::{Field, Inbound, Interner, Name, Problems, Quality, Reading, Registry, Reject, RejectReason, Stream, Timestamp, Value};

/// The sources, compiled. Decoding changes nothing but the table of names.
pub struct Decoder {
    sources: Vec<Source>,
    streams: Vec<Stream>,
    registry: Arc<Registry>,
    names: Interner,
    limits: Limits,
}

/// Ids longer than this are no ids; a key becomes a topic level and a file name.
const MAX_KEY: usize = 128;
/// Texts longer than this are refused.
const MAX_TEXT: usize = 256;
/// Distinct keys that share their memory: far more than a city's stations.
const MAX_NAMES: usize = 1 << 16;

impl Decoder {
    /// Compiles `sources`; every mistake goes to `problems` under `file`, and its source is left out.
    pub fn compile(
        file: &str,
        sources: &[SourceConfig],
        prefix: &str,
        streams: &[Stream],
        registry: Arc<Registry>,
        problems: &mut Problems,
    ) -> Self {
        for (i, source) in sources.iter().enumerate() {
            if sources[..i].iter().any(|other| other.name == source.name) {
                problems.add(file, format!("source `{}`.name", source.name), "a name again", "a name of its own");
            }
        }
        let sources = sources.iter().filter_map(|config| compile::compile(file, config, prefix, streams, problems)).collect();
        Self { sources, streams: streams.to_vec(), registry, names: Interner::new(MAX_NAMES), limits: Limits::default() }
    }

    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The filters to subscribe to: none covered by another, as a broker may deliver a message once per matching subscription.
    pub fn filters(&self) -> Vec<String> {
        topic::fewest(&self.sources.iter().map(|source| &source.filter).collect::<Vec<_>>())
    }

    /// Decodes one message that arrived at `now`. At least one reading or refusal; `ack` is left `None`.
    pub fn decode(&mut self, topic: &str, payload: &[u8], now: Timestamp) -> Inbound {
        if payload.len() > self.limits.payload {
            return self.refuse_large(topic, payload, payload.len() as u64, now);
        }
        let mut out = Inbound::default();
        let (source, stream) = match self.locate(topic) {
            Ok(found) => found,
            Err((source, reject)) => {
                out.rejected.push(reject.quarantine(now, topic, source, None, payload));
                return out;
            }
        };
        let Decoder { sources, streams, registry, names, limits } = self;
        let (source, plan, stream) = (&sources[source], &sources[source].plans[stream], &streams[stream]);
        let mut message = Message { source, stream, plan, registry, names, topic, now };
        let refuse = |out: &mut Inbound, reject: Reject| {
            // The bytes once per message: a thousand refused elements must not keep a thousand copies.
            let bytes = if out.rejected.is_empty() { payload } else { &[] };
            let mut kept = reject.quarantine(now, topic, Some(source.name.clone()), Some(stream.id.clone()), bytes);
            kept.length = payload.len() as u64;
            out.rejected.push(kept);
        };
        let parsed = match json::parse(payload) {
            Ok(parsed) => parsed,
            Err(error) => {
                refuse(&mut out, Reject::new(RejectReason::Malformed, format!("payload: found {error}, expected JSON")));
                return out;
            }
        };
        let (items, many) = parsed.items();
        if items.is_empty() || items.len() > limits.items {
            let reason = if items.is_empty() { RejectReason::BadValue } else { RejectReason::TooLarge };
            let detail = format!("payload: found a list of {}, expected 1 to {}", items.len(), limits.items);
            refuse(&mut out, Reject::new(reason, detail));
            return out;
        }
        for (index, item) in items.iter().enumerate() {
            let mut rejects = SmallVec::new();
            if let Some(reading) = message.reading(item, &mut rejects) {
                out.readings.push(reading);
            }
            for mut reject in rejects {
                if many {
                    reject.detail.insert_str(0, &format!("element {index}: "));
                }
                refuse(&mut out, reject);
            }
        }
        out
    }

    /// Refuses a message for its size alone, given its first bytes: what is too large need not be held in memory to be counted.
    pub fn refuse_large(&self, topic: &str, head: &[u8], length: u64, now: Timestamp) -> Inbound {
        let detail = format!("payload: found {length} bytes, expected at most {}", self.limits.payload);
        let (source, stream) = match self.locate(topic) {
            Ok((source, stream)) => (Some(self.sources[source].name.clone()), Some(self.streams[stream].id.clone())),
            Err((source, _)) => (source, None),
        };
        let mut kept = Reject::new(RejectReason::TooLarge, detail).quarantine(now, topic, source, stream, head);
        kept.length = length;
        Inbound { rejected: vec![kept], ..Inbound::default() }
    }

    /// Positions of the source and the stream of a topic, or the source's name, when there is one, and why there is no stream.
    fn locate(&self, topic: &str) -> Result<(usize, usize), (Option<Name>, Reject)> {
        let source = self.sources.iter().position(|source| source.filter.matches(topic));
        let source = source.ok_or_else(|| (None, Reject::new(RejectReason::UnknownStream, "no source takes this topic")))?;
        let stream = stream_of(&self.sources[source], &self.streams, topic);
        stream.map(|stream| (source, stream)).map_err(|reject| (Some(self.sources[source].name.clone()), reject))
    }
}

/// One message on its way, with all that its elements share.
struct Message<'m> {
    source: &'m Source,
    stream: &'m Stream,
    plan: &'m [FieldPlan],
    registry: &'m Registry,
    names: &'m mut Interner,
    topic: &'m str,
    now: Timestamp,
}

type Rejects = SmallVec<[Reject; 1]>;

impl Message<'_> {
    /// Without a usable key, time or value there is no reading and at least one refusal; a refused field leaves the others.
    fn reading(&mut self, item: &Json<'_>, rejects: &mut Rejects) -> Option<Reading> {
        if !matches!(item, Json::Object(_)) {
            rejects.push(Reject::new(RejectReason::BadValue, format!("payload: found {}, expected an object", item.shown())));
            return None;
        }
        let keyed = self.key(item).and_then(|key| Ok((key, self.time(item)?)));
        let ((key, orphan), at) = match keyed {
            Ok(keyed) => keyed,
            Err(reject) => {
                rejects.push(reject);
                return None;
            }
        };
        let mut fields = SmallVec::new();
        for plan in self.plan {
            match plan.read(item) {
                Ok(Some(value)) => fields.push(Field { name: plan.name.clone(), value, quality: Quality::OK }),
                Ok(None) => {}
                Err(reject) => rejects.push(reject),
            }
        }
        if fields.is_empty() {
            if rejects.is_empty() {
                let paths: Vec<&str> = self.plan.iter().flat_map(|plan| &plan.alternatives).map(|a| a.path.as_str()).collect();
                let detail = format!("values: found none, expected a number in one of {}", paths.join(", "));
                rejects.push(Reject::new(RejectReason::BadValue, detail));
            }
            return None;
        }
        let Stream { id, origin, .. } = self.stream;
        Some(Reading { stream: id.clone(), key, at, received: self.now, fields, source: self.source.name.clone(), origin: *origin, orphan })
    }

    /// The registry's id for it, or itself and true when the registry has none.
    fn key(&mut self, item: &Json<'_>) -> Result<(Name, bool), Reject> {
        let missing =
            |found: String, expected: &str| Reject::new(RejectReason::MissingKey, format!("key: found {found}, expected {expected}"));
        let mut found = None;
        for at in &self.source.key {
            found = match at {
                KeyAt::Level(index) => self.topic.split('/').nth(*index).filter(|level| !level.is_empty()).map(Cow::Borrowed),
                KeyAt::Path(path) => match path.get(item) {
                    None => None,
                    Some(Json::Text(text)) if text.trim().is_empty() => None,
                    Some(Json::Text(text)) => Some(Cow::Borrowed(text.trim())),
                    Some(Json::Number(number)) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
                    Some(other) => return Err(missing(format!("{} in `{}`", other.shown(), path.as_str()), "a text or a whole number")),
                },
            };
            if found.is_some() {
                break;
            }
        }
        let Some(text) = found else {
            let names: Vec<&str> =
                self.source.key.iter().map(|at| if let KeyAt::Path(path) = at { path.as_str() } else { "the topic" }).collect();
            return Err(missing("none".to_owned(), &format!("one in {}", names.join(", "))));
        };
        if text.len() > MAX_KEY || text.chars().any(|c| c.is_control() || matches!(c, '/' | '+' | '#')) {
            let shown = Json::Text(text).shown();
            return Err(missing(shown, &format!("at most {MAX_KEY} bytes without `/`, `+`, `#` and control characters")));
        }
        Ok(match self.registry.row(&text) {
            Some(row) => (row.id.clone(), false),
            None => (self.names.name(&text), true),
        })
    }

    fn time(&self, item: &Json<'_>) -> Result<Timestamp, Reject> {
        let blank = |json: &&Json<'_>| !matches!(json, Json::Text(text) if text.trim().is_empty());
        let found = self.source.time.iter().find_map(|path| Some((path, path.get(item).filter(blank)?)));
        let at = match found {
            Some((path, json)) => time::parse_time(json, self.source.time_format, self.source.zone.as_ref()).map_err(|expected| {
                Reject::new(RejectReason::BadTime, format!("`{}`: found {}, expected {expected}", path.as_str(), json.shown()))
            })?,
            None if self.source.time_from_arrival => self.now,
            None => {
                let paths: Vec<&str> = self.source.time.iter().map(|path| path.as_str()).collect();
                return Err(Reject::new(RejectReason::BadTime, format!("time: found none, expected one in {}", paths.join(", "))));
            }
        };
        let (latest, earliest) = (self.now + self.stream.future, self.now - self.stream.max_age);
        if at > latest {
            return Err(Reject::new(RejectReason::Future, format!("time: found {at}, expected at most {latest}")));
        }
        if at < earliest {
            return Err(Reject::new(RejectReason::TooOld, format!("time: found {at}, expected at least {earliest}")));
        }
        Ok(at)
    }
}

impl FieldPlan {
    /// `None` when absent: no alternative is there, or it is null, empty or NaN.
    fn read(&self, item: &Json<'_>) -> Result<Option<Value>, Reject> {
        for alternative in &self.alternatives {
            let Some(json) = alternative.path.get(item) else { continue };
            let bad = |expected: &str| {
                let detail =
                    format!("field `{}`: found {} in `{}`, expected {expected}", self.name, json.shown(), alternative.path.as_str());
                Reject::new(RejectReason::BadValue, detail)
            };
            if self.text {
                match json {
                    Json::Text(text) if text.is_empty() => continue,
                    Json::Text(text) if text.len() > MAX_TEXT => return Err(bad(&format!("at most {MAX_TEXT} bytes"))),
                    Json::Text(text) => return Ok(Some(Value::Text(Arc::from(text.as_ref())))),
                    Json::Number(number) => return Ok(Some(Value::Text(Arc::from(number.to_string())))),
                    _ => return Err(bad("a text")),
                }
            }
            let number = match json {
                Json::Number(number) => number.as_f64(),
                Json::Text(text) if is_absent(text) => continue,
                Json::Text(text) => number_of(text),
                _ => None,
            };
            let Some(number) = number else { return Err(bad("a number")) };
            let value = self.convert(number * alternative.scale, alternative, item)?;
            return if value.is_finite() { Ok(Some(Value::Number(value))) } else { Err(bad("a finite number")) };
        }
        Ok(None)
    }

    /// From the unit that the payload tells, else the source's, else the stream's own.
    fn convert(&self, value: f64, alternative: &Alternative, item: &Json<'_>) -> Result<f64, Reject> {
        let bad = |found: String| {
            let detail = format!("unit of `{}`: found {found}, expected one that converts to `{}`", self.name, self.unit_name);
            Reject::new(RejectReason::BadUnit, detail)
        };
        let from = match alternative.unit_path.as_ref().and_then(|path| path.get(item)) {
            Some(Json::Text(text)) if text.trim().is_empty() => alternative.unit,
            Some(Json::Text(text)) if text.trim() == self.unit_name => return Ok(value),
            Some(json @ Json::Text(text)) => Some(Unit::parse(text).map_err(|_| bad(json.shown()))?),
            Some(other) => return Err(bad(other.shown())),
            None => alternative.unit,
        };
        let Some(from) = from else { return Ok(value) };
        self.unit.and_then(|to| from.convert(value, to)).ok_or_else(|| bad("a unit of another quantity".to_owned()))
    }
}

fn stream_of(source: &Source, streams: &[Stream], topic: &str) -> Result<usize, Reject> {
    let index = match source.stream {
        StreamAt::Fixed(position) => return Ok(position),
        StreamAt::Level(index) => index,
    };
    let id = topic.split('/').nth(index).unwrap_or_default();
    let position = streams.iter().position(|stream| stream.id == *id).filter(|&position| !source.plans[position].is_empty());
    position.ok_or_else(|| {
        let known: Vec<&str> = streams.iter().zip(&source.plans).filter(|(_, plan)| !plan.is_empty()).map(|(s, _)| s.id.as_str()).collect();
        let shown = Json::Text(Cow::Borrowed(id)).shown();
        Reject::new(RejectReason::UnknownStream, format!("topic level {index}: found {shown}, expected one of {}", known.join(", ")))
    })
}

/// What data loggers write where there is no value.
fn is_absent(text: &str) -> bool {
    let text = text.trim();
    ["nan", "null", "none", "n/a"].iter().any(|word| text.eq_ignore_ascii_case(word)) || text.bytes().all(|b| b == b'-')
}

/// A number with a decimal point or a single decimal comma; grouped digits are refused rather than guessed.
fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.contains(',') {
        let single = !text.contains('.') && text.matches(',').count() == 1;
        return single.then(|| text.replace(',', ".").parse().ok()).flatten();
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests;
