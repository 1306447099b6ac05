//! The table of states against what the table of alerts does, and as a page for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use huong_types::{AlertState, TransitionKind};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::world::{Op, World, ops};
use crate::TABLE;

type Steps = BTreeMap<(Option<AlertState>, TransitionKind), BTreeSet<AlertState>>;

/// Enough to see every row but those of [`rare`].
const STORIES: usize = 2500;

/// A group's single one, which nobody has heard of, when the group ends: it is told then, stale or not.
fn rare(stale: bool) -> Vec<Op> {
    let (street, deep) = (3, 4);
    let (raise, clear, fall_silent) = (2, 7, 8);
    let signal = |(rule, key, kind)| Op::Signal { rule, key, kind };
    let mut story = vec![(deep, 0, raise), (deep, 1, raise), (street, 0, raise), (street, 1, raise), (street, 2, raise)];
    story.extend([(deep, 0, clear), (deep, 1, clear)]);
    story.extend(stale.then_some((street, 0, fall_silent)));
    story.extend([(street, 1, clear), (street, 2, clear)]);
    story.into_iter().map(signal).collect()
}

/// What many stories show; always the same ones.
fn seen() -> Steps {
    let mut runner = TestRunner::deterministic();
    let any = (0..STORIES).map(|_| ops().new_tree(&mut runner).expect("a story").current());
    let mut steps = Steps::new();
    for story in any.chain([rare(false), rare(true)]) {
        let mut world = World::new();
        for op in &story {
            for (before, step) in world.play(op) {
                steps.entry((before, step.kind)).or_default().insert(step.alert.state);
            }
        }
    }
    steps
}

fn written() -> Steps {
    TABLE.iter().map(|row| ((row.from, row.step), row.to.iter().copied().collect())).collect()
}

/// The table as a page: a line per state before and step.
fn page() -> String {
    let mut text = "| state | step | becomes |\n| --- | --- | --- |\n".to_owned();
    for row in TABLE {
        let from = row.from.map_or("–", AlertState::as_str);
        let to = row.to.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
        writeln!(text, "| {from} | {} | {to} |", row.step).expect("a String takes all text");
    }
    text
}

#[test]
fn the_table_says_what_happens_no_more_and_no_less() {
    let (seen, written) = (seen(), written());
    for (step, to) in &seen {
        assert_eq!(written.get(step), Some(to), "{step:?} happens, and the table says otherwise");
    }
    for step in written.keys() {
        assert!(seen.contains_key(step), "{step:?} is in the table and never happens");
    }
    assert_eq!(written.len(), TABLE.len(), "each state and step once");
}

#[test]
fn the_page_is_the_table() {
    assert!(include_str!("../states.md").ends_with(&page()), "crates/alerts/src/states.md must end in:\n{}", page());
}
