//! The sink that tells people: steps become letters, letters go out to each recipient in order.
//!
//! Invariant: a step is done with when its letters are written down, not when they have arrived, so a recipient that cannot be reached
//! delays no other and no step. At least once, always under the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use huong_flow::{Backoff, Stop};
use huong_types::{Alert, AlertState, Name, Span, Timestamp, Transition, TransitionKind};
use serde_json::json;

use crate::channel::{Channel, Failure};
use crate::config::RetryConfig;
use crate::letters::{Letter, Letters};
use crate::office::Office;
use crate::outbox::Outbox;
use crate::payload::idempotency_key;
use crate::receipts::{Outcome, Receipt};
use crate::tray::Tray;

/// How often a waiting sink looks whether it should stop, or whether held letters are due.
const LOOK: Duration = Duration::from_millis(500);
/// More letters than these wait in the journal: it has them already.
const WAITING: usize = 10_000;
/// Recipients served at once: one that answers slowly delays at most this round.
const AT_ONCE: usize = 8;

pub(crate) struct Post {
    pub(crate) sink: Name,
    pub(crate) channel: Box<dyn Channel>,
    pub(crate) office: Arc<Office>,
    pub(crate) retry: RetryConfig,
    /// A letter older than this is refused for good.
    pub(crate) give_up: Span,
}

/// A person and an address.
type Recipient = (Name, String);

