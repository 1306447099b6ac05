//! Whatever is thrown at it, the process lives, what is valid beside it is kept, and every refusal is found again with its
//! reason.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Huong, Mosquitto, Publisher, get, huong, root, stderr, wait_for};

/// A JPEG header that claims 65,535 × 65,535 pixels in a few hundred bytes.
fn bomb() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xc0, 0x00, 0x11, 0x08, 0xff, 0xff, 0xff, 0xff, 0x03, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
    bytes.extend([0xff, 0xda, 0x00, 0x0c, 0x03, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3f, 0]);
    bytes.extend([0u8; 200]);
    bytes.extend([0xff, 0xd9]);
    bytes
}

#[test]
fn bad_input_of_every_kind_is_quarantined_and_the_ledger_balances() {
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, "").connected();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let publisher = Publisher::connect(broker.port);
    let river = "hue/sensors/water_level/kimlong";
    let frame = "hue/cameras/cam-001/frame";
    let truncated = [&[0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10][..], b"JFIF\0", &[1; 9], &[0xff, 0xdb, 0x00, 0x43]].concat();
    publisher.publish(river, "{\"sensor\":\"kimlong\",");
    publisher.publish(river, "\u{fffd}\u{0}");
    publisher.publish(river, format!("{{\"ts\":{now},\"value\":[1,2]}}"));
    publisher.publish(river, format!("{{\"ts\":{now},\"value\":\"high\"}}"));
    publisher.publish(river, format!("{{\"ts\":{now},\"value\":null}}"));
    publisher.publish(river, format!("{{\"ts\":{now},\"value\":1.0,\"unit\":\"furlong\"}}"));
    publisher.publish(river, "{\"ts\":\"yesterday\",\"value\":1.0}");
    publisher.publish(river, format!("{{\"ts\":{},\"value\":1.0}}", now + 86_400_000));
    publisher.publish(river, "{\"ts\":1000,\"value\":1.0}");
    publisher.publish("hue/sensors/volcano/etna", format!("{{\"ts\":{now},\"value\":1.0}}"));
    publisher.publish(river, vec![b' '; 50 << 20]);
    publisher.publish(frame, "this is a text file, not a picture");
    publisher.publish(frame, bomb());
    publisher.publish(frame, truncated);
    publisher.publish("hue/cameras/no-such-camera/frame", bomb());
    // The valid reading beside all that, twice.
    let valid = format!("{{\"ts\":{now},\"value\":\"1,21\"}}");
    publisher.publish(river, valid.clone());
    publisher.publish(river, valid);

    let metric = |name: &str| -> u64 {
        let text = get(huong.wall, "/metrics").unwrap_or_default();
        // What the processor tells of itself comes beside what was sent.
        let sent = |line: &&str| line.starts_with("huong_readings_total") && !line.contains("processor_disk");
        let values = text.lines().filter(sent).filter(|line| line.contains(&format!("part=\"{name}\"")));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    // What was sent, and the disaster-risk level that a rule derives from the one valid reading.
    wait_for("all messages to be accounted for", || {
        (metric("received") == 18 && metric("stored") + metric("rejected") == 18).then_some(())
    });
    assert!(huong.is_alive());
    assert!(huong.stop(), "{}", std::fs::read_to_string(huong.dir.path().join("log.txt")).unwrap_or_default());

    assert_eq!(huong.query("SELECT value FROM readings WHERE key = 'kimlong'"), ["1.21"]);
    let reasons = huong.query("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason");
    let expected = [
        "bad_frame,3",
        "bad_time,1",
        "bad_unit,1",
        "bad_value,3",
        "duplicate,1",
        "future,1",
        "malformed,2",
        "too_large,1",
        "too_old,1",
        "unknown_camera,1",
        "unknown_stream,1",
    ];
    assert_eq!(reasons, expected);
    let details = huong.query("SELECT detail FROM quarantine WHERE reason = 'bad_unit'");
    assert!(details[0].contains("furlong"), "the reason names what was found: {details:?}");
    let large = huong.query("SELECT length FROM quarantine WHERE reason = 'too_large'");
    assert_eq!(large, [(50 << 20).to_string()], "the whole length is kept, of the bytes only the head");
}

#[test]
fn a_missing_model_is_named_before_anything_starts() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("huong.toml");
    let text = format!("[store]\ndir = {:?}\n[vision]\nmodel = \"models/missing.toml\"\n", dir.path().join("store").display().to_string());
    std::fs::write(&file, text).expect("the configuration is written");
    let output = huong(&["run", "--config", &file.display().to_string()]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("vision.model: found no file `models/missing.toml`"), "{}", stderr(&output));
    assert!(!dir.path().join("store").exists(), "nothing was begun");
    assert!(root().join("models/vehicles.toml").exists(), "the shipped one is there");
}
