//! The table as a state machine: each ability by example, and properties over any story.

mod clock;
mod groups;
mod life;
mod load;
mod model;
mod orders;
mod rows;
mod world;

use std::collections::BTreeMap;

use huong_types::{Alert, AlertState, Name, RuleInfo, Severity, Signal, SignalKind, Text, Timestamp, Transition, TransitionKind};

use crate::{Table, TableConfig};

fn rule(id: &str, inhibits: &[&str]) -> RuleInfo {
    RuleInfo {
        id: id.into(),
        stream: "water_level".into(),
        severity: Severity::Severe,
        version: Name::new("v1"),
        inhibits: inhibits.iter().map(|id| Name::new(id)).collect(),
        across: false,
        group: Name::new(id),
        group_after: 0,
        latch: false,
        flap: None,
        escalate: Vec::new(),
        notify: vec!["staff".into()],
        silence: false,
        each: false,
    }
}

fn rules() -> Vec<RuleInfo> {
    vec![rule("bd3", &["bd2", "bd1"]), rule("bd2", &["bd1"]), rule("bd1", &[])]
}

fn table(rules: &[RuleInfo]) -> Table {
    Table::new(rules, TableConfig::default())
}

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

fn signal(rule: &str, at: i64, kind: SignalKind) -> Signal {
    signal_of(rule, "kimlong", at, kind)
}

fn signal_of(rule: &str, key: &str, at: i64, kind: SignalKind) -> Signal {
    let bare = matches!(kind, SignalKind::Stale { .. } | SignalKind::Fresh | SignalKind::Settled);
    let values = if bare { BTreeMap::new() } else { BTreeMap::from([(Name::new("value"), at as f64)]) };
    let text = if bare { Text::default() } else { Text { vi: format!("{key}: mức {at}"), en: format!("{key}: level {at}") } };
    Signal { rule: rule.into(), key: key.into(), at: minute(at), kind, values, text, cause: Vec::new() }
}

fn raise(rule: &str, at: i64) -> Signal {
    raise_of(rule, "kimlong", at)
}

fn raise_of(rule: &str, key: &str, at: i64) -> Signal {
    signal_of(rule, key, at, SignalKind::Raise { since: minute(at) })
}

fn clear_of(rule: &str, key: &str, at: i64) -> Signal {
    signal_of(rule, key, at, SignalKind::Clear)
}

/// Takes each signal at its own time, with the clock ticking before it.
fn feed(table: &mut Table, story: &[Signal]) -> Vec<Transition> {
    let mut all = Vec::new();
    for signal in story {
        all.extend(table.on_tick(signal.at));
        all.extend(table.apply(signal.clone(), signal.at));
    }
    all
}

fn kinds(transitions: &[Transition]) -> Vec<(&str, TransitionKind)> {
    transitions.iter().map(|t| (t.alert.rule.as_str(), t.kind)).collect()
}

/// What an operator hears: rule, key and step.
fn heard(transitions: &[Transition]) -> Vec<String> {
    let announced = transitions.iter().filter(|t| t.announced);
    announced.map(|t| format!("{} {} {}", t.alert.rule, t.alert.key, t.kind)).collect()
}

fn only(table: &Table) -> &Alert {
    let mut open = table.open();
    let first = open.next().expect("an alert is in the table");
    assert!(open.next().is_none(), "only one is");
    first
}

fn states(table: &Table) -> Vec<(&str, AlertState)> {
    table.open().map(|alert| (alert.key.as_str(), alert.state)).collect()
}
