//! What a pipeline with the shipped models makes of real recordings: signals, crossings, candidates. Whether they are right, a person
//! has to see: nobody has labelled them.
//!
//! `cargo run -p huong-vision --example junction_eval -- FOLDER [CLIP]`: FOLDER as for `gate_eval`; CLIP a folder of frames of the top-down clip, five a
//! second (`ffmpeg -i CLIP.mp4 -vf fps=5 CLIP/%04d.jpg`). The markings are in `junction.toml` beside this. Run at the root of the repository. `DUMP=FOLDER`
//! writes the pictures of each candidate, named by their boxes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use huong_infer::{OnnxDetector, Provider, load_runtime};
use huong_types::{Frame, Problems, Registry, Timestamp};
use huong_vision::{Pipeline, Views, VisionConfig};
use serde::Deserialize;
use turbojpeg::PixelFormat;

/// Between two frames, whatever it was when they were taken.
const STEP: i64 = 200;
/// Frames of another recording lie among those of the first segment: it is darker in the mean (0 to 255).
const DARKER: u64 = 112;

#[derive(Deserialize)]
struct Labels {
    images: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    file_name: String,
    segment: String,
    frame: u64,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or_else(|| anyhow::anyhow!("usage: junction_eval FOLDER [CLIP]"))?;
    load_runtime(Path::new("vendor/ort"))?;
    let mut problems = Problems::default();
    let registry = Arc::new(Registry::parse("registry", &std::fs::read_to_string("config/registry.toml")?, &mut problems));
    let views = Views::parse("junction.toml", include_str!("junction.toml"), &registry, &mut problems);
    anyhow::ensure!(problems.is_empty(), "{problems}");
    let labels: Labels = serde_json::from_slice(&std::fs::read(folder.join("labels.json"))?)?;
    let mut recordings: BTreeMap<String, Vec<(u64, PathBuf)>> = BTreeMap::new();
    for picture in labels.images {
        recordings.entry(picture.segment).or_default().push((picture.frame, folder.join("images").join(picture.file_name)));
    }
    let mut recordings: Vec<(String, Vec<(u64, PathBuf)>)> = recordings.into_iter().collect();
    if let Some((_, mixed)) = recordings.first_mut() {
        let mut bright = Vec::new();
        for (frame, path) in mixed.drain(..) {
            let gray = turbojpeg::decompress(&std::fs::read(&path)?, PixelFormat::GRAY)?;
            let sum: u64 = gray.pixels.iter().map(|pixel| u64::from(*pixel)).sum();
            if sum / gray.pixels.len() as u64 >= DARKER {
                bright.push((frame, path));
            }
        }
        *mixed = bright;
    }
    if let Some(clip) = arguments.next() {
        let frames = std::fs::read_dir(clip)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<BTreeSet<PathBuf>>>()?;
        recordings.push(("clip".into(), frames.into_iter().enumerate().map(|(i, path)| (i as u64, path)).collect()));
    }
    let mut out = std::io::stdout();
    for (camera, (name, mut frames)) in recordings.into_iter().enumerate() {
        frames.sort();
        let detector = OnnxDetector::open(Path::new("models/vehicles.toml"), Provider::Cpu)?;
        let mut pipeline = Pipeline::new(VisionConfig::default(), Arc::clone(&registry), Box::new(detector)).with_views(views.clone());
        let (mut looked, mut tracks, mut said) = (0, BTreeSet::new(), Vec::new());
        for (i, (frame, path)) in frames.iter().enumerate() {
            let at = Timestamp::from_millis(1_751_331_600_000 + i as i64 * STEP);
            let id = registry.cameras[camera].id.clone();
            let outcome = pipeline.process(camera, &Frame { camera: id, at, received: at, jpeg: std::fs::read(path)?.into() })?;
            looked += usize::from(!outcome.gated);
            for reading in outcome.readings.iter().filter(|reading| ["signal", "zone_events"].contains(&reading.stream.as_str())) {
                let value = |name: &str| reading.fields.iter().find(|field| field.name == *name).map(|field| format!("{:?}", field.value));
                if let Some(track) = value("track") {
                    tracks.insert(track);
                }
                let told = ["signal", "state", "place", "vehicle", "track", "direction"].iter().filter_map(|name| value(name));
                said.push(format!("  frame {frame}: {}", told.collect::<Vec<_>>().join(" ")));
            }
            for candidate in outcome.candidates {
                let void: Vec<&str> = candidate.void.iter().map(|reason| reason.as_str()).collect();
                said.push(format!("  frame {frame}: CANDIDATE {} of a {}, against it {void:?}", candidate.act.as_str(), candidate.label));
                for picture in &candidate.frames {
                    let b = picture.bbox;
                    if let Some(folder) = std::env::var_os("DUMP") {
                        let file = format!("{}-{}-{:.0}-{:.0}-{:.0}-{:.0}.jpg", candidate.id, picture.moment, b.x, b.y, b.width, b.height);
                        std::fs::write(Path::new(&folder).join(file), &picture.jpeg)?;
                    }
                }
            }
        }
        writeln!(out, "{name}: {} frames, {looked} looked at, {} vehicles over lines", frames.len(), tracks.len())?;
        for line in said {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
