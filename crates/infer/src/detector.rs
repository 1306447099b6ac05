//! The detector of `huong-vision` over an ONNX Runtime session, for every layout of boxes.
//!
//! Invariant: what opens has the shapes and as many labels as its manifest says; sizes that the model leaves open are checked at
//! every run.

use std::path::Path;

use huong_types::{Detection, Name};
use huong_vision::{DetectError, Detector, Head, InputSpec, Letterboxed, ModelId};

use crate::model::Model;
use crate::{InferError, ModelManifest, Provider};

/// A checked detector, ready to run.
#[derive(Debug)]
pub struct OnnxDetector {
    model: Model,
    head: Head,
}

impl OnnxDetector {
    /// Reads a manifest, checks its model file by hash and the model's shapes by the manifest.
    ///
    /// # Errors
    /// When [`crate::load_runtime`] has not been called, a file is missing, or file, manifest and shapes do not agree.
    pub fn open(manifest: &Path, provider: Provider) -> Result<Self, InferError> {
        let described = ModelManifest::read(manifest)?;
        let layout = described.layout.boxes().ok_or_else(|| described.not_a(manifest, "a layout of boxes"))?;
        let mut model = Model::open(manifest, &described, provider)?;
        // Exports that give boxes and scores apart give them in either order, under names such as `pred_boxes` and `logits`.
        model.order_by(|output| usize::from(!output.name().contains("box")));
        let head = Head::new(layout, described.labels, model.input, described.thresholds.score, described.thresholds.nms.unwrap_or(1.0));
        model.check_outputs(|shapes| head.check(shapes))?;
        Ok(Self { model, head })
    }
}

impl Detector for OnnxDetector {
    fn model(&self) -> &ModelId {
        &self.model.id
    }

    fn input(&self) -> InputSpec {
        self.model.input
    }

    fn labels(&self) -> &[Name] {
        self.head.labels()
    }

    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
        self.model.run(&image.pixels, image.geometry.input, |outputs| self.head.decode(outputs, &image.geometry))
    }
}
