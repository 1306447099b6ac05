//! Whatever happens, in whatever order: what the table promises holds after every step.

use std::collections::{BTreeMap, BTreeSet};

use huong_types::{About, Alert, AlertState, Name, RuleInfo, Severity, Transition, TransitionKind};
use proptest::prelude::*;

use super::minute;
use super::world::{Op, World, ops};
use crate::state;

/// It holds, as the rules see it or while it flaps.
fn stands(alert: &Alert) -> bool {
    alert.about == About::Rule && !alert.pending && (alert.ended.is_none() || alert.flapping_until.is_some())
}

fn check_table(world: &World) {
    let open: Vec<&Alert> = world.table.open().collect();
    let places: BTreeSet<_> = open.iter().map(|a| (a.about, &a.rule, &a.key)).collect();
    assert_eq!(places.len(), open.len(), "one alert per rule and key");
    let now = minute(world.now);
    let mut deadlines = Vec::new();
    for alert in &open {
        assert_eq!(world.journal.get(&alert.id), Some(*alert), "the journal alone tells what is in the table");
        assert_eq!(alert.state, state(alert));
        assert_ne!(alert.state, AlertState::Cleared, "what is over has left the table");
        if let Some(shelf) = &alert.shelf {
            assert!(now < shelf.until && shelf.until.since(shelf.at) <= huong_types::Span::from_mins(30), "nothing is shelved for ever");
            deadlines.push(shelf.until);
        }
        assert!(alert.flapping_until.is_none_or(|until| until > now), "flapping ends when it has been still");
        deadlines.extend(alert.flapping_until);
        let steps = world.info(&alert.rule).filter(|_| alert.about == About::Rule).map(|rule| rule.escalate.len());
        assert!(steps.is_none_or(|steps| alert.escalated as usize <= steps), "each escalation step once");
    }
    assert_eq!(world.journal.len(), open.len());
    let due = world.table.next_deadline();
    assert!(deadlines.iter().min().is_none_or(|first| due.is_some_and(|due| due <= *first)), "the clock knows of it");
    check_inhibition(world, &open);
    check_groups(world, &open);
}

fn check_inhibition(world: &World, open: &[&Alert]) {
    let hides = |rule: &RuleInfo, by: &Alert, alert: &Alert| {
        rule.id == by.rule && rule.inhibits.contains(&alert.rule) && (rule.across || by.key == alert.key)
    };
    for alert in open.iter().filter(|alert| alert.about == About::Rule && world.info(&alert.rule).is_some()) {
        let hidden = open.iter().filter(|by| stands(by)).any(|by| world.rules.iter().any(|rule| hides(rule, by, alert)));
        assert_eq!(alert.inhibited_by.is_some(), hidden && !alert.pending, "hidden exactly while a graver one stands: {}", alert.id);
        let by = alert.inhibited_by.as_ref();
        assert!(by.is_none_or(|by| open.iter().any(|other| other.id == *by && stands(other))), "hidden by one that stands");
    }
}

fn check_groups(world: &World, open: &[&Alert]) {
    let mut members: BTreeMap<&Name, Vec<&Alert>> = BTreeMap::new();
    for alert in open.iter().filter(|alert| stands(alert) && alert.inhibited_by.is_none() && alert.shelf.is_none()) {
        if let Some(rule) = world.info(&alert.rule).filter(|rule| rule.group_after > 0) {
            members.entry(&rule.group).or_default().push(alert);
        }
    }
    let mut groups: BTreeMap<&Name, &Alert> = open.iter().filter(|a| a.about == About::Group).map(|a| (&a.rule, *a)).collect();
    let mut folded = 0;
    for (name, members) in members {
        let limits = world.rules.iter().filter(|rule| rule.group == *name && rule.group_after > 0).map(|rule| rule.group_after as usize);
        let limit = limits.min().expect("a member has a rule");
        let Some(group) = groups.remove(name) else {
            assert!(members.len() <= limit, "a group over its limit has an alert");
            assert!(members.iter().all(|alert| alert.folded_into.is_none()));
            continue;
        };
        assert!(members.len() > limit / 2, "a group's alert has more members than half of its limit");
        assert_eq!(group.values[&Name::new("count")], members.len() as f64, "it counts all of them");
        for severity in Severity::ALL {
            let count = members.iter().filter(|alert| alert.severity == severity).count();
            assert_eq!(group.values[&Name::new(severity.as_str())], count as f64);
        }
        let single: Vec<_> = members.iter().filter(|alert| alert.folded_into.is_none()).collect();
        assert_eq!(single.len(), 1, "one is told singly");
        let gravest = members.iter().map(|alert| (std::cmp::Reverse(alert.severity), alert.raised)).min();
        assert_eq!(gravest, Some((std::cmp::Reverse(single[0].severity), single[0].raised)), "the gravest, of these the oldest");
        assert!(group.text.vi.ends_with(single[0].text.vi.trim_start_matches("[DIỄN TẬP] ")), "{}", group.text.vi);
        let others = members.iter().filter_map(|alert| alert.folded_into.as_ref());
        assert!(others.clone().all(|id| *id == group.id));
        folded += others.count();
    }
    assert!(groups.is_empty(), "a group's alert has members");
    assert_eq!(open.iter().filter(|alert| alert.folded_into.is_some()).count(), folded, "only members are folded");
}

