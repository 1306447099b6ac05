//! Readings computed from readings, for the rules of another stream.

use huong_types::{Check, Field, Flag, Name, Origin, Quality, Reading, Timestamp, Value};
use smallvec::SmallVec;

use crate::engine::Out;
use crate::expr::{Cell, Output, Row};
use crate::lens::Extras;
use crate::rule::Ctx;
use crate::subject::Subject;

/// A figure computed for a derived stream.
#[derive(Debug)]
pub(crate) struct Derive {
    pub(crate) id: Name,
    /// Of what it says, as a rule has one.
    pub(crate) version: Name,
    pub(crate) group: usize,
    pub(crate) filter: Option<usize>,
    /// Position of its windows in the group; `None`: on every reading.
    pub(crate) plan: Option<usize>,
    pub(crate) extras: Extras,
    pub(crate) fields: Vec<(Name, Output)>,
    pub(crate) into: Name,
}

impl Derive {
    /// Hands a new reading to its stream; nothing when every field is NULL.
    pub(crate) fn emit(&self, ctx: Ctx<'_>, subject: &Subject, at: Timestamp, own: &[Cell], now: Timestamp, out: &mut Out) {
        out.derived.extend(self.compute(ctx, subject, at, own, Quality::OK, now));
    }

    /// Says anew what was said of `at` before late readings came: for the store, where the last word about a moment holds.
    pub(crate) fn correct(&self, ctx: Ctx<'_>, subject: &Subject, at: Timestamp, own: &[Cell], now: Timestamp, out: &mut Out) {
        let late = Quality { flag: Flag::Late, check: Some(Check::Late) };
        out.corrected.extend(self.compute(ctx, subject, at, own, late, now));
    }

    fn compute(&self, ctx: Ctx<'_>, subject: &Subject, at: Timestamp, own: &[Cell], quality: Quality, now: Timestamp) -> Option<Reading> {
        if self.extras.is_off(&subject.name) {
            return None;
        }
        let extra = self.extras.fill(&subject.name, at, ctx.board, ctx.registry, None);
        let row = Row { own, facts: &subject.facts, extra: &extra };
        let field = |(name, figure): &(Name, Output)| match figure.eval(row) {
            Cell::Null => None,
            Cell::Number(number) => Some(Field { name: name.clone(), value: Value::Number(number), quality }),
            Cell::Text(text) => Some(Field { name: name.clone(), value: Value::Text(text), quality }),
        };
        let fields: SmallVec<[Field; 1]> = self.fields.iter().filter_map(field).collect();
        (!fields.is_empty()).then(|| Reading {
            stream: self.into.clone(),
            key: subject.name.clone(),
            at,
            received: now,
            fields,
            source: self.id.clone(),
            origin: Origin::Derived,
            orphan: ctx.registry.row(&subject.name).is_none(),
        })
    }
}
