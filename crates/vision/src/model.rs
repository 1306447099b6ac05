//! What the pipelines ask of models: objects, plates and their corners, the characters of a plate.
//!
//! Invariant: a model that fails says so; it never answers with an empty list instead.

use huong_types::{BoundingBox, Detection, ModelId, Name};
use serde::{Deserialize, Serialize};

use crate::{InputSpec, Letterboxed};

/// Finds objects in one letterboxed picture. One detector per worker: it may keep buffers.
pub trait Detector: Send {
    fn model(&self) -> &ModelId;

    /// The picture it wants.
    fn input(&self) -> InputSpec;

    /// Every label it can give. What is not here it cannot see, so a count of it would be a lie.
    fn labels(&self) -> &[Name];

    /// The objects, boxes in pixels of the picture that was letterboxed (a frame, or a crop of one) and inside it, best first.
    ///
    /// # Errors
    /// When the model did not run or answered nonsense; the frame is then to be skipped.
    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError>;
}

/// Finds number plates in one letterboxed picture: a frame, or the crop of a vehicle.
pub trait PlateFinder: Send {
    fn model(&self) -> &ModelId;

    fn input(&self) -> InputSpec;

    /// The plates with a score of at least `least` (0 to 1), in pixels of the picture that was letterboxed, best first. `None`: the model's
    /// own threshold, which is one for whole frames.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    fn find(&mut self, image: &Letterboxed, least: Option<f32>) -> Result<Vec<FoundPlate>, DetectError>;
}

/// Where one plate is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundPlate {
    /// 0 to 1.
    pub score: f32,
    pub bbox: BoundingBox,
    /// The corners of the plate itself as its text is read: top left, top right, bottom right, bottom left. They may lie outside
    /// the picture and outside `bbox`.
    pub corners: [(f32, f32); 4],
}

/// Reads the characters of one deskewed plate.
pub trait PlateReader: Send {
    fn model(&self) -> &ModelId;

    /// The picture it wants. A plate is stretched to all of it (a deskewed plate has no proportions to keep), so `pad` is unused.
    fn input(&self) -> InputSpec;

    /// How it wants the two rows of a two-line plate.
    fn rows(&self) -> PlateRows;

    /// The characters it knows, each an ASCII digit or capital letter, in the order of the columns of its answers.
    fn alphabet(&self) -> &[u8];

    /// # Errors
    /// As [`Detector::detect`].
    fn read(&mut self, plate: &PlateImage) -> Result<PlateSight, DetectError>;
}

/// How a reader takes a plate of two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlateRows {
    /// As it is: the model finds the rows itself.
    Whole,
    /// As one line: the lower half laid to the right of the upper half.
    Strip,
}

/// A plate as its reader takes it.
#[derive(Clone, Debug)]
pub struct PlateImage {
    /// Samples of shape `[1, 3, height, width]` of [`PlateReader::input`], multiplied by its scale.
    pub pixels: Vec<f32>,
    /// The corners' width over height: about 4.5 for a plate of one line, 1.3 to 2.2 for one of two.
    pub aspect: f32,
    /// For [`PlateRows::Strip`] only: laid out as a plate of two lines.
    pub split: bool,
}

/// What a reader saw in one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateSight {
    pub ctc: Ctc,
    /// The probability that the plate has two lines, of a model that tells.
    pub two_lines: Option<f32>,
}

/// Character probabilities by step from left to right, as connectionist temporal classification gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ctc {
    /// `steps` rows of `1 + alphabet` columns, each row adding up to about 1. Column 0 is the blank, column `1 + i` the alphabet's
    /// i-th character.
    probabilities: Vec<f32>,
    columns: usize,
}

impl Ctc {
    /// Rows of `columns` probabilities, the blank first.
    ///
    /// # Errors
    /// When they are no whole number of rows, or not probabilities.
    pub fn new(probabilities: Vec<f32>, columns: usize) -> Result<Self, DetectError> {
        if columns < 2 || !probabilities.len().is_multiple_of(columns) {
            return Err(DetectError::Shape {
                found: format!("{} values", probabilities.len()),
                expected: format!("rows of {columns} columns, a blank and at least one character"),
            });
        }
        if let Some(at) = probabilities.iter().position(|p| !(0.0..=1.001).contains(p)) {
            return Err(DetectError::NotANumber { row: at / columns });
        }
        Ok(Self { probabilities, columns })
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row per step.
    pub fn steps(&self) -> impl Iterator<Item = &[f32]> {
        self.probabilities.chunks_exact(self.columns)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error("the model did not run: {0}")]
    Run(String),
    #[error("the model's output has another shape than its manifest says: found {found}, expected {expected}")]
    Shape { found: String, expected: String },
    #[error("the model's output is not a number at row {row}")]
    NotANumber { row: usize },
}
