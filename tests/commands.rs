//! Commands that read and measure: check, test, backtest, replay, detect.

use std::path::{Path, PathBuf};

use huong_store::{Record, StoreConfig, Writer};
use huong_types::{Field, Name, Origin, Reading, Timestamp};

use crate::support::{huong, root, shared_data, stderr, stdout};

/// A file of rules in a folder of its own.
fn rules(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, text).expect("the rules are written");
    file
}

/// A rule on water levels with some of its lines replaced.
fn rule(id: &str, when: &str, more: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nfrom = \"water_level\"\nwhen = \"{when}\"\nseverity = \"severe\"\nsource = \"a test\"\ntext.vi = \"{{value:.2}}\"\ntext.en = \"{{value:.2}}\"\n{more}\n"
    )
}

#[test]
fn the_shipped_configuration_is_valid_and_its_pipelines_pass_their_tests() {
    let output = huong(&["check"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = huong(&["test"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains(" passed, 0 failed"), "{}", stdout(&output));
}

#[test]
fn a_pipeline_whose_test_fails_fails() {
    let dir = tempfile::tempdir().expect("a folder");
    let river = std::fs::read_to_string(root().join("pipelines/river.toml")).expect("the river pack is there");
    let wrong = river.replacen("raises = [\"", "raises = [\"minor@23:59\", \"", 1);
    assert_ne!(river, wrong, "the pack has a test that raises");
    let file = dir.path().join("river.toml");
    std::fs::write(&file, wrong).expect("the pack is written");
    let output = huong(&["test", &file.display().to_string()]);
    assert!(!output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains("FAILED"), "{}", stdout(&output));
}

#[test]
fn a_configuration_with_six_mistakes_reports_all_six() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("huong.toml");
    let text =
        "prefix = \"hue/x\"\nspeed = 3\n[mqtt]\nport = 99999\n[wall]\nlisten = \"0.0.0.0:80\"\n[vision]\nmodel = \"models/none.toml\"\n";
    std::fs::write(&file, text).expect("the configuration is written");
    let output = huong(&["check", "--config", &file.display().to_string()]);
    let told = stderr(&output);
    assert!(!output.status.success());
    for expected in [
        "huong.toml:1:10: prefix: found `hue/x`, expected one topic level",
        "huong.toml:2:1: speed: found unknown field `speed`, expected one of",
        "huong.toml:4:8: mqtt.port: found `99999`, expected u16",
        "huong.toml:6:10: wall.listen: found `0.0.0.0:80` without users and tokens, expected a loopback address",
        "huong.toml:6:10: wall.listen: found `0.0.0.0:80` without tls, expected a loopback address",
        "huong.toml:8:9: vision.model: found no file `models/none.toml`, expected a model manifest",
    ] {
        assert!(told.contains(expected), "`{expected}` is missing in:\n{told}");
    }
    assert_eq!(told.lines().count(), 7, "{told}");
    assert_eq!(told.lines().last(), Some("huong: 6 mistakes to be mended"), "{told}");
}

#[test]
fn those_whom_nobody_tells_are_warned_of() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("pipelines")).expect("a folder");
    rules(
        dir.path(),
        "pipelines/a.toml",
        &rule("one", "value > 1", "notify = [\"staff\"]\nescalate = [{ after = \"10m\", to = [\"lead\"] }]"),
    );
    let pipelines = format!("pipelines = {:?}\n", dir.path().join("pipelines").display().to_string());
    let told = |sink: &str| {
        let config = rules(dir.path(), "huong.toml", &format!("{pipelines}{sink}"));
        let output = huong(&["check", "--config", &config.display().to_string()]);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let warned = told("[[sink]]\nname = \"duty\"\nroutes = [\"staff\"]\nmqtt = {}\n");
    assert!(warned.contains("sink: found none with the route `lead`, which rule `one` notifies or escalates to"), "{warned}");
    assert!(!warned.contains("`staff`"), "{warned}");
    assert!(!told("[[sink]]\nname = \"all\"\nmqtt = {}\n").contains("`lead`"), "a sink without routes tells all");
}

#[test]
fn mistakes_in_rules_are_shown_where_they_stand_and_warnings_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("pipelines")).expect("a folder");
    let text = [
        "# Three rules, four mistakes.\n".to_owned(),
        rule("one", "value >= station.bd9", ""),
        rule("two", "valu > 1", "inhibits = [\"one\", \"ghost\"]"),
        rule("three", "value >", "").replace("\"severe\"", "\"loud\""),
        rule("four", "value >", "").replace("en = \"{value", "en = \"m {vlue"),
    ];
    let file = rules(dir.path(), "pipelines/a.toml", &text.concat());
    let config = rules(dir.path(), "huong.toml", &format!("pipelines = {:?}\n", dir.path().join("pipelines").display().to_string()));
    let output = huong(&["check", "--config", &config.display().to_string()]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    let file = file.display();
    for expected in [
        format!("{file}:5:18: rule `one`.when: found `value >= station.bd9`: "),
        format!("{file}:14:9: rule `two`.when: found `valu > 1`: "),
        format!("{file}:19:12: rule `two`.inhibits: found `ghost`, expected the id of a rule"),
        format!("{file}:24:12: rule[2].severity: found `\"loud\"`, expected one of "),
        format!("{file}:32:16: rule `four`.when: found `value >`: "),
        format!("{file}:36:15: rule `four`.text.en: found `{{vlue:.2}}`: "),
    ] {
        assert!(told.contains(&expected), "`{expected}` is missing in:\n{told}");
    }
    assert_eq!(told.lines().last(), Some("huong: 6 mistakes to be mended"), "{told}");
    let warned = format!("warning: {file}:2:1: rule `one`: found no [[rule.test]], expected at least one");
    assert!(stdout(&output).contains(&warned), "`{warned}` is missing in:\n{}", stdout(&output));
}

