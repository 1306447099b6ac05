//! A served wall with a small city, and an event stream read from a socket.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use huong_flow::Stop;
use huong_types::{
    About, Ack, Alert, AlertState, Field, LoadFigures, Name, Order, Origin, Problems, Reading, Registry, Severity, Span, Stream, Text,
    Timestamp, Transition, TransitionKind,
};
use huong_wall::{
    AccountLedger, Action, Backend, CameraNow, Evidence, Family, Feed, Figures, Found, History, Hub, HubStats, Ledger, MirrorFigures,
    OrderError, Past, Picture, Push, QueryError, QueryFormat, Rows, Trouble, Wall, WallClock, WallConfig,
};
use serde_json::{Value, json};
use smallvec::smallvec;

/// Far longer than anything here takes, so that only a fault reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_761_500_000_000);

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
    [[camera]]
    id = "cam-1"
    name = "Cầu Trường Tiền"
    name_en = "Truong Tien bridge"
    lat = 16.468
    lon = 107.588
    period = "1s"
"#;

const STREAMS: &str = r#"
    [[stream]]
    id = "water_level"
    name = "Mực nước"
    name_en = "Water level"
    fields = { value = { unit = "m" } }
    disorder = "1m"
    future = "10m"
    max_age = "30d"
    gap = "1h"
    silent_after_periods = 3
    [[stream]]
    id = "water_level_forecast"
    name = "Dự báo mực nước"
    name_en = "Water level forecast"
    events = true
    id_field = "issued"
    forecast = { of = "water_level", stale_after = "12h", ahead = "10m" }
    fields = { value = { unit = "m" }, issued = { unit = "", text = true } }
    disorder = "2d"
    future = "2d"
    max_age = "1d"
    gap = "2d"
    silent_after_periods = 3
"#;

pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// What the root would know.
pub(crate) struct City {
    asked: Mutex<Vec<Order>>,
    noted: Mutex<Vec<Action>>,
    /// The audit log's disk is full.
    pub(crate) full: AtomicBool,
}

impl Backend for City {
    fn clock(&self) -> WallClock {
        WallClock { now: NOW, rate: 0.0 }
    }

    fn figures(&self) -> Figures {
        let ledger = [("water_level".into(), Ledger { received: 5, stored: 4, rejected: 1, shed: 0, in_flight: 0 })].into();
        let load = LoadFigures { operators: 1, last_10_min: 2.0, last_hour: 7.5, ..LoadFigures::default() };
        let mirror = Some(MirrorFigures { behind: 77, behind_seconds: 4.5, failing: Some("401 Unauthorized".to_owned()) });
        Figures { readings_per_second: 1234.0, ledger, broker_connected: true, load, mirror, ..Figures::default() }
    }

    fn accounts(&self) -> Vec<AccountLedger> {
        let of = |name: &str| Some(Name::new(name));
        let rejected = [("duplicate".into(), 1)].into();
        vec![AccountLedger { stream: of("water_level"), source: of("vrain"), received: 5, stored: 4, rejected, ..AccountLedger::default() }]
    }

    fn metrics(&self) -> Vec<Family> {
        vec![Family::counter("huong_readings_total", "Readings.").with(&[("stream", "water_level"), ("part", "stored")], 4.0)]
    }

    fn cameras(&self) -> Vec<CameraNow> {
        vec![CameraNow { id: "cam-1".into(), last_frame: Some(NOW), failing: false }]
    }

    fn frame(&self, camera: &str) -> Option<Picture> {
        (camera == "cam-1").then(|| Picture { at: NOW, jpeg: Bytes::from_static(b"\xff\xd8\xff\xd9") })
    }

    fn advice(&self, rule: &str) -> Option<Text> {
        ["river-bd3", "rain-heavy"]
            .contains(&rule)
            .then(|| Text { vi: "Đóng đường ngập".to_owned(), en: "Close flooded roads".to_owned() })
    }

