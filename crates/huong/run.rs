//! The running system: threads and tasks wired together, watched, and stopped in the order of the data's path so that
//! nothing is left behind in between.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use huong_alerts::Load;
use huong_evidence::Actions;
use huong_flight::Flight;
use huong_flow::{Counter, Mailbox, Ring, Stop, Worker, give_way};
use huong_ingest::{EmbeddedBroker, IngestStats, MqttConfig, Posts, run_frames, run_readings};
use huong_notify::{MqttTarget, Setup, Sinks, start_sinks};
use huong_store::{Queries, QueryLog, Writer};
use huong_types::{Inbound, Problems, Timestamp};
use huong_vision::validate_jpeg;
use huong_wall::{Hub, Wall, stopped};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::answers::Tables;
use crate::clock::Clock;
use crate::config::Config;
use crate::exhibits::Exhibits;
use crate::health::{self, DiskHealth};
use crate::metrics::StoreStats;
use crate::mirror::Followed;
use crate::reload::{self, Folder, Reload};
use crate::review::Reviewed;
use crate::screens::Screens;
use crate::sealer::Keeper;
use crate::shared::{Journal, Lens, Shared, VisionStats};
use crate::vision::Looker;
use crate::writer::{Batch, Outlets};
use crate::{evidence, exhibits, mirror, push, recovery, sealer, think, vision, writer};

/// Readings that wait for the brain; a full ring withholds acknowledgements.
const RING: usize = 8192;
/// Turns of the brain that wait for the disk.
const BATCHES: usize = 64;
/// Operators' commands that wait for the brain.
const COMMANDS: usize = 64;

/// `huong run`.
pub(crate) fn command(path: &Path) -> Result<()> {
    let config = Config::load(path)?;
    let mut system = System::start(config, Clock::Wall)?;
    tracing::info!(wall = %system.address, "running; Ctrl-C stops");
    let outcome = system.until_stopped(&mut |_| {});
    system.stop().and(outcome)
}

pub(crate) struct System {
    runtime: Runtime,
    ingest: JoinSet<Result<()>>,
    wall: JoinSet<Result<()>>,
    workers: Stages,
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: std::net::SocketAddr,
    /// After everything else: clients of the embedded broker say good-bye first.
    _broker: Option<EmbeddedBroker>,
}

/// Threads in the order in which they stop, each with its own flag.
struct Stages {
    entrance: Stop,
    /// Looks at the folder of the rules.
    rules: (Stop, Worker),
    vision: Vec<(Stop, Worker)>,
    /// Keeps candidates of violations, where that is configured.
    exhibits: Option<(Stop, Worker)>,
    /// Looks at the store's disk and size.
    health: (Stop, Worker),
    brain: (Stop, Worker),
    writer: (Stop, Worker),
    sealer: (Stop, Worker),
    sinks: Stop,
    mirror: Stop,
    wall: Stop,
}

