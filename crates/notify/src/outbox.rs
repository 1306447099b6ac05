//! A sink's view of the journal: what comes next, whether it is for this sink, and how far it has come.
//!
//! Invariant: the offset only grows, and never past a step that was neither received, nor refused for good, nor not for this sink.

use std::collections::VecDeque;
use std::fs::{OpenOptions, metadata, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use huong_flow::Counter;
use huong_types::{About, Alert, AlertState, Name, Severity, Transition, TransitionKind};
use serde_json::Value;

use crate::durable::OWN;
use crate::offset::Offset;
use crate::sinks::Journal;

/// Steps read from the journal at once.
const BATCH: usize = 256;
/// A dead-letter file is set aside, over the one before, when it is larger: the journal still has every step.
const DEAD_LETTER_BYTES: u64 = 16 << 20;
/// Dead letters kept in memory while the disk refuses; a receiver that refuses more has a fault of its own.
const UNBURIED: usize = 1000;

/// What the outside may ask of a running sink.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) name: Name,
    /// Of the newest transition journalled.
    pub(crate) newest: AtomicU64,
    pub(crate) offset: AtomicU64,
    /// Letters to people that have not left.
    pub(crate) waiting: AtomicU64,
    pub(crate) delivered: Counter,
    pub(crate) retries: Counter,
    pub(crate) dead_letters: Counter,
    failing: Mutex<Option<String>>,
}

pub(crate) struct Outbox {
    pub(crate) status: Arc<Status>,
    pub(crate) journal: Arc<dyn Journal>,
    filter: Filter,
    offset: Offset,
    /// The last step that is done; the file may be behind it.
    done: u64,
    dead_letters: PathBuf,
    /// Lines for that file which the disk has not taken. The offset waits for them: a restart has them refused again.
    unburied: VecDeque<String>,
    /// Something could not be written; said once.
    unsaved: bool,
}

/// Which steps a sink's receivers want.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) routes: Vec<Name>,
    pub(crate) min_severity: Severity,
    pub(crate) updates: bool,
    /// A retained state must be withdrawn when a graver alert hides it; people need not be told.
    pub(crate) withdrawals: bool,
}

impl Status {
    pub(crate) fn new(name: Name, newest: u64) -> Self {
        Self {
            name,
            newest: AtomicU64::new(newest),
            offset: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            delivered: Counter::new(),
            retries: Counter::new(),
            dead_letters: Counter::new(),
            failing: Mutex::new(None),
        }
    }

