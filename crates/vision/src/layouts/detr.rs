//! RT-DETR: per query a box `cx, cy, w, h` as shares of the input, and one score a label, each through a sigmoid of its own (Zhao et
//! al., "DETRs Beat YOLOs on Real-time Object Detection", 2023): inside the model as Ultralytics exports it, or left to the reader,
//! as Transformers does.
//!
//! Invariant: a query is one object at most, of its best label.

use super::{Grid, Tensor, best, centred, columns};
use crate::DetectError;
use crate::nms::Candidate;

/// One output, boxes and scores side by side.
pub(super) fn read_scores(grid: &Grid, output: &Tensor<'_>, into: &mut Vec<Candidate>) -> Result<(), DetectError> {
    for (row, values) in output.values.chunks_exact(columns(output)).enumerate() {
        let (sides, scores) = values.split_at(4);
        into.extend(query(grid, row, sides, scores, |score| score)?);
    }
    Ok(())
}

/// Two outputs, the second before its sigmoid.
pub(super) fn read_logits(grid: &Grid, boxes: &Tensor<'_>, logits: &Tensor<'_>, into: &mut Vec<Candidate>) -> Result<(), DetectError> {
    if boxes.shape[1] != logits.shape[1] {
        return Err(DetectError::Shape { found: format!("{} rows of logits", logits.shape[1]), expected: boxes.shape[1].to_string() });
    }
    let queries = boxes.values.chunks_exact(4).zip(logits.values.chunks_exact(columns(logits)));
    for (row, (sides, logits)) in queries.enumerate() {
        into.extend(query(grid, row, sides, logits, |logit| 1.0 / (1.0 + (-logit).exp()))?);
    }
    Ok(())
}

fn query(grid: &Grid, row: usize, sides: &[f32], scores: &[f32], squash: fn(f32) -> f32) -> Result<Option<Candidate>, DetectError> {
    if scores.iter().any(|score| score.is_nan()) {
        return Err(DetectError::NotANumber { row });
    }
    let Some((class, score)) = best(scores).map(|(class, score)| (class, squash(score))).filter(|(_, score)| *score >= grid.score) else {
        return Ok(None);
    };
    if !sides.iter().all(|side| side.is_finite()) {
        return Err(DetectError::NotANumber { row });
    }
    let (width, height) = (grid.width as f32, grid.height as f32);
    let bbox = centred(sides[0] * width, sides[1] * height, sides[2] * width, sides[3] * height);
    Ok(Some(Candidate { class, score, bbox, row }))
}
