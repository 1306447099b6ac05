//! The one ONNX Runtime of the process.
//!
//! Invariant: it is loaded from a path we were given. ort's own search by environment variable would panic when it fails.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::InferError;

// ONNX Runtime allows one environment per process, and ort drops it with its last owner.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads the library once for the process; later calls change nothing.
///
/// `path` is the library itself or the folder that `pip install --target` unpacked the `onnxruntime` wheel into.
///
/// # Errors
/// When there is no library or it is not one that this program can use.
pub fn load_runtime(path: &Path) -> Result<(), InferError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if environment.is_some() {
        return Ok(());
    }
    let library = find_library(path).ok_or_else(|| InferError::RuntimeMissing { path: path.to_owned() })?;
    let fault = |reason: String| InferError::Runtime { path: library.clone(), reason };
    let builder = ort::init_from(&library).map_err(|error| fault(error.to_string()))?;
    *environment = Some(builder.with_name("huong").build().map_err(|error| fault(error.to_string()))?);
    Ok(())
}

/// The environment that [`load_runtime`] made.
pub(crate) fn environment() -> Option<Environment> {
    ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
