//! The event stream: order, coalescing, slow screens, reconnecting, stopping.

use std::collections::BTreeSet;

use huong_types::{Flag, Severity, Span, TransitionKind};
use huong_wall::WallConfig;
use serde_json::{Value, json};

use crate::support::{NOW, Served, acknowledged, alert_of, foretold, reading, wait_for};

fn alerts(event: &Value) -> impl Iterator<Item = &Value> {
    event["alerts"].as_array().into_iter().flatten()
}

fn values<'a>(event: &'a Value, key: &'a str) -> impl Iterator<Item = f64> + 'a {
    let all = event["values"].as_array().into_iter().flatten();
    all.filter(move |value| value["key"] == key).filter_map(|value| value["fields"][0]["number"].as_f64())
}

#[test]
fn a_snapshot_comes_first_and_deltas_follow_without_a_gap() {
    let mut served = Served::start(WallConfig::default());
    let mut events = served.events();
    let snapshot = events.snapshot();
    assert_eq!(snapshot["alerts"][0]["id"], "river-bd3.phuoc", "what was open at the start");
    assert_eq!(snapshot["stations"][0]["name"], "Kim Long");
    assert_eq!(snapshot["stations"][0]["streams"][0], json!({ "id": "water_level", "silent_after": 1_800_000 }));
    assert_eq!(snapshot["streams"][0]["units"]["value"], "m");
    assert_eq!(snapshot["cameras"][0]["name"], "Cầu Trường Tiền");
    assert_eq!(snapshot["clock"], json!({ "now": NOW.as_millis(), "rate": 0.0 }));

    served.feed.value(&reading("kimlong", NOW, 3.62));
    served.step(7, TransitionKind::Raised, alert_of("kimlong"));
    let raised = events.until("the alert", |_, event| alerts(event).any(|step| step["alert"]["key"] == "kimlong"));
    assert_eq!((&raised["alerts"][0]["transition"], &raised["alerts"][0]["kind"]), (&json!(7), &json!("raised")));
    let valued = events.until("the value", |_, event| values(event, "kimlong").any(|value| value == 3.62));
    events.until("a heartbeat", |name, _| name == "heartbeat");
    let mut seqs: Vec<u64> = events.passed().iter().chain([&raised, &valued]).filter_map(|event| event["seq"].as_u64()).collect();
    seqs.sort_unstable();
    let first = snapshot["seq"].as_u64().expect("a sequence number") + 1;
    assert_eq!(seqs, (first..first + seqs.len() as u64).collect::<Vec<_>>());
    assert!(valued["figures"]["readings_per_second"] == 1234.0 && valued["figures"]["ledger"]["water_level"]["received"] == 5);
}

#[test]
fn what_is_pending_reaches_no_screen() {
    let mut served = Served::start(WallConfig::default());
    let mut events = served.events();
    events.snapshot();
    let mut pending = alert_of("kimlong");
    (pending.pending, pending.state) = (true, huong_types::AlertState::Pending);
    served.step(1, TransitionKind::Pending, pending.clone());
    pending.state = huong_types::AlertState::Cleared;
    served.step(2, TransitionKind::Settled, pending);
    served.step(3, TransitionKind::Raised, alert_of("namdong"));
    let raised = events.until("the alert", |_, event| alerts(event).any(|step| step["alert"]["key"] == "namdong"));
    let told = events.passed();
    assert!(told.iter().chain([&raised]).flat_map(alerts).all(|step| step["alert"]["key"] != "kimlong"));
}

