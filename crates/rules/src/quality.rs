//! How far the values of a reading can be trusted: order, status of the source, range, unit, step, conflict, gap, flat line.
//!
//! Invariants: each instant of a gauge's field has at most one usable value, the first; a value is usable once, and so is an
//! occurrence. A suspect or bad value moves neither the watermark nor the reference of the step check; only a second reading that
//! agrees with one that stepped too far does. A reading dated ahead of the clock counts as of the clock, so that a fast clock does
//! not make the gauge's own next readings late.

mod field;
mod flat;
mod occurrences;

use huong_types::{Check, FieldSpec, Flag, Name, Quality, Reading, Row, Stream, Timestamp, Value};

use crate::engine::Verdict;
use field::{FieldState, Judged, Limits, Measured, Yardstick};
use flat::Neighbours;
use occurrences::{Occurrences, Order};

/// The checks of one stream.
#[derive(Debug)]
pub(crate) struct Checks {
    spec: Stream,
    /// The number fields in order of their names.
    fields: Vec<(Name, NumberField)>,
}

#[derive(Debug)]
struct NumberField {
    spec: FieldSpec,
    /// What its keys do, when a flat line is held against that.
    neighbours: Option<Neighbours>,
}

/// What the checks remember of one key.
#[derive(Debug)]
pub(crate) struct Trust {
    registered: bool,
    /// In the order of [`Checks::fields`].
    limits: Box<[Limits]>,
    /// The same; empty for occurrences, of which none follows from another.
    fields: Box<[FieldState]>,
    /// Of readings judged as a whole.
    whole: Option<Box<Occurrences>>,
}

/// What became of a reading whose fields have been flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) verdict: Verdict,
    /// It ends a long silence: it may raise, but not clear.
    pub(crate) gap: bool,
}

impl Checks {
    pub(crate) fn new(spec: &Stream) -> Self {
        let numbers = spec.fields.iter().filter(|(_, field)| !field.text);
        let fields = numbers.map(|(name, spec)| {
            let neighbours = spec.flat.as_ref().map(Neighbours::new);
            (name.clone(), NumberField { spec: spec.clone(), neighbours })
        });
        Self { fields: fields.collect(), spec: spec.clone() }
    }

    /// A key of which nothing was heard yet. The `min` and `max` of its registry row speak of the field `value` or `level`.
    pub(crate) fn key(&self, row: Option<Row<'_>>) -> Trust {
        let level = |name: &str| row.and_then(|row| row.levels.get(name).copied());
        let limits = self.fields.iter().map(|(name, NumberField { spec, .. })| {
            let main = name == "value" || name == "level";
            let (min, max) = if main { (level("min"), level("max")) } else { (None, None) };
            Limits { min: min.or(spec.min), max: max.or(spec.max) }
        });
        Trust {
            registered: row.is_some(),
            limits: limits.collect(),
            fields: if self.spec.events { Box::default() } else { self.fields.iter().map(|_| FieldState::new()).collect() },
            whole: None,
        }
    }

    /// Sets the quality of each field of a reading that arrived at `now` from the key at position `k` of the stream.
    pub(crate) fn judge(&mut self, k: usize, key: &mut Trust, reading: &mut Reading, now: Timestamp) -> Arrival {
        let status = self.status(reading);
        if self.spec.events || !self.fields.iter().any(|(name, _)| reading.number(name).is_some()) {
            return self.judge_whole(key, reading, now, status);
        }
        let (mut repeated, mut judged, mut gap) = (false, false, false);
        for field in &mut reading.fields {
            let Some(value) = field.number() else { continue };
            let Ok(position) = self.position(&field.name) else { continue };
            let NumberField { spec, neighbours } = &mut self.fields[position].1;
            let yardstick = Yardstick { stream: &self.spec, spec, limits: key.limits[position], status };
            let measured = Measured { at: reading.at, known: reading.at.min(now), value };
            let moving = |by| neighbours.as_ref().is_some_and(|neighbours| neighbours.moving(k, by));
            match key.fields[position].judge(measured, &yardstick, moving) {
                Judged::Repeat => {
                    // Beside fields that are new: its time has been judged.
                    field.quality = Quality::new(Flag::Late, Check::Late);
                    repeated = true;
                }
                Judged::As(quality) => {
                    field.quality = quality;
                    judged |= quality.flag != Flag::Late;
                    gap |= quality.flag == Flag::Gap;
                    if let Some(neighbours) = neighbours.as_mut().filter(|_| key.registered && quality.flag < Flag::Late) {
                        neighbours.heard(k, measured.known, value);
                    }
                }
            }
        }
        let verdict = match (judged, repeated) {
            (true, _) => Verdict::Judged,
            (false, true) => Verdict::Duplicate,
            (false, false) => Verdict::History,
        };
        Arrival { verdict, gap }
    }

    /// Whether the value of a field judged last and known as of `known` is its newest: only that speaks of now.
    pub(crate) fn is_newest(&self, key: &Trust, field: &Name, known: Timestamp) -> bool {
        let position = self.fields.binary_search_by(|(name, _)| name.cmp(field));
        position.ok().and_then(|position| key.fields.get(position)).is_none_or(|state| state.newest() <= known)
    }

    /// An occurrence, or a reading of texts alone: new as a whole or not at all.
    fn judge_whole(&self, key: &mut Trust, reading: &mut Reading, now: Timestamp, status: Option<Quality>) -> Arrival {
        let order = key.whole.get_or_insert_default().judge(reading, self.spec.id_field.as_ref(), self.spec.disorder, now);
        for field in &mut reading.fields {
            let Value::Number(value) = field.value else { continue };
            let Ok(position) = self.position(&field.name) else { continue };
            field.quality = match order {
                Order::New if !key.limits[position].hold(value) => Quality::new(Flag::Bad, Check::Range),
                Order::New => status.unwrap_or(Quality::OK),
                Order::Late | Order::Repeat => Quality::new(Flag::Late, Check::Late),
            };
        }
        let verdict = match order {
            Order::New => Verdict::Judged,
            Order::Late => Verdict::History,
            Order::Repeat => Verdict::Duplicate,
        };
        Arrival { verdict, gap: false }
    }

    fn position(&self, field: &Name) -> Result<usize, usize> {
        self.fields.binary_search_by(|(name, _)| name.cmp(field))
    }

    /// What the source says of its own reading, when that is not that all is well.
    fn status(&self, reading: &Reading) -> Option<Quality> {
        let status = self.spec.status.as_ref()?;
        let said = reading.fields.iter().find(|field| field.name == status.field).and_then(|field| match &field.value {
            Value::Text(text) => Some(text.trim()),
            Value::Number(_) => None,
        })?;
        let among = |list: &[String]| list.iter().any(|known| known == said);
        if among(&status.ok) {
            return None;
        }
        let flag = if among(&status.bad) { Flag::Bad } else { Flag::Suspect };
        Some(Quality::new(flag, Check::Status))
    }
}

#[cfg(test)]
mod tests;
