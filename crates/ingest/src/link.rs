//! One connection to a broker, whichever version of MQTT it speaks.
//!
//! The client library has a copy of everything per version; the differences end here. The sending half and the polling half are
//! apart, so that an acknowledgement can be queued while the next packet is awaited.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use huong_types::{Name, Publish};
use rumqttc::{TlsConfiguration, TlsError, Transport, mqttbytes, v5};

use crate::{IngestError, MqttConfig, Protocol, tls};

/// A message as it arrived.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    /// `None` at QoS 0.
    pub(crate) packet_id: Option<u16>,
    /// The MQTT 5 user property `capture-time`.
    pub(crate) capture_time: Option<Name>,
}

#[derive(Debug)]
pub(crate) enum Incoming {
    Connected {
        session_present: bool,
    },
    Message(Message),
    /// Positions of the filters that the broker refused.
    Subscribed {
        refused: Vec<usize>,
    },
    Other,
}

/// Why a connection ended or was not made.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The broker does not want us: retrying as we are does not help.
    Refused(String),
    /// We do not want the broker: its certificate is not what we were told to trust.
    Untrusted(String),
    /// A packet above our limit, of so many bytes.
    TooLarge(usize),
    Other(String),
}

/// What tells the connections of a configuration apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// QoS 1, manual acknowledgement, persistent session, last will.
    Readings,
    /// QoS 0, nothing kept.
    Frames,
    /// Sends frames and readings at QoS 0 and takes nothing.
    Publisher,
}

/// The sending half. Every method queues and never waits; false when the queue is full.
pub(crate) enum Sender {
    V4(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// The polling half.
pub(crate) enum Poller {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// What the queue holds beside acknowledgements: subscriptions, status, ping.
const SPARE: usize = 16;
/// Messages that a publisher has handed to the client library and that are not on the wire yet.
const OUTGOING: usize = 4;
/// A broker that takes longer to answer a connection is taken for dead, seconds.
const CONNECT_TIMEOUT: u64 = 10;

/// Prepares a connection; it is made by the first poll.
pub(crate) fn open(config: &MqttConfig, role: Role) -> Result<(Sender, Poller), IngestError> {
    let (client_id, limit, persistent) = match role {
        Role::Readings => (config.client_id.clone(), config.max_packet_readings, true),
        Role::Frames => (format!("{}-frames", config.client_id), config.max_packet_frames, false),
        Role::Publisher => (config.client_id.clone(), config.max_packet_frames, false),
    };
    let keep_alive = Duration::from_millis(u64::try_from(config.keep_alive.as_millis()).unwrap_or(0));
    let transport = match &config.tls {
        Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls::client_config(tls)?)),
        None => Transport::tcp(),
    };
    // What waits here is no longer the newest, so a publisher has little room.
    let queue = if matches!(role, Role::Publisher) { OUTGOING } else { usize::from(config.receive_maximum) + SPARE };
    let mut pair = match config.protocol {
        Protocol::V4 => {
            let mut options = rumqttc::MqttOptions::new(client_id, &config.host, config.port);
            options.set_keep_alive(keep_alive).set_transport(transport).set_clean_session(!persistent).set_manual_acks(persistent);
            options.set_max_packet_size(limit as usize, limit as usize);
            if persistent {
                options.set_last_will(rumqttc::LastWill::new(&config.status_topic, OFFLINE, rumqttc::QoS::AtLeastOnce, true));
            }
            let (client, mut poller) = rumqttc::AsyncClient::new(options, queue);
            poller.network_options.set_connection_timeout(CONNECT_TIMEOUT).set_tcp_nodelay(true);
            (Sender::V4(client), Poller::V4(Box::new(poller)))
        }
        Protocol::V5 => {
            let mut options = v5::MqttOptions::new(client_id, &config.host, config.port);
            options.set_keep_alive(keep_alive).set_transport(transport).set_clean_start(!persistent).set_manual_acks(persistent);
            options.set_connection_timeout(CONNECT_TIMEOUT).set_max_packet_size(Some(limit));
            if persistent {
                let expiry = u32::try_from(config.session_expiry.as_millis() / 1000).unwrap_or(u32::MAX);
                options.set_session_expiry_interval(Some(expiry)).set_receive_maximum(Some(config.receive_maximum));
                let qos = v5::mqttbytes::QoS::AtLeastOnce;
                options.set_last_will(v5::mqttbytes::v5::LastWill::new(&config.status_topic, OFFLINE, qos, true, None));
            }
            let mut network = options.network_options();
            network.set_tcp_nodelay(true);
            options.set_network_options(network);
            let (client, poller) = v5::AsyncClient::new(options, queue);
            (Sender::V5(client), Poller::V5(Box::new(poller)))
        }
    };
    pair.1.set_credentials(config)?;
    Ok(pair)
}

pub(crate) const ONLINE: &str = "online";
pub(crate) const OFFLINE: &str = "offline";

impl Sender {
    pub(crate) fn acknowledge(&self, packet_id: u16) -> bool {
        match self {
            Sender::V4(client) => {
                let mut publish = rumqttc::Publish::new("", rumqttc::QoS::AtLeastOnce, Vec::new());
                publish.pkid = packet_id;
                client.try_ack(&publish).is_ok()
            }
            Sender::V5(client) => {
                let mut publish = v5::mqttbytes::v5::Publish::new("", v5::mqttbytes::QoS::AtLeastOnce, Bytes::new(), None);
                publish.pkid = packet_id;
                client.try_ack(&publish).is_ok()
            }
        }
    }

