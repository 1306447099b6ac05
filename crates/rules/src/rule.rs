//! A compiled rule, and how it turns a row of figures into a signal.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use huong_types::{Cause, Check, Name, RuleInfo, Signal, SignalKind, Span, Text, Timestamp, Values};

use crate::keys::Key;
use crate::life::{Judgement, Timing};
use crate::panes::{Call, Closed, Window};
use crate::sql::{Columns, Condition, Number};
use crate::template::{Subject, Template};

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) info: RuleInfo,
    pub(crate) judge: Judge,
    pub(crate) timing: Timing,
    pub(crate) text: Bilingual,
    /// Said when the condition no longer holds.
    pub(crate) over: Option<Bilingual>,
    /// The columns that become the figures of a signal: the first ones of the row it is judged by.
    pub(crate) names: Vec<Name>,
}

/// The row a judgement rests on, and what its plausibility checks said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) row: &'a RecordBatch,
    pub(crate) flags: &'a [(&'a str, f64, Check)],
}

/// How a rule comes to its judgement.
#[derive(Debug)]
pub(crate) enum Judge {
    /// On every reading.
    Reading(Conditions),
    /// On every closed window and, when `early`, on open ones; `place` is that of its panes in each key.
    Window {
        window: Window,
        early: bool,
        place: usize,
        select: Box<Select>,
        conditions: Conditions,
    },
    Silence,
    Suspect,
}

#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) when: Condition,
    /// `None`: the negation of `when`.
    pub(crate) clear: Option<Condition>,
}

/// From the aggregates of closed windows to the rule's columns.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) calls: Vec<Call>,
    pub(crate) over_calls: Columns,
    pub(crate) figures: Vec<Number>,
    pub(crate) columns: Columns,
}

#[derive(Debug)]
pub(crate) struct Bilingual {
    pub(crate) vi: Template,
    pub(crate) en: Template,
}

impl Select {
    /// One row per closed window: the selected figures and the registry row's levels.
    pub(crate) fn batch(&self, closed: &[Closed], station: &[ArrayRef]) -> Option<RecordBatch> {
        let calls = self.calls.iter().map(|call| closed.iter().map(|c| c.get(*call)).collect::<Float64Array>());
        let over_calls = self.over_calls.batch(calls.map(|array| Arc::new(array) as ArrayRef), station, closed.len())?;
        let figures = self.figures.iter().map(|figure| Arc::new(figure.evaluate(&over_calls)) as ArrayRef);
        self.columns.batch(figures, station, closed.len())
    }
}

impl Conditions {
    /// Per row: whether `when` and `clear` hold; `None` is SQL's NULL.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Vec<(Option<bool>, Option<bool>)> {
        let when = self.when.evaluate(batch);
        let clear = self.clear.as_ref().map(|clear| clear.evaluate(batch));
        let rows = when.iter().enumerate();
        rows.map(|(row, when)| match &clear {
            Some(clear) => (when, clear.is_valid(row).then(|| clear.value(row))),
            None => (when, when.map(|holds| !holds)),
        })
        .collect()
    }
}

impl Bilingual {
    pub(crate) fn render(&self, row: &RecordBatch, subject: &Subject<'_>) -> Text {
        Text { vi: self.vi.render(row, subject), en: self.en.render(row, subject) }
    }
}

impl Rule {
    /// Takes a judgement to the rule's state for `key`, its `i`-th rule, and says what follows from it.
    pub(crate) fn apply(&self, i: usize, key: &mut Key, judgement: Judgement, shown: Shown<'_>, out: &mut Vec<Signal>) {
        let state = &mut key.rules[i];
        if self.info.each {
            if judgement.when == Some(true) && judgement.at > state.once {
                state.once = judgement.at;
                let window_start = judgement.at - self.window_size();
                self.tell(i, key, judgement.at, SignalKind::Once { window_start }, shown, out);
            }
            return;
        }
        let said = state.life.judge(judgement, &self.timing);
        state.pending = state.life.is_pending().then(|| shown.row.clone());
        if let Some((at, kind)) = said {
            self.tell(i, key, at, kind, shown, out);
        }
    }

    /// Says it, unless it is an update without new figures.
    pub(crate) fn tell(&self, i: usize, key: &mut Key, at: Timestamp, kind: SignalKind, shown: Shown<'_>, out: &mut Vec<Signal>) {
        let values = figures(&self.names, shown.row);
        let state = &mut key.rules[i];
        if kind == SignalKind::Update {
            if values == state.told {
                return;
            }
            state.life.spoken(at);
        }
        state.told.clone_from(&values);
        out.push(self.signal(key, at, kind, values, shown));
        let of_silence = matches!(self.judge, Judge::Silence);
        if let (SignalKind::Raise { .. }, Some(since), false) = (kind, key.silent_since, of_silence) {
            key.rules[i].life.stale = true;
            out.push(self.bare_signal(key, at, SignalKind::Stale { since }));
        }
    }

    /// Of silence: there are no new figures, the table keeps those of before.
    pub(crate) fn bare_signal(&self, key: &Key, at: Timestamp, kind: SignalKind) -> Signal {
        let cause = Vec::<Cause>::new();
        Signal { rule: self.info.id.clone(), key: key.id.clone(), at, kind, values: Values::new(), text: Text::default(), cause }
    }

    pub(crate) fn window_size(&self) -> Span {
        if let Judge::Window { window, .. } = &self.judge { window.size } else { Span::ZERO }
    }

    fn signal(&self, key: &Key, at: Timestamp, kind: SignalKind, values: Values, shown: Shown<'_>) -> Signal {
        let text = match (kind, &self.over) {
            (SignalKind::Recede | SignalKind::Clear, Some(over)) => over,
            _ => &self.text,
        };
        // Of a silence people ask since when, not when it was noticed.
        let of_silence = matches!(self.judge, Judge::Silence);
        let told_at = key.silent_since.filter(|_| of_silence).unwrap_or(at);
        let subject = Subject { name: key.names(), key: &key.id, at: told_at, flags: shown.flags };
        let text = text.render(shown.row, &subject);
        Signal { rule: self.info.id.clone(), key: key.id.clone(), at, kind, values, text, cause: key.cause(&self.info.stream, at) }
    }
}

/// The figures of a one-row batch under their names, NULLs left out.
fn figures(names: &[Name], row: &RecordBatch) -> Values {
    let columns = names.iter().zip(row.columns());
    let numbers = columns.filter_map(|(name, array)| {
        let array = array.as_primitive_opt::<Float64Type>()?;
        (!array.is_empty() && array.is_valid(0)).then(|| (name.clone(), array.value(0)))
    });
    numbers.collect()
}
