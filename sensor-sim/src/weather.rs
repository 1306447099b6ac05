//! What the city would measure: the true value at each station and moment, before any fault.
//!
//! Invariant: a value is a function of seed, station and time alone, so any stretch of time can be played from anywhere.
//! The scales and lags that derive one gauge from another are the simulator's own assumptions; no rule may rest on them.

use huong_types::{Span, Station, Timestamp};

use crate::city;
use crate::curve::Curve;
use crate::dice::Dice;
use crate::storm;

/// What happens in the simulated city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioKind {
    /// Dry season: tide in the rivers, a shower now and then.
    Calm,
    /// The flood of 26 October to 5 November 2025 with its three waves.
    Storm2025,
}

impl std::str::FromStr for ScenarioKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "calm" => Ok(Self::Calm),
            "storm-2025" => Ok(Self::Storm2025),
            _ => Err(format!("`{text}` is not a scenario: calm, storm-2025")),
        }
    }
}

/// One row of measurements, in the unit of its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measured {
    /// m over the gauge's own zero.
    Level(f64),
    /// mm in the ten minutes before.
    Rain(f64),
    /// m above sea; m³/s; open gates.
    Lake { level: f64, inflow: f64, outflow: f64, gates: u32 },
    /// m/s, degrees.
    Wind { speed: f64, gust: f64, direction: f64 },
    /// µg/m³.
    Air { pm25: f64, pm10: f64, so2: f64, no2: f64, o3: f64, co: f64 },
    /// cm over the crown of the road.
    Depth(f64),
    /// mg/L beside the pH.
    Water { ph: f64, oxygen: f64, cod: f64, tss: f64, nh4: f64 },
    /// mg/L beside the pH; m³/h; 00 measuring, 01 calibrating.
    Effluent { ph: f64, cod: f64, tss: f64, nh4: f64, flow: f64, status: &'static str },
    /// Since the report before.
    Counters { attacks: f64, spam: f64 },
    /// Hash of what is shown.
    Screen { content: u32, emergency: bool },
    /// Since the report before.
    Gateway { requests: f64, errors: f64 },
    /// V.
    Heartbeat { battery: f64 },
}

/// How a gauge follows Kim Long or Phú Ốc: `offset + scale · level(t − lag)`, plus tide.
struct Follows {
    id: &'static str,
    phu_oc: bool,
    offset: f64,
    scale: f64,
    lag_minutes: i64,
    /// Amplitude, m.
    tide: f64,
}

const fn follows(id: &'static str, phu_oc: bool, offset: f64, scale: f64, lag_minutes: i64, tide: f64) -> Follows {
    Follows { id, phu_oc, offset, scale, lag_minutes, tide }
}

/// Fitted by eye to the readings of 27 and 29 October 2025 where there are any (Dã Viên 3.42, Tứ Phú 4.28, Thượng Nhật 60.59,
/// Truồi 3.80, Phong Bình 2.53 m).
const RIVERS: [Follows; 17] = [
    follows("kimlong", false, 0.0, 1.0, 0, 0.0),
    follows("phuoc", true, 0.0, 1.0, 0, 0.0),
    follows("thuongnhat", false, 58.2, 0.49, -240, 0.0),
    follows("phongbinh", true, 0.0, 0.5, 60, 0.0),
    follows("truoi", false, 0.1, 0.78, -180, 0.0),
    follows("davien", false, 0.0, 0.955, 0, 0.0),
    follows("tuphu", true, 0.0, 0.945, 30, 0.0),
    follows("mychanh", true, 0.2, 0.6, 0, 0.0),
    follows("thaolong", false, 0.1, 0.35, 60, 0.05),
    follows("thuanan", false, 0.0, 0.12, 120, 0.22),
    follows("tuhien", false, 0.0, 0.1, 120, 0.2),
    follows("duonghoa", false, 0.3, 0.9, -180, 0.0),
    follows("phongdien-song", true, 0.0, 0.55, 0, 0.0),
    follows("aluoi-song", false, 0.2, 0.5, -240, 0.0),
    follows("baovinh", false, 0.0, 0.85, 30, 0.03),
    follows("chodinh", false, 0.0, 0.9, 15, 0.02),
    follows("ancuu", false, 0.0, 0.92, 10, 0.02),
];

