//! The engine from outside: the shipped pipelines and their tests, mistakes in rules, determinism, real series.

mod adopt;
mod baselines;
pub(crate) mod city;
mod clusters;
mod derived;
mod engine;
mod events;
mod invariance;
mod joins;
mod mistakes;
mod patterns;
mod properties;
mod reload;
mod restart;
mod schedules;
pub(crate) mod series;
mod silence;
mod trust;
mod windows;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use huong_types::{Field, Name, Problems, Reading, Registry, Signal, SignalKind, Stream, Timestamp};

use crate::{Engine, run_tests};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn streams() -> Vec<Stream> {
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams.toml", &read("config/streams.toml"), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    streams
}

/// All shipped pipelines, by file name.
pub(crate) fn pipelines() -> Vec<(String, String)> {
    let folder = root().join("pipelines");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the pipelines are in the repository")
        .map(|entry| entry.expect("readable folder").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&format!("pipelines/{name}")))).collect()
}

/// A registry of stations that report `stream` every ten minutes.
pub(crate) fn registry(stream: &str, stations: &[(&str, &str)]) -> Arc<Registry> {
    let station = |(id, levels): &(&str, &str)| {
        format!(
            "[[station]]\nid = \"{id}\"\nname = \"Trạm {id}\"\nname_en = \"{id} station\"\nkind = \"test\"\nstreams = [\"{stream}\"]\n\
             lat = 16.4\nlon = 107.5\nperiod = \"10m\"\nlevels = {{ {levels} }}\nlevels_source = \"a test\"\n"
        )
    };
    let mut problems = Problems::default();
    let registry = Registry::parse("registry.toml", &stations.iter().map(station).collect::<String>(), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    Arc::new(registry)
}

pub(crate) fn engine(pipelines: &[(String, String)], registry: Arc<Registry>) -> Engine {
    let mut problems = Problems::default();
    let engine = Engine::compile(pipelines, &streams(), registry, &mut problems);
    engine.unwrap_or_else(|| panic!("{problems}"))
}

pub(crate) fn shipped(names: &[&str]) -> Vec<(String, String)> {
    // Some hide rules of files that are not here, which is the alert table's affair.
    let alone = |text: String| text.lines().filter(|line| !line.starts_with("inhibits")).collect::<Vec<_>>().join("\n");
    pipelines().into_iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(name, text)| (name, alone(text))).collect()
}

pub(crate) fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

pub(crate) fn reading(stream: &str, key: &str, at: Timestamp, fields: &[(&str, f64)]) -> Reading {
    Reading {
        stream: stream.into(),
        key: key.into(),
        at,
        received: at,
        fields: fields.iter().map(|(name, value)| Field::ok(Name::new(name), *value)).collect(),
        source: "test".into(),
        origin: huong_types::Origin::Sensor,
        orphan: false,
    }
}

/// `key rule kind@minute`, for comparing stories; on-delays apart.
pub(crate) fn told(signals: &[Signal]) -> Vec<String> {
    let kind = |kind| match kind {
        SignalKind::Pending { .. } => "pending",
        SignalKind::Settled => "settled",
        SignalKind::Raise { .. } => "raise",
        SignalKind::Update => "update",
        SignalKind::Recede => "recede",
        SignalKind::Resume => "resume",
        SignalKind::Clear => "clear",
        SignalKind::Stale { .. } => "stale",
        SignalKind::Fresh => "fresh",
        SignalKind::Once { .. } => "once",
    };
    let told = signals.iter().filter(|s| !matches!(s.kind, SignalKind::Pending { .. } | SignalKind::Settled));
    told.map(|s| format!("{} {} {}@{}", s.key, s.rule, kind(s.kind), s.at.as_millis() / 60_000)).collect()
}

#[test]
fn the_shipped_pipelines_pass_their_own_tests() {
    let mut problems = Problems::default();
    let registry = Arc::new(Registry::parse("registry.toml", &read("config/registry.toml"), &mut problems));
    let reports = run_tests(&pipelines(), &streams(), &registry, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let failed: Vec<String> = reports
        .iter()
        .filter(|report| !report.failures.is_empty())
        .map(|report| format!("{} {} {}: {}", report.file, report.rule, report.name, report.failures.join("; ")))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(reports.len() > 50, "every rule has a test, {} ran", reports.len());
}

#[test]
fn every_shipped_rule_has_a_test_and_runs_with_the_shipped_registry() {
    let mut problems = Problems::default();
    let registry = Arc::new(Registry::parse("registry.toml", &read("config/registry.toml"), &mut problems));
    let engine = Engine::compile(&pipelines(), &streams(), Arc::clone(&registry), &mut problems);
    let engine = engine.unwrap_or_else(|| panic!("{problems}"));
    let reports = run_tests(&pipelines(), &streams(), &registry, &mut problems);
    let untested: Vec<_> =
        engine.rules().iter().filter(|rule| !reports.iter().any(|report| report.rule == rule.id)).map(|rule| &rule.id).collect();
    assert!(untested.is_empty(), "{untested:?}");
}