impl Post {
    /// Runs until `stop`, or until the bell's other end is gone.
    pub(crate) fn run(self, mut outbox: Outbox, mut letters: Letters, bell: &Receiver<()>, stop: &Stop) {
        let mut trays: BTreeMap<Recipient, Tray> = BTreeMap::new();
        letters.waiting().cloned().for_each(|letter| self.sort(letter, &mut trays));
        while !stop.is_set() {
            let more = self.read(&mut outbox, &mut letters, &mut trays);
            self.release(&mut letters, &mut trays);
            let sent = self.round(&mut outbox, &mut letters, &mut trays);
            outbox.waiting(letters.len());
            if !(more || sent) && bell.recv_timeout(wait(&trays)) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
        letters.save(true);
    }

    /// Writes letters for the next steps; true when there may be more.
    fn read(&self, outbox: &mut Outbox, letters: &mut Letters, trays: &mut BTreeMap<Recipient, Tray>) -> bool {
        if letters.len() >= WAITING {
            return false;
        }
        let steps = match outbox.after(outbox.done()) {
            Ok(steps) if steps.is_empty() => return false,
            Ok(steps) => steps,
            Err(why) => {
                outbox.failed(why);
                return false;
            }
        };
        // Only a message about an alert looks at them, and most steps are not told to people.
        let mut open: Option<Vec<Alert>> = None;
        for step in &steps {
            // Of these the letters are written already: the offset was not saved.
            if step.seq > letters.upto() {
                if pushed(step) && outbox.filter().wants(step) {
                    let open = open.get_or_insert_with(|| outbox.journal.open_alerts().unwrap_or_default());
                    let written = self.letters_of(step, open, letters);
                    let persons = written.iter().map(|letter| letter.person.clone()).collect();
                    letters.tell(&step.alert.id, persons);
                    for letter in written {
                        letters.write(letter.clone());
                        self.sort(letter, trays);
                    }
                }
                self.note(step, letters);
                letters.read_upto(step.seq);
            }
            outbox.advance(step.seq);
        }
        letters.save(true);
        outbox.save();
        true
    }

    /// One letter per address of everybody whom the step reaches. How it goes on and that it ends is told to those who know of it.
    fn letters_of(&self, step: &Transition, open: &[Alert], letters: &Letters) -> Vec<Letter> {
        let roster = &self.office.config.roster;
        let mut persons: BTreeSet<Name> = letters.told(&step.alert.id).cloned().collect();
        if step.announced || persons.is_empty() {
            persons.extend(roster.reached(step, &self.office.registry).into_iter().cloned());
        }
        let mut written = Vec::new();
        for person in persons.iter().filter_map(|id| roster.person(id)) {
            let (message, title) = self.office.message(step, person, open);
            let addresses = self.channel.addresses(&self.sink, person);
            let several = addresses.len() > 1;
            for to in addresses {
                let key = format!("{}/{}", idempotency_key(step), person.id);
                let key = if several { format!("{key}/{}", fingerprint(&to)) } else { key };
                written.push(Letter {
                    key,
                    alerts: vec![step.alert.id.clone()],
                    person: person.id.clone(),
                    to,
                    severity: step.alert.severity,
                    at: (self.office.now)(),
                    title: title.clone(),
                    message: message.clone(),
                    merges: Vec::new(),
                });
            }
        }
        written
    }

    /// Who has acknowledged what this sink told, and what is over.
    fn note(&self, step: &Transition, letters: &mut Letters) {
        let alert = &step.alert.id;
        let by = step.by.as_deref().unwrap_or_default();
        if step.kind == TransitionKind::Acknowledged
            && let Some(person) = letters.told(alert).find(|person| **person == *by || self.office.name_of(person) == Some(by))
        {
            self.office.keep(&[Receipt {
                alert: alert.clone(),
                key: idempotency_key(step),
                sink: self.sink.clone(),
                recipient: person.clone(),
                at: step.decided,
                outcome: Outcome::Acknowledged,
                why: None,
            }]);
        }
        if step.alert.state == AlertState::Cleared {
            letters.over(alert);
        }
    }

    fn sort(&self, letter: Letter, trays: &mut BTreeMap<Recipient, Tray>) {
        let backoff = || Backoff::new(self.retry.first.to_std(), self.retry.most.to_std());
        let person = self.office.config.roster.person(&letter.person);
        let tray = trays.entry((letter.person.clone(), letter.to.clone())).or_insert_with(|| Tray::new(backoff()));
        tray.add(letter, person, self.office.config.digest);
    }

    /// Held letters whose time has come become one.
    fn release(&self, letters: &mut Letters, trays: &mut BTreeMap<Recipient, Tray>) {
        let now = (self.office.now)();
        for ((person, _), tray) in trays.iter_mut() {
            let held = tray.release(now);
            if held.len() < 2 {
                tray.next.append(&mut held.into());
                continue;
            }
            let digest = self.digest(person, &held, now);
            letters.write(digest.clone());
            letters.save(true);
            tray.next.push_back(digest);
        }
    }

    fn digest(&self, person: &Name, held: &[Letter], now: Timestamp) -> Letter {
        let (first, last) = (&held[0], &held[held.len() - 1]);
        let of: Vec<_> = held.iter().map(|letter| (letter.severity, letter.title.clone())).collect();
        let message = self.office.config.roster.person(person).map(|person| self.office.digest(&of, first.at, person));
        let alerts: BTreeSet<Name> = held.iter().flat_map(|letter| letter.alerts.clone()).collect();
        Letter {
            key: format!("digest/{}", last.key),
            alerts: alerts.into_iter().collect(),
            severity: held.iter().map(|letter| letter.severity).max().unwrap_or(last.severity),
            at: now,
            message: message.unwrap_or_default(),
            merges: held.iter().map(|letter| letter.key.clone()).collect(),
            ..last.clone()
        }
    }

    /// One attempt at the first letter of each recipient that is due, a few at once; false when none is.
    fn round(&self, outbox: &mut Outbox, letters: &mut Letters, trays: &mut BTreeMap<Recipient, Tray>) -> bool {
        let now = Instant::now();
        let mut due: Vec<&mut Tray> = trays.values_mut().filter(|tray| !tray.next.is_empty() && tray.due <= now).collect();
        // Who has waited longest comes first, so that those who fail starve nobody.
        due.sort_by_key(|tray| tray.due);
        due.truncate(AT_ONCE);
        let outcomes: Vec<Option<Result<(), Failure>>> = std::thread::scope(|scope| {
            let send = |letter: Letter| scope.spawn(move || self.channel.send(&letter));
            let running: Vec<_> = due.iter().map(|tray| tray.next.front().cloned().map(send)).collect();
            // A panic in a channel is one of the sink.
            running
                .into_iter()
                .map(|thread| thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
                .collect()
        });
        let sent = !due.is_empty();
        for (tray, outcome) in due.into_iter().zip(outcomes) {
            if let (Some(letter), Some(outcome)) = (tray.next.front().cloned(), outcome) {
                self.judge(tray, &letter, outcome, outbox, letters);
            }
        }
        letters.save(false);
        outbox.save();
        trays.retain(|_, tray| !tray.is_empty());
        sent
    }

    fn judge(&self, tray: &mut Tray, letter: &Letter, outcome: Result<(), Failure>, outbox: &mut Outbox, letters: &mut Letters) {
        let now = (self.office.now)();
        let outcome = match outcome {
            Err(Failure::Later(why, _)) if now.since(letter.at) > self.give_up => {
                Err(Failure::Never(format!("for {}: {why}", self.give_up)))
            }
            outcome => outcome,
        };
        let (outcome, why) = match outcome {
            Ok(()) => {
                outbox.delivered();
                (Outcome::Delivered, None)
            }
            Err(Failure::Never(why)) => {
                outbox.refused(&letter.key, &why, json!({ "letter": letter }));
                (Outcome::Refused, Some(why))
            }
            Err(Failure::Later(why, asked)) => {
                tray.due = Instant::now() + tray.backoff.next_wait().max(asked.min(self.retry.most.to_std()));
                tray.failures += 1;
                outbox.failed(why.clone());
                if tray.failures == 1 {
                    self.receipt(letter, Outcome::Retrying, Some(why));
                }
                return;
            }
        };
        self.receipt(letter, outcome, why);
        tray.next.pop_front();
        tray.backoff.reset();
        tray.failures = 0;
        letters.done(&letter.key);
    }

    fn receipt(&self, letter: &Letter, outcome: Outcome, why: Option<String>) {
        let at = (self.office.now)();
        let of = |alert: &Name| Receipt {
            alert: alert.clone(),
            key: letter.key.clone(),
            sink: self.sink.clone(),
            recipient: letter.person.clone(),
            at,
            outcome,
            why: why.clone(),
        };
        self.office.keep(&letter.alerts.iter().map(of).collect::<Vec<_>>());
    }
}

/// Steps worth a person's attention: what is announced, that somebody has taken it, that its figures are old, that it is over.
fn pushed(step: &Transition) -> bool {
    use TransitionKind as T;
    step.announced || matches!(step.kind, T::Updated | T::Stale | T::Acknowledged | T::Latched | T::Cleared)
}

/// Until the next attempt is due, at most one look.
fn wait(trays: &BTreeMap<Recipient, Tray>) -> Duration {
    let now = Instant::now();
    let due = trays.values().filter(|tray| !tray.next.is_empty()).map(|tray| tray.due.saturating_duration_since(now)).min();
    due.unwrap_or(LOOK).min(LOOK)
}

/// Tells a person's addresses apart without showing them.
fn fingerprint(address: &str) -> String {
    ring::digest::digest(&ring::digest::SHA256, address.as_bytes()).as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