#[test]
fn values_are_coalesced_per_key_and_an_older_one_does_not_come_back() {
    let mut served = Served::start(WallConfig::default());
    let mut events = served.events();
    events.snapshot();
    for i in 1..=1000 {
        served.feed.value(&reading("kimlong", NOW + Span::from_millis(i), i as f64));
        served.feed.value(&reading("nowhere", NOW + Span::from_millis(i), i as f64));
    }
    served.feed.value(&reading("kimlong", NOW, 0.5));
    let last = events.until("the last value", |_, event| values(event, "kimlong").any(|value| value == 1000.0));
    let mut told = 0;
    for event in events.passed().iter().chain([&last]) {
        let of_key: Vec<f64> = values(event, "kimlong").collect();
        assert!(of_key.len() <= 1, "one value per key and event: {of_key:?}");
        told += of_key.len();
    }
    assert!(told < 1000, "{told} values were told one by one");
    // The next beat brings no older value back, and unknown stations are told too.
    served.feed.value(&reading("kimlong", NOW + Span::from_millis(1001), 1001.0));
    events.until("the value after", |_, event| values(event, "kimlong").any(|value| value == 1001.0));
    assert!(events.passed().iter().all(|event| values(event, "kimlong").count() == 0));
    let mut again = served.events();
    let snapshot = again.snapshot();
    assert_eq!(values(&snapshot, "nowhere").collect::<Vec<_>>(), [1000.0]);
}

#[test]
fn a_forecast_is_one_curve_and_the_latest_issue_takes_its_place() {
    let mut served = Served::start(WallConfig::default());
    let mut events = served.events();
    let snapshot = events.snapshot();
    assert_eq!(snapshot["streams"][1]["forecast"], json!({ "of": "water_level", "stale_after": 43_200_000 }));
    assert_eq!(snapshot["forecasts"], json!([]));
    let hour = Span::from_mins(60);
    let at = |issued, hours: i64, value| {
        let mut reading = foretold(issued, NOW, value);
        reading.at = NOW + Span::from_mins(60 * hours);
        reading
    };
    let curve = |event: &Value| event["forecasts"][0].clone();
    let points = |value: f64, hours: &[i64]| {
        let moment = |hours: &i64| (NOW + Span::from_mins(60 * hours)).as_millis();
        json!(hours.iter().map(|hours| json!([moment(hours), value, null, null])).collect::<Vec<_>>())
    };
    // Out of order, and one of them corrected.
    for (hours, value) in [(3, 4.0), (1, 9.0), (1, 4.0), (2, 4.0)] {
        served.feed.value(&at(NOW - hour, hours, value));
    }
    let first = events.until("the curve", |_, event| curve(event)["points"] == points(4.0, &[1, 2, 3]));
    assert_eq!((&curve(&first)["key"], &curve(&first)["issued"]), (&json!("kimlong"), &json!((NOW - hour).as_millis())));
    served.feed.value(&at(NOW, 5, 3.0));
    served.feed.value(&at(NOW - hour, 6, 4.0));
    let mut impossible = at(NOW, 6, 99.0);
    impossible.fields.iter_mut().for_each(|field| field.quality.flag = Flag::Bad);
    served.feed.value(&impossible);
    let mut unknown = at(NOW, 5, 3.0);
    unknown.key = "nowhere".into();
    served.feed.value(&unknown);
    served.feed.value(&reading("kimlong", NOW, 3.62));
    events.until("the later issue", |_, event| curve(event)["points"] == points(3.0, &[5]));
    events.until("a beat after", |_, event| event["figures"].is_object() && event["forecasts"].is_null());
    let snapshot = served.events().snapshot();
    assert_eq!(snapshot["forecasts"].as_array().map(Vec::len), Some(1), "{}", snapshot["forecasts"]);
    assert_eq!(curve(&snapshot)["points"], points(3.0, &[5]));
    assert_eq!(snapshot["values"].as_array().map(Vec::len), Some(1), "what is foretold is no value");
    // Whoever sends without end fills no memory.
    for i in 0..2000 {
        let mut reading = at(NOW + hour, 0, 3.0);
        reading.at = NOW + hour + Span::from_mins(2000 - i);
        served.feed.value(&reading);
    }
    let full = events.until("a full curve", |_, event| {
        let points = curve(event)["points"].clone();
        points.as_array().is_some_and(|points| points.len() == 400) && points[0][0] == (NOW + hour + Span::from_mins(1)).as_millis()
    });
    assert_eq!(curve(&full)["points"][399][0], (NOW + hour + Span::from_mins(400)).as_millis());
}