    fn order(&self, order: Order) -> BoxFuture<'static, Result<(), OrderError>> {
        self.asked.lock().expect("no test panics with the list in hand").push(order.clone());
        let unknown = match order {
            Order::Acknowledge { alert, .. }
            | Order::Assign { alert, .. }
            | Order::Note { alert, .. }
            | Order::Shelve { alert, .. }
            | Order::Unshelve { alert, .. } => Some(alert).filter(|alert| *alert != alert_of("kimlong").id.as_str()),
            Order::Exercise { .. } => None,
        };
        async move { unknown.map_or(Ok(()), |alert| Err(OrderError::NotFound(alert))) }.boxed()
    }

    fn query(&self, who: String, sql: String, format: QueryFormat) -> BoxFuture<'static, Result<Rows, QueryError>> {
        async move { answer(&who, &sql, format) }.boxed()
    }

    fn boxes(&self, camera: &str) -> Option<Value> {
        (camera == "cam-1").then(|| json!({ "boxes": [] }))
    }

    fn history(&self, who: String, question: History) -> BoxFuture<'static, Result<Found, Trouble>> {
        async move { Ok(Found::Json(json!({ "who": who, "question": format!("{question:?}") }))) }.boxed()
    }

    fn past(&self, _who: String, from: Timestamp, _to: Timestamp) -> BoxFuture<'static, Result<Past, Trouble>> {
        let (before, after) = (from - Span::from_mins(1), from + Span::from_millis(12_345));
        let mut pending = step(1, TransitionKind::Pending, alert_of("phuoc"));
        pending.alert.state = AlertState::Pending;
        let raised = Transition { decided: after, ..step(2, TransitionKind::Raised, alert_of("kimlong")) };
        let past = Past {
            alerts: vec![alert_of("phuoc")],
            values: vec![reading("kimlong", before, 3.4)],
            steps: vec![pending, raised],
            forecasts: vec![foretold(before, before, 3.9), foretold(after, after, 4.4)],
            readings: vec![reading("kimlong", after, 3.62)],
        };
        async move { Ok(past) }.boxed()
    }

    fn evidence(&self, who: String, question: Evidence) -> BoxFuture<'static, Result<Found, Trouble>> {
        async move {
            match question {
                Evidence::Export { .. } => {
                    let bytes = stream::iter([Ok(Bytes::from("PK"))]).boxed();
                    Ok(Found::Package { name: "huong-1.zip".to_owned(), kind: "application/zip", bytes })
                }
                Evidence::File { .. } => Ok(Found::Bytes { kind: "image/jpeg", bytes: Bytes::from_static(b"\xff\xd8") }),
                question => Ok(Found::Json(json!({ "who": who, "question": format!("{question:?}") }))),
            }
        }
        .boxed()
    }

    fn push(&self, who: String, question: Push) -> BoxFuture<'static, Result<Found, Trouble>> {
        async move { Ok(Found::Json(json!({ "who": who, "question": format!("{question:?}") }))) }.boxed()
    }

    fn link(&self, token: String, _follow: bool) -> BoxFuture<'static, Result<Found, Trouble>> {
        async move {
            match token.as_str() {
                "expired" => Err(Trouble::Absent("too late".to_owned())),
                _ => Ok(Found::Json(json!({ "id": "river-bd3.kimlong", "person": "An" }))),
            }
        }
        .boxed()
    }

    fn note(&self, action: Action) -> BoxFuture<'static, Result<(), Trouble>> {
        if self.full.load(Ordering::Relaxed) {
            return async { Err(Trouble::Failed("no space".to_owned())) }.boxed();
        }
        self.noted.lock().expect("no test panics with the list in hand").push(action);
        async { Ok(()) }.boxed()
    }

    fn actions(&self, after: u64, limit: usize) -> BoxFuture<'static, Result<Found, Trouble>> {
        async move { Ok(Found::Json(json!({ "after": after, "limit": limit }))) }.boxed()
    }
}

/// Rows in two pieces, or the error that the statement names.
fn answer(who: &str, sql: &str, format: QueryFormat) -> Result<Rows, QueryError> {
    let words = || sql.to_owned();
    let rows = |last| stream::iter([Ok(Bytes::from(format!("{who} {format:?} "))), last]).boxed();
    match sql {
        "wrong" => Err(QueryError::Statement { message: words(), place: Some((2, 7)) }),
        "large" => Err(QueryError::TooLarge(words())),
        "slow" => Err(QueryError::TooSlow(words())),
        "busy" => Err(QueryError::Busy(words())),
        "damaged" => Err(QueryError::Store(words())),
        "broken off" => Ok(rows(Err(QueryError::TooSlow(words())))),
        sql => Ok(rows(Ok(Bytes::from(sql.to_owned())))),
    }
}

impl City {
    /// Who ordered what.
    pub(crate) fn asked(&self) -> Vec<Order> {
        self.asked.lock().expect("no test panics with the list in hand").clone()
    }

    /// Who, as what, did what to what, and how that ended.
    pub(crate) fn noted(&self) -> Vec<String> {
        let noted = self.noted.lock().expect("no test panics with the list in hand");
        noted.iter().map(|a| format!("{} {} {} {} {}", a.who, a.role, a.action, a.target, a.outcome)).collect()
    }
}

/// A running wall; stops when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) feed: Feed,
    pub(crate) stats: Arc<HubStats>,
    pub(crate) city: Arc<City>,
    pub(crate) stop: Stop,
    running: Option<tokio::task::JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

