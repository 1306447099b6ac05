//! Keeps one connection alive: connects, subscribes, says who is here, acknowledges, and starts over after every fault.
//!
//! Invariant: an acknowledgement goes out only on the connection whose message it answers. Acknowledging and polling happen in one
//! task, so none can slip in between the end of a connection and the start of the next, where its packet id would mean another message.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::{Duration, Instant};

use huong_flow::{Counter, Stop};
use huong_types::{AckToken, Publish};
use tokio::select;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use crate::config::MQTT_MAX_PACKET;
use crate::link::{self, Fault, Incoming, Message, Poller, Role, Sender};
use crate::{IngestError, LinkStats, MqttConfig};

/// Takes the messages of a connection in order.
pub(crate) trait Deliver: Send {
    /// May wait: meanwhile nothing is read, and the broker holds back.
    fn deliver(&mut self, message: Message, ack: Option<AckToken>) -> impl Future<Output = ()> + Send;
}

/// What a session is for.
pub(crate) struct Session {
    pub(crate) config: MqttConfig,
    pub(crate) role: Role,
    pub(crate) filters: Vec<String>,
    pub(crate) stop: Stop,
}

/// How often the stop flag and the watchdog are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

impl Session {
    /// Runs until the stop flag is set; the broker's absence, restart or refusal only makes it try again.
    ///
    /// # Errors
    /// When the configuration cannot be used: what [`MqttConfig::check`] finds.
    pub(crate) async fn run(
        self,
        mut acks: Option<UnboundedReceiver<AckToken>>,
        mut commands: Option<Receiver<Publish>>,
        void_acks: &Counter,
        stats: &LinkStats,
        deliver: &mut impl Deliver,
    ) -> Result<(), IngestError> {
        let (sender, mut poller) = link::open(&self.config, self.role)?;
        let mut state = State::default();
        // An acknowledgement that found the queue full; it goes first.
        let mut held: Option<u16> = None;
        // A publisher waits with its next message while this one finds no room; a receiver's commands are not worth that.
        let publishes = matches!(self.role, Role::Publisher);
        let mut unsent: Option<Publish> = None;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The library pings once per keep-alive, so a longer silence means that it is stuck writing to a dead peer.
        let patience = self.config.keep_alive.to_std() * 3 + Duration::from_secs(10);
        loop {
            let polled = Instant::now();
            let outcome = {
                let mut poll = pin!(poller.poll());
                loop {
                    select! {
                        outcome = &mut poll => break Some(outcome),
                        token = next(&mut acks), if held.is_none() => match token {
                            Some(token) if state.connection == Some(token.connection) => {
                                held = (!sender.acknowledge(token.packet_id)).then_some(token.packet_id);
                            }
                            Some(_) => void_acks.add(1),
                            None => acks = None,
                        },
                        command = ordered(&mut commands), if !publishes || (state.connection.is_some() && unsent.is_none()) => match command {
                            Some(command) if publishes => unsent = (!sender.publish(&command)).then_some(command),
                            Some(command) => {
                                // What cannot go out now is asked for again by the sender's next message.
                                if state.connection.is_none() || !sender.publish(&command) {
                                    stats.unsent.add(1);
                                }
                            }
                            None => commands = None,
                        },
                        _ = tick.tick() => {
                            if self.stop.is_set() {
                                break None;
                            }
                            if polled.elapsed() > patience {
                                break Some(Err(Fault::Other("the broker takes no bytes any more".to_owned())));
                            }
                        }
                    }
                }
            };
            if let Some(packet_id) = held.take_if(|packet_id| sender.acknowledge(*packet_id)) {
                tracing::trace!(packet_id, "acknowledged late");
            }
            // Whatever ended the poll may have made room.
            unsent = unsent.filter(|command| state.connection.is_some() && !sender.publish(command));
            match outcome {
                None => break,
                Some(Ok(Incoming::Connected { session_present })) => {
                    self.connected(&sender, &mut poller, &mut state, stats, session_present)
                }
                Some(Ok(Incoming::Message(message))) => {
                    let ack = message.packet_id.zip(state.connection).map(|(packet_id, connection)| AckToken { connection, packet_id });
                    count(stats, &message);
                    deliver.deliver(message, ack).await;
                }
                Some(Ok(Incoming::Subscribed { refused })) => {
                    for filter in refused.iter().filter_map(|i| self.filters.get(*i)) {
                        let text = format!("the broker refuses a subscription: {filter}");
                        error!("{text}");
                        stats.set_error(&text);
                    }
                    state.subscribed = true;
                    stats.set_connected(true);
                }
                Some(Ok(Incoming::Other)) => {}
                Some(Err(fault)) => {
                    held = None;
                    poller.abandon();
                    for message in poller.left_over() {
                        // The others come again, as they are not acknowledged.
                        if message.packet_id.is_none() {
                            count(stats, &message);
                            deliver.deliver(message, None).await;
                        }
                    }
                    let wait = self.fault(&mut poller, &mut state, stats, fault);
                    self.pause(wait).await;
                }
            }
        }
        if let Some(connection) = state.connection {
            // What is durable by now need not come again; what finds the queue full may.
            while let Some(token) = acks.as_mut().and_then(|acks| acks.try_recv().ok()) {
                if token.connection != connection || !sender.acknowledge(token.packet_id) {
                    void_acks.add(1);
                }
            }
            self.farewell(&sender, &mut poller).await;
        }
        stats.set_connected(false);
        Ok(())
    }

