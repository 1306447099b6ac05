//! The packets of MQTT, whichever version the broker speaks: bytes in, [`Incoming`] out, and what we say the other way round.
//!
//! The client library has a copy of everything per version; the differences end here. Only its packets are used: see [`crate::wire`]
//! for why not its event loop.
//!
//! Invariant: any bytes end in packets, in a wait for more or in a [`Fault`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use huong_types::{Name, Publish};
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as v5bytes, v5};

use crate::config::MQTT_MAX_PACKET;
use crate::{IngestError, MqttConfig, Protocol};

/// A message as it arrived.
#[derive(Debug)]
pub(crate) struct Message {
    /// A topic that is not UTF-8 matches no source, and is quarantined with what can be read of it.
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    /// `None` at QoS 0.
    pub(crate) packet_id: Option<u16>,
    /// The MQTT 5 user property `capture-time`.
    pub(crate) capture_time: Option<Name>,
}

#[derive(Debug)]
pub(crate) enum Incoming {
    Connected(Welcome),
    Message(Message),
    /// Positions of the filters that the broker refused.
    Subscribed {
        refused: Vec<usize>,
    },
    Other,
}

/// What a broker says to a new connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Welcome {
    pub(crate) session_present: bool,
    /// How often it wants to hear from us, when not as often as we said.
    pub(crate) keep_alive: Option<Duration>,
    /// The largest packet it takes, in bytes.
    pub(crate) max_packet: Option<u32>,
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
    /// QoS 1, acknowledged by hand, persistent session, last will.
    Readings,
    /// QoS 0, nothing kept.
    Frames,
    /// Sends frames and readings at QoS 0 and takes nothing.
    Publisher,
}

/// Reads and writes the packets of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packets {
    pub(crate) protocol: Protocol,
    /// The largest packet we take, in bytes.
    pub(crate) limit: u32,
    /// The largest packet the broker takes.
    pub(crate) max_packet: u32,
}

pub(crate) const ONLINE: &str = "online";
pub(crate) const OFFLINE: &str = "offline";

/// Our own packets that are answered; both are sent anew on each connection.
const SUBSCRIPTION: u16 = 1;
const STATUS: u16 = 2;

/// The user property by which a camera says when it took the picture.
const CAPTURE_TIME: &str = "capture-time";

impl Packets {
    pub(crate) fn new(config: &MqttConfig, limit: u32) -> Self {
        Self { protocol: config.protocol, limit, max_packet: MQTT_MAX_PACKET }
    }

