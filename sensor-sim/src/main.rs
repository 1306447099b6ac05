//! The command `sensor-sim`: plays a scenario of the registry's fleet against an MQTT broker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use huong_types::{Problems, Registry, Span, Timestamp};
use sensor_sim::{ScenarioKind, SimConfig};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Publishes the sensors and cameras of a registry over MQTT, in real or accelerated time, with real feeds' faults.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Stations and cameras to play
    #[arg(long, default_value = "config/registry.toml")]
    registry: PathBuf,
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    #[arg(long, default_value_t = 1883)]
    port: u16,
    /// First level of every topic
    #[arg(long, default_value = "hue")]
    prefix: String,
    /// calm, or storm-2025: the flood of 26 October to 5 November 2025
    #[arg(long, default_value = "storm-2025")]
    scenario: ScenarioKind,
    /// Simulated time of the start, RFC 3339; the present when absent
    #[arg(long, value_parser = start)]
    start: Option<Timestamp>,
    /// Simulated seconds per second
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// The same seed publishes the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many of the registry's cameras send frames
    #[arg(long, default_value_t = 200)]
    cameras: usize,
    /// Frames per second of real time and camera
    #[arg(long, default_value_t = 0.2)]
    fps: f64,
    /// Pixels of drawn frames
    #[arg(long, default_value = "640x360", value_parser = frame_size)]
    frame_size: (usize, usize),
    /// Replay the JPEG files of this folder instead of drawn scenes
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Dropped, doubled, late, wrong and unknown rows, as in real feeds: on or off
    #[arg(long, default_value = "on", value_parser = on_off, action = clap::ArgAction::Set)]
    faults: bool,
    /// Stop after this long in real time, e.g. 90s or 10m; until interrupted when absent
    #[arg(long)]
    duration: Option<Span>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(play(arguments))
}

async fn play(arguments: Arguments) -> anyhow::Result<()> {
    let file = arguments.registry.display().to_string();
    let text = std::fs::read_to_string(&arguments.registry).with_context(|| format!("cannot read the registry {file}"))?;
    let mut problems = Problems::default();
    let registry = Registry::parse(&file, &text, &mut problems);
    anyhow::ensure!(problems.is_empty(), "the registry has mistakes:\n{problems}");

    let begun = Instant::now();
    let start = arguments.start.unwrap_or_else(|| Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()));
    let speed = arguments.speed;
    let clock = Arc::new(move || start + Span::from_millis((begun.elapsed().as_secs_f64() * speed * 1000.0) as i64));
    let config = SimConfig {
        host: arguments.host,
        port: arguments.port,
        prefix: arguments.prefix,
        scenario: arguments.scenario,
        seed: arguments.seed,
        faults: arguments.faults,
        cameras: arguments.cameras,
        fps: arguments.fps,
        frame_size: arguments.frame_size,
        pictures: arguments.pictures,
    };
    let (stop, stopped) = watch::channel(false);
    let duration = arguments.duration;
    tokio::spawn(async move {
        let time_is_up = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration.to_std()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_is_up => {}
            interrupted = tokio::signal::ctrl_c() => {
                if let Err(error) = interrupted {
                    tracing::error!("cannot listen for an interrupt, stopping: {error}");
                }
            }
        }
        stop.send_replace(true);
    });
    let report = sensor_sim::run(config, Arc::new(registry), clock, stopped).await?;
    tracing::info!(
        "{} messages of readings, {} acknowledged; {} frames, {} skipped; {} reconnects; faults {:?} of {} rows",
        report.messages,
        report.acknowledged,
        report.frames,
        report.frames_skipped,
        report.reconnects,
        report.faults.faults,
        report.faults.rows
    );
    Ok(())
}

fn start(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| format!("`{text}` is not a time such as 2025-10-26T18:00:00+07:00"))
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|speed: &f64| *speed > 0.0 && speed.is_finite()).ok_or_else(|| format!("`{text}` is not a speed above 0"))
}

fn frame_size(text: &str) -> Result<(usize, usize), String> {
    let size = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    size.ok_or_else(|| format!("`{text}` is not a size such as 640x360"))
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off")),
    }
}
