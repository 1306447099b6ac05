//! What a data directory takes of its disk.

use std::fs;
use std::path::Path;

use crate::error::Context;
use crate::health::file_system;
use crate::manifest::Manifest;
use crate::{StoreError, segment};

/// As of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segments of the log that are not sealed, and their bytes.
    pub segments: u64,
    pub log_bytes: u64,
    /// Sealed parts, their rows and bytes.
    pub parts: u64,
    pub part_rows: u64,
    pub part_bytes: u64,
    /// Of the file system, for whoever is not root.
    pub free_bytes: u64,
    pub disk_bytes: u64,
}

/// Looks at the files of `dir` and their disk. Blocking.
pub fn usage(dir: &Path) -> Result<Usage, StoreError> {
    let mut usage = Usage::default();
    for part in Manifest::read(dir)?.parts {
        usage.parts += 1;
        usage.part_rows += part.rows;
        usage.part_bytes += part.bytes;
    }
    for first_seq in segment::list(dir)? {
        let path = segment::path(dir, first_seq);
        match fs::metadata(&path) {
            // Sealed since it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            file => {
                usage.segments += 1;
                usage.log_bytes += file.during("look at", &path)?.len();
            }
        }
    }
    let room = file_system(dir)?;
    (usage.free_bytes, usage.disk_bytes) = (room.free, room.total);
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, mixed, open, write};

    #[test]
    fn log_and_parts_are_told_apart() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (mut writer, _) = open(dir.path());
        write(&mut writer, &mixed());
        let before = usage(dir.path()).expect("a sound directory");
        assert_eq!((before.segments, before.parts), (1, 0));
        let length = fs::metadata(segment::path(dir.path(), 1)).expect("the open segment").len();
        assert_eq!(before.log_bytes, length);
        crate::seal(&close(&mut writer, 1000)).expect("a sound segment");
        let after = usage(dir.path()).expect("a sound directory");
        assert!(after.segments == 1 && after.part_rows >= 11 && after.parts >= 4, "{after:?}");
        assert!(after.part_bytes > 0 && after.free_bytes <= after.disk_bytes);
    }
}
