//! Boxes out of a YOLOX head.
//!
//! The output is `[rows, 5 + classes]`: per cell of three grids (strides 8, 16, 32; each row by row from the top left) the raw
//! `ox, oy, ow, oh` and, already through a sigmoid, objectness and one score a class. Then (Ge et al., "YOLOX: Exceeding YOLO
//! Series in 2021", section 2.1): centre = (o + cell) · stride, size = exp(o) · stride, score = objectness · class score.
//!
//! Invariant: an output that is not a number is an error; every box given lies inside the frame.

use huong_types::{BoundingBox, Detection, Name};

use crate::nms::{Candidate, suppress};
use crate::{DetectError, Letterbox};

/// Decodes the output of one model; keeps its buffers.
#[derive(Debug)]
pub struct YoloxHead {
    labels: Vec<Name>,
    width: u32,
    height: u32,
    score: f32,
    iou: f32,
    candidates: Vec<Candidate>,
}

impl YoloxHead {
    pub const STRIDES: [u32; 3] = [8, 16, 32];

    /// For an input of `width` by `height` pixels, both multiples of 32. Boxes below `score` are dropped; of two boxes of one
    /// label that overlap by more than `iou`, the lesser.
    pub fn new(labels: Vec<Name>, (width, height): (u32, u32), score: f32, iou: f32) -> Self {
        Self { labels, width, height, score, iou, candidates: Vec::new() }
    }

    pub fn labels(&self) -> &[Name] {
        &self.labels
    }

    /// Rows of the output: the cells of all grids.
    pub fn rows(&self) -> usize {
        Self::STRIDES.iter().map(|stride| (self.width / stride) as usize * (self.height / stride) as usize).sum()
    }

    /// Columns of the output.
    pub fn columns(&self) -> usize {
        5 + self.labels.len()
    }

