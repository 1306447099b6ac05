//! The webhook sink: one signed POST per step.
//!
//! Invariant: what is sent again is the same bytes under the same idempotency key.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use huong_types::{Registry, Transition};
use sha2::Sha256;
use ureq::Agent;

use crate::channel::{Failure, agent, judge};
use crate::config::WebhookConfig;
use crate::payload::{idempotency_key, webhook_body};
use crate::steps::System;

pub(crate) struct Webhook {
    agent: Agent,
    url: String,
    secret: Option<String>,
    registry: Arc<Registry>,
}

impl Webhook {
    /// # Errors
    /// When the secret cannot be read.
    pub(crate) fn new(config: &WebhookConfig, registry: Arc<Registry>) -> Result<Self, String> {
        Ok(Self { agent: agent(config.timeout.to_std()), url: config.url.clone(), secret: config.secret()?, registry })
    }
}

impl System for Webhook {
    fn tell(&self, step: &Transition) -> Result<(), Failure> {
        let body = webhook_body(step, &self.registry);
        let mut request = self.agent.post(&self.url).content_type("application/json").header("idempotency-key", idempotency_key(step));
        if let Some(secret) = &self.secret {
            request = request.header("x-huong-signature", signature(secret, &body));
        }
        judge(request.send(&body[..]).map_err(Failure::later)?, false).map(|_| ())
    }
}

/// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
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
