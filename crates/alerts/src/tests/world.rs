//! Any story: signals in any order, orders of operators, the clock, new rules and restarts.

use std::collections::BTreeMap;

use huong_types::{
    Alert, AlertState, Escalation, Flap, Name, NoteKind, Order, RuleInfo, Severity, SignalKind, Span, Timestamp, Transition, TransitionKind,
};
use proptest::prelude::*;

use super::{minute, rule, signal_of};
use crate::{Table, TableConfig};

pub(super) const RULES: [&str; 8] = ["bd3", "bd2", "bd1", "street", "street-deep", "fire", "dark", "event"];
const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
pub(super) enum Op {
    Signal {
        rule: usize,
        key: usize,
        kind: u8,
    },
    /// Raised and cleared in turn, that often.
    Rattle {
        rule: usize,
        key: usize,
        times: u8,
    },
    Acknowledge(usize),
    Assign(usize, bool),
    Note(usize),
    Shelve(usize, i64),
    Unshelve(usize),
    Exercise(bool),
    /// Minutes pass.
    Pass(i64),
    /// Only the rules of this mask are left, in this version.
    Reload(u8, u8),
    Restart,
}

pub(super) fn all_rules() -> Vec<RuleInfo> {
    let escalate = vec![
        Escalation { after: Span::from_mins(3), to: vec!["lead".into()] },
        Escalation { after: Span::from_mins(9), to: vec!["chief".into()] },
    ];
    let flap = Some(Flap { raises: 3, within: Span::from_mins(12) });
    let street =
        |id, severity| RuleInfo { group: "street".into(), group_after: 2, severity, flap, escalate: escalate.clone(), ..rule(id, &[]) };
    vec![
        RuleInfo { severity: Severity::Extreme, escalate: escalate.clone(), ..rule("bd3", &["bd2", "bd1"]) },
        RuleInfo { latch: true, ..rule("bd2", &["bd1"]) },
        RuleInfo { flap, ..rule("bd1", &[]) },
        street("street", Severity::Moderate),
        RuleInfo { latch: true, ..street("street-deep", Severity::Severe) },
        RuleInfo { latch: true, flap, escalate: escalate.clone(), group_after: 1, ..rule("fire", &[]) },
        RuleInfo { silence: true, across: true, ..rule("dark", &["street", "fire", "event"]) },
        RuleInfo { each: true, ..rule("event", &[]) },
    ]
}

/// A story about two rules mostly, so that much happens to the same alerts.
pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    (0..RULES.len(), 0..RULES.len(), 1..=KEYS.len()).prop_flat_map(|(one, other, keys)| {
        let rule = || prop_oneof![3 => Just(one), 3 => Just(other), 1 => 0..RULES.len()];
        let some = || any::<prop::sample::Index>().prop_map(|i| i.index(32));
        let op = prop_oneof![
            24 => (rule(), 0..keys, 0..10u8).prop_map(|(rule, key, kind)| Op::Signal { rule, key, kind }),
            2 => (rule(), 0..keys, 1..8u8).prop_map(|(rule, key, times)| Op::Rattle { rule, key, times }),
            2 => some().prop_map(Op::Acknowledge),
            1 => (some(), any::<bool>()).prop_map(|(n, to)| Op::Assign(n, to)),
            1 => some().prop_map(Op::Note),
            2 => (some(), 1..30i64).prop_map(|(n, minutes)| Op::Shelve(n, minutes)),
            1 => some().prop_map(Op::Unshelve),
            1 => any::<bool>().prop_map(Op::Exercise),
            3 => (1..20i64).prop_map(Op::Pass),
            1 => (any::<u8>(), any::<u8>(), 1..3u8).prop_map(|(a, b, version)| Op::Reload(a | b, version)),
            1 => Just(Op::Restart),
        ];
        prop::collection::vec(op, 0..90)
    })
}

/// The table, what the journal makes of it, and the clock: each operation takes a minute.
pub(super) struct World {
    pub(super) table: Table,
    pub(super) rules: Vec<RuleInfo>,
    pub(super) journal: BTreeMap<Name, Alert>,
    pub(super) raised: Vec<Name>,
    pub(super) now: i64,
}

impl World {
    pub(super) fn new() -> World {
        let rules = all_rules();
        World { table: Table::new(&rules, config()), rules, journal: BTreeMap::new(), raised: Vec::new(), now: 0 }
    }

