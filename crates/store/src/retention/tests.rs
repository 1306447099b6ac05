//! What goes, what stays, and that each deletion is proven, whatever comes between.

use std::fs;

use huong_types::AlertState;

use super::*;
use crate::testing::{close, copy, filled, minute, open, reading, refused, transition, write};
use crate::{Writer, seal, sweep};

const DAY: i64 = 24 * 60;

fn never(_: &Name) -> Option<Timestamp> {
    None
}

fn keep(table: Table, days: u16) -> Keep {
    Keep { table, stream: None, days: Some(days), why: "a test".to_owned() }
}

/// Refusals and readings of the first two days sealed, and a reading of `day` in the open log.
fn aged(day: i64) -> (tempfile::TempDir, Writer) {
    let dir =
        filled(&[refused(1), reading(1), refused(3), reading(2), transition(1, 1, AlertState::Open), transition(2, 2, AlertState::Open)]);
    let (mut writer, _) = open(dir.path());
    seal(&close(&mut writer, 0)).expect("a sound disk");
    write(&mut writer, &[reading(day as u64 * 144), transition(3, 1, AlertState::Cleared)]);
    (dir, writer)
}

fn tables(dir: &Path) -> Vec<&'static str> {
    let mut tables: Vec<_> = Manifest::read(dir).expect("a manifest").parts.iter().map(|part| part.table.name()).collect();
    tables.dedup();
    tables
}

#[test]
fn files_that_were_read_go_once_they_are_old_and_the_log_proves_it() {
    let (dir, folder) = (tempfile::tempdir().expect("a temporary directory"), tempfile::tempdir().expect("a temporary directory"));
    let files = ["old", "new", "b/older"].map(|name| folder.path().join(name));
    fs::create_dir(folder.path().join("b")).expect("a writable directory");
    for file in &files {
        fs::write(file, "75A12345").expect("a writable directory");
    }
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3600);
    for file in [&files[0], &files[2]] {
        File::options().write(true).open(file).and_then(|file| file.set_modified(yesterday)).expect("a file of ours");
    }
    let tidy = || discard(dir.path(), folder.path(), Span::from_mins(DAY), "a test", minute(0)).expect("a sound disk");
    assert_eq!((tidy(), tidy()), (1, 0));
    assert_eq!(files.map(|file| file.exists()), [false, true, true], "sub-folders are not ours");
    let log = Deletions::read(dir.path()).expect("a sound log");
    let Step::Discarded { files, .. } = &log.lines[0].step else { panic!("{:?}", log.lines) };
    assert_eq!((files[0].name.as_str(), files[0].bytes, &files[0].sha256[..8]), ("old", 8, &hex(&Sha256::digest("75A12345"))[..8]));
    assert_eq!(discard(dir.path(), &folder.path().join("none"), Span::ZERO, "a test", minute(0)).expect("no folder, no files"), 0);
}

#[test]
fn old_parts_go_and_the_log_proves_it() {
    let (dir, _writer) = aged(95);
    assert!(retain(dir.path(), &[], minute(90 * DAY), &never).expect("a sound disk").is_empty(), "the 90th day");
    let gone = retain(dir.path(), &[], minute(95 * DAY), &never).expect("a sound disk");
    assert_eq!(gone, ["parquet/quarantine/day=2025-10-26/00000000000000000001.parquet"]);
    assert!(dir.path().join(&gone[0]).exists(), "for those who read it still");
    assert_eq!(tables(dir.path()), ["readings", "readings_1m", "readings_1h", "alerts"]);
    let log = Deletions::read(dir.path()).expect("a sound log");
    let planned: Vec<&Planned> = log.planned().collect();
    assert_eq!((planned.len(), log.pending().len(), planned[0].day.as_str()), (1, 1, "2025-10-26"));
    assert_eq!((planned[0].rows, planned[0].records.get("rain"), planned[0].sha256.len()), (2, Some(&2), 64));
    assert!(planned[0].rule.starts_with("90 days: refused payloads"), "{}", planned[0].rule);
    assert_eq!(sweep(dir.path(), Span::ZERO, minute(95 * DAY)).expect("a sound disk"), 1);
    assert!(!dir.path().join(&gone[0]).exists());
    let log = Deletions::read(dir.path()).expect("a sound log");
    assert_eq!((log.lines.len(), log.pending().len()), (2, 0));
    assert!(retain(dir.path(), &[], minute(95 * DAY), &never).expect("a sound disk").is_empty());
}

#[test]
fn every_altered_line_of_the_log_is_named() {
    let (dir, _writer) = aged(95);
    retain(dir.path(), &[keep(Table::Readings, 3)], minute(95 * DAY), &never).expect("a sound disk");
    sweep(dir.path(), Span::ZERO, minute(95 * DAY)).expect("a sound disk");
    let path = dir.path().join("deletions.jsonl");
    let text = fs::read_to_string(&path).expect("the log");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    for line in 0..3 {
        let mut altered: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        altered[line] = altered[line].replace("2025-10-26", "2025-10-20").replace("parquet/", "Parquet/");
        fs::write(&path, altered.join("\n") + "\n").expect("a writable file");
        let error = Deletions::read(dir.path()).err().expect("a broken chain").to_string();
        assert!(error.contains(&format!("line {}", line + 2)), "{error}");
        altered.remove(line);
        fs::write(&path, altered.join("\n") + "\n").expect("a writable file");
        assert!(Deletions::read(dir.path()).is_err(), "line {line} taken out");
    }
    fs::write(&path, format!("{text}{{\"prev\":\"12")).expect("a writable file");
    assert_eq!(Deletions::read(dir.path()).expect("a torn end is no line").lines.len(), 4);
    let gone = retain(dir.path(), &[keep(Table::Hours, 3)], minute(95 * DAY), &never).expect("a sound disk");
    assert_eq!((gone.len(), Deletions::read(dir.path()).expect("the torn end is cut").lines.len()), (1, 5));
}

