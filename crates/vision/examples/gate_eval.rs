//! How often the motion gate overlooks a labelled object, over frames that are not ours.
//!
//! `cargo run -p huong-vision --example gate_eval -- FOLDER`: FOLDER holds `labels.json` (COCO, with `segment` and `frame` per image)
//! and `images/`. The gate runs over each segment without its keep-alive. A frame that it holds back is a miss when an object in it
//! is new, gone or moved against the frame last looked at: no object of the same label there overlaps it by IoU 0.6 (annotators'
//! boxes of standing objects jitter to about 0.7). Twice: over the frames as they are, and with every frame followed by
//! nine noisy copies of itself, which is what a camera that sends more frames than the street has events looks like.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use huong_types::{BoundingBox, Span, Timestamp};
use huong_vision::{Attention, FrameLimits, Gate, GateConfig, luma_eighth};
use serde::Deserialize;

#[derive(Deserialize)]
struct Labels {
    images: Vec<Picture>,
    annotations: Vec<Label>,
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

type Objects = Vec<(u64, BoundingBox)>;

#[derive(Default)]
struct Score {
    frames: usize,
    passed: usize,
    with_news: usize,
    missed: usize,
    /// Moved objects in frames that passed, and those that a region touches.
    moved: usize,
    covered: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: gate_eval FOLDER")?;
    let folder = Path::new(&folder);
    let labels: Labels = serde_json::from_slice(&std::fs::read(folder.join("labels.json"))?)?;
    let mut objects: BTreeMap<u64, Objects> = BTreeMap::new();
    for Label { image_id, category_id, bbox: [x, y, width, height] } in labels.annotations {
        objects.entry(image_id).or_default().push((category_id, BoundingBox { x, y, width, height }));
    }
    let mut segments: BTreeMap<&str, Vec<&Picture>> = BTreeMap::new();
    for picture in &labels.images {
        segments.entry(&picture.segment).or_default().push(picture);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{:<8} {:>6} {:>7} {:>10} {:>7} {:>14}", "copies", "frames", "passed", "with news", "missed", "moved, covered")?;
    for copies in [0, 9] {
        let mut score = Score::default();
        for pictures in segments.values_mut() {
            pictures.sort_by_key(|picture| picture.frame);
            run(folder, pictures, &objects, copies, &mut score)?;
        }
        let Score { frames, passed, with_news, missed, moved, covered } = score;
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        writeln!(
            out,
            "{copies:<8} {frames:>6} {:>6.1}% {with_news:>10} {:>6.2}% {moved:>7} {:>5.1}%",
            share(passed, frames),
            share(missed, with_news),
            share(covered, moved)
        )?;
    }
    Ok(())
}

fn run(
    folder: &Path,
    pictures: &[&Picture],
    objects: &BTreeMap<u64, Objects>,
    copies: u32,
    score: &mut Score,
) -> Result<(), Box<dyn std::error::Error>> {
    let config = GateConfig { keep_alive: Span::from_mins(60 * 24), ..GateConfig::default() };
    let none = Objects::new();
    let (mut gate, mut luma, mut known, mut second) = (Gate::default(), Vec::new(), &none, 0i64);
    for (n, picture) in pictures.iter().enumerate() {
        let bytes = std::fs::read(folder.join("images").join(&picture.file_name))?;
        let size = luma_eighth(&bytes, &FrameLimits::default(), &mut luma)?;
        let there = objects.get(&picture.id).unwrap_or(&none);
        for copy in 0..=copies {
            let glance =
                gate.glance(&config, &noisy(&luma, second, copy > 0), size, Attention::default(), Timestamp::from_millis(second * 1000));
            second += 1;
            let first = n == 0 && copy == 0;
            let news: Vec<BoundingBox> = unmatched(there, known).chain(unmatched(known, there)).collect();
            if !first {
                score.frames += 1;
                score.passed += usize::from(glance.passes);
                score.with_news += usize::from(!news.is_empty());
                score.missed += usize::from(!news.is_empty() && !glance.passes);
            }
            if glance.passes {
                gate.serve(glance.whole, Timestamp::from_millis(second * 1000));
                if !first {
                    score.moved += news.len();
                    score.covered += news.iter().filter(|object| glance.moved.iter().any(|region| region.iou(object) > 0.0)).count();
                }
                known = there;
            }
        }
    }
    Ok(())
}

/// A camera's noise on the mean of a block: up to 2 levels up or down, from a hash of place and time.
fn noisy(luma: &[u8], second: i64, noise: bool) -> Vec<u8> {
    let hash = |i: usize| (i as u32 ^ (second as u32).wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B) >> 13;
    luma.iter().enumerate().map(|(i, &v)| if noise { v.saturating_add((hash(i) % 5) as u8).saturating_sub(2) } else { v }).collect()
}

fn unmatched<'a>(objects: &'a Objects, others: &'a Objects) -> impl Iterator<Item = BoundingBox> + 'a {
    let fresh = |(label, bbox): &&(u64, BoundingBox)| !others.iter().any(|(other, there)| other == label && there.iou(bbox) >= 0.6);
    objects.iter().filter(fresh).map(|(_, bbox)| *bbox)
}
