//! Models run by ONNX Runtime, behind the traits of `huong-vision`.
//!
//! The runtime is a shared library loaded by path at start ([`load_runtime`]); a model is a manifest and the file it names
//! ([`ModelManifest`]), checked against each other before the first frame ([`OnnxDetector::open`], [`OnnxPlateFinder::open`],
//! [`OnnxPlateReader::open`]).
//!
//! Invariant: nothing here decides what a detection means; thresholds come from the manifest, and a model that is missing,
//! altered or of another shape is an error at start, never a wrong count later.

mod detector;
mod error;
mod manifest;
mod model;
mod plates;
mod runtime;

pub use detector::OnnxDetector;
pub use error::InferError;
pub use manifest::{Layout, ModelManifest, Thresholds};
pub use plates::{OnnxPlateFinder, OnnxPlateReader};
pub use runtime::{Provider, load_openvino, load_runtime};
