//! What time does: flapping, latches, escalation, restarts and new rules.

use huong_types::{AlertState, Escalation, Flap, RuleInfo, Signal, SignalKind, Span, Transition, TransitionKind};

use super::{clear_of, feed, heard, kinds, minute, only, raise, rule, rules, signal, table};
use crate::Table;

fn chattering() -> Vec<RuleInfo> {
    vec![RuleInfo { flap: Some(Flap { raises: 3, within: Span::from_mins(30) }), ..rule("bd1", &[]) }]
}

/// Raised and cleared every two minutes, `times` times, from minute `from`.
fn rattle(from: i64, times: i64) -> Vec<Signal> {
    (0..times).flat_map(|n| [raise("bd1", from + 4 * n), clear_of("bd1", "kimlong", from + 4 * n + 2)]).collect()
}

#[test]
fn what_chatters_is_open_and_quiet_until_it_is_still() {
    let mut table = table(&chattering());
    let told = feed(&mut table, &rattle(0, 7));
    assert_eq!(heard(&told), ["bd1 kimlong raised", "bd1 kimlong raised"], "the third raise within the time makes it flap");
    assert_eq!(told.len(), 14, "all of it is journalled");
    assert_eq!((only(&table).state, only(&table).holds), (AlertState::Flapping, false));
    // The last change was the clear at minute 26.
    assert!(table.next_deadline().is_some_and(|due| due <= minute(56)));
    assert_eq!(table.on_tick(minute(55)), vec![]);
    let still = table.on_tick(minute(60));
    assert_eq!((kinds(&still), still[0].at, still[0].announced), (vec![("bd1", TransitionKind::Cleared)], minute(56), false));
    assert_eq!(heard(&feed(&mut table, &[raise("bd1", 100)])), ["bd1 kimlong raised"], "and all is as before");
}

#[test]
fn what_chattered_and_holds_in_the_end_is_announced_then() {
    let mut table = table(&chattering());
    feed(&mut table, &rattle(0, 3));
    feed(&mut table, &[raise("bd1", 12)]);
    let still = table.on_tick(minute(42));
    assert_eq!((kinds(&still), heard(&still).len()), (vec![("bd1", TransitionKind::Steadied)], 1));
    assert_eq!(only(&table).state, AlertState::Open);
}

#[test]
fn slow_raises_are_no_chattering() {
    let mut table = table(&chattering());
    let slow: Vec<Signal> = (0..6).flat_map(|n| rattle(n * 16, 1)).collect();
    assert_eq!(heard(&feed(&mut table, &slow)).len(), 6);
}

#[test]
fn a_latched_alert_waits_for_an_acknowledgement() {
    let rules = vec![RuleInfo { latch: true, ..rule("bd1", &[]) }];
    let mut table = table(&rules);
    let told = feed(&mut table, &[raise("bd1", 1), clear_of("bd1", "kimlong", 2)]);
    assert_eq!((told[1].kind, told[1].alert.state), (TransitionKind::Latched, AlertState::Latched));
    let again = feed(&mut table, &[raise("bd1", 3), clear_of("bd1", "kimlong", 4)]);
    assert_eq!((again[0].kind, again[0].announced), (TransitionKind::Resumed, false), "it is still the one that nobody has seen");
    let id = only(&table).id.to_string();
    let done = table.acknowledge(&id, "Lan", minute(5)).expect("it waits");
    assert_eq!((done[0].kind, done[0].alert.state), (TransitionKind::Acknowledged, AlertState::Cleared));
    assert_eq!(table.open().count(), 0);
    // Seen before it was over: nothing to wait for.
    let first = feed(&mut table, &[raise("bd1", 10)])[0].alert.id.to_string();
    table.acknowledge(&first, "Lan", minute(11)).expect("it is open");
    assert_eq!(feed(&mut table, &[clear_of("bd1", "kimlong", 12)])[0].alert.state, AlertState::Cleared);
}

fn escalating() -> Vec<RuleInfo> {
    let step = |minutes, to: &str| Escalation { after: Span::from_mins(minutes), to: vec![to.into()] };
    vec![RuleInfo { escalate: vec![step(10, "lead"), step(30, "chief")], ..rule("bd1", &[]) }, rule("bd3", &["bd1"])]
}

fn told_to(steps: &[Transition]) -> Vec<(TransitionKind, i64, Vec<&str>)> {
    steps.iter().map(|step| (step.kind, step.at.as_millis() / 60_000, step.recipients.iter().map(|r| r.as_str()).collect())).collect()
}

fn restarted(before: &Table, rules: &[RuleInfo]) -> Table {
    let mut after = table(rules);
    after.restore(before.open().cloned().collect(), [], before.next_seq());
    after
}

#[test]
fn an_alert_that_nobody_acknowledges_is_escalated_once_per_step_over_a_restart() {
    let mut table = table(&escalating());
    feed(&mut table, &[raise("bd1", 1)]);
    assert_eq!(table.on_tick(minute(10)), vec![]);
    let first = table.on_tick(minute(12));
    assert_eq!(told_to(&first), [(TransitionKind::Escalated, 11, vec!["lead"])]);
    assert!(first[0].announced);
    let mut table = restarted(&table, &escalating());
    assert_eq!(table.on_tick(minute(13)), vec![]);
    assert_eq!(told_to(&table.on_tick(minute(90))), [(TransitionKind::Escalated, 31, vec!["chief"])]);
    assert_eq!(table.on_tick(minute(500)), vec![]);
    let over = feed(&mut table, &[clear_of("bd1", "kimlong", 501)]);
    assert_eq!(told_to(&over), [(TransitionKind::Cleared, 501, vec!["staff", "lead", "chief"])], "who was told hears of the end");
}

