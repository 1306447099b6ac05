//! `huong audit`: the store read again and held against itself. Nothing is written.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::commands::{count, say};
use crate::config::Config;

/// Prints the account of every stream and each fault.
///
/// # Errors
/// When anything differs, so that the exit code says so.
pub(crate) fn command(config: &Path, data: Option<PathBuf>) -> Result<()> {
    // As with a query, a mistake elsewhere in the configuration must not keep anyone from the data.
    let dir = data.map_or_else(|| Config::store(config).map(|(dir, _)| dir), Ok)?;
    ensure!(dir.join("log").is_dir(), "found no log in {}, expected a store's folder", dir.display());
    let audit = huong_store::audit(&dir)?;
    say(&audit.to_string())?;
    ensure!(audit.faults.is_empty(), "{} in {}", count(audit.faults.len(), "fault"), dir.display());
    Ok(())
}
