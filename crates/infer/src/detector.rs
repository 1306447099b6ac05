//! The detector of `huong-vision` over an ONNX Runtime session.
//!
//! Invariant: one session on one thread. Two cores are kept busy by two workers, not by two threads in one inference, and a
//! batch of several frames gains nothing on a CPU.

use std::path::{Path, PathBuf};

use huong_types::{Detection, Name};
use huong_vision::{DetectError, Detector, InputSpec, Letterboxed, ModelId, YoloxHead};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorElementType, TensorRef};
use sha2::{Digest, Sha256};

use crate::runtime::environment;
use crate::{InferError, Layout, ModelManifest};

/// A checked model, ready to run.
#[derive(Debug)]
pub struct OnnxDetector {
    model: ModelId,
    input: InputSpec,
    session: Session,
    head: YoloxHead,
}

impl OnnxDetector {
    /// Reads a manifest, checks its model file by hash and the model's shapes by the manifest.
    ///
    /// # Errors
    /// When [`crate::load_runtime`] has not been called, a file is missing, or file, manifest and shapes do not agree.
    pub fn open(manifest: &Path) -> Result<Self, InferError> {
        let described = ModelManifest::read(manifest)?;
        let path = manifest.with_file_name(&described.file);
        let bytes = std::fs::read(&path).map_err(|reason| InferError::Read { what: "model file", path: path.clone(), reason })?;
        let found = hex(&Sha256::digest(&bytes));
        if found != described.sha256 {
            return Err(InferError::Hash { path, found, expected: described.sha256 });
        }
        let environment = environment().ok_or_else(|| InferError::RuntimeNotLoaded { path: path.clone() })?;
        // From the bytes that were hashed, not from the file again.
        let session = (|| {
            Session::builder(&environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_flush_to_zero()?
                .commit_from_memory(&bytes)
        })()
        .map_err(|error: ort::Error| InferError::Load { path: path.clone(), reason: error.to_string() })?;

        let input = described.input();
        let head = match described.layout {
            Layout::Yolox => {
                YoloxHead::new(described.labels, (input.width, input.height), described.thresholds.score, described.thresholds.nms)
            }
        };
        check_tensor(&path, "input", session.inputs(), [1, 3, i64::from(input.height), i64::from(input.width)])?;
        check_tensor(&path, "output", session.outputs(), [1, head.rows() as i64, head.columns() as i64])?;
        Ok(Self { model: ModelId { name: described.name, sha256: found.into() }, input, session, head })
    }
}

impl Detector for OnnxDetector {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn input(&self) -> InputSpec {
        self.input
    }

    fn labels(&self) -> &[Name] {
        self.head.labels()
    }

    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
        let run = |error: ort::Error| DetectError::Run(error.to_string());
        let shape = [1, 3, self.input.height as usize, self.input.width as usize];
        let input = TensorRef::from_array_view((shape, &image.pixels[..])).map_err(run)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(run)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(run)?;
        self.head.decode(values, &image.geometry)
    }
}

/// Exactly one tensor of 32-bit floats and of this shape; a dimension that the model leaves open fits.
fn check_tensor<const N: usize>(path: &Path, what: &'static str, tensors: &[Outlet], expected: [i64; N]) -> Result<(), InferError> {
    let fits = |tensor: &Outlet| {
        let shape = tensor.dtype().tensor_shape();
        tensor.dtype().tensor_type() == Some(TensorElementType::Float32)
            && shape.is_some_and(|shape| {
                shape.len() == N && shape.iter().zip(&expected).all(|(found, expected)| *found == -1 || found == expected)
            })
    };
    if let [only] = tensors
        && fits(only)
    {
        return Ok(());
    }
    let found: Vec<String> = tensors.iter().map(|tensor| format!("{} {}", tensor.name(), tensor.dtype())).collect();
    Err(InferError::Shape {
        path: PathBuf::from(path),
        what,
        found: format!("[{}]", found.join(", ")),
        expected: format!("one tensor of f32 {expected:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
