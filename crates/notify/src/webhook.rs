//! The webhook sink: one POST per step, one after the other.
//!
//! Invariant: the next step is sent only when the receiver has taken or finally refused the one before, so it hears of an
//! alert's life in order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use huong_flow::{Backoff, Stop};
use huong_types::{Registry, Transition};
use sha2::Sha256;
use ureq::Agent;

use crate::config::{RetryConfig, WebhookConfig};
use crate::outbox::Outbox;
use crate::payload::{idempotency_key, webhook_body};

/// How often a waiting sink looks whether it should stop.
const LOOK: Duration = Duration::from_millis(500);
/// Enough of an answer to see what the receiver minded.
const ANSWER_BYTES: u64 = 1024;

pub(crate) struct Webhook {
    agent: Agent,
    url: String,
    secret: Option<String>,
    retry: RetryConfig,
    registry: Arc<Registry>,
}

enum Failure {
    /// Try again, not before the wait that the receiver asked for.
    Later(String, Duration),
    Never(String),
}

impl Webhook {
    /// # Errors
    /// When the secret cannot be read.
    pub(crate) fn new(config: &WebhookConfig, retry: RetryConfig, registry: Arc<Registry>) -> Result<Self, String> {
        // A redirect of a POST would be followed as a GET: the address must be right.
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout.to_std()))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("huong/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, url: config.url.clone(), secret: config.secret()?, retry, registry })
    }

    /// Runs until `stop`, or until the bell's other end is gone.
    pub(crate) fn run(self, mut outbox: Outbox, bell: &Receiver<()>, stop: &Stop) {
        let mut backoff = Backoff::new(self.retry.first.to_std(), self.retry.most.to_std());
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
            for transition in &batch {
                let wanted = outbox.filter().wants(transition);
                if wanted && !self.deliver(&mut outbox, transition, &mut backoff, bell, stop) {
                    break;
                }
                outbox.advance(transition.seq);
                if wanted {
                    outbox.save();
                }
            }
            outbox.save();
        }
    }

    /// True when the step is done with; false when the sink is to stop first.
    fn deliver(&self, outbox: &mut Outbox, transition: &Transition, backoff: &mut Backoff, bell: &Receiver<()>, stop: &Stop) -> bool {
        loop {
            match self.post(transition) {
                Ok(()) => {
                    outbox.delivered();
                    backoff.reset();
                    return true;
                }
                Err(Failure::Never(why)) => {
                    outbox.refused(transition, &why);
                    return true;
                }
                Err(Failure::Later(why, asked)) => {
                    outbox.failed(why);
                    let wait = backoff.next_wait().max(asked.min(self.retry.most.to_std()));
                    if !rest(bell, stop, wait) {
                        return false;
                    }
                }
            }
        }
    }

    fn post(&self, transition: &Transition) -> Result<(), Failure> {
        let body = webhook_body(transition, &self.registry);
        let mut request =
            self.agent.post(&self.url).content_type("application/json").header("idempotency-key", idempotency_key(transition));
        if let Some(secret) = &self.secret {
            request = request.header("x-huong-signature", signature(secret, &body));
        }
        let mut answer = request.send(&body[..]).map_err(|error| Failure::Later(error.to_string(), Duration::ZERO))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let asked = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
        let said = answer.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string().unwrap_or_default();
        let why = format!("{status}: {}", said.trim());
        // Request timeout, too early, too many requests: the step itself is not at fault.
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            Err(Failure::Later(why, Duration::from_secs(asked)))
        } else {
            Err(Failure::Never(why))
        }
    }
}

/// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256() {
        // RFC 4231, test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }
}