    fn connected(&self, sender: &Sender, poller: &mut Poller, state: &mut State, stats: &LinkStats, session_present: bool) {
        state.made += 1;
        state.connection = Some(state.made);
        state.since = Some(Instant::now());
        // A session may have been made under other filters, so each start subscribes; later on a kept session is left alone.
        let subscribed = (session_present && state.subscribed) || self.filters.is_empty();
        let subscribing = subscribed || sender.subscribe(&self.filters, self.role);
        let told = !matches!(self.role, Role::Readings) || sender.publish_status(&self.config.status_topic, link::ONLINE);
        if !(subscribing && told) {
            // Not reached while the queue is empty, as it is after connecting; the next connection tries again.
            poller.abandon();
            return;
        }
        state.said = None;
        stats.connects.add(1);
        stats.set_connected(subscribed);
        info!(role = ?self.role, host = %self.config.host, port = self.config.port, session_present, "connected to the broker");
    }

    /// Notes what happened and returns how long to wait.
    fn fault(&self, poller: &mut Poller, state: &mut State, stats: &LinkStats, fault: Fault) -> Duration {
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
                // The password may have been changed where it is kept.
                if let Err(unreadable) = poller.set_credentials(&self.config) {
                    state.act(stats, role, &unreadable.to_string());
                }
                return longest.mul_f64(0.5 + 0.5 * fraction());
            }
            Fault::Untrusted(reason) => {
                state.act(stats, role, &format!("the broker at {broker} is not trusted: {reason}; check tls.ca and host"));
                return longest.mul_f64(0.5 + 0.5 * fraction());
            }
            Fault::TooLarge(size) => {
                stats.oversized.add(1);
                let limit = match role {
                    Role::Readings => self.config.max_packet_readings,
                    Role::Frames | Role::Publisher => self.config.max_packet_frames,
                };
                let text = format!("a packet of {size} bytes is above the limit of {limit} and ended the connection");
                stats.set_error(&text);
                if !state.limit_lifted {
                    error!(?role, "{text}; such packets are from now on read and refused one by one");
                }
                // At QoS 1 the broker would send it again for ever, and at QoS 0 its sender could cut us off at will.
                state.limit_lifted = true;
                poller.set_packet_limit(MQTT_MAX_PACKET);
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

    async fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while !self.stop.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(TICK)).await;
        }
    }

    /// Says offline, as the last will is not sent after an orderly end, and closes.
    async fn farewell(&self, sender: &Sender, poller: &mut Poller) {
        let told = !matches!(self.role, Role::Readings) || sender.publish_status(&self.config.status_topic, link::OFFLINE);
        if !(told && sender.disconnect()) {
            return;
        }
        let closed = tokio::time::timeout(FAREWELL, async { while poller.poll().await.is_ok() {} }).await;
        if closed.is_err() {
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

async fn next(acks: &mut Option<UnboundedReceiver<AckToken>>) -> Option<AckToken> {
    match acks {
        Some(acks) => acks.recv().await,
        None => std::future::pending().await,
    }
}

async fn ordered(commands: &mut Option<Receiver<Publish>>) -> Option<Publish> {
    match commands {
        Some(commands) => commands.recv().await,
        None => std::future::pending().await,
    }
}

fn count(stats: &LinkStats, message: &Message) {
    stats.messages.add(1);
    stats.bytes.add(message.payload.len() as u64);
}

/// 0 to 1, different in every process and at every call: the standard library's hash keys are random.
fn fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