#[test]
fn a_file_of_rules_is_tested_beside_the_running_ones() {
    let dir = tempfile::tempdir().expect("a folder");
    let test = "inhibits = [\"river-bd1\"]\n[[rule.test]]\ngiven = [[\"00:00\", 1.0], [\"00:10\", 2.5]]\nraises = [\"severe@00:10\"]\n";
    let text = [rule("river-bd2", "value >= 2.0", test), rule("mine", "value >= 2.0", &test.replace("river-bd1", "river-bd3"))];
    let file = rules(dir.path(), "mine.toml", &text.concat()).display().to_string();
    let output = huong(&["test", &file]);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(told.contains("2 passed, 0 failed; 2 rules in 1 file, "), "{told}");
    let output = huong(&["test", &file, "--rule", "mine"]);
    assert!(stdout(&output).contains("1 passed, 0 failed; 1 rule in 1 file, "), "{}", stdout(&output));
    let output = huong(&["test", &file, "--rule", "river-bd3"]);
    assert!(!output.status.success() && stderr(&output).contains("found no test of a rule `river-bd3`"), "{}", stderr(&output));
}

/// Level III less 0.65 m: reached three hours earlier.
const EARLIER: &str = "value >= station.bd3 - 0.65";

#[test]
fn a_backtest_tells_what_changes_and_how_well_it_would_have_warned() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = [rule("river-bd3", EARLIER, ""), rule("river-never", "value >= 9", "")];
    let file = rules(dir.path(), "earlier.toml", &text.concat()).display().to_string();
    let output = huong(&["backtest", "--rule", &file, "--readings", "tests/fixtures/flood.csv", "--truth", "tests/fixtures/crossings.csv"]);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(told.contains("`river-bd3`, `river-never`; 6 readings from 06:00 20/11/2025 to 20:00 20/11/2025"), "{told}");
    let line = |start: &str| {
        let found = told.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line `{start}` in\n{told}"));
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(told.contains("== 1 alert of these rules"), "{told}");
    assert_eq!(line("river-bd3  kimlong"), "river-bd3 kimlong severe 12:00 20/11/2025 12:00 20/11/2025 stands value 3.55");
    let moved = line("moved");
    assert!(moved.ends_with("raised 3h earlier, not cleared any more"), "{moved}");
    assert_eq!(
        line("river-bd3    Kim Long"),
        "river-bd3 Kim Long BĐ3 12:00 20/11/2025 .. 15:00 20/11/2025 12:00 20/11/2025 3h ahead of the first reading above"
    );
    assert_eq!(line("river-bd3           "), "river-bd3 1 1 1.00 1 0 0 0.00 3h 3h 3h");
    assert_eq!(line("river-bd3 (running)"), "river-bd3 (running) 1 1 1.00 1 0 0 0.00 0s 0s 0s");
    // A rule whose id names no level is held against every crossing.
    assert_eq!(line("river-never  "), "river-never Kim Long BĐ2 06:00 20/11/2025 .. 09:00 20/11/2025 MISSED");
}