/// Level at the brim, m, and peak inflow of the flood, m³/s, of lakes with no published course.
const SMALL_LAKES: [(&str, f64, f64); 3] = [("aluoihep", 553.0, 1200.0), ("raotrang3", 160.0, 280.0), ("thaolong-dap", 2.0, 3500.0)];
/// Level, inflow and outflow of a dry-season day (levels of 19 October 2025).
const LAKES_AT_REST: [(&str, f64, f64, f64); 3] =
    [("tatrach", 29.0, 60.0, 55.0), ("binhdien", 78.3, 45.0, 50.0), ("huongdien", 54.8, 70.0, 65.0)];

/// Share of Bạch Mã's rain that falls elsewhere. The plain's 0.3 to 0.55 of 40–100 mm/h is the city's 20–50 mm/h.
const MOUNTAIN: [(&str, f64); 4] = [("bachma", 1.0), ("namdong", 0.64), ("mua-khe-tre", 0.69), ("mua-huong-son", 0.6)];

/// City rain above this, mm/h, stands in the street: the drains take no more (assumed).
const DRAINED: f64 = 30.0;

pub(crate) struct Weather {
    kind: ScenarioKind,
    seed: u64,
    kim_long: Curve,
    phu_oc: Curve,
    mountain: Curve,
    mountain_scale: f64,
    lakes: Vec<(&'static str, [Curve; 3])>,
}

impl Weather {
    pub(crate) fn new(kind: ScenarioKind, seed: u64) -> Self {
        let mountain = Curve::through(storm::MOUNTAIN_RAIN);
        let lakes = storm::LAKES.iter().map(|lake| (lake.station, [lake.level, lake.inflow, lake.outflow].map(Curve::through))).collect();
        Self {
            kind,
            seed,
            kim_long: Curve::through(storm::KIM_LONG),
            phu_oc: Curve::through(storm::PHU_OC),
            mountain_scale: record_scale(&mountain),
            mountain,
            lakes,
        }
    }

    /// What a station of `stream` measures; `None` for a stream this simulator does not know.
    pub(crate) fn measure(&self, station: &Station, stream: &str, at: Timestamp) -> Option<Measured> {
        let mut dice = Dice::new(self.seed, &station.id, at.as_millis());
        Some(match stream {
            "water_level" => Measured::Level(round(self.level(station, at, &mut dice), 2)),
            "rain" => {
                let fallen = self.rain_rate(station, at) / 6.0;
                // Light rain comes in drops, heavy rain in sheets.
                let spread = if fallen < 2.0 { 0.5 } else { 0.12 };
                Measured::Rain(round(fallen * dice.between(1.0 - spread, 1.0 + spread), 1))
            }
            "reservoir" => self.lake(station, at),
            "wind" => self.wind(at, &mut dice),
            "air" => self.air(at, &mut dice),
            "street_flood" => Measured::Depth(round(self.street(station, at, &mut dice), 0)),
            _ => return city::measure(self, station, stream, at, &mut dice),
        })
    }

    /// How often a station reports. The lakes that hold floods back do so every quarter of an hour from alarm level I at Kim Long,
    /// as owners' telemetry can.
    pub(crate) fn period(&self, station: &Station, at: Timestamp) -> Span {
        let flood = station.labels.get("flood_control").is_some_and(|yes| yes == "yes") && self.kim_long(at) >= 1.0;
        if flood { Span::from_mins(15) } else { station.period }
    }

    pub(crate) fn kind(&self) -> ScenarioKind {
        self.kind
    }