#[test]
fn an_acknowledged_or_hidden_alert_is_not_escalated() {
    let mut table = table(&escalating());
    feed(&mut table, &[raise("bd1", 1)]);
    let id = only(&table).id.to_string();
    table.acknowledge(&id, "Lan", minute(5)).expect("it is open");
    assert_eq!(table.on_tick(minute(100)), vec![]);

    let mut table = self::table(&escalating());
    feed(&mut table, &[raise("bd1", 1), raise("bd3", 2)]);
    assert_eq!(table.on_tick(minute(100)), vec![]);
    let told = feed(&mut table, &[clear_of("bd3", "kimlong", 101)]);
    assert_eq!(heard(&told), Vec::<String>::new());
    let late = table.on_tick(minute(102));
    assert_eq!(heard(&late), ["bd1 kimlong escalated", "bd1 kimlong escalated"], "what waited for it is told at once");
}

#[test]
fn one_late_tick_does_what_many_would_have_done() {
    let story = |table: &mut Table, ticks: &[i64]| -> Vec<(TransitionKind, i64)> {
        feed(table, &[raise("bd1", 1)]);
        let all: Vec<Transition> = ticks.iter().flat_map(|tick| table.on_tick(minute(*tick))).collect();
        all.iter().map(|step| (step.kind, step.at.as_millis() / 60_000)).collect()
    };
    let often: Vec<i64> = (2..60).collect();
    assert_eq!(story(&mut table(&escalating()), &often), story(&mut table(&escalating()), &[60]));
}

#[test]
fn what_is_due_comes_before_what_happens_after_it_without_a_tick() {
    let mut table = table(&escalating());
    feed(&mut table, &[raise("bd1", 1)]);
    let over = table.apply(clear_of("bd1", "kimlong", 15), minute(15));
    assert_eq!(
        told_to(&over).iter().map(|(kind, at, _)| (*kind, *at)).collect::<Vec<_>>(),
        [(TransitionKind::Escalated, 11), (TransitionKind::Cleared, 15)]
    );
}

#[test]
fn a_restored_table_goes_on_where_it_stopped() {
    let mut before = table(&rules());
    feed(&mut before, &[raise("bd1", 1), raise("bd2", 2)]);
    let mut after = restarted(&before, &rules());
    assert_eq!(after.on_tick(minute(3)), vec![], "nothing is told twice");
    let next = signal("bd2", 3, SignalKind::Clear);
    assert_eq!(after.apply(next.clone(), minute(3)), before.apply(next, minute(3)));
    assert_eq!(after.next_seq(), before.next_seq());
}

#[test]
fn what_was_pending_at_a_restart_is_dropped_and_may_come_anew() {
    let mut before = table(&rules());
    before.apply(signal("bd1", 1, SignalKind::Pending { since: minute(1) }), minute(1));
    let mut after = restarted(&before, &rules());
    assert_eq!(kinds(&after.on_tick(minute(2))), [("bd1", TransitionKind::Settled)]);
    let raised = after.apply(signal("bd1", 5, SignalKind::Raise { since: minute(1) }), minute(5));
    assert_eq!(heard(&raised), ["bd1 kimlong raised"]);
}

#[test]
fn an_alert_whose_rule_is_gone_stays_until_somebody_has_seen_it() {
    let mut table = table(&rules());
    feed(&mut table, &[raise("bd1", 1), raise("bd3", 2)]);
    let id = only_id(&table, "bd1");
    table.acknowledge(&id, "Lan", minute(3)).expect("it is open");
    table.apply(signal("bd2", 3, SignalKind::Pending { since: minute(3) }), minute(3));
    let told = table.reload(&rules()[1..2], minute(4));
    use TransitionKind as T;
    assert_eq!(kinds(&told), [("bd1", T::Latched), ("bd3", T::Latched)], "the pending one's rule is as it was");
    assert!(told.iter().all(|step| step.alert.state == AlertState::Latched && step.alert.text.en.ends_with(" (rule removed)")));
    assert_eq!(table.reload(&rules()[1..2], minute(5)), vec![], "said once");
    let closed = table.acknowledge(&id, "Lan", minute(6)).expect("it waits");
    assert_eq!(closed[0].alert.state, AlertState::Cleared);
    // The same at a start with other rules.
    let mut after = restarted(&table, &[]);
    assert_eq!(kinds(&after.on_tick(minute(7))), [("bd2", T::Settled)]);
    assert_eq!(states_of(&after), [AlertState::Latched]);
}

#[test]
fn new_rules_change_who_hides_whom() {
    let mut table = table(&rules());
    feed(&mut table, &[raise("bd1", 1), raise("bd2", 2)]);
    let apart = [rule("bd3", &[]), rule("bd2", &[]), rule("bd1", &[])];
    assert_eq!(kinds(&table.reload(&apart, minute(3))), [("bd1", TransitionKind::Released)]);
    assert_eq!(kinds(&table.reload(&rules(), minute(4))), [("bd1", TransitionKind::Inhibited)]);
}

fn only_id(table: &Table, rule: &str) -> String {
    table.open().find(|alert| alert.rule == rule).expect("it is in the table").id.to_string()
}

fn states_of(table: &Table) -> Vec<AlertState> {
    table.open().map(|alert| alert.state).collect()
}