    /// The objects in pixels of the full frame, best first.
    ///
    /// # Errors
    /// When `output` is not of the expected length, or not all numbers where it counts.
    pub fn decode(&mut self, output: &[f32], geometry: &Letterbox) -> Result<Vec<Detection>, DetectError> {
        let (rows, columns) = (self.rows(), self.columns());
        if output.len() != rows * columns {
            return Err(DetectError::Shape { found: format!("{} values", output.len()), expected: format!("{rows} rows of {columns}") });
        }
        self.candidates.clear();
        let grids = Self::STRIDES.iter().flat_map(|&stride| {
            let (across, down) = (self.width / stride, self.height / stride);
            (0..down).flat_map(move |y| (0..across).map(move |x| (x as f32, y as f32, stride as f32)))
        });
        for (row, (values, (x, y, stride))) in output.chunks_exact(columns).zip(grids).enumerate() {
            let objectness = values[4];
            if objectness.is_nan() {
                return Err(DetectError::NotANumber { row });
            }
            // No class score is above 1, so this row cannot pass: nearly all end here.
            if objectness < self.score {
                continue;
            }
            let Some((class, best)) = values[5..].iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))) else {
                continue;
            };
            if !values.iter().all(|value| value.is_finite()) {
                return Err(DetectError::NotANumber { row });
            }
            let score = objectness * best;
            if score < self.score {
                continue;
            }
            let (width, height) = (values[2].exp() * stride, values[3].exp() * stride);
            let (cx, cy) = ((values[0] + x) * stride, (values[1] + y) * stride);
            let bbox = BoundingBox { x: cx - width / 2.0, y: cy - height / 2.0, width, height };
            self.candidates.push(Candidate { class, score, bbox, row });
        }
        suppress(&mut self.candidates, self.iou);
        let detection = |c: &Candidate| {
            let bbox = geometry.to_frame(&c.bbox)?;
            Some(Detection { label: self.labels[c.class].clone(), score: c.score.min(1.0), bbox })
        };
        Ok(self.candidates.iter().filter_map(detection).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ChannelOrder, InputSpec};

    const SPEC: InputSpec = InputSpec { width: 64, height: 32, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114 };
    // 8·4 cells of stride 8, 4·2 of 16, 2·1 of 32.
    const ROWS: usize = 42;

    fn head(score: f32) -> YoloxHead {
        YoloxHead::new(vec!["car".into(), "bus".into()], (SPEC.width, SPEC.height), score, 0.45)
    }

    fn output(rows: &[(usize, [f32; 7])]) -> Vec<f32> {
        let mut output = vec![0.0; ROWS * 7];
        for (row, values) in rows {
            output[row * 7..row * 7 + 7].copy_from_slice(values);
        }
        output
    }

    #[test]
    fn boxes_are_where_the_paper_says() {
        let mut head = head(0.3);
        assert_eq!((head.rows(), head.columns()), (ROWS, 7));
        // Row 11 is cell (3, 1) of stride 8: centre ((0.5+3)·8, (0.25+1)·8) = (28, 10), size (8, e^0.5·8).
        // Row 32+5 is cell (1, 1) of stride 16: centre (1·16, 1·16), size (16, 16).
        // Row 41 is cell (1, 0) of stride 32: centre ((0+1)·32, (0.5+0)·32), size (e·32, 32), cut at the frame's right edge.
        let half = 0.5f32.exp() * 8.0;
        let output = output(&[
            (11, [0.5, 0.25, 0.0, 0.5, 0.9, 0.2, 0.8]),
            (37, [0.0, 0.0, 0.0, 0.0, 0.6, 0.7, 0.1]),
            (41, [0.0, 0.5, 1.0, 0.0, 1.0, 0.5, 0.4]),
        ]);
        // A frame twice the size of the input.
        let found = head.decode(&output, &Letterbox::fit((128, 64), &SPEC)).expect("well formed");
        let near = |found: &Detection, label: &str, score: f32, expected: [f32; 4]| {
            assert_eq!(found.label, *label);
            let b = found.bbox;
            for (found, expected) in [found.score, b.x, b.y, b.width, b.height].into_iter().zip([&[score][..], &expected].concat()) {
                assert!((found - expected).abs() < 1e-3, "{label}: found {found}, expected {expected}");
            }
        };
        assert_eq!(found.len(), 3);
        near(&found[0], "bus", 0.72, [48.0, 20.0 - half, 16.0, 2.0 * half]);
        let left = 64.0 - std::f32::consts::E * 32.0;
        near(&found[1], "car", 0.5, [left.max(0.0), 0.0, 128.0 - left.max(0.0), 64.0]);
        near(&found[2], "car", 0.42, [16.0, 16.0, 32.0, 32.0]);
    }

    #[test]
    fn low_scores_are_dropped_and_overlaps_suppressed() {
        let output = output(&[
            (0, [0.0, 0.0, 1.0, 1.0, 0.9, 0.9, 0.0]),
            (1, [-1.0, 0.0, 1.0, 1.0, 0.8, 0.9, 0.0]),
            (20, [0.0, 0.0, 0.0, 0.0, 0.9, 0.1, 0.2]),
        ]);
        let geometry = Letterbox::fit((64, 32), &SPEC);
        let found = head(0.3).decode(&output, &geometry).expect("well formed");
        assert_eq!(found.len(), 1, "the same place twice, and a box of score 0.18: {found:?}");
        assert_eq!(head(0.1).decode(&output, &geometry).expect("well formed").len(), 2);
    }

    #[test]
    fn nonsense_is_an_error_never_an_empty_picture() {
        let geometry = Letterbox::fit((64, 32), &SPEC);
        let mut broken = output(&[]);
        broken[7 * 3 + 4] = f32::NAN;
        assert!(matches!(head(0.3).decode(&broken, &geometry), Err(DetectError::NotANumber { row: 3 })));
        let broken = output(&[(8, [0.0, 0.0, 0.0, f32::INFINITY, 0.9, 0.9, 0.0])]);
        assert!(matches!(head(0.3).decode(&broken, &geometry), Err(DetectError::NotANumber { row: 8 })));
        let error = head(0.3).decode(&output(&[])[1..], &geometry).expect_err("a value is missing");
        assert_eq!(
            error.to_string(),
            "the model's output has another shape than its manifest says: found 293 values, expected 42 rows of 7"
        );
    }

    proptest! {
        #[test]
        fn every_box_lies_in_the_frame(
            (w, h) in (1u32..3000, 1u32..3000), rows in prop::collection::vec((0usize..ROWS, prop::array::uniform4(-100.0f32..100.0)), 0..20),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(row, o)| (row, [o[0], o[1], o[2], o[3], 1.0, 0.9, 0.5])).collect();
            let found = head(0.3).decode(&output(&rows), &Letterbox::fit((w, h), &SPEC)).expect("all numbers");
            for Detection { bbox: b, .. } in found {
                prop_assert!(b.x >= 0.0 && b.y >= 0.0 && b.width > 0.0 && b.height > 0.0);
                prop_assert!(b.x + b.width <= w as f32 * 1.0001 && b.y + b.height <= h as f32 * 1.0001, "{:?} in {}x{}", b, w, h);
            }
        }
    }
}
