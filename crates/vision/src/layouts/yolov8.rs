//! YOLOv8 and its kin as `yolo export format=onnx` writes them: one column a box, in it `cx, cy, w, h` in pixels of the input and one
//! score a label, through a sigmoid. There is no objectness.
//!
//! Invariant: rows are read from end to end, as they lie in memory.

use super::{Grid, Tensor, centred, columns};
use crate::DetectError;
use crate::nms::Candidate;

pub(super) fn read(grid: &Grid, output: &Tensor<'_>, into: &mut Vec<Candidate>) -> Result<(), DetectError> {
    let boxes = columns(output);
    if boxes == 0 {
        return Ok(());
    }
    let mut rows = output.values.chunks_exact(boxes);
    let [Some(cx), Some(cy), Some(width), Some(height)] = [rows.next(), rows.next(), rows.next(), rows.next()] else { return Ok(()) };
    let mut scores: Vec<(usize, f32)> = vec![(0, f32::NEG_INFINITY); boxes];
    for (class, row) in rows.enumerate() {
        for (column, (best, score)) in scores.iter_mut().zip(row).enumerate() {
            if score.is_nan() {
                return Err(DetectError::NotANumber { row: column });
            }
            if *score > best.1 {
                *best = (class, *score);
            }
        }
    }
    for (row, (class, score)) in scores.into_iter().enumerate().filter(|(_, (_, score))| *score >= grid.score) {
        if ![score, cx[row], cy[row], width[row], height[row]].iter().all(|value| value.is_finite()) {
            return Err(DetectError::NotANumber { row });
        }
        into.push(Candidate { class, score, bbox: centred(cx[row], cy[row], width[row], height[row]), row });
    }
    Ok(())
}
