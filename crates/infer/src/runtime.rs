//! The one ONNX Runtime of the process.
//!
//! Invariant: it is loaded from a path we were given. ort's own search by environment variable would panic when it fails.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::memory::DeviceType;
use serde::Deserialize;

use crate::InferError;

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// ONNX Runtime itself.
    #[default]
    Cpu,
    /// Intel's plugin, after [`load_openvino`]; it takes Intel's processors only.
    Openvino,
}

enum State {
    Untried,
    /// ONNX Runtime allows one environment per process, and ort drops it with its last owner.
    Ready(Environment),
    /// For good: after a library that did not load, ort believes that it has one, and must not be called again.
    Failed,
}

static STATE: Mutex<State> = Mutex::new(State::Untried);

/// Loads the library once for the process; later calls change nothing.
///
/// `path` is the library itself or the folder that `pip install --target` unpacked the `onnxruntime` wheel into.
///
/// # Errors
/// When there is no library, or it is not one that this program can use; after the latter only a new process can try again.
pub fn load_runtime(path: &Path) -> Result<(), InferError> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::Ready(_) = *state {
        return Ok(());
    }
    let library = find_library(path).ok_or_else(|| InferError::RuntimeMissing { path: path.to_owned() })?;
    let fault = |reason: String| InferError::Runtime { path: library.clone(), reason };
    if let State::Failed = *state {
        return Err(fault("an earlier attempt of this process failed, start it again".to_owned()));
    }
    *state = State::Failed;
    let builder = ort::init_from(&library).map_err(|error| fault(error.to_string()))?;
    let environment = builder.with_name("huong").build().map_err(|error| fault(error.to_string()))?;
    *state = State::Ready(environment);
    Ok(())
}

/// The plugin's name for itself, under which it must be registered.
pub(crate) const OPENVINO: &str = "OpenVINOExecutionProvider";
pub(crate) const OPENVINO_FILE: &str = "libonnxruntime_providers_openvino_plugin.so";

/// Adds Intel's plugin to the runtime, once for the process; `path` is the library itself or the folder that
/// `pip install --target` unpacked the `onnxruntime-ep-openvino` wheel into.
///
/// # Errors
/// When there is no runtime or no plugin, or the plugin finds no processor that it takes.
pub fn load_openvino(path: &Path) -> Result<(), InferError> {
    let environment = environment().ok_or_else(|| InferError::RuntimeNotLoaded { path: path.to_owned() })?;
    let fault = |reason: String| InferError::Openvino { path: path.to_owned(), reason };
    let ready = || {
        let ours = |device: ort::device::Device<'_>| {
            device.ep().is_ok_and(|ep| ep == OPENVINO) && device.hardware_device().ty() == DeviceType::CPU
        };
        environment.devices().any(ours)
    };
    // Held over the registration, so that two threads do not both make it.
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if !ready() {
        let places = [path.to_owned(), path.join("onnxruntime_ep_openvino").join(OPENVINO_FILE), path.join(OPENVINO_FILE)];
        let library = places.iter().find(|place| place.is_file()).ok_or_else(|| InferError::OpenvinoMissing { path: path.to_owned() })?;
        let library = library.canonicalize().map_err(|error| fault(error.to_string()))?;
        environment.register_ep_library(OPENVINO, &library).map_err(|error| fault(error.to_string()))?;
    }
    drop(state);
    if ready() { Ok(()) } else { Err(fault("found no processor that it takes, expected one of Intel's".to_owned())) }
}

/// The environment that [`load_runtime`] made.
pub(crate) fn environment() -> Option<Environment> {
    match &*STATE.lock().unwrap_or_else(PoisonError::into_inner) {
        State::Ready(environment) => Some(environment.clone()),
        State::Untried | State::Failed => None,
    }
}

fn find_library(path: &Path) -> Option<PathBuf> {
    // Absolute, because ort would look for a relative one beside the program first.
    let path = path.canonicalize().ok()?;
    if path.is_file() {
        return Some(path);
    }
    let mut found: Vec<PathBuf> = [path.join("onnxruntime/capi"), path]
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")))
        .collect();
    // The last name is the most exact version; a folder holds several names of one library at most.
    found.sort();
    found.pop()
}
