//! Keeps one connection alive: connects, subscribes, says who is here, acknowledges, and starts over after every fault.
//!
//! Invariant: an acknowledgement goes out only on the connection whose message it answers. Acknowledging and polling happen in one
//! task, so none can slip in between the end of a connection and the start of the next, where its packet id would mean another message.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use huong_flow::{Counter, Stop};
use huong_types::{AckToken, Publish};
use tokio::select;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

use crate::config::MQTT_MAX_PACKET;
use crate::packets::{Fault, Incoming, Message, OFFLINE, ONLINE, Packets, Role, Welcome};
use crate::wire::Wire;
use crate::{IngestError, LinkStats, MqttConfig, tls};

/// Takes the messages of a connection in order.
pub(crate) trait Deliver: Send {
    /// Takes one of those that came together.
    fn take(&mut self, message: Message, ack: Option<AckToken>);

    /// Hands over what was taken, and may wait: meanwhile nothing is read, and the broker holds back. Dropping the future loses nothing.
    fn settle(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a session is for.
pub(crate) struct Session {
    pub(crate) config: MqttConfig,
    pub(crate) role: Role,
    pub(crate) filters: Vec<String>,
    /// The thread is the session's own: it may sleep between the reads of a busy connection.
    pub(crate) own_thread: bool,
    pub(crate) stop: Stop,
}

/// What is to go out, beside the session's own packets.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Acknowledgements of messages that are safe.
    pub(crate) acks: Option<UnboundedReceiver<AckToken>>,
    pub(crate) publishes: Option<Receiver<Publish>>,
}

/// How often the stop flag and the silence of the broker are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Acknowledgements of one turn: a message each, so a few turns of the broker's window.
const ACKS: usize = 4096;
/// Bytes that wait for a slow broker, above which a publisher's queue, where the newest wins, is left alone.
const OUTGOING: usize = 64 << 10;

impl Session {
    /// Runs until the stop flag is set; the broker's absence, restart or refusal only makes it try again.
    ///
    /// # Errors
    /// When the configuration cannot be used: what [`MqttConfig::check`] finds.
    pub(crate) async fn run(
        self,
        mut outgoing: Outgoing,
        void_acks: &Counter,
        stats: &LinkStats,
        deliver: &mut impl Deliver,
    ) -> Result<(), IngestError> {
        // What cannot be used is said at once, and not as the broker's fault.
        if self.config.user.is_some() {
            self.config.password()?;
        }
        self.config.tls.as_ref().map(tls::client_config).transpose()?;
        let mut state = State::default();
        while !self.stop.is_set() {
            let made = select! {
                made = Wire::connect(&self.config, self.role, self.limit(&state)) => made,
                () = self.wait(None, &mut outgoing, void_acks, stats) => break,
            };
            let outcome = match made {
                Ok((mut wire, welcome)) => {
                    self.connected(&mut wire, &mut state, stats, welcome);
                    let outcome = self.converse(&mut wire, &mut state, &mut outgoing, void_acks, stats, deliver).await;
                    // What has been read at QoS 0 does not come again.
                    deliver.settle().await;
                    if outcome.is_ok() {
                        self.farewell(wire, &state, &mut outgoing, void_acks).await;
                    }
                    outcome
                }
                Err(fault) => Err(fault),
            };
            if let Err(fault) = outcome {
                let wait = self.fault(&mut state, stats, fault);
                self.wait(Some(wait), &mut outgoing, void_acks, stats).await;
            }
        }
        stats.set_connected(false);
        Ok(())
    }

    /// Bytes of a packet.
    fn limit(&self, state: &State) -> u32 {
        match self.role {
            _ if state.limit_lifted => MQTT_MAX_PACKET,
            Role::Readings => self.config.max_packet_readings,
            Role::Frames | Role::Publisher => self.config.max_packet_frames,
        }
    }

