//! From one item of a message to readings: its key, its time, its fields, by the paths of the source.
//!
//! Invariant: an item ends in readings, in refusals or, where its format says so, in neither; a refused field leaves the others.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::compile::{Alternative, FieldPlan, KeyAt, Source};
use super::json::{Json, Path};
use super::{MAX_KEY, MAX_TEXT, time};
use crate::units::Unit;
use crate::{Field, Inbound, Interner, Name, Quality, Reading, Registry, Reject, RejectReason, Stream, Timestamp, Value};

/// A stream that a message goes to, and what is read for it.
#[derive(Clone, Copy)]
pub(super) struct Target<'m> {
    pub(super) stream: &'m Stream,
    pub(super) plan: &'m [FieldPlan],
}

/// What a path is looked up in: the item and, where that lacks it, what the items of the message share.
#[derive(Clone, Copy)]
pub(super) struct Item<'j, 'a> {
    pub(super) own: &'j Json<'a>,
    pub(super) shared: &'j Json<'a>,
}

impl<'j, 'a> Item<'j, 'a> {
    fn get(&self, path: &Path) -> Option<&'j Json<'a>> {
        path.get(self.own).or_else(|| path.get(self.shared))
    }
}

/// One message on its way, with all that its items share.
pub(super) struct Message<'m> {
    pub(super) source: &'m Source,
    /// The first is the source's own stream; at least one.
    pub(super) targets: SmallVec<[Target<'m>; 1]>,
    pub(super) registry: &'m Registry,
    pub(super) names: &'m mut Interner,
    pub(super) topic: &'m str,
    pub(super) payload: &'m [u8],
    pub(super) now: Timestamp,
    pub(super) out: Inbound,
}

