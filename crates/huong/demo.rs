//! `huong demo`: the storm of October 2025 on this machine, with nothing to set up: embedded broker, simulated fleet,
//! processor and wall in one process, the fleet and the processor talking over real MQTT.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use huong_types::{Severity, Span, Timestamp, local_date_time};
use sensor_sim::{ScenarioKind, SimConfig};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::commands::say;
use crate::config::Config;
use crate::run::System;
use crate::screens::figures;
use crate::shared::Shared;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Simulated seconds per real second.
    #[arg(long, default_value_t = 600.0)]
    speed: f64,
    /// Where the storm begins.
    #[arg(long, default_value = "2025-10-26T18:00:00+07:00")]
    start: String,
    #[arg(long, default_value_t = 200)]
    cameras: usize,
    /// Frames per real second and camera.
    #[arg(long, default_value_t = 0.1)]
    fps: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The wall's address.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The embedded broker's address.
    #[arg(long, default_value = "127.0.0.1:18830")]
    broker: SocketAddr,
    /// Neither broker nor fleet: readings come from the broker of the configuration, sent by a `sensor-sim` of the same start and speed.
    #[arg(long, conflicts_with_all = ["cameras", "seed", "broker"])]
    external: bool,
    /// Emptied at the start.
    #[arg(long, default_value = "data/demo")]
    data: PathBuf,
    #[arg(long, default_value = "config/huong.toml")]
    config: PathBuf,
}

/// Live figures are printed this often.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) fn command(args: &DemoArgs) -> Result<()> {
    let start = Timestamp::parse_rfc3339(&args.start)
        .with_context(|| format!("--start: found `{}`, expected a time such as 2025-10-26T18:00:00+07:00", args.start))?;
    anyhow::ensure!(args.fps > 0.0 && args.fps.is_finite(), "--fps: found `{}`, expected a positive number", args.fps);
    anyhow::ensure!(args.speed > 0.0 && args.speed.is_finite(), "--speed: found `{}`, expected a positive number", args.speed);
    let mut config = Config::load(&args.config)?;
    if !args.external {
        config.embed_broker(args.broker);
    }
    config.wall.listen = args.listen;
    config.store.dir.clone_from(&args.data);
    empty(&args.data)?;
    let operator = operator_token(&args.data)?;
    config.wall.tokens_file = Some(operator.file);
    config.wall.open = true;
    let sim = SimConfig {
        host: config.mqtt.host.clone(),
        port: config.mqtt.port,
        prefix: config.prefix.clone(),
        scenario: ScenarioKind::Storm2025,
        seed: args.seed,
        faults: true,
        cameras: args.cameras,
        fps: args.fps,
        frame_size: (640, 360),
        pictures: None,
    };
    // What the registry says of real cameras is not so of these: a frame each so many simulated seconds. Likewise an hour of
    // log is over in seconds.
    let period = Span::from_millis((1000.0 / args.fps * args.speed) as i64);
    for camera in &mut Arc::make_mut(&mut config.registry).cameras {
        camera.period = period;
    }
    config.store.segment_age = Span::from_millis((config.store.segment_age.as_millis() as f64 * args.speed) as i64);
    let registry = Arc::clone(&config.registry);
    let clock = Clock::scaled(start, args.speed);
    let mut system = System::start(config, clock)?;
    say(&format!("[huong] the storm of {} at {} times real speed, {} cameras", local_date_time(start), args.speed, args.cameras))?;
    say(&format!("[huong] wall: http://{}/   (Ctrl-C stops)", system.address))?;
    say(&format!("[huong] console: http://{}/console#token={}", system.address, operator.token))?;

    let (stop_sim, stopped) = watch::channel(false);
    let fleet = (!args.external).then(|| system.handle().spawn(sensor_sim::run(sim, registry, clock.shared(), stopped)));
    let mut told = Instant::now();
    let outcome = system.until_stopped(&mut |shared| {
        if told.elapsed() >= EVERY {
            told = Instant::now();
            if let Err(error) = say(&line(shared)) {
                tracing::debug!(%error, "nobody reads the figures");
            }
        }
    });
    stop_sim.send_replace(true);
    if let Some(fleet) = fleet {
        let report = system.handle().block_on(fleet).context("the simulator ended early")??;
        say(&format!("[huong] stopping: {} messages and {} frames were sent", report.messages, report.frames))?;
    }
    let shared = Arc::clone(&system.shared);
    let stopped = system.stop();
    let balance = shared.balance();
    say(&format!(
        "[huong] received {} = stored {} + rejected {} + shed {}{}",
        balance.received,
        balance.stored,
        balance.rejected,
        balance.shed,
        match balance.in_flight() {
            Some(0) => ": balanced".to_owned(),
            in_flight => format!(", NOT balanced: {in_flight:?} in flight"),
        }
    ))?;
    stopped.and(outcome)
}

/// One line of live figures.
fn line(shared: &Shared) -> String {
    let figures = figures(shared);
    let open = shared.open.load();
    let shown = open.iter().filter(|alert| alert.inhibited_by.is_none()).count();
    let extreme = open.iter().filter(|alert| alert.inhibited_by.is_none() && alert.severity == Severity::Extreme).count();
    let ledger = match shared.balance().in_flight() {
        Some(in_flight) => format!("ledger balanced, {in_flight} in flight"),
        None => "ledger NOT balanced".to_owned(),
    };
    let latency = figures.latency.map_or_else(|| "-".to_owned(), |latency| format!("{:.1} ms", latency.p99));
    let frames = figures.frames;
    format!(
        "{}  {:>6.0} readings/s  frames {} in, {} inferred, {} replaced, {} errors  alerts {shown} open, {extreme} extreme  p99 {latency}  {ledger}",
        local_date_time(shared.clock.now()),
        figures.readings_per_second,
        frames.received,
        frames.inferred,
        frames.replaced,
        frames.errors,
    )
}

/// Whoever sees the demo's terminal is its operator.
struct Operator {
    file: PathBuf,
    token: String,
}

fn operator_token(dir: &Path) -> Result<Operator> {
    let token = huong_wall::new_token().map_err(anyhow::Error::msg)?;
    std::fs::create_dir_all(dir)?;
    let file = dir.join("tokens");
    let mut out = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
    writeln!(out, "operator demo {token}")?;
    Ok(Operator { file, token })
}

/// The demo starts from nothing each time. Only a folder that looks like a store of ours is emptied.
fn empty(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let ours = [
        "log",
        "parquet",
        "sinks",
        "cap",
        "mirror",
        "manifest.json",
        "starts.json",
        "writer.lock",
        "seal.lock",
        "actions.jsonl",
        "queries.jsonl",
        "deletions.jsonl",
        "tokens",
    ];
    let names = std::fs::read_dir(dir)?.flatten().map(|entry| entry.file_name());
    let foreign = names.into_iter().find(|name| !ours.contains(&name.to_string_lossy().as_ref()));
    if let Some(name) = foreign {
        anyhow::bail!("--data {}: found `{}`, expected an empty folder or an earlier demo's store", dir.display(), name.to_string_lossy());
    }
    std::fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))
}
