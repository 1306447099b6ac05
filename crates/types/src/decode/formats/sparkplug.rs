//! Sparkplug B 3.0: metrics in protocol buffers on `spBv1.0/{group}/{type}/{edge}[/{device}]`.
//!
//! The metrics of one moment are one item: `time`, and under `values` each metric by its name; `group`, `edge` and `device` are shared.
//! Booleans are 1 and 0. Aliases, datatypes and the sequence are learned from births and kept per edge. A gap in the sequence means
//! that a birth may have been missed: nothing more of that edge is read until the birth that is asked for. A death makes the edge's
//! devices silent.
//!
//! The protocol buffers are read by hand: a generated decoder would need the schema's compiler, copies every text, and lets a
//! megabyte of empty metrics grow a hundredfold.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use serde_json::Number;

use super::protobuf::{Fields, Wire, write};
use super::{Document, Format, MOST_PARTS};
use crate::decode::json::Json;
use crate::decode::{MAX_KEY, MAX_TEXT};
use crate::{Publish, Reject, RejectReason, Span, Timestamp};

#[derive(Default)]
pub(super) struct Sparkplug {
    /// By `group/edge`.
    edges: HashMap<String, Edge>,
}

#[derive(Default)]
struct Edge {
    /// The sequence number that the next message must have; `None` until a birth.
    next: Option<u8>,
    /// Tells one session's death from another's.
    session: Option<u64>,
    /// When a birth was last asked for.
    asked: Option<Timestamp>,
    devices: BTreeSet<String>,
    metrics: Vec<Known>,
    /// Positions in `metrics`.
    index: HashMap<Id, usize>,
}

/// A metric as its birth announced it; `device` is empty for the edge's own.
struct Known {
    device: String,
    name: String,
    alias: Option<u64>,
    datatype: u64,
}

#[derive(PartialEq, Eq, Hash)]
enum Id {
    Alias(u64),
    /// Of a device.
    Name(String, String),
}

/// More edges than a city runs; past it a new one is refused, so that invented names fill no memory.
const MOST_EDGES: usize = 4096;
/// Metrics known of all edges together.
const MOST_KNOWN: usize = 200_000;
/// A birth takes an edge a moment; asking again sooner would only have it start over.
const ASK_AGAIN: Span = Span::from_secs(30);
const CONTROL: &str = "Node Control/";
const REBIRTH: &str = "Node Control/Rebirth";
const SESSION: &str = "bdSeq";
const BOOLEAN: u64 = 11;

impl Format for Sparkplug {
    fn read<'p>(&mut self, topic: &str, payload: &'p [u8], now: Timestamp) -> Result<Document<'p>, Reject> {
        let at = At::parse(topic)?;
        let payload = Payload::parse(payload)?;
        let id = format!("{}/{}", at.group, at.edge);
        let mut document = Document::grouped(Vec::new(), at.shared());
        if at.kind == "NDEATH" {
            let edge = self.edges.remove(&id).ok_or_else(|| unused(format!("edge {id}: found a death, expected a birth before it")))?;
            if edge.session != payload.session() {
                let detail = format!("`{SESSION}`: found the death of another session of {id}, expected {:?}", edge.session);
                self.edges.insert(id, edge);
                return Err(unused(detail));
            }
            document.silent = edge.measuring().map(|device| Json::object([("device", Json::text(device.to_owned()))])).collect();
            return if document.silent.is_empty() {
                Err(unused(format!("edge {id}: found a death, expected one that had measured")))
            } else {
                Ok(document)
            };
        }
        if !self.edges.contains_key(&id) && self.edges.len() == MOST_EDGES {
            let detail = format!("edge: found one more, {id}, expected at most {MOST_EDGES}");
            return Err(Reject::new(RejectReason::TooLarge, detail));
        }
        let others: usize =
            if at.is_birth() { self.edges.iter().filter(|(other, _)| **other != id).map(|(_, edge)| edge.metrics.len()).sum() } else { 0 };
        let edge = self.edges.entry(id).or_default();
        let in_order = if at.kind == "NBIRTH" { edge.start(&payload) } else { edge.follow(at, payload.seq) };
        let taken = in_order
            .and_then(|()| if at.is_birth() { edge.learn(at.device, &payload.metrics, MOST_KNOWN.saturating_sub(others)) } else { Ok(()) });
        if let Err(reject) = taken {
            edge.next = None;
            document.refused.push(reject);
            document.commands.extend(edge.ask(at, now));
            return Ok(document);
        }
        if at.kind == "DDEATH" {
            edge.devices.remove(at.device);
            document.silent.push(Json::object([]));
            return Ok(document);
        }
        edge.values(at, &payload, &mut document);
        if document.refused.iter().any(|reject| reject.reason == RejectReason::NoBirth) {
            document.commands.extend(edge.ask(at, now));
        }
        Ok(document)
    }
}

