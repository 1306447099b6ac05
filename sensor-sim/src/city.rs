//! The city's machines beside the gauges: water probes, security counters, screens, the service gateway, heartbeats.
//!
//! Invariant: like all weather, a value is a function of seed, station and time alone. Incidents are dated and assumed; each is here so
//! that a rule has something true to find.

use huong_types::{Span, Station, Timestamp};

use crate::dice::Dice;
use crate::weather::{Measured, ScenarioKind, Weather};

/// Something that goes wrong at one station (or all whose id begins so) from one local time to another.
struct Incident(&'static str, &'static str, &'static str);

const SPILL: Incident = Incident("nt-tu-ha", "2025-10-31T09:00", "2025-10-31T10:00");
const ATTACK: Incident = Incident("soc-2", "2025-11-01T02:00", "2025-11-01T04:00");
const FOREIGN_CONTENT: Incident = Incident("mh-04", "2025-10-31T20:10", "2025-10-31T20:30");
/// The command's urgent notice of the 27th is shown on every screen until the river is below alarm level III.
const WARNING_SHOWN: Incident = Incident("mh-", "2025-10-27T04:20", "2025-10-30T12:00");
const GATEWAY_FAULT: Incident = Incident("api-dat-dai", "2025-10-29T10:00", "2025-10-29T10:40");
/// Power is out where the flood stands.
const POWER_CUTS: [Incident; 5] = [
    Incident("tb-lora-07", "2025-10-27T11:00", "2025-10-28T20:00"),
    Incident("tb-lora-08", "2025-10-27T12:30", "2025-10-29T08:00"),
    Incident("tb-coi-4", "2025-10-27T16:00", "2025-10-27T22:00"),
    Incident("mh-06", "2025-10-28T14:00", "2025-10-28T15:10"),
    Incident("mh-02", "2025-11-01T19:00", "2025-11-01T19:25"),
];

/// A quarter of the cameras hangs on one feeder.
const FEEDER_CUT: (&str, &str) = ("2025-10-27T21:00", "2025-10-27T23:30");
/// The collector of the rain gauges that come as a feed stands still.
const COLLECTOR_OUT: (&str, &str) = ("2025-10-28T02:00", "2025-10-28T04:00");

impl Incident {
    fn holds(&self, id: &str, at: Timestamp) -> bool {
        id.starts_with(self.0) && during(self.1, self.2, at)
    }
}

/// From the first local time to before the second.
pub(crate) fn during(from: &str, to: &str, at: Timestamp) -> bool {
    let parse = |text: &str| Timestamp::parse_rfc3339(&format!("{text}:00+07:00"));
    parse(from).zip(parse(to)).is_some_and(|(from, to)| (from..to).contains(&at))
}

pub(crate) fn camera_is_dark(weather: &Weather, index: usize, at: Timestamp) -> bool {
    weather.kind() == ScenarioKind::Storm2025 && index.is_multiple_of(4) && during(FEEDER_CUT.0, FEEDER_CUT.1, at)
}

pub(crate) fn collector_is_out(weather: &Weather, stream: &str, at: Timestamp) -> bool {
    stream == "rain" && weather.kind() == ScenarioKind::Storm2025 && during(COLLECTOR_OUT.0, COLLECTOR_OUT.1, at)
}

/// How busy people are, around 1 over the day: 0.3 at night, 1.5 by day.
pub(crate) fn bustle(at: Timestamp) -> f64 {
    let hour = (at.as_millis() + 7 * 3_600_000).rem_euclid(86_400_000) / 3_600_000;
    if (7..21).contains(&hour) { 1.5 } else { 0.3 }
}

/// What a machine of `stream` reports; `None` for a stream that is no machine's, or while it has no power.
pub(crate) fn measure(weather: &Weather, station: &Station, stream: &str, at: Timestamp, dice: &mut Dice) -> Option<Measured> {
    let storm = weather.kind() == ScenarioKind::Storm2025;
    let happens = |incident: &Incident| storm && incident.holds(&station.id, at);
    if POWER_CUTS.iter().any(happens) {
        return None;
    }
    Some(match stream {
        "surface_water" => {
            // Mud follows the rain of the last hours.
            let mud = if storm { 12.0 * weather.city_rain(at - Span::from_mins(180)) } else { 0.0 };
            Measured::Water {
                ph: dice.between(6.8, 7.6),
                oxygen: dice.between(5.6, 7.2),
                cod: dice.between(6.0, 13.0),
                tss: 20.0 + mud,
                nh4: 0.12,
            }
        }
        "wastewater" => {
            let limit = |name: &str| station.levels.get(name).copied().unwrap_or(100.0);
            let share = if happens(&SPILL) { 3.0 } else { dice.between(0.4, 0.7) };
            Measured::Effluent {
                ph: dice.between(6.6, 7.8),
                cod: limit("cod_max") * share,
                tss: limit("tss_max") * share,
                nh4: limit("nh4_max") * share,
                flow: dice.between(80.0, 220.0),
                status: status(station, at),
            }
        }
        "soc" => {
            // Some 14 attacks a minute over all centres.
            let usual = 14.0 * 5.0 / 3.0 * (0.8 + 0.2 * bustle(at));
            let attacks = usual * dice.between(0.8, 1.2) * if happens(&ATTACK) { 12.0 } else { 1.0 };
            Measured::Counters { attacks: attacks.round(), spam: dice.between(0.0, 2.0).round() }
        }
        "screens" => {
            let approved = station.labels.get("approved").and_then(|hash| u32::from_str_radix(hash, 16).ok()).unwrap_or(0);
            let content = if happens(&FOREIGN_CONTENT) { 0xbad } else { approved };
            Measured::Screen { content, emergency: happens(&WARNING_SHOWN) }
        }
        "api" => {
            let requests = (60.0 * bustle(at) * dice.between(0.8, 1.2)).round();
            let rate = if happens(&GATEWAY_FAULT) { 0.08 } else { 0.002 };
            Measured::Gateway { requests, errors: (requests * rate + dice.between(-0.5, 0.5)).max(0.0).round() }
        }
        "devices" => Measured::Heartbeat { battery: dice.between(3.6, 3.8) },
        _ => return None,
    })
}

/// Half an hour of calibration each day at an hour of the station's own; otherwise it measures.
fn status(station: &Station, at: Timestamp) -> &'static str {
    let own = station.id.bytes().map(i64::from).sum::<i64>() % 20;
    let minute = (at.as_millis() / 60_000 + 7 * 60).rem_euclid(1440);
    if (own * 60..own * 60 + 30).contains(&minute) { "01" } else { "00" }
}
