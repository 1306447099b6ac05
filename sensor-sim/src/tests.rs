//! The scenario as a whole: what it says, in which order, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use huong_types::decode::{Decoder, SourceConfig};
use huong_types::{Problems, Registry, Span, Stream, Timestamp};
use serde_json::Value;

use crate::faults::{self, Fault};
use crate::testing::registry;
use crate::{Emission, Scenario, ScenarioKind};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("{text}:00+07:00")).expect("a literal of these tests")
}

fn storm(registry: &Arc<Registry>, faults: bool) -> Scenario {
    Scenario::new(ScenarioKind::Storm2025, registry.clone(), 1).with_faults(faults)
}

fn until(scenario: &mut Scenario, end: Timestamp) -> Vec<Emission> {
    scenario.take_while(|emission| emission.send < end).collect()
}

/// Value by event time of one sensor's own messages, without those that are wrong on purpose.
fn values(emissions: &[Emission], topic: &str) -> BTreeMap<Timestamp, f64> {
    let sound = emissions.iter().filter(|e| &*e.topic == topic && e.faults.iter().all(|f| matches!(f, Fault::Duplicate | Fault::Delayed)));
    sound
        .map(|e| {
            let json: Value = serde_json::from_slice(&e.payload).expect("sound emissions are JSON");
            (e.at, json["value"].as_f64().expect("a number"))
        })
        .collect()
}

#[test]
fn the_registry_is_sound_and_complete() {
    let registry = registry();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for station in &registry.stations {
        *kinds.entry(&station.kind).or_default() += 1;
    }
    assert_eq!(
        kinds,
        BTreeMap::from([
            ("river", 17),
            ("reservoir", 19),
            ("rain", 56),
            ("wind", 4),
            ("air", 5),
            ("flood", 60),
            ("surface", 4),
            ("effluent", 5),
            ("fire", 8),
            ("screen", 10),
            ("soc", 3),
            ("api", 6),
            ("gateway", 24),
            ("siren", 4),
        ])
    );
    assert_eq!((registry.cameras.len(), registry.wards.len()), (200, 40));
    assert_eq!(registry.station("74647403").map(|s| s.id.as_str()), Some("davien"));
    let levels = &registry.station("kimlong").expect("the gauge of the city").levels;
    assert_eq!(["bd1", "bd2", "bd3"].map(|level| levels[level]), [1.0, 2.0, 3.5]);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let registry = Arc::new(registry());
    let play = |seed| until(&mut Scenario::new(ScenarioKind::Storm2025, registry.clone(), seed), at("2025-10-26T21:00"));
    let (one, two) = (play(1), play(1));
    assert!(one.len() > 1000, "{}", one.len());
    assert_eq!(one, two);
    assert_ne!(one, play(2));
}

#[test]
fn the_drawn_forecast_knows_the_gauge_and_misses_the_second_wave() {
    let registry = Arc::new(registry());
    let issue = |station: &str, minute: &str| -> Value {
        let mut scenario = storm(&registry, true).starting(at(minute));
        let topic = format!("hue/forecasts/water_level/{station}");
        let issue = scenario.find(|emission| *emission.topic == *topic).expect("one every six hours");
        assert_eq!(issue.at, at(minute), "at its hour");
        serde_json::from_slice(&issue.payload).expect("JSON")
    };
    for station in ["kimlong", "phuoc"] {
        let issue = issue(station, "2025-10-29T05:30");
        assert_eq!((&issue["issued"], &issue["by"]), (&Value::from("2025-10-29T05:30:00+07:00"), &Value::from("mô phỏng")));
        let points = issue["points"].as_array().expect("a list");
        assert_eq!(points.len(), 24);
        let number = |point: &Value, name: &str| point[name].as_f64().expect("a number");
        for point in points {
            assert!(number(point, "low") < number(point, "value") && number(point, "value") < number(point, "high"), "{point}");
        }
        let measured = until(&mut storm(&registry, false).starting(at("2025-10-29T17:50")), at("2025-10-29T18:10"));
        let truth = values(&measured, &format!("hue/sensors/water_level/{station}"))[&at("2025-10-29T18:00")];
        let foretold = points.iter().find(|point| number(point, "at") >= at("2025-10-29T18:00").as_millis() as f64).expect("a day ahead");
        assert!(truth - number(foretold, "value") > 1.0, "{station}: {truth} m came, {foretold}");
    }
    // The rise of the first night is foretold.
    let rising = issue("kimlong", "2025-10-27T05:30");
    assert!(rising["points"][11]["value"].as_f64().is_some_and(|level| level > 3.5), "{rising}");
    let calm = Scenario::new(ScenarioKind::Calm, registry.clone(), 1).starting(at("2025-10-29T05:30"));
    let issued = calm.take_while(|emission| emission.send < at("2025-10-29T05:40")).any(|emission| emission.topic.contains("forecasts"));
    assert!(!issued, "nobody issues one in calm weather");
}

