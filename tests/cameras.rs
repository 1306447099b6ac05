//! Pictures of a real, crowded junction through the real detector: counts become readings, and congestion an alarm.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use huong_infer::{OnnxDetector, Provider};
use huong_types::{Act, Frame, Problems, Registry};
use huong_vision::{Pipeline, Views, VisionConfig};
use sensor_sim::staged;

use crate::support::{Huong, Mosquitto, Publisher, get, get_bytes, shared_data, wait_for};

/// A camera of the registry without zones, congested from 25 vehicles.
const CAMERA: &str = "cam-003";

#[test]
fn a_crowded_junction_raises_congestion() {
    let Some(data) = shared_data() else { return };
    let folder = data.join("scenes/traffic/images");
    let mut pictures: Vec<_> = std::fs::read_dir(folder).expect("the pictures are there").flatten().map(|entry| entry.path()).collect();
    pictures.sort();
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, "").connected();
    let publisher = Publisher::connect(broker.port);
    let frames = |part: &str| -> u64 {
        let text = get(huong.wall, "/metrics").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(&format!("huong_frames_total{{part=\"{part}\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    };
    // Without a frame nobody knows whether the frames' connection has subscribed yet.
    wait_for("the frames' subscription", || {
        publisher.publish("hue/cameras/no-such-camera/frame", "no picture");
        let text = get(huong.wall, "/metrics").unwrap_or_default();
        text.lines().any(|line| line.contains("part=\"rejected\"} ") && !line.ends_with(" 0")).then_some(())
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let shots = 26;
    for (i, picture) in pictures.iter().take(shots).enumerate() {
        // Every half minute up to now; the time of capture is the topic's last level.
        let at = now - 30_000 * (shots - i) as u128;
        publisher.publish(&format!("hue/cameras/{CAMERA}/frame/{at}"), std::fs::read(picture).expect("the picture is readable"));
        let seen = (i + 1) as u64;
        wait_for("the picture to be looked at", || (frames("inferred") + frames("gated") + frames("errors") >= seen).then_some(()));
    }
    wait_for("the alarm", || huong.snapshot().contains(&format!("traffic-congested:{CAMERA}:")).then_some(()));
    assert_eq!(frames("errors"), 0, "every picture is a picture");
    let picture = get_bytes(huong.wall, &format!("/api/cameras/{CAMERA}/frame")).expect("the wall answers");
    assert_eq!(picture, std::fs::read(&pictures[shots - 1]).expect("the picture is readable"), "the wall has the latest frame");
    assert!(huong.stop());
    let counted = huong.query(&format!("SELECT count(*) FROM observations WHERE key = '{CAMERA}' AND field = 'total' AND value >= 10"));
    assert!(counted[0].parse::<u32>().expect("a number") >= 10, "a busy junction has many vehicles: {counted:?}");
}

/// Of each act a drawn scene that shows it and one that only looks like it, through the shipped detector: the whole set is `make eval`.
#[test]
fn drawn_scenes_become_candidates_where_their_truth_is_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    huong_infer::load_runtime(&root.join("vendor/ort")).expect("`make test` puts ONNX Runtime into vendor/ort");
    let mut problems = Problems::default();
    let registry = std::fs::read_to_string(root.join("config/registry.toml")).expect("the shipped registry");
    let registry = Arc::new(Registry::parse("registry.toml", &registry, &mut problems));
    let camera = registry.cameras.iter().position(|camera| camera.id == *staged::CAMERA).expect("it is in the registry");
    let shown = [(Act::RedLight, 6), (Act::WrongWay, 6), (Act::StopPark, 6), (Act::Pavement, 0), (Act::WrongLane, 0)];
    for (act, shows) in shown {
        let scenes = staged::scenes(act, 11);
        for scene in [&scenes[shows], &scenes[staged::SCENES / 2]] {
            let views = Views::parse("scene", &scene.views(), &registry, &mut problems);
            assert!(problems.is_empty(), "{problems}");
            let detector = OnnxDetector::open(&root.join("models/vehicles.toml"), Provider::Cpu).expect("the model opens");
            let mut pipeline = Pipeline::new(VisionConfig::default(), Arc::clone(&registry), Box::new(detector)).with_views(views);
            let mut records = Vec::new();
            for picture in scene.play() {
                let (at, jpeg) = picture.expect("it is drawn");
                let frame = Frame { camera: staged::CAMERA.into(), at, received: at, jpeg };
                let outcome = pipeline.process(camera, &frame).expect("it is a picture");
                records.extend(outcome.candidates.into_iter().filter(|candidate| candidate.void.is_empty()));
            }
            let right = records.iter().filter(|record| scene.truths.iter().any(|truth| scene.shows(truth, record))).count();
            assert_eq!((right, records.len()), (scene.truths.len(), scene.truths.len()), "{}", scene.name);
        }
    }
}

/// Vehicles that stand where none may: the pictures of a real junction, still, through the real detector to records of evidence.
#[test]
fn a_vehicle_that_stands_where_it_may_not_becomes_a_record() {
    let Some(data) = shared_data() else { return };
    let folder = data.join("scenes/traffic/images");
    let picture = std::fs::read_dir(folder).expect("the pictures are there").flatten().map(|entry| entry.path()).min().expect("a picture");
    let picture = std::fs::read(picture).expect("the picture is readable");
    let dir = tempfile::tempdir().expect("a folder");
    let (views, evidence) = (dir.path().join("views.toml"), dir.path().join("evidence"));
    let everywhere = "points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]";
    let zone =
        format!("[[camera]]\nid = \"{CAMERA}\"\n[[camera.zone]]\nname = \"kerb\"\nkind = \"no-stopping\"\ndwell = \"10s\"\n{everywhere}\n");
    std::fs::write(&views, zone).expect("the file is written");
    let broker = Mosquitto::start();
    // Nothing moves in a picture that comes again: only the keep-alive has it looked at.
    let head = format!("vision.views = \"{}\"\nvision.gate.keep_alive = \"1ms\"\n", views.display());
    let extra = format!("[evidence]\ndir = \"{}\"\nlaws = \"config/violations.toml\"\n", evidence.display());
    let mut huong = Huong::with_files(broker.port, &[], &head, &extra).connected();
    let publisher = Publisher::connect(broker.port);
    let figure = |name: &str| huong.metric(name);
    wait_for("the frames' subscription", || {
        publisher.publish("hue/cameras/no-such-camera/frame", "no picture");
        let text = get(huong.wall, "/metrics").unwrap_or_default();
        text.lines().any(|line| line.contains("part=\"rejected\"} ") && !line.ends_with(" 0")).then_some(())
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let shots = 14;
    for i in 0..shots {
        publisher.publish(&format!("hue/cameras/{CAMERA}/frame/{}", now - 2_000 * (shots - i)), picture.clone());
        let seen = (i + 1) as f64;
        wait_for("the picture to be looked at", || (figure("huong_frames_total{part=\"inferred\"}") >= seen).then_some(()));
    }
    wait_for("the records", || {
        (figure("huong_candidates_total") > 0.0 && figure("huong_records_total") == figure("huong_candidates_total")).then_some(())
    });
    assert_eq!(figure("huong_records_failed_total"), 0.0);
    let kept = figure("huong_records_total");
    assert!(huong.stop());
    let told = huong.query("SELECT count(*) FROM observations WHERE stream = 'candidates' AND field = 'act' AND text = 'stop_park'");
    assert_eq!(told[0].parse::<f64>().expect("a number"), kept, "each is a reading too");
    let mut pictures = 0;
    for state in ["records", "void"] {
        for day in std::fs::read_dir(evidence.join(state)).into_iter().flatten().flatten() {
            for record in std::fs::read_dir(day.path()).expect("a folder of a day").flatten() {
                for file in std::fs::read_dir(record.path()).expect("a folder of a record").flatten() {
                    if file.file_name().to_string_lossy().starts_with("picture-") {
                        assert_eq!(std::fs::read(file.path()).expect("is readable"), picture, "untouched");
                        pictures += 1;
                    }
                }
            }
        }
    }
    assert!(pictures as f64 >= 3.0 * kept, "three pictures of each of {kept}: {pictures}");
}
