//! What stands before a rule: whether there is anything for it to do.
//!
//! Nearly all judgements find that the condition of a rule does not hold where it did not hold before. For the plainest conditions, a
//! column compared with a number or with another column, this is found out here, from one short list that all rules over the same
//! readings or the same window stand in, without touching the rules themselves.
//!
//! Invariant: a gate that stays shut hides nothing: [`Rule::look`] would have changed nothing and said nothing.

use crate::expr::{Plain, Row};
use crate::rule::Rule;
use crate::subject::Subject;

#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) rule: u32,
    pub(crate) filter: Option<usize>,
    /// The rule's condition over the row that it is shown; `None`: it must look for itself.
    plain: Option<Plain>,
}

impl Gate {
    pub(crate) fn new(i: u32, rule: &Rule, events: bool) -> Self {
        let plain = rule.when.as_ref().filter(|_| rule.is_stateless(events)).and_then(|when| when.plain());
        // Over a window the condition names figures, which are looked through to the aggregates they show.
        let shown = |column: usize| rule.figures.get(column).and_then(|(_, figure)| figure.shown());
        let plain = if rule.figures.is_empty() { plain } else { plain.and_then(|plain| plain.through(shown)) };
        Self { rule: i, filter: rule.filter, plain }
    }

    /// Whether the rule must look. `row` is without extras.
    pub(crate) fn opens(&self, row: Row<'_>, watched: bool, subject: &Subject) -> bool {
        watched || self.plain.as_ref().is_none_or(|plain| plain.eval(row) == Some(true)) || subject.state(self.rule).is_some()
    }
}
