//! One alert from its raise to its end, and those it hides.

use huong_types::{AlertState, RuleInfo, Signal, SignalKind, TransitionKind};

use super::{clear_of, feed, heard, kinds, minute, only, raise, raise_of, rule, rules, signal, signal_of, states, table};
use crate::Table;

/// The table after `story`, and the alert of `bd1`.
fn after(story: &[Signal]) -> Table {
    let mut table = table(&rules());
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
    let cleared = table.apply(signal("bd2", 4, SignalKind::Clear), minute(4));
    assert_eq!(kinds(&cleared), [("bd2", T::Cleared), ("bd1", T::Inhibited)]);
    assert_eq!(cleared[0].alert.inhibited_by, None);
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
fn an_each_alert_is_told_and_never_open() {
    let mut table = after(&[]);
    let told = table.apply(signal("bd1", 10, SignalKind::Once { window_start: minute(0) }), minute(10));
    assert_eq!((told[0].kind, told[0].alert.state), (TransitionKind::Raised, AlertState::Cleared));
    assert_eq!(told[0].alert.id, "bd1:kimlong:19700101T000000Z");
    assert_eq!(table.open().count(), 0);
}

#[test]
fn a_signal_of_an_unknown_rule_changes_nothing() {
    let mut table = after(&[]);
    assert_eq!(table.apply(raise("gone", 1), minute(1)), vec![]);
    assert_eq!(table.next_seq(), 1);
}

#[test]
fn what_is_pending_is_journalled_and_told_to_nobody() {
    let mut table = table(&rules());
    let pending = table.apply(signal("bd1", 5, SignalKind::Pending { since: minute(3) }), minute(5));
    assert_eq!((pending[0].kind, pending[0].alert.state, pending[0].announced), (TransitionKind::Pending, AlertState::Pending, false));
    assert_eq!(table.apply(signal("bd1", 6, SignalKind::Pending { since: minute(3) }), minute(6)), vec![]);
    assert_eq!(table.apply(signal("bd1", 7, SignalKind::Update), minute(7)), vec![], "it has not begun");
    let raised = table.apply(signal("bd1", 8, SignalKind::Raise { since: minute(3) }), minute(8));
    assert_eq!((raised[0].alert.id.clone(), raised[0].announced), (pending[0].alert.id.clone(), true), "it is the same alert");
    assert_eq!((only(&table).pending, only(&table).raised), (false, minute(8)));

    let mut table = self::table(&rules());
    table.apply(signal("bd1", 5, SignalKind::Pending { since: minute(3) }), minute(5));
    let settled = table.apply(signal("bd1", 6, SignalKind::Settled), minute(6));
    assert_eq!((settled[0].kind, settled[0].alert.state, settled[0].announced), (TransitionKind::Settled, AlertState::Cleared, false));
    assert_eq!(table.open().count(), 0);
    assert_eq!(table.apply(signal("bd1", 7, SignalKind::Settled), minute(7)), vec![]);
}

#[test]
fn a_pending_alert_neither_hides_nor_is_hidden() {
    let mut table = after(&[raise("bd1", 1)]);
    assert_eq!(
        kinds(&table.apply(signal("bd3", 2, SignalKind::Pending { since: minute(2) }), minute(2))),
        [("bd3", TransitionKind::Pending)]
    );
    let raised = table.apply(signal("bd3", 4, SignalKind::Raise { since: minute(2) }), minute(4));
    assert_eq!(kinds(&raised), [("bd3", TransitionKind::Raised), ("bd1", TransitionKind::Inhibited)]);
}

#[test]
fn a_dark_camera_hides_what_its_pictures_said_and_a_whole_class_hides_all_of_it() {
    let dark = RuleInfo { silence: true, ..rule("dark", &["jam"]) };
    let all_dark = RuleInfo { silence: true, across: true, ..rule("all-dark", &["dark"]) };
    let mut table = table(&[rule("jam", &[]), dark, all_dark]);
    let told = feed(&mut table, &[raise_of("jam", "cam-1", 1), raise_of("dark", "cam-1", 2), raise_of("dark", "cam-2", 3)]);
    assert_eq!(heard(&told), ["jam cam-1 raised", "dark cam-1 raised", "dark cam-2 raised"]);
    assert_eq!(states(&table), [("cam-1", AlertState::Open), ("cam-2", AlertState::Open), ("cam-1", AlertState::Suppressed)]);

    let told = feed(&mut table, &[raise_of("all-dark", "cameras", 4), raise_of("dark", "cam-3", 5), raise_of("jam", "cam-3", 6)]);
    assert_eq!(heard(&told), ["all-dark cameras raised"], "what is hidden at once is never announced");
    let hidden = table.open().filter(|alert| alert.state == AlertState::Suppressed).count();
    assert_eq!(hidden, 5, "what a hidden alert hides stays hidden");

    let told = feed(&mut table, &[clear_of("dark", "cam-2", 7), clear_of("all-dark", "cameras", 8)]);
    assert_eq!(heard(&told), ["dark cam-3 released"], "those of before have been heard of");
    let told = feed(&mut table, &[clear_of("dark", "cam-3", 9), clear_of("dark", "cam-1", 10)]);
    assert_eq!(heard(&told), ["jam cam-3 released"]);
}

#[test]
fn two_rules_that_hide_each_other_do_not_hide_both() {
    let rules = [rule("one", &["other"]), rule("other", &["one"])];
    let mut table = table(&rules);
    feed(&mut table, &[raise("one", 1), raise("other", 2)]);
    let hidden: Vec<_> = table.open().filter(|alert| alert.inhibited_by.is_some()).collect();
    assert_eq!((hidden.len(), hidden[0].rule.as_str()), (1, "other"), "who stands first stays");
    assert_eq!(table.reload(&rules, minute(3)), vec![], "also when all is looked at anew");
}

#[test]
fn nothing_is_told_again_that_the_journal_has() {
    let mut table = after(&[raise("bd1", 1), signal("bd1", 2, SignalKind::Clear)]);
    let once = signal("bd1", 3, SignalKind::Once { window_start: minute(0) });
    assert_eq!(heard(&table.apply(once.clone(), minute(3))), ["bd1 kimlong raised"]);
    // A crash between the alarms and their readings: the broker sends these again.
    let ids = ["bd1:kimlong:19700101T000100Z", "bd1:kimlong:19700101T000000Z"].map(huong_types::Name::new);
    let mut again = self::table(&rules());
    again.restore(Vec::new(), ids, table.next_seq());
    assert_eq!(feed(&mut again, &[raise("bd1", 1), signal("bd1", 2, SignalKind::Clear), once]), vec![]);
    assert_eq!(again.repeated(), 2);
    assert_eq!(heard(&feed(&mut again, &[raise("bd1", 5)])), ["bd1 kimlong raised"], "the next one is new");
}

#[test]
fn what_happens_once_and_is_for_nobody_is_a_record() {
    let rules = [RuleInfo { each: true, notify: Vec::new(), ..rule("passage", &[]) }];
    let told = table(&rules).apply(signal_of("passage", "cam-1", 3, SignalKind::Once { window_start: minute(2) }), minute(3));
    assert_eq!((told.len(), told[0].announced), (1, false));
}