    /// The next packet of `inbox`; `None` until more has come.
    pub(crate) fn read(&self, inbox: &mut BytesMut) -> Result<Option<Incoming>, Fault> {
        match self.protocol {
            Protocol::V4 => match v4::Packet::read(inbox, self.limit as usize) {
                Ok(packet) => from_v4(packet).map(Some),
                Err(mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
                Err(mqttbytes::Error::PayloadSizeLimitExceeded(size)) => Err(Fault::TooLarge(size)),
                Err(other) => Err(Fault::Other(format!("the broker sent what is no MQTT: {other}"))),
            },
            Protocol::V5 => match v5::Packet::read(inbox, Some(self.limit)) {
                Ok(packet) => from_v5(packet).map(Some),
                Err(v5bytes::Error::InsufficientBytes(_)) => Ok(None),
                Err(v5bytes::Error::PayloadSizeLimitExceeded { pkt_size, .. }) => Err(Fault::TooLarge(pkt_size)),
                Err(other) => Err(Fault::Other(format!("the broker sent what is no MQTT: {other}"))),
            },
        }
    }

    /// # Errors
    /// When the password cannot be read.
    pub(crate) fn connect(&self, config: &MqttConfig, role: Role, outbox: &mut BytesMut) -> Result<(), IngestError> {
        let persistent = matches!(role, Role::Readings);
        let client_id = if matches!(role, Role::Frames) { format!("{}-frames", config.client_id) } else { config.client_id.clone() };
        let seconds = |millis: i64| u32::try_from(millis / 1000).unwrap_or(u32::MAX);
        let keep_alive = u16::try_from(seconds(config.keep_alive.as_millis())).unwrap_or(u16::MAX);
        let password = config.user.as_ref().map(|_| config.password()).transpose()?.flatten().unwrap_or_default();
        let status = &config.status_topic;
        match self.protocol {
            Protocol::V4 => {
                let mut connect = v4::Connect::new(client_id);
                (connect.keep_alive, connect.clean_session) = (keep_alive, !persistent);
                connect.last_will = persistent.then(|| v4::LastWill::new(status, OFFLINE, mqttbytes::QoS::AtLeastOnce, true));
                connect.login = config.user.as_ref().map(|user| v4::Login::new(user, password));
                self.put_v4(&v4::Packet::Connect(connect), outbox);
            }
            Protocol::V5 => {
                let mut properties = v5::ConnectProperties::new();
                properties.max_packet_size = Some(self.limit);
                if persistent {
                    properties.session_expiry_interval = Some(seconds(config.session_expiry.as_millis()));
                    properties.receive_maximum = Some(config.receive_maximum);
                }
                let connect = v5::Connect { keep_alive, client_id, clean_start: !persistent, properties: Some(properties) };
                let will = persistent.then(|| v5::LastWill::new(status, OFFLINE, v5bytes::QoS::AtLeastOnce, true, None));
                let login = config.user.as_ref().map(|user| v5::Login::new(user, password));
                self.put_v5(&v5::Packet::Connect(connect, will, login), outbox);
            }
        }
        Ok(())
    }

    /// The same four bytes in both versions: success needs no reason (MQTT 3.1.1 §3.4, MQTT 5.0 §3.4.2.1).
    pub(crate) fn acknowledge(packet_id: u16, outbox: &mut BytesMut) {
        let [high, low] = packet_id.to_be_bytes();
        outbox.extend_from_slice(&[0x40, 2, high, low]);
    }

    pub(crate) fn subscribe(&self, filters: &[String], role: Role, outbox: &mut BytesMut) {
        let at_least_once = matches!(role, Role::Readings);
        match self.protocol {
            Protocol::V4 => {
                let qos = if at_least_once { mqttbytes::QoS::AtLeastOnce } else { mqttbytes::QoS::AtMostOnce };
                let mut subscribe = v4::Subscribe::new_many(filters.iter().map(|filter| v4::SubscribeFilter::new(filter.clone(), qos)));
                subscribe.pkid = SUBSCRIPTION;
                self.put_v4(&v4::Packet::Subscribe(subscribe), outbox);
            }
            Protocol::V5 => {
                let qos = if at_least_once { v5bytes::QoS::AtLeastOnce } else { v5bytes::QoS::AtMostOnce };
                let mut subscribe = v5::Subscribe::new_many(filters.iter().map(|filter| v5::Filter::new(filter, qos)), None);
                subscribe.pkid = SUBSCRIPTION;
                self.put_v5(&v5::Packet::Subscribe(subscribe), outbox);
            }
        }
    }

    /// Retained, at QoS 1.
    pub(crate) fn status(&self, topic: &str, status: &'static str, outbox: &mut BytesMut) {
        match self.protocol {
            Protocol::V4 => {
                let mut publish = v4::Publish::new(topic, mqttbytes::QoS::AtLeastOnce, status);
                (publish.pkid, publish.retain) = (STATUS, true);
                self.put_v4(&v4::Packet::Publish(publish), outbox);
            }
            Protocol::V5 => {
                let mut publish = v5::Publish::new(topic, v5bytes::QoS::AtLeastOnce, status, None);
                (publish.pkid, publish.retain) = (STATUS, true);
                self.put_v5(&v5::Packet::Publish(publish), outbox);
            }
        }
    }

    /// At QoS 0, as devices' commands and frames are; false when the broker takes no packet of this size.
    pub(crate) fn publish(&self, Publish { topic, payload }: Publish, outbox: &mut BytesMut) -> bool {
        match self.protocol {
            Protocol::V4 => self.put_v4(&v4::Packet::Publish(v4::Publish::new(topic, mqttbytes::QoS::AtMostOnce, payload)), outbox),
            Protocol::V5 => self.put_v5(&v5::Packet::Publish(v5::Publish::new(topic, v5bytes::QoS::AtMostOnce, payload, None)), outbox),
        }
    }

    pub(crate) fn ping(outbox: &mut BytesMut) {
        outbox.extend_from_slice(&[0xc0, 0]);
    }

    /// An orderly end: the last will is not sent.
    pub(crate) fn disconnect(outbox: &mut BytesMut) {
        outbox.extend_from_slice(&[0xe0, 0]);
    }

    fn put_v4(&self, packet: &v4::Packet, outbox: &mut BytesMut) -> bool {
        put(packet.write(outbox, self.max_packet as usize))
    }

    fn put_v5(&self, packet: &v5::Packet, outbox: &mut BytesMut) -> bool {
        put(packet.write(outbox, Some(self.max_packet)))
    }
}

/// What the broker would not take is not in the outbox.
fn put<E: std::fmt::Display>(written: Result<usize, E>) -> bool {
    written.inspect_err(|error| tracing::debug!(%error, "a packet is not sent")).is_ok()
}

fn from_v4(packet: v4::Packet) -> Result<Incoming, Fault> {
    use v4::{ConnectReturnCode as Code, Packet, SubscribeReasonCode};
    Ok(match packet {
        Packet::Publish(publish) => Incoming::Message(Message {
            packet_id: (publish.qos != mqttbytes::QoS::AtMostOnce).then_some(publish.pkid),
            topic: publish.topic.into(),
            payload: publish.payload,
            capture_time: None,
        }),
        Packet::ConnAck(ack) => match ack.code {
            Code::Success => Incoming::Connected(Welcome { session_present: ack.session_present, keep_alive: None, max_packet: None }),
            Code::ServiceUnavailable => return Err(Fault::Other("the broker is not available".to_owned())),
            code => return Err(Fault::Refused(format!("{code:?}"))),
        },
        Packet::SubAck(ack) => {
            let refused = ack.return_codes.iter().enumerate().filter(|(_, code)| **code == SubscribeReasonCode::Failure);
            Incoming::Subscribed { refused: refused.map(|(i, _)| i).collect() }
        }
        _ => Incoming::Other,
    })
}

fn from_v5(packet: v5::Packet) -> Result<Incoming, Fault> {
    use v5::{ConnectReturnCode as Code, Packet, SubscribeReasonCode};
    Ok(match packet {
        Packet::Publish(publish) => {
            let properties = publish.properties.map(|p| p.user_properties).unwrap_or_default();
            let capture_time = properties.into_iter().find(|(name, _)| name == CAPTURE_TIME).map(|(_, value)| Name::from(value));
            let packet_id = (publish.qos != v5bytes::QoS::AtMostOnce).then_some(publish.pkid);
            Incoming::Message(Message { packet_id, topic: publish.topic, payload: publish.payload, capture_time })
        }
        Packet::ConnAck(ack) => match ack.code {
            Code::Success => {
                let told = ack.properties.as_ref();
                let keep_alive = told.and_then(|told| told.server_keep_alive).map(|seconds| Duration::from_secs(seconds.into()));
                let max_packet = told.and_then(|told| told.max_packet_size);
                Incoming::Connected(Welcome { session_present: ack.session_present, keep_alive, max_packet })
            }
            code @ (Code::ServerUnavailable | Code::ServerBusy | Code::ConnectionRateExceeded) => {
                return Err(Fault::Other(format!("the broker answers {code:?}")));
            }
            code => return Err(Fault::Refused(format!("{code:?}"))),
        },
        Packet::SubAck(ack) => {
            let refused = ack.return_codes.iter().enumerate().filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)));
            Incoming::Subscribed { refused: refused.map(|(i, _)| i).collect() }
        }
        Packet::Disconnect(disconnect) => {
            return Err(Fault::Other(format!("the broker ends the connection: {:?}", disconnect.reason_code)));
        }
        _ => Incoming::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(protocol: Protocol) -> Packets {
        Packets { protocol, limit: 1 << 20, max_packet: 100 }
    }

