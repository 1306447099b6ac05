//! The main job, as a stranger sees it: one command, the storm, the first alarm of level III on the wall.

use std::process::{Command, Stdio};

use crate::support::{free_port, get, root, terminate, wait_for};

#[test]
fn the_demo_shows_level_three_and_stops_cleanly() {
    let dir = tempfile::tempdir().expect("a folder for the demo's store");
    let (wall, broker) = (free_port(), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_huong"));
    command.args(["demo", "--cameras", "20", "--start", "2025-10-27T04:00:00+07:00"]);
    command.args(["--listen", &format!("127.0.0.1:{wall}"), "--broker", &format!("127.0.0.1:{broker}")]);
    command.arg("--data").arg(dir.path().join("store")).current_dir(root());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let snapshot = wait_for("level III at Kim Long", || {
        assert!(child.try_wait().expect("the process can be asked").is_none(), "the demo ended early");
        get(wall, "/api/snapshot").ok().filter(|snapshot| snapshot.contains("river-bd3:kimlong:"))
    });
    assert!(snapshot.contains("báo động III"), "what people read is Vietnamese first");
    wait_for("a camera's picture", || {
        let metrics = get(wall, "/metrics").unwrap_or_default();
        metrics.lines().any(|line| line.starts_with("huong_frames_total{part=\"inferred\"}") && !line.ends_with(" 0")).then_some(())
    });
    terminate(&child);
    let output = child.wait_with_output().expect("the demo ends");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("[huong] wall: http://127.0.0.1:"), "{told}");
    assert!(told.trim_end().ends_with(": balanced"), "{told}");
}
