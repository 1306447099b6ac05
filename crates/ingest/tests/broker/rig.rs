//! Ingest as the program runs it, and a sender to feed it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use huong_flow::{Mailbox, Ring, Stop};
use huong_ingest::{Clock, FolderConfig, IngestError, IngestStats, MqttConfig, Protocol, run_frames, run_readings};
use huong_types::decode::{Decoder, SourceConfig};
use huong_types::{AckToken, Frame, Inbound, Problems, Registry, Reject, RejectReason, Span, Stream, Timestamp};
use rumqttc::v5;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// 2025-11-17T23:45:00Z, a little after the times in the messages.
pub(crate) const NOW: i64 = 1_763_423_100_000;
const LONG: Duration = Duration::from_secs(60);

const STREAMS: &str = r#"
    [[stream]]
    id = "water_level"
    name = "Mực nước"
    name_en = "Water level"
    disorder = "10m"
    future = "10m"
    max_age = "24h"
    gap = "1h"
    silent_after_periods = 3
    fields.value = { unit = "m" }
"#;

const SOURCES: &str = r#"
    [[source]]
    name = "sensors"
    topic = "{prefix}/sensors/+/+"
    stream = { topic = 2 }
    key = [{ topic = 3 }]
    time = ["at"]
    fields.value = ["value"]
    [[source]]
    name = "edges"
    topic = "spBv1.0/+/+/+/#"
    format = "sparkplug-b"
    stream = "water_level"
    key = ["device", "edge"]
    time = ["time"]
    fields.value = ["values.level"]
"#;

const REGISTRY: &str = r#"
    camera = [
      { id = "cam-a", name = "A", name_en = "A", lat = 16.46, lon = 107.59, period = "1s" },
      { id = "cam-b", name = "B", name_en = "B", lat = 16.46, lon = 107.59, period = "1s" },
    ]
"#;

pub(crate) fn config(port: u16, protocol: Protocol) -> MqttConfig {
    MqttConfig { port, protocol, retry: Span::from_secs(1), keep_alive: Span::from_secs(5), ..MqttConfig::default() }
}

