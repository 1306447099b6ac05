//! Readings: from the broker at QoS 1 and from folders, acknowledged once durable.
//!
//! Network and decoding share one thread, and hand on what came together: one wake-up for many messages. A full ring holds back the
//! broker: nothing at QoS 1 is dropped, it waits unacknowledged at the broker, and a file waits in its folder.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use huong_flow::{Ring, Stop};
use huong_types::decode::{Decoder, Limits};
use huong_types::{AckToken, Inbound, Publish, Quarantined};
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::mpsc::{self, UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::folder::{FIRST_FOLDER, Folder};
use crate::packets::{Message, Role};
use crate::session::{Deliver, Outgoing, Session};
use crate::{Clock, FolderConfig, IngestError, IngestStats, MqttConfig, ShedReason};

/// Commands that wait for the connection; what finds no room is asked for again by the next message that needs it.
const COMMANDS: usize = 64;
/// Reads of the network, and files, that wait to be decoded.
const BATCHES: usize = 16;

/// Receives, decodes and hands over readings until `stop` is set, on a thread of its own. What comes back through `acks` is acknowledged
/// to the broker; the rest it sends again after the next connection. Files of `folders` go the same way, and are moved away instead.
///
/// A packet above `max_packet_readings`: an MQTT 5 broker is told the limit and discards such packets itself. Where one comes all
/// the same it ends the connection, is logged as an error once and counted, and from then on such packets are received (to MQTT's
/// own limit), cut to their first bytes at once and quarantined as too large, so that none is sent again for ever.
///
/// # Errors
/// When the configuration cannot be used: what [`MqttConfig::check`] finds.
#[expect(clippy::too_many_arguments, reason = "the wiring of one task; each is named at its one call")]
pub async fn run_readings(
    config: MqttConfig,
    folders: Vec<FolderConfig>,
    decoder: Decoder,
    clock: Clock,
    ring: Arc<Ring<Inbound>>,
    acks: UnboundedReceiver<AckToken>,
    stats: Arc<IngestStats>,
    stop: Stop,
) -> Result<(), IngestError> {
    // Whoever drops this future wants the thread to end, too.
    let (wanted, unwanted) = oneshot::channel::<()>();
    let body = move || {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| IngestError::Task(error.to_string()))?;
        runtime.block_on(async {
            select! {
                outcome = receive(config, folders, decoder, clock, ring, acks, stats, stop) => outcome,
                _gone = unwanted => Ok(()),
            }
        })
    };
    let outcome = spawn_blocking(body).await;
    drop(wanted);
    outcome.unwrap_or_else(|error| Err(IngestError::Task(error.to_string())))
}

#[expect(clippy::too_many_arguments, reason = "as above")]
async fn receive(
    config: MqttConfig,
    folders: Vec<FolderConfig>,
    decoder: Decoder,
    clock: Clock,
    ring: Arc<Ring<Inbound>>,
    acks: UnboundedReceiver<AckToken>,
    stats: Arc<IngestStats>,
    stop: Stop,
) -> Result<(), IngestError> {
    let limits = Limits { payload: config.max_payload, items: config.max_items };
    let mut decoder = decoder.with_limits(limits);
    let (queue, mut waiting) = mpsc::channel(BATCHES);
    let (commands, orders) = mpsc::channel(COMMANDS);
    let session = Session { config, role: Role::Readings, filters: decoder.filters(), own_thread: true, stop: stop.clone() };
    // A set, so that the other tasks end with this one when this one is dropped.
    let mut network = JoinSet::new();
    let acks = watch(folders, acks, &queue, limits.payload, &stop, &mut network);
    let counters = Arc::clone(&stats);
    network.spawn(async move {
        let mut queue = Queue { queue, taken: Vec::new(), limit: limits.payload };
        let outgoing = Outgoing { acks: Some(acks), publishes: Some(orders) };
        session.run(outgoing, &counters.void_acks, &counters.readings, &mut queue).await
    });
    let mut decoded = VecDeque::new();
    while let Some(batch) = waiting.recv().await {
        // What was read together arrived together.
        let now = clock();
        let (mut readings, mut rejected) = (0, 0);
        for Arrived { message, length, ack, verdict } in batch {
            let topic = String::from_utf8_lossy(&message.topic);
            let mut inbound = match length {
                None => decoder.decode(&topic, &message.payload, now),
                Some(length) => decoder.refuse_large(&topic, &message.payload, length, now),
            };
            inbound.ack = ack;
            send(&mut inbound.commands, &commands, &stats);
            // Nobody listens where a folder has ended.
            let _told = verdict.map(|verdict| verdict.send(!inbound.readings.is_empty()));
            readings += inbound.readings.len() as u64;
            rejected += inbound.rejected.len() as u64;
            decoded.push_back(inbound);
        }
        // Before the push, so that nobody sees more leave than came in.
        stats.decoded.add(readings);
        stats.rejected.add(rejected);
        hand_over(&ring, &mut decoded, &stop).await;
        if !decoded.is_empty() {
            decoded.iter().for_each(|left| stats.shed.add(left, ShedReason::Stopping));
            break;
        }
    }
    // Lets go of a network task that waits for room.
    drop(waiting);
    let mut outcome = Ok(());
    while let Some(ended) = network.join_next().await {
        outcome = outcome.and(ended.unwrap_or_else(|error| Err(IngestError::Task(error.to_string()))));
    }
    outcome
}