impl Edge {
    fn start(&mut self, payload: &Payload<'_>) -> Result<(), Reject> {
        let asked = self.asked;
        let seq = payload.seq.ok_or_else(|| malformed("`seq`: found none in a birth, expected 0 to 255".to_owned()))?;
        *self = Edge { next: Some(after(seq)), session: payload.session(), asked, ..Edge::default() };
        Ok(())
    }

    /// Takes the next message of the sequence, of a device that was born.
    fn follow(&mut self, at: At<'_>, seq: Option<u64>) -> Result<(), Reject> {
        let place = || format!("edge {}/{}", at.group, at.edge);
        let Some(next) = self.next else {
            return Err(no_birth(format!("{}: found {} before a birth", place(), at.kind)));
        };
        match seq {
            Some(seq) if seq == u64::from(next) => self.next = Some(after(seq)),
            found => {
                let found = found.map_or_else(|| "none".to_owned(), |seq| seq.to_string());
                return Err(no_birth(format!("{}: `seq`: found {found}, expected {next}", place())));
            }
        }
        if matches!(at.kind, "DDATA" | "DDEATH") && !self.devices.contains(at.device) {
            return Err(no_birth(format!("{}: found {} of {} before its birth", place(), at.kind, at.device)));
        }
        Ok(())
    }

    /// Takes over what a birth announces; `room` is how many metrics the edge may have.
    fn learn(&mut self, device: &str, metrics: &[Metric<'_>], room: usize) -> Result<(), Reject> {
        self.metrics.retain(|metric| metric.device != device);
        if self.metrics.len() + metrics.len() > room {
            return Err(Reject::new(
                RejectReason::TooLarge,
                format!("metrics: found {} more, expected at most {room} of an edge", metrics.len()),
            ));
        }
        for metric in metrics {
            let name = metric.name.filter(|name| name.len() <= MAX_TEXT);
            let name = name
                .ok_or_else(|| malformed(format!("metric in a birth: found none or too long a name, expected at most {MAX_TEXT} bytes")))?;
            let (device, name) = (device.to_owned(), name.to_owned());
            self.metrics.push(Known { device, name, alias: metric.alias, datatype: metric.datatype.unwrap_or_default() });
        }
        self.index.clear();
        for (i, metric) in self.metrics.iter().enumerate() {
            self.index.insert(Id::Name(metric.device.clone(), metric.name.clone()), i);
            if let Some(alias) = metric.alias {
                self.index.insert(Id::Alias(alias), i);
            }
        }
        if !device.is_empty() {
            self.devices.insert(device.to_owned());
        }
        Ok(())
    }

    /// Each metric of the message that has a value, in the item of its moment.
    fn values<'p>(&self, at: At<'_>, payload: &Payload<'p>, document: &mut Document<'p>) {
        type Group<'p> = (Option<u64>, Vec<(Cow<'p, str>, Json<'p>)>);
        let mut groups: Vec<Group<'p>> = Vec::new();
        let mut places: HashMap<Option<u64>, usize> = HashMap::new();
        for metric in &payload.metrics {
            let (name, datatype) = match (metric.name, metric.alias) {
                (Some(name), _) => {
                    let known = self.index.get(&Id::Name(at.device.to_owned(), name.to_owned())).map(|i| self.metrics[*i].datatype);
                    (Cow::Borrowed(name), metric.datatype.or(known))
                }
                (None, Some(alias)) => {
                    match self.index.get(&Id::Alias(alias)).map(|i| &self.metrics[*i]).filter(|known| known.device == at.device) {
                        Some(known) => (Cow::Owned(known.name.clone()), Some(known.datatype)),
                        None => {
                            let of = if at.device.is_empty() { at.edge } else { at.device };
                            document
                                .refused
                                .push(no_birth(format!("metric of {of}: found alias {alias}, expected one that its birth announced")));
                            continue;
                        }
                    }
                }
                (None, None) => {
                    document.refused.push(malformed("metric: found neither a name nor an alias, expected one".to_owned()));
                    continue;
                }
            };
            if is_control(&name) {
                continue;
            }
            let Some(value) = metric.value.filter(|_| !metric.null).and_then(|value| read_value(value, datatype.unwrap_or_default()))
            else {
                continue;
            };
            let time = metric.timestamp.or(payload.timestamp);
            let place = *places.entry(time).or_insert(groups.len());
            if place == groups.len() {
                groups.push((time, Vec::new()));
            }
            groups[place].1.push((name, value));
        }
        let item = |(time, values): Group<'p>| {
            let mut item = Json::object([("values", Json::Object(values))]);
            if let (Json::Object(entries), Some(time)) = (&mut item, time) {
                entries.push(("time".into(), Json::time(Timestamp::from_millis(i64::try_from(time).unwrap_or(i64::MAX)))));
            }
            item
        };
        if groups.is_empty() && document.refused.is_empty() {
            document.refused.push(unused(format!("{}: found no value, expected metrics that measure", at.kind)));
        }
        document.items = Json::List(groups.into_iter().map(item).collect());
    }

    /// The devices that have measured, the edge itself by an empty name.
    fn measuring(&self) -> impl Iterator<Item = &str> {
        let itself = self.metrics.iter().any(|metric| metric.device.is_empty() && !is_control(&metric.name));
        itself.then_some("").into_iter().chain(self.devices.iter().map(String::as_str))
    }

    /// The command that has the edge announce itself again, unless it was given a moment ago.
    fn ask(&mut self, at: At<'_>, now: Timestamp) -> Option<Publish> {
        if self.asked.is_some_and(|asked| now.since(asked) < ASK_AGAIN && asked <= now) {
            return None;
        }
        self.asked = Some(now);
        let mut metric = Vec::new();
        write(&mut metric, 1, Wire::Bytes(REBIRTH.as_bytes()));
        write(&mut metric, 4, Wire::Varint(BOOLEAN));
        write(&mut metric, 14, Wire::Varint(1));
        let mut payload = Vec::new();
        write(&mut payload, 1, Wire::Varint(now.as_millis().unsigned_abs()));
        write(&mut payload, 2, Wire::Bytes(&metric));
        Some(Publish { topic: format!("{}/{}/NCMD/{}", at.root, at.group, at.edge), payload })
    }
}

