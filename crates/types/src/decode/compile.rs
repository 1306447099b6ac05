//! From configuration to what decoding needs, with every mistake named.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::config::{KeyFrom, SourceConfig, StreamFrom, ValueFrom};
use super::formats::{self, Format};
use super::json::Path;
use super::time::{TimeFormat, parse_zone};
use super::topic::Filter;
use crate::units::Unit;
use crate::{Name, Problems, Stream};

pub(super) struct Source {
    pub(super) name: Name,
    pub(super) filter: Filter,
    pub(super) format: Box<dyn Format>,
    pub(super) items: Option<Path>,
    pub(super) stream: StreamAt,
    pub(super) key: Vec<KeyAt>,
    pub(super) time: Vec<Path>,
    pub(super) time_format: TimeFormat,
    pub(super) zone: Option<TimeZone>,
    pub(super) time_from_arrival: bool,
    /// What to read for each stream, by its position; empty where the source has nothing for it.
    pub(super) plans: Vec<Vec<FieldPlan>>,
    /// Further streams, by position, and what to read for each.
    pub(super) also: Vec<(usize, Vec<FieldPlan>)>,
}

impl Source {
    /// Its own, and those of the fields it gives.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        let plans = self.plans.iter().chain(self.also.iter().map(|(_, plans)| plans));
        std::iter::once(&self.name).chain(plans.flatten().map(|plan| &plan.name))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamAt {
    /// By position in the list of streams.
    Fixed(usize),
    Level(usize),
}

pub(super) enum KeyAt {
    Path(Path),
    Level(usize),
}

pub(super) struct FieldPlan {
    pub(super) name: Name,
    pub(super) text: bool,
    /// The stream's unit as it is written and, when it is one that converts, itself.
    pub(super) unit_name: String,
    pub(super) unit: Option<Unit>,
    pub(super) alternatives: Vec<Alternative>,
}

#[derive(Clone)]
pub(super) struct Alternative {
    pub(super) path: Path,
    /// The sender's unit; absent: the stream's.
    pub(super) unit: Option<Unit>,
    pub(super) unit_path: Option<Path>,
    pub(super) scale: f64,
}

pub(super) fn compile(file: &str, config: &SourceConfig, prefix: &str, streams: &[Stream], problems: &mut Problems) -> Option<Source> {
    let at = format!("source `{}`", config.name);
    let before = problems.list.len();
    let (topic, shift) = match config.topic.strip_prefix("{prefix}") {
        Some(rest) => (format!("{prefix}{rest}"), prefix.split('/').count() - 1),
        None => (config.topic.clone(), 0),
    };
    let filter = Filter::parse(&topic);
    if filter.is_none() {
        problems.add(file, format!("{at}.topic"), format!("`{topic}`"), "an MQTT topic filter: `+` a whole level, `#` the last one");
    }
    let filter = filter?;
    let level = |index: usize, path: &str, problems: &mut Problems| {
        // `{prefix}` is one level where it is written and may be several where it stands.
        let index = if index == 0 { 0 } else { index + shift };
        if !filter.has_level(index) {
            problems.add(file, format!("{at}.{path}"), format!("`topic = {index}`"), format!("a level that `{topic}` always has"));
        }
        index
    };
    let stream = match &config.stream {
        StreamFrom::Fixed(id) => {
            let position = streams.iter().position(|s| s.id == *id);
            if position.is_none() {
                problems.add(file, format!("{at}.stream"), format!("`{id}`"), format!("one of {}", listed(streams.iter().map(|s| &s.id))));
            }
            StreamAt::Fixed(position?)
        }
        StreamFrom::Topic(from) => StreamAt::Level(level(from.topic, "stream", problems)),
    };
    let key = config.key.iter().filter_map(|from| match from {
        KeyFrom::Path(text) => path(file, &format!("{at}.key"), text, problems).map(KeyAt::Path),
        KeyFrom::Topic(from) => Some(KeyAt::Level(level(from.topic, "key", problems))),
    });
    let key: Vec<KeyAt> = key.collect();
    if config.key.is_empty() {
        problems.add(file, format!("{at}.key"), "none", "a path or { topic = LEVEL }");
    }
    let time: Vec<Path> = config.time.iter().filter_map(|text| path(file, &format!("{at}.time"), text, problems)).collect();
    if config.time.is_empty() && !config.time_from_arrival {
        problems.add(file, format!("{at}.time"), "none", "a path, or time_from_arrival = true");
    }
    let zone = config.zone.as_deref().and_then(|text| {
        let zone = parse_zone(text);
        if zone.is_none() {
            problems.add(file, format!("{at}.zone"), format!("`{text}`"), "\"+07:00\" or an IANA name such as \"Asia/Ho_Chi_Minh\"");
        }
        zone
    });
    let format = formats::by_name(&config.format);
    if let Err(known) = &format {
        problems.add(file, format!("{at}.format"), format!("`{}`", config.format), format!("one of {known}"));
    }
    let items = config.items.as_deref().and_then(|text| path(file, &format!("{at}.items"), text, problems));
    let plans = plans(file, &format!("{at}.fields"), &config.fields, stream, streams, problems);
    let mut also = Vec::new();
    for more in &config.also {
        let at = format!("{at}.also `{}`", more.stream);
        match streams.iter().position(|s| s.id == more.stream) {
            Some(position) if stream == StreamAt::Fixed(position) || also.iter().any(|(other, _)| *other == position) => {
                problems.add(file, at, "a stream again", "each stream of a source once");
            }
            Some(position) => {
                let mut of_each = self::plans(file, &format!("{at}.fields"), &more.fields, StreamAt::Fixed(position), streams, problems);
                also.push((position, of_each.swap_remove(position)));
            }
            None => problems.add(file, at, "no such stream", format!("one of {}", listed(streams.iter().map(|s| &s.id)))),
        }
    }
    let format = format.ok()?;
    (problems.list.len() == before).then(|| Source {
        name: config.name.clone(),
        filter,
        format,
        items,
        stream,
        key,
        time,
        time_format: config.time_format,
        zone,
        time_from_arrival: config.time_from_arrival,
        plans,
        also,
    })
}

/// What to read for each stream, by its position; `at` is the place of `fields` in the file.
fn plans(
    file: &str,
    at: &str,
    fields: &BTreeMap<Name, Vec<ValueFrom>>,
    stream: StreamAt,
    streams: &[Stream],
    problems: &mut Problems,
) -> Vec<Vec<FieldPlan>> {
    let read: Vec<(&Name, Vec<Alternative>)> = fields
        .iter()
        .map(|(name, from)| (name, from.iter().filter_map(|from| alternative(file, &format!("{at}.{name}"), from, problems)).collect()))
        .collect();
    let takes = |position: usize| match stream {
        StreamAt::Fixed(fixed) => fixed == position,
        StreamAt::Level(_) => true,
    };
    for (name, alternatives) in &read {
        if !streams.iter().enumerate().any(|(i, s)| takes(i) && s.fields.contains_key(*name)) {
            let known = streams.iter().enumerate().filter(|(i, _)| takes(*i)).flat_map(|(_, s)| s.fields.keys());
            problems.add(file, format!("{at}.{name}"), "no such field", format!("one of {}", listed(known)));
        }
        if alternatives.is_empty() && fields.get(*name).is_some_and(Vec::is_empty) {
            problems.add(file, format!("{at}.{name}"), "none", "at least one path");
        }
    }
    if read.is_empty() {
        problems.add(file, at, "none", "at least one field");
    }
    let plan = |stream: &Stream| -> Vec<FieldPlan> {
        let known = read.iter().filter_map(|(name, alternatives)| Some((*name, stream.fields.get(*name)?, alternatives)));
        known
            .map(|(name, spec, alternatives)| FieldPlan {
                name: name.clone(),
                text: spec.text,
                unit_name: spec.unit.clone(),
                unit: Unit::parse(&spec.unit).ok(),
                alternatives: alternatives.clone(),
            })
            .collect()
    };
    let plans: Vec<Vec<FieldPlan>> = streams.iter().enumerate().map(|(i, s)| if takes(i) { plan(s) } else { Vec::new() }).collect();
    // A source of one stream states units that must fit it; one that learns its stream from the topic can tell only then.
    if let StreamAt::Fixed(position) = stream {
        for field in &plans[position] {
            for unit in field.alternatives.iter().filter_map(|a| a.unit) {
                if field.unit.is_none_or(|to| unit.convert(1.0, to).is_none()) {
                    let expected = format!("a unit that converts to `{}`", field.unit_name);
                    problems.add(file, format!("{at}.{}.unit", field.name), "a unit of another quantity", expected);
                }
            }
        }
    }
    plans
}

fn alternative(file: &str, at: &str, from: &ValueFrom, problems: &mut Problems) -> Option<Alternative> {
    let detailed = match from {
        ValueFrom::Path(text) => {
            return Some(Alternative { path: path(file, at, text, problems)?, unit: None, unit_path: None, scale: 1.0 });
        }
        ValueFrom::Detailed(detailed) => detailed,
    };
    let unit = detailed.unit.as_deref().and_then(|text| match Unit::parse(text) {
        Ok(unit) => Some(unit),
        Err(_) => {
            problems.add(file, format!("{at}.unit"), format!("`{text}`"), "a known unit");
            None
        }
    });
    let scale = detailed.scale.unwrap_or(1.0);
    if !scale.is_finite() || scale == 0.0 {
        problems.add(file, format!("{at}.scale"), format!("`{scale}`"), "a finite number other than 0");
    }
    let unit_path = detailed.unit_path.as_deref().and_then(|text| path(file, &format!("{at}.unit_path"), text, problems));
    Some(Alternative { path: path(file, &format!("{at}.path"), &detailed.path, problems)?, unit, unit_path, scale })
}

fn path(file: &str, at: &str, text: &str, problems: &mut Problems) -> Option<Path> {
    let path = Path::parse(text);
    if path.is_none() {
        problems.add(file, at, format!("`{text}`"), "names joined by dots");
    }
    path
}

fn listed<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}
