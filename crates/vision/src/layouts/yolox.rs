//! YOLOX: per cell of three grids (strides 8, 16, 32; each row by row from the top left) the raw `ox, oy, ow, oh` and, already
//! through a sigmoid, objectness and one score a label. Then (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", section 2.1):
//! centre = (o + cell) · stride, size = exp(o) · stride, score = objectness · label's score.
//!
//! Invariant: rows that cannot pass cost one comparison: nearly all are such.

use super::{Grid, Tensor, centred, columns};
use crate::DetectError;
use crate::nms::Candidate;

const STRIDES: [u32; 3] = [8, 16, 32];

/// The cells of all grids over a picture of so many pixels.
pub(super) fn cells((width, height): (u32, u32)) -> usize {
    STRIDES.iter().map(|stride| (width / stride) as usize * (height / stride) as usize).sum()
}

pub(super) fn read(grid: &Grid, output: &Tensor<'_>, into: &mut Vec<Candidate>) -> Result<(), DetectError> {
    let cells = STRIDES.iter().flat_map(|&stride| {
        let (across, down) = (grid.width / stride, grid.height / stride);
        (0..down).flat_map(move |y| (0..across).map(move |x| (x as f32, y as f32, stride as f32)))
    });
    for (row, (values, (x, y, stride))) in output.values.chunks_exact(columns(output)).zip(cells).enumerate() {
        let Some((class, score)) = super::yolov5::scored(grid, values, row)? else { continue };
        let (width, height) = (values[2].exp() * stride, values[3].exp() * stride);
        let bbox = centred((values[0] + x) * stride, (values[1] + y) * stride, width, height);
        into.push(Candidate { class, score, bbox, row });
    }
    Ok(())
}
