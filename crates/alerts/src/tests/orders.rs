//! What operators do.

use huong_types::{AlertState, NoteKind, Order, RuleInfo, SignalKind, Span, Timestamp, TransitionKind};

use super::{clear_of, feed, heard, kinds, minute, only, raise, raise_of, rule, rules, signal, table};
use crate::{AlertError, Table};

const ID: &str = "bd1:kimlong:19700101T000100Z";

fn raised() -> Table {
    let mut table = table(&rules());
    feed(&mut table, &[raise("bd1", 1)]);
    table
}

#[test]
fn acknowledging() {
    let mut table = raised();
    assert_eq!(table.acknowledge(ID, "  ", minute(2)), Err(AlertError::Nameless));
    let done = table.order(&Order::Acknowledge { alert: ID.to_owned(), by: " Lan ".to_owned() }, minute(2)).expect("it is open");
    assert_eq!((kinds(&done), done[0].by.as_deref()), (vec![("bd1", TransitionKind::Acknowledged)], Some("Lan")));
    assert_eq!(table.acknowledge(ID, "Minh", minute(3)), Ok(vec![]), "the first one counts");
    let kept = table.apply(signal("bd1", 4, SignalKind::Update), minute(4));
    assert_eq!((kept[0].alert.state, kept[0].alert.ack.as_ref().map(|a| a.by.as_str())), (AlertState::Acknowledged, Some("Lan")));
    let stale = table.apply(signal("bd1", 5, SignalKind::Stale { since: minute(4) }), minute(5));
    assert_eq!((stale[0].alert.state, stale[0].alert.ack.is_some()), (AlertState::Stale, true), "facts stay beside the state");
    table.apply(signal("bd1", 6, SignalKind::Clear), minute(6));
    let gone = Err(AlertError::NotOpen { id: ID.to_owned() });
    assert_eq!(table.acknowledge(ID, "Lan", minute(7)), gone);
}

#[test]
fn an_alert_is_given_to_somebody_and_taken_back() {
    let mut table = raised();
    let mut assign = |to: Option<&str>, at: i64| {
        table.order(&Order::Assign { alert: ID.to_owned(), by: "Lan".to_owned(), to: to.map(str::to_owned) }, minute(at))
    };
    let given = assign(Some(" Bình "), 2).expect("it is open");
    let to = |steps: &[huong_types::Transition]| steps[0].alert.assigned.as_ref().map(|a| (a.to.clone(), a.by.clone()));
    assert_eq!((kinds(&given), to(&given)), (vec![("bd1", TransitionKind::Assigned)], Some(("Bình".to_owned(), "Lan".to_owned()))));
    assert_eq!((given[0].alert.state, given[0].announced), (AlertState::Open, false), "given is not acknowledged");
    assert_eq!(assign(Some("Bình"), 3), Ok(vec![]), "he has it");
    assert_eq!(assign(Some(" "), 3), Err(AlertError::Nameless));
    assert_eq!(to(&assign(None, 4).expect("it is open")), None);
    assert_eq!(assign(None, 5), Ok(vec![]));
}

#[test]
fn what_people_say_stays_with_the_alert() {
    let mut table = raised();
    let mut note = |by: &str, kind, text: &str, at: i64| {
        table.order(&Order::Note { alert: ID.to_owned(), by: by.to_owned(), kind, text: text.to_owned() }, minute(at))
    };
    assert_eq!(note("Lan", NoteKind::Comment, " ", 2), Err(AlertError::Wordless));
    assert_eq!(kinds(&note("Bình", NoteKind::Coming, "", 2).expect("it is open")), vec![("bd1", TransitionKind::Noted)]);
    assert_eq!(note("Bình", NoteKind::Coming, "", 3), Ok(vec![]), "sent twice over a bad line");
    let last = (3..13).map(|at| note("Lan", NoteKind::Comment, &format!("lần {at}"), at).expect("it is open")).last().expect("ten");
    let texts: Vec<&str> = last[0].alert.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!((texts.len(), texts[0], texts[7]), (8, "lần 5", "lần 12"));
    let kept = table.apply(signal("bd1", 14, SignalKind::Update), minute(14));
    assert_eq!(kept[0].alert.notes.len(), 8);
}

#[test]
fn what_is_pending_cannot_be_ordered_about() {
    let mut table = table(&rules());
    table.apply(signal("bd1", 1, SignalKind::Pending { since: minute(1) }), minute(1));
    assert_eq!(table.acknowledge(ID, "Lan", minute(2)), Err(AlertError::NotOpen { id: ID.to_owned() }));
}

#[test]
fn a_shelf_needs_a_name_a_reason_and_an_end_that_is_near() {
    let mut table = raised();
    let mut shelve = |by: &str, why: &str, until: Timestamp| table.shelve(ID, by, why, until, minute(10)).map(|steps| steps.len());
    assert_eq!(shelve("", "sửa", minute(20)), Err(AlertError::Nameless));
    assert_eq!(shelve("Lan", " ", minute(20)), Err(AlertError::Reasonless));
    assert_eq!(shelve("Lan", "sửa", minute(10)), Err(AlertError::Past { until: minute(10), now: minute(10) }));
    let (longest, found) = (Span::from_mins(480), Span::from_mins(481));
    assert_eq!(shelve("Lan", "sửa", minute(491)), Err(AlertError::TooLong { longest, found }));
    assert_eq!(shelve("Lan", "sửa", minute(490)), Ok(1));
    let gone = table.shelve("x", "Lan", "sửa", minute(20), minute(10));
    assert_eq!(gone.expect_err("there is no such alert").to_string(), "no open alert has this id: `x`");
}

