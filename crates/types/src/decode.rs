//! From a message's bytes to valid readings, or to a reason why not.
//!
//! Invariant: any topic and any payload end in readings, refusals or both, never in nothing and never in a panic. A value that
//! comes out is finite and in its stream's unit. What a message holds beside a refused part is kept.

mod compile;
mod config;
mod formats;
mod json;
mod map;
mod time;
mod topic;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::config::{Also, Detailed, KeyFrom, Limits, SourceConfig, StreamFrom, TopicLevel, ValueFrom};
pub use self::time::TimeFormat;

use self::compile::{Source, StreamAt};
use self::formats::Document;
use self::json::Json;
use self::map::{Item, Message, Target};
use crate::{Inbound, Interner, Name, Problems, Registry, Reject, RejectReason, Stream, Timestamp};

/// The sources, compiled. Decoding changes the table of names and, of a format that needs it, what earlier messages said.
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
        let sources: Vec<Source> = sources.iter().filter_map(|config| compile::compile(file, config, prefix, streams, problems)).collect();
        // What every reading carries from thread to thread.
        sources.iter().flat_map(Source::names).for_each(Name::keep);
        streams.iter().map(|stream| &stream.id).for_each(Name::keep);
        registry.stations.iter().map(|station| &station.id).chain(registry.cameras.iter().map(|camera| &camera.id)).for_each(Name::keep);
        Self { sources, streams: streams.to_vec(), registry, names: Interner::new(MAX_NAMES), limits: Limits::default() }
    }

    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The filters to subscribe to: none covered by another, as a broker may deliver a message once per matching subscription.
    pub fn filters(&self) -> Vec<String> {
        topic::fewest(&self.sources.iter().map(|source| &source.filter).collect::<Vec<_>>())
    }

    /// True when some source reads messages on `topic`.
    pub fn takes(&self, topic: &str) -> bool {
        self.sources.iter().any(|source| source.filter.matches(topic))
    }

    /// Decodes one message that arrived at `now`: at least one reading, refusal or silent key; `ack` is left `None`.
    pub fn decode(&mut self, topic: &str, payload: &[u8], now: Timestamp) -> Inbound {
        if payload.len() > self.limits.payload {
            return self.refuse_large(topic, payload, payload.len() as u64, now);
        }
        let (source, stream) = match self.locate(topic) {
            Ok(found) => found,
            Err((source, reject)) => {
                return Inbound { rejected: vec![reject.quarantine(now, topic, source, None, payload)], ..Inbound::default() };
            }
        };
        let document = self.sources[source].format.read(topic, payload, now);
        let Decoder { sources, streams, registry, names, limits } = self;
        let source = &sources[source];
        let target = |stream: usize, plan| Target { stream: &streams[stream], plan };
        let first = target(stream, &source.plans[stream]);
        let also = source.also.iter().map(|(stream, plan)| target(*stream, plan));
        let targets = std::iter::once(first).chain(also).collect();
        let mut message = Message { source, targets, registry, names, topic, payload, now, out: Inbound::default() };
        match document {
            Ok(document) => take(&mut message, document, limits),
            Err(reject) => message.refuse_whole(reject),
        }
        message.out
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

/// Every item of the document to the message's targets.
fn take(message: &mut Message<'_>, mut document: Document<'_>, limits: &Limits) {
    message.out.commands = std::mem::take(&mut document.commands);
    for reject in std::mem::take(&mut document.refused) {
        message.refuse_whole(reject);
    }
    for silent in &document.silent {
        match message.key(Item { own: silent, shared: &document.shared }) {
            Ok((key, _)) => {
                let keys = message.targets.iter().map(|target| (target.stream.id.clone(), key.clone()));
                message.out.silent.extend(keys);
            }
            Err(reject) => message.refuse_whole(reject),
        }
    }
    if let Some(path) = &message.source.items
        && let Err(reject) = document.descend(path)
    {
        message.refuse_whole(reject);
        return;
    }
    let (items, many) = match &document.items {
        Json::List(items) => (items.as_slice(), true),
        one => (std::slice::from_ref(one), false),
    };
    if items.len() > limits.items {
        let detail = format!("payload: found a list of {}, expected 1 to {}", items.len(), limits.items);
        message.refuse_whole(Reject::new(RejectReason::TooLarge, detail));
        return;
    }
    for (index, own) in items.iter().enumerate() {
        let told = message.item(Item { own, shared: &document.shared }, many.then_some(index), document.grouped);
        if !told && !document.grouped {
            let mut reject = message.no_values();
            if many {
                reject.detail.insert_str(0, &format!("element {index}: "));
            }
            message.refuse_whole(reject);
        }
    }
    let Inbound { readings, rejected, silent, .. } = &message.out;
    if readings.is_empty() && rejected.is_empty() && silent.is_empty() {
        let empty = || Reject::new(RejectReason::BadValue, format!("payload: found a list of 0, expected 1 to {}", limits.items));
        let reject = if items.is_empty() { empty() } else { message.no_values() };
        message.refuse_whole(reject);
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

#[cfg(test)]
mod tests;
