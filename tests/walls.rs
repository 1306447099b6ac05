//! The walls between the crates, as docs/architecture.md draws them, held over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which crates of this workspace a crate may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("huong-types", &[]),
    ("huong-flow", &[]),
    ("huong-bridge", &["huong-types", "huong-flow"]),
    ("huong-ingest", &["huong-types", "huong-flow"]),
    ("huong-rules", &["huong-types"]),
    ("huong-vision", &["huong-types", "huong-flow"]),
    ("huong-infer", &["huong-types", "huong-vision"]),
    ("huong-alerts", &["huong-types"]),
    ("huong-evidence", &["huong-types"]),
    ("huong-store", &["huong-types", "huong-flow"]),
    ("huong-mirror", &["huong-types", "huong-flow", "huong-store"]),
    ("huong-flight", &["huong-types"]),
    ("huong-notify", &["huong-types", "huong-flow"]),
    ("huong-wall", &["huong-types", "huong-flow"]),
    ("sensor-sim", &["huong-types"]),
];

/// Which crates may use a heavy or dangerous package; nobody else may.
const ONLY: &[(&str, &[&str])] = &[
    ("ort", &["huong-infer"]),
    ("rumqttc", &["huong-ingest", "huong-notify", "sensor-sim"]),
    ("rumqttd", &["huong-ingest"]),
    ("datafusion", &["huong-rules", "huong-store"]),
    ("parquet", &["huong-store"]),
    ("turbojpeg", &["huong-vision", "huong-evidence", "sensor-sim"]),
    ("crossbeam", &["huong-flow"]),
    ("axum", &["huong-wall"]),
    ("ureq", &["huong-notify", "huong-mirror", "huong-wall"]),
    ("tonic", &["huong-flight"]),
    ("object_store", &["huong-store"]),
    ("pdf-writer", &["huong-evidence"]),
    ("ring", &["huong-wall", "huong-evidence", "huong-notify"]),
    ("lettre", &["huong-notify"]),
];

/// Crates that take time as an argument and know no runtime.
const PURE: &[&str] = &["huong-types", "huong-rules", "huong-vision", "huong-alerts", "huong-evidence"];

fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata runs where cargo test runs");
    let normal = |package: &cargo_metadata::Package| {
        package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal).map(|d| d.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

#[test]
fn crates_use_only_what_their_wall_allows() {
    let uses = uses();
    for (name, deps) in &uses {
        if name == "huong" {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(n, _)| n == name)
            .unwrap_or_else(|| panic!("`{name}` has no wall: add it here and to docs/architecture.md"));
        let inside = deps.iter().filter(|d| uses.contains_key(*d));
        let broken: Vec<_> = inside.filter(|d| !allowed.contains(&d.as_str())).collect();
        assert!(broken.is_empty(), "`{name}` uses {broken:?}; it may use {allowed:?}");
    }
}

#[test]
fn heavy_packages_stay_in_their_crates() {
    for (name, deps) in uses() {
        for (package, owners) in ONLY {
            assert!(!deps.contains(*package) || owners.contains(&name.as_str()), "`{name}` uses `{package}`, which belongs to {owners:?}");
        }
    }
}

#[test]
fn pure_crates_know_no_runtime() {
    let uses = uses();
    for name in PURE {
        assert!(!uses[*name].contains("tokio"), "`{name}` is pure: time and work come as arguments");
    }
}

#[test]
fn pure_crates_read_no_clock() {
    for name in PURE {
        let folder = format!("{}/crates/{}/src", env!("CARGO_MANIFEST_DIR"), name.trim_start_matches("huong-"));
        for entry in walk(folder.as_ref()) {
            let text = std::fs::read_to_string(&entry).expect("a source file is readable");
            for call in ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"] {
                assert!(!text.contains(call), "{} calls {call}: time is an argument here", entry.display());
            }
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a crate has sources") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
