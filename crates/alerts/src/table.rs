//! The table of open alerts: what signals do to it.

use std::collections::BTreeMap;

use huong_types::{About, Alert, Name, RuleInfo, Signal, SignalKind, Span, Text, Timestamp, Transition, TransitionKind};

use crate::change::{Step, Steps};
use crate::config::TableConfig;
use crate::group::Group;
use crate::open::{Open, Place};
use crate::recent::Recent;
use crate::rules::Rules;
use crate::state::end;

#[derive(Debug)]
pub struct Table {
    pub(crate) config: TableConfig,
    pub(crate) rules: Rules,
    pub(crate) open: Open,
    pub(crate) groups: BTreeMap<Name, Group>,
    pub(crate) recent: Recent,
    next_seq: u64,
    /// The rules may not be those that the alerts were raised by: the next call compares.
    pub(crate) unsure: bool,
    repeated: u64,
}

impl Table {
    pub fn new(rules: &[RuleInfo], config: TableConfig) -> Self {
        Self {
            recent: Recent::new(config.remembered),
            config,
            rules: Rules::new(rules),
            open: Open::default(),
            groups: BTreeMap::new(),
            next_seq: 1,
            unsure: false,
            repeated: 0,
        }
    }

    /// After a restart: what the journal says was open, the ids that it last raised, and the number of the next transition. What
    /// does not fit the rules of today is put right, and told, by the next call.
    pub fn restore(&mut self, open: Vec<Alert>, raised: impl IntoIterator<Item = Name>, next_seq: u64) {
        raised.into_iter().for_each(|id| self.recent.note(id));
        for alert in open {
            // What is pending was not raised yet, and will be under this id.
            if !alert.pending {
                self.recent.note(alert.id.clone());
            }
            self.open.insert(alert, None);
        }
        self.regroup_all();
        self.next_seq = next_seq;
        self.unsure = true;
    }

    /// What a signal changes, in order; empty when it says nothing new. `now` is processing time.
    ///
    /// A signal of a rule that the table was not made with is ignored.
    pub fn apply(&mut self, signal: Signal, now: Timestamp) -> Vec<Transition> {
        let mut steps = self.begin(signal.at, now);
        match signal.kind {
            SignalKind::Pending { since } => self.pend(signal, since, &mut steps),
            SignalKind::Settled => self.settle(signal, &mut steps),
            SignalKind::Raise { since } => self.raise(signal, since, &mut steps),
            SignalKind::Once { window_start } => self.once(signal, window_start, &mut steps),
            SignalKind::Clear => self.clear(signal, &mut steps),
            SignalKind::Update | SignalKind::Recede | SignalKind::Resume | SignalKind::Stale { .. } | SignalKind::Fresh => {
                self.follow(signal, &mut steps);
            }
        }
        self.end(steps)
    }

