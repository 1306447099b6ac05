//! The table of open alerts.

use std::collections::{BTreeMap, HashMap};

use huong_types::{Ack, Alert, AlertState, Cause, Name, RuleInfo, Signal, SignalKind, Timestamp, Transition, TransitionKind};

#[derive(Debug)]
pub struct Table {
    rules: HashMap<Name, Rule>,
    /// By rule and key: sorted, so that what several alerts do at once has one order.
    open: BTreeMap<(Name, Name), Alert>,
    next_seq: u64,
}

#[derive(Debug)]
struct Rule {
    info: RuleInfo,
    /// The rules whose open alerts hide those of this rule, in the order of the configuration.
    hidden_by: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    #[error("no open alert has this id: `{id}`")]
    NotOpen { id: String },
    #[error("an acknowledgement needs the name of a person: found nothing")]
    Nameless,
}

impl Table {
    pub fn new(rules: &[RuleInfo]) -> Self {
        let hidden_by = |id: &Name| rules.iter().filter(|rule| rule.inhibits.contains(id)).map(|rule| rule.id.clone()).collect();
        let with = |info: &RuleInfo| (info.id.clone(), Rule { info: info.clone(), hidden_by: hidden_by(&info.id) });
        Self { rules: rules.iter().map(with).collect(), open: BTreeMap::new(), next_seq: 1 }
    }

    /// After a restart: what the journal says was open. Alerts of rules that are no longer configured stay open: nobody must find a
    /// flood alarm gone because a file changed.
    pub fn restore(&mut self, open: Vec<Alert>, next_seq: u64) {
        self.open = open.into_iter().map(|alert| ((alert.rule.clone(), alert.key.clone()), alert)).collect();
        self.next_seq = next_seq;
    }

    /// What a signal changes, in order; empty when it says nothing new. `now` is processing time.
    ///
    /// A signal of a rule that the table was not made with is ignored.
    pub fn apply(&mut self, signal: Signal, now: Timestamp) -> Vec<Transition> {
        let mut steps = Steps { now, at: signal.at, next_seq: self.next_seq, list: Vec::new() };
        match signal.kind {
            SignalKind::Raise { since } => self.raise(signal, since, &mut steps),
            SignalKind::Once { window_start } => self.once(signal, window_start, &mut steps),
            SignalKind::Clear => self.clear(signal, &mut steps),
            SignalKind::Pending { .. } | SignalKind::Settled => {}
            SignalKind::Update | SignalKind::Recede | SignalKind::Resume | SignalKind::Stale { .. } | SignalKind::Fresh => {
                self.change(signal, &mut steps);
            }
        }
        self.next_seq = steps.next_seq;
        steps.list
    }

    /// Notes that a named person has seen the alert. Acknowledging again changes nothing.
    pub fn acknowledge(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Vec<Transition>, AlertError> {
        let by = by.trim();
        if by.is_empty() {
            return Err(AlertError::Nameless);
        }
        let alert = self.open.values_mut().find(|alert| alert.id == *id).ok_or_else(|| AlertError::NotOpen { id: id.to_owned() })?;
        let mut steps = Steps { now, at: now, next_seq: self.next_seq, list: Vec::new() };
        if alert.state == AlertState::Open {
            alert.state = AlertState::Acknowledged;
            alert.ack = Some(Ack { by: by.to_owned(), at: now });
            alert.updated = now;
            steps.push(TransitionKind::Acknowledged, alert, Vec::new());
        }
        self.next_seq = steps.next_seq;
        Ok(steps.list)
    }

    /// Open and acknowledged alerts, by rule and key.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values()
    }

