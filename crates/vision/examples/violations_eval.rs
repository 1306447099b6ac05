//! Violations from drawn scenes whose truth is known, through the shipped models and the whole of a pipeline.
//!
//! `cargo run -p huong-vision --example violations_eval -- DATA [ACT [SCENE]]`: DATA is the folder of real pictures, for heaps and heads. For each act twenty scenes of `sensor_sim::staged`, the half of which
//! only look like it. A record (a candidate without a reason against it) is right when the scene [shows](Staged::shows) it. Everything else that
//! became a record is false. Run at the root of the repository.
//!
//! `SHOW=1` tells what came of each scene, `TRACE=1` also what was seen in each picture, `DUMP=FOLDER` writes the pictures, `SEED=N` draws other
//! scenes, `SETTINGS='{"light": {"mean": 0.0}}'` takes other settings of `[vision]` than the defaults, as JSON.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use huong_infer::{OnnxDetector, Provider, load_runtime};
use huong_types::{Act, Candidate, Frame, Problems, Reading, Registry, Value};
use huong_vision::{Pipeline, Views, VisionConfig};
use sensor_sim::staged::{self, Photo, Staged};

const ACTS: [Act; 9] = [
    Act::RedLight,
    Act::WrongWay,
    Act::StopPark,
    Act::Pavement,
    Act::WrongLane,
    Act::NoHelmet,
    Act::WasteHeap,
    Act::BinOverflow,
    Act::DumpingAct,
];
/// Of the scenes in docs/accuracy.md.
const SEED: u64 = 11;
/// Heaps on photos that the model `waste` was not trained on (their part `test`): file, then left, top, right, bottom.
const HEAPS: [(&str, [usize; 4]); 10] = [
    ("w_000746.jpg", [105, 291, 508, 498]),
    ("w_001301.jpg", [42, 312, 550, 580]),
    ("w_001523.jpg", [177, 268, 497, 496]),
    ("w_001735.jpg", [92, 416, 302, 564]),
    ("w_000643.jpg", [176, 253, 566, 405]),
    ("w_001381.jpg", [170, 277, 460, 590]),
    ("w_000359.jpg", [65, 373, 444, 498]),
    ("w_001354.jpg", [352, 362, 614, 526]),
    ("w_000815.jpg", [258, 276, 632, 543]),
    ("w_001304.jpg", [190, 238, 532, 536]),
];
/// The twelve largest labelled heads of each kind on photos that `helmet` was not trained on, without one that is there twice, labelled once so
/// and once so.
const BARE: [(&str, [usize; 4]); 12] = [
    ("163_jpg.jpg", [1189, 281, 1316, 405]),
    ("BikesHelmets357_png.jpg", [213, 10, 297, 84]),
    ("BikesHelmets357_png.jpg", [327, 10, 399, 88]),
    ("163_jpg.jpg", [886, 375, 962, 442]),
    ("BikesHelmets641_png.jpg", [143, 0, 202, 77]),
    ("BikesHelmets412_png.jpg", [80, 54, 136, 118]),
    ("BikesHelmets406_png.jpg", [158, 2, 210, 59]),
    ("BikesHelmets372_png.jpg", [39, 14, 86, 70]),
    ("BikesHelmets466_png.jpg", [223, 29, 273, 76]),
    ("BikesHelmets647_png.jpg", [233, 22, 278, 74]),
    ("BikesHelmets372_png.jpg", [128, 23, 169, 74]),
    ("BikesHelmets679_png.jpg", [215, 2, 259, 51]),
];
const COVERED: [(&str, [usize; 4]); 12] = [
    ("BikesHelmets26_png.jpg", [222, 107, 357, 246]),
    ("BikesHelmets26_png.jpg", [313, 176, 428, 296]),
    ("BikesHelmets61_png.jpg", [245, 38, 336, 139]),
    ("BikesHelmets48_png.jpg", [151, 36, 225, 134]),
    ("BikesHelmets33_png.jpg", [28, 26, 99, 101]),
    ("BikesHelmets274_png.jpg", [144, 1, 214, 73]),
    ("BikesHelmets161_png.jpg", [128, 40, 197, 107]),
    ("BikesHelmets624_png.jpg", [59, 6, 117, 81]),
    ("BikesHelmets37_png.jpg", [7, 75, 66, 146]),
    ("BikesHelmets183_png.jpg", [184, 60, 241, 119]),
    ("BikesHelmets488_png.jpg", [109, 21, 165, 77]),
    ("BikesHelmets262_png.jpg", [252, 96, 303, 154]),
];

