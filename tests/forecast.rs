//! A forecast against the real binary and broker: readings of the future are kept and shown, the latest issue in place of those before, they
//! survive a restart and raise none of the alarms of what is measured; what cannot be a forecast is refused with its reason.

use std::time::{SystemTime, UNIX_EPOCH};

use huong_types::Timestamp;
use serde_json::{Value, json};

use crate::client::Client;
use crate::support::{Huong, Mosquitto, Publisher, wait_for};

const HOUR: i64 = 3_600_000;
const TOPIC: &str = "hue/forecasts/water_level/kimlong";

fn millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(since.as_millis()).expect("fits")
}

/// An issue of `ago` milliseconds ago that foretells `level` for so many hours ahead of now.
fn issue(now: i64, ago: i64, level: f64, hours: std::ops::RangeInclusive<i64>) -> String {
    let issued = Timestamp::from_millis(now - ago).to_string();
    let points: Vec<Value> =
        hours.map(|hour| json!({ "at": now + hour * HOUR, "value": level, "low": level - 0.5, "high": level + 0.5 })).collect();
    json!({ "issued": issued, "by": "Đài thử", "unit": "m", "points": points }).to_string()
}

/// The curve that screens have for Kim Long.
fn curve(viewer: &Client) -> Value {
    let snapshot = viewer.get("/api/snapshot").json();
    snapshot["forecasts"].as_array().expect("a list").iter().find(|one| one["key"] == "kimlong").cloned().unwrap_or_default()
}

fn levels(curve: &Value) -> Vec<f64> {
    curve["points"].as_array().into_iter().flatten().filter_map(|point| point[1].as_f64()).collect()
}

#[test]
fn a_forecast_is_kept_shown_and_raises_no_alarm_of_what_is_measured() {
    let broker = Mosquitto::lasting();
    let mut huong = Huong::start(broker.port, "[vision]\nenabled = false\n").connected();
    let publisher = Publisher::connect(broker.port);
    let viewer = Client::nobody(huong.wall);
    let now = millis();

    // Above the highest alarm level, for a day.
    publisher.publish(TOPIC, issue(now, 2 * HOUR, 4.5, 1..=24));
    let first = wait_for("the forecast", || Some(curve(&viewer)).filter(|curve| levels(curve).len() == 24));
    assert_eq!((&first["stream"], &first["by"], levels(&first)), (&json!("water_level_forecast"), &json!("Đài thử"), vec![4.5; 24]));
    assert_eq!(first["issued"], now - 2 * HOUR);
    assert_eq!(first["points"][0], json!([now + HOUR, 4.5, 4.0, 5.0]));

    // The next takes its place as a whole; one that comes late does not.
    publisher.publish(TOPIC, issue(now, HOUR, 1.8, 1..=12));
    publisher.publish(TOPIC, issue(now, 3 * HOUR, 5.5, 1..=24));
    // What is measured raises its own alarm, and only that.
    let measured = json!({ "sensor": "kimlong", "ts": now, "value": 1.2, "unit": "m" });
    publisher.publish("hue/sensors/water_level/kimlong", measured.to_string());
    let alerts = wait_for("level I", || {
        let snapshot = viewer.get("/api/snapshot").json();
        let alerts = snapshot["alerts"].as_array().expect("a list").clone();
        alerts.iter().any(|alert| alert["rule"] == "river-bd1").then_some(alerts)
    });
    assert!(alerts.iter().all(|alert| alert["rule"] != "river-bd2" && alert["rule"] != "river-bd3"), "{alerts:?}");
    assert!(alerts.iter().all(|alert| alert["stream"] != "water_level_forecast"), "{alerts:?}");
    let second = wait_for("the later issue", || Some(curve(&viewer)).filter(|curve| curve["issued"] == now - HOUR));
    assert_eq!(levels(&second), vec![1.8; 12]);

    // What cannot be a forecast.
    publisher.publish(TOPIC, issue(now, HOUR, 2.0, 60..=60));
    publisher.publish(TOPIC, issue(now, -HOUR, 2.0, 2..=2));
    publisher.publish(TOPIC, json!({ "points": [{ "at": now + HOUR, "value": 2.0 }] }).to_string());
    let rejected = |stream: &str| {
        let ledger = viewer.get("/api/snapshot").json()["figures"]["ledger"][stream].clone();
        ledger["rejected"].as_u64().unwrap_or_default()
    };
    wait_for("three refusals", || (rejected("water_level_forecast") == 3).then_some(()));
    assert_eq!(levels(&curve(&viewer)), vec![1.8; 12]);

    // The past as it was known then: nothing but the first issue before the second came.
    let played = viewer.get(&format!("/api/past?from={}&to={}", now - HOUR, millis())).json();
    assert_eq!(played["snapshot"]["forecasts"], json!([]), "it had not come");
    let told: Vec<Value> = played["deltas"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|delta| delta["forecasts"].as_array().expect("a list").clone())
        .collect();
    assert_eq!(told.last().map(levels), Some(vec![1.8; 12]), "{told:?}");
    assert!(
        !played.to_string().contains("\"stream\":\"water_level_forecast\",\"key\":\"kimlong\",\"at\""),
        "a forecast is no value of its time"
    );

    huong.kill();
    huong.restart();
    let viewer = Client::nobody(huong.wall);
    let after = wait_for("the forecast after a restart", || Some(curve(&viewer)).filter(|curve| levels(curve).len() == 12));
    assert_eq!(after, second, "what was known is known");

    assert!(huong.stop());
    let kept =
        huong.query("SELECT count(DISTINCT at) FROM readings WHERE stream = 'water_level_forecast' AND field = 'value' AND value = 4.5");
    assert_eq!(kept, ["24"]);
    let refused = huong.query("SELECT reason, detail FROM quarantine WHERE stream = 'water_level_forecast' ORDER BY reason, detail");
    let expected = [
        ("bad_time", "field `issued`: found none, expected the time of issue"),
        ("future", "field `issued`: found 2"),
        ("future", "time: found 2"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for (line, (reason, detail)) in refused.iter().zip(expected) {
        assert!(line.starts_with(reason) && line.contains(detail), "{line}: expected {reason} {detail}");
    }
}
