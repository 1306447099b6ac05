//! The MQTT sink: a client of its own, because one that both consumes and publishes stalls under load.
//!
//! Invariant: the offset passes a step only when the broker has acknowledged every message of it (QoS 1). A connection begins
//! with nothing in flight: what was not acknowledged on the last one is read from the journal again. State topics hold exactly the
//! open alerts, also after a broker that forgot them: each connection publishes all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use huong_flow::{Backoff, Stop};
use huong_types::{Alert, AlertState, Registry, Transition, TransitionKind};
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::config::{MqttSinkConfig, MqttTarget, Payload, RetryConfig, SinkConfig};
use crate::outbox::Outbox;
use crate::payload::{state_body, state_topic, values_body};

/// Steps sent and not yet acknowledged: enough to hide a round trip, few enough to send again.
const WINDOW: usize = 100;
/// A step is at most two messages: the last state, and the empty one that withdraws it.
const MESSAGES: usize = 2 * WINDOW;
/// The largest message: a thousand times the usual one.
const PACKET_BYTES: usize = 1 << 20;
/// How often a waiting sink looks whether it should stop.
const LOOK: Duration = Duration::from_millis(500);
/// How long the broker may take to acknowledge what is in flight when the sink stops.
const FAREWELL: Duration = Duration::from_secs(2);

pub(crate) struct MqttSink {
    target: MqttTarget,
    client_id: String,
    password: Option<String>,
    /// `None`: state topics.
    values_topic: Option<String>,
    prefix: String,
    retry: RetryConfig,
    registry: Arc<Registry>,
}

struct Message {
    topic: String,
    body: Vec<u8>,
    retain: bool,
}

/// What is to be published next.
enum Item {
    Step(Box<Transition>),
    /// An alert that holds, told again to a broker that may have forgotten it.
    Open(Box<Alert>),
}

/// One item whose messages are on their way.
struct Flying {
    /// `None` for what is no step of the journal.
    seq: Option<u64>,
    unacknowledged: usize,
}

/// One connection.
struct Session {
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    poller: AbortHandle,
    waiting: VecDeque<Item>,
    flying: VecDeque<Flying>,
    /// How many items have left the front of `flying`; an item's number is this plus its place.
    landed: usize,
    /// Numbers of the items of messages handed to the client and not yet sent, in order.
    unsent: VecDeque<usize>,
    /// By packet id.
    sent: HashMap<u16, usize>,
    /// The last step put in `waiting`.
    read: u64,
    /// All open alerts have been put in `waiting`.
    complete: bool,
}

impl MqttSink {
    /// # Errors
    /// When the password cannot be read.
    pub(crate) fn new(
        mqtt: &MqttSinkConfig,
        target: &MqttTarget,
        sink: &SinkConfig,
        prefix: String,
        registry: Arc<Registry>,
    ) -> Result<Self, String> {
        let values_topic = match mqtt.payload {
            Payload::State => None,
            Payload::Values => Some(mqtt.topic.clone().ok_or("payload = \"values\" needs a topic")?),
        };
        let client_id = format!("{}-{}", target.client_id, sink.name);
        Ok(Self { password: target.password()?, target: target.clone(), client_id, values_topic, prefix, retry: sink.retry, registry })
    }

