//! What people and their systems send: calls, reports, dossiers, articles, positions of boats, findings, bulletins.
//!
//! Invariant: what begins in a minute is a function of seed and minute alone; what follows from it (an answer, a report handled)
//! comes with it, dated later. Rates are those of the city's own figures; more of everything when the river is high.

use huong_types::{Registry, Span, Station, Timestamp};
use serde_json::{Map, Value, json};

use crate::city::{bustle, during};
use crate::dice::Dice;
use crate::weather::{Measured, ScenarioKind, Weather};

/// One event as its sender would give it.
pub(crate) struct Happening {
    pub(crate) stream: &'static str,
    pub(crate) key: String,
    pub(crate) at: Timestamp,
    pub(crate) fields: Map<String, Value>,
}

/// Category of a field report, hours allowed for it, its share on a dry day and in a flood. The hours are assumed.
const CATEGORIES: [(&str, f64, f64, f64); 6] = [
    ("flood", 4.0, 0.02, 0.45),
    ("tree", 24.0, 0.1, 0.2),
    ("power", 12.0, 0.08, 0.15),
    ("traffic", 48.0, 0.35, 0.1),
    ("waste", 72.0, 0.25, 0.05),
    ("order", 120.0, 0.2, 0.05),
];
const TOPICS: [&str; 7] = ["tourism", "heritage", "education", "health", "traffic", "economy", "sport"];
const FAMILIES: [&str; 6] = ["w32.sality", "w32.ramnit", "js.miner", "lnk.jenxcus", "w97m.downldr", "w32.virut"];
const FISHING_BOATS: usize = 120;
const SERVERS: usize = 60;
/// Where the boats lie, and how far a degree of latitude is in nautical miles.
const HARBOUR: (f64, f64) = (16.555, 107.645);
const MILES: f64 = 60.0;
const HOUR: Span = Span::from_mins(60);

/// Everything that begins in the minute.
pub(crate) fn at_minute(weather: &Weather, registry: &Registry, seed: u64, minute: Timestamp) -> Vec<Happening> {
    let mut city = City { weather, registry, seed, minute, out: Vec::new() };
    city.calls();
    city.reports();
    city.dossiers();
    city.press();
    city.malware();
    city.fire();
    city.boats();
    city.agents();
    city.bulletins();
    city.orders();
    city.out
}

struct City<'a> {
    weather: &'a Weather,
    registry: &'a Registry,
    seed: u64,
    minute: Timestamp,
    out: Vec<Happening>,
}

