//! The table as a state machine: every state with every signal, inhibition, acknowledgement, and properties over any story.

use std::collections::{BTreeMap, BTreeSet};

use huong_types::{Alert, AlertState, Name, RuleInfo, Severity, Signal, SignalKind, Text, Timestamp, Transition, TransitionKind};
use proptest::prelude::*;

use crate::{AlertError, Table, TableConfig};

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

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

fn signal(rule: &str, at: i64, kind: SignalKind) -> Signal {
    let bare = matches!(kind, SignalKind::Stale { .. } | SignalKind::Fresh);
    let values = if bare { BTreeMap::new() } else { BTreeMap::from([(Name::new("value"), at as f64)]) };
    let text = if bare { Text::default() } else { Text { vi: format!("mức {at}"), en: format!("level {at}") } };
    Signal { rule: rule.into(), key: "kimlong".into(), at: minute(at), kind, values, text, cause: Vec::new() }
}

fn raise(rule: &str, at: i64) -> Signal {
    signal(rule, at, SignalKind::Raise { since: minute(at) })
}

fn kinds(transitions: &[Transition]) -> Vec<(&str, TransitionKind)> {
    transitions.iter().map(|t| (t.alert.rule.as_str(), t.kind)).collect()
}

/// The table after `story`, and the alert of `bd1`.
fn after(story: &[Signal]) -> Table {
    let mut table = Table::new(&rules(), TableConfig::default());
    for signal in story {
        table.apply(signal.clone(), signal.at);
    }
    table
}

#[test]
fn every_state_with_every_signal() {
    use TransitionKind as T;
    let stale = SignalKind::Stale { since: minute(1) };
    let states: [(&str, Vec<Signal>); 5] = [
        ("none", vec![]),
        ("holds", vec![raise("bd1", 1)]),
        ("receded", vec![raise("bd1", 1), signal("bd1", 2, SignalKind::Recede)]),
        ("stale", vec![raise("bd1", 1), signal("bd1", 3, stale)]),
        ("cleared", vec![raise("bd1", 1), signal("bd1", 2, SignalKind::Clear)]),
    ];
    let signals: [(&str, SignalKind, [Option<T>; 5]); 8] = [
        //                                                        none             holds             receded           stale             cleared
        ("raise", SignalKind::Raise { since: minute(9) }, [Some(T::Raised), None, None, None, Some(T::Raised)]),
        ("update", SignalKind::Update, [None, Some(T::Updated), Some(T::Updated), Some(T::Updated), None]),
        ("recede", SignalKind::Recede, [None, Some(T::Receded), None, Some(T::Receded), None]),
        ("resume", SignalKind::Resume, [None, None, Some(T::Resumed), None, None]),
        ("clear", SignalKind::Clear, [None, Some(T::Cleared), Some(T::Cleared), Some(T::Cleared), None]),
        ("stale", stale, [None, Some(T::Stale), Some(T::Stale), None, None]),
        ("fresh", SignalKind::Fresh, [None, None, None, Some(T::Fresh), None]),
        ("once", SignalKind::Once { window_start: minute(8) }, [Some(T::Raised); 5]),
    ];
    for (name, kind, expected) in signals {
        for ((state, story), expected) in states.iter().zip(expected) {
            let found = after(story).apply(signal("bd1", 9, kind), minute(9));
            assert_eq!(found.first().map(|t| t.kind), expected, "{state} + {name}");
            assert!(found.len() <= 1, "{state} + {name}");
        }
    }
}