    /// Runs until `stop`.
    pub(crate) fn run(self, outbox: Outbox, bell: &Notify, stop: &Stop) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.connect_again_and_again(outbox, bell, stop)),
            Err(error) => tracing::error!(sink = %outbox.status.name, %error, "the sink cannot start: no runtime"),
        }
    }

    async fn connect_again_and_again(self, mut outbox: Outbox, bell: &Notify, stop: &Stop) {
        let mut backoff = Backoff::new(self.retry.first.to_std(), self.retry.most.to_std());
        while !stop.is_set() {
            if let Err(why) = self.session(&mut outbox, &mut backoff, bell, stop).await {
                outbox.failed(why);
                let mut left = backoff.next_wait();
                while !left.is_zero() && !stop.is_set() {
                    sleep(left.min(LOOK)).await;
                    left = left.saturating_sub(LOOK);
                }
            }
            outbox.save();
        }
    }

    /// One connection, from its beginning to its end; `Ok` when the sink is to stop.
    async fn session(&self, outbox: &mut Outbox, backoff: &mut Backoff, bell: &Notify, stop: &Stop) -> Result<(), String> {
        let (client, events) = AsyncClient::new(self.options()?, MESSAGES);
        let mut session = Session::open(client, events, outbox.done(), self.values_topic.is_some());
        loop {
            let event = tokio::select! {
                event = session.events.recv() => Some(event.ok_or("the connection's task has ended")?),
                () = sleep(LOOK) => None,
            };
            match event {
                Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None if stop.is_set() => return Ok(()),
                None => {}
            }
        }
        backoff.reset();
        outbox.works();
        while !stop.is_set() {
            self.fill(&mut session, outbox)?;
            tokio::select! {
                event = session.events.recv() => session.take(event, outbox)?,
                () = bell.notified() => {}
                () = sleep(LOOK) => {}
            }
            while let Ok(event) = session.events.try_recv() {
                session.take(Some(event), outbox)?;
            }
            outbox.save();
        }
        let landing = async {
            while !session.flying.is_empty() {
                let event = session.events.recv().await;
                session.take(event, outbox)?;
            }
            Ok(())
        };
        timeout(FAREWELL, landing).await.unwrap_or(Ok(()))
    }

    /// Hands messages to the client until the window is full or there is nothing more to say.
    fn fill(&self, session: &mut Session, outbox: &mut Outbox) -> Result<(), String> {
        while session.flying.len() < WINDOW {
            if session.waiting.is_empty() {
                let steps = outbox.after(session.read)?;
                session.read = steps.last().map_or(session.read, |step| step.seq);
                session.waiting.extend(steps.into_iter().map(|step| Item::Step(Box::new(step))));
                if session.waiting.is_empty() && !session.complete {
                    session.complete = true;
                    let open = outbox.journal.open_alerts().map_err(|error| format!("the open alerts cannot be read: {error}"))?;
                    session.waiting.extend(open.into_iter().map(|alert| Item::Open(Box::new(alert))));
                }
            }
            let Some(item) = session.waiting.pop_front() else { return Ok(()) };
            let (seq, messages) = match &item {
                Item::Step(step) => (Some(step.seq), if outbox.filter().wants(step) { self.messages(step) } else { Vec::new() }),
                Item::Open(alert) if shown(alert) && outbox.filter().wants_alert(alert) => (None, vec![self.state(alert)]),
                Item::Open(_) => continue,
            };
            session.publish(seq, messages)?;
            session.land(outbox);
        }
        Ok(())
    }

    fn messages(&self, step: &Transition) -> Vec<Message> {
        match &self.values_topic {
            Some(topic) if step.kind == TransitionKind::Raised => {
                vec![Message { topic: topic.clone(), body: values_body(step), retain: false }]
            }
            Some(_) => Vec::new(),
            None if shown(&step.alert) => vec![self.state(&step.alert)],
            // Of a rule with `each = true`: it came and is over, so nothing was retained that must be withdrawn.
            None if step.kind == TransitionKind::Raised => vec![Message { retain: false, ..self.state(&step.alert) }],
            // Hidden, or never heard of: what may be retained goes, without a word.
            None if step.alert.state != AlertState::Cleared || step.alert.announced.is_none() => {
                vec![Message { topic: state_topic(&self.prefix, &step.alert), body: Vec::new(), retain: true }]
            }
            None => {
                let last = self.state(&step.alert);
                let nothing = Message { topic: last.topic.clone(), body: Vec::new(), retain: true };
                vec![last, nothing]
            }
        }
    }

    fn state(&self, alert: &Alert) -> Message {
        Message { topic: state_topic(&self.prefix, alert), body: state_body(alert, &self.registry), retain: true }
    }

    fn options(&self) -> Result<MqttOptions, String> {
        let target = &self.target;
        let mut options = MqttOptions::new(&self.client_id, &target.host, target.port);
        options.set_keep_alive(target.keep_alive.to_std().max(Duration::from_secs(1)));
        options.set_max_packet_size(PACKET_BYTES, PACKET_BYTES);
        options.set_clean_session(true);
        options.set_inflight(WINDOW as u16);
        if let Some(user) = &target.user {
            options.set_credentials(user, self.password.as_deref().unwrap_or_default());
        }
        if let Some(tls) = &target.tls {
            let read = |file| std::fs::read(file).map_err(|error| format!("{}: {error}", std::path::Path::display(file)));
            let client_auth = match (&tls.cert, &tls.key) {
                (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
                _ => None,
            };
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple { ca: read(&tls.ca)?, alpn: None, client_auth }));
        }
        Ok(options)
    }
}

/// Whether a late subscriber should see it.
fn shown(alert: &Alert) -> bool {
    alert.state.listed()
}

impl Session {
    fn open(client: AsyncClient, mut connection: EventLoop, read: u64, complete: bool) -> Self {
        // A publish is two events, and nothing waits for us while we hand over messages.
        let (tell, events) = mpsc::channel(2 * MESSAGES);
        let poll = async move {
            loop {
                let event = connection.poll().await;
                let over = event.is_err();
                if tell.send(event).await.is_err() || over {
                    return;
                }
            }
        };
        let poller = tokio::spawn(poll).abort_handle();
        Self {
            client,
            events,
            poller,
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            landed: 0,
            unsent: VecDeque::new(),
            sent: HashMap::new(),
            read,
            complete,
        }
    }

    fn publish(&mut self, seq: Option<u64>, messages: Vec<Message>) -> Result<(), String> {
        let number = self.landed + self.flying.len();
        self.flying.push_back(Flying { seq, unacknowledged: messages.len() });
        for message in messages {
            self.client.try_publish(message.topic, QoS::AtLeastOnce, message.retain, message.body).map_err(|error| error.to_string())?;
            self.unsent.push_back(number);
        }
        Ok(())
    }

    fn take(&mut self, event: Option<Result<Event, ConnectionError>>, outbox: &mut Outbox) -> Result<(), String> {
        match event.ok_or("the connection's task has ended")?.map_err(|error| error.to_string())? {
            Event::Outgoing(Outgoing::Publish(packet)) => {
                if let Some(number) = self.unsent.pop_front() {
                    self.sent.insert(packet, number);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                let flying = self.sent.remove(&ack.pkid).and_then(|number| self.flying.get_mut(number - self.landed));
                if let Some(flying) = flying {
                    flying.unacknowledged -= 1;
                    if flying.unacknowledged == 0 && flying.seq.is_some() {
                        outbox.delivered();
                    }
                }
            }
            _ => {}
        }
        self.land(outbox);
        Ok(())
    }

    /// Moves the offset over what is acknowledged, in order.
    fn land(&mut self, outbox: &mut Outbox) {
        while self.flying.front().is_some_and(|flying| flying.unacknowledged == 0) {
            let flying = self.flying.pop_front();
            self.landed += 1;
            if let Some(seq) = flying.and_then(|flying| flying.seq) {
                outbox.advance(seq);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.poller.abort();
    }
}