impl Served {
    pub(crate) fn start(config: WallConfig) -> Self {
        let mut problems = Problems::default();
        let registry = Registry::parse("registry.toml", REGISTRY, &mut problems);
        let streams = Stream::parse_all("streams.toml", STREAMS, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let (hub, feed) = Hub::new(&registry, &streams, vec![alert_of("phuoc")]);
        let (stats, stop) = (hub.stats(), Stop::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let config = WallConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
        let wall = runtime.block_on(Wall::bind(config)).expect("a free port");
        let city = Arc::new(City { asked: Mutex::default(), noted: Mutex::default(), full: AtomicBool::new(false) });
        let address = wall.address();
        let running = runtime.spawn(wall.run(hub, Arc::clone(&city) as Arc<dyn Backend>, stop.clone()));
        Self { address, feed, stats, city, stop, running: Some(running), runtime }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn events(&self) -> Events {
        Events::open(self.address)
    }

    /// Tells of one step of the alert of `key`.
    pub(crate) fn step(&mut self, seq: u64, kind: TransitionKind, alert: Alert) {
        self.feed.alert(&step(seq, kind, alert));
    }
}

fn step(seq: u64, kind: TransitionKind, alert: Alert) -> Transition {
    let (recipients, cause) = (Vec::new(), Vec::new());
    Transition { seq, kind, at: NOW, decided: NOW, announced: true, recipients, by: None, alert, cause }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(running) = self.running.take() {
            let ended = self.runtime.block_on(running);
            assert!(ended.is_ok() || std::thread::panicking(), "the wall did not end well: {ended:?}");
        }
    }
}

pub(crate) fn alert_of(key: &str) -> Alert {
    let id = format!("river-bd3.{key}").into();
    let text = Text { vi: "Kim Long 3,62 m, trên báo động III".to_owned(), en: "Kim Long 3.62 m, above alarm level III".to_owned() };
    Alert {
        stream: "water_level".into(),
        values: [("level".into(), 3.62)].into(),
        ..Alert::new(About::Rule, id, &"river-bd3".into(), &key.into(), Severity::Extreme, text, NOW)
    }
}

pub(crate) fn acknowledged(mut alert: Alert, by: &str) -> Alert {
    alert.state = AlertState::Acknowledged;
    alert.ack = Some(Ack { by: by.to_owned(), at: NOW });
    alert
}

/// An issue of one point an hour ahead.
pub(crate) fn foretold(issued: Timestamp, received: Timestamp, value: f64) -> Reading {
    let text = huong_types::Value::Text(issued.to_string().into());
    let issue = Field { name: "issued".into(), value: text, quality: huong_types::Quality::OK };
    let fields = smallvec![issue, Field::ok("value".into(), value)];
    Reading { stream: "water_level_forecast".into(), received, fields, ..reading("kimlong", issued + Span::from_mins(60), value) }
}

pub(crate) fn reading(key: &str, at: Timestamp, value: f64) -> Reading {
    Reading {
        stream: "water_level".into(),
        key: Name::new(key),
        at,
        received: at,
        fields: smallvec![Field::ok("value".into(), value)],
        source: "test".into(),
        origin: Origin::Sensor,
        orphan: false,
    }
}

/// One event stream, read line by line. HTTP/1.0, so that the body is not chunked.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
    /// Deltas read while looking for something else.
    kept: VecDeque<Value>,
}

impl Events {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("the wall listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
        stream.write_all(b"GET /api/events HTTP/1.0\r\n\r\n").expect("the request fits");
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).expect("a header line") > 0, "the answer ends early: {head}");
        }
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{head}");
        Self { lines, kept: VecDeque::new() }
    }

    /// The next event's name and data; `None` when the server has closed the stream.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = (String::new(), Value::Null);
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).ok()?;
            // Nothing more, or cut off within a line.
            if !line.ends_with('\n') {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => data = serde_json::from_str(text).expect("data is JSON"),
                Some(("id", _)) => {}
                None if line == "\n" => return Some((name, data)),
                _ => panic!("not a line of an event: {line}"),
            }
        }
    }

    pub(crate) fn snapshot(&mut self) -> Value {
        let (name, data) = self.next().expect("a first event");
        assert_eq!(name, "snapshot");
        data
    }

    /// The next event that satisfies `wanted`, within the deadline.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            let (name, data) = self.next().expect("the stream goes on");
            if wanted(&name, &data) {
                return data;
            }
            self.kept.push_back(data);
        }
        panic!("waited in vain for: {what}")
    }

    /// Everything passed over by `until`.
    pub(crate) fn passed(&mut self) -> VecDeque<Value> {
        std::mem::take(&mut self.kept)
    }
}