#[test]
fn an_alert_carries_its_story() {
    let mut table = after(&[signal("bd1", 5, SignalKind::Raise { since: minute(3) })]);
    let alert = table.open().next().expect("it was raised").clone();
    assert_eq!(alert.id, "bd1:kimlong:19700101T000300Z");
    assert_eq!((alert.since, alert.raised, alert.holds), (minute(3), minute(5), true));

    let stale = table.apply(signal("bd1", 30, SignalKind::Stale { since: minute(5) }), minute(30));
    assert_eq!(stale[0].alert.values, alert.values, "silence keeps the figures of before");
    assert_eq!(stale[0].alert.text, alert.text);
    assert_eq!(stale[0].alert.stale_since, Some(minute(5)));

    let cleared = table.apply(signal("bd1", 40, SignalKind::Clear), minute(41));
    assert_eq!((cleared[0].at, cleared[0].decided), (minute(40), minute(41)));
    assert_eq!((cleared[0].alert.state, cleared[0].alert.stale_since), (AlertState::Cleared, None));
    assert_eq!(table.open().count(), 0);
}

#[test]
fn a_higher_level_hides_the_lower_ones_of_its_key() {
    use TransitionKind as T;
    let mut table = after(&[raise("bd1", 1)]);
    assert_eq!(kinds(&table.apply(raise("bd2", 2), minute(2))), [("bd2", T::Raised), ("bd1", T::Inhibited)]);
    assert_eq!(kinds(&table.apply(raise("bd3", 3), minute(3))), [("bd3", T::Raised), ("bd2", T::Inhibited)]);
    // bd2 goes while hidden; bd1, which it hid, is hidden by bd3 from now on.
    assert_eq!(kinds(&table.apply(signal("bd2", 4, SignalKind::Clear), minute(4))), [("bd2", T::Cleared), ("bd1", T::Inhibited)]);
    assert_eq!(table.open().find(|a| a.rule == "bd1").and_then(|a| a.inhibited_by.clone()), Some("bd3:kimlong:19700101T000300Z".into()));
    let released = table.apply(signal("bd3", 5, SignalKind::Clear), minute(5));
    assert_eq!(kinds(&released), [("bd3", T::Cleared), ("bd1", T::Released)]);
    assert_eq!(released[1].alert.inhibited_by, None);
}

#[test]
fn an_alert_raised_under_a_higher_one_is_born_hidden() {
    let mut table = after(&[raise("bd3", 1)]);
    let raised = table.apply(raise("bd1", 2), minute(2));
    assert_eq!(kinds(&raised), [("bd1", TransitionKind::Raised)]);
    assert_eq!(raised[0].alert.inhibited_by, Some("bd3:kimlong:19700101T000100Z".into()));
    let mut other = raise("bd1", 2);
    other.key = "phuoc".into();
    assert_eq!(table.apply(other, minute(2))[0].alert.inhibited_by, None, "another station is not hidden");
}

#[test]
fn acknowledging() {
    let mut table = after(&[raise("bd1", 1)]);
    let id = "bd1:kimlong:19700101T000100Z";
    assert_eq!(table.acknowledge(id, "  ", minute(2)), Err(AlertError::Nameless));
    let done = table.acknowledge(id, "Lan", minute(2)).expect("it is open");
    assert_eq!(kinds(&done), [("bd1", TransitionKind::Acknowledged)]);
    assert_eq!(table.acknowledge(id, "Minh", minute(3)), Ok(vec![]), "the first one counts");
    let kept = table.apply(signal("bd1", 4, SignalKind::Update), minute(4));
    assert_eq!((kept[0].alert.state, kept[0].alert.ack.as_ref().map(|a| a.by.as_str())), (AlertState::Acknowledged, Some("Lan")));
    table.apply(signal("bd1", 5, SignalKind::Clear), minute(5));
    let gone = Err(AlertError::NotOpen { id: id.to_owned() });
    assert_eq!(table.acknowledge(id, "Lan", minute(6)), gone);
    assert_eq!(table.acknowledge(id, "Lan", minute(7)), gone);
}

#[test]
fn an_each_alert_is_told_and_never_open() {
    let mut table = after(&[]);
    let told = table.apply(signal("bd1", 10, SignalKind::Once { window_start: minute(0) }), minute(10));
    assert_eq!((told[0].kind, told[0].alert.state), (TransitionKind::Raised, AlertState::Cleared));
    assert_eq!(told[0].alert.id, "bd1:kimlong:19700101T000000Z");
    assert_eq!(table.open().count(), 0);
}

