//! Who is told of an alert: webhooks and MQTT topics, people by e-mail, web push and whatever an HTTP template reaches, CAP files.
//! Each is a sink with a thread and a durable place in the journal of its own.
//!
//! A sink reads the journal of transitions from where it stopped, sends what its receivers asked for, and writes down how far it
//! came. It never decides what an alert is.
//!
//! Invariant: at least once and in order. An offset moves only over what was received, is written down as letters, or is in the
//! dead-letter file, so a receiver that was down gets all of it later, and one that hears something twice knows it by the idempotency key.
//! A dead or slow sink delays no other and nothing upstream.

mod cap;
mod cap_sink;
mod cap_xml;
mod channel;
mod clock_face;
mod config;
mod durable;
mod guide;
mod http;
mod letters;
mod links;
mod message;
mod mqtt;
mod office;
mod offset;
mod outbox;
mod payload;
mod post;
mod receipts;
mod roster;
mod sinks;
mod smtp;
mod steps;
mod subscriptions;
mod tray;
mod web_push;
mod webhook;

pub use cap::{CapDesk, CapError, Desk, Draft, Released};
pub use cap_sink::{Audience, CapConfig};
pub use cap_xml::{Info, MessageType};
pub use config::{MqttSinkConfig, MqttTarget, Payload, RetryConfig, SinkConfig, TlsConfig, WebhookConfig};
pub use http::HttpConfig;
pub use links::{BadToken, Claim, Links};
pub use office::{NotifyConfig, Now, Office};
pub use payload::idempotency_key;
pub use receipts::{Outcome, Receipt};
pub use sinks::{Journal, NotifyError, Setup, SinkFigures, Sinks, start_sinks};
pub use smtp::{Security, SmtpConfig};
pub use subscriptions::{SubscribeError, Subscription, SubscriptionKeys, Subscriptions};
pub use web_push::WebPushConfig;
