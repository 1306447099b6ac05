//! The Python in which peers are measured: the one that `make bench` fills, else the machine's.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `benches/peers/<script>`.
pub(crate) fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("vendor/peers/bin/python3");
    let mut command = Command::new(if own.exists() { own } else { PathBuf::from("python3") });
    command.arg(root.join("benches/peers").join(script));
    command
}
