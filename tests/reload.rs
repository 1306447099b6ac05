//! Rules that change under a running system, and what it says afterwards about its alarms.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Huong, Mosquitto, Publisher, get, huong, stderr, stdout, wait_for};

fn rule(id: &str, when: &str, more: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nfrom = \"water_level\"\nwhen = \"{when}\"\n{more}severity = \"severe\"\nsource = \"a test\"\ntext.vi = \"Mực nước {{station.name}} {{value:.2}} m\"\ntext.en = \"Level at {{station.name}} {{value:.2}} m\"\n"
    )
}

/// Publishes a level of so many minutes ago.
fn level(publisher: &Publisher, station: &str, minutes: u128, metres: f64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let ts = now - minutes * 60_000;
    let payload = format!("{{\"ts\":{ts},\"value\":{metres},\"unit\":\"m\"}}");
    publisher.publish(&format!("hue/sensors/water_level/{station}"), payload);
}

fn metric(huong: &Huong, line: &str) {
    let metrics = || get(huong.wall, "/metrics").unwrap_or_default();
    wait_for(line, || metrics().lines().any(|l| l == line).then_some(()));
}

fn shown(huong: &Huong, alert: &str) {
    wait_for(alert, || huong.snapshot().contains(alert).then_some(()));
}

#[test]
fn rules_change_while_running_and_mistakes_leave_the_last_good_ones() {
    let broker = Mosquitto::start();
    let high = |limit: &str| rule("high", &format!("value >= {limit}"), "");
    // By the clock the delay would end minutes after this test; a later reading ends it.
    let steady = [rule("standing", "value >= 1.0", ""), rule("delayed", "value >= 1.0", "for = \"4m\"\n")].concat();
    let mut huong = Huong::with_rules(broker.port, &[("high.toml", &high("3.0")), ("steady.toml", &steady)]).connected();
    let write = |huong: &Huong, text: &str| std::fs::write(huong.rules().join("high.toml"), text).expect("the rules are written");
    let publisher = Publisher::connect(broker.port);
    level(&publisher, "kimlong", 5, 1.5);
    shown(&huong, "standing:kimlong:");

    // Another threshold, asked for at once. What did not change goes on: the alert stands, the delay counts from where it began.
    write(&huong, &high("1.2"));
    huong.hang_up();
    metric(&huong, "huong_rules_reload_total{result=\"taken\"} 1");
    assert!(huong.snapshot().contains("standing:kimlong:"));
    level(&publisher, "phuoc", 0, 1.3);
    shown(&huong, "high:phuoc:");
    level(&publisher, "kimlong", 0, 1.5);
    shown(&huong, "delayed:kimlong:");

    // Mistakes: the rules of before still speak. Nobody asks; the change is found.
    write(&huong, &high("1.2").replace("value >=", "valeu >="));
    metric(&huong, "huong_rules_current 0");
    metric(&huong, "huong_rules_reload_total{result=\"refused\"} 1");
    let place = format!("{}:4:9: rule `high`.when: found `valeu >= 1.2`: ", huong.rules().join("high.toml").display());
    assert!(huong.log().contains(&place), "`{place}` is missing in:\n{}", huong.log());
    level(&publisher, "tuphu", 0, 1.4);
    shown(&huong, "high:tuphu:");

    // Mended, and higher. The alerts of the lower threshold go on under the higher one.
    write(&huong, &high("2.0"));
    metric(&huong, "huong_rules_current 1");
    metric(&huong, "huong_rules_reload_total{result=\"taken\"} 2");
    level(&publisher, "davien", 0, 1.5);
    shown(&huong, "standing:davien:");
    assert!(!huong.snapshot().contains("high:davien:"));
    level(&publisher, "phuoc", 0, 1.25);
    wait_for("the alert of the old threshold to clear", || (!huong.snapshot().contains("high:phuoc:")).then_some(()));
    assert!(huong.is_alive() && huong.stop(), "{}", huong.log());

    let raised = huong.query("SELECT rule || ' ' || key FROM alerts WHERE kind = 'raised' AND key = 'kimlong' ORDER BY seq");
    assert_eq!(raised.iter().filter(|line| *line == "standing kimlong").count(), 1, "raised once: {raised:?}");
    let since = huong.query(
        "SELECT since = (SELECT min(at) FROM readings WHERE key = 'kimlong') FROM alerts WHERE kind = 'raised' AND rule = 'delayed' AND key = 'kimlong'",
    );
    assert_eq!(since, ["true"], "the delay was running before the change");
    explained(&huong);
}

/// The alert at Phú Ốc was raised by the threshold of 1.2, which has been 2.0 since.
fn explained(system: &Huong) {
    let id = system.query("SELECT id FROM alerts WHERE kind = 'raised' AND rule = 'high' AND key = 'phuoc'").remove(0);
    let (config, data) = (system.dir.path().join("huong.toml"), system.dir.path().join("store"));
    let explain = |id: &str| huong(&["explain", id, "--config", &config.display().to_string(), "--data", &data.display().to_string()]);
    let output = explain(&id);
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    for expected in [&id, "Mực nước Phú Ốc", "rewritten since", "== raised at ", "when false, clear true", "value >= 2", "1.3", "cause"]
    {
        assert!(told.contains(expected), "`{expected}` is missing in:\n{told}");
    }
    let standing = system.query("SELECT id FROM alerts WHERE kind = 'raised' AND rule = 'standing' AND key = 'phuoc'").remove(0);
    let told = stdout(&explain(&standing));
    assert!(told.contains("as it runs today") && told.contains("when true, clear false"), "{told}");
    let output = explain("high:nowhere:20250101T000000Z");
    assert!(!output.status.success() && stderr(&output).contains("found no alert `high:nowhere:"), "{}", stderr(&output));
}
