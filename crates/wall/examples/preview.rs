//! Throwaway preview.
#![allow(clippy::all, clippy::unwrap_used)]
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use huong_types::*;
use huong_wall::*;
use smallvec::smallvec;
use std::sync::Arc;

struct City(Vec<Name>, std::time::Instant, Bytes);
const T0: i64 = 1_761_526_800_000;
impl City { fn now(&self) -> Timestamp { Timestamp::from_millis(T0 + self.1.elapsed().as_millis() as i64 * 60) } }
impl Backend for City {
    fn clock(&self) -> WallClock { WallClock { now: self.now(), rate: 60.0 } }
    fn figures(&self) -> Figures {
        let ledger = [("water_level".into(), Ledger { received: 51234, stored: 51200, rejected: 30, shed: 0, in_flight: 4 })].into();
        Figures { readings_per_second: 5123.0, ledger, broker_connected: true, latency: Some(Latency { p50: 3.2, p99: 41.7 }),
            frames: FrameFigures { received: 90000, replaced: 1200, inferred: 20100, gated: 68000, errors: 2 },
            sinks: vec![SinkFigures { name: "truc-ban".into(), delivered: 4, behind: 0, retries: 1, dead_letters: 0, failing: None }], ..Figures::default() }
    }
    fn cameras(&self) -> Vec<CameraNow> { self.0.iter().enumerate().map(|(i, id)| CameraNow { id: id.clone(), last_frame: if i % 7 == 6 { None } else { Some(self.now() - Span::from_secs(if i % 5 == 4 { 700 } else { 1 })) }, failing: i % 11 == 3 }).collect() }
    fn frame(&self, _c: &str) -> Option<Picture> { Some(Picture { at: self.now(), jpeg: self.2.clone() }) }
    fn acknowledge(&self, _a: String, _b: String) -> BoxFuture<'static, Result<(), AcknowledgeError>> { async { Ok(()) }.boxed() }
}
fn alert(rule: &str, key: &str, sev: Severity, mins: i64, vi: &str, en: &str) -> Alert {
    let at = Timestamp::from_millis(T0) - Span::from_mins(mins);
    Alert { id: format!("{rule}.{key}").into(), rule: rule.into(), key: key.into(), stream: "water_level".into(), severity: sev, state: AlertState::Open, holds: true, stale_since: None, since: at, raised: at, updated: at, values: Default::default(), text: Text { vi: vi.into(), en: en.into() }, ack: None, inhibited_by: None, silence: false, notify: vec![] }
}
#[tokio::main]
async fn main() {
    let mut p = Problems::default();
    let registry = Registry::parse("r", &std::fs::read_to_string("config/registry.toml").unwrap(), &mut p);
    let streams = std::fs::read_to_string("config/streams.toml").map(|t| Stream::parse_all("s", &t, &mut p)).unwrap_or_default();
    let mut a = vec![
        alert("river-bd3", "kimlong", Severity::Extreme, 34, "Sông Hương tại Kim Long 4,62 m, trên báo động III 1,12 m, lên 0,18 m/giờ", "Huong river at Kim Long 4.62 m, 1.12 m above alarm III, rising 0.18 m/h"),
        alert("river-bd3", "phuoc", Severity::Extreme, 12, "Sông Bồ tại Phú Ốc 5,02 m, trên báo động III 0,52 m", "Bo river at Phu Oc 5.02 m, 0.52 m above alarm III"),
        alert("reservoir", "ta-trach", Severity::Severe, 95, "Hồ Tả Trạch 44,8 m, vượt mực nước đón lũ 9,8 m, xả 1 250 m³/s", "Ta Trach reservoir 44.8 m, 9.8 m over flood storage, releasing 1,250 m³/s"),
        alert("rain", "bachma", Severity::Severe, 200, "Mưa Bạch Mã 104,6 mm trong 1 giờ", "Rain at Bach Ma 104.6 mm in 1 hour"),
        alert("street", "flood-01", Severity::Moderate, 5, "Ngập đường Bà Triệu 0,45 m", "Ba Trieu street flooded 0.45 m"),
        alert("silence", "flood-02", Severity::Minor, 44, "Trạm Hùng Vương không gửi số đo 44 phút", "Station Hung Vuong silent for 44 minutes"),
        alert("traffic", "cam-001", Severity::Minor, 3, "Ùn tắc cầu Trường Tiền: 42 xe trong vùng", "Congestion at Truong Tien bridge: 42 vehicles in the zone"),
        alert("pm25", "air-01", Severity::Minor, 3, "PM2,5 vượt", "PM2.5 over"),
    ];
    a[1].state = AlertState::Acknowledged; a[1].ack = Some(Ack { by: "Chị Hương".into(), at: Timestamp::from_millis(T0) });
    a[2].stale_since = Some(Timestamp::from_millis(T0)); a[3].holds = false; a[5].silence = true;
    let mut hidden = a[0].clone(); hidden.id = "x".into(); hidden.inhibited_by = Some("y".into()); a.push(hidden);
    let (hub, mut feed) = Hub::new(&registry, &streams, a);
    let mut n = 0u32;
    for s in &registry.stations { for st in &s.streams { n += 1;
        if n % 13 == 0 { continue; }
        let q = if n % 9 == 0 { Quality::new(Flag::Suspect, Check::Step) } else { Quality::OK };
        let names: Vec<Name> = streams.iter().find(|x| x.id == *st).map(|x| x.fields.keys().cloned().collect()).unwrap_or(vec!["value".into()]);
        let mut f: smallvec::SmallVec<[Field; 1]> = smallvec![];
        for (i, nm) in names.iter().take(3).enumerate() { f.push(Field { name: nm.clone(), value: Value::Number((n as f64 * 37.31 + i as f64 * 5.0) % 90.0 / 7.0), quality: q }); }
        let at = Timestamp::from_millis(T0) - Span::from_secs((n as i64 * 97) % if n % 11 == 0 { 90000 } else { 900 });
        feed.value(&Reading { stream: st.clone(), key: s.id.clone(), at, received: at, fields: f, source: "x".into(), origin: Origin::Sensor, orphan: false });
    } }
    for (i, c) in registry.cameras.iter().enumerate() {
        let at = Timestamp::from_millis(T0);
        feed.value(&Reading { stream: "vehicles".into(), key: c.id.clone(), at, received: at, fields: smallvec![Field::ok("total".into(), (i * 7 % 43) as f64)], source: "x".into(), origin: Origin::Vision, orphan: false });
    }
    let wall = Wall::bind(WallConfig { listen: "127.0.0.1:18099".parse().unwrap(), ..Default::default() }).await.unwrap();
    let jpeg = std::env::args().nth(1).and_then(|f| std::fs::read(f).ok()).map(Bytes::from).unwrap_or_default();
    let city = City(registry.cameras.iter().map(|c| c.id.clone()).collect(), std::time::Instant::now(), jpeg);
    wall.run(hub, Arc::new(city), huong_flow::Stop::new()).await;
}