#[test]
fn a_shelved_source_is_quiet_until_its_time_is_over() {
    let mut table = raised();
    let shelved = table.shelve(ID, "Lan", "cảm biến đang sửa", minute(60), minute(10)).expect("it is open");
    assert_eq!((shelved[0].kind, shelved[0].alert.state), (TransitionKind::Shelved, AlertState::Shelved));
    assert_eq!(table.next_deadline(), Some(minute(60)));
    let told = feed(&mut table, &[clear_of("bd1", "kimlong", 20), raise("bd1", 30), clear_of("bd1", "kimlong", 40), raise("bd1", 50)]);
    assert_eq!((kinds(&told).len(), heard(&told).len()), (4, 0), "journalled, not announced");
    assert_eq!(only(&table).id, ID, "it is the source that is put away, not one raise of it");
    assert_eq!(table.on_tick(minute(59)), vec![]);
    let back = table.on_tick(minute(75));
    assert_eq!((kinds(&back), back[0].at, back[0].decided), (vec![("bd1", TransitionKind::Unshelved)], minute(60), minute(75)));
    assert_eq!((back[0].announced, back[0].alert.state, &back[0].alert.shelf), (true, AlertState::Open, &None));
}

#[test]
fn what_is_over_when_it_comes_off_the_shelf_is_gone() {
    let mut table = raised();
    table.shelve(ID, "Lan", "sửa", minute(60), minute(10)).expect("it is open");
    feed(&mut table, &[clear_of("bd1", "kimlong", 20)]);
    assert_eq!(table.unshelve(ID, "", minute(30)), Err(AlertError::Nameless));
    let back = table.unshelve(ID, "Minh", minute(30)).expect("it is shelved");
    assert_eq!((back[0].alert.state, back[0].announced, back[0].by.as_deref()), (AlertState::Cleared, false, Some("Minh")));
    assert_eq!(table.open().count(), 0);
    let mut other = raised();
    assert_eq!(other.unshelve(ID, "Minh", minute(30)), Err(AlertError::NotShelved { id: ID.to_owned() }));
}

#[test]
fn an_exercise_marks_what_is_raised_in_it() {
    let mut table = raised();
    assert_eq!(table.set_exercise(true, "", minute(2)), Err(AlertError::Nameless));
    let on = table.set_exercise(true, "Lan", minute(2)).expect("it has a name");
    assert_eq!(on[0].alert.text.vi, "[DIỄN TẬP] Chế độ diễn tập do Lan bật");
    assert_eq!(table.set_exercise(true, "Minh", minute(3)), Ok(vec![]));
    let told = feed(&mut table, &[raise("bd2", 4), signal("bd2", 5, SignalKind::Update), signal("bd1", 5, SignalKind::Update)]);
    let texts: Vec<_> = told.iter().map(|step| (step.alert.exercise, step.alert.text.en.as_str())).collect();
    let (old, new) = ((false, "kimlong: level 1"), (true, "[EXERCISE] kimlong: level 4"));
    assert_eq!(texts, [new, old, (true, "[EXERCISE] kimlong: level 5"), (false, "kimlong: level 5")], "what stood before is real");
    let off = table.order(&Order::Exercise { on: false, by: "Lan".to_owned() }, minute(6)).expect("it has a name");
    assert_eq!((off[0].alert.state, off[0].by.as_deref()), (AlertState::Cleared, Some("Lan")));
    assert!(!feed(&mut table, &[raise("bd3", 7)])[0].alert.exercise);
}

#[test]
fn an_exercise_outlives_a_restart() {
    let mut before = table(&rules());
    before.set_exercise(true, "Lan", minute(2)).expect("it has a name");
    let mut after = table(&rules());
    after.restore(before.open().cloned().collect(), [], before.next_seq());
    assert!(after.exercise());
}

#[test]
fn acknowledging_a_group_acknowledges_all_that_it_counts() {
    let street = RuleInfo { group: "street".into(), group_after: 1, ..rule("depth", &[]) };
    let mut table = table(&[street]);
    feed(&mut table, &[raise_of("depth", "a", 1), raise_of("depth", "b", 2), raise_of("depth", "c", 3)]);
    let group = table.open().find(|alert| alert.rule == "street").expect("more than one").id.to_string();
    let done = table.acknowledge(&group, "Lan", minute(4)).expect("it is open");
    let seen: Vec<_> = done.iter().map(|step| (step.alert.key.as_str(), step.kind)).collect();
    let taken = TransitionKind::Acknowledged;
    assert_eq!(seen, [("*", taken), ("b", taken), ("c", taken)], "the single one is told by itself");
}
