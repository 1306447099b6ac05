//! The shipped sources on the formats they are for, each refusal by its words, and payloads of every other kind.

use proptest::prelude::*;

use super::*;
use crate::{Flag, Quarantined, Reading, Value};

pub(super) const SOURCES: &str = include_str!("../../../../config/sources.toml");

/// The streams as they ship, which shows that the sources as they ship fit them, and one of texts.
const STREAMS: &str = concat!(
    include_str!("../../../../config/streams.toml"),
    r#"
    [[stream]]
    id = "hotline"
    name = "Đường dây nóng"
    name_en = "Hotline"
    disorder = "10m"
    future = "10m"
    max_age = "1d"
    gap = "1h"
    silent_after_periods = 3
    fields.words = { unit = "", text = true }
"#
);

const REGISTRY: &str = r#"
    [[station]]
    id = "kimlong"
    name = "Kim Long"
    name_en = "Kim Long"
    kind = "river"
    streams = ["water_level"]
    lat = 16.457
    lon = 107.561
    period = "10m"
    aliases = ["74647999", "0101010101010101"]
"#;

/// 06:45 in Huế.
pub(super) const NOW: &str = "2025-11-17T23:45:00Z";

fn now() -> Timestamp {
    instant(NOW)
}

pub(super) fn instant(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect(text)
}

/// What one message becomes under the shipped sources and `extra` before them.
pub(super) fn decode(extra: &str, topic: &str, payload: &[u8], now: &str) -> Vec<String> {
    show(&decoder(extra).decode(topic, payload, instant(now)))
}

fn compile(extra: &str, problems: &mut Problems) -> Decoder {
    let streams = Stream::parse_all("streams.toml", STREAMS, problems);
    let registry = Registry::parse("registry.toml", REGISTRY, problems);
    let sources = SourceConfig::parse_all("sources.toml", &format!("{extra}\n{SOURCES}"), problems);
    Decoder::compile("sources.toml", &sources, "hue", &streams, Arc::new(registry), problems)
}

/// A source that ships commented out, as it would be with the comment marks taken away.
pub(super) fn shipped_off(name: &str) -> String {
    let start = SOURCES.find(&format!("# [[source]]\n# name = \"{name}\"")).expect(name);
    let lines = SOURCES[start..].lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#')).collect::<Vec<_>>().join("\n")
}

