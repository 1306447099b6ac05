//! Files of a watched folder: read when whole, moved when stored, read again after a crash.

use std::fs;
use std::path::Path;

use huong_ingest::{FolderConfig, MqttConfig, Protocol};
use huong_types::{Problems, RejectReason, Span};
use tempfile::TempDir;

use crate::mosquitto::Mosquitto;
use crate::rig::{Peer, Rig, config, level, until};

fn folder(dir: &TempDir) -> FolderConfig {
    FolderConfig {
        dir: dir.path().to_owned(),
        topic: "hue/sensors/water_level".into(),
        settle: Span::from_millis(10),
        done: None,
        bad: None,
        keep: Span::from_mins(24 * 60),
    }
}

/// Nobody listens there: files need no broker.
fn alone() -> MqttConfig {
    config(1, Protocol::V5)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect());
    let mut names: Vec<String> = entries.unwrap_or_default();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_moved_once_it_is_stored_and_read_again_after_a_crash() {
    let dir = TempDir::new().expect("a folder");
    fs::write(dir.path().join("kimlong"), level(2.5)).expect("written");
    let rig = Rig::folder(alone(), folder(&dir));
    assert_eq!(rig.next_value().await.0, 2.5);
    assert_eq!(names(dir.path()), ["kimlong"], "not stored yet");
    rig.crash();
    let again = Rig::folder(alone(), folder(&dir));
    let (value, token) = again.next_value().await;
    assert_eq!(value, 2.5);
    again.acknowledge(token);
    until("moved", || names(dir.path()) == ["done"]).await;
    // The same name once more does not replace what was kept.
    fs::write(dir.path().join("kimlong"), level(2.75)).expect("written");
    let (value, token) = again.next_value().await;
    assert_eq!(value, 2.75);
    again.acknowledge(token);
    until("moved beside", || names(&dir.path().join("done")) == ["kimlong", "kimlong.1"]).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_written_waits_and_what_was_written_anew_is_read_again() {
    let dir = TempDir::new().expect("a folder");
    for unfinished in [".kimlong", "kimlong.tmp", "kimlong.part"] {
        fs::write(dir.path().join(unfinished), "{\"at\":").expect("written");
    }
    fs::create_dir(dir.path().join("pictures")).expect("made");
    let rig = Rig::folder(alone(), folder(&dir));
    fs::write(dir.path().join("kimlong"), level(1.0)).expect("written");
    let (value, token) = rig.next_value().await;
    assert_eq!(value, 1.0, "the unfinished ones were not read");
    fs::write(dir.path().join("kimlong"), level(1.125)).expect("written");
    rig.acknowledge(token);
    let (value, token) = rig.next_value().await;
    assert_eq!(value, 1.125, "the new content is not moved away unread");
    rig.acknowledge(token);
    until("moved", || names(&dir.path().join("done")) == ["kimlong"]).await;
    fs::rename(dir.path().join("kimlong.tmp"), dir.path().join("davien")).expect("renamed");
    let inbound = rig.next().await;
    assert_eq!(inbound.rejected[0].topic, "hue/sensors/water_level/davien");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_kept_apart_with_its_reason() {
    let dir = TempDir::new().expect("a folder");
    let small = MqttConfig { max_payload: 2000, ..alone() };
    fs::write(dir.path().join("garbled"), "{\"at\":").expect("written");
    fs::write(dir.path().join("large"), "x".repeat(5000)).expect("written");
    let rig = Rig::folder(small, folder(&dir));
    for (name, reason, length) in [("garbled", RejectReason::Malformed, 6), ("large", RejectReason::TooLarge, 5000)] {
        let inbound = rig.next().await;
        let kept = &inbound.rejected[0];
        assert_eq!((kept.reason, kept.length, kept.topic.rsplit('/').next()), (reason, length, Some(name)));
        rig.acknowledge(inbound.ack.expect("files wait to be stored"));
    }
    until("kept apart", || names(&dir.path().join("bad")) == ["garbled", "large"]).await;
    assert_eq!(names(dir.path()), ["bad"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_come_in_the_order_of_their_names_beside_the_broker() {
    let (dir, broker) = (TempDir::new().expect("a folder"), Mosquitto::start());
    for i in 0..200 {
        fs::write(dir.path().join(format!("s{i:03}")), level(f64::from(i))).expect("written");
    }
    // One at a time: the broker sends the second once the first one's acknowledgement has found it.
    let rig = Rig::folder(MqttConfig { receive_maximum: 1, ..config(broker.port, Protocol::V5) }, folder(&dir));
    for expected in 0..200 {
        let (value, token) = rig.next_value().await;
        assert_eq!(value, f64::from(expected));
        rig.acknowledge(token);
    }
    until("all moved", || names(&dir.path().join("done")).len() == 200).await;
    rig.connected().await;
    Peer::connect(broker.port, "peer").await.levels([7, 8]).await;
    let (value, token) = rig.next_value().await;
    assert_eq!(value, 7.0);
    rig.acknowledge(token);
    assert_eq!(rig.next_value().await.0, 8.0);
    rig.stop().await;
}

#[test]
fn every_mistake_of_a_folder_is_named() {
    let dir = TempDir::new().expect("a folder");
    let wrong =
        FolderConfig { topic: "a/#".into(), settle: Span::ZERO, keep: Span::ZERO, done: Some(dir.path().to_owned()), ..folder(&dir) };
    let lost = FolderConfig { dir: dir.path().join("nowhere"), ..folder(&dir) };
    let mut problems = Problems::default();
    wrong.check("huong.toml", "folder[0]", &mut problems);
    lost.check("huong.toml", "folder[1]", &mut problems);
    let text = problems.to_string();
    for expected in [
        "folder[0].topic: found `a/#`",
        "folder[0].settle: found `0s`",
        "folder[0].keep: found `0s`",
        "folder[0].done: found",
        "folder[1].dir: found no folder",
    ] {
        assert!(text.contains(expected), "{expected} not in {text}");
    }
    problems = Problems::default();
    folder(&dir).check("huong.toml", "folder[0]", &mut problems);
    assert!(problems.is_empty(), "{problems}");
}
