//! From the pixels of one vehicle to what its plate says in this frame.
//!
//! Invariant: a plate that was not found, or whose corners make no quadrilateral, is `None`; a model that failed is an error.

use huong_types::{BoundingBox, ModelId, Problems};
use serde::Deserialize;

use super::ctc::{Spelling, characters, spell};
use super::grammar::Kinds;
use super::votes::VoteConfig;
use super::warp::{Corners, around, aspect, deskew, widened};
use crate::check::in_range;
use crate::letterbox::Letterboxer;
use crate::{FrameError, Letterbox, Pixels, PlateFinder, PlateReader};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlateConfig {
    /// The least score of a plate on the cut-out of a vehicle, where one is expected; in whole frames the finder's own counts, of its
    /// manifest.
    pub score: f32,
    /// How much of its size is added around a vehicle's box, because plates hang at its edge.
    pub around: f32,
    /// How far the corners are moved outwards before reading, as a part of the plate.
    pub widen: f32,
    /// Narrower than so many times its height, a plate has two lines ..
    pub two_lines_below: f32,
    /// .. wider, it has one; between the two, both are thought of.
    pub one_line_above: f32,
    /// A plate less wide than so many pixels of the frame is not read.
    pub least_width: f32,
    /// Vehicles looked at in one frame, the largest first.
    pub per_frame: usize,
    /// Beginnings that are followed while spelling.
    pub beam: usize,
    /// Whether every plate read becomes a reading of the stream `plates`: personal data. Candidates of violations carry theirs anyway.
    pub report: bool,
    pub votes: VoteConfig,
}

impl Default for PlateConfig {
    /// 0.4: `make eval` has 0.73 of what is found from there on right in whole frames, and a vehicle's best is taken. 2.5 and 3.0: plates are 1.36 (motorbike), 2.0 (car, short) and 4.73 (car, long) wide by height (QCVN 08:2024/BCA); a photo from the
    /// side narrows the last. 24 pixels are three a character of a long plate. The others: choices of this project.
    fn default() -> Self {
        Self {
            score: 0.4,
            around: 0.1,
            widen: 0.04,
            two_lines_below: 2.5,
            one_line_above: 3.0,
            least_width: 24.0,
            per_frame: 3,
            beam: 16,
            report: false,
            votes: VoteConfig::default(),
        }
    }
}

impl PlateConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "score", self.score, 0.01..=1.0);
        in_range(file, path, problems, "around", self.around, 0.0..=1.0);
        in_range(file, path, problems, "widen", self.widen, -0.2..=1.0);
        in_range(file, path, problems, "two_lines_below", self.two_lines_below, 1.0..=self.one_line_above);
        in_range(file, path, problems, "beam", self.beam, 1..=1000);
        self.votes.check(file, &format!("{path}.votes"), problems);
    }
}

/// A plate in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateShot {
    /// In pixels of the full frame.
    pub bbox: BoundingBox,
    pub corners: [(f32, f32); 4],
    pub score: f32,
    pub two_lines: Option<bool>,
    pub spelling: Spelling,
    /// How sure each character of each of the spelling's candidates is.
    pub characters: Vec<Vec<f32>>,
}

/// The two models of plates and their buffers.
pub struct PlateEye {
    finder: Box<dyn PlateFinder>,
    reader: Box<dyn PlateReader>,
    letterboxer: Letterboxer,
}

impl PlateEye {
    pub fn new(finder: Box<dyn PlateFinder>, reader: Box<dyn PlateReader>) -> Self {
        Self { letterboxer: Letterboxer::new(finder.input()), finder, reader }
    }

    pub fn models(&self) -> [ModelId; 2] {
        [self.finder.model().clone(), self.reader.model().clone()]
    }

    /// The plate of the vehicle in `bbox` of a frame of `size` pixels, or the best in the whole frame without a vehicle.
    ///
    /// # Errors
    /// When a model did not run.
    pub fn look(
        &mut self,
        config: &PlateConfig,
        pixels: &Pixels<'_>,
        size: (u32, u32),
        bbox: Option<&BoundingBox>,
        label: Option<&str>,
    ) -> Result<Option<PlateShot>, FrameError> {
        let crop = match bbox {
            Some(b) => {
                let (dx, dy) = (config.around * b.width, config.around * b.height);
                let (x, y) = ((b.x - dx).max(0.0).floor(), (b.y - dy).max(0.0).floor());
                let (right, bottom) = ((b.x + b.width + dx).min(size.0 as f32).ceil(), (b.y + b.height + dy).min(size.1 as f32).ceil());
                BoundingBox { x, y, width: right - x, height: bottom - y }
            }
            None => BoundingBox { x: 0.0, y: 0.0, width: size.0 as f32, height: size.1 as f32 },
        };
        if crop.width < 8.0 || crop.height < 8.0 {
            return Ok(None);
        }
        let geometry = Letterbox::fit((crop.width as u32, crop.height as u32), &self.finder.input());
        let image = self.letterboxer.fill(pixels, &crop, geometry)?;
        let found = self.finder.find(image, bbox.map(|_| config.score))?;
        let Some(plate) = found.into_iter().next() else { return Ok(None) };
        let corners: Corners = plate.corners.map(|(x, y)| (x + crop.x, y + crop.y));
        let bbox = around(&corners);
        if bbox.width < config.least_width {
            return Ok(None);
        }
        let spec = self.reader.input();
        let Some(image) = deskew(pixels, &widened(&corners, config.widen), &spec, self.reader.rows(), config.two_lines_below) else {
            return Ok(None);
        };
        let sight = self.reader.read(&image)?;
        let two_lines = match (sight.two_lines, aspect(&corners)) {
            (Some(p), _) if !(0.2..=0.8).contains(&p) => Some(p > 0.5),
            (_, aspect) if aspect < config.two_lines_below => Some(true),
            (_, aspect) if aspect > config.one_line_above => Some(false),
            _ => None,
        };
        let alphabet = self.reader.alphabet();
        let spelling = spell(&sight.ctc, alphabet, Kinds::of_vehicle(label, two_lines), config.beam, 5)?;
        let characters = spelling.candidates.iter().map(|candidate| characters(&sight.ctc, alphabet, &candidate.text)).collect();
        Ok(Some(PlateShot { bbox, corners, score: plate.score, two_lines, spelling, characters }))
    }
}