fn check_step(world: &World, before: Option<AlertState>, step: &Transition) {
    let alert = &step.alert;
    assert_eq!(alert.state, state(alert));
    if step.announced {
        assert!(alert.announced.is_some() || step.kind == TransitionKind::Escalated);
        let once = step.kind == TransitionKind::Raised && alert.state == AlertState::Cleared;
        assert!(once || (alert.state.audible() && alert.ack.is_none()), "{} {}", alert.state, alert.id);
    }
    if matches!(step.kind, TransitionKind::Updated | TransitionKind::Acknowledged | TransitionKind::Assigned | TransitionKind::Noted) {
        assert!(!step.announced);
    }
    if world.info(&alert.rule).is_some_and(|rule| rule.group_after == 0) {
        assert_eq!(alert.folded_into, None, "a level alarm is never hidden by a count");
    }
    assert!(before != Some(AlertState::Cleared));
}

fn play(story: &[Op], check: bool) -> Vec<Transition> {
    let mut world = World::new();
    let mut all = Vec::new();
    for op in story {
        for (before, step) in world.play(op) {
            check_step(&world, before, &step);
            all.push(step);
        }
        if check {
            check_table(&world);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_the_table_promises_holds_after_every_step(story in ops()) {
        let all = play(&story, true);
        for (n, step) in all.iter().enumerate() {
            prop_assert_eq!(step.seq, n as u64 + 1);
        }
        let raised: Vec<&Name> = all.iter().filter(|step| step.kind == TransitionKind::Raised).map(|step| &step.alert.id).collect();
        prop_assert_eq!(raised.iter().collect::<BTreeSet<_>>().len(), raised.len(), "ids are unique");
    }

    #[test]
    fn the_same_story_is_told_byte_for_byte_alike(story in ops()) {
        let bytes = |all: &Vec<Transition>| postcard::to_stdvec(all).expect("a transition has bytes");
        prop_assert_eq!(bytes(&play(&story, false)), bytes(&play(&story, false)));
    }

    #[test]
    fn what_was_announced_is_over_one_day(story in ops()) {
        let mut world = World::new();
        let mut heard = BTreeSet::new();
        let mut over = BTreeSet::new();
        let mut note = |steps: Vec<(Option<AlertState>, Transition)>| {
            for (_, step) in steps {
                heard.extend(step.announced.then(|| step.alert.id.clone()));
                over.extend((step.alert.state == AlertState::Cleared).then_some(step.alert.id));
            }
        };
        story.iter().for_each(|op| note(world.play(op)));
        // Everything ends, everybody has seen it, and time passes.
        for rule in 0..super::world::RULES.len() {
            (0..3).for_each(|key| note(world.play(&Op::Signal { rule, key, kind: 7 })));
        }
        note(world.play(&Op::Exercise(false)));
        note(world.play(&Op::Pass(60)));
        for _ in 0..world.table.open().count() {
            (0..32).for_each(|n| note(world.play(&Op::Acknowledge(n))));
        }
        prop_assert!(heard.is_subset(&over), "told and never ended: {:?}", heard.difference(&over).collect::<Vec<_>>());
    }
}
