//! One look of a detector at a frame: the whole of it when that is due, else only where it moved; and small things at full resolution.
//!
//! Invariant: an object is given once, however many windows it is in. What a window's edge cuts does not count: it is known from before,
//! or the whole frame is looked at. What is known and did not move is given as it was.

use huong_types::{BoundingBox, Detection, Problems};
use serde::Deserialize;

use crate::check::in_range;
use crate::decode::Picture;
use crate::gate::Glance;
use crate::letterbox::Letterboxer;
use crate::nms::{Candidate, suppress};
use crate::windows::Lattice;
use crate::{Detector, FrameError, Letterbox, LightConfig, Pixels};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookConfig {
    /// What moved is looked at alone while it takes no more than this share of what the whole frame costs; 0: the frame is always looked
    /// at as a whole. Only with models that take pictures of any size (`step` of their manifest).
    pub part: f32,
    /// Pixels of the model's input that are seen around what moved.
    pub margin: f32,
    /// What moved and is smaller than so many pixels of the model's input is looked at enlarged; 0: never.
    pub small: f32,
    /// How much of one frame may be looked at enlarged, in full inputs of the model.
    pub crops: usize,
    /// The overlap (IoU, 0 to 1) past which two boxes of one label from different windows are one object.
    pub iou: f32,
}

impl Default for LookConfig {
    /// Half: what a window's edge cuts may make the whole look necessary after all. 48 pixels: a detector tells a thing by what is around it;
    /// with 32 some of the drawn scenes of docs/accuracy.md were lost. 24 pixels: below, the recall of detectors of this size falls off.
    /// One crop: twice the whole look at most. Choices of this project.
    fn default() -> Self {
        Self { part: 0.5, margin: 48.0, small: 24.0, crops: 1, iou: 0.5 }
    }
}

impl LookConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "part", self.part, 0.0..=1.0);
        in_range(file, path, problems, "margin", self.margin, 0.0..=1024.0);
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

/// What of a frame is to be looked at, in pixels of the frame.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    whole: bool,
    /// At the resolution of the whole.
    coarse: Vec<BoundingBox>,
    /// At full resolution.
    fine: Vec<BoundingBox>,
}

/// What a look came to.
#[derive(Debug)]
pub(crate) struct Sights {
    /// Best first, in pixels of the frame.
    pub(crate) objects: Vec<Detection>,
    /// The whole frame was looked at.
    pub(crate) whole: bool,
}

/// Above so many things that moved the whole frame is looked at without asking how they lie.
const MANY: usize = 48;
/// A box of which this share is in a window is in it: sums of fractions are not exact.
const ALL: f32 = 0.99;
/// Enlarged by less than a half, a thing is not worth an inference of its own.
const WORTH: f32 = 0.67;

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

impl Plan {
    /// The whole frame and nothing else.
    pub(crate) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }
}

impl Eye {
    pub(crate) fn new(detector: Box<dyn Detector>) -> Self {
        Self { letterboxer: Letterboxer::new(detector.input()), detector }
    }

    /// Dark pictures are brightened before the detector sees them.
    pub(crate) fn lit(mut self, light: LightConfig) -> Self {
        self.letterboxer.light = Some(light);
        self
    }

    /// What to look at in a frame of `frame` pixels: what moved now, or in the look before (`stirred`), of which `known` is known.
    pub(crate) fn plan(
        &self,
        config: &LookConfig,
        frame: (u32, u32),
        glance: &Glance,
        stirred: &[BoundingBox],
        known: &[Detection],
    ) -> Plan {
        let input = self.detector.input();
        let geometry = Letterbox::fit(frame, &input);
        let shrunk = geometry.content.0 as f32 / frame.0 as f32;
        let coarse_grid = Lattice { input, frame, scale: shrunk, margin: config.margin };
        let fine_grid = Lattice { scale: 1.0, ..coarse_grid };
        // All of a vehicle of which a wheel moved.
        let thing = |region: &BoundingBox| {
            known.iter().filter(|known| known.bbox.shared(region) > 0.0).fold(*region, |thing, known| thing.union(&known.bbox))
        };
        let small = |thing: &BoundingBox| shrunk <= WORTH && thing.width.max(thing.height) * shrunk < config.small;
        let (fine, mut coarse): (Vec<_>, Vec<_>) = glance.moved.iter().chain(stirred).take(MANY).map(thing).partition(small);
        let mut left = config.crops as f32 * input.width as f32 * input.height as f32;
        let (fine, over): (Vec<_>, Vec<_>) = fine_grid.windows(fine).into_iter().partition(|window| {
            left -= window.area();
            left >= 0.0
        });
        coarse.extend(over);
        let coarse = coarse_grid.windows(coarse);
        let share =
            coarse.iter().map(|window| window.area() * shrunk * shrunk).sum::<f32>() / (geometry.input.0 as f32 * geometry.input.1 as f32);
        let whole = glance.whole || input.step.is_none() || glance.moved.len() + stirred.len() > MANY || share > config.part;
        Plan { whole, coarse: if whole { Vec::new() } else { coarse }, fine }
    }