    /// Does one operation; gives each transition with the state of its alert before, by the journal.
    pub(super) fn play(&mut self, op: &Op) -> Vec<(Option<AlertState>, Transition)> {
        self.now += if let Op::Pass(minutes) = op { *minutes } else { 1 };
        let due = self.table.on_tick(minute(self.now));
        assert!(self.table.next_deadline().is_none_or(|next| next > minute(self.now)), "what was due is done");
        let mut told = self.note(due);
        if let Op::Rattle { rule, key, times } = op {
            for n in 0..*times {
                told.extend(self.play(&Op::Signal { rule: *rule, key: *key, kind: if n % 2 == 0 { 2 } else { 7 } }));
            }
        } else {
            let done = self.act(op);
            told.extend(self.note(done));
        }
        told
    }

    fn act(&mut self, op: &Op) -> Vec<Transition> {
        let now = minute(self.now);
        let (by, why) = ("Lan".to_owned(), "đang sửa".to_owned());
        match op {
            Op::Signal { rule, key, kind } => {
                let (rule, key) = (RULES[*rule], KEYS[*key]);
                // A condition that was pending began to hold when its wait began.
                let pending = self.table.open().find(|alert| alert.pending && alert.rule == rule && alert.key == key);
                let kind = if rule == "event" {
                    SignalKind::Once { window_start: now }
                } else {
                    kind_of(*kind, pending.map_or(now, |alert| alert.since))
                };
                self.table.apply(signal_of(rule, key, self.now, kind), now)
            }
            Op::Pass(_) | Op::Rattle { .. } => Vec::new(),
            Op::Reload(mask, version) => {
                let kept = all_rules().into_iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0);
                self.rules = kept.map(|(_, rule)| RuleInfo { version: format!("v{version}").into(), ..rule }).collect();
                self.table.reload(&self.rules, now)
            }
            Op::Restart => {
                let next_seq = self.table.next_seq();
                self.table = Table::new(&self.rules, config());
                self.table.restore(self.journal.values().cloned().collect(), self.raised.clone(), next_seq);
                self.table.on_tick(now)
            }
            Op::Acknowledge(n) => self.order(*n, |alert| Order::Acknowledge { alert, by }),
            Op::Assign(n, to) => self.order(*n, |alert| Order::Assign { alert, to: to.then(|| by.clone()), by }),
            Op::Note(n) => self.order(*n, |alert| Order::Note { alert, by, kind: NoteKind::Comment, text: why }),
            Op::Unshelve(n) => self.order(*n, |alert| Order::Unshelve { alert, by }),
            Op::Shelve(n, minutes) => self.order(*n, |alert| Order::Shelve { alert, by, why, until: now + Span::from_mins(*minutes) }),
            Op::Exercise(on) => self.table.set_exercise(*on, &by, now).expect("it has a name"),
        }
    }

    /// An order about some alert; those that cannot be followed change nothing.
    fn order(&mut self, n: usize, order: impl FnOnce(String) -> Order) -> Vec<Transition> {
        let ids: Vec<String> = self.table.open().map(|alert| alert.id.to_string()).collect();
        let Some(id) = ids.get(n % ids.len().max(1)) else { return Vec::new() };
        self.table.order(&order(id.clone()), minute(self.now)).unwrap_or_default()
    }

    fn note(&mut self, steps: Vec<Transition>) -> Vec<(Option<AlertState>, Transition)> {
        let mut told = Vec::new();
        for step in steps {
            let before = self.journal.get(&step.alert.id).map(|alert| alert.state);
            if step.kind == TransitionKind::Raised {
                self.raised.push(step.alert.id.clone());
            }
            if step.alert.state == AlertState::Cleared {
                self.journal.remove(&step.alert.id);
            } else {
                self.journal.insert(step.alert.id.clone(), step.alert.clone());
            }
            told.push((before, step));
        }
        told
    }

    pub(super) fn info(&self, rule: &Name) -> Option<&RuleInfo> {
        self.rules.iter().find(|info| info.id == *rule)
    }
}

fn config() -> TableConfig {
    TableConfig { longest_shelf: Span::from_mins(30), ..TableConfig::default() }
}

fn kind_of(n: u8, since: Timestamp) -> SignalKind {
    match n {
        0 => SignalKind::Pending { since },
        1 => SignalKind::Settled,
        2 | 3 => SignalKind::Raise { since },
        4 => SignalKind::Update,
        5 => SignalKind::Recede,
        6 => SignalKind::Resume,
        7 => SignalKind::Clear,
        8 => SignalKind::Stale { since },
        _ => SignalKind::Fresh,
    }
}
