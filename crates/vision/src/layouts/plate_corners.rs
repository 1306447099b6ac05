//! Plates with their corners: per cell of 8 by 8 pixels `score, x0, y0, x1, y1` and four corners `x, y` from the top left clockwise,
//! everything decoded, in pixels of the input (`models/plates.md`).
//!
//! Invariant: of two plates whose boxes overlap by more than `iou` the lesser is dropped; corners may lie outside the frame.

use huong_types::BoundingBox;

use super::Tensor;
use crate::nms::{Candidate, suppress};
use crate::{DetectError, FoundPlate, Letterbox};

const COLUMNS: usize = 13;

/// Decodes the output of a plate finder; keeps its buffers.
#[derive(Debug)]
pub struct PlateHead {
    score: f32,
    iou: f32,
    candidates: Vec<Candidate>,
}

impl PlateHead {
    /// Plates below `score` are dropped, where [`PlateHead::decode`] is not told otherwise.
    pub fn new(score: f32, iou: f32) -> Self {
        Self { score, iou, candidates: Vec::new() }
    }

    /// As [`crate::Head::check`].
    ///
    /// # Errors
    /// [`DetectError::Shape`] with what was found and expected.
    pub fn check(&self, found: &[&[i64]]) -> Result<(), DetectError> {
        super::check(&[vec![[Some(1), None, Some(COLUMNS as i64)]]], found)
    }

    /// The plates in pixels of the frame, best first.
    ///
    /// # Errors
    /// When the output is of another shape, or not all numbers where it counts.
    pub fn decode(&mut self, outputs: &[Tensor<'_>], geometry: &Letterbox, least: Option<f32>) -> Result<Vec<FoundPlate>, DetectError> {
        let least = least.unwrap_or(self.score);
        super::check_values(outputs)?;
        self.check(&outputs.iter().map(|output| output.shape).collect::<Vec<_>>())?;
        let values = outputs.first().map_or(&[][..], |output| output.values);
        self.candidates.clear();
        for (row, values) in values.chunks_exact(COLUMNS).enumerate() {
            if values[0].is_nan() {
                return Err(DetectError::NotANumber { row });
            }
            if values[0] < least {
                continue;
            }
            if !values.iter().all(|value| value.is_finite()) {
                return Err(DetectError::NotANumber { row });
            }
            let bbox = BoundingBox { x: values[1], y: values[2], width: values[3] - values[1], height: values[4] - values[2] };
            self.candidates.push(Candidate { class: 0, score: values[0], bbox, row });
        }
        suppress(&mut self.candidates, self.iou);
        let plate = |c: &Candidate| {
            let at = |i: usize| values[c.row * COLUMNS + i];
            let corner = |i: usize| geometry.point_to_frame((at(5 + 2 * i), at(6 + 2 * i)));
            let bbox = geometry.to_frame(&c.bbox)?;
            Some(FoundPlate { score: c.score.min(1.0), bbox, corners: [corner(0), corner(1), corner(2), corner(3)] })
        };
        Ok(self.candidates.iter().filter_map(plate).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelOrder, InputSpec};

    const SPEC: InputSpec = InputSpec { width: 64, height: 32, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114, step: None };
    const PLATE: [f32; COLUMNS] = [0.8, 10.0, 8.0, 30.0, 16.0, 9.0, 9.0, 29.0, 7.0, 31.0, 15.0, 11.0, 17.0];

    fn decode(rows: &[[f32; COLUMNS]]) -> Result<Vec<FoundPlate>, DetectError> {
        let values = rows.concat();
        let shape = [1, rows.len() as i64, COLUMNS as i64];
        PlateHead::new(0.4, 0.45).decode(&[Tensor { shape: &shape, values: &values }], &Letterbox::fit((128, 64), &SPEC), None)
    }

    #[test]
    fn box_and_corners_are_in_pixels_of_the_frame() {
        let mut weaker = PLATE;
        (weaker[0], weaker[1]) = (0.7, 11.0);
        let mut faint = PLATE;
        faint[0] = 0.39;
        let edge = [0.5, -4.0, 20.0, 6.0, 30.0, -5.0, 20.0, 6.0, 20.0, 6.0, 30.0, -5.0, 30.0];
        let found = decode(&[weaker, PLATE, faint, edge]).expect("well formed");
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].score, 0.8);
        assert_eq!(found[0].bbox, BoundingBox { x: 20.0, y: 16.0, width: 40.0, height: 16.0 });
        assert_eq!(found[0].corners, [(18.0, 18.0), (58.0, 14.0), (62.0, 30.0), (22.0, 34.0)]);
        assert_eq!(found[1].bbox, BoundingBox { x: 0.0, y: 40.0, width: 12.0, height: 20.0 }, "boxes are cut at the frame");
        assert_eq!(found[1].corners[0], (-10.0, 40.0), "corners are not");
    }

    #[test]
    fn nonsense_is_an_error() {
        for at in [0, 3, 12] {
            let mut broken = PLATE;
            broken[at] = f32::NAN;
            assert!(matches!(decode(&[PLATE, broken]), Err(DetectError::NotANumber { row: 1 })), "{at}");
        }
        let error = PlateHead::new(0.4, 0.45).check(&[&[1, 2304, 5]]).expect_err("no corners").to_string();
        assert!(error.ends_with("found [1, 2304, 5], expected [1, ?, 13]"), "{error}");
    }
}
