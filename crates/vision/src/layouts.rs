//! Boxes out of the outputs of detectors, by the layouts that the common families of models have.
//!
//! Invariant: an output of another shape, or one that is not a number where it counts, is an error; every box given lies inside the
//! frame. Where a layout does not fix the number of boxes, the model does.

mod detr;
mod plate_corners;
mod yolov10;
mod yolov5;
mod yolov8;
mod yolox;

use huong_types::{BoundingBox, Detection, Name};

use crate::nms::{Candidate, suppress};
use crate::{DetectError, InputSpec, Letterbox};

pub use plate_corners::PlateHead;

/// How boxes stand in a model's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// YOLOX as exported without decoding: `[1, cells, 5 + labels]`.
    Yolox,
    /// YOLOv5 and v7: `[1, boxes, 5 + labels]`, in pixels.
    Yolov5,
    /// YOLOv8, v9, 11 and 12: `[1, 4 + labels, boxes]`, in pixels.
    Yolov8,
    /// YOLOv10, and others exported with their suppression inside: `[1, boxes, 6]`.
    Yolov10,
    /// RT-DETR: `[1, boxes, 4 + labels]` with scores, or boxes `[1, boxes, 4]` and logits `[1, boxes, labels]`; boxes 0 to 1.
    RtDetr,
}

/// One output of one run.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    pub shape: &'a [i64],
    pub values: &'a [f32],
}

/// Decodes the outputs of one model; keeps its buffers.
#[derive(Debug)]
pub struct Head {
    layout: Layout,
    labels: Vec<Name>,
    /// The picture's sides when the model takes one size only.
    size: Option<(u32, u32)>,
    score: f32,
    iou: f32,
    candidates: Vec<Candidate>,
}

/// What every layout needs to know.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Of the input, in pixels.
    width: u32,
    height: u32,
    labels: usize,
    /// Boxes below it are dropped.
    score: f32,
}

/// Sizes of a tensor; `None` is any.
type Shape = [Option<i64>; 3];

impl Head {
    /// For pictures of `input`, all sides multiples of 32. Boxes below `score` are dropped; of two boxes of one
    /// label that overlap by more than `iou`, the lesser. Models that suppress for themselves take an `iou` of 1.
    pub fn new(layout: Layout, labels: Vec<Name>, input: InputSpec, score: f32, iou: f32) -> Self {
        let size = input.step.is_none().then_some((input.width, input.height));
        Self { layout, labels, size, score, iou, candidates: Vec::new() }
    }

    pub fn labels(&self) -> &[Name] {
        &self.labels
    }

    /// Whether outputs of these shapes can be decoded; a size of -1 is open until the model runs. Of two outputs the boxes come first.
    ///
    /// # Errors
    /// [`DetectError::Shape`] with what was found and expected.
    pub fn check(&self, found: &[&[i64]]) -> Result<(), DetectError> {
        check(&self.shapes(self.size), found)
    }

    /// The objects in pixels of the full frame, best first.
    ///
    /// # Errors
    /// When the outputs are not of the expected shapes, or not all numbers where it counts.
    pub fn decode(&mut self, outputs: &[Tensor<'_>], geometry: &Letterbox) -> Result<Vec<Detection>, DetectError> {
        check_values(outputs)?;
        check(&self.shapes(Some(geometry.input)), &outputs.iter().map(|output| output.shape).collect::<Vec<_>>())?;
        self.candidates.clear();
        let (width, height) = geometry.input;
        let grid = Grid { width, height, labels: self.labels.len(), score: self.score };
        let into = &mut self.candidates;
        match (self.layout, outputs) {
            (Layout::Yolox, [output]) => yolox::read(&grid, output, into)?,
            (Layout::Yolov5, [output]) => yolov5::read(&grid, output, into)?,
            (Layout::Yolov8, [output]) => yolov8::read(&grid, output, into)?,
            (Layout::Yolov10, [output]) => yolov10::read(&grid, output, into)?,
            (Layout::RtDetr, [output]) => detr::read_scores(&grid, output, into)?,
            (Layout::RtDetr, [boxes, logits]) => detr::read_logits(&grid, boxes, logits, into)?,
            // `check` lets no other number of outputs through.
            _ => {}
        }
        suppress(&mut self.candidates, self.iou);
        let detection = |c: &Candidate| {
            let bbox = geometry.to_frame(&c.bbox)?;
            Some(Detection { label: self.labels[c.class].clone(), score: c.score.min(1.0), bbox })
        };
        Ok(self.candidates.iter().filter_map(detection).collect())
    }

    /// The outputs of a picture of `size` that can be decoded: any of these lists.
    fn shapes(&self, size: Option<(u32, u32)>) -> Vec<Vec<Shape>> {
        let labels = self.labels.len() as i64;
        let one = |boxes, columns| vec![[Some(1), boxes, columns]];
        match self.layout {
            Layout::Yolox => vec![one(size.map(|size| yolox::cells(size) as i64), Some(5 + labels))],
            Layout::Yolov5 => vec![one(None, Some(5 + labels))],
            Layout::Yolov8 => vec![one(Some(4 + labels), None)],
            Layout::Yolov10 => vec![one(None, Some(6))],
            Layout::RtDetr => vec![one(None, Some(4 + labels)), [one(None, Some(4)), one(None, Some(labels))].concat()],
        }
    }
}

/// Whether outputs of the shapes `found` are one of `alternatives`.
fn check(alternatives: &[Vec<Shape>], found: &[&[i64]]) -> Result<(), DetectError> {
    let fits = |shapes: &Vec<Shape>| {
        shapes.len() == found.len()
            && shapes.iter().zip(found).all(|(shape, found)| {
                let near = |(expected, found): (&Option<i64>, &i64)| *found == -1 || expected.is_none_or(|expected| expected == *found);
                found.len() == shape.len() && shape.iter().zip(found.iter()).all(near)
            })
    };
    if alternatives.iter().any(fits) {
        return Ok(());
    }
    let side = |side: &Option<i64>| side.map_or_else(|| "?".to_owned(), |side| side.to_string());
    let shape = |shape: &Shape| format!("[{}]", shape.iter().map(side).collect::<Vec<_>>().join(", "));
    let outputs = |shapes: &Vec<Shape>| shapes.iter().map(shape).collect::<Vec<_>>().join(" and ");
    let found: Vec<String> = found.iter().map(|found| format!("{found:?}")).collect();
    Err(DetectError::Shape {
        found: if found.is_empty() { "nothing".to_owned() } else { found.join(" and ") },
        expected: alternatives.iter().map(outputs).collect::<Vec<_>>().join(", or "),
    })
}

/// Whether each output has as many values as its shape says.
fn check_values(outputs: &[Tensor<'_>]) -> Result<(), DetectError> {
    for output in outputs {
        let expected = output.shape.iter().product::<i64>();
        if output.values.len() as i64 != expected {
            return Err(DetectError::Shape { found: format!("{} values", output.values.len()), expected: expected.to_string() });
        }
    }
    Ok(())
}

/// Columns of an output whose last side they are.
fn columns(output: &Tensor<'_>) -> usize {
    output.shape.last().map_or(0, |side| *side as usize)
}

/// The best of a row's scores, the first of equals.
fn best(scores: &[f32]) -> Option<(usize, f32)> {
    scores.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}

/// A box by its centre and size.
fn centred(cx: f32, cy: f32, width: f32, height: f32) -> BoundingBox {
    BoundingBox { x: cx - width / 2.0, y: cy - height / 2.0, width, height }
}

#[cfg(test)]
mod tests;
