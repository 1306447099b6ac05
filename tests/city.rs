//! A flood through the real binary and a real broker: in by MQTT, out by MQTT, webhook, wall and query, and what a power
//! cut, a restart and a broker's absence do to it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Huong, Mosquitto, PATIENCE, Publisher, free_port, subscribe, wait_for, webhook_receiver};

/// Milliseconds of now, moved by whole minutes.
fn minutes(offset: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    i64::try_from(now).expect("the clock is sane") + offset * 60_000
}

fn level(publisher: &Publisher, station: &str, at: i64, metres: f64) {
    let payload = format!("{{\"sensor\":\"{station}\",\"kind\":\"water_level\",\"ts\":{at},\"value\":{metres},\"unit\":\"m\"}}");
    publisher.publish(&format!("hue/sensors/water_level/{station}"), payload);
}

fn webhook(port: u16) -> String {
    format!("[[sink]]\nname = \"staff\"\nwebhook = {{ url = \"http://127.0.0.1:{port}/alerts\" }}\n")
}

const EXTREME: &str = "hue/alerts/extreme/river-bd3/kimlong";

#[test]
fn a_rising_river_reaches_everyone_once_and_a_power_cut_repeats_nothing() {
    let broker = Mosquitto::start();
    let (port, pushed) = webhook_receiver();
    let mut huong = Huong::start(broker.port, &webhook(port)).connected();
    let publisher = Publisher::connect(broker.port);
    for (offset, metres) in [(-40, 2.9), (-30, 3.1), (-20, 3.3), (-10, 3.5)] {
        level(&publisher, "kimlong", minutes(offset), metres);
    }
    let raised =
        |rule: &'static str| move |body: &String| body.contains(&format!("\"rule\":\"{rule}\"")) && body.contains("\"kind\":\"raised\"");
    let mut bodies = Vec::new();
    while !bodies.iter().any(raised("river-bd3")) {
        bodies.push(pushed.recv_timeout(PATIENCE).expect("level III is pushed"));
    }
    let body = bodies.iter().find(|body| raised("river-bd3")(body)).expect("just found");
    assert!(body.contains("Kim Long") && body.contains("3,50"), "a message for people, with a decimal comma: {body}");

    // A subscriber that comes later sees what holds.
    let retained = subscribe(broker.port, EXTREME).recv_timeout(PATIENCE).expect("the state is retained");
    assert!(retained.1.contains("\"state\":\"open\""), "{}", retained.1);
    wait_for("the wall to show it", || huong.snapshot().contains("river-bd3:kimlong:").then_some(()));

    huong.kill();
    huong.restart();
    assert!(huong.snapshot().contains("river-bd3:kimlong:"), "the alarm stands after a power cut");
    // One more reading above the level, and one below with its confirmation: the alarm is not raised again, and it clears.
    for (offset, metres) in [(-5, 3.6), (-3, 3.4), (-1, 3.4)] {
        level(&publisher, "kimlong", minutes(offset), metres);
    }
    wait_for("the alarm to clear", || (!huong.snapshot().contains("river-bd3:kimlong:")).then_some(()));
    assert!(huong.stop(), "{}", std::fs::read_to_string(huong.dir.path().join("log.txt")).unwrap_or_default());

    bodies.extend(pushed.try_iter());
    assert_eq!(bodies.iter().filter(|body| raised("river-bd3")(body)).count(), 1, "pushed once: {bodies:#?}");
    let kinds = huong.query("SELECT kind FROM alerts WHERE rule = 'river-bd3' AND kind IN ('raised', 'cleared') ORDER BY seq");
    assert_eq!(kinds, ["raised", "cleared"]);
    assert_eq!(huong.query("SELECT count(*) FROM readings WHERE key = 'kimlong'"), ["7"]);
    let (topic, payload) = subscribe(broker.port, "huong/status").recv_timeout(PATIENCE).expect("the status is retained");
    assert_eq!((topic.as_str(), payload.as_str()), ("huong/status", "offline"));
}

#[test]
fn readings_sent_while_the_processor_is_away_are_judged_when_it_returns() {
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, "").connected();
    let publisher = Publisher::connect(broker.port);
    level(&publisher, "phuoc", minutes(-30), 4.1);
    wait_for("the first reading", || huong.snapshot().contains("4.1").then_some(()));
    huong.kill();
    level(&publisher, "phuoc", minutes(-20), 4.4);
    level(&publisher, "phuoc", minutes(-10), 4.6);
    huong.restart();
    wait_for("level III at Phú Ốc", || huong.snapshot().contains("river-bd3:phuoc:").then_some(()));
    assert!(huong.stop());
    assert_eq!(huong.query("SELECT value FROM readings WHERE key = 'phuoc' ORDER BY at"), ["4.1", "4.4", "4.6"]);
}

#[test]
fn a_broker_that_is_down_at_the_start_and_restarts_later_loses_nothing() {
    let port = free_port();
    let mut huong = Huong::start(port, "");
    {
        let _broker = Mosquitto::on(port);
        wait_for("the first connection", || huong.snapshot().contains("\"broker_connected\":true").then_some(()));
        level(&Publisher::connect(port), "kimlong", minutes(-20), 1.2);
        wait_for("the reading", || huong.snapshot().contains("river-bd1:kimlong:").then_some(()));
    }
    wait_for("the loss to be seen", || huong.snapshot().contains("\"broker_connected\":false").then_some(()));
    let _broker = Mosquitto::on(port);
    wait_for("the second connection", || huong.snapshot().contains("\"broker_connected\":true").then_some(()));
    level(&Publisher::connect(port), "kimlong", minutes(-10), 2.1);
    wait_for("level II", || huong.snapshot().contains("river-bd2:kimlong:").then_some(()));
    assert!(huong.is_alive() && huong.stop());
}

#[test]
fn unknown_stations_are_accepted_and_listed_as_orphans() {
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, "").connected();
    level(&Publisher::connect(broker.port), "not-in-the-registry", minutes(-1), 0.4);
    wait_for("the orphan", || huong.snapshot().contains("not-in-the-registry").then_some(()));
    assert!(huong.stop());
    assert_eq!(huong.query("SELECT key FROM readings WHERE orphan"), ["not-in-the-registry"]);
}
