//! `huong backup` beside a running processor, `huong restore`, and a start on what came back.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Huong, Mosquitto, Publisher, huong, stderr, stdout, wait_for};

const ROWS: &str = "SELECT seq, key, at, value FROM readings WHERE key = 'phuoc' ORDER BY seq";

#[test]
fn a_backup_of_a_running_store_comes_back_and_starts() {
    let broker = Mosquitto::start();
    let mut running = Huong::start(broker.port, "").connected();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis() as i64;
    let publisher = Publisher::connect(broker.port);
    let send = |n: i64| {
        // So close together that none is of the future, however long a backup takes.
        let (at, value) = (now - 20_000_000 + n * 10, 0.5 + (n % 1000) as f64 / 1000.0);
        let payload = format!("{{\"sensor\":\"phuoc\",\"kind\":\"water_level\",\"ts\":{at},\"value\":{value},\"unit\":\"m\"}}");
        publisher.publish("hue/sensors/water_level/phuoc", payload);
    };
    (0..100).for_each(send);
    wait_for("the first readings to be stored", || (running.query(ROWS).len() == 100).then_some(()));

    // Readings go on coming in while each backup is taken.
    let place = tempfile::tempdir().expect("a folder for the backup");
    let path = |name: &str| place.path().join(name).display().to_string();
    let config = running.dir.path().join("huong.toml").display().to_string();
    let mut next = 100;
    let mut back_up = || {
        let before = running.query(ROWS).len();
        let output = std::thread::scope(|scope| {
            let taken = scope.spawn(|| huong(&["backup", &path("backup"), "--config", &config]));
            while !taken.is_finished() {
                send(next);
                next += 1;
            }
            taken.join().expect("the command was started")
        });
        assert!(output.status.success(), "{}", stderr(&output));
        (before, stdout(&output))
    };
    back_up();
    let (before, said) = back_up();
    assert!(said.contains("new: "), "{said}");

    let restored = huong(&["restore", &path("backup"), &path("store"), "--config-to", &path("saved")]);
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert_eq!(
        std::fs::read_to_string(place.path().join("saved/config/streams.toml")).expect("saved"),
        include_str!("../config/streams.toml")
    );
    let again = huong(&["restore", &path("backup"), &path("store")]);
    assert!(!again.status.success() && stderr(&again).contains("not empty"), "{}", stderr(&again));

    wait_for("all readings to be stored", || (running.query(ROWS).len() == next as usize).then_some(()));
    assert!(running.stop());
    let all = running.query(ROWS);
    let kept = huong(&["query", ROWS, "--format", "csv", "--data", &path("store")]);
    let kept: Vec<String> = stdout(&kept).lines().skip(1).map(str::to_owned).collect();
    assert!((before..=all.len()).contains(&kept.len()), "{before} <= {} <= {}", kept.len(), all.len());
    assert_eq!(kept, all[..kept.len()], "the rows as of the backup, all of them");

    // The restored store in place of the old one.
    std::fs::remove_dir_all(running.dir.path().join("store")).expect("the test's own");
    std::fs::rename(path("store"), running.dir.path().join("store")).expect("one file system");
    running.restart();
    send(next);
    wait_for("the next reading", || (running.query(ROWS).len() == kept.len() + 1).then_some(()));
    assert!(running.stop(), "{}", running.log());
}