impl Message<'_> {
    pub(super) fn refuse(&mut self, stream: Name, reject: Reject) {
        // The bytes once per message: a thousand refused elements must not keep a thousand copies.
        let bytes = if self.out.rejected.is_empty() { self.payload } else { &[] };
        let mut kept = reject.quarantine(self.now, self.topic, Some(self.source.name.clone()), Some(stream), bytes);
        kept.length = self.payload.len() as u64;
        self.out.rejected.push(kept);
    }

    /// Refuses the message or a part of it under the source's own stream.
    pub(super) fn refuse_whole(&mut self, reject: Reject) {
        self.refuse(self.targets[0].stream.id.clone(), reject);
    }

    /// Reads one item for every target; `index` is its place in a list. False when there was nothing in it that any target wants.
    ///
    /// With `values_only`, a reading needs more than what stands beside `values`: a status or a name is no measurement.
    pub(super) fn item(&mut self, item: Item<'_, '_>, index: Option<usize>, values_only: bool) -> bool {
        let placed = |mut reject: Reject| {
            if let Some(index) = index {
                reject.detail.insert_str(0, &format!("element {index}: "));
            }
            reject
        };
        let keyed = match item.own {
            Json::Object(_) => self.key(item).and_then(|key| Ok((key, self.time(item)?))),
            other => Err(Reject::new(RejectReason::BadValue, format!("payload: found {}, expected an object", other.shown()))),
        };
        let ((key, orphan), at) = match keyed {
            Ok(keyed) => keyed,
            Err(reject) => {
                self.refuse_whole(placed(reject));
                return true;
            }
        };
        let mut told = false;
        for i in 0..self.targets.len() {
            let Target { stream, plan } = self.targets[i];
            let dated = within(at, self.now, stream);
            let (mut fields, mut measured, mut refused) = (SmallVec::new(), false, false);
            for plan in plan {
                match plan.read(item) {
                    Ok(Some((value, alternative))) => {
                        measured |= !values_only || alternative.path.is_value();
                        fields.push(Field { name: plan.name.clone(), value, quality: Quality::OK });
                    }
                    Ok(None) => {}
                    Err(reject) => {
                        refused = true;
                        if dated.is_ok() {
                            self.refuse(stream.id.clone(), placed(reject));
                        }
                    }
                }
            }
            told |= measured || refused;
            if let (Err(reject), true) = (dated, measured || refused) {
                self.refuse(stream.id.clone(), placed(reject));
                continue;
            }
            if !measured {
                continue;
            }
            if let Err(reject) = stream.check_forecast(at, &fields, self.now) {
                // A field that was refused is the better reason.
                if !refused {
                    self.refuse(stream.id.clone(), placed(reject));
                }
                continue;
            }
            let (stream, origin, source) = (stream.id.clone(), stream.origin, self.source.name.clone());
            self.out.readings.push(Reading { stream, key: key.clone(), at, received: self.now, fields, source, origin, orphan });
        }
        told
    }

    /// Why an item gave nothing, naming where its values were looked for.
    pub(super) fn no_values(&self) -> Reject {
        let plans = self.targets.iter().flat_map(|target| target.plan);
        let paths: Vec<&str> = plans.flat_map(|plan| &plan.alternatives).map(|a| a.path.as_str()).collect();
        Reject::new(RejectReason::BadValue, format!("values: found none, expected a number in one of {}", paths.join(", ")))
    }

    /// The registry's id for it, or itself and true when the registry has none.
    pub(super) fn key(&mut self, item: Item<'_, '_>) -> Result<(Name, bool), Reject> {
        let missing =
            |found: String, expected: &str| Reject::new(RejectReason::MissingKey, format!("key: found {found}, expected {expected}"));
        let mut found = None;
        for at in &self.source.key {
            found = match at {
                KeyAt::Level(index) => self.topic.split('/').nth(*index).filter(|level| !level.is_empty()).map(Cow::Borrowed),
                KeyAt::Path(path) => match item.get(path) {
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

    fn time(&self, item: Item<'_, '_>) -> Result<Timestamp, Reject> {
        let blank = |json: &&Json<'_>| !matches!(json, Json::Text(text) if text.trim().is_empty());
        let found = self.source.time.iter().find_map(|path| Some((path, item.get(path).filter(blank)?)));
        match found {
            Some((path, json)) => time::parse_time(json, self.source.time_format, self.source.zone.as_ref()).map_err(|expected| {
                Reject::new(RejectReason::BadTime, format!("`{}`: found {}, expected {expected}", path.as_str(), json.shown()))
            }),
            None if self.source.time_from_arrival => Ok(self.now),
            None => {
                let paths: Vec<&str> = self.source.time.iter().map(|path| path.as_str()).collect();
                Err(Reject::new(RejectReason::BadTime, format!("time: found none, expected one in {}", paths.join(", "))))
            }
        }
    }
}

/// Refuses what its stream takes for a broken clock.
fn within(at: Timestamp, now: Timestamp, stream: &Stream) -> Result<(), Reject> {
    let (latest, earliest) = (now + stream.future, now - stream.max_age);
    if at > latest {
        return Err(Reject::new(RejectReason::Future, format!("time: found {at}, expected at most {latest}")));
    }
    if at < earliest {
        return Err(Reject::new(RejectReason::TooOld, format!("time: found {at}, expected at least {earliest}")));
    }
    Ok(())
}

impl FieldPlan {
    /// The value and where it was; `None` when absent: no alternative is there, or it is null, empty or NaN.
    fn read(&self, item: Item<'_, '_>) -> Result<Option<(Value, &Alternative)>, Reject> {
        for alternative in &self.alternatives {
            let Some(json) = item.get(&alternative.path) else { continue };
            let bad = |expected: &str| {
                let detail =
                    format!("field `{}`: found {} in `{}`, expected {expected}", self.name, json.shown(), alternative.path.as_str());
                Reject::new(RejectReason::BadValue, detail)
            };
            if self.text {
                let text = match json {
                    Json::Text(text) if text.is_empty() => continue,
                    Json::Text(text) if text.len() > MAX_TEXT => return Err(bad(&format!("at most {MAX_TEXT} bytes"))),
                    Json::Text(text) => Arc::from(text.as_ref()),
                    Json::Number(number) => Arc::from(number.to_string()),
                    _ => return Err(bad("a text")),
                };
                return Ok(Some((Value::Text(text), alternative)));
            }
            let number = match json {
                Json::Number(number) => number.as_f64(),
                Json::Text(text) if is_absent(text) => continue,
                Json::Text(text) => number_of(text),
                _ => None,
            };
            let Some(number) = number else { return Err(bad("a number")) };
            let value = self.convert(number * alternative.scale, alternative, item)?;
            return if value.is_finite() { Ok(Some((Value::Number(value), alternative))) } else { Err(bad("a finite number")) };
        }
        Ok(None)
    }

    /// From the unit that the payload tells, else the source's, else the stream's own.
    fn convert(&self, value: f64, alternative: &Alternative, item: Item<'_, '_>) -> Result<f64, Reject> {
        let bad = |found: String| {
            let detail = format!("unit of `{}`: found {found}, expected one that converts to `{}`", self.name, self.unit_name);
            Reject::new(RejectReason::BadUnit, detail)
        };
        let from = match alternative.unit_path.as_ref().and_then(|path| item.get(path)) {
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

/// What data loggers write where there is no value.
fn is_absent(text: &str) -> bool {
    let text = text.trim();
    ["nan", "null", "none", "n/a"].iter().any(|word| text.eq_ignore_ascii_case(word)) || text.bytes().all(|b| b == b'-')
}

/// A number with a decimal point or a single decimal comma; grouped digits are refused rather than guessed.
pub(super) fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.contains(',') {
        let single = !text.contains('.') && text.matches(',').count() == 1;
        return single.then(|| text.replace(',', ".").parse().ok()).flatten();
    }
    text.parse().ok()
}