pub(crate) fn level(value: f64) -> String {
    format!(r#"{{"at":1763422800,"value":{value}}}"#)
}

pub(crate) fn checked<T>(made: impl FnOnce(&mut Problems) -> T) -> T {
    let mut problems = Problems::default();
    let made = made(&mut problems);
    assert!(problems.is_empty(), "{problems}");
    made
}

/// The running connections.
pub(crate) struct Rig {
    pub(crate) ring: Arc<Ring<Inbound>>,
    pub(crate) mailbox: Arc<Mailbox<Frame>>,
    pub(crate) acks: UnboundedSender<AckToken>,
    pub(crate) stats: Arc<IngestStats>,
    stop: Stop,
    task: JoinHandle<Result<(), IngestError>>,
}

impl Rig {
    pub(crate) fn readings(config: MqttConfig) -> Self {
        Self::readings_with(config, 1024)
    }

    pub(crate) fn readings_with(config: MqttConfig, room: usize) -> Self {
        Self::all_of(config, room, Vec::new())
    }

    pub(crate) fn folder(config: MqttConfig, folder: FolderConfig) -> Self {
        Self::all_of(config, 1024, vec![folder])
    }

    fn all_of(config: MqttConfig, room: usize, folders: Vec<FolderConfig>) -> Self {
        let (decoder, _, clock) = parts();
        let (ring, mailbox, stats, stop) =
            (Arc::new(Ring::new(room)), Arc::new(Mailbox::new(2)), Arc::new(IngestStats::default()), Stop::new());
        let (acks, tokens) = unbounded_channel();
        let task = tokio::spawn(run_readings(config, folders, decoder, clock, Arc::clone(&ring), tokens, Arc::clone(&stats), stop.clone()));
        Self { ring, mailbox, acks, stats, stop, task }
    }

    pub(crate) fn frames(config: MqttConfig) -> Self {
        let (_, registry, clock) = parts();
        let (ring, mailbox, stats, stop) =
            (Arc::new(Ring::new(64)), Arc::new(Mailbox::new(2)), Arc::new(IngestStats::default()), Stop::new());
        let (acks, _) = unbounded_channel();
        let shared = (Arc::clone(&mailbox), Arc::clone(&ring), Arc::clone(&stats), stop.clone());
        let task = tokio::spawn(async move {
            run_frames(config, "hue", registry, clock, Arc::new(starts_like_a_jpeg), shared.0, shared.1, shared.2, shared.3).await
        });
        Self { ring, mailbox, acks, stats, stop, task }
    }

    pub(crate) async fn connected(&self) {
        until("connected", || self.stats.readings.connected() || self.stats.frames.connected()).await;
    }

    /// The next message.
    pub(crate) async fn next(&self) -> Inbound {
        let mut found = None;
        until("a message", || {
            found = self.ring.pop();
            found.is_some()
        })
        .await;
        found.expect("waited for it")
    }

    /// The value of the next message's only reading, and its right to be acknowledged.
    pub(crate) async fn next_value(&self) -> (f64, AckToken) {
        let inbound = self.next().await;
        assert_eq!((inbound.readings.len(), inbound.rejected.len()), (1, 0), "{inbound:?}");
        (inbound.readings[0].number("value").expect("a value"), inbound.ack.expect("QoS 1"))
    }

    pub(crate) fn acknowledge(&self, token: AckToken) {
        self.acks.send(token).expect("ingest runs");
    }

    /// Ends it in order; what was acknowledged before is with the broker afterwards.
    pub(crate) async fn stop(self) {
        self.stop.set();
        let ended = tokio::time::timeout(LONG, self.task).await;
        ended.expect("ingest stops when asked").expect("no panic").expect("a good configuration");
    }

    /// Ends it as a crash would.
    pub(crate) fn crash(self) {
        self.task.abort();
    }
}

/// A stand-in for the header check, which is another crate's: what it is given is enough here.
fn starts_like_a_jpeg(bytes: &[u8]) -> Result<(u32, u32), Reject> {
    if bytes.starts_with(b"\xff\xd8") { Ok((1, 1)) } else { Err(Reject::new(RejectReason::BadFrame, "frame: found no JPEG")) }
}

fn parts() -> (Decoder, Arc<Registry>, Clock) {
    let registry = Arc::new(checked(|problems| Registry::parse("registry.toml", REGISTRY, problems)));
    let streams = checked(|problems| Stream::parse_all("streams.toml", STREAMS, problems));
    let sources = checked(|problems| SourceConfig::parse_all("sources.toml", SOURCES, problems));
    let decoder = checked(|problems| Decoder::compile("sources.toml", &sources, "hue", &streams, Arc::clone(&registry), problems));
    (decoder, registry, Arc::new(|| Timestamp::from_millis(NOW)))
}

/// Waits for a condition; a test that waits too long names it.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// An MQTT 5 client that sends, and receives on request.
pub(crate) struct Peer {
    client: v5::AsyncClient,
    poller: v5::EventLoop,
}

impl Peer {
    pub(crate) async fn connect(port: u16, id: &str) -> Self {
        let mut options = v5::MqttOptions::new(id, "127.0.0.1", port);
        options.set_max_packet_size(Some(100 << 20));
        Self::with(options).await
    }

    pub(crate) async fn with(options: v5::MqttOptions) -> Self {
        let (client, poller) = v5::AsyncClient::new(options, 64);
        let mut peer = Self { client, poller };
        peer.wait(|packet| matches!(packet, v5::mqttbytes::v5::Packet::ConnAck(_))).await;
        peer
    }

    /// Sends and waits for the broker's acknowledgement.
    pub(crate) async fn send(&mut self, topic: &str, payload: impl Into<Bytes>) {
        self.client.publish(topic, v5::mqttbytes::QoS::AtLeastOnce, false, payload).await.expect("room in the queue");
        self.wait(|packet| matches!(packet, v5::mqttbytes::v5::Packet::PubAck(_))).await;
    }

    pub(crate) async fn send_with_property(&mut self, topic: &str, payload: impl Into<Bytes>, name: &str, value: &str) {
        let properties = v5::mqttbytes::v5::PublishProperties { user_properties: vec![(name.into(), value.into())], ..Default::default() };
        let qos = v5::mqttbytes::QoS::AtLeastOnce;
        self.client.publish_with_properties(topic, qos, false, payload, properties).await.expect("room in the queue");
        self.wait(|packet| matches!(packet, v5::mqttbytes::v5::Packet::PubAck(_))).await;
    }

    pub(crate) async fn levels(&mut self, values: impl IntoIterator<Item = u32>) {
        for value in values {
            self.send("hue/sensors/water_level/kimlong", level(f64::from(value))).await;
        }
    }

    pub(crate) async fn listen(&mut self, topic: &str) {
        self.client.subscribe(topic, v5::mqttbytes::QoS::AtLeastOnce).await.expect("room in the queue");
        self.wait(|packet| matches!(packet, v5::mqttbytes::v5::Packet::SubAck(_))).await;
    }

    /// The payload of the next message on `topic`, which it listens to.
    pub(crate) async fn hears_on(&mut self, topic: &str) -> Bytes {
        let mut heard = None;
        let heard_one = |packet: &v5::mqttbytes::v5::Packet| match packet {
            v5::mqttbytes::v5::Packet::Publish(publish) if publish.topic == topic => Some(publish.payload.clone()),
            _ => None,
        };
        self.wait(|packet| {
            heard = heard_one(packet);
            heard.is_some()
        })
        .await;
        heard.expect("waited for it")
    }

    /// Waits until a message on `topic` has this payload.
    pub(crate) async fn hears(&mut self, topic: &str, payload: &str) {
        self.client.subscribe(topic, v5::mqttbytes::QoS::AtLeastOnce).await.expect("room in the queue");
        self.wait(|packet| matches!(packet, v5::mqttbytes::v5::Packet::Publish(p) if p.topic == topic && p.payload == payload)).await;
    }

    async fn wait(&mut self, mut wanted: impl FnMut(&v5::mqttbytes::v5::Packet) -> bool) {
        let found = async {
            loop {
                if let v5::Event::Incoming(packet) = self.poller.poll().await.expect("the broker answers")
                    && wanted(&packet)
                {
                    return;
                }
            }
        };
        tokio::time::timeout(LONG, found).await.expect("the packet comes");
    }
}
