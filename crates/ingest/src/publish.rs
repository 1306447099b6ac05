//! The way out for whoever brings frames and readings to the broker: one connection that only publishes.
//!
//! Invariant: while there is no connection, or no room in it, nothing is taken from the queue: its owner decides what is worth
//! sending then, and the newest wins there.

use huong_flow::{Counter, Stop};
use huong_types::{AckToken, Publish};
use tokio::sync::mpsc::Receiver;

use crate::packets::{Message, Role};
use crate::session::{Deliver, Outgoing, Session};
use crate::{IngestError, LinkStats, MqttConfig};

/// Publishes what `outgoing` gives at QoS 0, not retained, under `config.client_id` as it stands, until `stop` is set. The broker's
/// absence, restart or refusal only makes it try again.
///
/// # Errors
/// When the configuration cannot be used: what [`MqttConfig::check`] finds.
pub async fn run_publisher(config: MqttConfig, outgoing: Receiver<Publish>, stats: &LinkStats, stop: Stop) -> Result<(), IngestError> {
    let session = Session { config, role: Role::Publisher, filters: Vec::new(), own_thread: false, stop };
    session.run(Outgoing { acks: None, publishes: Some(outgoing) }, &Counter::new(), stats, &mut Nobody).await
}

struct Nobody;

impl Deliver for Nobody {
    /// Nothing was subscribed to, so nothing comes.
    fn take(&mut self, _: Message, _: Option<AckToken>) {}

    async fn settle(&mut self) {}
}