    /// m at Kim Long.
    pub(crate) fn kim_long(&self, at: Timestamp) -> f64 {
        match self.kind {
            ScenarioKind::Storm2025 => self.kim_long.at(at),
            ScenarioKind::Calm => 0.45 + tide(at, 0.1) + 0.05 * wave(at, Span::from_mins(9 * 24 * 60)),
        }
    }

    /// mm/h in the city; the picture of the cameras follows it.
    pub(crate) fn city_rain(&self, at: Timestamp) -> f64 {
        match self.kind {
            ScenarioKind::Storm2025 => 0.42 * self.mountain_scale * self.mountain.at(at),
            ScenarioKind::Calm => self.shower("city", at),
        }
    }

    fn phu_oc(&self, at: Timestamp) -> f64 {
        match self.kind {
            ScenarioKind::Storm2025 => self.phu_oc.at(at),
            ScenarioKind::Calm => 0.55 + 0.05 * wave(at, Span::from_mins(5 * 24 * 60)),
        }
    }

    fn level(&self, station: &Station, at: Timestamp, dice: &mut Dice) -> f64 {
        let mut own = Dice::new(self.seed, &station.id, 0);
        let invented = follows("", false, 0.0, own.between(0.4, 0.9), own.between(-120.0, 120.0) as i64, 0.02);
        let river = RIVERS.iter().find(|river| station.id == river.id).unwrap_or(&invented);
        let then = at - Span::from_mins(river.lag_minutes);
        let followed = if river.phu_oc { self.phu_oc(then) } else { self.kim_long(then) };
        // The two published gauges show the published figures; the others have a float's ripple.
        let ripple = if river.scale == 1.0 { 0.0 } else { dice.between(-0.01, 0.01) };
        river.offset + river.scale * followed + tide(at, river.tide) + ripple
    }

    /// mm/h over the ten minutes before `at`.
    fn rain_rate(&self, station: &Station, at: Timestamp) -> f64 {
        if self.kind == ScenarioKind::Calm {
            return self.shower(&station.id, at);
        }
        let mut own = Dice::new(self.seed, &station.id, 1);
        let known = MOUNTAIN.iter().find(|(id, _)| station.id == *id).map(|(_, share)| *share);
        let share = known.unwrap_or_else(|| if in_mountains(station) { own.between(0.5, 0.85) } else { own.between(0.3, 0.55) });
        share * self.mountain_scale * self.mountain.at(at - Span::from_mins(5))
    }

    /// A dry-season day: 93 % of the readings are zero.
    fn shower(&self, place: &str, at: Timestamp) -> f64 {
        let hour = at.floor(Span::from_mins(60));
        let mut dice = Dice::new(self.seed, place, hour.as_millis() ^ 0x7261_696e);
        if dice.chance(0.07) { dice.between(0.6, 12.0) } else { 0.0 }
    }

    fn lake(&self, station: &Station, at: Timestamp) -> Measured {
        let mut own = Dice::new(self.seed, &station.id, 2);
        let (level, inflow, outflow) =
            if let Some((_, curves)) = self.lakes.iter().find(|(id, _)| station.id == *id && self.kind == ScenarioKind::Storm2025) {
                let [level, inflow, outflow] = curves;
                (level.at(at), inflow.at(at), outflow.at(at))
            } else if let Some((_, level, inflow, outflow)) = LAKES_AT_REST.iter().find(|(id, ..)| station.id == *id) {
                let swing = wave(at, Span::from_mins(24 * 60));
                (level + 0.05 * swing, inflow * (1.0 + 0.1 * swing), outflow * (1.0 + 0.05 * swing))
            } else {
                let drawn = (own.between(20.0, 120.0), own.between(40.0, 300.0));
                let (brim, peak) = SMALL_LAKES.iter().find(|(id, ..)| station.id == *id).map_or(drawn, |(_, brim, peak)| (*brim, *peak));
                let depth = (brim * 0.3).min(6.0);
                let wet = (self.kim_long(at + Span::from_mins(240)) / 5.05).clamp(0.05, 1.0);
                let inflow = peak * wet * wet;
                (brim - 0.05 * depth - depth * 0.9 * (1.0 - wet), inflow, inflow * 0.85)
            };
        Measured::Lake { level: round(level, 2), inflow: round(inflow, 0), outflow: round(outflow, 0), gates: (outflow / 550.0) as u32 }
    }