/// The levels of a topic.
#[derive(Clone, Copy)]
struct At<'t> {
    /// Up to and with `spBv1.0`.
    root: &'t str,
    group: &'t str,
    kind: &'t str,
    edge: &'t str,
    /// Empty for the edge's own messages.
    device: &'t str,
}

impl<'t> At<'t> {
    fn parse(topic: &'t str) -> Result<Self, Reject> {
        const ROOT: &str = "spBv1.0";
        let wrong =
            || malformed(format!("topic: found {}, expected {ROOT}/{{group}}/{{type}}/{{edge}}[/{{device}}]", Json::text(topic).shown()));
        let end = topic.find(ROOT).ok_or_else(wrong)? + ROOT.len();
        let (root, rest) = topic.split_at(end);
        let levels: Vec<&str> = rest.split('/').skip(1).collect();
        if levels.iter().any(|level| level.is_empty() || level.len() > MAX_KEY) {
            return Err(wrong());
        }
        match levels[..] {
            [group, kind @ ("NBIRTH" | "NDATA" | "NDEATH"), edge] => Ok(Self { root, group, kind, edge, device: "" }),
            [group, kind @ ("DBIRTH" | "DDATA" | "DDEATH"), edge, device] => Ok(Self { root, group, kind, edge, device }),
            [_, "NCMD", _] | [_, "DCMD", _, _] | ["STATE", ..] => {
                Err(unused("topic: found a command or a host's state, expected an edge's data".to_owned()))
            }
            _ => Err(wrong()),
        }
    }

    fn is_birth(&self) -> bool {
        matches!(self.kind, "NBIRTH" | "DBIRTH")
    }

    fn shared(&self) -> Json<'static> {
        let text = |level: &str| Json::text(level.to_owned());
        Json::object([("group", text(self.group)), ("edge", text(self.edge)), ("device", text(self.device))])
    }
}

