//! Small things that outlive a restart of the server, each a JSON file of its own.
//!
//! Invariant: a file is replaced whole, and readable by the processor alone.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is kept in `file`; nothing yet is the default.
///
/// # Errors
/// In words, when the file cannot be read for what it is.
pub(crate) fn load<T: DeserializeOwned + Default>(file: &Path) -> Result<T, String> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Keeps `what` in `file`, whose folder is made when there is none.
///
/// # Errors
/// In words, when it cannot be written.
pub(crate) fn save(file: &Path, what: &impl Serialize) -> Result<(), String> {
    let staged = file.with_extension("json.new");
    let write = || {
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut out = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        out.write_all(&serde_json::to_vec(what)?)?;
        out.sync_all()?;
        std::fs::rename(&staged, file)
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}