    fn wind(&self, at: Timestamp, dice: &mut Dice) -> Measured {
        let blow = match self.kind {
            ScenarioKind::Calm => 3.5 + 2.0 * wave(at, Span::from_mins(24 * 60)),
            ScenarioKind::Storm2025 => 7.0 + self.city_rain(at) / 8.0,
        };
        let speed = (blow + dice.between(-1.0, 1.0)).max(0.0);
        let direction = (30.0 + 25.0 * wave(at, Span::from_mins(11 * 60)) + dice.between(-15.0, 15.0)).rem_euclid(360.0);
        Measured::Wind { speed: round(speed, 1), gust: round(speed * dice.between(1.3, 1.65), 1), direction: round(direction, 0) }
    }

    fn air(&self, at: Timestamp, dice: &mut Dice) -> Measured {
        let clean = if self.kind == ScenarioKind::Storm2025 { 0.4 } else { 1.0 };
        let pm25 = clean * (26.0 + 9.0 * wave(at, Span::from_mins(24 * 60)) + dice.between(-5.0, 5.0));
        Measured::Air {
            pm25: round(pm25, 1),
            pm10: round(pm25 * dice.between(1.5, 1.8), 1),
            so2: round(clean * dice.between(6.0, 20.0), 1),
            no2: round(clean * dice.between(12.0, 45.0), 1),
            o3: round(dice.between(25.0, 90.0), 1),
            co: round(clean * dice.between(400.0, 1500.0), 0),
        }
    }

    /// cm: what the river brings over the site's threshold, and the rain that does not drain.
    fn street(&self, station: &Station, at: Timestamp, dice: &mut Dice) -> f64 {
        let mut own = Dice::new(self.seed, &station.id, 3);
        // Sites flood from 1.8 to 3.2 m at Kim Long; the causeway Đập Đá from 2.0 m.
        let drawn = own.between(1.8, 3.2);
        let threshold = if station.id.starts_with("ngap-dap-da") { 2.0 } else { drawn };
        let per_metre = own.between(20.0, 36.0);
        let river = ((self.kim_long(at) - threshold) * per_metre).max(0.0);
        let rain = (self.city_rain(at) - DRAINED).max(0.0) * own.between(0.2, 0.6);
        let depth = river + rain;
        if depth < 0.5 { 0.0 } else { (depth + dice.between(-0.5, 0.5)).max(0.0) }
    }
}

/// True for the hills south of the plain and the valley of A Lưới.
fn in_mountains(station: &Station) -> bool {
    station.lat < 16.34 || station.lon < 107.35
}

/// What the shape must be multiplied by so that ten-minute sums over the record day give the record.
fn record_scale(mountain: &Curve) -> f64 {
    let (Some(from), Some(to)) =
        (Timestamp::parse_rfc3339(storm::BACH_MA_RECORD_DAY.0), Timestamp::parse_rfc3339(storm::BACH_MA_RECORD_DAY.1))
    else {
        return 1.0;
    };
    let step = Span::from_mins(10);
    let mut sum = 0.0;
    let mut end = from + step;
    while end <= to {
        sum += mountain.at(end - Span::from_mins(5)) / 6.0;
        end = end + step;
    }
    storm::BACH_MA_RECORD / sum
}

/// The irregular tide of the lagoon, simplified to its main period of 12 h 25 min.
fn tide(at: Timestamp, amplitude: f64) -> f64 {
    amplitude * wave(at, Span::from_mins(745))
}

/// −1 to 1, once per `period`.
fn wave(at: Timestamp, period: Span) -> f64 {
    let phase = at.as_millis().rem_euclid(period.as_millis()) as f64 / period.as_millis() as f64;
    (phase * std::f64::consts::TAU).sin()
}

fn round(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}
