//! One look of a detector at a frame: the whole of it, and at full resolution where small things moved.
//!
//! Invariant: an object is given once, however many crops it is in; a box cut by a crop's edge does not count.

use huong_types::{BoundingBox, Detection, Problems};
use serde::Deserialize;

use crate::check::in_range;
use crate::decode::Picture;
use crate::letterbox::Letterboxer;
use crate::nms::{Candidate, suppress};
use crate::{Detector, FrameError, Letterbox, Pixels};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookConfig {
    /// What moved and is smaller than so many pixels of the model's input is looked at again, enlarged; 0: never.
    pub small: f32,
    /// Crops of one frame at most: each costs an inference.
    pub crops: usize,
    /// The overlap (IoU, 0 to 1) past which two boxes of one label from different crops are one object.
    pub iou: f32,
}

impl Default for LookConfig {
    /// 24 pixels: below, the recall of detectors of this size falls off. One crop: half a look more at most where something small moves.
    fn default() -> Self {
        Self { small: 24.0, crops: 1, iou: 0.5 }
    }
}

impl LookConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "small", self.small, 0.0..=4096.0);
        in_range(file, path, problems, "crops", self.crops, 0..=16);
        in_range(file, path, problems, "iou", self.iou, 0.1..=1.0);
    }
}

/// The detector of a worker, with the pixels that it looks at.
pub(crate) struct Eye {
    pub(crate) detector: Box<dyn Detector>,
    letterboxer: Letterboxer,
}

/// A decoded frame, its buffer kept from one to the next.
#[derive(Default)]
pub(crate) struct Canvas {
    samples: Vec<u8>,
    size: (u32, u32),
    scale: (f32, f32),
}

impl Canvas {
    /// Decodes at the smallest scale of at least `wanted` pixels.
    pub(crate) fn paint(&mut self, picture: &mut Picture<'_>, wanted: (u32, u32)) -> Result<(), FrameError> {
        self.size = picture.at_least(wanted, &mut self.samples)?;
        let frame = picture.size();
        self.scale = (frame.0 as f32 / self.size.0 as f32, frame.1 as f32 / self.size.1 as f32);
        Ok(())
    }

    pub(crate) fn pixels(&self) -> Pixels<'_> {
        Pixels { samples: &self.samples, size: self.size, scale: self.scale }
    }
}

impl Eye {
    pub(crate) fn new(detector: Box<dyn Detector>) -> Self {
        Self { letterboxer: Letterboxer::new(detector.input()), detector }
    }

    /// The resolution at which the whole frame is needed when something moved there.
    pub(crate) fn wanted(&self, config: &LookConfig, frame: (u32, u32), moved: &[BoundingBox]) -> (u32, u32) {
        if self.crops(config, frame, moved).is_empty() { Letterbox::fit(frame, &self.detector.input()).content } else { frame }
    }

    /// The objects in a frame of `frame` pixels, best first, in its pixels.
    pub(crate) fn look(
        &mut self,
        config: &LookConfig,
        pixels: &Pixels<'_>,
        frame: (u32, u32),
        moved: &[BoundingBox],
    ) -> Result<Vec<Detection>, FrameError> {
        let whole = BoundingBox { x: 0.0, y: 0.0, width: frame.0 as f32, height: frame.1 as f32 };
        let crops = self.crops(config, frame, moved);
        let mut found = self.part(pixels, &whole)?;
        if crops.is_empty() {
            return Ok(found);
        }
        for crop in &crops {
            let mut inside = self.part(pixels, crop)?;
            inside.retain(|detection| !is_cut(&detection.bbox, crop, frame));
            found.extend(inside);
        }
        Ok(self.once(config, &found))
    }

    /// The objects in these parts of a frame alone, best first, in its pixels.
    pub(crate) fn look_at(
        &mut self,
        config: &LookConfig,
        pixels: &Pixels<'_>,
        parts: &[BoundingBox],
    ) -> Result<Vec<Detection>, FrameError> {
        let mut found = Vec::new();
        for part in parts {
            found.extend(self.part(pixels, part)?);
        }
        Ok(self.once(config, &found))
    }

    /// What was found in several parts, each object once, best first.
    fn once(&self, config: &LookConfig, found: &[Detection]) -> Vec<Detection> {
        let class = |detection: &Detection| self.detector.labels().iter().position(|label| *label == detection.label).unwrap_or(0);
        let candidate = |(row, d): (usize, &Detection)| Candidate { class: class(d), score: d.score, bbox: d.bbox, row };
        let mut candidates: Vec<Candidate> = found.iter().enumerate().map(candidate).collect();
        suppress(&mut candidates, config.iou);
        candidates.into_iter().map(|candidate| found[candidate.row].clone()).collect()
    }

    /// What the detector finds in one part of the frame, in pixels of the frame.
    pub(crate) fn part(&mut self, pixels: &Pixels<'_>, crop: &BoundingBox) -> Result<Vec<Detection>, FrameError> {
        let geometry = Letterbox::fit((crop.width as u32, crop.height as u32), &self.detector.input());
        let image = self.letterboxer.fill(pixels, crop, geometry)?;
        let mut found = self.detector.detect(image)?;
        for detection in &mut found {
            (detection.bbox.x, detection.bbox.y) = (detection.bbox.x + crop.x, detection.bbox.y + crop.y);
        }
        Ok(found)
    }

