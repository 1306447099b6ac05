//! `huong camera-bridge`: cameras that do not speak MQTT, brought to the broker by a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{ArgGroup, Args};
use huong_bridge::{Bridge, BridgeConfig, CameraConfig};
use huong_flow::{Stop, Worker};
use huong_ingest::{LinkStats, run_publisher};
use huong_types::{Name, Problems, load_toml};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::Config;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["list", "rtsp", "mjpeg", "folder", "file"]))]
pub(crate) struct BridgeArgs {
    /// A file of cameras, such as config/cameras.toml.
    #[arg(long)]
    list: Option<PathBuf>,
    /// An RTSP stream, without user and password.
    #[arg(long, requires = "camera")]
    rtsp: Option<String>,
    /// An HTTP stream of JPEGs, without user and password.
    #[arg(long, requires = "camera")]
    mjpeg: Option<String>,
    /// A folder of JPEGs, replayed over and over.
    #[arg(long, requires = "camera")]
    folder: Option<PathBuf>,
    /// A video, replayed over and over.
    #[arg(long, requires = "camera")]
    file: Option<PathBuf>,
    /// The camera's id in the registry.
    #[arg(long, conflicts_with = "list")]
    camera: Option<String>,
    /// Pictures a second.
    #[arg(long, default_value_t = 1.0, conflicts_with = "list")]
    fps: f64,
    /// Play a folder or video once.
    #[arg(long, conflicts_with = "list")]
    once: bool,
    #[arg(long, conflicts_with = "list")]
    user: Option<String>,
    /// The environment variable that holds the password.
    #[arg(long, conflicts_with = "list")]
    password_env: Option<String>,
    /// The file that holds the password.
    #[arg(long, conflicts_with = "list")]
    password_file: Option<PathBuf>,
    /// Of it only `prefix`, [mqtt] and [broker] are read.
    #[arg(long, default_value = "config/huong.toml")]
    config: PathBuf,
}

pub(crate) fn command(args: &BridgeArgs) -> Result<()> {
    let (prefix, mut mqtt) = Config::broker(&args.config)?;
    let mut problems = Problems::default();
    let (file, config) = match &args.list {
        Some(list) => (list.display().to_string(), read(list, &mut problems)?),
        None => ("command line".to_owned(), one(args)),
    };
    config.check(&file, &mut problems);
    let largest = mqtt.max_packet_frames as usize / 2;
    if config.max_bytes > largest {
        problems.add(&file, "max_bytes", format!("`{}`", config.max_bytes), format!("at most {largest}, half of mqtt.max_packet_frames"));
    }
    ensure!(problems.is_empty(), problems);
    mqtt.client_id.clone_from(&config.client_id);

    let (cameras_stop, link_stop) = (Stop::new(), Stop::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("net").enable_all().build()?;
    let clock = Clock::Wall.shared();
    let bridge = Bridge::start(&config, &prefix, &clock, &cameras_stop).context("the cameras cannot be started")?;
    let (outgoing, waiting) = mpsc::channel(1);
    let stats = Arc::new(LinkStats::default());
    let link = {
        let (stats, stop) = (Arc::clone(&stats), link_stop.clone());
        runtime.spawn(async move { run_publisher(mqtt, waiting, &stats, stop).await })
    };
    let (done, finished) = tokio::sync::oneshot::channel();
    let forward = {
        let (feed, handle, stop) = (bridge.feed(), runtime.handle().clone(), cameras_stop.clone());
        Worker::spawn("forward", move || {
            feed.register();
            // Room first, then the newest picture: what is taken too early grows old in the queue.
            while let Some(room) = handle.block_on(room(&outgoing, &stop))
                && let Some(publish) = feed.next()
            {
                room.send(publish);
            }
            drop(outgoing);
            // Nobody waits for it any more once the process was told to stop.
            let _told = done.send(());
        })?
    };
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = finished => {}
        }
        anyhow::Ok(())
    })?;
    cameras_stop.set();
    bridge.join()?;
    forward.join()?;
    link_stop.set();
    Ok(runtime.block_on(link)??)
}

/// Room for one message; `None` once there is nobody to take it, or when a stop comes while the broker is away.
async fn room<'a>(outgoing: &'a mpsc::Sender<huong_types::Publish>, stop: &Stop) -> Option<mpsc::Permit<'a, huong_types::Publish>> {
    loop {
        match tokio::time::timeout(std::time::Duration::from_millis(100), outgoing.reserve()).await {
            Ok(room) => return room.ok(),
            Err(_) if stop.is_set() => return None,
            Err(_) => {}
        }
    }
}

fn read(path: &Path, problems: &mut Problems) -> Result<BridgeConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config = load_toml(&path.display().to_string(), &text, problems);
    // Without it there is nothing more to check.
    config.ok_or_else(|| anyhow::Error::new(std::mem::take(problems)))
}

fn one(args: &BridgeArgs) -> BridgeConfig {
    let id = args.camera.clone().unwrap_or_default();
    let camera = CameraConfig {
        id: Name::from(id.clone()),
        fps: args.fps,
        rtsp: args.rtsp.clone(),
        mjpeg: args.mjpeg.clone(),
        folder: args.folder.clone(),
        file: args.file.clone(),
        user: args.user.clone(),
        password_env: args.password_env.clone(),
        password_file: args.password_file.clone(),
        width: None,
        once: args.once,
    };
    BridgeConfig { client_id: format!("huong-bridge-{id}"), camera: vec![camera], ..BridgeConfig::default() }
}
