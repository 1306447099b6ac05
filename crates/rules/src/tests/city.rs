//! A small city of its own, and a way to tell stories in it: minutes after midnight UTC, `stream/key`, `field=value …`.

use std::sync::Arc;

use huong_types::{Field, Name, Origin, Problems, Quality, Reading, Registry, Span, Stream, Timestamp, Value};

use super::{minute, told};
use crate::{Engine, Out, Verdict};

/// Gauges, dams, occurrences, and two levels of derived streams.
pub(crate) const STREAMS: &str = r#"
    [[stream]]
    id = "level"
    name = "Mực nước"
    name_en = "Level"
    disorder = "2m"
    future = "10m"
    max_age = "1d"
    gap = "1d"
    silent_after_periods = 3
    fields.value = { unit = "m", min = -5.0, max = 50.0, source = "a test" }
    fields.zone = { unit = "", text = true }

    [[stream]]
    id = "dam"
    name = "Hồ"
    name_en = "Dam"
    disorder = "5m"
    future = "10m"
    max_age = "1d"
    gap = "1d"
    silent_after_periods = 3
    fields.q_out = { unit = "m3/s" }

    [[stream]]
    id = "calls"
    name = "Cuộc gọi"
    name_en = "Calls"
    events = true
    id_field = "no"
    most_unknown_keys = 50
    disorder = "2m"
    future = "10m"
    max_age = "1d"
    gap = "1d"
    silent_after_periods = 3
    fields.n = { unit = "1" }
    fields.lat = { unit = "1" }
    fields.lon = { unit = "1" }
    fields.kind = { unit = "", text = true }
    fields.no = { unit = "", text = true }

    [[stream]]
    id = "orders"
    name = "Lệnh"
    name_en = "Orders"
    events = true
    disorder = "10m"
    future = "10m"
    max_age = "7d"
    gap = "1d"
    silent_after_periods = 3
    fields.kind = { unit = "", text = true }

    [[stream]]
    id = "mean"
    name = "Trung bình"
    name_en = "Mean"
    origin = "derived"
    disorder = "5m"
    future = "10m"
    max_age = "1d"
    gap = "1d"
    silent_after_periods = 3
    fields.value = { unit = "m" }

    [[stream]]
    id = "peak"
    name = "Đỉnh"
    name_en = "Peak"
    origin = "derived"
    disorder = "5m"
    future = "10m"
    max_age = "1d"
    gap = "1d"
    silent_after_periods = 3
    fields.value = { unit = "m" }
"#;

const REGISTRY: &str = r#"
    station = [
        { id = "a", name = "Trạm A", name_en = "A", kind = "test", streams = ["level"], lat = 16.4, lon = 107.5, period = "10m", levels = { bd = 1.0 }, levels_source = "t", labels = { basin = "north" }, links = { upstream = ["d1", "d2"] } },
        { id = "b", name = "Trạm B", name_en = "B", kind = "test", streams = ["level"], lat = 16.5, lon = 107.6, period = "10m", levels = { bd = 2.0 }, levels_source = "t", labels = { basin = "north" }, links = { upstream = ["d1"] } },
        { id = "c", name = "Trạm C", name_en = "C", kind = "test", streams = ["level"], lat = 16.6, lon = 107.7, period = "10m", levels = { }, levels_source = "t", labels = { basin = "south" } },
        { id = "d1", name = "Hồ 1", name_en = "Dam 1", kind = "test", streams = ["dam"], lat = 16.3, lon = 107.4, period = "1h", levels = { full = 45.0 }, levels_source = "t" },
        { id = "d2", name = "Hồ 2", name_en = "Dam 2", kind = "test", streams = ["dam"], lat = 16.3, lon = 107.3, period = "1h", levels = { full = 25.0 }, levels_source = "t" },
    ]
"#;

pub(crate) fn streams() -> Vec<Stream> {
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams.toml", STREAMS, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    streams
}