#[test]
fn a_restored_table_goes_on_where_it_stopped() {
    let mut before = after(&[raise("bd1", 1), raise("bd2", 2)]);
    let mut restored = Table::new(&rules(), TableConfig::default());
    restored.restore(before.open().cloned().collect(), [], before.next_seq());
    let next = signal("bd2", 3, SignalKind::Clear);
    assert_eq!(restored.apply(next.clone(), minute(3)), before.apply(next, minute(3)));
    assert_eq!(restored.next_seq(), before.next_seq());
}

#[test]
fn a_signal_of_an_unknown_rule_changes_nothing() {
    let mut table = after(&[]);
    assert_eq!(table.apply(raise("gone", 1), minute(1)), vec![]);
    assert_eq!(table.next_seq(), 1);
}

fn any_signal() -> impl Strategy<Value = Signal> {
    let rule = prop::sample::select(vec!["bd1", "bd2", "bd3"]);
    let key = prop::sample::select(vec!["kimlong", "phuoc"]);
    (rule, key, 0usize..7).prop_map(|(rule, key, kind)| {
        let kind = match kind {
            0 => SignalKind::Raise { since: minute(0) },
            1 => SignalKind::Update,
            2 => SignalKind::Recede,
            3 => SignalKind::Resume,
            4 => SignalKind::Clear,
            5 => SignalKind::Stale { since: minute(0) },
            _ => SignalKind::Fresh,
        };
        Signal { key: key.into(), ..signal(rule, 0, kind) }
    })
}

/// The story in order of time: the n-th signal comes at minute n.
fn play(story: &[Signal]) -> (Table, Vec<Transition>) {
    let mut table = Table::new(&rules(), TableConfig::default());
    let mut all = Vec::new();
    for (n, signal) in story.iter().enumerate() {
        let at = minute(n as i64 + 1);
        let kind = if let SignalKind::Raise { .. } = signal.kind { SignalKind::Raise { since: at } } else { signal.kind };
        all.extend(table.apply(Signal { at, kind, ..signal.clone() }, at));
        let open: Vec<&Alert> = table.open().collect();
        let places: BTreeSet<_> = open.iter().map(|a| (&a.rule, &a.key)).collect();
        assert_eq!(places.len(), open.len(), "one open alert per rule and key");
        for alert in &open {
            assert!(alert.inhibited_by.as_ref().is_none_or(|by| open.iter().any(|o| o.id == *by)), "hidden by an alert that is not open");
            let hidden =
                open.iter().any(|o| o.key == alert.key && rules().iter().any(|r| r.id == o.rule && r.inhibits.contains(&alert.rule)));
            assert_eq!(alert.inhibited_by.is_some(), hidden, "hidden exactly while a higher one is open");
        }
    }
    (table, all)
}

proptest! {
    #[test]
    fn any_story_is_told_alike_and_numbered_without_holes(story in prop::collection::vec(any_signal(), 0..60)) {
        let (table, first) = play(&story);
        prop_assert_eq!(&first, &play(&story).1);
        for (n, transition) in first.iter().enumerate() {
            prop_assert_eq!(transition.seq, n as u64 + 1);
        }
        let raised: Vec<&Name> = first.iter().filter(|t| t.kind == TransitionKind::Raised).map(|t| &t.alert.id).collect();
        prop_assert_eq!(raised.iter().collect::<BTreeSet<_>>().len(), raised.len(), "ids are unique");
        // The journal alone tells what is open.
        let mut journal: BTreeMap<Name, Alert> = BTreeMap::new();
        for transition in first {
            if transition.alert.state == AlertState::Cleared {
                journal.remove(&transition.alert.id);
            } else {
                journal.insert(transition.alert.id.clone(), transition.alert);
            }
        }
        let mut open: Vec<Alert> = table.open().cloned().collect();
        open.sort_by(|a, b| a.id.cmp(&b.id));
        prop_assert_eq!(journal.into_values().collect::<Vec<_>>(), open);
    }
}
