//! Commands that read and measure: check, test, replay, detect.

use crate::support::{huong, root, shared_data, stderr, stdout};

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
fn a_configuration_with_five_mistakes_reports_all_five() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("huong.toml");
    let text =
        "prefix = \"hue/x\"\nspeed = 3\n[mqtt]\nport = 99999\n[wall]\nlisten = \"0.0.0.0:80\"\n[vision]\nmodel = \"models/none.toml\"\n";
    std::fs::write(&file, text).expect("the configuration is written");
    let output = huong(&["check", "--config", &file.display().to_string()]);
    let told = stderr(&output);
    assert!(!output.status.success());
    for expected in [
        "huong.toml: prefix: found `hue/x`, expected one topic level",
        "huong.toml: speed: found unknown field `speed`, expected one of",
        "huong.toml: mqtt.port: found `99999`, expected u16",
        "huong.toml: wall.listen: found `0.0.0.0:80` without tokens, expected a loopback address",
        "huong.toml: vision.model: found no file `models/none.toml`, expected a model manifest",
    ] {
        assert!(told.contains(expected), "`{expected}` is missing in:\n{told}");
    }
    assert_eq!(told.lines().count(), 5, "{told}");
}

/// A flood of our own making: two crossings up, one down, one that no reading shows, one misprint.
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