    pub(crate) fn subscribe(&self, filters: &[String], role: Role) -> bool {
        match self {
            Sender::V4(client) => {
                let qos = if matches!(role, Role::Readings) { rumqttc::QoS::AtLeastOnce } else { rumqttc::QoS::AtMostOnce };
                client.try_subscribe_many(filters.iter().map(|filter| rumqttc::SubscribeFilter::new(filter.clone(), qos))).is_ok()
            }
            Sender::V5(client) => {
                let at = v5::mqttbytes::QoS::AtLeastOnce;
                let qos = if matches!(role, Role::Readings) { at } else { v5::mqttbytes::QoS::AtMostOnce };
                client.try_subscribe_many(filters.iter().map(|filter| v5::mqttbytes::v5::Filter::new(filter, qos))).is_ok()
            }
        }
    }

    /// Retained, at QoS 1.
    pub(crate) fn publish_status(&self, topic: &str, status: &'static str) -> bool {
        match self {
            Sender::V4(client) => client.try_publish(topic, rumqttc::QoS::AtLeastOnce, true, status).is_ok(),
            Sender::V5(client) => client.try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, true, status).is_ok(),
        }
    }

    /// At QoS 0, as devices' commands and frames are.
    pub(crate) fn publish(&self, Publish { topic, payload }: &Publish) -> bool {
        match self {
            Sender::V4(client) => client.try_publish(topic, rumqttc::QoS::AtMostOnce, false, payload.clone()).is_ok(),
            Sender::V5(client) => client.try_publish(topic, v5::mqttbytes::QoS::AtMostOnce, false, payload.clone()).is_ok(),
        }
    }