#[test]
fn a_crash_at_any_step_is_made_good() {
    let (dir, writer) = aged(95);
    let now = minute(95 * DAY);
    drop(writer);
    let mut states = vec![copy(dir.path())];
    let manifest = fs::read(dir.path().join("manifest.json")).expect("a manifest");
    retain(dir.path(), &[], now, &never).expect("a sound disk");
    let after = copy(dir.path());
    fs::write(after.path().join("manifest.json"), manifest).expect("a writable file");
    states.push(after);
    states.push(copy(dir.path()));
    let log = fs::read(dir.path().join("deletions.jsonl")).expect("the log");
    sweep(dir.path(), Span::ZERO, now).expect("a sound disk");
    let after = copy(dir.path());
    fs::write(after.path().join("deletions.jsonl"), log).expect("a writable file");
    states.push(after);
    for (step, state) in states.iter().enumerate() {
        drop(open(state.path()));
        retain(state.path(), &[], now, &never).unwrap_or_else(|error| panic!("step {step}: {error}"));
        sweep(state.path(), Span::ZERO, now).expect("a sound disk");
        let log = Deletions::read(state.path()).expect("a sound log");
        assert_eq!((log.planned().count(), log.lines.len(), log.pending().len()), (1, 2, 0), "step {step}");
        assert_eq!(tables(state.path()), ["readings", "readings_1m", "readings_1h", "alerts"], "step {step}");
    }
}

#[test]
fn open_alerts_and_what_windows_need_stay() {
    let (dir, mut writer) = aged(95);
    let now = minute(95 * DAY);
    let rules = [keep(Table::Alerts, 1), keep(Table::Readings, 1)];
    let needed = |_: &Name| Some(minute(0));
    let gone = retain(dir.path(), &rules, now, &needed).expect("a sound disk");
    assert_eq!(gone.len(), 1, "the quarantine only: alert 2 is open, and the readings are needed: {gone:?}");
    write(&mut writer, &[transition(4, 2, AlertState::Cleared)]);
    let gone = retain(dir.path(), &rules, now, &|_| Some(minute(60))).expect("a sound disk");
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert_eq!(tables(dir.path()), ["readings_1m", "readings_1h"]);
}

#[test]
fn a_clock_that_jumped_deletes_nothing() {
    let (dir, mut writer) = aged(1);
    let rules = [keep(Table::Readings, 3)];
    for now in [minute(4 * DAY), minute(30_000 * DAY)] {
        let error = retain(dir.path(), &rules, now, &never).expect_err("the newest reading is of the second day");
        assert!(matches!(error, StoreError::ClockAhead { .. }), "{error}");
    }
    // A forecast says nothing of the clock.
    let mut ahead = reading(144);
    if let Record::Reading(reading) = &mut ahead {
        reading.at = minute(5 * DAY);
    }
    write(&mut writer, &[ahead]);
    assert!(retain(dir.path(), &rules, minute(5 * DAY), &never).is_err());
    assert!(!dir.path().join("deletions.jsonl").exists());
    write(&mut writer, &[reading(144 * 5)]);
    assert_eq!(retain(dir.path(), &rules, minute(5 * DAY), &never).expect("a sound disk").len(), 1);
    assert!(retain(dir.path(), &rules, minute(-900 * DAY), &never).expect("a sound disk").is_empty(), "nor one that fell back");
}

#[test]
fn the_first_rule_that_matches_counts() {
    for (pattern, text, expected) in [
        ("plates*", "plates", true),
        ("plates*", "plates_hashed", true),
        ("plates", "plates_hashed", false),
        ("*", "", true),
        ("*_raw", "frames_raw", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*ực*", "mực nước", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
    let (dir, _writer) = aged(95);
    let forever = Keep { days: None, ..keep(Table::Quarantine, 0) };
    assert!(retain(dir.path(), &[forever, keep(Table::Quarantine, 1)], minute(95 * DAY), &never).expect("a sound disk").is_empty());
}

#[test]
fn mistakes_in_the_sections_are_named() {
    let mut problems = Problems::default();
    for keep in Keep::defaults() {
        keep.check("huong.toml", "store.keep[0]", &mut problems);
    }
    crate::Compact::default().check("huong.toml", "store.compact", &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let keep: Keep = serde_json::from_str(r#"{"table": "quarantine", "stream": "rain", "days": 1, "why": " "}"#).expect("a rule");
    keep.check("huong.toml", "store.keep[0]", &mut problems);
    let compact = crate::Compact { parts: 1, rows: 0, grace: Span::from_millis(-1) };
    compact.check("huong.toml", "store.compact", &mut problems);
    let paths: Vec<&str> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["store.keep[0].stream", "store.keep[0].why", "store.compact.parts", "store.compact.rows", "store.compact.grace"]);
    assert!(serde_json::from_str::<Keep>(r#"{"table": "reading", "why": "a table that is not there"}"#).is_err());
}