#[test]
fn a_backtest_reads_the_store_of_its_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = dir.path().join("store");
    let (mut writer, _) = Writer::open(StoreConfig::new(&store)).expect("a store");
    let at = |hour: i64| Timestamp::parse_rfc3339("2026-10-26T17:00:00Z").map(|t| Timestamp::from_millis(t.as_millis() + hour * 3_600_000));
    for (hour, metres) in [(0, 3.6), (6, 2.0), (12, 2.9), (18, 3.6), (24, 2.0), (30, 3.6)] {
        let at = at(hour).expect("a time");
        let reading = Reading {
            stream: Name::new("water_level"),
            key: Name::new("kimlong"),
            at,
            received: at,
            fields: [Field::ok(Name::new("value"), metres)].into_iter().collect(),
            source: Name::new("test"),
            origin: Origin::Sensor,
            orphan: false,
        };
        writer.append(&Record::Reading(reading)).expect("the record is taken");
    }
    writer.commit().expect("the disk takes it");
    let file = rules(dir.path(), "earlier.toml", &rule("river-bd3", EARLIER, "")).display().to_string();
    let data = store.display().to_string();
    // Local time: from 07:00 on the second day's rise is seen, the first is over and the third has not come.
    let output = huong(&["backtest", "--rule", &file, "--data", &data, "--from", "2026-10-27T07:00", "--to", "2026-10-28T01:00+07:00"]);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert!(told.contains("; 3 readings from 12:00 27/10/2026 to 01:00 28/10/2026, 2 before that fill the windows"), "{told}");
    assert!(told.contains("== 1 alert of these rules") && told.contains("12:00 27/10/2026"), "{told}");
    let output = huong(&["backtest", "--rule", &file, "--data", &data, "--from", "yesterday"]);
    assert!(!output.status.success() && stderr(&output).contains("found `yesterday`, expected a time such as"), "{}", stderr(&output));
    let output = huong(&["backtest", "--rule", &file, "--data", &data, "--from", "2027-01-01T00:00"]);
    assert!(!output.status.success() && stderr(&output).contains("nothing was read in that time"), "{}", stderr(&output));
}