    pub(crate) fn disconnect(&self) -> bool {
        match self {
            Sender::V4(client) => client.try_disconnect().is_ok(),
            Sender::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Poller {
    /// Connects when there is no connection, and waits for the next packet either way.
    pub(crate) async fn poll(&mut self) -> Result<Incoming, Fault> {
        match self {
            Poller::V4(poller) => poller.poll().await.map(from_v4).map_err(fault_v4),
            Poller::V5(poller) => poller.poll().await.map(from_v5).map_err(fault_v5),
        }
    }

    /// Ends the connection without a word.
    pub(crate) fn abandon(&mut self) {
        match self {
            Poller::V4(poller) => poller.clean(),
            Poller::V5(poller) => poller.clean(),
        }
    }

    /// Messages that were read before the connection ended and not yet polled. They must be taken before the next connection:
    /// the library would hand them out then, as if their packet ids were that one's.
    pub(crate) fn left_over(&mut self) -> Vec<Message> {
        let events: Vec<Incoming> = match self {
            Poller::V4(poller) => poller.state.events.drain(..).map(from_v4).collect(),
            Poller::V5(poller) => poller.state.events.drain(..).map(from_v5).collect(),
        };
        let messages = events.into_iter().filter_map(|event| if let Incoming::Message(message) = event { Some(message) } else { None });
        messages.collect()
    }

    /// From the next connection on.
    pub(crate) fn set_packet_limit(&mut self, limit: u32) {
        match self {
            Poller::V4(poller) => {
                poller.mqtt_options.set_max_packet_size(limit as usize, limit as usize);
            }
            Poller::V5(poller) => {
                poller.options.set_max_packet_size(Some(limit));
            }
        }
    }

    /// From the next connection on; reads the password again.
    pub(crate) fn set_credentials(&mut self, config: &MqttConfig) -> Result<(), IngestError> {
        let Some(user) = &config.user else { return Ok(()) };
        let password = config.password()?.unwrap_or_default();
        match self {
            Poller::V4(poller) => {
                poller.mqtt_options.set_credentials(user, password);
            }
            Poller::V5(poller) => {
                poller.options.set_credentials(user, password);
            }
        }
        Ok(())
    }
}

fn from_v4(event: rumqttc::Event) -> Incoming {
    use rumqttc::{Event, Packet, SubscribeReasonCode};
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => Incoming::Connected { session_present: ack.session_present },
        Event::Incoming(Packet::Publish(publish)) => Incoming::Message(Message {
            packet_id: (publish.qos != rumqttc::QoS::AtMostOnce).then_some(publish.pkid),
            topic: publish.topic,
            payload: publish.payload,
            capture_time: None,
        }),
        Event::Incoming(Packet::SubAck(ack)) => {
            let refused = ack.return_codes.iter().enumerate().filter(|(_, code)| **code == SubscribeReasonCode::Failure);
            Incoming::Subscribed { refused: refused.map(|(i, _)| i).collect() }
        }
        _ => Incoming::Other,
    }
}

fn from_v5(event: v5::Event) -> Incoming {
    use v5::mqttbytes::v5::{Packet, SubscribeReasonCode};
    match event {
        v5::Event::Incoming(Packet::ConnAck(ack)) => Incoming::Connected { session_present: ack.session_present },
        v5::Event::Incoming(Packet::Publish(publish)) => {
            let properties = publish.properties.map(|p| p.user_properties).unwrap_or_default();
            let capture_time = properties.into_iter().find(|(name, _)| name == CAPTURE_TIME).map(|(_, value)| Name::from(value));
            Incoming::Message(Message {
                packet_id: (publish.qos != v5::mqttbytes::QoS::AtMostOnce).then_some(publish.pkid),
                // A topic that is not UTF-8 matches no source, and is quarantined with what can be read of it.
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                capture_time,
            })
        }
        v5::Event::Incoming(Packet::SubAck(ack)) => {
            let refused = ack.return_codes.iter().enumerate().filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)));
            Incoming::Subscribed { refused: refused.map(|(i, _)| i).collect() }
        }
        _ => Incoming::Other,
    }
}

/// The user property by which a camera says when it took the picture.
const CAPTURE_TIME: &str = "capture-time";

fn fault_v4(error: rumqttc::ConnectionError) -> Fault {
    use rumqttc::{ConnectReturnCode as Code, ConnectionError, StateError};
    match error {
        ConnectionError::ConnectionRefused(Code::ServiceUnavailable) => Fault::Other("the broker is not available".to_owned()),
        ConnectionError::ConnectionRefused(code) => Fault::Refused(format!("{code:?}")),
        ConnectionError::Tls(error) => fault_tls(error),
        ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(size))) => Fault::TooLarge(size),
        other => Fault::Other(other.to_string()),
    }
}

fn fault_v5(error: v5::ConnectionError) -> Fault {
    use v5::mqttbytes::v5::ConnectReturnCode as Code;
    use v5::{ConnectionError, StateError, mqttbytes};
    match error {
        ConnectionError::ConnectionRefused(code @ (Code::ServerUnavailable | Code::ServerBusy | Code::ConnectionRateExceeded)) => {
            Fault::Other(format!("the broker answers {code:?}"))
        }
        ConnectionError::ConnectionRefused(code) => Fault::Refused(format!("{code:?}")),
        ConnectionError::Tls(error) => fault_tls(error),
        ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded { pkt_size, .. })) => {
            Fault::TooLarge(pkt_size)
        }
        other => Fault::Other(other.to_string()),
    }
}

fn fault_tls(error: TlsError) -> Fault {
    match error {
        // What rustls refuses comes as invalid data; the rest is the network's.
        TlsError::Io(error) if error.kind() == ErrorKind::InvalidData => Fault::Untrusted(error.to_string()),
        TlsError::Io(error) => Fault::Other(error.to_string()),
        other => Fault::Untrusted(other.to_string()),
    }
}