pub(super) fn decoder(extra: &str) -> Decoder {
    let mut problems = Problems::default();
    let decoder = compile(extra, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    decoder
}

/// `stream key time field=value..` per reading, then `reason: detail` per refusal.
fn shown(topic: &str, payload: &str) -> Vec<String> {
    show(&decoder("").decode(topic, payload.as_bytes(), now()))
}

pub(super) fn show(inbound: &Inbound) -> Vec<String> {
    let reading = |r: &Reading| {
        let fields = r.fields.iter().map(|f| match &f.value {
            Value::Number(n) => format!(" {}={}", f.name, (n * 1e6).round() / 1e6),
            Value::Text(t) => format!(" {}={t}", f.name),
        });
        format!("{} {}{} {}{}", r.stream, r.key, if r.orphan { "?" } else { "" }, r.at, fields.collect::<String>())
    };
    let refusal = |q: &Quarantined| format!("{}: {}", q.reason, q.detail);
    inbound.readings.iter().map(reading).chain(inbound.rejected.iter().map(refusal)).collect()
}

#[test]
fn the_feeds_of_hue_are_read() {
    let cases = [
        (
            "hue/feeds/water_level",
            r#"{"station_id":"74647403","time_point":"2025-11-18 06:40:00","depth":1378}"#,
            "water_level 74647403? 2025-11-17T23:40:00Z value=1.378",
        ),
        (
            "hue/feeds/rain",
            r#"{"station_id":750046,"time_point":"2025-11-18 06:40","depth":"4,2"}"#,
            "rain 750046? 2025-11-17T23:40:00Z value=4.2",
        ),
        (
            "hue/feeds/flood",
            r#"{"ts":1763422800000,"device":"flood-07","values":{"level_cm":23,"batt_v":3.61}}"#,
            "street_flood flood-07? 2025-11-17T23:40:00Z value=23",
        ),
        (
            "hue/feeds/reservoir",
            r#"[{"id":"TT","ngaylaysolieu":"2025-11-18T06:00:00","htl":42.18,"hhl":null,"qden":6921,"qdi":"423","socuamo":0}]"#,
            "reservoir TT? 2025-11-17T23:00:00Z gates_open=0 level=42.18 q_in=6921 q_out=423",
        ),
        (
            "hue/feeds/wind/thuan-an",
            r#"{"station_id":"w1","time_point":"2025-11-18 06:40:00","ws":"3,5","wsg":7.1,"wd":270,"wdg":"NaN"}"#,
            "wind w1? 2025-11-17T23:40:00Z dir=270 gust=7.1 speed=3.5",
        ),
        (
            "hue/feeds/air",
            r#"{"id":"kk01","time":"2025-11-17T23:40:00Z","pm25":0.0317,"pm10":0.054,"unit":"mg/m3"}"#,
            "air kk01? 2025-11-17T23:40:00Z pm10=54 pm25=31.7",
        ),
        (
            "application/17c8/device/0101010101010101/event/up",
            r#"{"time":"2025-11-17T23:40:00.120Z","deviceInfo":{"deviceName":"","devEui":"0101010101010101"},"object":{"level_cm":23,"batt_v":3.6}}"#,
            "street_flood kimlong 2025-11-17T23:40:00.12Z value=23",
        ),
        ("hue/sensors/water_level/kimlong", r#"{"ts":1763422800,"value":2.71}"#, "water_level kimlong 2025-11-17T23:40:00Z value=2.71"),
        (
            "hue/sensors/water_level/x",
            r#"{"sensor":"74647999","at":"2025-11-18T06:40:00+07:00","level":271,"unit":"cm"}"#,
            "water_level kimlong 2025-11-17T23:40:00Z value=2.71",
        ),
        ("hue/sensors/rain/r1", r#"{"time":"1763422800","rain":0.5,"unit":"in"}"#, "rain r1? 2025-11-17T23:40:00Z value=12.7"),
        ("hue/sensors/reservoir/TT", r#"{"time":1763422800,"level":42.1}"#, "reservoir TT? 2025-11-17T23:40:00Z level=42.1"),
        ("hue/sensors/river_flow/q", r#"{"time":1763422800,"level":2.7,"flow":500}"#, "river_flow q? 2025-11-17T23:40:00Z value=500"),
        (
            "hue/sensors/street_flood/f",
            r#"{"time":1763422800,"value":NaN,"level_mm":230}"#,
            "street_flood f? 2025-11-17T23:40:00Z value=23",
        ),
    ];
    for (topic, payload, expected) in cases {
        assert_eq!(shown(topic, payload), [expected], "{topic} {payload}");
    }
}

#[test]
fn every_refusal_names_what_was_found_and_expected() {
    let long = "k".repeat(200);
    let level = "hue/sensors/water_level/kimlong";
    for (topic, payload, expected) in [
        ("hue/sensors/tide/x", "{}", "unknown_stream: topic level 2: found \"tide\", expected one of water_level"),
        ("hue/sensors/hotline/x", "{}", "unknown_stream: topic level 2: found \"hotline\""),
        ("other/topic", "{}", "unknown_stream: no source takes this topic"),
        (level, "{\"value\": ", "malformed: payload: found EOF"),
        (level, "plain text", "malformed: payload: found expected value"),
        (level, "\u{0}\u{1}", "malformed"),
        (level, "[]", "bad_value: payload: found a list of 0, expected 1 to"),
        (level, "7", "bad_value: payload: found 7, expected an object"),
        (level, r#"{"value":1}"#, "bad_time: time: found none, expected one in at, time"),
        (level, r#"{"at":"yesterday","value":1}"#, "bad_time: `at`: found \"yesterday\", expected ISO 8601"),
        (level, r#"{"at":{"s":1},"value":1}"#, "bad_time: `at`: found an object of 1, expected"),
        (
            level,
            r#"{"at":"2025-11-18 07:00:00","value":1}"#,
            "future: time: found 2025-11-18T00:00:00Z, expected at most 2025-11-17T23:55:00Z",
        ),
        (level, r#"{"at":"2035-11-18 07:00:00","value":1}"#, "future"),
        (level, r#"{"at":1e300,"value":1}"#, "future"),
        (level, r#"{"at":-1e300,"value":1}"#, "too_old"),
        (level, r#"{"at":5,"value":1}"#, "too_old: time: found 1970-01-01T00:00:05Z, expected at least 2025-11-16T23:45:00Z"),
        (level, r#"{"at":1763422800,"value":true}"#, "bad_value: field `value`: found true in `value`, expected a number"),
        (level, r#"{"at":1763422800,"value":{"v":1}}"#, "bad_value: field `value`: found an object of 1 in `value`, expected a number"),
        (level, r#"{"at":1763422800,"value":"high"}"#, "bad_value: field `value`: found \"high\" in `value`, expected a number"),
        (level, r#"{"at":1763422800,"value":"1,234.5"}"#, "bad_value: field `value`: found \"1,234.5\""),
        (level, r#"{"at":1763422800,"value":"inf"}"#, "bad_value: field `value`: found \"inf\" in `value`, expected a finite number"),
        (level, r#"{"at":1763422800,"value":null}"#, "bad_value: values: found none, expected a number in one of value, level"),
        (level, r#"{"at":1763422800,"value":"NaN","level":"","depth":"---"}"#, "bad_value: values: found none"),
        (
            level,
            r#"{"at":1763422800,"value":1,"unit":"furlong"}"#,
            "bad_unit: unit of `value`: found \"furlong\", expected one that converts to `m`",
        ),
        (level, r#"{"at":1763422800,"value":1,"unit":"m/s"}"#, "bad_unit: unit of `value`: found a unit of another quantity"),
        (level, r#"{"at":1763422800,"value":1,"unit":3}"#, "bad_unit: unit of `value`: found 3"),
        (
            level,
            r#"{"sensor":true,"at":1763422800,"value":1}"#,
            "missing_key: key: found true in `sensor`, expected a text or a whole number",
        ),
        (level, r#"{"sensor":1.5,"at":1763422800,"value":1}"#, "missing_key: key: found 1.5 in `sensor`"),
        (level, r#"{"sensor":"a/b","at":1763422800,"value":1}"#, "missing_key: key: found \"a/b\", expected at most 128 bytes without"),
        (level, r#"{"sensor":"a\u0007","at":1763422800,"value":1}"#, "missing_key: key: found \"a\\u{7}\""),
        (level, &format!(r#"{{"sensor":"{long}","at":1763422800,"value":1}}"#), "missing_key: key: found \"kkkk"),
        ("hue/sensors/water_level/", r#"{"at":1763422800,"value":1}"#, "missing_key: key: found none, expected one in sensor, station_id"),
    ] {
        let found = shown(topic, payload);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{topic} {payload}:\n found {found:?}\n expected {expected}");
    }
}

#[test]
fn a_forecast_is_dated_ahead_and_says_when_it_was_issued() {
    let topic = "hue/forecasts/water_level/kimlong";
    let found = shown(
        topic,
        r#"{"issued":"2025-11-18T06:30:00+07:00","by":"KTTV","unit":"cm","points":[{"at":"2025-11-18T12:00:00+07:00","value":271,"low":250,"high":300},
            {"at":"2025-11-19T06:00:00+07:00","value":"1,5"},{"at":"2025-11-20T07:00:00+07:00","value":150}]}"#,
    );
    assert_eq!(
        found,
        [
            "water_level_forecast kimlong 2025-11-18T05:00:00Z by=KTTV high=3 issued=2025-11-18T06:30:00+07:00 low=2.5 value=2.71",
            "water_level_forecast kimlong 2025-11-18T23:00:00Z by=KTTV issued=2025-11-18T06:30:00+07:00 value=0.015",
            "future: element 2: time: found 2025-11-20T00:00:00Z, expected at most 2025-11-19T23:45:00Z",
        ]
    );
    for (fields, expected) in [
        (r#""value":1"#, "bad_time: field `issued`: found none, expected the time of issue, such as 2025-10-29T05:30:00+07:00"),
        (r#""value":1,"issued":"05:30""#, "bad_time: field `issued`: found \"05:30\", expected the time of issue"),
        (
            r#""value":1,"issued":"2025-11-18T07:30:00+07:00""#,
            "future: field `issued`: found 2025-11-18T00:30:00Z, expected at most 2025-11-17T23:55:00Z",
        ),
        (r#""issued":"2025-11-18T06:30:00+07:00""#, "bad_value: field `value`: found none, expected a number"),
        (
            r#""value":"high","issued":"2025-11-18T06:30:00+07:00""#,
            "bad_value: field `value`: found \"high\" in `value`, expected a number",
        ),
        (r#""value":1,"low":1.5,"issued":"2025-11-18T06:30:00+07:00""#, "bad_value: field `low`: found 1.5, expected at most the value, 1"),
        (
            r#""value":1,"high":0.5,"issued":"2025-11-18T06:30:00+07:00""#,
            "bad_value: field `high`: found 0.5, expected at least the value, 1",
        ),
    ] {
        for topic in [topic, "hue/sensors/water_level_forecast/kimlong"] {
            let point = format!(r#"{{"at":"2025-11-18T12:00:00+07:00",{fields}}}"#);
            let payload = if topic.contains("forecasts") { format!(r#"{{"points":[{point}]}}"#) } else { point };
            let found = shown(topic, &payload);
            let place = if topic.contains("forecasts") { "element 0: " } else { "" };
            let (reason, detail) = expected.split_once(": ").expect("a reason");
            let expected = format!("{reason}: {place}{detail}");
            assert!(found.len() == 1 && found[0].starts_with(&expected), "{payload}:\n found {found:?}\n expected {expected}");
        }
    }
    let late = r#"{"issued":"2025-11-18T06:30:00+07:00","points":[{"at":"2025-11-18T06:00:00+07:00","value":1}]}"#;
    assert_eq!(
        shown(topic, late),
        [
            "bad_time: element 0: field `issued`: found 2025-11-17T23:30:00Z, expected at most the time that it foretells, 2025-11-17T23:00:00Z"
        ]
    );
}

#[test]
fn good_elements_and_fields_pass_beside_bad_ones() {
    let found = shown(
        "hue/feeds/reservoir",
        r#"[{"id":"A","ngaylaysolieu":"2025-11-18T06:00:00","htl":1},7,{"id":"B","ngaylaysolieu":"2025-11-18T06:00:00","htl":true,"qden":5},{"id":"C"}]"#,
    );
    assert_eq!(
        found,
        [
            "reservoir A? 2025-11-17T23:00:00Z level=1",
            "reservoir B? 2025-11-17T23:00:00Z q_in=5",
            "bad_value: element 1: payload: found 7, expected an object",
            "bad_value: element 2: field `level`: found true in `htl`, expected a number",
            "bad_time: element 3: time: found none, expected one in ngaylaysolieu",
        ]
    );
}

#[test]
fn only_the_first_refusal_of_a_message_keeps_its_bytes() {
    let payload = format!("[{}1]", "1,".repeat(5000));
    let inbound = decoder("").decode("hue/feeds/reservoir", payload.as_bytes(), now());
    assert_eq!(inbound.rejected.len(), 5001);
    let kept: Vec<usize> = inbound.rejected.iter().map(|q| q.bytes.len()).collect();
    assert_eq!((kept[0], kept[1..].iter().sum::<usize>()), (Quarantined::MAX_BYTES, 0));
    assert!(inbound.rejected.iter().all(|q| q.length == payload.len() as u64));
}

#[test]
fn limits_hold() {
    let mut small = decoder("").with_limits(Limits { payload: 100, items: 2 });
    let mut found = |payload: String| show(&small.decode("hue/feeds/reservoir", payload.as_bytes(), now())).remove(0);
    assert!(found(" ".repeat(101)).starts_with("too_large: payload: found 101 bytes, expected at most 100"));
    assert!(found("[1,2,3]".into()).starts_with("too_large: payload: found a list of 3, expected 1 to 2"));
    assert!(found("[".repeat(100)).starts_with("malformed"));
    let large = small.refuse_large("hue/feeds/rain/x", b"head", 50_000_000, now());
    let kept = &large.rejected[0];
    assert_eq!((kept.reason, kept.length, kept.bytes.as_slice()), (RejectReason::TooLarge, 50_000_000, b"head".as_slice()));
    assert_eq!((kept.source.as_deref(), kept.stream.as_deref()), (Some("feed-rain"), Some("rain")));
}

#[test]
fn a_source_may_take_time_of_arrival_scale_and_texts() {
    let extra = r#"
        [[source]]
        name = "hotline"
        topic = "{prefix}/calls/+"
        stream = "hotline"
        key = [{ topic = 2 }]
        time_from_arrival = true
        fields.words = ["text"]
        [[source]]
        name = "raw"
        topic = "raw/+/v"
        stream = "water_level"
        key = [{ topic = 1 }]
        time = ["t"]
        time_from_arrival = true
        fields.value = [{ path = "v", scale = 10, unit = "cm" }]
    "#;
    let mut decoder = decoder(extra);
    let mut shown = |topic: &str, payload: &str| show(&decoder.decode(topic, payload.as_bytes(), now()));
    assert_eq!(shown("hue/calls/114", r#"{"text":"Ngập rồi"}"#), ["hotline 114? 2025-11-17T23:45:00Z words=Ngập rồi"]);
    assert_eq!(shown("raw/k/v", r#"{"v":100}"#), ["water_level k? 2025-11-17T23:45:00Z value=10"]);
    assert!(shown("raw/k/v", r#"{"v":100,"t":"soon"}"#)[0].starts_with("bad_time"));
    assert!(shown("raw/k/v", r#"{"v":1e308,"t":""}"#)[0].ends_with("in `v`, expected a finite number"));
}

#[test]
fn a_prefix_of_several_levels_shifts_topic_levels() {
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams.toml", STREAMS, &mut problems);
    let sources = SourceConfig::parse_all("sources.toml", SOURCES, &mut problems);
    let mut decoder = Decoder::compile("sources.toml", &sources, "vn/hue", &streams, Arc::new(Registry::default()), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let inbound = decoder.decode("vn/hue/sensors/rain/r1", br#"{"at":1763422800,"value":1}"#, now());
    assert_eq!(show(&inbound), ["rain r1? 2025-11-17T23:40:00Z value=1"]);
    assert!(decoder.filters().contains(&"vn/hue/sensors/+/+".to_owned()), "{:?}", decoder.filters());
}

#[test]
fn every_mistake_in_a_source_is_named() {
    let extra = r#"
        [[source]]
        name = "sensors"
        topic = "{prefix}/a#/b"
        stream = "rain"
        key = ["id"]
        time = ["t"]
        fields.value = ["v"]
        [[source]]
        name = "wrong"
        topic = "x/+"
        stream = "rain"
        key = [{ topic = 2 }, "a..b"]
        zone = "Mars/Olympus"
        [source.fields]
        value = [{ path = "v", unit = "furlong", scale = 0 }, { path = "w", unit = "m/s" }]
        depth = ["d"]
        [[source]]
        name = "lost"
        topic = "y"
        stream = "tide"
        key = []
        fields = {}
        [[source]]
        name = "shared"
        topic = "w"
        format = "csv"
        items = ".rows"
        stream = "rain"
        key = ["id"]
        time = ["t"]
        fields.value = ["v"]
        also = [{ stream = "rain", fields.value = ["v"] }, { stream = "tides", fields.value = ["v"] }, { stream = "air", fields.depth = ["v"] }]
        [[source]]
        name = "odd"
        topic = "z"
        stream = 7
        key = ["id"]
        fields = {}
    "#;
    let mut problems = Problems::default();
    compile(extra, &mut problems);
    let lines: Vec<String> = problems.list.iter().map(ToString::to_string).collect();
    for expected in [
        "source[4].stream: found `7`, expected a stream's id, or { topic = LEVEL }",
        "source `sensors`.name: found a name again",
        "source `sensors`.topic: found `hue/a#/b`, expected an MQTT topic filter",
        "source `wrong`.key: found `topic = 2`, expected a level that `x/+` always has",
        "source `wrong`.key: found `a..b`, expected names joined by dots",
        "source `wrong`.time: found none, expected a path, or time_from_arrival = true",
        "source `wrong`.zone: found `Mars/Olympus`, expected",
        "source `wrong`.fields.value.unit: found `furlong`, expected a known unit",
        "source `wrong`.fields.value.scale: found `0`, expected a finite number other than 0",
        "source `wrong`.fields.value.unit: found a unit of another quantity, expected a unit that converts to `mm`",
        "source `wrong`.fields.depth: found no such field, expected one of `value`",
        "source `lost`.stream: found `tide`, expected one of `agents`, `air`",
        "source `shared`.format: found `csv`, expected one of `json`, `chirpstack`",
        "source `shared`.items: found `.rows`, expected names joined by dots",
        "source `shared`.also `rain`: found a stream again, expected each stream of a source once",
        "source `shared`.also `tides`: found no such stream, expected one of `agents`, `air`",
        "source `shared`.also `air`.fields.depth: found no such field, expected one of `co`",
    ] {
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}\nnot in {lines:#?}");
    }
}

/// JSON objects with the names that the sources look for and values of every kind.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[0-9NaInf.,eE+/#:TZ -]{0,24}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let name = prop_oneof![
        Just("value".to_owned()),
        Just("at".to_owned()),
        Just("unit".to_owned()),
        Just("sensor".to_owned()),
        Just("values".to_owned()),
        Just("level_cm".to_owned()),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("hue/sensors/water_level/kimlong".to_owned()),
        Just("hue/sensors/reservoir/x".to_owned()),
        Just("hue/feeds/flood".to_owned()),
        any::<String>(),
    ]
}

/// Something comes out, and what comes out as a reading is sound.
pub(super) fn sound(inbound: &Inbound, now: Timestamp) {
    let Inbound { readings, rejected, silent, .. } = inbound;
    assert!(!readings.is_empty() || !rejected.is_empty() || !silent.is_empty(), "a message must not vanish");
    for reading in readings {
        assert!(!reading.fields.is_empty() && !reading.key.is_empty() && !reading.key.contains(['/', '+', '#']));
        assert!(reading.fields.iter().all(|f| f.number().is_none_or(f64::is_finite)));
        assert_eq!(reading.flag(), Flag::Ok);
        assert!(reading.at <= now + crate::Span::from_mins(10) && reading.at >= now - crate::Span::from_mins(1440));
    }
}

proptest! {
    #[test]
    fn random_bytes_end_in_a_refusal(topic in topic(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        sound(&decoder("").decode(&topic, &bytes, now()), now());
    }

    #[test]
    fn random_json_ends_well(topic in topic(), json in json()) {
        sound(&decoder("").decode(&topic, json.to_string().as_bytes(), now()), now());
    }

    #[test]
    fn valid_json_with_a_changed_byte_ends_well(at in 0usize..80, byte in any::<u8>(), value in -1e9f64..1e9, offset in -86_000i64..600) {
        let time = now().as_millis() / 1000 + offset;
        let text = format!(r#"{{"sensor":"kimlong","at":{time},"value":{value},"unit":"m","x":[1,{{"y":"z"}}]}}"#);
        let mut bytes = text.clone().into_bytes();
        let mut decoder = decoder("");
        let whole = decoder.decode("hue/sensors/water_level/kimlong", &bytes, now());
        prop_assert_eq!(whole.readings.len(), 1);
        prop_assert!((whole.readings[0].number("value").expect("a value") - value).abs() <= value.abs() * 1e-12);
        let at = at % bytes.len();
        bytes[at] = byte;
        sound(&decoder.decode("hue/sensors/water_level/kimlong", &bytes, now()), now());
    }

    #[test]
    fn a_time_is_the_same_however_it_is_written(seconds in -86_000i64..600) {
        let at = now() + crate::Span::from_secs(seconds);
        let s = at.as_millis() / 1000;
        let local = jiff::Timestamp::from_second(s).expect("in range").to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(7)));
        let mut decoder = decoder("");
        for time in [
            s.to_string(),
            (s * 1000).to_string(),
            (s * 1_000_000_000).to_string(),
            format!("\"{at}\""),
            local.strftime("\"%Y-%m-%d %H:%M:%S\"").to_string(),
        ] {
            let inbound = decoder.decode("hue/sensors/water_level/kimlong", format!(r#"{{"at":{time},"value":1}}"#).as_bytes(), now());
            prop_assert_eq!(inbound.readings.first().map(|r| r.at), Some(at), "{}", time);
        }
    }
}