    /// The resolution at which a frame is needed for this.
    pub(crate) fn wanted(&self, frame: (u32, u32), plan: &Plan) -> (u32, u32) {
        if plan.fine.is_empty() { Letterbox::fit(frame, &self.detector.input()).content } else { frame }
    }

    /// The objects in a frame of `frame` pixels: those found, and of `known` what did not move.
    pub(crate) fn look(
        &mut self,
        config: &LookConfig,
        pixels: &Pixels<'_>,
        frame: (u32, u32),
        plan: &Plan,
        known: &[Detection],
    ) -> Result<Sights, FrameError> {
        let shrunk = f64::from(Letterbox::fit(frame, &self.detector.input()).content.0) / f64::from(frame.0);
        let (fine, unknown) = self.through(config, pixels, frame, (&plan.fine, 1.0), known)?;
        let mut whole = plan.whole || unknown;
        let mut found = Vec::new();
        if !whole {
            (found, whole) = self.through(config, pixels, frame, (&plan.coarse, shrunk), known)?;
        }
        if whole {
            found = self.part(pixels, &BoundingBox { x: 0.0, y: 0.0, width: frame.0 as f32, height: frame.1 as f32 })?;
        }
        found.extend(fine);
        let mut objects = if plan.coarse.len() + plan.fine.len() > 0 { self.once(config, &found) } else { found };
        if !whole {
            let windows = || plan.coarse.iter().chain(&plan.fine);
            let rests = |d: &&Detection| {
                let again = |found: &Detection| found.label == d.label && found.bbox.iou(&d.bbox) > config.iou;
                windows().all(|window| d.bbox.share_in(window) < ALL) && !objects.iter().any(again)
            };
            let resting: Vec<Detection> = known.iter().filter(rests).cloned().collect();
            objects.extend(resting);
            objects.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Ok(Sights { objects, whole })
    }

    /// What is seen through windows at `ratio` pixels of the input for one of the frame, and whether an edge cuts something unknown.
    fn through(
        &mut self,
        config: &LookConfig,
        pixels: &Pixels<'_>,
        frame: (u32, u32),
        (windows, ratio): (&[BoundingBox], f64),
        known: &[Detection],
    ) -> Result<(Vec<Detection>, bool), FrameError> {
        let (mut found, mut unknown) = (Vec::new(), false);
        for window in windows {
            let inside = self.seen(pixels, window, Letterbox::scaled(size(window), ratio, &self.detector.input()))?;
            let (cut, inside): (Vec<_>, Vec<_>) = inside.into_iter().partition(|d| is_cut(&d.bbox, window, frame));
            let explained = |d: &Detection| known.iter().any(|known| d.bbox.share_in(&known.bbox) > config.iou);
            unknown |= !cut.iter().all(explained);
            found.extend(inside);
        }
        Ok((found, unknown))
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

    /// What the detector finds in one part of the frame at the best resolution it has, in pixels of the frame.
    pub(crate) fn part(&mut self, pixels: &Pixels<'_>, part: &BoundingBox) -> Result<Vec<Detection>, FrameError> {
        self.seen(pixels, part, Letterbox::fit(size(part), &self.detector.input()))
    }

    fn seen(&mut self, pixels: &Pixels<'_>, part: &BoundingBox, geometry: Letterbox) -> Result<Vec<Detection>, FrameError> {
        let image = self.letterboxer.fill(pixels, part, geometry)?;
        let mut found = self.detector.detect(image)?;
        for detection in &mut found {
            (detection.bbox.x, detection.bbox.y) = (detection.bbox.x + part.x, detection.bbox.y + part.y);
        }
        Ok(found)
    }
}

fn size(part: &BoundingBox) -> (u32, u32) {
    (part.width as u32, part.height as u32)
}

/// Whether a box ends at an edge of the window that is not one of the frame.
fn is_cut(bbox: &BoundingBox, window: &BoundingBox, frame: (u32, u32)) -> bool {
    const NEAR: f32 = 2.0;
    let (right, bottom) = (window.x + window.width, window.y + window.height);
    (window.x > 0.0 && bbox.x < window.x + NEAR)
        || (window.y > 0.0 && bbox.y < window.y + NEAR)
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
        step: Option<u32>,
    }

    impl Detector for RedSquares {
        fn model(&self) -> &ModelId {
            &self.model
        }

        fn input(&self) -> InputSpec {
            InputSpec { width: 160, height: 96, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114, step: self.step }
        }

        fn labels(&self) -> &[Name] {
            &self.labels
        }

        fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
            let (width, height) = image.geometry.input;
            let plane = (width * height) as usize;
            let red: Vec<bool> = (0..plane).map(|i| image.pixels[2 * plane + i] > 200.0 && image.pixels[i] < 60.0).collect();
            let squares = crate::blobs::blobs(&red, width as usize, 36);
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
        let mut eye = eye(None);
        let glance = Glance { passes: true, whole: false, moved: moved.to_vec() };
        let plan = eye.plan(config, (800, 480), &glance, &[], &[]);
        assert!(plan.whole, "the model takes nothing smaller");
        assert_eq!(eye.wanted((800, 480), &plan) == (800, 480), !plan.fine.is_empty());
        eye.look(config, &pixels, (800, 480), &plan, &[]).expect("it sees").objects.into_iter().map(|d| d.bbox).collect()
    }

    fn eye(step: Option<u32>) -> Eye {
        Eye::new(Box::new(RedSquares { model: ModelId { name: "red".into(), sha256: "00".into() }, labels: vec!["car".into()], step }))
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

    /// What a model of pictures of any size sees in a frame of these squares, where those at `known` were seen before.
    fn partly(squares: &[(u32, u32, u32)], known: &[BoundingBox], moved: &[BoundingBox]) -> (Vec<(f32, f32)>, bool) {
        partly_again(squares, known, moved, &[])
    }

    /// The same where it was moving at `stirred` in the look before.
    fn partly_again(
        squares: &[(u32, u32, u32)],
        known: &[BoundingBox],
        moved: &[BoundingBox],
        stirred: &[BoundingBox],
    ) -> (Vec<(f32, f32)>, bool) {
        let samples = frame(squares);
        let pixels = Pixels { samples: &samples, size: (800, 480), scale: (1.0, 1.0) };
        let config = LookConfig { margin: 8.0, ..LookConfig::default() };
        let known: Vec<Detection> = known.iter().map(|bbox| Detection { label: "car".into(), score: 0.5, bbox: *bbox }).collect();
        let mut eye = eye(Some(32));
        let plan = eye.plan(&config, (800, 480), &Glance { passes: true, whole: false, moved: moved.to_vec() }, stirred, &known);
        let sights = eye.look(&config, &pixels, (800, 480), &plan, &known).expect("it sees");
        let mut places: Vec<(f32, f32)> = sights.objects.iter().map(|d| ((d.bbox.x / 10.0).round(), (d.bbox.y / 10.0).round())).collect();
        places.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        (places, sights.whole)
    }

    #[test]
    fn only_what_moved_is_looked_at_and_the_rest_is_as_it_was() {
        let squares = [(100, 100, 60), (600, 300, 60)];
        let (first, second) = (region(100.0, 100.0, 60.0), region(600.0, 300.0, 60.0));
        assert_eq!(partly(&squares, &[first, second], &[]), (vec![(10.0, 10.0), (60.0, 30.0)], false), "nothing moved");
        // The second drove on from (500, 300); nothing looks at the first.
        let driven = [region(500.0, 300.0, 60.0), region(600.0, 300.0, 60.0)];
        let (before, hidden) = (region(500.0, 300.0, 60.0), region(300.0, 100.0, 60.0));
        assert_eq!(partly(&squares, &[first, before], &driven), (vec![(10.0, 10.0), (60.0, 30.0)], false));
        assert_eq!(partly(&squares, &[hidden, before], &driven), (vec![(30.0, 10.0), (60.0, 30.0)], false), "what is known is believed");
        // One that left is given no more, though nothing is in its place.
        assert_eq!(partly(&squares[..1], &[first, second], &[second]), (vec![(10.0, 10.0)], false));
        // What is known and stands across a window's edge stays; what nobody knows makes the whole necessary.
        let beside = region(150.0, 160.0, 16.0);
        assert_eq!(partly(&squares, &[first, second], &[beside]), (vec![(10.0, 10.0), (60.0, 30.0)], false));
        assert_eq!(partly(&squares, &[second], &[beside]), (vec![(10.0, 10.0), (60.0, 30.0)], true));
        // What was seen half hidden by what drove past is seen whole when that is gone.
        let half = BoundingBox { height: 30.0, ..second };
        let again = |stirred: &[BoundingBox]| partly_again(&squares, &[first, BoundingBox { y: 330.0, ..half }], &[], stirred);
        assert_eq!((again(&[]).0, again(&[second]).0), (vec![(10.0, 10.0), (60.0, 33.0)], vec![(10.0, 10.0), (60.0, 30.0)]));
        // Motion nearly everywhere makes the whole necessary too.
        assert_eq!(partly(&squares, &[], &[region(50.0, 50.0, 700.0)]), (vec![(10.0, 10.0), (60.0, 30.0)], true));
    }
}
