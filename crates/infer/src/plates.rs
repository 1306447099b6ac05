//! The plate finder and the plate reader of `huong-vision` over ONNX Runtime sessions.
//!
//! Invariant: nothing here decides what a plate says: the reader's probabilities go on as they are.

use std::path::Path;

use huong_vision::{
    Ctc, DetectError, FoundPlate, InputSpec, Letterboxed, ModelId, PlateFinder, PlateHead, PlateImage, PlateReader, PlateRows, PlateSight,
};

use crate::model::Model;
use crate::{InferError, Layout, ModelManifest, Provider};

/// A checked plate finder, of the layout `plate-corners`.
#[derive(Debug)]
pub struct OnnxPlateFinder {
    model: Model,
    head: PlateHead,
}

/// A checked plate reader, of the layout `plate-ctc`.
#[derive(Debug)]
pub struct OnnxPlateReader {
    model: Model,
    alphabet: Vec<u8>,
}

impl OnnxPlateFinder {
    /// # Errors
    /// As [`crate::OnnxDetector::open`].
    pub fn open(manifest: &Path, provider: Provider) -> Result<Self, InferError> {
        let described = ModelManifest::read(manifest)?;
        if described.layout != Layout::PlateCorners {
            return Err(described.not_a(manifest, "`plate-corners`"));
        }
        let model = Model::open(manifest, &described, provider)?;
        let head = PlateHead::new(described.thresholds.score, described.thresholds.nms.unwrap_or(1.0));
        model.check_outputs(|shapes| head.check(shapes))?;
        Ok(Self { model, head })
    }
}

impl PlateFinder for OnnxPlateFinder {
    fn model(&self) -> &ModelId {
        &self.model.id
    }

    fn input(&self) -> InputSpec {
        self.model.input
    }

    fn find(&mut self, image: &Letterboxed, least: Option<f32>) -> Result<Vec<FoundPlate>, DetectError> {
        self.model.run(&image.pixels, image.geometry.input, |outputs| self.head.decode(outputs, &image.geometry, least))
    }
}

impl OnnxPlateReader {
    /// # Errors
    /// As [`crate::OnnxDetector::open`].
    pub fn open(manifest: &Path, provider: Provider) -> Result<Self, InferError> {
        let described = ModelManifest::read(manifest)?;
        if described.layout != Layout::PlateCtc {
            return Err(described.not_a(manifest, "`plate-ctc`"));
        }
        let mut model = Model::open(manifest, &described, provider)?;
        model.order_by(|output| usize::from(output.name() == "two_lines"));
        let alphabet: Vec<u8> = described.labels.iter().filter_map(|label| label.bytes().next()).collect();
        model.check_outputs(|shapes| check(&alphabet, shapes))?;
        Ok(Self { model, alphabet })
    }
}

impl PlateReader for OnnxPlateReader {
    fn model(&self) -> &ModelId {
        &self.model.id
    }

    fn input(&self) -> InputSpec {
        self.model.input
    }

    fn rows(&self) -> PlateRows {
        PlateRows::Whole
    }

    fn alphabet(&self) -> &[u8] {
        &self.alphabet
    }

    fn read(&mut self, plate: &PlateImage) -> Result<PlateSight, DetectError> {
        let alphabet = &self.alphabet;
        let size = (self.model.input.width, self.model.input.height);
        self.model.run(&plate.pixels, size, |outputs| {
            check(alphabet, &outputs.iter().map(|output| output.shape).collect::<Vec<_>>())?;
            let characters = outputs.first().map_or_else(Vec::new, |output| output.values.to_vec());
            let two_lines = outputs.get(1).and_then(|output| output.values.first().copied());
            if two_lines.is_some_and(f32::is_nan) {
                return Err(DetectError::NotANumber { row: 0 });
            }
            Ok(PlateSight { ctc: Ctc::new(characters, 1 + alphabet.len())?, two_lines })
        })
    }
}

/// Steps of a blank and the alphabet; beside them, of a model that tells, the probability of two lines.
fn check(alphabet: &[u8], shapes: &[&[i64]]) -> Result<(), DetectError> {
    let columns = 1 + alphabet.len() as i64;
    let near = |found: i64, expected: i64| found == -1 || found == expected;
    let fits = match shapes {
        [[batch, _, found], rest @ ..] => {
            near(*batch, 1) && near(*found, columns) && rest.len() < 2 && rest.iter().all(|shape| shape.iter().all(|side| near(*side, 1)))
        }
        _ => false,
    };
    let found: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
    let expected = || format!("[1, ?, {columns}], and [1, 1] of a model that tells two lines");
    if fits { Ok(()) } else { Err(DetectError::Shape { found: found.join(" and "), expected: expected() }) }
}