impl System {
    /// Opens the store, recovers, starts every thread and connects. Returns once the wall can be reached.
    pub(crate) fn start(config: Config, clock: Clock) -> Result<System> {
        let mut problems = Problems::default();
        let decoder = config.decoder(&mut problems);
        let brain = config.brain(&mut problems);
        let mut brain = brain.filter(|_| problems.is_empty()).with_context(|| problems.to_string())?;
        let pipelines = if config.vision.enabled { vision::open(&config.vision, &config.views, &config.registry)? } else { Vec::new() };
        let workers = pipelines.len().max(1);

        let (log, recovered) = Writer::open(config.store.clone()).context("the store cannot be opened")?;
        let past = recovery::recover(&mut brain, &config.store.dir, &recovered, clock.now())?;

        let broker = config.broker.embedded.then(|| EmbeddedBroker::start(&config.broker, &config.prefix)).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("net").enable_all().build()?;
        let wall = runtime.block_on(Wall::bind(config.wall.clone()))?;
        let address = wall.address();
        let flight = config.flight.as_ref().map(|flight| runtime.block_on(Flight::bind(flight))).transpose()?;
        let tokens = wall.tokens();
        let posts = config.posts.clone().map(|posts| runtime.block_on(Posts::bind(posts))).transpose()?;

        let query_log = QueryLog::open(&config.store.dir, config.query.log_bytes)?;
        let queries = Queries::new(&config.store.dir, config.query.clone(), Some(query_log))?;
        let actions = Actions::open(config.store.dir.join("actions.jsonl")).context("the log of actions cannot be used")?;
        let reviewed = config.evidence.as_ref().map(|evidence| {
            let records = evidence::open(evidence, clock.now()).context("the evidence cannot be opened")?;
            let outgoing = evidence.dir.join("outgoing");
            Reviewed::new(records, outgoing.clone()).with_context(|| format!("{} cannot be made", outgoing.display()))
        });
        let reviewed = reviewed.transpose()?;
        let office = push::office(config.notify.as_deref(), &config.store.dir, &config.registry, clock.shared())?;
        let open = Arc::new(ArcSwap::from_pointee(recovered.open_alerts.clone()));
        let ring: Arc<Ring<Inbound>> = Arc::new(Ring::new(RING));
        let batches: Arc<Ring<Batch>> = Arc::new(Ring::new(BATCHES));
        let shared = Arc::new(Shared {
            clock,
            registry: Arc::clone(&config.registry),
            streams: config.streams.clone().into(),
            queries,
            ingest: Arc::new(IngestStats::default()),
            vision: VisionStats::default(),
            mailbox: Arc::new(Mailbox::with_lanes(config.registry.cameras.len(), workers)),
            signals: (0..workers).map(|_| Ring::new(vision::SIGNALS)).collect(),
            lenses: config.registry.cameras.iter().map(|_| Lens::default()).collect(),
            book: Arc::default(),
            store: StoreStats::default(),
            recovery: past.figures,
            reach: ArcSwap::from_pointee(brain.reach()),
            ring: Arc::clone(&ring),
            batches: Arc::clone(&batches),
            latency: ArcSwapOption::empty(),
            orphans: Counter::new(),
            derived: Counter::new(),
            corrected: Counter::new(),
            told: Counter::new(),
            disk: DiskHealth::default(),
            open: Arc::clone(&open),
            load: ArcSwap::default(),
            sinks: ArcSwapOption::empty(),
            mirror: ArcSwapOption::empty(),
            commands: Arc::new(Ring::new(COMMANDS)),
            reload: Reload::new(),
            actions: Arc::new(Mutex::new(actions)),
            reviewed,
            office,
            font: config.evidence.as_ref().and_then(|evidence| evidence.font.clone()),
            rate: ArcSwap::from_pointee((Instant::now(), 0, 0.0)),
        });
        let (hub, mut feed) = Hub::new(&config.registry, &config.streams, recovered.open_alerts.clone());

        // A screen shows what was last known, with its age, and not an empty city.
        past.latest.values().for_each(|reading| feed.value(reading));
        let older = recovery::older(&past, &config.registry, &shared.queries, clock.now());
        match runtime.block_on(older) {
            Ok(older) => older.iter().for_each(|reading| feed.value(reading)),
            Err(error) => tracing::warn!(%error, "older values of silent stations are not shown"),
        }
        match runtime.block_on(recovery::foretold(&shared)) {
            Ok(forecasts) => forecasts.iter().for_each(|reading| feed.value(reading)),
            Err(error) => tracing::warn!(%error, "what was foretold before the start is not shown"),
        }

        let (entrance, sinks_stop, wall_stop) = (Stop::new(), Stop::new(), Stop::new());
        let sinks = Arc::new(start_sinks(
            &config.sinks,
            &Setup {
                dir: config.store.dir.join("sinks"),
                office: Arc::clone(&shared.office),
                journal: Arc::new(Journal { tail: log.tail(), open }),
                newest: recovered.next_seq.saturating_sub(1),
                broker: target(&config.mqtt),
                prefix: config.prefix.clone(),
            },
            &sinks_stop,
        )?);
        shared.sinks.store(Some(Arc::clone(&sinks)));
        let mirror_stop = Stop::new();
        let followed =
            Followed { committed: log.committed(), transitions: log.tail(), newest_transition: recovered.next_seq.saturating_sub(1) };
        mirror::start(&config, followed, &shared, &mirror_stop)?;

        let closed = Arc::new(Ring::new(recovered.closed.len() + 16));
        for segment in recovered.closed {
            closed.push(segment).map_err(|_| anyhow::anyhow!("the ring of closed segments is too small"))?;
        }
        let (acks, acks_in) = mpsc::unbounded_channel();
        let mut load = Load::new(config.alerts.load.clone());
        load.restore(&recovered.open_alerts, &past.steps);
        let outlets = Outlets {
            acks,
            load,
            load_told: Timestamp::MIN,
            feed,
            sinks,
            sealer: Arc::clone(&closed),
            open: recovered.open_alerts.into_iter().map(|alert| (alert.id.clone(), alert)).collect(),
        };

        let sealer = {
            let folders = config.folders.clone();
            let keeper = Keeper { store: config.store.clone(), folders, clock, shared: Arc::clone(&shared) };
            quiet_stage("sealer", KEEPERS, |stop| move || sealer::run(&closed, &keeper, &stop))?
        };
        let writer_gone = Stop::new();
        let writer = {
            let (batches, shared, gone) = (Arc::clone(&batches), Arc::clone(&shared), SetOnDrop(writer_gone.clone()));
            let tell = config.store.tell;
            let body = |stop| {
                move || {
                    let _gone = gone;
                    writer::run(log, tell, &batches, outlets, &shared, clock, &stop);
                }
            };
            stage("writer", body)?
        };
        let thinker = {
            let (ring, shared) = (Arc::clone(&ring), Arc::clone(&shared));
            let commit_every = config.store.commit_every.to_std();
            stage("brain", |stop| move || think::run(brain, commit_every, &ring, &batches, &shared, &stop, &writer_gone))?
        };
        let watcher = {
            let folder = Folder {
                path: config.pipelines_dir,
                streams: config.streams,
                registry: Arc::clone(&config.registry),
                running: config.pipelines,
            };
            let shared = Arc::clone(&shared);
            stage("rules", |stop| move || reload::run(folder, &shared.reload, &stop))?
        };
        let candidates = config.evidence.as_ref().map(|_| Arc::new(Ring::new(exhibits::WAITING)));
        let exhibits = match (&config.evidence, &candidates) {
            (Some(evidence), Some(candidates)) => {
                let exhibits = Exhibits::open(evidence, &config.vision.pipeline(), clock, Arc::clone(&shared))?;
                let candidates = Arc::clone(candidates);
                Some(quiet_stage("evidence", KEEPERS, |stop| move || exhibits.run(&candidates, &stop))?)
            }
            _ => None,
        };
        let mut pipelines = pipelines.into_iter();
        let look = |lane| {
            let (pipeline, schedule, flood_rules) = (pipelines.next(), config.vision.schedule, config.vision.flood_rules.clone());
            let looker = Looker { lane, pipeline, schedule, flood_rules, candidates: candidates.clone() };
            let (ring, shared) = (Arc::clone(&ring), Arc::clone(&shared));
            quiet_stage(&format!("vision-{lane}"), EYES, |stop| move || looker.run(&ring, &shared, &stop))
        };
        let eyes = (0..workers).map(look).collect::<Result<Vec<_>>>()?;
        let nurse = {
            let (store, ring, shared) = (config.store, Arc::clone(&ring), Arc::clone(&shared));
            stage("health", |stop| move || health::run(&store, &ring, &shared, &stop))?
        };

        let (mut ingest, mut wall_task) = (JoinSet::new(), JoinSet::new());
        let handle = runtime.handle();
        {
            let (mqtt, folders, now, ring, stats, stop) =
                (config.mqtt.clone(), config.folders, clock.shared(), Arc::clone(&ring), Arc::clone(&shared.ingest), entrance.clone());
            ingest.spawn_on(async move { Ok(run_readings(mqtt, folders, decoder, now, ring, acks_in, stats, stop).await?) }, handle);
        }
        // Without cameras there is nothing to subscribe to.
        if !config.registry.cameras.is_empty() {
            let (mqtt, now, stats, stop) = (config.mqtt, clock.shared(), Arc::clone(&shared.ingest), entrance.clone());
            let (registry, mailbox, limits, prefix) =
                (config.registry, Arc::clone(&shared.mailbox), config.vision.pipeline().limits, config.prefix);
            let check = Arc::new(move |jpeg: &[u8]| validate_jpeg(jpeg, &limits));
            ingest.spawn_on(async move { Ok(run_frames(mqtt, &prefix, registry, now, check, mailbox, ring, stats, stop).await?) }, handle);
        }
        if let Some(posts) = posts {
            let (now, stats, stop) = (clock.shared(), Arc::clone(&shared.ingest), entrance.clone());
            let serve = async move {
                posts.run(now, stats, stop).await;
                Ok(())
            };
            ingest.spawn_on(serve, handle);
        }
        {
            let (backend, stop) = (Arc::new(Screens(Arc::clone(&shared))), wall_stop.clone());
            wall_task.spawn_on(
                async move {
                    wall.run(hub, backend, stop).await;
                    Ok(())
                },
                handle,
            );
        }
        if let Some(flight) = flight {
            tracing::info!(address = %flight.address(), "Flight SQL listens");
            let tables = Arc::new(Tables { queries: shared.queries.clone(), tokens, clock });
            let stop = stopped(wall_stop.clone());
            wall_task.spawn_on(async move { Ok(flight.run(tables, stop).await?) }, handle);
        }
        let workers = Stages {
            entrance,
            rules: watcher,
            vision: eyes,
            exhibits,
            health: nurse,
            brain: thinker,
            writer,
            sealer,
            sinks: sinks_stop,
            mirror: mirror_stop,
            wall: wall_stop,
        };
        Ok(System { runtime, ingest, wall: wall_task, workers, shared, address, _broker: broker })
    }

