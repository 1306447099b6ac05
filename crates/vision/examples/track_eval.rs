//! How often the tracker keeps an object's id, over labelled frames that are not ours.
//!
//! `cargo run -p huong-vision --example track_eval -- FOLDER [SETTINGS]`: FOLDER as for `gate_eval`; SETTINGS as of `[vision.tracker]`,
//! such as `reach = 3.0`. The labels are the detections, so that the
//! tracker alone is measured. The labels name no objects: who is who comes from chaining boxes of one label that are each other's best
//! overlap (IoU at least 0.3) in neighbouring frames. The tracker then sees every frame, every second, every fifth, taken as one
//! second apart. Printed: links kept (of two sights of one object in a row, the share given one id), and how many of the links lost
//! or given to another were marked as doubtful.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use huong_types::{BoundingBox, Detection, Problems, Timestamp, load_toml};
use huong_vision::{Appearance, Pixels, Tracker, TrackerConfig};
use serde::Deserialize;
use turbojpeg::{Decompressor, Image, PixelFormat};

#[derive(Deserialize)]
struct Labels {
    images: Vec<Picture>,
    annotations: Vec<Label>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Picture {
    id: u64,
    file_name: String,
    segment: String,
    frame: u64,
}

#[derive(Deserialize)]
struct Label {
    image_id: u64,
    category_id: u64,
    bbox: [f32; 4],
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

struct Frame {
    objects: Vec<(Detection, Appearance)>,
    /// Who each object is, by chaining.
    who: Vec<usize>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: track_eval FOLDER [SETTINGS]")?;
    let folder = Path::new(&folder);
    let mut problems = Problems::default();
    let config: Option<TrackerConfig> = load_toml("SETTINGS", &std::env::args().nth(2).unwrap_or_default(), &mut problems);
    let config = config.filter(|_| problems.is_empty()).ok_or_else(|| problems.to_string())?;
    let labels: Labels = serde_json::from_slice(&std::fs::read(folder.join("labels.json"))?)?;
    let names: HashMap<u64, &str> = labels.categories.iter().map(|c| (c.id, c.name.as_str())).collect();
    let mut segments: BTreeMap<&str, Vec<&Picture>> = BTreeMap::new();
    for picture in &labels.images {
        segments.entry(&picture.segment).or_default().push(picture);
    }
    let mut chained = Vec::new();
    for pictures in segments.values_mut() {
        pictures.sort_by_key(|picture| picture.frame);
        chained.push(chain(folder, pictures, &labels.annotations, &names)?);
    }
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<6} {:>6} {:>7} {:>9} {:>8} {:>17} {:>10}",
        "step", "links", "kept", "to other", "lost", "wrong and doubted", "doubted"
    )?;
    for step in [1, 2, 5] {
        let mut counts = Counts::default();
        for frames in &chained {
            follow(frames, step, &config, &mut counts);
        }
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let Counts { links, kept, other, lost, wrong_doubted, doubted } = counts;
        writeln!(
            out,
            "{step:<6} {links:>6} {:>6.1}% {:>8.1}% {:>7.1}% {:>16.1}% {:>9.1}%",
            share(kept, links),
            share(other, links),
            share(lost, links),
            share(wrong_doubted, other),
            share(doubted, links)
        )?;
    }
    Ok(())
}

/// Reads the frames of a segment and chains their objects.
fn chain(
    folder: &Path,
    pictures: &[&Picture],
    labels: &[Label],
    names: &HashMap<u64, &str>,
) -> Result<Vec<Frame>, Box<dyn std::error::Error>> {
    let (mut frames, mut next): (Vec<Frame>, usize) = (Vec::new(), 0);
    for picture in pictures {
        let jpeg = std::fs::read(folder.join("images").join(&picture.file_name))?;
        let mut decompressor = Decompressor::new()?;
        let header = decompressor.read_header(&jpeg)?;
        let mut samples = vec![0; header.width * header.height * 3];
        let (width, height, pitch) = (header.width, header.height, 3 * header.width);
        decompressor.decompress(&jpeg, Image { pixels: &mut samples[..], width, pitch, height, format: PixelFormat::RGB })?;
        let pixels = Pixels { samples: &samples, size: (width as u32, height as u32), scale: (1.0, 1.0) };
        let of_picture = labels.iter().filter(|label| label.image_id == picture.id && names[&label.category_id] != "traffic_light");
        let object = |label: &Label| {
            let [x, y, width, height] = label.bbox;
            let bbox = BoundingBox { x, y, width, height };
            (Detection { label: names[&label.category_id].into(), score: 0.9, bbox }, Appearance::of(&pixels, &bbox))
        };
        let objects: Vec<(Detection, Appearance)> = of_picture.map(object).collect();
        let best = |one: &Detection, among: &[(Detection, Appearance)]| {
            let same = among.iter().enumerate().filter(|(_, (other, _))| other.label == one.label);
            let best = same.map(|(i, (other, _))| (i, other.bbox.iou(&one.bbox))).max_by(|a, b| a.1.total_cmp(&b.1));
            best.filter(|(_, iou)| *iou >= 0.3).map(|(i, _)| i)
        };
        let who = objects.iter().enumerate().map(|(i, (object, _))| {
            let before = frames.last().and_then(|frame: &Frame| {
                let j = best(object, &frame.objects)?;
                (best(&frame.objects[j].0, &objects) == Some(i)).then(|| frame.who[j])
            });
            before.unwrap_or_else(|| {
                next += 1;
                next
            })
        });
        let who = who.collect();
        frames.push(Frame { objects, who });
    }
    Ok(frames)
}

#[derive(Default)]
struct Counts {
    links: usize,
    kept: usize,
    other: usize,
    lost: usize,
    wrong_doubted: usize,
    doubted: usize,
}

fn follow(frames: &[Frame], step: usize, config: &TrackerConfig, counts: &mut Counts) {
    let config = TrackerConfig { confirm: 1, ..config.clone() };
    let mut tracker = Tracker::default();
    // Who each track was when last seen, and the track that each object had.
    let (mut track_was, mut object_had): (HashMap<u64, usize>, HashMap<usize, u64>) = (HashMap::new(), HashMap::new());
    for (second, frame) in frames.iter().step_by(step).enumerate() {
        let now = Timestamp::from_millis(second as i64 * 1000);
        tracker.look(&config, &frame.objects, |_| false, now);
        let (mut is, mut has) = (HashMap::new(), HashMap::new());
        for ((detection, _), who) in frame.objects.iter().zip(&frame.who) {
            let found = tracker.tracks().find(|track| track.sight().at == now && track.sight().bbox == detection.bbox);
            let Some(track) = found else { continue };
            if let Some(had) = object_had.get(who) {
                let doubted = track.doubted == Some(now);
                counts.links += 1;
                counts.doubted += usize::from(doubted);
                if *had == track.id {
                    counts.kept += 1;
                } else if track_was.contains_key(&track.id) {
                    counts.other += 1;
                    counts.wrong_doubted += usize::from(doubted);
                } else {
                    counts.lost += 1;
                }
            }
            is.insert(track.id, *who);
            has.insert(*who, track.id);
        }
        (track_was, object_had) = (is, has);
    }
}