#[test]
fn emissions_come_in_the_order_of_sending() {
    let registry = Arc::new(registry());
    let emissions = until(&mut storm(&registry, true), at("2025-10-27T00:00"));
    assert!(emissions.is_sorted_by_key(|e| e.send));
    assert!(emissions.iter().all(|e| e.send >= e.at), "nothing is sent before it is measured");
    assert!(!emissions.is_sorted_by_key(|e| e.at), "some rows come out of order");
}

#[test]
fn kim_long_passes_level_three_at_six_and_peaks_at_twenty() {
    let registry = Arc::new(registry());
    let emissions = until(&mut storm(&registry, true), at("2025-10-27T23:00"));
    let kim_long = values(&emissions, "hue/sensors/water_level/kimlong");
    let passed = kim_long.iter().find(|(_, level)| **level >= 3.5).expect("level III is reached").0;
    let minutes = (passed.as_millis() - at("2025-10-27T06:00").as_millis()) / 60_000;
    assert!((-10..=10).contains(&minutes), "at {passed}");
    let peak = kim_long.values().copied().fold(f64::MIN, f64::max);
    assert_eq!((peak, kim_long[&at("2025-10-27T20:00")]), (5.05, 5.05));
    let phu_oc = values(&emissions, "hue/sensors/water_level/phuoc");
    assert_eq!(phu_oc[&at("2025-10-27T07:00")], 4.52);
}

#[test]
fn bach_ma_collects_its_record_and_the_city_its_share() {
    let registry = Arc::new(registry());
    let emissions = until(&mut storm(&registry, false), at("2025-10-27T20:00"));
    let day =
        |topic: &str| -> f64 { values(&emissions, topic).range(at("2025-10-26T19:10")..=at("2025-10-27T19:00")).map(|(_, mm)| mm).sum() };
    let record = day("hue/sensors/rain/bachma");
    assert!((record - 1739.6).abs() < 30.0, "{record}");
    let city = day("hue/sensors/rain/huemet") / 24.0;
    assert!((20.0..50.0).contains(&city), "{city} mm/h");
    let hours = values(&emissions, "hue/sensors/rain/bachma");
    let hourly = |hour: &str| -> f64 { (0..6).map(|i| hours[&(at(hour) - Span::from_mins(10 * i))]).sum() };
    for hour in ["2025-10-26T20:00", "2025-10-27T01:00", "2025-10-27T11:00", "2025-10-27T18:00"] {
        assert!((40.0..=104.0).contains(&hourly(hour)), "{hour}: {}", hourly(hour));
    }
}

#[test]
fn streets_flood_in_the_storm() {
    let registry = Arc::new(registry());
    let emissions = until(&mut storm(&registry, true), at("2025-10-27T22:00"));
    let streets = registry.stations.iter().filter(|s| s.kind == *"flood");
    let deep = streets.filter(|s| values(&emissions, &format!("hue/sensors/street_flood/{}", s.id)).values().any(|cm| *cm >= 20.0)).count();
    assert!(deep >= 10, "{deep}");
}

#[test]
fn lakes_show_the_published_figures() {
    let registry = Arc::new(registry());
    let emissions = until(&mut storm(&registry, false), at("2025-10-29T17:00"));
    let mut rows: HashMap<(String, String), Value> = HashMap::new();
    for emission in emissions.iter().filter(|e| &*e.topic == "hue/feeds/reservoir") {
        for row in serde_json::from_slice::<Vec<Value>>(&emission.payload).expect("an array") {
            let text = |key: &str| row[key].as_str().expect("a text").to_owned();
            rows.insert((text("id"), text("ngaylaysolieu")), row);
        }
    }
    let row = &rows[&("TT".to_owned(), "2025-10-27T06:00:00".to_owned())];
    assert_eq!((row["htl"].as_f64(), row["qden"].as_f64(), row["qdi"].as_f64()), (Some(42.18), Some(6921.0), Some(423.0)));
    let full = rows.iter().filter(|((id, _), _)| id == "TT").filter_map(|(_, row)| row["htl"].as_f64()).any(|level| level >= 45.0);
    assert!(full, "Tả Trạch passes its full supply level");
}

