//! `huong backup` and `huong restore`: the store and the configuration into a folder, and back.

use std::path::Path;

use anyhow::{Context, Result};
use huong_store::Saved;

use crate::commands::{count, say};
use crate::config::Config;

/// Saves the store that `config` names, beside a running processor or without one, and the configuration's files.
pub(crate) fn backup(to: &Path, config: &Path) -> Result<()> {
    let (store, files) = Config::files(config)?;
    let saved = huong_store::backup(&store, to, &files).with_context(|| format!("{} could not be backed up", store.display()))?;
    say(&format!("{}: {}", to.display(), told(&saved)))
}

/// Brings a backup back into a new folder.
pub(crate) fn restore(from: &Path, to: &Path, config: Option<&Path>) -> Result<()> {
    let saved = huong_store::restore(from, to, config).with_context(|| format!("{} could not be restored", from.display()))?;
    say(&format!("{}: {}", to.display(), told(&saved)))
}

fn told(saved: &Saved) -> String {
    let of = |files, bytes| format!("{}, {:.1} MB", count(files as usize, "file"), bytes as f64 / 1e6);
    format!("{}; new: {}", of(saved.files, saved.bytes), of(saved.new_files, saved.new_bytes))
}