    pub(crate) fn failing(&self) -> Option<String> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Filter {
    pub(crate) fn wants_alert(&self, alert: &Alert) -> bool {
        alert.severity >= self.min_severity && self.routed(&alert.notify)
    }

    /// What is announced, and of what was announced, while it is told singly, how it goes on and that it ends. What waits, is hidden,
    /// shelved, counted by a group or flapping is told to nobody; only a retained state is withdrawn and comes back.
    pub(crate) fn wants(&self, transition: &Transition) -> bool {
        use TransitionKind as T;
        let alert = &transition.alert;
        // A group is as grave as its gravest member at the time: who heard of it when it was graver waits for its end.
        let grave = alert.severity >= self.min_severity || (alert.about == About::Group && alert.state == AlertState::Cleared);
        let heard = alert.announced.is_some();
        grave
            && self.routed(&transition.recipients)
            && match transition.kind {
                T::Pending | T::Settled => false,
                // What happened once, whether or not anyone is to hear of it.
                T::Raised if alert.state == AlertState::Cleared => alert.inhibited_by.is_none(),
                _ if transition.announced => true,
                _ if alert.state == AlertState::Cleared => heard || self.withdrawals,
                T::Raised | T::Escalated => false,
                T::Inhibited | T::Released | T::Shelved | T::Unshelved | T::Folded | T::Unfolded | T::Steadied => self.withdrawals,
                T::Updated => self.updates && alert.state.audible(),
                T::Receded | T::Resumed | T::Stale | T::Fresh | T::Acknowledged | T::Assigned | T::Noted | T::Latched | T::Cleared => {
                    heard && alert.state.audible()
                }
            }
    }

    fn routed(&self, recipients: &[Name]) -> bool {
        self.routes.is_empty() || recipients.iter().any(|route| self.routes.contains(route))
    }
}

impl Outbox {
    /// `offset` is the file, and the step at which to begin.
    pub(crate) fn new(
        status: Arc<Status>,
        journal: Arc<dyn Journal>,
        filter: Filter,
        (offset, done): (Offset, u64),
        dead_letters: PathBuf,
    ) -> Self {
        status.offset.store(done, Ordering::Relaxed);
        let mut outbox = Self { status, journal, filter, offset, done, dead_letters, unburied: VecDeque::new(), unsaved: false };
        outbox.save();
        outbox
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The last step that is done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// The next steps after `seq`, oldest first; none when there are none.
    pub(crate) fn after(&self, seq: u64) -> Result<Vec<Transition>, String> {
        if self.status.newest.load(Ordering::Acquire) <= seq {
            return Ok(Vec::new());
        }
        self.journal.transitions_after(seq, BATCH).map_err(|error| format!("the journal cannot be read: {error}"))
    }

    /// Step `seq` and all before are done; on disk after [`Outbox::save`].
    pub(crate) fn advance(&mut self, seq: u64) {
        self.done = seq;
        self.status.offset.store(seq, Ordering::Relaxed);
    }

    /// Puts dead letters and the offset on disk; what it refuses is tried again with the next call.
    pub(crate) fn save(&mut self) {
        let buried = self.bury();
        match buried.and_then(|()| self.offset.save(self.done)) {
            Ok(()) => self.unsaved = false,
            Err(error) if !self.unsaved => {
                self.unsaved = true;
                tracing::error!(sink = %self.status.name, %error, "the sink's place cannot be written, and is tried again: a restart before would deliver again");
            }
            Err(_) => {}
        }
    }

    pub(crate) fn waiting(&self, letters: usize) {
        self.status.waiting.store(letters as u64, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&mut self) {
        self.status.delivered.add(1);
        self.works();
    }

    /// The receiver answers.
    pub(crate) fn works(&mut self) {
        if self.status.failing.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(sink = %self.status.name, "the sink works again");
        }
    }

    /// An attempt failed and will be made again.
    pub(crate) fn failed(&mut self, why: String) {
        self.status.retries.add(1);
        let mut failing = self.status.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.is_none() {
            tracing::warn!(sink = %self.status.name, why, "the sink does not answer: retrying, nothing is lost");
        }
        *failing = Some(why);
    }

    /// The receiver will never take `what`, an object: it is put aside for a person, and the sink goes on.
    pub(crate) fn refused(&mut self, key: &str, why: &str, mut what: Value) {
        self.status.dead_letters.add(1);
        tracing::error!(sink = %self.status.name, key, why, file = %self.dead_letters.display(), "the receiver refused an alert: see the dead-letter file");
        what["idempotency_key"] = key.into();
        what["why"] = why.into();
        let line = what;
        self.unburied.push_back(line.to_string());
        if self.unburied.len() > UNBURIED {
            self.unburied.pop_front();
            tracing::error!(sink = %self.status.name, "more dead letters wait for the disk than are kept: the oldest is in the journal only");
        }
    }

    fn bury(&mut self) -> io::Result<()> {
        if self.unburied.is_empty() {
            return Ok(());
        }
        if metadata(&self.dead_letters).is_ok_and(|file| file.len() > DEAD_LETTER_BYTES) {
            rename(&self.dead_letters, self.dead_letters.with_extension("old.jsonl"))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(OWN).open(&self.dead_letters)?;
        let before = file.metadata()?.len();
        let lines: String = self.unburied.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()) {
            // Half a line would spoil the next.
            file.set_len(before)?;
            return Err(error);
        }
        self.unburied.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Journal for Nothing {
        fn transitions_after(&self, _: u64, _: usize) -> Result<Vec<Transition>, String> {
            Ok(Vec::new())
        }

        fn open_alerts(&self) -> Result<Vec<Alert>, String> {
            Ok(Vec::new())
        }
    }

    /// What the disk does not take stays in memory, in order, and the offset waits behind it.
    #[test]
    fn dead_letters_outlive_a_disk_that_refuses() {
        let dir = tempfile::tempdir().expect("a directory for the sink");
        let (path, letters) = (dir.path().join("duty.offset"), dir.path().join("duty.dead.jsonl"));
        let filter = Filter { routes: Vec::new(), min_severity: Severity::Minor, updates: false, withdrawals: false };
        let status = Arc::new(Status::new("duty".into(), 9));
        let offset = Offset::open(path.clone(), 7).expect("a new offset");
        let mut outbox = Outbox::new(status, Arc::new(Nothing), filter, offset, letters.clone());
        // In the way of the file.
        std::fs::create_dir(&letters).expect("a directory");
        outbox.unburied.extend(["first".to_owned(), "second".to_owned()]);
        outbox.advance(9);
        outbox.save();
        assert!(outbox.unsaved);
        let saved = || std::fs::read_to_string(&path).expect("the offset").trim().parse();
        assert_eq!(saved(), Ok(7), "a restart has the steps refused again");
        std::fs::remove_dir(&letters).expect("the test's own");
        outbox.save();
        assert_eq!(std::fs::read_to_string(&letters).expect("the letters"), "first\nsecond\n");
        assert_eq!((saved(), outbox.unsaved), (Ok(9), false));
    }
}
