//! How much room the store has. Invariant: asking writes nothing.

use std::fs;
use std::path::Path;

use crate::error::Context;
use crate::{StoreConfig, StoreError};

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What the store may still take: free on its file system, and within its budget.
    pub free: u64,
    /// All that it may ever take: the file system, or the budget when that is less.
    pub total: u64,
}

/// The room of the data directory: what the file system offers to those who are not root, and the budget less what is used.
pub fn disk_room(config: &StoreConfig) -> Result<Room, StoreError> {
    let room = file_system(&config.dir)?;
    let Some(budget) = config.budget_bytes else { return Ok(room) };
    let left = budget.saturating_sub(used(&config.dir)?);
    Ok(Room { free: room.free.min(left), total: room.total.min(budget) })
}

/// What the file system of `dir` offers to those who are not root.
pub(crate) fn file_system(dir: &Path) -> Result<Room, StoreError> {
    let system = rustix::fs::statvfs(dir).map_err(std::io::Error::from).during("ask the size of", dir)?;
    Ok(Room { free: system.f_bavail * system.f_frsize, total: system.f_blocks * system.f_frsize })
}

/// Bytes of all files below `dir`; those that go while it looks count as gone.
fn used(dir: &Path) -> Result<u64, StoreError> {
    let mut sum = 0;
    for entry in fs::read_dir(dir).during("list", dir)?.flatten() {
        if let Ok(about) = entry.metadata() {
            sum += if about.is_dir() { used(&entry.path()).unwrap_or(0) } else { about.len() };
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{filled, reading};

    #[test]
    fn the_budget_counts_what_the_store_holds() {
        let dir = filled(&(0..100).map(reading).collect::<Vec<_>>());
        let mut config = StoreConfig::new(dir.path());
        let system = disk_room(&config).expect("a directory that is there");
        assert!(system.free <= system.total && system.total > 1 << 20);
        config.budget_bytes = Some(1 << 20);
        let held = fs::metadata(dir.path().join("log/00000000000000000001.log")).expect("the segment").len();
        assert_eq!(disk_room(&config).expect("a directory that is there"), Room { free: (1 << 20) - held, total: 1 << 20 });
        config.budget_bytes = Some(10);
        assert_eq!(disk_room(&config).expect("a directory that is there"), Room { free: 0, total: 10 });
        config.dir = dir.path().join("nothing");
        let error = disk_room(&config).expect_err("no such directory").to_string();
        assert!(error.starts_with("cannot ask the size of"), "{error}");
    }
}
