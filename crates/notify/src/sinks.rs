//! Starting, waking and watching the sinks.
//!
//! Invariant: one thread per sink, and nothing shared between two of them but the journal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use huong_flow::{Panicked, Stop, Worker};
use huong_types::{Alert, Name, Transition};

use crate::cap_sink::CapSink;
use crate::channel::Channel;
use crate::config::{MqttTarget, Payload, SinkConfig};
use crate::http::Http;
use crate::letters::Letters;
use crate::mqtt::MqttSink;
use crate::office::Office;
use crate::offset::Offset;
use crate::outbox::{Filter, Outbox, Status};
use crate::post::Post;
use crate::smtp::Smtp;
use crate::steps::{self, System};
use crate::web_push::WebPush;
use crate::webhook::Webhook;

/// The journal of alert transitions; the root adapts its store. Called on the sinks' threads, which may wait.
pub trait Journal: Send + Sync + 'static {
    /// The first `limit` transitions with a sequence number above `seq`, in order.
    fn transitions_after(&self, seq: u64, limit: usize) -> Result<Vec<Transition>, String>;

    /// The alerts that hold now.
    fn open_alerts(&self) -> Result<Vec<Alert>, String>;
}

/// What all sinks need.
pub struct Setup {
    /// Where offsets and dead letters are kept.
    pub dir: PathBuf,
    pub office: Arc<Office>,
    pub journal: Arc<dyn Journal>,
    /// The last sequence number journalled before this start. A sink that has never run begins after it.
    pub newest: u64,
    /// The broker of MQTT sinks that name none.
    pub broker: MqttTarget,
    /// The first level of state topics.
    pub prefix: String,
}

#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("sink `{sink}`: the offset file {} cannot be used: {error}", file.display())]
    Offset { sink: Name, file: PathBuf, error: io::Error },
    #[error("sink `{sink}`: {why}")]
    Config { sink: Name, why: String },
    #[error("sink `{sink}`: no thread: {error}")]
    Thread { sink: Name, error: io::Error },
}

/// A sink's counts since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFigures {
    pub name: Name,
    pub delivered: u64,
    /// Steps journalled and not yet done with, and letters to people that have not left.
    pub behind: u64,
    pub retries: u64,
    pub dead_letters: u64,
    /// Why the last attempt failed; `None` when it succeeded.
    pub failing: Option<String>,
}

/// The running sinks.
#[must_use = "dropping the sinks leaves their threads unwatched"]
pub struct Sinks {
    office: Arc<Office>,
    running: Vec<Running>,
}

struct Running {
    status: Arc<Status>,
    ring: Box<dyn Fn() + Send + Sync>,
    worker: Worker,
}

/// Starts one named thread per sink. They end when `stop` is set; see [`Sinks::join`].
///
/// # Errors
/// When an offset file is unreadable, a secret is missing or a thread cannot be started. Sinks already started end with `stop`.
pub fn start_sinks(configs: &[SinkConfig], setup: &Setup, stop: &Stop) -> Result<Sinks, NotifyError> {
    let running = configs.iter().map(|config| start(config, setup, stop.clone())).collect::<Result<_, _>>()?;
    Ok(Sinks { office: Arc::clone(&setup.office), running })
}