/// A flood of our own making: two crossings up, one down, one that no reading shows, one misprint.
#[test]
fn an_audit_passes_a_sound_store_and_names_what_is_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path().join("store");
    let at = |minutes: i64| Timestamp::from_millis(1_761_600_000_000 + minutes * 60_000);
    let (mut writer, _) = Writer::open(StoreConfig::new(&store)).expect("a store");
    for minute in 0..200 {
        let reading = Reading {
            stream: "water_level".into(),
            key: "kimlong".into(),
            at: at(minute),
            received: at(minute),
            fields: [Field::ok("value".into(), minute as f64)].into_iter().collect(),
            source: "test".into(),
            origin: Origin::Sensor,
            orphan: false,
        };
        writer.append(&Record::Reading(reading)).expect("a record");
        if let Some(closed) = writer.rotate_if_due(at(minute)).expect("a sound disk") {
            huong_store::seal(&closed).expect("a sound disk");
        }
    }
    drop(writer);
    let audit = || huong(&["audit", "--data", &store.display().to_string()]);
    let sound = audit();
    assert!(sound.status.success(), "{}", stderr(&sound));
    let line = stdout(&sound);
    let account = line.lines().find(|line| line.starts_with("water_level")).expect("an account of the stream");
    assert!(account.ends_with(" 0") && account.contains(" 200 "), "{account}");

    let day = store.join("parquet/readings/stream=water_level");
    let mut dirs = vec![day];
    let part = loop {
        let entry = dirs.pop().expect("a part");
        if entry.is_file() {
            break entry;
        }
        dirs.extend(std::fs::read_dir(entry).expect("a folder").map(|entry| entry.expect("an entry").path()));
    };
    let mut bytes = std::fs::read(&part).expect("a part");
    bytes[100] ^= 1;
    std::fs::write(&part, bytes).expect("a writable file");
    let broken = audit();
    assert_eq!(broken.status.code(), Some(1));
    let name = part.strip_prefix(&store).expect("inside").display().to_string();
    assert!(stdout(&broken).contains(&format!("FAULT part {name}")), "{}", stdout(&broken));
}

#[test]
fn a_replay_finds_each_crossing_in_its_interval() {
    let fixtures = "tests/fixtures";
    let output = huong(&["replay", "--readings", &format!("{fixtures}/flood.csv"), "--score", &format!("{fixtures}/crossings.csv")]);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    let scores =
        told.matches("3 crossings that readings show found in their interval, 0 missed, 1 rest on words alone, 0 level alarms left over");
    assert_eq!(scores.count(), 3, "{told}");
    assert!(told.contains("misprints: 0 flood alarms that the believed rows alone do not raise"), "{told}");
}

#[test]
fn a_replay_against_wrong_crossings_fails() {
    let dir = tempfile::tempdir().expect("a folder");
    let crossings = std::fs::read_to_string(root().join("tests/fixtures/crossings.csv")).expect("the fixture is there");
    // Without its first crossing the first alarm answers none.
    let fewer: Vec<&str> = crossings.lines().enumerate().filter(|(i, _)| *i != 1).map(|(_, line)| line).collect();
    let file = dir.path().join("crossings.csv");
    std::fs::write(&file, fewer.join("\n")).expect("the crossings are written");
    let output = huong(&["replay", "--readings", "tests/fixtures/flood.csv", "--score", &file.display().to_string()]);
    assert!(!output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains("LEFT OVER"), "{}", stdout(&output));
}

#[test]
fn the_flood_of_2025_and_the_faulty_series_replay_as_they_must() {
    let Some(data) = shared_data() else { return };
    let path = |name: &str| data.join(name).display().to_string();
    let (readings, crossings, series) = (path("flood/hue_flood_2025.csv"), path("flood/crossings_2025.csv"), path("series"));
    let output =
        huong(&["replay", "--readings", &readings, "--score", &crossings, "--series", "config/replay/series.toml", "--data", &series]);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    assert_eq!(told.matches(" 0 missed, 5 rest on words alone, 0 level alarms left over").count(), 3, "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("ok ")).count(), 9, "{told}");
}

#[test]
fn detect_refuses_what_is_no_picture_and_looks_at_what_is() {
    let output = huong(&["detect", "README.md"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("README.md"), "{}", stderr(&output));
    let Some(data) = shared_data() else { return };
    let folder = std::fs::read_dir(data.join("scenes/traffic/images")).expect("the pictures are there");
    let image = folder.flatten().map(|entry| entry.path()).min().expect("at least one picture");
    let output = huong(&["detect", &image.display().to_string()]);
    let told = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(told.lines().filter(|line| line.contains("motorbike") || line.contains("car")).count() >= 3, "a busy junction: {told}");
}
