//! Replaying sensor series with real faults: no sentinel, gap or negative value may raise a flood alarm, and no genuine rise
//! may be filtered.
//!
//! What must come is worked out here from the raw numbers by a plain loop that shares no code with the rule engine.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use huong_alerts::TableConfig;
use huong_types::{Name, Problems, Reading, Registry, Span, Stream, Timestamp, Transition, TransitionKind, load_toml};
use serde::Deserialize;

use crate::brain::Brain;
use crate::{replay, score};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Series {
    pub(crate) file: String,
    name: String,
    stream: Name,
    /// Columns of the file.
    time: String,
    value: String,
    #[serde(default = "one")]
    scale: f64,
    period: Span,
    levels: BTreeMap<Name, f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    series: Vec<Series>,
}

fn one() -> f64 {
    1.0
}

/// The outcome for one file.
pub(crate) struct Report {
    pub(crate) line: String,
    pub(crate) passed: bool,
}

/// Reads the list of series; every mistake goes to `problems`.
pub(crate) fn parse(file: &str, text: &str, problems: &mut Problems) -> Vec<Series> {
    load_toml::<Raw>(file, text, problems).unwrap_or_default().series
}

/// Replays one series from `folder` and compares the alarms' onsets with those the raw numbers demand.
pub(crate) fn check(series: &Series, folder: &Path, pipelines: &[(String, String)], streams: &[Stream], city: &Registry) -> Result<Report> {
    let rows = read(&folder.join(&series.file), series)?;
    let mut registry = station(series)?;
    // Rules of other streams speak of them.
    registry.zones.clone_from(&city.zones);
    let registry = Arc::new(registry);
    let mut problems = Problems::default();
    let brain = Brain::new(pipelines, streams, &registry, &TableConfig::default(), &mut problems);
    let mut brain = brain.filter(|_| problems.is_empty()).with_context(|| problems.to_string())?;
    let key = Name::new("series");
    let readings: Vec<Reading> =
        rows.iter().map(|&(at, value)| score::reading(&key, &series.stream, "value", at, value, &registry)).collect();
    let transitions = replay::run(&mut brain, readings)?;
    let onsets = onsets(&transitions);
    let mut expected = BTreeMap::new();
    let mut faults = 0;
    for level in ["bd1", "bd2", "bd3"] {
        if let Some(&limit) = series.levels.get(level) {
            let (times, impossible) = crossings(&rows, limit, series);
            faults = impossible;
            expected.insert(format!("river-{level}"), times);
        }
    }
    // No rain gauge among the series comes near a rain threshold, so nothing is expected of those; nor is any other flood alarm.
    let floods: HashMap<&String, &Vec<Timestamp>> = onsets.iter().filter(|(rule, _)| !helper(rule)).collect();
    let passed = expected.iter().all(|(rule, times)| floods.get(rule).copied().unwrap_or(&Vec::new()) == times)
        && floods.keys().all(|rule| expected.contains_key(*rule));
    let found: usize = floods.values().map(|times| times.len()).sum();
    let wanted: usize = expected.values().map(Vec::len).sum();
    let verdict = if passed { "ok" } else { "FAILED" };
    let line =
        format!("{verdict:6}  {}: {} rows, {faults} impossible values, {found} flood alarms, {wanted} expected", series.name, rows.len());
    let line = if passed { line } else { format!("{line}\n  raised   {onsets:?}\n  expected {expected:?}") };
    Ok(Report { line, passed })
}

/// Rules that warn of the sensor or of a trend; the series judge level and rain alarms.
fn helper(rule: &str) -> bool {
    !["river-bd1", "river-bd2", "river-bd3"].contains(&rule) && !rule.starts_with("rain-")
}

fn onsets(transitions: &[Transition]) -> BTreeMap<String, Vec<Timestamp>> {
    let mut onsets: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for transition in transitions.iter().filter(|t| t.kind == TransitionKind::Raised) {
        onsets.entry(transition.alert.rule.to_string()).or_default().push(transition.at);
    }
    onsets
}

/// When the raw numbers reach `limit` anew, after having been 0.05 below it (the hysteresis of the river rules).
fn crossings(rows: &[(Timestamp, f64)], limit: f64, series: &Series) -> (Vec<Timestamp>, usize) {
    let min = series.levels.get("min").copied().unwrap_or(f64::MIN);
    let max = series.levels.get("max").copied().unwrap_or(f64::MAX);
    let (mut times, mut faults, mut on) = (Vec::new(), 0, false);
    for &(at, value) in rows {
        if !(min..=max).contains(&value) {
            faults += 1;
        } else if value >= limit && !on {
            on = true;
            times.push(at);
        } else if value < limit - 0.05 {
            on = false;
        }
    }
    (times, faults)
}

fn read(path: &Path, series: &Series) -> Result<Vec<(Timestamp, f64)>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let head = reader.headers()?.clone();
    let column = |name: &str| {
        head.iter()
            .position(|h| h == name)
            .with_context(|| format!("{}: found no column `{name}`, expected one of {head:?}", path.display()))
    };
    let (time, value) = (column(&series.time)?, column(&series.value)?);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let (Some(at), Some(text)) = (record.get(time).and_then(Timestamp::parse_rfc3339), record.get(value)) else { continue };
        if let Ok(value) = text.parse::<f64>() {
            rows.push((at, value * series.scale));
        }
    }
    Ok(rows)
}

/// A registry of the one station, with the series' levels.
fn station(series: &Series) -> Result<Registry> {
    let levels: Vec<String> = series.levels.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let text = format!(
        "[[station]]\nid = \"series\"\nname = {name:?}\nname_en = {name:?}\nkind = \"series\"\nstreams = [{stream:?}]\nlat = 16.4\nlon = 107.5\nperiod = \"{period}\"\nlevels = {{ {levels} }}\nlevels_source = \"the list of series\"\n",
        name = series.name,
        stream = series.stream.as_str(),
        period = series.period,
        levels = levels.join(", "),
    );
    let mut problems = Problems::default();
    let registry = Registry::parse("series", &text, &mut problems);
    anyhow::ensure!(problems.is_empty(), "{problems}");
    Ok(registry)
}
