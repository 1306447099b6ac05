//! What can be wrong with a runtime or a model, each with path, found and expected.

use std::path::PathBuf;

use huong_types::Problems;

#[derive(Debug, thiserror::Error)]
pub enum InferError {
    #[error("no ONNX Runtime library: found nothing at {path}, expected libonnxruntime.so or a folder that pip unpacked onnxruntime into")]
    RuntimeMissing { path: PathBuf },
    #[error("ONNX Runtime does not load from {path}: {reason}")]
    Runtime { path: PathBuf, reason: String },
    #[error("no ONNX Runtime is loaded yet, expected load_runtime before {path}")]
    RuntimeNotLoaded { path: PathBuf },
    #[error("no OpenVINO plugin: found nothing at {path}, expected {file} or a folder that pip unpacked onnxruntime-ep-openvino into", file = crate::runtime::OPENVINO_FILE)]
    OpenvinoMissing { path: PathBuf },
    #[error("the OpenVINO plugin cannot be used from {path}: {reason}")]
    Openvino { path: PathBuf, reason: String },
    #[error("cannot read {what} {path}: {reason}")]
    Read { what: &'static str, path: PathBuf, reason: std::io::Error },
    #[error("model manifest is wrong:\n{0}")]
    Manifest(Problems),
    #[error("model file {path} is not the one its manifest means: found sha256 {found}, expected {expected}")]
    Hash { path: PathBuf, found: String, expected: String },
    #[error("model {path} has another {what} than its manifest says: found {found}, expected {expected}")]
    Shape { path: PathBuf, what: &'static str, found: String, expected: String },
    #[error("model {path} does not load: {reason}")]
    Load { path: PathBuf, reason: String },
}