    proptest! {
        /// Bytes of a broker gone mad end the connection, never the process.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), v5 in any::<bool>()) {
            let packets = packets(if v5 { Protocol::V5 } else { Protocol::V4 });
            let mut inbox = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = packets.read(&mut inbox) {}
            prop_assert!(inbox.len() <= bytes.len());
        }

        /// However the bytes of a message are cut into reads, it is the same message.
        #[test]
        fn a_message_is_whole_whatever_the_cut(cut in 0usize..40, payload in "[a-z]{1,20}", v5 in any::<bool>()) {
            let packets = packets(if v5 { Protocol::V5 } else { Protocol::V4 });
            let mut bytes = BytesMut::new();
            let sent = packets.publish(Publish { topic: "a/b".into(), payload: payload.clone().into() }, &mut bytes);
            prop_assert!(sent);
            let rest = bytes.split_off(cut.min(bytes.len()));
            let mut inbox = bytes;
            let early = packets.read(&mut inbox).expect("a valid beginning");
            inbox.extend_from_slice(&rest);
            let message = early.or_else(|| packets.read(&mut inbox).expect("a valid packet"));
            let Some(Incoming::Message(message)) = message else { panic!("a message, not {message:?}") };
            prop_assert_eq!((&message.topic[..], &message.payload[..], message.packet_id), (&b"a/b"[..], payload.as_bytes(), None));
            prop_assert!(inbox.is_empty());
        }
    }

    #[test]
    fn what_the_broker_would_not_take_is_not_sent() {
        for protocol in [Protocol::V4, Protocol::V5] {
            let mut outbox = BytesMut::new();
            assert!(!packets(protocol).publish(Publish { topic: "a".into(), payload: vec![1; 100] }, &mut outbox));
            assert!(outbox.is_empty());
        }
    }
}