#[test]
fn calm_days_raise_nothing() {
    let registry = Arc::new(registry());
    let mut scenario = Scenario::new(ScenarioKind::Calm, registry.clone(), 1).with_faults(false).starting(at("2025-06-01T00:00"));
    let emissions = until(&mut scenario, at("2025-06-08T00:00"));
    let kim_long = values(&emissions, "hue/sensors/water_level/kimlong");
    assert!(kim_long.len() > 1000 && kim_long.values().all(|level| (0.25..0.75).contains(level)), "{kim_long:?}");
    let rain: Vec<f64> = registry
        .stations
        .iter()
        .filter(|s| s.kind == *"rain")
        .flat_map(|s| values(&emissions, &format!("hue/sensors/rain/{}", s.id)).into_values())
        .collect();
    let dry = rain.iter().filter(|mm| **mm == 0.0).count() as f64 / rain.len() as f64;
    assert!((0.91..0.95).contains(&dry), "{dry}");
    assert!(
        emissions
            .iter()
            .filter(|e| e.topic.contains("street_flood"))
            .all(|e| String::from_utf8_lossy(&e.payload).contains("\"value\":0.0"))
    );
}

#[test]
fn faults_come_in_their_shares_and_nothing_else_is_wrong() {
    let registry = Arc::new(registry());
    let mut scenario = Scenario::new(ScenarioKind::Calm, registry.clone(), 1).starting(at("2025-06-01T00:00"));
    let mut unreadable = 0;
    let mut malformed = 0;
    for emission in until(&mut scenario, at("2025-06-11T00:00")) {
        malformed += usize::from(emission.faults.contains(&Fault::Malformed));
        let decoded = serde_json::from_slice::<Value>(&emission.payload);
        assert!(decoded.is_ok() || emission.faults.contains(&Fault::Malformed), "{emission:?}");
        unreadable += usize::from(decoded.is_err());
    }
    assert_eq!(unreadable, malformed);
    let counts = scenario.counts();
    let wind = 4.0 * 10.0 * 288.0;
    let rows = counts.rows as f64 - counts.of(Fault::Orphan) as f64 - wind;
    let share = |fault| counts.of(fault) as f64 / rows;
    // Four standard deviations around what was asked for.
    for (fault, asked) in [
        (Fault::Outlier, faults::OUTLIERS),
        (Fault::Future, faults::FUTURE),
        (Fault::Duplicate, faults::DUPLICATES),
        (Fault::Delayed, faults::DELAYED),
        (Fault::Malformed, faults::MALFORMED),
    ] {
        let spread = 4.0 * (asked / rows).sqrt();
        assert!((share(fault) - asked).abs() < spread, "{fault:?}: {} asked {asked} ± {spread}", share(fault));
        assert!(counts.of(fault) > 0, "{fault:?}");
    }
    let dropped = (counts.of(Fault::Dropped) as f64 - wind * (1.0 - faults::WIND_COVERAGE)) / rows;
    assert!((faults::DROPPED.0..faults::DROPPED.1).contains(&dropped), "{dropped}");
    assert!(counts.of(Fault::Gap) > 0);
}

#[test]
fn silences_last_twenty_to_thirty_minutes() {
    let registry = Arc::new(registry());
    let mut scenario = Scenario::new(ScenarioKind::Calm, registry, 1).starting(at("2025-06-01T00:00"));
    let times: BTreeSet<Timestamp> = until(&mut scenario, at("2025-06-21T00:00"))
        .iter()
        .filter(|e| &*e.topic == "hue/sensors/water_level/kimlong")
        .map(|e| e.at)
        .collect();
    let steps: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(a, b)| (b.as_millis() - a.as_millis()) / 60_000).collect();
    // A silence of 20 to 30 minutes takes two or three rows; a lost row may touch it.
    assert!(steps.iter().any(|step| (30..=40).contains(step)), "no silence in {steps:?}");
    assert!(steps.iter().all(|step| *step <= 60), "{steps:?}");
}

