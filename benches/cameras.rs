//! Frames a second and processor time a frame of one vision thread, beside a Python loop over the same pictures and the same model
//! in the same run: `make bench`.
//!
//! Medians of interleaved rounds on drawn streets; what counts is the ratio, machines are noisy. Then streets in which nothing moves, and
//! two hundred cameras at once, some of them busy.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "peers/fleet.rs"]
mod fleet;
#[path = "peers/python.rs"]
mod python;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use huong_infer::{ModelManifest, OnnxDetector, Provider, load_runtime};
use huong_types::{Frame, Problems, Registry, Timestamp};
use huong_vision::{Pipeline, VisionConfig};

const ROUNDS: usize = 5;
const CAMERAS: usize = 10;
const TURNS: usize = 6;
/// Of the target machine, one on each core.
const WORKERS: usize = 2;
const START: i64 = 1_763_769_600_000;

/// What one way of looking at all pictures took and found.
#[derive(Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    /// Frames that the model looked at.
    inferred: usize,
    objects: usize,
}

/// Without arguments the tables; `feed PORT BUSY` sends what two hundred cameras see, so many of a hundred busy, to a broker.
fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let [command, port, busy] = &std::env::args().skip(1).collect::<Vec<_>>()[..]
        && command == "feed"
    {
        let (port, busy) = (port.parse().expect("a port"), busy.parse().expect("a number"));
        return fleet::feed(port, &shipped(root), seen_by_a_city(&registry(root), busy));
    }
    let manifest = std::env::var_os("HUONG_BENCH_MODEL").map_or_else(|| root.join("models/vehicles.toml"), Into::into);
    load_runtime(&root.join("vendor/ort")).expect("`make bench` puts ONNX Runtime into vendor/ort");
    let registry = registry(root);
    let mut peer = Peer::start(&manifest);
    println!("{CAMERAS} cameras of {TURNS} pictures each, model {}, one thread, medians of {ROUNDS} rounds", manifest.display());
    println!("{:<44} {:>9} {:>14} {:>9} {:>8}", "", "frames/s", "CPU-ms a frame", "inferred", "objects");
    for size in [(1280, 720), (1920, 1080)] {
        let pictures = sensor_sim::drawn_frames(Arc::clone(&registry), 7, size, CAMERAS, TURNS).expect("streets are drawn");
        let folder = tempfile::tempdir().expect("a folder");
        for (i, jpeg) in pictures.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{i:04}.jpg")), jpeg).expect("it is written");
        }
        let bytes = pictures.iter().map(Bytes::len).sum::<usize>() / pictures.len() / 1024;
        let mut every = pipeline(&manifest, &registry);
        let (mut ours, mut gated, mut python) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(measured(|cost| {
                for jpeg in &pictures {
                    cost.objects += every.detect(jpeg).expect("it looks").len();
                    cost.inferred += 1;
                }
            }));
            // Its gates know nothing yet: the first picture of each camera is looked at.
            let mut fresh = pipeline(&manifest, &registry);
            gated.push(measured(|cost| look(&mut fresh, &registry, &pictures, cost)));
            python.extend(peer.as_mut().and_then(|peer| peer.look(folder.path(), pictures.len())));
        }
        let what = |way: &str| format!("{}x{} ({bytes} KB), {way}", size.0, size.1);
        let base = report(&what("every frame"), &ours, pictures.len());
        report(&what("behind the gate"), &gated, pictures.len());
        if python.len() == ROUNDS {
            let theirs = report(&what("Python cv2 + onnxruntime"), &python, pictures.len());
            println!("{:<44} {:>8.2}x", "", theirs / base);
        } else {
            println!("{}: not here (opencv-python-headless, onnxruntime)", what("Python"));
        }
    }
    let still = still();
    let quiet: Vec<Cost> = (0..ROUNDS)
        .map(|_| {
            let mut fresh = pipeline(&manifest, &registry);
            let pictures: Vec<Bytes> = still.iter().flat_map(|jpeg| std::iter::repeat_n(jpeg.clone(), CAMERAS)).collect();
            measured(|cost| look(&mut fresh, &registry, &pictures, cost))
        })
        .collect();
    report("1280x720, nothing moves, behind the gate", &quiet, still.len() * CAMERAS);
    fleet(&manifest, &registry);
}

