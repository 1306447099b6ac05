//! YOLOv10: per box `x1, y1, x2, y2` in pixels of the input, score and label, best first; what is left over is filled with zeros.
//!
//! Invariant: a label that is none of the model's is an error, not a box without a name.

use huong_types::BoundingBox;

use super::{Grid, Tensor, columns};
use crate::DetectError;
use crate::nms::Candidate;

pub(super) fn read(grid: &Grid, output: &Tensor<'_>, into: &mut Vec<Candidate>) -> Result<(), DetectError> {
    for (row, values) in output.values.chunks_exact(columns(output)).enumerate() {
        let [x1, y1, x2, y2, score, class] = *values else { continue };
        if score.is_nan() {
            return Err(DetectError::NotANumber { row });
        }
        if score < grid.score {
            continue;
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(DetectError::NotANumber { row });
        }
        let known = 0.0..grid.labels as f32;
        if class.fract() != 0.0 || !known.contains(&class) {
            return Err(DetectError::Shape {
                found: format!("label {class}"),
                expected: format!("0 to {}", grid.labels.saturating_sub(1)),
            });
        }
        into.push(Candidate { class: class as usize, score, bbox: BoundingBox { x: x1, y: y1, width: x2 - x1, height: y2 - y1 }, row });
    }
    Ok(())
}