fn start(config: &SinkConfig, setup: &Setup, stop: Stop) -> Result<Running, NotifyError> {
    let sink = || config.name.clone();
    let wrong = |why| NotifyError::Config { sink: sink(), why };
    let file = setup.dir.join(format!("{}.offset", config.name));
    let offset = std::fs::create_dir_all(&setup.dir).and_then(|()| Offset::open(file.clone(), setup.newest));
    let (offset, mut done) = offset.map_err(|error| NotifyError::Offset { sink: sink(), file, error })?;
    if done > setup.newest {
        // So it is when alarms were told from memory before a crash: they come again, under new numbers.
        tracing::warn!(sink = %config.name, offset = done, newest = setup.newest, "the journal is younger than the sink's offset: beginning at its end");
        done = setup.newest;
    }
    let withdrawals = config.mqtt.as_ref().is_some_and(|mqtt| mqtt.payload == Payload::State);
    let filter = Filter { routes: config.routes.clone(), min_severity: config.min_severity, updates: config.updates, withdrawals };
    let status = Arc::new(Status::new(sink(), setup.newest));
    let dead_letters = setup.dir.join(format!("{}.dead.jsonl", config.name));
    let outbox = Outbox::new(Arc::clone(&status), Arc::clone(&setup.journal), filter, (offset, done), dead_letters);
    let thread = format!("sink-{}", config.name);
    let office = Arc::clone(&setup.office);
    // A full bell is already ringing, a closed one has no sink behind it.
    let (bell, heard) = std::sync::mpsc::sync_channel(1);
    let ring = move || {
        bell.try_send(()).ok();
    };
    let retry = config.retry;
    let (ring, worker): (Box<dyn Fn() + Send + Sync>, _) = if let Some(mqtt) = &config.mqtt {
        let target = mqtt.broker.as_ref().unwrap_or(&setup.broker);
        let sink = MqttSink::new(mqtt, target, config, setup.prefix.clone(), Arc::clone(&office.registry)).map_err(wrong)?;
        let bell = Arc::new(tokio::sync::Notify::new());
        let heard = Arc::clone(&bell);
        (Box::new(move || bell.notify_one()), Worker::spawn(&thread, move || sink.run(outbox, &heard, &stop)))
    } else if let Some(system) = system(config, &office).map_err(wrong)? {
        let run = move || steps::run(&*system, outbox, retry, &office, &heard, &stop);
        (Box::new(ring), Worker::spawn(&thread, run))
    } else {
        let channel = channel(config, &office).map_err(wrong)?;
        let file = setup.dir.join(format!("{}.letters.jsonl", config.name));
        let mut letters = Letters::open(file.clone()).map_err(|error| NotifyError::Offset { sink: sink(), file, error })?;
        // As for the offset above: what comes under these numbers is new.
        if letters.upto() > setup.newest {
            letters.read_upto(setup.newest);
        }
        let post = Post { sink: sink(), channel, office, retry, give_up: config.give_up };
        (Box::new(ring), Worker::spawn(&thread, move || post.run(outbox, letters, &heard, &stop)))
    };
    let worker = worker.map_err(|error| NotifyError::Thread { sink: sink(), error })?;
    Ok(Running { status, ring, worker })
}

/// The system that a sink tells; `None` when it tells people.
fn system(config: &SinkConfig, office: &Arc<Office>) -> Result<Option<Box<dyn System>>, String> {
    Ok(match (&config.webhook, &config.cap) {
        (Some(webhook), _) => Some(Box::new(Webhook::new(webhook, Arc::clone(&office.registry))?)),
        (_, Some(cap)) => Some(Box::new(CapSink { audience: cap.audience, office: Arc::clone(office) })),
        (None, None) => None,
    })
}

/// The way to people.
fn channel(config: &SinkConfig, office: &Office) -> Result<Box<dyn Channel>, String> {
    Ok(match (&config.smtp, &config.http, &config.web_push) {
        (Some(smtp), ..) => Box::new(Smtp::new(smtp)?),
        (_, Some(http), _) => Box::new(Http::new(http.clone())),
        (.., Some(push)) => Box::new(WebPush::new(push, Arc::clone(office.subscriptions()), Arc::clone(&office.now))?),
        (None, None, None) => return Err("exactly one way to tell is needed".to_owned()),
    })
}

impl Sinks {
    /// What all sinks share: links, receipts, subscriptions, the CAP desk.
    pub fn office(&self) -> &Arc<Office> {
        &self.office
    }

    /// Transitions up to `newest` are in the journal. Never waits.
    pub fn wake(&self, newest: u64) {
        for sink in &self.running {
            sink.status.newest.fetch_max(newest, Ordering::Release);
            (sink.ring)();
        }
    }

    pub fn figures(&self) -> Vec<SinkFigures> {
        self.running.iter().map(|sink| figures_of(&sink.status)).collect()
    }

    /// A sink whose thread has ended though nobody stopped it: the process should end with an error.
    pub fn ended(&self) -> Option<&str> {
        self.running.iter().map(|sink| &sink.worker).find(|worker| worker.is_finished()).map(Worker::name)
    }

    /// Waits for all sinks to end; set their `stop` before. At most an attempt's time-out per sink.
    ///
    /// # Errors
    /// The first panic.
    pub fn join(self) -> Result<(), Panicked> {
        self.running.iter().for_each(|sink| (sink.ring)());
        self.running.into_iter().map(|sink| sink.worker.join()).collect::<Vec<_>>().into_iter().collect()
    }
}

fn figures_of(status: &Status) -> SinkFigures {
    let offset = status.offset.load(Ordering::Relaxed);
    SinkFigures {
        name: status.name.clone(),
        delivered: status.delivered.get(),
        behind: status.newest.load(Ordering::Relaxed).saturating_sub(offset) + status.waiting.load(Ordering::Relaxed),
        retries: status.retries.get(),
        dead_letters: status.dead_letters.get(),
        failing: status.failing(),
    }
}