    /// Windows of the model's own size, at full resolution, over the small things that moved; a window takes in as many as fit.
    fn crops(&self, config: &LookConfig, frame: (u32, u32), moved: &[BoundingBox]) -> Vec<BoundingBox> {
        let spec = self.detector.input();
        let shrunk = Letterbox::fit(frame, &spec).content.0 as f32 / frame.0 as f32;
        // Enlarged by less than a half, it is not worth an inference.
        if shrunk > 0.67 {
            return Vec::new();
        }
        let (width, height) = ((spec.width.min(frame.0)) as f32, (spec.height.min(frame.1)) as f32);
        let mut small: Vec<&BoundingBox> = moved.iter().filter(|region| region.width.max(region.height) * shrunk < config.small).collect();
        let mut crops = Vec::new();
        while crops.len() < config.crops
            && let Some(first) = small.first().copied()
        {
            let (cx, cy) = (first.x + first.width / 2.0, first.y + first.height / 2.0);
            let at = |centre: f32, side: f32, most: u32| (centre - side / 2.0).clamp(0.0, most as f32 - side).floor();
            let crop = BoundingBox { x: at(cx, width, frame.0), y: at(cy, height, frame.1), width, height };
            let held = |region: &BoundingBox| {
                region.x >= crop.x
                    && region.y >= crop.y
                    && region.x + region.width <= crop.x + width
                    && region.y + region.height <= crop.y + height
            };
            small.retain(|region| !held(region) && **region != *first);
            crops.push(crop);
        }
        crops
    }
}

/// Whether a box ends at an edge of the crop that is not one of the frame.
fn is_cut(bbox: &BoundingBox, crop: &BoundingBox, frame: (u32, u32)) -> bool {
    const NEAR: f32 = 2.0;
    let (right, bottom) = (crop.x + crop.width, crop.y + crop.height);
    (crop.x > 0.0 && bbox.x < crop.x + NEAR)
        || (crop.y > 0.0 && bbox.y < crop.y + NEAR)
        || (right < frame.0 as f32 && bbox.x + bbox.width > right - NEAR)
        || (bottom < frame.1 as f32 && bbox.y + bbox.height > bottom - NEAR)
}

#[cfg(test)]
mod tests {
    use huong_types::{ModelId, Name};

    use super::*;
    use crate::{ChannelOrder, DetectError, InputSpec, Letterboxed};

    /// Sees blobs of red that are at least 6 pixels wide in its input, as a model cannot see what is too small.
    struct RedSquares {
        model: ModelId,
        labels: Vec<Name>,
    }

    impl Detector for RedSquares {
        fn model(&self) -> &ModelId {
            &self.model
        }

        fn input(&self) -> InputSpec {
            InputSpec { width: 160, height: 96, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114 }
        }

        fn labels(&self) -> &[Name] {
            &self.labels
        }

        fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
            let red: Vec<bool> = (0..160 * 96).map(|i| image.pixels[2 * 160 * 96 + i] > 200.0 && image.pixels[i] < 60.0).collect();
            let squares = crate::blobs::blobs(&red, 160, 36);
            let found = squares.into_iter().filter_map(|square| image.geometry.to_frame(&square));
            Ok(found.map(|bbox| Detection { label: self.labels[0].clone(), score: 0.9, bbox }).collect())
        }
    }

    /// 800x480 pixels of grey with red squares.
    fn frame(squares: &[(u32, u32, u32)]) -> Vec<u8> {
        let red =
            |x: u32, y: u32| squares.iter().any(|&(left, top, side)| (left..left + side).contains(&x) && (top..top + side).contains(&y));
        (0..800 * 480u32).flat_map(|i| if red(i % 800, i / 800) { [250, 20, 20] } else { [90, 90, 90] }).collect()
    }

    fn look(squares: &[(u32, u32, u32)], moved: &[BoundingBox], config: &LookConfig) -> Vec<BoundingBox> {
        let samples = frame(squares);
        let pixels = Pixels { samples: &samples, size: (800, 480), scale: (1.0, 1.0) };
        let mut eye =
            Eye::new(Box::new(RedSquares { model: ModelId { name: "red".into(), sha256: "00".into() }, labels: vec!["car".into()] }));
        assert_eq!(eye.wanted(config, (800, 480), moved) == (800, 480), !eye.crops(config, (800, 480), moved).is_empty());
        eye.look(config, &pixels, (800, 480), moved).expect("it sees").into_iter().map(|d| d.bbox).collect()
    }

    fn region(x: f32, y: f32, side: f32) -> BoundingBox {
        BoundingBox { x, y, width: side, height: side }
    }

    #[test]
    fn small_things_that_moved_are_looked_at_enlarged_and_given_once() {
        let config = LookConfig { crops: 2, ..LookConfig::default() };
        // 60 pixels are 12 in the input; 12 pixels would be 2.4.
        let squares = [(100, 100, 60), (600, 300, 12), (640, 320, 12)];
        assert_eq!(look(&squares, &[], &config).len(), 1, "nothing moved: the whole frame alone");
        let found = look(&squares, &[region(600.0, 296.0, 16.0), region(640.0, 320.0, 16.0)], &config);
        assert_eq!(found.len(), 3, "one crop shows both small ones: {found:?}");
        let near = |x: f32, y: f32| found.iter().any(|b| (b.x - x).abs() < 3.0 && (b.y - y).abs() < 3.0);
        assert!(near(100.0, 100.0) && near(600.0, 300.0) && near(640.0, 320.0), "{found:?}");
        assert_eq!(look(&squares, &[region(600.0, 296.0, 16.0)], &LookConfig { crops: 0, ..config }).len(), 1);
        assert_eq!(look(&squares, &[region(80.0, 80.0, 200.0)], &config).len(), 1, "what moved is large enough as it is");
        // The large one lies across the crop's edge: it is taken from the whole frame, and once.
        let found = look(&squares, &[region(200.0, 120.0, 16.0)], &config);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0].width - 60.0).abs() < 8.0);
    }
}