    /// Every alert in the table, whatever its state, by what it is about.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.iter()
    }

    /// The number that the next transition will have.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Raises that were refused because the journal has them already: a restart made their readings come twice.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Begins a call that happens at event time `at`, with what was due before `now`: the outcome does not hang on when the clock
    /// ticked, and what arrives at the very moment is heard first.
    pub(crate) fn begin(&mut self, at: Timestamp, now: Timestamp) -> Steps {
        let mut steps = Steps::new(now, now, self.next_seq);
        self.catch_up(now - Span::from_millis(1), &mut steps);
        steps.at = at;
        steps
    }

    pub(crate) fn end(&mut self, steps: Steps) -> Vec<Transition> {
        let (list, next_seq) = steps.into_list();
        self.next_seq = next_seq;
        list
    }

    fn pend(&mut self, signal: Signal, since: Timestamp, steps: &mut Steps) {
        let place = Place::rule(&signal.rule, &signal.key);
        let Some(rule) = self.rules.get(&signal.rule).filter(|_| self.open.get(&place).is_none()) else { return };
        let mut alert = self.born(&rule.info, &signal, since);
        alert.pending = true;
        self.enter(alert, Step::new(TransitionKind::Pending).because(signal.cause), steps);
    }

    fn settle(&mut self, signal: Signal, steps: &mut Steps) {
        let place = Place::rule(&signal.rule, &signal.key);
        if self.open.get(&place).is_some_and(|alert| alert.pending) {
            self.drop_pending(&place, signal.cause, steps);
        }
    }

    pub(crate) fn drop_pending(&mut self, place: &Place, cause: Vec<huong_types::Cause>, steps: &mut Steps) {
        let at = steps.at;
        self.change(place, Step::new(TransitionKind::Settled).because(cause), steps, |alert| end(alert, at));
    }

    fn raise(&mut self, signal: Signal, since: Timestamp, steps: &mut Steps) {
        let place = Place::rule(&signal.rule, &signal.key);
        let Some(rule) = self.rules.get(&signal.rule) else { return };
        let flap = rule.info.flap;
        let mut alert = self.born(&rule.info, &signal, since);
        let known = self.open.get(&place);
        if known.is_some_and(|known| !known.pending && known.ended.is_none()) {
            return;
        }
        // The journal has it: a crash came between the alarm and the reading that caused it, which was then sent again.
        if self.recent.knows(&alert.id) {
            self.repeated += 1;
            return;
        }
        let pending = known.filter(|known| known.pending).map(|known| known.id.clone());
        let kept = known.is_some() && pending.is_none();
        let renewed = known.and_then(|known| known.flapping_until).and_then(|_| self.flap_end(&signal.rule, steps.now));
        self.recent.note(alert.id.clone());
        let flaps = flap.filter(|flap| self.recent.flaps(&place, signal.at, *flap)).map(|flap| steps.now + flap.within);
        if kept {
            // A latch, a shelf or flapping kept it though its condition was over: now it is not.
            return self.change(&place, Step::new(TransitionKind::Resumed).because(signal.cause), steps, |known| {
                known.ended = None;
                known.holds = true;
                known.values = alert.values;
                known.text = alert.text;
                known.exercise = alert.exercise;
                known.flapping_until = flaps.or(renewed);
            });
        }
        match pending {
            Some(id) if id != alert.id => self.drop_pending(&place, Vec::new(), steps),
            _ => {}
        }
        alert.inhibited_by = self.hidden_by(&alert);
        alert.flapping_until = flaps;
        self.enter(alert, Step::new(TransitionKind::Raised).because(signal.cause), steps);
    }

    /// It has happened and holds no longer: told, never open.
    fn once(&mut self, signal: Signal, window_start: Timestamp, steps: &mut Steps) {
        let Some(rule) = self.rules.get(&signal.rule) else { return };
        let mut alert = self.born(&rule.info, &signal, window_start);
        if self.recent.knows(&alert.id) {
            self.repeated += 1;
            return;
        }
        self.recent.note(alert.id.clone());
        alert.inhibited_by = self.hidden_by(&alert);
        // Nothing comes after it, so nothing may keep it.
        alert.latch = false;
        end(&mut alert, signal.at);
        self.enter(alert, Step::new(TransitionKind::Raised).because(signal.cause), steps);
    }

    fn follow(&mut self, signal: Signal, steps: &mut Steps) {
        let place = Place::rule(&signal.rule, &signal.key);
        let Some(alert) = self.open.get(&place).filter(|alert| !alert.pending && alert.ended.is_none()) else { return };
        let kind = match signal.kind {
            SignalKind::Update => TransitionKind::Updated,
            SignalKind::Recede if alert.holds => TransitionKind::Receded,
            SignalKind::Resume if !alert.holds => TransitionKind::Resumed,
            SignalKind::Stale { .. } if alert.stale_since.is_none() => TransitionKind::Stale,
            SignalKind::Fresh if alert.stale_since.is_some() => TransitionKind::Fresh,
            _ => return,
        };
        let text = if alert.exercise { exercise(signal.text) } else { signal.text };
        self.change(&place, Step::new(kind).because(signal.cause), steps, |alert| {
            match signal.kind {
                SignalKind::Recede => alert.holds = false,
                SignalKind::Resume => alert.holds = true,
                SignalKind::Stale { since } => alert.stale_since = Some(since),
                SignalKind::Fresh => alert.stale_since = None,
                _ => {}
            }
            // Silence brings no figures: those of before stay.
            if !matches!(kind, TransitionKind::Stale | TransitionKind::Fresh) {
                alert.values = signal.values;
                alert.text = text;
            }
        });
    }

    fn clear(&mut self, signal: Signal, steps: &mut Steps) {
        let place = Place::rule(&signal.rule, &signal.key);
        let Some(alert) = self.open.get(&place).filter(|alert| alert.ended.is_none()) else { return };
        if alert.pending {
            return self.drop_pending(&place, signal.cause, steps);
        }
        // Still from here on: it stays flapping until it has been so for long enough.
        let still = alert.flapping_until.and_then(|_| self.flap_end(&alert.rule, steps.now));
        let text = if alert.exercise { exercise(signal.text) } else { signal.text };
        let at = steps.at;
        let kind = if still.is_some() || alert.shelf.is_some() {
            TransitionKind::Receded
        } else if alert.latch && alert.ack.is_none() {
            TransitionKind::Latched
        } else {
            TransitionKind::Cleared
        };
        self.change(&place, Step::new(kind).because(signal.cause), steps, |alert| {
            alert.flapping_until = still;
            alert.values = signal.values;
            alert.text = text;
            end(alert, at);
        });
    }

    /// Until when an alert of `rule` that changes now must be still; `None` when its rule knows no flapping (any more).
    pub(crate) fn flap_end(&self, rule: &Name, now: Timestamp) -> Option<Timestamp> {
        self.rules.get(rule).and_then(|rule| rule.info.flap).map(|flap| now + flap.within)
    }

    /// Whether alerts raised now are those of an exercise.
    pub fn exercise(&self) -> bool {
        self.open.get(&Place::exercise()).is_some()
    }

    fn born(&self, rule: &RuleInfo, signal: &Signal, onset: Timestamp) -> Alert {
        let text = if self.exercise() { exercise(signal.text.clone()) } else { signal.text.clone() };
        Alert {
            rule_version: rule.version.clone(),
            stream: rule.stream.clone(),
            values: signal.values.clone(),
            latch: rule.latch,
            silence: rule.silence,
            notify: rule.notify.clone(),
            exercise: self.exercise(),
            since: onset,
            ..Alert::new(About::Rule, id(&signal.rule, &signal.key, onset), &signal.rule, &signal.key, rule.severity, text, signal.at)
        }
    }
}

/// `river-bd3:kimlong:20251026T230000Z`; a fraction of a second is kept, so that ids differ when onsets do.
pub(crate) fn id(rule: &str, key: &str, onset: Timestamp) -> Name {
    let onset = onset.to_string().replace(['-', ':'], "");
    Name::from(format!("{rule}:{key}:{onset}"))
}

/// Nobody may take an exercise for the real thing.
const MARK: (&str, &str) = ("[DIỄN TẬP] ", "[EXERCISE] ");

pub(crate) fn exercise(text: Text) -> Text {
    Text { vi: format!("{}{}", MARK.0, text.vi), en: format!("{}{}", MARK.1, text.en) }
}

/// To be quoted in a text that has the mark itself.
pub(crate) fn without_mark(text: &Text) -> Text {
    let strip = |text: &str, mark| text.strip_prefix(mark).unwrap_or(text).to_owned();
    Text { vi: strip(&text.vi, MARK.0), en: strip(&text.en, MARK.1) }
}
