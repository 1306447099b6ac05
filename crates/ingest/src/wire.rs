//! One connection to a broker: bytes in large reads, acknowledgements in large writes.
//!
//! The client library's event loop reads as soon as there is a packet and writes each acknowledgement by itself. On a busy connection
//! that costs a wake-up of this process and of the broker for each message, several times what handling it does. Here everything that
//! has come is read at once, everything that is to be said goes out at once, and a busy reader lets the kernel gather some more before
//! it looks again ([`Wire::breathe`]).
//!
//! Invariant: nothing is lost by dropping the future of [`Wire::exchange`]: what was read is in the inbox, what was not written stays in
//! the outbox.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::packets::{Fault, Incoming, Packets, Role, Welcome};
use crate::{MqttConfig, tls};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    pub(crate) packets: Packets,
    inbox: BytesMut,
    pub(crate) outbox: BytesMut,
    /// Written to the stream and perhaps still in its own buffer.
    unflushed: bool,
    keep_alive: Duration,
    /// When something was last said, and heard.
    said: Instant,
    heard: Instant,
    /// Bytes per second a moment ago, and what was read since.
    rate: f64,
    gathered: usize,
    since: Instant,
}

/// Bytes of one read: what a broker at its limit sends in a few milliseconds.
const READ: usize = 256 << 10;
/// A broker that takes longer to answer a connection is taken for dead.
const CONNECT: Duration = Duration::from_secs(10);
/// The rate of a connection is looked at over this long.
const OVER: Duration = Duration::from_millis(5);
/// The pause at 7.5 MB a second, which are 50,000 small readings; it grows with the square of the rate, so that alarms hardly wait at
/// such rates and wake-ups cost little beside the messages at a broker's limit.
const PAUSE: Duration = Duration::from_micros(125);
const RATE: f64 = 7.5e6;
/// Shorter pauses than this cost more than they save ..
const LEAST: Duration = Duration::from_micros(40);
/// .. and longer ones save nothing more.
const MOST: Duration = Duration::from_millis(1);

impl Wire {
    /// Makes a connection and waits for the broker's welcome.
    pub(crate) async fn connect(config: &MqttConfig, role: Role, limit: u32) -> Result<(Wire, Welcome), Fault> {
        let made = timeout(CONNECT, Self::greet(config, role, limit)).await;
        made.unwrap_or_else(|_| Err(Fault::Other(format!("no answer within {CONNECT:?}"))))
    }

    async fn greet(config: &MqttConfig, role: Role, limit: u32) -> Result<(Wire, Welcome), Fault> {
        let packets = Packets::new(config, limit);
        let mut outbox = BytesMut::new();
        packets.connect(config, role, &mut outbox).map_err(|error| Fault::Other(error.to_string()))?;
        let now = Instant::now();
        let mut wire = Wire {
            stream: open(config).await?,
            packets,
            inbox: BytesMut::new(),
            outbox,
            unflushed: false,
            keep_alive: config.keep_alive.to_std(),
            said: now,
            heard: now,
            rate: 0.0,
            gathered: 0,
            since: now,
        };
        loop {
            match wire.next()? {
                Some(Incoming::Connected(welcome)) => {
                    wire.keep_alive = welcome.keep_alive.unwrap_or(wire.keep_alive);
                    wire.packets.max_packet = welcome.max_packet.unwrap_or(wire.packets.max_packet);
                    return Ok((wire, welcome));
                }
                Some(_) => return Err(Fault::Other("the broker answers a connection with something else".to_owned())),
                None => wire.exchange(true).await?,
            }
        }
    }

    /// The next packet of what has been read; `None` when there is no whole one.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, Fault> {
        self.packets.read(&mut self.inbox)
    }

    /// Writes what waits in the outbox and, when `reading`, returns once something was read.
    pub(crate) async fn exchange(&mut self, reading: bool) -> Result<(), Fault> {
        poll_fn(|context| self.poll_exchange(context, reading)).await.map_err(|error| Fault::Other(error.to_string()))
    }

    /// Writes the outbox and reads until the broker closes; what it sends until then it keeps.
    pub(crate) async fn close(mut self) {
        while self.exchange(true).await.is_ok() {
            self.inbox.clear();
        }
    }

    /// Says that we are here when we have long said nothing. An error when the broker has long said nothing, though it was listened to.
    pub(crate) fn keep_alive(&mut self, patience: Duration) -> Result<(), Fault> {
        if self.said.elapsed() >= self.keep_alive && self.outbox.is_empty() {
            Packets::ping(&mut self.outbox);
            self.said = Instant::now();
        }
        if self.heard.elapsed() > patience {
            return Err(Fault::Other(format!("the broker has been silent for {patience:?}")));
        }
        Ok(())
    }

    /// Nobody listens at the moment: the broker's silence is not its own.
    pub(crate) fn excuse(&mut self) {
        self.heard = Instant::now();
    }

    /// On a busy connection, how long to leave the socket alone so that the next read finds many messages.
    pub(crate) fn breathe(&self) -> Option<Duration> {
        let pause = PAUSE.mul_f64((self.rate / RATE).powi(2)).min(MOST);
        (pause >= LEAST).then_some(pause)
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>, reading: bool) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        if !reading {
            return Poll::Pending;
        }
        self.inbox.reserve(READ);
        match pin!(self.stream.read_buf(&mut self.inbox)).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(count)) => {
                self.note(count);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn note(&mut self, count: usize) {
        let now = Instant::now();
        self.heard = now;
        self.gathered += count;
        let since = now - self.since;
        if since >= OVER {
            self.rate = self.gathered as f64 / since.as_secs_f64();
            (self.gathered, self.since) = (0, now);
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.outbox) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.outbox.advance(count);
                    self.unflushed = true;
                    self.said = Instant::now();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}

async fn open(config: &MqttConfig) -> Result<Box<dyn Stream>, Fault> {
    let other = |error: io::Error| Fault::Other(error.to_string());
    let tcp = TcpStream::connect((config.host.as_str(), config.port)).await.map_err(other)?;
    tcp.set_nodelay(true).map_err(other)?;
    let Some(tls) = &config.tls else { return Ok(Box::new(tcp)) };
    let client = tls::client_config(tls).map_err(|error| Fault::Untrusted(error.to_string()))?;
    let name = ServerName::try_from(config.host.clone()).map_err(|error| Fault::Untrusted(error.to_string()))?;
    match TlsConnector::from(client).connect(name, tcp).await {
        Ok(stream) => Ok(Box::new(stream)),
        // What rustls refuses comes as invalid data; the rest is the network's.
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(Fault::Untrusted(error.to_string())),
        Err(error) => Err(other(error)),
    }
}
