//! The broker inside the process, for a demo and for small sites: rumqttd, configured in code, MQTT 3.1.1 and 5 on one port.
//!
//! It keeps nothing on disk and drops what a subscriber lags behind by more than its segments; larger sites run a broker of their own.
//! No TLS: a handshake that stalls would hold up every other client, so it listens on the loopback address unless told otherwise.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use huong_flow::Worker;
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::v5::V5;
use rumqttd::protocol::{Error, Packet, Protocol};
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, SegmentConfig, Server, ServerSettings};
use tokio::sync::oneshot;

use crate::{BrokerConfig, IngestError};

/// A running broker. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct EmbeddedBroker {
    listen: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    worker: Option<Worker>,
}

/// How long the broker may take to listen.
const START: Duration = Duration::from_secs(10);

impl EmbeddedBroker {
    /// Starts it and returns once it accepts connections.
    ///
    /// # Errors
    /// When the address is taken or not ours, saying so.
    pub fn start(config: &BrokerConfig, prefix: &str) -> Result<Self, IngestError> {
        let listen = config.listen;
        let cannot = |reason: String| IngestError::Listen { listen, reason };
        // rumqttd binds within its own thread; binding here first gives the reason to whoever asked.
        drop(TcpListener::bind(listen).map_err(|error| cannot(error.to_string()))?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| cannot(error.to_string()))?;
        let mut server = Server::new(server_settings(config), Router::new(0, router_config(config, prefix)).spawn(), Either::Unknown);
        let (shutdown, stopped) = oneshot::channel();
        let (ended, end) = mpsc::channel();
        let serve = move || {
            let outcome = runtime.block_on(async {
                tokio::select! {
                    outcome = server.start(LinkType::Remote) => outcome.err().map(|error| error.to_string()),
                    // Asked to stop, or the handle is gone.
                    _ = stopped => None,
                }
            });
            if let Some(reason) = outcome
                && ended.send(reason.clone()).is_err()
            {
                tracing::error!("the embedded broker ended: {reason}");
            }
        };
        let worker = Worker::spawn("broker", serve).map_err(|error| cannot(error.to_string()))?;
        let deadline = Instant::now() + START;
        while TcpStream::connect(listen).is_err() {
            match end.recv_timeout(Duration::from_millis(5)) {
                Ok(reason) => return Err(cannot(reason)),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => return Err(cannot("it did not start".to_owned())),
            }
        }
        Ok(Self { listen, shutdown: Some(shutdown), worker: Some(worker) })
    }

    pub fn listen(&self) -> SocketAddr {
        self.listen
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        if let Some(shutdown) = self.shutdown.take()
            && shutdown.send(()).is_err()
        {
            tracing::error!("the embedded broker had ended by itself");
        }
        if let Some(Err(panicked)) = self.worker.take().map(Worker::join) {
            tracing::error!("{panicked}");
        }
    }
}

fn server_settings(config: &BrokerConfig) -> ServerSettings {
    ServerSettings {
        name: "embedded".to_owned(),
        listen: config.listen,
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: 10_000,
            max_payload_size: config.max_packet,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            // A log per topic would grow with the fleet; one per subscription does not.
            dynamic_filters: false,
        },
    }
}

fn router_config(config: &BrokerConfig, prefix: &str) -> RouterConfig {
    let frames = SegmentConfig { max_segment_size: config.frame_segment_bytes, max_segment_count: config.frame_segments };
    RouterConfig {
        max_connections: config.max_connections,
        max_outgoing_packet_count: 200,
        max_segment_size: config.segment_bytes,
        max_segment_count: config.segments,
        custom_segment: Some(HashMap::from([(format!("{prefix}/cameras/#"), frames)])),
        initialized_filters: None,
        ..RouterConfig::default()
    }
}

/// Speaks the version that a connection's first packet asks for; rumqttd itself wants a port per version.
#[derive(Clone, Debug)]
enum Either {
    Unknown,
    V4(V4),
    V5(V5),
}

impl Protocol for Either {
    fn read_mut(&mut self, stream: &mut BytesMut, max_size: usize) -> Result<Packet, Error> {
        if matches!(self, Either::Unknown) {
            *self = match protocol_level(stream)? {
                5 => Either::V5(V5),
                _ => Either::V4(V4),
            };
        }
        match self {
            Either::Unknown => Err(Error::InvalidProtocol),
            Either::V4(v4) => v4.read_mut(stream, max_size),
            Either::V5(v5) => v5.read_mut(stream, max_size),
        }
    }

    fn write(&self, packet: Packet, buffer: &mut BytesMut) -> Result<usize, Error> {
        match self {
            Either::Unknown => Err(Error::InvalidProtocol),
            Either::V4(v4) => v4.write(packet, buffer),
            Either::V5(v5) => v5.write(packet, buffer),
        }
    }
}

/// Of a CONNECT packet: type, remaining length in one to four bytes, length and name of the protocol, level (MQTT 5.0 §3.1.2).
fn protocol_level(stream: &[u8]) -> Result<u8, Error> {
    const CONNECT: u8 = 0x10;
    let first = *stream.first().ok_or(Error::InsufficientBytes(2))?;
    if first != CONNECT {
        return Err(Error::InvalidProtocol);
    }
    let length_bytes = stream.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0);
    let header = match length_bytes {
        Some(last) => last + 2,
        None if stream.len() < 5 => return Err(Error::InsufficientBytes(1)),
        None => return Err(Error::MalformedRemainingLength),
    };
    let at = |i: usize| stream.get(header + i).copied().ok_or(Error::InsufficientBytes(1));
    let name = usize::from(u16::from_be_bytes([at(0)?, at(1)?]));
    if name > 8 {
        return Err(Error::InvalidProtocol);
    }
    at(2 + name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_tells_the_version() {
        let v5 = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc";
        assert!(matches!(protocol_level(v5), Ok(5)));
        assert!(matches!(protocol_level(b"\x10\x90\x01\x00\x04MQTT\x04"), Ok(4)));
        for i in 0..8 {
            assert!(matches!(protocol_level(&v5[..i]), Err(Error::InsufficientBytes(_))), "{i} bytes");
        }
        assert!(matches!(protocol_level(b"GET / HTTP/1.1"), Err(Error::InvalidProtocol)));
        assert!(matches!(protocol_level(b"\x10\xff\xff\xff\xff\x01"), Err(Error::MalformedRemainingLength)));
        assert!(matches!(protocol_level(b"\x10\x10\xff\xff"), Err(Error::InvalidProtocol)));
    }
}
