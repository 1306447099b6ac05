//! Small files that must survive a power cut, and secrets made at the first start.
//!
//! Invariant: a file holds what it held before or all of what was written, whatever happens between.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// For everybody whom the folder lets in.
pub(crate) const SHARED: u32 = 0o644;
/// For the processor's own user alone.
pub(crate) const OWN: u32 = 0o600;

/// Writes beside and renames; on disk when it returns.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename(&beside, path)?;
    // The rename itself is on disk only when the directory is.
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The file's bytes; without one those of `make`, which are written for the processor's own user alone.
pub(crate) fn secret(path: &Path, make: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = make()?;
            replace(path, OWN, &bytes)?;
            Ok(bytes)
        }
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_is_nobody_elses() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("links.key");
        assert_eq!(secret(&path, || Ok(vec![1, 2])).expect("made"), [1, 2]);
        assert_eq!(secret(&path, || Ok(vec![3])).expect("read"), [1, 2]);
        assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, OWN);
    }
}