#[test]
fn every_message_is_understood_as_the_city_is_configured() {
    let registry = Arc::new(registry());
    let mut problems = Problems::default();
    let streams = Stream::parse_all("config/streams.toml", include_str!("../../config/streams.toml"), &mut problems);
    let sources = SourceConfig::parse_all("config/sources.toml", include_str!("../../config/sources.toml"), &mut problems);
    let mut decoder = Decoder::compile("config/sources.toml", &sources, "hue", &streams, registry.clone(), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let mut seen = BTreeSet::new();
    let mut da_vien = None;
    let mut streams_seen = BTreeSet::new();
    for emission in until(&mut storm(&registry, true), at("2025-10-27T12:00")) {
        let inbound = decoder.decode(&emission.topic, &emission.payload, emission.send);
        let refused = emission.faults.iter().any(|f| matches!(f, Fault::Malformed | Fault::Future));
        assert_eq!(!inbound.rejected.is_empty(), refused, "{emission:?}: {:?}", inbound.rejected);
        for reading in &inbound.readings {
            // Calls, boats and the like are in no registry.
            let known = registry.row(&reading.key).is_some();
            assert_eq!(reading.orphan, !known, "{reading:?}");
            assert_eq!(emission.faults.contains(&Fault::Orphan), !known && !emission.topic.starts_with("hue/city/"), "{reading:?}");
            let ahead = reading.stream == *"water_level_forecast";
            assert!(reading.at == emission.at || ahead && reading.at > emission.at, "{reading:?}");
            if reading.key == *"davien" && reading.at == at("2025-10-27T07:00") {
                da_vien = reading.number("value");
            }
            let own = registry.station(&reading.key).is_some_and(|s| s.streams.contains(&reading.stream));
            if own || emission.faults.contains(&Fault::Orphan) {
                seen.insert((reading.stream.to_string(), reading.key.to_string()));
            }
            streams_seen.insert(reading.stream.to_string());
        }
    }
    assert!(da_vien.is_some_and(|level| (level - 3.42).abs() < 0.02), "millimetres are read as metres: {da_vien:?}");
    // Fire panels speak only when something burns.
    let silent = registry.stations.iter().filter(|s| s.kind == *"fire" && !seen.contains(&("fire".to_owned(), s.id.to_string()))).count();
    assert_eq!(seen.len() + silent, registry.stations.len() + 3, "every station and the three unknown ones report");
    let expected = [
        "agents",
        "boats",
        "bulletins",
        "calls",
        "malware",
        "press",
        "reports",
        "services",
        "api",
        "devices",
        "screens",
        "soc",
        "water_level_forecast",
    ];
    assert!(expected.iter().all(|stream| streams_seen.contains(*stream)), "{streams_seen:?}");
}

/// Events of one stream by key, in the order of their times.
fn events(emissions: &[Emission], stream: &str) -> Vec<(Timestamp, String, Value)> {
    let prefix = format!("hue/city/{stream}/");
    let own = emissions.iter().filter(|e| e.faults.is_empty());
    let mut list: Vec<_> = own
        .filter_map(|e| Some((e.at, e.topic.strip_prefix(&prefix)?.to_owned(), serde_json::from_slice(&e.payload).expect("JSON"))))
        .collect();
    list.sort_by_key(|(at, ..)| *at);
    list
}

#[test]
fn people_call_report_and_fish_at_the_citys_rates() {
    let registry = Arc::new(registry());
    let mut calm = Scenario::new(ScenarioKind::Calm, registry.clone(), 1).starting(at("2025-06-01T00:00"));
    let emissions = until(&mut calm, at("2025-06-04T00:00"));
    let per_day = |stream: &str, field: &str, value: &str| {
        events(&emissions, stream).iter().filter(|(.., json)| field.is_empty() || json[field] == value).count() as f64 / 3.0
    };
    for (stream, field, value, low, high) in [
        ("calls", "state", "ringing", 20.0, 55.0),
        ("reports", "state", "open", 60.0, 90.0),
        ("press", "", "", 85.0, 125.0),
        ("malware", "", "", 230.0, 290.0),
        ("boats", "", "", 1350.0, 1440.0),
        ("agents", "", "", 1440.0, 1440.0),
    ] {
        let count = per_day(stream, field, value);
        assert!((low..=high).contains(&count), "{stream}: {count} a day");
    }
    let attacks: f64 = events(&emissions, "soc").iter().map(|(.., json)| json["attacks"].as_f64().expect("a number")).sum();
    assert!((17_000.0..24_000.0).contains(&(attacks / 3.0)), "{}", attacks / 3.0);
    let speeds = events(&emissions, "boats").into_iter().map(|(.., json)| json["speed"].as_f64().expect("a number"));
    assert!(speeds.clone().all(|knots| knots < 15.0), "{:?}", speeds.reduce(f64::max));
    assert!(events(&emissions, "boats").iter().any(|(.., json)| json["status"] == "in_port"));
}

#[test]
fn the_storm_brings_calls_and_boats_in() {
    let registry = Arc::new(registry());
    let mut scenario = storm(&registry, true).starting(at("2025-10-27T12:00"));
    let emissions = until(&mut scenario, at("2025-10-28T00:00"));
    let ringing = events(&emissions, "calls").iter().filter(|(.., json)| json["state"] == "ringing").count() as f64 / 12.0;
    assert!((10.0..30.0).contains(&ringing), "{ringing} calls an hour");
    let boats = events(&emissions, "boats");
    let at_sea: BTreeSet<&String> = boats.iter().filter(|(.., json)| json["status"] == "at_sea").map(|(_, key, _)| key).collect();
    assert!(at_sea.len() <= 2, "{at_sea:?}");
    assert_eq!(scenario.vehicles(0, at("2025-10-27T22:00")), None, "the feeder is cut");
    assert_eq!(scenario.vehicles(1, at("2025-10-27T20:00")), Some(0), "streets are empty at the peak");
}
