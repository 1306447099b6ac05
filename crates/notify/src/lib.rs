//! Who is told of an alert: webhooks and MQTT topics, each a sink with a thread and a durable place in the journal of its own.
//!
//! A sink reads the journal of transitions from where it stopped, sends what its receivers asked for, and writes down how far it
//! came. It never decides what an alert is.
//!
//! Invariant: at least once and in order. An offset moves only over what was received or is in the dead-letter file, so a
//! receiver that was down gets all of it later, and one that hears something twice knows it by the idempotency key. A dead or
//! slow sink delays no other and nothing upstream.

mod config;
mod mqtt;
mod offset;
mod outbox;
mod payload;
mod sinks;
mod webhook;

pub use config::{MqttSinkConfig, MqttTarget, Payload, RetryConfig, SinkConfig, TlsConfig, WebhookConfig};
pub use payload::idempotency_key;
pub use sinks::{Journal, NotifyError, Setup, SinkFigures, Sinks, start_sinks};
