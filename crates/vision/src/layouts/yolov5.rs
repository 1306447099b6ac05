//! YOLOv5 and v7 as `export.py` writes them, decoded inside the model: per box `cx, cy, w, h` in pixels of the input, objectness and
//! one score a label, all through a sigmoid; score = objectness · label's score.
//!
//! Invariant: as in YOLOX, whose rows are scored the same.

use super::{Grid, Tensor, best, centred, columns};
use crate::DetectError;
use crate::nms::Candidate;

pub(super) fn read(grid: &Grid, output: &Tensor<'_>, into: &mut Vec<Candidate>) -> Result<(), DetectError> {
    for (row, values) in output.values.chunks_exact(columns(output)).enumerate() {
        if let Some((class, score)) = scored(grid, values, row)? {
            into.push(Candidate { class, score, bbox: centred(values[0], values[1], values[2], values[3]), row });
        }
    }
    Ok(())
}

/// Label and score of a row of four sides, objectness and labels; `None` below the least score.
pub(super) fn scored(grid: &Grid, values: &[f32], row: usize) -> Result<Option<(usize, f32)>, DetectError> {
    let objectness = values[4];
    if objectness.is_nan() {
        return Err(DetectError::NotANumber { row });
    }
    // No label's score is above 1, so this row cannot pass: nearly all end here.
    if objectness < grid.score {
        return Ok(None);
    }
    if !values.iter().all(|value| value.is_finite()) {
        return Err(DetectError::NotANumber { row });
    }
    let found = best(&values[5..]).map(|(class, best)| (class, objectness * best));
    Ok(found.filter(|(_, score)| *score >= grid.score))
}