pub(crate) fn registry() -> Arc<Registry> {
    let mut problems = Problems::default();
    let registry = Registry::parse("registry.toml", REGISTRY, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    Arc::new(registry)
}

/// What the rules are refused for; empty when they are good.
pub(crate) fn problems(rules: &str) -> Vec<String> {
    let mut problems = Problems::default();
    let compiled = Engine::compile(&[("p.toml".to_owned(), rules.to_owned())], &streams(), registry(), &mut problems);
    assert_eq!(compiled.is_none(), !problems.is_empty());
    problems.list.iter().map(ToString::to_string).collect()
}

pub(crate) fn compile(rules: &str) -> Engine {
    let mut problems = Problems::default();
    let engine = Engine::compile(&[("p.toml".to_owned(), rules.to_owned())], &streams(), registry(), &mut problems);
    engine.unwrap_or_else(|| panic!("{problems}"))
}

/// A rule of which only `body` matters.
pub(crate) fn rule(id: &str, body: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\nseverity = \"minor\"\nsource = \"a test\"\ntext = {{ vi = \"{{key}}\", en = \"{{key}}\" }}\n{body}\n")
}

pub(crate) fn reading(of: &str, at: Timestamp, fields: &str) -> Reading {
    let (stream, key) = of.split_once('/').expect("stream/key");
    let field = |field: &str| {
        let (name, value) = field.split_once('=').expect("field=value");
        match value.parse::<f64>() {
            Ok(number) => Field::ok(Name::new(name), number),
            Err(_) => Field { name: Name::new(name), value: Value::Text(value.into()), quality: Quality::OK },
        }
    };
    Reading {
        stream: stream.into(),
        key: key.into(),
        at,
        received: at,
        fields: fields.split_whitespace().map(field).collect(),
        source: "test".into(),
        origin: Origin::Sensor,
        orphan: false,
    }
}

pub(crate) struct City {
    pub(crate) engine: Engine,
    pub(crate) out: Out,
    clock: Timestamp,
}

impl City {
    pub(crate) fn new(rules: &str) -> Self {
        Self { engine: compile(rules), out: Out::default(), clock: Timestamp::MIN }
    }

    /// A reading that arrives at its own time.
    pub(crate) fn give(&mut self, at: i64, of: &str, fields: &str) -> Verdict {
        self.arrives(at, at, of, fields)
    }

    /// A reading of `at` that arrives at `now`.
    pub(crate) fn arrives(&mut self, now: i64, at: i64, of: &str, fields: &str) -> Verdict {
        self.take(minute(now), reading(of, minute(at), fields))
    }

    /// What is due before `now` is done, then the reading is judged.
    pub(crate) fn take(&mut self, now: Timestamp, mut reading: Reading) -> Verdict {
        self.pass(now - Span::from_millis(1));
        self.clock = now;
        self.engine.on_reading(&mut reading, now, &mut self.out)
    }

    /// The clock goes on until then.
    pub(crate) fn until(&mut self, now: i64) {
        self.pass(minute(now));
    }

    pub(crate) fn pass(&mut self, now: Timestamp) {
        assert!(now >= self.clock - Span::from_millis(1), "time does not go back");
        if self.engine.next_deadline().is_some() {
            self.engine.advance(now, &mut self.out);
        }
        assert!(self.engine.next_deadline().is_none_or(|next| next > now), "nothing that was due is left");
    }

    pub(crate) fn told(&self) -> Vec<String> {
        told(&self.out.signals)
    }
}

/// Tells a story to rules; what they say.
pub(crate) fn tell(rules: &str, story: &[(i64, &str, &str)], until: i64) -> Vec<String> {
    let mut city = City::new(rules);
    for (at, of, fields) in story {
        city.give(*at, of, fields);
    }
    city.until(until);
    city.told()
}

/// One line of a table of stories: what it shows, rules, readings, until when, what is said.
pub(crate) type Case<'a> = (&'a str, String, &'a [(i64, &'a str, &'a str)], i64, &'a [&'a str]);

pub(crate) fn check(cases: &[Case<'_>]) {
    for (what, rules, story, until, expected) in cases {
        assert_eq!(tell(rules, story, *until), *expected, "{what}");
    }
}
