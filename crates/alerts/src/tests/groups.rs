//! Floods of alarms told as a count.

use std::collections::BTreeMap;

use huong_types::{Alert, AlertState, Escalation, Name, RuleInfo, Severity, SignalKind, Span, Text, TransitionKind};

use super::{clear_of, feed, heard, kinds, minute, raise_of, rule, rules, signal_of, table};
use crate::{Table, TableConfig};

fn street() -> Vec<RuleInfo> {
    let of = |id, severity| RuleInfo { severity, group: "street".into(), group_after: 3, ..rule(id, &[]) };
    vec![of("depth", Severity::Moderate), of("deep", Severity::Severe), rule("bd3", &[])]
}

fn named(rules: &[RuleInfo]) -> Table {
    let street = Text { vi: "Ngập đường".to_owned(), en: "Street flooding".to_owned() };
    Table::new(rules, TableConfig { group_names: BTreeMap::from([(Name::new("street"), street)]), ..TableConfig::default() })
}

fn group(table: &Table) -> Option<&Alert> {
    table.open().find(|alert| alert.key == "*")
}

fn count(table: &Table, of: &str) -> f64 {
    group(table).expect("there is a group").values[&Name::new(of)]
}

#[test]
fn a_flood_is_told_as_a_count_and_the_gravest_singly() {
    let mut table = named(&street());
    let keys = ["a", "b", "c", "d", "e", "f"];
    let story: Vec<_> = keys.iter().enumerate().map(|(n, key)| raise_of("depth", key, n as i64 + 1)).collect();
    let told = feed(&mut table, &story);
    assert_eq!(heard(&told), ["depth a raised", "depth b raised", "depth c raised", "street * raised"]);
    let alert = group(&table).expect("more than three");
    assert_eq!(alert.id, "group:street:19700101T000400Z");
    assert_eq!(alert.text.vi, "Ngập đường: 6 cảnh báo, cao nhất: a: mức 1");
    assert_eq!(alert.text.en, "Street flooding: 6 alarms, the gravest: a: level 1");
    assert_eq!((alert.severity, alert.notify.as_slice()), (Severity::Moderate, &[Name::new("staff")][..]));
    assert_eq!((count(&table, "count"), count(&table, "moderate"), count(&table, "severe")), (6.0, 6.0, 0.0));
    let folded = table.open().filter(|one| one.folded_into.as_ref() == Some(&alert.id)).count();
    assert_eq!(folded, 5, "they are there, under their group");

    let told = feed(&mut table, &[signal_of("depth", "a", 7, SignalKind::Update), signal_of("depth", "b", 8, SignalKind::Update)]);
    assert_eq!(kinds(&told), [("depth", TransitionKind::Updated), ("street", TransitionKind::Updated), ("depth", TransitionKind::Updated)]);
    assert_eq!(group(&table).expect("still").text.vi, "Ngập đường: 6 cảnh báo, cao nhất: a: mức 7", "it quotes what is true now");
}

#[test]
fn a_graver_member_is_announced_and_told_singly_from_then_on() {
    let mut table = named(&street());
    let mut story: Vec<_> = ["a", "b", "c", "d"].iter().map(|key| raise_of("depth", key, 1)).collect();
    feed(&mut table, &story);
    let told = feed(&mut table, &[raise_of("deep", "e", 5)]);
    assert_eq!(heard(&told), ["deep e raised"]);
    assert_eq!(kinds(&told), [("deep", TransitionKind::Raised), ("street", TransitionKind::Updated), ("depth", TransitionKind::Folded)]);
    assert_eq!(group(&table).expect("still").severity, Severity::Severe);
    // It goes; one that is no graver than it takes its place without a sound.
    story = vec![clear_of("deep", "e", 6)];
    let told = feed(&mut table, &story);
    let steps = [("deep", TransitionKind::Cleared), ("street", TransitionKind::Updated), ("depth", TransitionKind::Unfolded)];
    assert_eq!((kinds(&told), heard(&told).len()), (steps.to_vec(), 0));
    assert_eq!(group(&table).expect("still").severity, Severity::Moderate);
}

#[test]
fn a_group_ends_when_its_members_are_few_and_tells_those_that_nobody_heard_of() {
    let mut table = named(&street());
    feed(&mut table, &["a", "b", "c", "d", "e"].map(|key| raise_of("depth", key, 1)));
    let told = feed(&mut table, &["a", "b", "c"].map(|key| clear_of("depth", key, 2)));
    assert_eq!((heard(&told).len(), count(&table, "count")), (0, 2.0), "it stays while it has more than half of its limit");
    let told = feed(&mut table, &[clear_of("depth", "d", 3)]);
    assert_eq!(heard(&told), ["depth e unfolded"]);
    let last = told.last().expect("the group ends");
    assert_eq!((last.alert.rule.as_str(), last.alert.state), ("street", AlertState::Cleared));
    assert!(table.open().all(|alert| alert.state == AlertState::Open && alert.folded_into.is_none()));
    // At the same event time again: another group, with an id of its own.
    let again = feed(&mut table, &["f", "g", "h"].map(|key| raise_of("depth", key, 1)));
    assert_eq!(heard(&again), ["depth f raised", "depth g raised", "street * raised"]);
    assert!(group(&table).expect("again").id.starts_with("group:street:19700101T000100Z-"));
}