    /// Reads, hands over and acknowledges until the connection ends with a fault, or well when stopped.
    async fn converse(
        &self,
        wire: &mut Wire,
        state: &mut State,
        outgoing: &mut Outgoing,
        void_acks: &Counter,
        stats: &LinkStats,
        deliver: &mut impl Deliver,
    ) -> Result<(), Fault> {
        // The broker answers our pings, so a longer silence means that it is dead, or that nothing reaches it.
        let patience = self.config.keep_alive.to_std() * 3 + Duration::from_secs(10);
        // A publisher waits with its next message while this one is on its way; a receiver's commands are not worth that.
        let publishes = matches!(self.role, Role::Publisher);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut tokens, mut looked) = (Vec::new(), Instant::now());
        // Messages wait to be handed over.
        let mut full = false;
        loop {
            let room = !publishes || wire.outbox.len() < OUTGOING;
            select! {
                biased;
                () = deliver.settle(), if full => full = false,
                read = wire.exchange(!full) => {
                    read?;
                    full = self.packets(wire, state, stats, deliver)?;
                }
                more = some(&mut outgoing.acks, &mut tokens) => {
                    if !more {
                        outgoing.acks = None;
                    }
                }
                command = next(&mut outgoing.publishes), if room => match command {
                    Some(command) => {
                        if !wire.packets.publish(command, &mut wire.outbox) {
                            stats.unsent.add(1);
                        }
                    }
                    None => outgoing.publishes = None,
                },
                _ = tick.tick() => {}
            }
            // A connection that always has something to read must not keep the others waiting.
            if let Some(acks) = &mut outgoing.acks {
                while tokens.len() < ACKS
                    && let Ok(token) = acks.try_recv()
                {
                    tokens.push(token);
                }
            }
            for token in tokens.drain(..) {
                if state.connection == Some(token.connection) {
                    Packets::acknowledge(token.packet_id, &mut wire.outbox);
                } else {
                    void_acks.add(1);
                }
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                if self.stop.is_set() {
                    return Ok(());
                }
                if full {
                    wire.excuse();
                }
                wire.keep_alive(patience)?;
            }
            // Whoever shares the thread works on what has come: nothing waits longer than it must, and the next read finds free memory.
            yield_now().await;
            if let Some(pause) = wire.breathe().filter(|_| self.own_thread && !full) {
                // Not the runtime's timer: waiting in it the thread would be woken by every packet, which is what this is to avoid.
                std::thread::sleep(pause);
            }
        }
    }

    /// All packets that have been read; true when there were messages among them.
    fn packets(&self, wire: &mut Wire, state: &mut State, stats: &LinkStats, deliver: &mut impl Deliver) -> Result<bool, Fault> {
        let (mut messages, mut bytes) = (0, 0);
        let outcome = loop {
            match wire.next() {
                Ok(Some(Incoming::Message(message))) => {
                    messages += 1;
                    bytes += message.payload.len() as u64;
                    let ack = message.packet_id.zip(state.connection).map(|(packet_id, connection)| AckToken { connection, packet_id });
                    deliver.take(message, ack);
                }
                Ok(Some(Incoming::Subscribed { refused })) => {
                    for filter in refused.iter().filter_map(|i| self.filters.get(*i)) {
                        let text = format!("the broker refuses a subscription: {filter}");
                        error!("{text}");
                        stats.set_error(&text);
                    }
                    state.subscribed = true;
                    stats.set_connected(true);
                }
                Ok(Some(Incoming::Connected(_) | Incoming::Other)) => {}
                Ok(None) => break Ok(messages > 0),
                Err(fault) => break Err(fault),
            }
        };
        stats.messages.add(messages);
        stats.bytes.add(bytes);
        outcome
    }

    fn connected(&self, wire: &mut Wire, state: &mut State, stats: &LinkStats, Welcome { session_present, .. }: Welcome) {
        state.made += 1;
        state.connection = Some(state.made);
        state.since = Some(Instant::now());
        // A session may have been made under other filters, so each start subscribes; later on a kept session is left alone.
        let subscribed = (session_present && state.subscribed) || self.filters.is_empty();
        if !subscribed {
            wire.packets.subscribe(&self.filters, self.role, &mut wire.outbox);
        }
        if matches!(self.role, Role::Readings) {
            wire.packets.status(&self.config.status_topic, ONLINE, &mut wire.outbox);
        }
        state.said = None;
        stats.connects.add(1);
        stats.set_connected(subscribed);
        info!(role = ?self.role, host = %self.config.host, port = self.config.port, session_present, "connected to the broker");
    }