fn send(asked: &mut Vec<Publish>, commands: &mpsc::Sender<Publish>, stats: &IngestStats) {
    for command in asked.drain(..) {
        if commands.try_send(command).is_err() {
            stats.readings.unsent.add(1);
        }
    }
}

/// Starts the folders and returns the acknowledgements that are the broker's: all of them when there are no folders.
fn watch(
    folders: Vec<FolderConfig>,
    mut acks: UnboundedReceiver<AckToken>,
    queue: &mpsc::Sender<Vec<Arrived>>,
    limit: usize,
    stop: &Stop,
    tasks: &mut JoinSet<Result<(), IngestError>>,
) -> UnboundedReceiver<AckToken> {
    if folders.is_empty() {
        return acks;
    }
    let mut doors = Vec::new();
    for (number, config) in (FIRST_FOLDER..).zip(folders) {
        let (door, acks) = unbounded_channel();
        doors.push(door);
        let folder = Folder { config, number, limit, queue: queue.clone(), acks, stop: stop.clone() };
        tasks.spawn(async move {
            folder.run().await;
            Ok(())
        });
    }
    let (broker, brokers) = unbounded_channel();
    let sort = async move {
        while let Some(token) = acks.recv().await {
            let folder = token.connection.checked_sub(FIRST_FOLDER).and_then(|i| doors.get(usize::try_from(i).ok()?));
            // Whoever has ended needs no acknowledgement: the message or file comes again.
            let _gone = folder.unwrap_or(&broker).send(token);
        }
    };
    // Ends with the writer's half, which outlives this: what is stored while stopping must still reach its door.
    tokio::spawn(sort);
    brokers
}

/// Waits for room; what is left when stopped before there was enough stays in `decoded`.
async fn hand_over(ring: &Ring<Inbound>, decoded: &mut VecDeque<Inbound>, stop: &Stop) {
    loop {
        ring.append(decoded);
        if decoded.is_empty() || stop.is_set() {
            return;
        }
        // The ring does not tell of room, and there is none for as long as a rule or a disk takes: a short nap costs nothing.
        sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) struct Arrived {
    pub(crate) message: Message,
    /// The whole payload's length when it was cut for its size.
    pub(crate) length: Option<u64>,
    pub(crate) ack: Option<AckToken>,
    /// Told whether there was a reading in it.
    pub(crate) verdict: Option<oneshot::Sender<bool>>,
}

struct Queue {
    queue: mpsc::Sender<Vec<Arrived>>,
    /// Read together, and not handed over yet.
    taken: Vec<Arrived>,
    limit: usize,
}

impl Deliver for Queue {
    fn take(&mut self, mut message: Message, ack: Option<AckToken>) {
        let whole = message.payload.len();
        let length = (whole > self.limit).then_some(whole as u64);
        if length.is_some() {
            // A copy of the head lets the rest go now; a slice would keep it all.
            message.payload = Bytes::copy_from_slice(&message.payload[..Quarantined::MAX_BYTES.min(whole)]);
        }
        self.taken.push(Arrived { message, length, ack, verdict: None });
    }

    async fn settle(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        match self.queue.reserve().await {
            Ok(place) => place.send(std::mem::take(&mut self.taken)),
            Err(_) => {
                tracing::debug!(messages = self.taken.len(), "stopping: messages are left to the broker");
                self.taken.clear();
            }
        }
    }
}