#[test]
fn a_group_that_nobody_acknowledges_is_escalated_as_its_gravest_member_would_be() {
    let escalate = vec![Escalation { after: Span::from_mins(10), to: vec!["lead".into()] }];
    let mut table = named(&[RuleInfo { escalate, group_after: 1, ..rule("depth", &[]) }]);
    feed(&mut table, &[raise_of("depth", "a", 1), raise_of("depth", "b", 2)]);
    assert_eq!(heard(&table.on_tick(minute(30))), ["depth a escalated", "depth * escalated"], "not what it counts");
}

#[test]
fn level_alarms_are_never_hidden_by_a_count() {
    let mut table = named(&street());
    let told = feed(&mut table, &(0..50).map(|n| raise_of("bd3", &format!("g{n}"), 1)).collect::<Vec<_>>());
    assert_eq!(heard(&told).len(), 50);
    assert!(group(&table).is_none());
}

#[test]
fn a_rule_is_its_own_group_and_counts_what_it_folds() {
    let rules = vec![RuleInfo { group_after: 10, ..rule("calls", &[]) }];
    let mut table = table(&rules);
    let told = feed(&mut table, &(0..200).map(|n| raise_of("calls", &format!("{n:03}"), n)).collect::<Vec<_>>());
    assert_eq!(heard(&told).len(), 11);
    assert_eq!(count(&table, "count"), 200.0);
    assert_eq!(group(&table).expect("over the cap").text.vi, "calls: 200 cảnh báo, cao nhất: 000: mức 0");
}

#[test]
fn what_is_hidden_or_shelved_is_not_counted() {
    let mut rules = street();
    rules.push(RuleInfo { silence: true, ..rule("dark", &["depth"]) });
    let mut table = named(&rules);
    feed(&mut table, &["a", "b", "c", "d", "e"].map(|key| raise_of("depth", key, 1)));
    feed(&mut table, &[raise_of("dark", "c", 2)]);
    assert_eq!(count(&table, "count"), 4.0);
    let id = table.open().find(|alert| alert.key == "d").expect("it is open").id.to_string();
    table.shelve(&id, "Lan", "sửa", minute(60), minute(3)).expect("it is open");
    assert_eq!(count(&table, "count"), 3.0);
    let told = table.on_tick(minute(60));
    assert_eq!((heard(&told).len(), count(&table, "count")), (0, 4.0), "it comes back into the count");
}

#[test]
fn an_alarm_that_hides_another_does_not_make_a_group_of_the_two() {
    let street: Vec<_> = street().into_iter().map(|rule| RuleInfo { group_after: 1, ..rule }).collect();
    let deep = RuleInfo { inhibits: vec!["depth".into()], ..street[1].clone() };
    let mut table = named(&[street[0].clone(), deep]);
    feed(&mut table, &[raise_of("depth", "a", 1)]);
    let told = feed(&mut table, &[raise_of("deep", "a", 2)]);
    assert_eq!(heard(&told).first().map(String::as_str), Some("deep a raised"));
    assert!(told.iter().all(|step| step.alert.rule != "street"), "nothing is told of a group");
    let told = feed(&mut table, &[clear_of("deep", "a", 3)]);
    assert!(told.iter().all(|step| step.alert.rule != "street"), "nor when the other comes back");
}

#[test]
fn a_group_survives_a_restart_and_follows_new_limits() {
    let mut before = named(&street());
    feed(&mut before, &["a", "b", "c", "d", "e"].map(|key| raise_of("depth", key, 1)));
    let mut after = named(&street());
    after.restore(before.open().cloned().collect(), [], before.next_seq());
    assert_eq!(after.on_tick(minute(2)), vec![], "nothing is told twice");
    let told = feed(&mut after, &[raise_of("depth", "f", 3)]);
    assert_eq!((heard(&told).len(), count(&after, "count")), (0, 6.0));
    let wide: Vec<RuleInfo> = street().into_iter().map(|rule| RuleInfo { group_after: 4 * rule.group_after, ..rule }).collect();
    let told = after.reload(&wide, minute(4));
    assert_eq!(heard(&told), ["depth d unfolded", "depth e unfolded", "depth f unfolded"]);
    assert!(group(&after).is_none());
    let told = after.reload(&street(), minute(5));
    assert_eq!((heard(&told), group(&after).is_some()), (vec!["street * raised".to_owned()], true));
}

#[test]
fn rules_that_do_not_group_know_no_groups() {
    let mut table = named(&rules());
    feed(&mut table, &["a", "b", "c", "d", "e"].map(|key| raise_of("bd1", key, 1)));
    assert!(group(&table).is_none());
}
