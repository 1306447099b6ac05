//! A sink that tells one system: one step after the other.
//!
//! Invariant: the next step is told only when the system has taken or finally refused the one before, so it hears of an alert's life in
//! order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use huong_flow::{Backoff, Stop};
use huong_types::Transition;
use serde_json::json;

use crate::channel::Failure;
use crate::config::RetryConfig;
use crate::office::Office;
use crate::outbox::Outbox;
use crate::payload::idempotency_key;
use crate::receipts::Outcome;

/// How often a waiting sink looks whether it should stop.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) trait System: Send + 'static {
    fn tell(&self, step: &Transition) -> Result<(), Failure>;
}

/// Runs until `stop`, or until the bell's other end is gone.
pub(crate) fn run(system: &dyn System, mut outbox: Outbox, retry: RetryConfig, office: &Arc<Office>, bell: &Receiver<()>, stop: &Stop) {
    let mut backoff = Backoff::new(retry.first.to_std(), retry.most.to_std());
    while !stop.is_set() {
        let batch = match outbox.after(outbox.done()) {
            Ok(batch) => batch,
            Err(why) => {
                outbox.failed(why);
                if !rest(bell, stop, backoff.next_wait()) {
                    return;
                }
                continue;
            }
        };
        if batch.is_empty() && bell.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        for step in &batch {
            let wanted = outbox.filter().wants(step);
            if wanted {
                let mut failures = 0u32;
                let (outcome, why) = loop {
                    match system.tell(step) {
                        Ok(()) => {
                            outbox.delivered();
                            backoff.reset();
                            break (Outcome::Delivered, None);
                        }
                        Err(Failure::Never(why)) => {
                            outbox.refused(&idempotency_key(step), &why, json!({ "transition": step }));
                            break (Outcome::Refused, Some(why));
                        }
                        Err(Failure::Later(why, asked)) => {
                            failures += 1;
                            if failures == 1 {
                                office.keep_step(&outbox.status.name, step, Outcome::Retrying, Some(why.clone()));
                            }
                            outbox.failed(why);
                            let wait = backoff.next_wait().max(asked.min(retry.most.to_std()));
                            if !rest(bell, stop, wait) {
                                outbox.save();
                                return;
                            }
                        }
                    }
                };
                office.keep_step(&outbox.status.name, step, outcome, why);
            }
            outbox.advance(step.seq);
            if wanted {
                outbox.save();
            }
        }
        outbox.save();
    }
}

/// Waits, whatever the bell says; false when the sink is to stop.
fn rest(bell: &Receiver<()>, stop: &Stop, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if stop.is_set() || bell.recv_timeout(left.min(LOOK)) == Err(RecvTimeoutError::Disconnected) {
            return false;
        }
    }
    !stop.is_set()
}