impl City<'_> {
    fn tell(&mut self, stream: &'static str, key: &str, at: Timestamp, fields: Value) {
        if let Value::Object(fields) = fields {
            self.out.push(Happening { stream, key: key.to_owned(), at, fields });
        }
    }

    fn dice(&self, what: &str) -> Dice {
        Dice::new(self.seed, what, self.minute.as_millis())
    }

    fn storm(&self) -> bool {
        self.weather.kind() == ScenarioKind::Storm2025
    }

    /// 0 below alarm level II at Kim Long, 1 a metre above level III.
    fn flood(&self) -> f64 {
        ((self.weather.kim_long(self.minute) - 2.0) / 2.5).clamp(0.0, 1.3)
    }

    /// How many of what comes `per_hour` begin in this minute.
    fn many(&self, per_hour: f64, dice: &mut Dice) -> usize {
        let expected = per_hour / 60.0;
        expected as usize + usize::from(dice.chance(expected.fract()))
    }

    /// A place in the city: anywhere around its middle, or near one of the streets that flood.
    fn place(&self, flooded: bool, dice: &mut Dice) -> (f64, f64) {
        let streets: Vec<&Station> = self.registry.stations.iter().filter(|s| s.kind == *"flood").collect();
        if flooded && !streets.is_empty() {
            let street = dice.pick(&streets);
            return (street.lat + dice.between(-0.004, 0.004), street.lon + dice.between(-0.004, 0.004));
        }
        (dice.between(16.42, 16.52), dice.between(107.53, 107.64))
    }

    /// One or two an hour on a dry day, 10 to 30 with the river a metre above alarm level III.
    fn calls(&mut self) {
        let mut dice = self.dice("calls");
        let flood = self.flood();
        for i in 0..self.many(1.5 * bustle(self.minute) + 18.0 * flood, &mut dice) {
            let key = format!("call-{}-{i}", self.minute.as_millis() / 60_000);
            let kind = if dice.chance(0.02 + 0.25 * flood) { "rescue" } else { "information" };
            let (lat, lon) = self.place(kind == "rescue", &mut dice);
            let rings = self.minute + Span::from_secs(dice.below(60) as i64);
            // One in twelve waits too long when the lines are full.
            let waits = if dice.chance(0.08 * flood) { dice.between(70.0, 200.0) } else { dice.between(4.0, 45.0) };
            let answered = rings + Span::from_secs(waits as i64);
            let ended = answered + Span::from_secs(dice.between(60.0, 400.0) as i64);
            self.tell("calls", &key, rings, json!({ "state": "ringing", "kind": kind, "lat": lat, "lon": lon }));
            self.tell("calls", &key, answered, json!({ "state": "answered", "kind": kind }));
            self.tell("calls", &key, ended, json!({ "state": "ended", "kind": kind }));
        }
    }

    /// About 75 a day, four times as many in the flood; 82 in a hundred are handled in time.
    fn reports(&mut self) {
        let mut dice = self.dice("reports");
        let flood = self.flood();
        for i in 0..self.many(75.0 / 24.0 * bustle(self.minute) * (1.0 + 3.0 * flood), &mut dice) {
            let key = format!("report-{}-{i}", self.minute.as_millis() / 60_000);
            let mut drawn = dice.unit();
            let share = |(_, _, dry, wet): &(&str, f64, f64, f64)| dry + (wet - dry) * flood.min(1.0);
            let category = CATEGORIES.iter().find(|one| {
                drawn -= share(one);
                drawn < 0.0
            });
            let &(category, hours, ..) = category.unwrap_or(&CATEGORIES[5]);
            let (lat, lon) = self.place(category == "flood", &mut dice);
            let opened = json!({ "state": "open", "category": category, "sla_h": hours, "lat": lat, "lon": lon });
            self.tell("reports", &key, self.minute, opened);
            let took = hours * if dice.chance(0.82) { dice.between(0.05, 0.95) } else { dice.between(1.05, 2.0) };
            self.tell("reports", &key, later(self.minute, took), json!({ "state": "done", "category": category }));
        }
    }

    /// 200 a working day; 96 in a hundred are answered in time.
    fn dossiers(&mut self) {
        let mut dice = self.dice("dossiers");
        for i in 0..self.many(200.0 / 24.0 * bustle(self.minute), &mut dice) {
            let key = format!("dossier-{}-{i}", self.minute.as_millis() / 60_000);
            let due = *dice.pick(&[8.0, 24.0, 72.0, 120.0]);
            let office = *dice.pick(&["thuan-hoa", "phu-xuan", "vy-da", "kim-long"]);
            self.tell("services", &key, self.minute, json!({ "state": "received", "office": office, "due_h": due }));
            let took = due * if dice.chance(0.96) { dice.between(0.1, 0.9) } else { dice.between(1.05, 1.4) };
            self.tell("services", &key, later(self.minute, took), json!({ "state": "done", "office": office }));
        }
    }

    /// 103 articles a day; the flood fills the news.
    fn press(&mut self) {
        let mut dice = self.dice("press");
        let flood = self.flood();
        for i in 0..self.many(103.0 / 24.0 * bustle(self.minute) * (1.0 + 3.0 * flood), &mut dice) {
            let topic = if dice.chance(0.75 * flood.min(1.0)) { "flood" } else { *dice.pick(&TOPICS) };
            let tone = dice.between(-0.6, 0.8);
            self.tell(
                "press",
                &format!("article-{}-{i}", self.minute.as_millis() / 60_000),
                self.minute,
                json!({ "topic": topic, "tone": tone }),
            );
        }
    }

    /// 258 findings a day of families known for long; one new family spreads on 30 October (assumed).
    fn malware(&mut self) {
        let mut dice = self.dice("malware");
        for _ in 0..self.many(258.0 / 24.0, &mut dice) {
            let host = format!("pc-{}", dice.below(5661));
            let family = *dice.pick(&FAMILIES);
            self.tell("malware", &host, self.minute, json!({ "family": family, "host": host, "age_h": 9000.0 }));
        }
        let since = hours_since("2025-10-30T10:00", self.minute);
        if self.storm() && [0.0, 1.0, 1.5, 3.0].iter().any(|hour| (since - hour).abs() < 0.001) {
            let host = format!("pc-{}", 100 + (since * 10.0) as i64);
            self.tell("malware", &host, self.minute, json!({ "family": "w32.new", "host": host, "age_h": since }));
        }
    }

    /// A false alarm every other day somewhere, one detector that trips again and again, one fire (assumed).
    fn fire(&mut self) {
        let mut dice = self.dice("fire");
        let sites: Vec<String> = self.registry.stations.iter().filter(|s| s.kind == *"fire").map(|s| s.id.to_string()).collect();
        if !sites.is_empty() && dice.chance(1.0 / (48.0 * 60.0)) {
            let site = dice.pick(&sites).clone();
            self.trips(&site, &format!("{site}-smoke-{}", dice.below(9)), self.minute);
        }
        let dusty = ["2025-10-30T08:10", "2025-10-31T09:40", "2025-11-01T08:20", "2025-11-02T10:00", "2025-11-03T08:50"];
        if self.storm() && dusty.iter().any(|text| hours_since(text, self.minute) == 0.0) {
            self.trips("chay-an-cuu", "chay-an-cuu-smoke-2", self.minute);
        }
        if self.storm() && hours_since("2025-10-31T14:20", self.minute) == 0.0 {
            self.trips("chay-dong-ba", "chay-dong-ba-smoke-4", self.minute);
            self.trips("chay-dong-ba", "chay-dong-ba-camera-1", self.minute + Span::from_secs(40));
        }
    }

    /// An alarm, and normal again after a quarter of an hour.
    fn trips(&mut self, site: &str, detector: &str, at: Timestamp) {
        self.tell("fire", site, at, json!({ "state": "alarm", "detector": detector }));
        self.tell("fire", site, at + Span::from_mins(15), json!({ "state": "normal", "detector": detector }));
    }

    /// Positions every two hours. In the storm all but two boats are in from 26 October to 5 November.
    fn boats(&mut self) {
        // One after the other, so that each minute has its own boat or none.
        let number = self.minute.as_millis() / 60_000;
        for boat in (0..FISHING_BOATS).filter(|boat| (number - *boat as i64).rem_euclid(120) == 0) {
            let key = format!("TTH-{}-TS", 90_000 + boat);
            let mut own = Dice::new(self.seed, &key, 0);
            if self.dice(&key).chance(0.02) {
                continue;
            }
            let here = self.course(boat, &mut own.clone(), self.minute);
            let ahead = self.course(boat, &mut own, self.minute + Span::from_mins(6));
            let (north, east) = ((ahead.0 - here.0) * MILES, (ahead.1 - here.1) * MILES * here.0.to_radians().cos());
            let at_sea = north.hypot(east) > 0.01 || (here.0 - HARBOUR.0).hypot(here.1 - HARBOUR.1) > 0.02;
            let fields = json!({
                "boat": key, "lat": here.0, "lon": here.1, "speed": north.hypot(east) * 10.0,
                "heading": east.atan2(north).to_degrees().rem_euclid(360.0), "status": if at_sea { "at_sea" } else { "in_port" },
            });
            self.tell("boats", &key, self.minute, fields);
        }
    }

    /// Out and home along a line in three to six days, then a day in harbour. Boat 7 goes farther than it may.
    fn course(&self, boat: usize, own: &mut Dice, at: Timestamp) -> (f64, f64) {
        let (days, bearing) = (own.between(3.0, 6.0), own.between(20.0, 80.0).to_radians());
        let reach = if boat == 7 { 142.0 } else { own.between(20.0, 110.0) };
        let bearing = if boat == 7 { 88f64.to_radians() } else { bearing };
        let phase = (at.as_millis() as f64 / 86_400_000.0 + own.between(0.0, 7.0)).rem_euclid(days + 1.0);
        let out = if phase < days { (phase / days * std::f64::consts::PI).sin() } else { 0.0 };
        let called_in = match (self.storm(), boat) {
            (true, 11 | 12) => 1.0,
            (true, _) if during("2025-10-25T18:00", "2025-11-06T00:00", at) => 1.0 - (hours_since("2025-10-25T18:00", at) / 18.0).min(1.0),
            _ => 1.0,
        };
        let miles = reach * out * called_in;
        (HARBOUR.0 + miles * bearing.cos() / MILES, HARBOUR.1 + miles * bearing.sin() / MILES / HARBOUR.0.to_radians().cos())
    }

    /// Hourly heartbeats; two servers are away for some days in the storm (assumed).
    fn agents(&mut self) {
        let number = self.minute.as_millis() / 60_000;
        for server in (0..SERVERS).filter(|server| (number - *server as i64).rem_euclid(60) == 0) {
            let key = format!("srv-{server:02}");
            let away = self.storm() && matches!(server, 17 | 40) && during("2025-10-28T12:00", "2025-10-30T09:00", self.minute);
            if !away {
                self.tell("agents", &key, self.minute, json!({ "up": 1, "role": "server" }));
            }
        }
    }

    /// Each morning and evening an order for every lake that will have gates open within the next half day; one small lake opens
    /// without (assumed).
    fn orders(&mut self) {
        if !self.storm() || hours_since("2025-10-25T05:30", self.minute).rem_euclid(12.0) != 0.0 {
            return;
        }
        let registry = self.registry;
        for lake in registry.stations.iter().filter(|s| s.kind == *"reservoir" && s.id != *"songbo") {
            let ahead = (0..=12).filter_map(|hours| self.weather.measure(lake, "reservoir", self.minute + Span::from_mins(60 * hours)));
            let release = ahead.filter_map(|row| match row {
                Measured::Lake { outflow, gates, .. } if gates > 0 => Some(outflow),
                _ => None,
            });
            let Some(release) = release.reduce(f64::max) else { continue };
            let number = format!("{}-{}", lake.id, self.minute.as_millis() / 3_600_000);
            let order = json!({ "kind": "increase", "q_to": release, "order_no": number });
            self.tell("reservoir_orders", &lake.id, self.minute, order);
        }
    }

    /// Every six hours the levels that the services have out: for floods as practised in Huế, 3 from alarm level III, 2 from II, 1 from I.
    /// The storm at sea in November is assumed in hour and level.
    fn bulletins(&mut self) {
        if !self.storm() || (hours_since("2025-10-25T04:00", self.minute)).rem_euclid(6.0) != 0.0 {
            return;
        }
        let storm = if during("2025-11-04T16:00", "2025-11-07T04:00", self.minute) { 3 } else { 0 };
        let river = self.weather.kim_long(self.minute);
        let flood = [1.0, 2.0, 3.5].iter().filter(|level| river >= **level).count();
        for (hazard, level) in [("storm", storm), ("flood", flood)] {
            let number = format!("{hazard}-{}", self.minute.as_millis() / 3_600_000);
            self.tell("bulletins", hazard, self.minute, json!({ "risk_level": level, "hazard": hazard, "bulletin_no": number }));
        }
    }
}

fn later(at: Timestamp, hours: f64) -> Timestamp {
    at + Span::from_millis((hours * HOUR.as_millis() as f64) as i64)
}

/// Negative before it.
fn hours_since(text: &str, at: Timestamp) -> f64 {
    Timestamp::parse_rfc3339(&format!("{text}:00+07:00")).map_or(f64::NAN, |from| (at - from).as_hours())
}
