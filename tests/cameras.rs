//! Pictures of a real, crowded junction through the real detector: counts become readings, and congestion an alarm.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Huong, Mosquitto, Publisher, get, get_bytes, shared_data, wait_for};

/// A camera of the registry without zones, congested from 25 vehicles.
const CAMERA: &str = "cam-003";

#[test]
fn a_crowded_junction_raises_congestion() {
    let Some(data) = shared_data() else { return };
    let folder = data.join("scenes/traffic/images");
    let mut pictures: Vec<_> = std::fs::read_dir(folder).expect("the pictures are there").flatten().map(|entry| entry.path()).collect();
    pictures.sort();
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, "").connected();
    let publisher = Publisher::connect(broker.port);
    let frames = |part: &str| -> u64 {
        let text = get(huong.wall, "/metrics").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(&format!("huong_frames_total{{part=\"{part}\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    };
    // Without a frame nobody knows whether the frames' connection has subscribed yet.
    wait_for("the frames' subscription", || {
        publisher.publish("hue/cameras/no-such-camera/frame", "no picture");
        let text = get(huong.wall, "/metrics").unwrap_or_default();
        text.lines().any(|line| line.contains("part=\"rejected\"} ") && !line.ends_with(" 0")).then_some(())
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let shots = 26;
    for (i, picture) in pictures.iter().take(shots).enumerate() {
        // Every half minute up to now; the time of capture is the topic's last level.
        let at = now - 30_000 * (shots - i) as u128;
        publisher.publish(&format!("hue/cameras/{CAMERA}/frame/{at}"), std::fs::read(picture).expect("the picture is readable"));
        let seen = (i + 1) as u64;
        wait_for("the picture to be looked at", || (frames("inferred") + frames("gated") + frames("errors") >= seen).then_some(()));
    }
    wait_for("the alarm", || huong.snapshot().contains(&format!("traffic-congested:{CAMERA}:")).then_some(()));
    assert_eq!(frames("errors"), 0, "every picture is a picture");
    let picture = get_bytes(huong.wall, &format!("/api/cameras/{CAMERA}/frame")).expect("the wall answers");
    assert_eq!(picture, std::fs::read(&pictures[shots - 1]).expect("the picture is readable"), "the wall has the latest frame");
    assert!(huong.stop());
    let counted = huong.query(&format!("SELECT count(*) FROM observations WHERE key = '{CAMERA}' AND field = 'total' AND value >= 10"));
    assert!(counted[0].parse::<u32>().expect("a number") >= 10, "a busy junction has many vehicles: {counted:?}");
}