/// Two hundred cameras of 720p before two threads, a part of them busy and the others still.
fn fleet(manifest: &Path, registry: &Arc<Registry>) {
    let mut city = Registry::clone(registry);
    city.cameras = registry.cameras.iter().cycle().take(fleet::CAMERAS).cloned().collect();
    let city = Arc::new(city);
    println!("\n{} cameras, {} frames a second each, 1280x720, {WORKERS} threads", fleet::CAMERAS, fleet::RATE);
    println!(
        "{:<16} {:>8} {:>9} {:>9} {:>10} {:>10} {:>8} {:>6}",
        "cameras busy", "frames", "kept up", "inferred", "age p50 ms", "age p99 ms", "RSS MB", "CPU"
    );
    for busy in [5, 10, 20, 100] {
        let pipelines = (0..WORKERS).map(|_| pipeline(manifest, &city)).collect();
        let kept = fleet::run(pipelines, &city, seen_by_a_city(registry, busy));
        let age = |share: f64| kept.ages[(kept.ages.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!(
            "{:<16} {:>8} {:>8.1}% {:>9} {:>10.1} {:>10.1} {:>8} {:>5.0}%",
            format!("{busy} %"),
            kept.published,
            100.0 * (kept.inferred + kept.gated) as f64 / kept.published as f64,
            kept.inferred,
            age(0.5),
            age(0.99),
            kept.resident,
            100.0 * kept.cpu / fleet::LASTS.as_secs_f64()
        );
    }
}

/// The `turn`-th picture of a camera in a city of which so many cameras of a hundred are busy.
fn seen_by_a_city(registry: &Arc<Registry>, busy: usize) -> impl Fn(usize, usize) -> Bytes + Send + Sync + use<> {
    let moving = sensor_sim::drawn_frames(Arc::clone(registry), 7, (1280, 720), CAMERAS, TURNS).expect("streets are drawn");
    let still = still();
    move |camera, turn| {
        if camera % 100 < busy { moving[(turn % TURNS) * CAMERAS + camera % CAMERAS].clone() } else { still[turn % still.len()].clone() }
    }
}

/// A street in which vehicles stand, each picture with its own noise of the camera.
fn still() -> Vec<Bytes> {
    let scenes = sensor_sim::staged::scenes(huong_types::Act::StopPark, 1);
    let scene = scenes.iter().find(|scene| scene.name.ends_with("stop and go beside")).expect("there is such a scene");
    let pictures = scene.play().map(|picture| picture.expect("it is drawn"));
    // From the fifth second to the seventeenth all stand.
    let first = sensor_sim::staged::START;
    pictures.filter(|(at, _)| (5_000..17_000).contains(&(at.as_millis() - first))).map(|(_, jpeg)| jpeg).collect()
}

fn pipeline(manifest: &Path, registry: &Arc<Registry>) -> Pipeline {
    let detector = OnnxDetector::open(manifest, Provider::Cpu).expect("the model opens");
    Pipeline::new(VisionConfig::default(), Arc::clone(registry), Box::new(detector))
}

/// The cameras' pictures in turn, a second between two of one camera.
fn look(pipeline: &mut Pipeline, registry: &Registry, pictures: &[Bytes], cost: &mut Cost) {
    for (i, jpeg) in pictures.iter().enumerate() {
        let (turn, camera) = (i / CAMERAS, i % CAMERAS);
        let at = Timestamp::from_millis(START + turn as i64 * 1000);
        let frame = Frame { camera: registry.cameras[camera].id.clone(), at, received: at, jpeg: jpeg.clone() };
        let outcome = pipeline.process(camera, &frame).expect("it looks");
        cost.inferred += usize::from(!outcome.gated);
        cost.objects += outcome.detections.len();
    }
}

fn shipped(root: &Path) -> Registry {
    let text = std::fs::read_to_string(root.join("config/registry.toml")).expect("the shipped registry");
    let mut problems = Problems::default();
    let registry = Registry::parse("registry", &text, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    registry
}

/// Cameras that see streets.
fn registry(root: &Path) -> Arc<Registry> {
    let mut registry = shipped(root);
    registry.cameras.retain(|camera| camera.levels.contains_key("congested"));
    assert!(registry.cameras.len() >= CAMERAS, "too few cameras");
    Arc::new(registry)
}

fn measured(work: impl FnOnce(&mut Cost)) -> Cost {
    let mut cost = Cost::default();
    let (began, worked) = (Instant::now(), cpu_seconds());
    work(&mut cost);
    Cost { seconds: began.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() - worked, ..cost }
}

/// Of this thread, which the model runs on too: the first figure of schedstat is nanoseconds on a processor.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux");
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("a number") / 1e9
}

/// Prints the medians and returns the CPU-ms a frame.
fn report(what: &str, costs: &[Cost], frames: usize) -> f64 {
    let median = |figure: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (seconds, cpu) = (median(|cost| cost.seconds), median(|cost| cost.cpu_seconds) * 1000.0 / frames as f64);
    let last = costs[costs.len() - 1];
    println!(
        "{what:<44} {:>9.1} {cpu:>14.2} {:>8.0}% {:>8}",
        frames as f64 / seconds,
        100.0 * last.inferred as f64 / frames as f64,
        last.objects
    );
    cpu
}

/// `benches/peers/cameras.py`, running; ends with it.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// `None` when Python lacks what it needs, or the model is not of the one layout that it reads.
    fn start(manifest: &Path) -> Option<Self> {
        let described = ModelManifest::read(manifest).expect("the manifest is valid");
        if described.layout != huong_infer::Layout::Yolox {
            return None;
        }
        let input = described.input();
        let mut command = python::python("cameras.py");
        command.arg(manifest.with_file_name(&described.file)).args([input.width.to_string(), input.height.to_string()]);
        command.args([described.thresholds.score.to_string(), described.thresholds.nms.unwrap_or(1.0).to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (ask, answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut peer = Self { child, ask, answers };
        (peer.line()? == "ready").then_some(peer)
    }

    fn look(&mut self, folder: &Path, frames: usize) -> Option<Cost> {
        writeln!(self.ask, "{}", folder.display()).ok()?;
        let line = self.line()?;
        let mut figures = line.split(' ');
        let mut next = || figures.next()?.parse::<f64>().ok();
        Some(Cost { seconds: next()?, cpu_seconds: next()?, objects: next()? as usize, inferred: frames })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.answers.read_line(&mut line).ok()? > 0).then(|| line.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