#[derive(Default)]
struct Tally {
    scenes: usize,
    truths: usize,
    found: usize,
    voided: usize,
    again: usize,
    wrong: usize,
    void: BTreeMap<&'static str, usize>,
}

fn main() -> anyhow::Result<()> {
    load_runtime(Path::new("vendor/ort"))?;
    let data = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: violations_eval DATA [ACT [SCENE]]"))?;
    let (only, scene_only) = (std::env::args().nth(2), std::env::args().nth(3).unwrap_or_default());
    let models = std::env::var("MODELS").unwrap_or_else(|_| "models".into());
    let model = |name: &str| OnnxDetector::open(&Path::new(&models).join(format!("{name}.toml")), Provider::Cpu).map(Box::new);
    let mut problems = Problems::default();
    let registry = Arc::new(Registry::parse("registry", &std::fs::read_to_string("config/registry.toml")?, &mut problems));
    let camera = registry.cameras.iter().position(|camera| camera.id == *staged::CAMERA);
    let camera = camera.ok_or_else(|| anyhow::anyhow!("config/registry.toml: no camera `{}`", staged::CAMERA))?;
    let mut out = std::io::stdout();
    let show = std::env::var_os("SHOW").is_some();
    let settings: VisionConfig = serde_json::from_str(&std::env::var("SETTINGS").unwrap_or_else(|_| "{}".into()))?;
    let seed = std::env::var("SEED").map_or(Ok(SEED), |seed| seed.parse())?;
    let photos = |folder: &str, which: &[(&str, [usize; 4])]| -> anyhow::Result<Vec<Photo>> {
        let images = Path::new(&data).join("scenes").join(folder).join("images");
        which.iter().map(|(file, corners)| Photo::cut(&std::fs::read(images.join(file))?, *corners)).collect()
    };
    let (heaps, bare, covered) = (photos("waste", &HEAPS)?, photos("helmet", &BARE)?, photos("helmet", &COVERED)?);
    writeln!(out, "| act | light | scenes | acts | found | void only | missed | told twice | false | void |")?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for act in ACTS.into_iter().filter(|act| only.as_ref().is_none_or(|only| only == act.as_str())) {
        let mut tallies = [Tally::default(), Tally::default()];
        for scene in staged::scenes(act, seed).into_iter().filter(|scene| scene.name.contains(&scene_only)) {
            // Those two models were trained on photos alone.
            let photographed = matches!(act, Act::NoHelmet | Act::WasteHeap | Act::DumpingAct);
            let scene = if photographed { scene.with_photos(&heaps, &bare, &covered) } else { scene };
            let views = Views::parse("scene", &scene.views(), &registry, &mut problems);
            anyhow::ensure!(problems.is_empty(), "{problems}");
            let mut pipeline = Pipeline::new(settings.clone(), Arc::clone(&registry), model("vehicles")?).with_views(views);
            if act == Act::NoHelmet {
                pipeline = pipeline.with_helmets(model("helmet")?);
            }
            if scene.view.contains("waste") {
                pipeline = pipeline.with_waste(model("waste")?);
            }
            let (candidates, readings) = play(&mut pipeline, camera, &scene)?;
            let said = tallies[usize::from(scene.night)].add(&scene, &candidates, &readings);
            if show {
                writeln!(out, "{}: {said}", scene.name)?;
            }
        }
        for (tally, light) in tallies.iter().zip(["day", "night"]) {
            let void: Vec<String> = tally.void.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
            let Tally { scenes, truths, found, voided, again, wrong, .. } = tally;
            let missed = truths - found - voided;
            let void = void.join(", ");
            writeln!(
                out,
                "| {} | {light} | {scenes} | {truths} | {found} | {voided} | {missed} | {again} | {wrong} | {void} |",
                act.as_str()
            )?;
        }
        out.flush()?;
    }
    Ok(())
}

