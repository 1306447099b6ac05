//! A model file in a session: read, checked by its hash, and of one input picture.
//!
//! Invariant: one session on one thread. Two cores are kept busy by two workers, not by two threads in one inference, and a batch of
//! several frames gains nothing on a CPU.

use std::path::{Path, PathBuf};

use huong_vision::{DetectError, InputSpec, ModelId, Tensor};
use ort::memory::DeviceType;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorElementType, TensorRef};
use sha2::{Digest, Sha256};

use crate::runtime::{OPENVINO, environment};
use crate::{InferError, ModelManifest, Provider};

/// One thread, and bf16 where the processor has it: half the time at scores that differ in the third digit.
const OPENVINO_CONFIG: &str = r#"{"CPU":{"INFERENCE_PRECISION_HINT":"bf16","INFERENCE_NUM_THREADS":"1","NUM_STREAMS":"1"}}"#;

/// A checked model, ready to run.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: ModelId,
    pub(crate) input: InputSpec,
    path: PathBuf,
    session: Session,
    /// Positions of the outputs in the order in which they are read.
    order: Vec<usize>,
}

impl Model {
    /// Opens the file beside the manifest at `manifest`, whose content is `described`.
    pub(crate) fn open(manifest: &Path, described: &ModelManifest, provider: Provider) -> Result<Self, InferError> {
        let path = manifest.with_file_name(&described.file);
        let bytes = std::fs::read(&path).map_err(|reason| InferError::Read { what: "model file", path: path.clone(), reason })?;
        let found = hex(&Sha256::digest(&bytes));
        if found != described.sha256 {
            return Err(InferError::Hash { path, found, expected: described.sha256.clone() });
        }
        let environment = environment().ok_or_else(|| InferError::RuntimeNotLoaded { path: path.clone() })?;
        // From the bytes that were hashed, not from the file again.
        let session = (|| {
            let builder = Session::builder(&environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_flush_to_zero()?;
            let mut builder = match provider {
                Provider::Cpu => builder,
                Provider::Openvino => {
                    let ours = |device: &ort::device::Device<'_>| {
                        device.ep().is_ok_and(|ep| ep == OPENVINO) && device.hardware_device().ty() == DeviceType::CPU
                    };
                    let options = [(format!("{OPENVINO}.load_config"), OPENVINO_CONFIG.to_owned())];
                    builder.with_devices(environment.devices().filter(ours).take(1), Some(&options))?
                }
            };
            builder.commit_from_memory(&bytes)
        })()
        .map_err(|error: ort::Error| InferError::Load { path: path.clone(), reason: error.to_string() })?;
        let input = described.input();
        check_input(&path, session.inputs(), &input)?;
        let order = (0..session.outputs().len()).collect();
        Ok(Self { id: ModelId { name: described.name.clone(), sha256: found.into() }, input, path, session, order })
    }

    /// Reads outputs in the order of `rank`, those of equal rank as the model has them.
    pub(crate) fn order_by(&mut self, rank: impl Fn(&Outlet) -> usize) {
        let outputs = self.session.outputs();
        self.order.sort_by_key(|i| rank(&outputs[*i]));
    }

    /// The shapes of the outputs in their order, checked by `check`; a size of -1 is open.
    pub(crate) fn check_outputs(&self, check: impl FnOnce(&[&[i64]]) -> Result<(), DetectError>) -> Result<(), InferError> {
        let wrong = |found: String, expected: String| InferError::Shape { path: self.path.clone(), what: "output", found, expected };
        let outputs = self.session.outputs();
        let mut shapes: Vec<&[i64]> = Vec::new();
        for output in self.order.iter().map(|i| &outputs[*i]) {
            match output.dtype().tensor_shape().filter(|_| output.dtype().tensor_type() == Some(TensorElementType::Float32)) {
                Some(shape) => shapes.push(shape),
                None => return Err(wrong(described(outputs), "tensors of f32".to_owned())),
            }
        }
        check(&shapes).map_err(|error| match error {
            DetectError::Shape { found, expected } => wrong(found, format!("f32 {expected}")),
            other => wrong(other.to_string(), "an output that can be decoded".to_owned()),
        })
    }

    /// One inference over a picture of `width` by `height` pixels; `read` sees the outputs in their order.
    pub(crate) fn run<T>(
        &mut self,
        pixels: &[f32],
        (width, height): (u32, u32),
        read: impl FnOnce(&[Tensor<'_>]) -> Result<T, DetectError>,
    ) -> Result<T, DetectError> {
        let run = |error: ort::Error| DetectError::Run(error.to_string());
        let shape = [1, 3, height as usize, width as usize];
        let input = TensorRef::from_array_view((shape, pixels)).map_err(run)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(run)?;
        let mut tensors = Vec::new();
        for i in &self.order {
            let (shape, values) = outputs[*i].try_extract_tensor::<f32>().map_err(run)?;
            tensors.push(Tensor { shape, values });
        }
        read(&tensors)
    }
}

/// Exactly one picture of 32-bit floats; a size that the model leaves open fits, and must be open when the manifest says so.
fn check_input(path: &Path, inputs: &[Outlet], spec: &InputSpec) -> Result<(), InferError> {
    let side = |side: u32| if spec.step.is_some() { -1 } else { i64::from(side) };
    let expected = [1, 3, side(spec.height), side(spec.width)];
    let fits = |tensor: &Outlet| {
        let shape = tensor.dtype().tensor_shape();
        tensor.dtype().tensor_type() == Some(TensorElementType::Float32)
            && shape.is_some_and(|shape| {
                shape.len() == 4 && shape.iter().zip(&expected).all(|(found, expected)| *found == -1 || found == expected)
            })
    };
    if let [only] = inputs
        && fits(only)
    {
        return Ok(());
    }
    let expected = format!("one tensor of f32 {expected:?}");
    Err(InferError::Shape { path: PathBuf::from(path), what: "input", found: described(inputs), expected })
}

fn described(tensors: &[Outlet]) -> String {
    let each: Vec<String> = tensors.iter().map(|tensor| format!("{} {}", tensor.name(), tensor.dtype())).collect();
    format!("[{}]", each.join(", "))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
