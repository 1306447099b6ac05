//! What the pipeline asks of a model.
//!
//! Invariant: a detector that fails says so; it never answers with an empty list instead.

use huong_types::{Detection, Name};

use crate::{InputSpec, Letterboxed};

/// Finds objects in one letterboxed frame. One detector per worker: it may keep buffers.
pub trait Detector: Send {
    /// The model's name; readings carry it as their source.
    fn name(&self) -> &Name;

    /// The picture it wants.
    fn input(&self) -> InputSpec;

    /// Every label it can give. What is not here it cannot see, so a count of it would be a lie.
    fn labels(&self) -> &[Name];

    /// The objects, boxes in pixels of the full frame and inside it, best first.
    ///
    /// # Errors
    /// When the model did not run or answered nonsense; the frame is then to be skipped.
    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError>;
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
