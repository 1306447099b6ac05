//! How a rule says what it has found: signals with their figures, texts in both languages, and the readings that decided them.

use huong_types::{Check, Name, Signal, SignalKind, Text, Timestamp, Values};

use crate::engine::Out;
use crate::expr::{Cell, Row};
use crate::rule::{Ctx, Rule};
use crate::subject::Subject;
use crate::template::Shown;

impl Rule {
    /// Says it, unless it is an update without new figures.
    #[expect(clippy::too_many_arguments, reason = "one signal, its row and where they go")]
    pub(crate) fn tell(
        &self,
        i: u32,
        ctx: Ctx<'_>,
        subject: &mut Subject,
        at: Timestamp,
        kind: SignalKind,
        row: Row<'_>,
        flags: &[(&str, f64, Check)],
        out: &mut Out,
    ) {
        let values = figures(&self.shown, row.own);
        let state = subject.state_mut(i);
        if kind == SignalKind::Update {
            if values == state.told {
                return;
            }
            state.life.spoken(at);
        }
        state.told.clone_from(&values);
        let signal = self.signal(ctx, subject, at, kind, values, row, flags);
        out.signals.push(signal);
    }

    /// Of silence: there are no new figures, the table keeps those of before.
    pub(crate) fn bare_signal(&self, key: &Name, at: Timestamp, kind: SignalKind) -> Signal {
        let (rule, key) = (self.info.id.clone(), key.clone());
        Signal { rule, key, at, kind, values: Values::new(), text: Text::default(), cause: Vec::new() }
    }

    #[expect(clippy::too_many_arguments, reason = "everything a signal says")]
    fn signal(
        &self,
        ctx: Ctx<'_>,
        subject: &Subject,
        at: Timestamp,
        kind: SignalKind,
        values: Values,
        row: Row<'_>,
        flags: &[(&str, f64, Check)],
    ) -> Signal {
        let name = names(&subject.name, ctx);
        let text = self.render(kind, &Shown { name, key: &subject.name, at: ctx.told_at.unwrap_or(at), flags }, row);
        let cause = subject.cause(&self.info.stream, at);
        Signal { rule: self.info.id.clone(), key: subject.name.clone(), at, kind, values, text, cause }
    }

    pub(crate) fn render(&self, kind: SignalKind, shown: &Shown<'_>, row: Row<'_>) -> Text {
        let text = match (kind, &self.over) {
            (SignalKind::Recede | SignalKind::Clear, Some(over)) => over,
            _ => &self.text,
        };
        Text { vi: text.vi.render(row, shown), en: text.en.render(row, shown) }
    }
}

/// Vietnamese and English: the registry's names of a row or ward, the stream's for all of it, or the key itself.
pub(crate) fn names<'a>(key: &'a Name, ctx: Ctx<'a>) -> (&'a str, &'a str) {
    if let Some(row) = ctx.registry.row(key) {
        return (row.name, row.name_en);
    }
    if *key == ctx.stream.id {
        return (&ctx.stream.name, &ctx.stream.name_en);
    }
    let ward = ctx.registry.wards.iter().find(|ward| ward.id == *key);
    ward.map_or((key, key), |ward| (&ward.name, &ward.name_en))
}

/// The figures of a row under their names, NULLs and texts left out.
pub(crate) fn figures(shown: &[(usize, Name)], own: &[Cell]) -> Values {
    let numbers = shown.iter().filter_map(|(position, name)| match own.get(*position) {
        Some(Cell::Number(number)) => Some((name.clone(), *number)),
        _ => None,
    });
    numbers.collect()
}