    /// Waits for Ctrl-C or SIGTERM, or for a part that died; SIGHUP has the rules read again; calls `each` about every half second.
    pub(crate) fn until_stopped(&mut self, each: &mut dyn FnMut(&Shared)) -> Result<()> {
        let System { runtime, ingest, wall, workers, shared, .. } = self;
        runtime.block_on(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
            let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
            let mut beat = tokio::time::interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Ok(()),
                    _ = interrupt.recv() => return Ok(()),
                    _ = hangup.recv() => shared.reload.ask(),
                    Some(ended) = ingest.join_next() => return ended?.and_then(|()| bail!("ingest ended early")),
                    Some(ended) = wall.join_next() => return ended?.and_then(|()| bail!("the wall or Flight SQL ended early")),
                    _ = beat.tick() => {
                        if let Some(dead) = workers.dead(shared) {
                            bail!("{dead} ended early");
                        }
                        each(shared);
                    }
                }
            }
        })
    }

    pub(crate) fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// Stops along the data's path: what has come in is judged, written and told before the next part stops.
    ///
    /// # Errors
    /// The first part that had died or failed.
    pub(crate) fn stop(self) -> Result<()> {
        let System { runtime, mut ingest, wall: mut wall_task, workers, shared, _broker, .. } = self;
        let Stages { entrance, rules, vision, exhibits, health, brain, writer, sealer, sinks, mirror, wall } = workers;
        let drain = |tasks: &mut JoinSet<Result<()>>| {
            let mut outcome = Ok(());
            while let Some(ended) = runtime.block_on(tasks.join_next()) {
                outcome = outcome.and(ended.map_err(anyhow::Error::from).and_then(|result| result));
            }
            outcome
        };
        entrance.set();
        let mut outcome = drain(&mut ingest);
        let before = [rules].into_iter().chain(vision).chain(exhibits);
        for (stop, worker) in before.chain([health, brain, writer, sealer]) {
            stop.set();
            outcome = outcome.and(worker.join().map_err(anyhow::Error::from));
        }
        sinks.set();
        if let Some(running) = shared.sinks.swap(None).and_then(Arc::into_inner) {
            outcome = outcome.and(Sinks::join(running).map_err(anyhow::Error::from));
        }
        mirror.set();
        if let Some(running) = shared.mirror.swap(None).and_then(Arc::into_inner) {
            outcome = outcome.and(running.join().map_err(anyhow::Error::from));
        }
        wall.set();
        outcome = outcome.and(drain(&mut wall_task));
        let balance = shared.balance();
        tracing::info!(received = balance.received, stored = balance.stored, rejected = balance.rejected, in_flight = ?balance.in_flight(), "stopped");
        outcome
    }
}