/// All that came of a scene.
fn play(pipeline: &mut Pipeline, camera: usize, scene: &Staged) -> anyhow::Result<(Vec<Candidate>, Vec<Reading>)> {
    let dump = std::env::var_os("DUMP").map(|folder| Path::new(&folder).join(scene.name.replace(['/', ' ', ':'], "-")));
    let (mut candidates, mut readings) = (Vec::new(), Vec::new());
    for picture in scene.play() {
        let (at, jpeg) = picture?;
        if let Some(folder) = &dump {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{}.jpg", at.as_millis() % 10_000_000)), &jpeg)?;
        }
        let frame = Frame { camera: staged::CAMERA.into(), at, received: at, jpeg };
        let outcome = pipeline.process(camera, &frame)?;
        anyhow::ensure!(outcome.faults.is_empty(), "{:?}", outcome.faults);
        if std::env::var_os("TRACE").is_some() {
            let boxes: Vec<String> = outcome
                .detections
                .iter()
                .map(|d| format!("{} {:.2} @{:.0},{:.0} {:.0}x{:.0}", d.label, d.score, d.bbox.x, d.bbox.y, d.bbox.width, d.bbox.height))
                .collect();
            let told: Vec<String> = outcome.readings.iter().filter(|r| r.stream != *"vehicles").map(fields).collect();
            let line = format!("  {} gated={} {boxes:?} {told:?}", at.as_millis() % 10_000_000, outcome.gated);
            std::io::stdout().write_all(format!("{line}\n").as_bytes())?;
        }
        candidates.extend(outcome.candidates);
        readings.extend(outcome.readings);
    }
    Ok((candidates, readings))
}

fn fields(reading: &Reading) -> String {
    let values = reading.fields.iter().map(|field| format!("{}={:?}", field.name, field.value));
    format!("{}: {}", reading.stream, values.collect::<Vec<_>>().join(" "))
}

impl Tally {
    /// Counts what came of a scene and says it.
    fn add(&mut self, scene: &Staged, candidates: &[Candidate], readings: &[Reading]) -> String {
        self.scenes += 1;
        self.truths += scene.truths.len() + usize::from(scene.told.is_some());
        let mut said = Vec::new();
        let mut times = vec![(0, false); scene.truths.len()];
        for candidate in candidates {
            let reasons: Vec<&str> = candidate.void.iter().map(|reason| reason.as_str()).collect();
            for reason in &candidate.void {
                *self.void.entry(reason.as_str()).or_default() += 1;
            }
            let whose = scene.truths.iter().position(|truth| scene.shows(truth, candidate));
            let void = !candidate.void.is_empty();
            match whose {
                Some(i) if void => times[i].1 = true,
                Some(i) => times[i].0 += 1,
                None if void => {}
                None => self.wrong += 1,
            }
            said.push(format!("{} of a {} for {whose:?} {reasons:?}", candidate.act.as_str(), candidate.label));
        }
        for (records, void) in times {
            self.found += usize::from(records > 0);
            self.again += usize::from(records > 1);
            self.voided += usize::from(records == 0 && void);
        }
        if let Some((event, by)) = scene.told {
            let told = |reading: &&Reading| {
                reading.at <= by && reading.fields.iter().any(|field| matches!(&field.value, Value::Text(text) if **text == *event))
            };
            let told = readings.iter().find(told).is_some();
            self.found += usize::from(told);
            said.push(format!("{event}: {told}"));
        }
        format!("{} acts; {}", scene.truths.len(), said.join("; "))
    }
}