#[test]
fn unknown_stations_are_bounded_and_counted() {
    let mut served = Served::start(WallConfig::default());
    for i in 0..600 {
        served.feed.value(&reading(&format!("made-up-{i}"), NOW, 1.0));
    }
    // One camera's place is free too, as it has not been seen.
    assert_eq!(served.stats.keys_over_limit.get(), 600 - 512 - 1);
    let mut events = served.events();
    let mut keys = BTreeSet::new();
    while keys.len() < 513 {
        let (_, event) = events.next().expect("the stream goes on");
        keys.extend(event["values"].as_array().into_iter().flatten().map(|value| value["key"].to_string()));
    }
    assert_eq!(keys.len(), 513);
}

#[test]
fn a_screen_that_does_not_read_is_cut_off_and_the_others_go_on() {
    let mut served = Served::start(WallConfig { screen_queue: 8, ..WallConfig::default() });
    let mut slow = served.events();
    slow.snapshot();
    let mut long = alert_of("kimlong");
    long.text.vi = "nước lên nhanh ".repeat(4000);
    let mut seq = 0;
    wait_for("the slow screen to be cut off", || {
        seq += 1;
        served.step(seq, TransitionKind::Updated, long.clone());
        served.stats.screens_cut.get() == 1
    });
    // What had been sent can still be read; then the stream is over, not merely late.
    while slow.next().is_some() {}
    let mut quick = served.events();
    quick.snapshot();
    served.step(seq + 1, TransitionKind::Raised, alert_of("other"));
    quick.until("the others' alert", |_, event| alerts(event).any(|step| step["alert"]["key"] == "other"));
    assert_eq!(served.stats.screens_cut.get(), 1);
}

#[test]
fn a_reconnect_begins_with_what_holds_now() {
    let mut served = Served::start(WallConfig::default());
    let mut first = served.events();
    let build = first.snapshot()["build"].clone();
    served.step(1, TransitionKind::Raised, alert_of("kimlong"));
    served.step(2, TransitionKind::Acknowledged, acknowledged(alert_of("kimlong"), "Chị Hương"));
    let mut over = alert_of("phuoc");
    over.state = huong_types::AlertState::Cleared;
    over.severity = Severity::Extreme;
    served.step(3, TransitionKind::Cleared, over);
    first.until("the clearing", |_, event| alerts(event).any(|step| step["kind"] == "cleared"));
    drop(first);
    let snapshot = served.events().snapshot();
    assert_eq!(snapshot["build"], build);
    let holding: Vec<(&Value, &Value)> = alerts(&snapshot).map(|alert| (&alert["key"], &alert["ack"]["by"])).collect();
    assert_eq!(holding, [(&json!("kimlong"), &json!("Chị Hương"))]);
}

#[test]
fn there_are_only_so_many_seats_and_stopping_ends_every_stream() {
    let served = Served::start(WallConfig { max_screens: 1, ..WallConfig::default() });
    let mut only = served.events();
    only.snapshot();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let refused = agent.get(served.url("/api/events")).call().expect("an answer");
    assert_eq!(refused.status(), 503);
    served.stop.set();
    while only.next().is_some() {}
}

#[test]
fn what_is_to_be_done_is_told_once_with_the_first_alert_of_a_rule() {
    let mut served = Served::start(WallConfig::default());
    let mut events = served.events();
    let snapshot = events.snapshot();
    assert_eq!(
        snapshot["advice"],
        json!({ "river-bd3": { "vi": "Đóng đường ngập", "en": "Close flooded roads" } }),
        "what was open at the start"
    );
    for (seq, rule, key) in [(1, "rain-heavy", "a"), (2, "rain-heavy", "b"), (3, "nobody-wrote", "c")] {
        let mut alert = alert_of(key);
        (alert.id, alert.rule) = (format!("{rule}.{key}").into(), rule.into());
        served.step(seq, TransitionKind::Raised, alert);
        let told = events.until(key, |_, event| alerts(event).any(|step| step["alert"]["key"] == key));
        assert_eq!(told["advice"]["rain-heavy"]["en"], if seq == 1 { json!("Close flooded roads") } else { Value::Null });
    }
    let later = served.events().snapshot();
    assert_eq!(later["advice"].as_object().map(serde_json::Map::len), Some(2), "{}", later["advice"]);
}