impl Stages {
    /// A thread that has ended though nobody stopped it.
    fn dead(&self, shared: &Shared) -> Option<String> {
        let workers =
            [&self.rules, &self.health, &self.brain, &self.writer, &self.sealer].into_iter().chain(&self.vision).chain(&self.exhibits);
        let worker = workers.map(|(_, worker)| worker).find(|worker| worker.is_finished()).map(|worker| worker.name().to_owned());
        let sink = || shared.sinks.load().as_ref().and_then(|sinks| sinks.ended().map(str::to_owned));
        let mirror = || shared.mirror.load().as_ref().filter(|mirror| mirror.ended()).map(|_| "mirror".to_owned());
        worker.or_else(sink).or_else(mirror)
    }
}

/// Tells that the thread which owns it has ended, however it ended.
pub(crate) struct SetOnDrop(pub(crate) Stop);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Looks at pictures, of which the newest wins: alarms come first.
const EYES: u8 = 19;
/// Keeps what is judged already.
const KEEPERS: u8 = 10;

/// The same for a thread that leaves a busy machine to those that carry alarms.
fn quiet_stage<F: FnOnce() + Send + 'static>(name: &str, steps: u8, body: impl FnOnce(Stop) -> F) -> Result<(Stop, Worker)> {
    stage(name, |stop| {
        let body = body(stop);
        move || {
            if let Err(error) = give_way(steps) {
                tracing::warn!(%error, "this thread cannot give way to those that carry alarms");
            }
            body();
        }
    })
}

/// A named thread with a flag of its own to stop it.
fn stage<F: FnOnce() + Send + 'static>(name: &str, body: impl FnOnce(Stop) -> F) -> Result<(Stop, Worker)> {
    let stop = Stop::new();
    let worker = Worker::spawn(name, body(stop.clone())).with_context(|| format!("no thread for {name}"))?;
    Ok((stop, worker))
}

/// The sinks' broker, when they name none: the one that readings come from.
fn target(mqtt: &MqttConfig) -> MqttTarget {
    MqttTarget {
        host: mqtt.host.clone(),
        port: mqtt.port,
        client_id: mqtt.client_id.clone(),
        user: mqtt.user.clone(),
        password_env: mqtt.password_env.clone(),
        password_file: mqtt.password_file.clone(),
        tls: mqtt.tls.as_ref().map(|tls| huong_notify::TlsConfig { ca: tls.ca.clone(), cert: tls.cert.clone(), key: tls.key.clone() }),
        keep_alive: mqtt.keep_alive,
    }
}