struct Payload<'p> {
    timestamp: Option<u64>,
    seq: Option<u64>,
    metrics: Vec<Metric<'p>>,
}

#[derive(Default)]
struct Metric<'p> {
    name: Option<&'p str>,
    alias: Option<u64>,
    timestamp: Option<u64>,
    datatype: Option<u64>,
    null: bool,
    value: Option<Value<'p>>,
}

/// Number and content of the field that holds a metric's value.
type Value<'p> = (u64, Wire<'p>);

impl<'p> Payload<'p> {
    /// By the field numbers of the specification's appendix.
    fn parse(bytes: &'p [u8]) -> Result<Self, Reject> {
        let mut payload = Self { timestamp: None, seq: None, metrics: Vec::new() };
        for field in Fields::of(bytes) {
            match field.map_err(broken)? {
                (1, Wire::Varint(at)) => payload.timestamp = Some(at),
                (2, Wire::Bytes(_)) if payload.metrics.len() == MOST_PARTS => {
                    return Err(Reject::new(RejectReason::TooLarge, format!("metrics: found more, expected at most {MOST_PARTS}")));
                }
                (2, Wire::Bytes(metric)) => payload.metrics.push(Metric::parse(metric)?),
                (3, Wire::Varint(seq)) => payload.seq = Some(seq),
                _ => {}
            }
        }
        Ok(payload)
    }

    fn session(&self) -> Option<u64> {
        let metric = self.metrics.iter().find(|metric| metric.name == Some(SESSION))?;
        if let Some((_, Wire::Varint(session))) = metric.value { Some(session) } else { None }
    }
}

impl<'p> Metric<'p> {
    fn parse(bytes: &'p [u8]) -> Result<Self, Reject> {
        let mut metric = Self::default();
        for field in Fields::of(bytes) {
            match field.map_err(broken)? {
                (1, Wire::Bytes(name)) => metric.name = Some(std::str::from_utf8(name).map_err(|_| broken("a name that is not UTF-8"))?),
                (2, Wire::Varint(alias)) => metric.alias = Some(alias),
                (3, Wire::Varint(at)) => metric.timestamp = Some(at),
                (4, Wire::Varint(datatype)) => metric.datatype = Some(datatype),
                (7, Wire::Varint(null)) => metric.null = null != 0,
                (number @ 10..=15, value) => metric.value = Some((number, value)),
                _ => {}
            }
        }
        Ok(metric)
    }
}

/// `None` for what is no number and no text: data sets, templates, bytes.
fn read_value<'p>(value: Value<'p>, datatype: u64) -> Option<Json<'p>> {
    Some(match value {
        // Signed numbers travel as unsigned ones of the same bits.
        (10, Wire::Varint(bits)) => Json::Number(match datatype {
            1 => Number::from(bits as i8),
            2 => Number::from(bits as i16),
            3 => Number::from(bits as i32),
            _ => Number::from(bits),
        }),
        (11, Wire::Varint(bits)) => Json::Number(if datatype == 4 { Number::from(bits as i64) } else { Number::from(bits) }),
        // Through its shortest decimal: 2.71 stays 2.71.
        (12, Wire::Fixed32(bits)) => Json::number(f32::from_bits(bits).to_string().parse().ok()?),
        (13, Wire::Fixed64(bits)) => Json::number(f64::from_bits(bits)),
        (14, Wire::Varint(held)) => Json::number(f64::from(u8::from(held != 0))),
        (15, Wire::Bytes(text)) => Json::text(std::str::from_utf8(text).ok()?),
        _ => return None,
    })
}

/// Metrics that steer the session and measure nothing.
fn is_control(name: &str) -> bool {
    name == SESSION || name.starts_with(CONTROL)
}

fn after(seq: u64) -> u8 {
    (seq as u8).wrapping_add(1)
}

fn broken(found: &str) -> Reject {
    malformed(format!("payload: found {found}, expected a Sparkplug B payload in protocol buffers"))
}

fn malformed(detail: String) -> Reject {
    Reject::new(RejectReason::Malformed, detail)
}

fn unused(detail: String) -> Reject {
    Reject::new(RejectReason::Unused, detail)
}

fn no_birth(found: String) -> Reject {
    Reject::new(RejectReason::NoBirth, format!("{found}; a birth is asked for"))
}

#[cfg(test)]
pub(super) mod tests;