    /// Notes what happened and returns how long to wait.
    fn fault(&self, state: &mut State, stats: &LinkStats, fault: Fault) -> Duration {
        let longest = self.config.retry();
        stats.faults.add(1);
        stats.set_connected(false);
        state.connection = None;
        // A connection that lasted starts the count anew; one that broke at once must not be remade at full speed.
        if state.since.take().is_some_and(|since| since.elapsed() > longest) {
            state.attempts = 0;
        }
        state.attempts = state.attempts.saturating_add(1);
        let role = self.role;
        let broker = format!("{}:{}", self.config.host, self.config.port);
        match fault {
            Fault::Refused(reason) => {
                let whom = self.config.user.as_deref().unwrap_or("a client without user");
                state.act(stats, role, &format!("the broker at {broker} refuses {whom}: {reason}; check user, password and client_id"));
                return longest.mul_f64(0.5 + 0.5 * fraction());
            }
            Fault::Untrusted(reason) => {
                state.act(stats, role, &format!("the broker at {broker} is not trusted: {reason}; check tls.ca and host"));
                return longest.mul_f64(0.5 + 0.5 * fraction());
            }
            Fault::TooLarge(size) => {
                stats.oversized.add(1);
                let limit = self.limit(state);
                let text = format!("a packet of {size} bytes is above the limit of {limit} and ended the connection");
                stats.set_error(&text);
                if !state.limit_lifted {
                    error!(?role, "{text}; such packets are from now on read and refused one by one");
                }
                // At QoS 1 the broker would send it again for ever, and at QoS 0 its sender could cut us off at will.
                state.limit_lifted = true;
            }
            Fault::Other(reason) => {
                let text = format!("no connection to the broker at {broker}: {reason}");
                stats.set_error(&text);
                if state.says(&text) {
                    warn!(?role, "{text}; retrying");
                }
            }
        }
        // Exponential with full jitter, so that a city's clients do not come back in step.
        let ceiling = (longest / 100).saturating_mul(1u32 << state.attempts.min(16)).min(longest);
        ceiling.mul_f64(fraction())
    }

    /// Without a connection an acknowledgement answers nobody, and a command that cannot go out is asked for again by its sender's next
    /// message; a publisher's queue is left alone. Ends after `time`, or when stopped.
    async fn wait(&self, time: Option<Duration>, outgoing: &mut Outgoing, void_acks: &Counter, stats: &LinkStats) {
        let began = Instant::now();
        while !self.stop.is_set() && time.is_none_or(|time| began.elapsed() < time) {
            while outgoing.acks.as_mut().is_some_and(|acks| acks.try_recv().is_ok()) {
                void_acks.add(1);
            }
            if !matches!(self.role, Role::Publisher) {
                while outgoing.publishes.as_mut().is_some_and(|commands| commands.try_recv().is_ok()) {
                    stats.unsent.add(1);
                }
            }
            sleep(time.map_or(TICK, |time| TICK.min(time.saturating_sub(began.elapsed())))).await;
        }
    }

    /// Says what is durable by now, so that it need not come again, and offline, as the last will is not sent after an orderly end.
    async fn farewell(&self, mut wire: Wire, state: &State, outgoing: &mut Outgoing, void_acks: &Counter) {
        while let Some(token) = outgoing.acks.as_mut().and_then(|acks| acks.try_recv().ok()) {
            if state.connection == Some(token.connection) {
                Packets::acknowledge(token.packet_id, &mut wire.outbox);
            } else {
                void_acks.add(1);
            }
        }
        if matches!(self.role, Role::Readings) {
            wire.packets.status(&self.config.status_topic, OFFLINE, &mut wire.outbox);
        }
        Packets::disconnect(&mut wire.outbox);
        if timeout(FAREWELL, wire.close()).await.is_err() {
            warn!(role = ?self.role, "the broker did not close the connection within {FAREWELL:?}");
        }
    }
}

#[derive(Default)]
struct State {
    /// Connections made so far; the latest one's number is in its tokens.
    made: u64,
    /// `None` between connections.
    connection: Option<u64>,
    since: Option<Instant>,
    attempts: u32,
    subscribed: bool,
    limit_lifted: bool,
    /// What was last logged since the last connection.
    said: Option<String>,
}

impl State {
    /// Reports what will not mend itself, once per change.
    fn act(&mut self, stats: &LinkStats, role: Role, text: &str) {
        stats.set_error(text);
        if self.says(text) {
            error!(?role, "{text}; retrying slowly");
        }
    }

    /// True when this is news.
    fn says(&mut self, text: &str) -> bool {
        let news = self.said.as_deref() != Some(text);
        if news {
            self.said = Some(text.to_owned());
        }
        news
    }
}

/// At least one; false when there will be none any more.
async fn some(acks: &mut Option<UnboundedReceiver<AckToken>>, tokens: &mut Vec<AckToken>) -> bool {
    match acks {
        Some(acks) => acks.recv_many(tokens, ACKS).await > 0,
        None => std::future::pending().await,
    }
}

async fn next(publishes: &mut Option<Receiver<Publish>>) -> Option<Publish> {
    match publishes {
        Some(publishes) => publishes.recv().await,
        None => std::future::pending().await,
    }
}

/// 0 to 1, different in every process and at every call: the standard library's hash keys are random.
fn fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