    /// The number that the next transition will have.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn raise(&mut self, signal: Signal, since: Timestamp, steps: &mut Steps) {
        let at = (signal.rule.clone(), signal.key.clone());
        let Some(rule) = self.rules.get(&signal.rule).filter(|_| !self.open.contains_key(&at)) else { return };
        let mut alert = born(&rule.info, &signal, since);
        alert.inhibited_by = self.hiding(rule, &signal.key);
        steps.push(TransitionKind::Raised, &alert, signal.cause);
        let id = alert.id.clone();
        self.open.insert(at, alert);
        for hidden in &rule.info.inhibits {
            if let Some(alert) = self.open.get_mut(&(hidden.clone(), signal.key.clone())).filter(|alert| alert.inhibited_by.is_none()) {
                alert.inhibited_by = Some(id.clone());
                alert.updated = steps.at;
                steps.push(TransitionKind::Inhibited, alert, Vec::new());
            }
        }
    }

    /// It has happened and holds no longer: told, never open.
    fn once(&mut self, signal: Signal, window_start: Timestamp, steps: &mut Steps) {
        let Some(rule) = self.rules.get(&signal.rule) else { return };
        let mut alert = born(&rule.info, &signal, window_start);
        alert.state = AlertState::Cleared;
        alert.holds = false;
        steps.push(TransitionKind::Raised, &alert, signal.cause);
    }

    fn change(&mut self, signal: Signal, steps: &mut Steps) {
        let Some(alert) = self.open.get_mut(&(signal.rule, signal.key)) else { return };
        let kind = match signal.kind {
            SignalKind::Update => TransitionKind::Updated,
            SignalKind::Recede if alert.holds => {
                alert.holds = false;
                TransitionKind::Receded
            }
            SignalKind::Resume if !alert.holds => {
                alert.holds = true;
                TransitionKind::Resumed
            }
            SignalKind::Stale { since } if alert.stale_since.is_none() => {
                alert.stale_since = Some(since);
                TransitionKind::Stale
            }
            SignalKind::Fresh if alert.stale_since.is_some() => {
                alert.stale_since = None;
                TransitionKind::Fresh
            }
            _ => return,
        };
        // Silence brings no figures: those of before stay.
        if !matches!(kind, TransitionKind::Stale | TransitionKind::Fresh) {
            alert.values = signal.values;
            alert.text = signal.text;
        }
        alert.updated = steps.at;
        steps.push(kind, alert, signal.cause);
    }

    fn clear(&mut self, signal: Signal, steps: &mut Steps) {
        let Some(mut alert) = self.open.remove(&(signal.rule.clone(), signal.key.clone())) else { return };
        alert.state = AlertState::Cleared;
        alert.holds = false;
        alert.stale_since = None;
        alert.inhibited_by = None;
        alert.values = signal.values;
        alert.text = signal.text;
        alert.updated = steps.at;
        steps.push(TransitionKind::Cleared, &alert, signal.cause);
        let hidden: Vec<(Name, Name)> =
            self.open.iter().filter(|(_, other)| other.inhibited_by.as_ref() == Some(&alert.id)).map(|(at, _)| at.clone()).collect();
        for at in hidden {
            let hiding = self.rules.get(&at.0).and_then(|rule| self.hiding(rule, &at.1));
            if let Some(other) = self.open.get_mut(&at) {
                let kind = if hiding.is_some() { TransitionKind::Inhibited } else { TransitionKind::Released };
                other.inhibited_by = hiding;
                other.updated = steps.at;
                steps.push(kind, other, Vec::new());
            }
        }
    }

    /// The open alert of the same key that hides those of `rule`.
    fn hiding(&self, rule: &Rule, key: &Name) -> Option<Name> {
        rule.hidden_by.iter().find_map(|by| self.open.get(&(by.clone(), key.clone()))).map(|alert| alert.id.clone())
    }
}

/// The transitions of one call, numbered as they come.
struct Steps {
    now: Timestamp,
    at: Timestamp,
    next_seq: u64,
    list: Vec<Transition>,
}

impl Steps {
    fn push(&mut self, kind: TransitionKind, alert: &Alert, cause: Vec<Cause>) {
        self.list.push(Transition { seq: self.next_seq, kind, at: self.at, decided: self.now, alert: alert.clone(), cause });
        self.next_seq += 1;
    }
}

fn born(rule: &RuleInfo, signal: &Signal, onset: Timestamp) -> Alert {
    Alert {
        id: id(&signal.rule, &signal.key, onset),
        rule: signal.rule.clone(),
        key: signal.key.clone(),
        stream: rule.stream.clone(),
        severity: rule.severity,
        state: AlertState::Open,
        holds: true,
        stale_since: None,
        since: onset,
        raised: signal.at,
        updated: signal.at,
        values: signal.values.clone(),
        text: signal.text.clone(),
        ack: None,
        inhibited_by: None,
        silence: rule.silence,
        notify: rule.notify.clone(),
    }
}

/// `river-bd3:kimlong:20251026T230000Z`; a fraction of a second is kept, so that ids differ when onsets do.
fn id(rule: &Name, key: &Name, onset: Timestamp) -> Name {
    let onset = onset.to_string().replace(['-', ':'], "");
    Name::from(format!("{rule}:{key}:{onset}"))
}
