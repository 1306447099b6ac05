//! What goes wrong between a sensor and the broker, in the shares seen in the city's own feeds: rows dropped (1–5 %), silences
//! of 20 to 30 minutes, outliers (0.05 %), dates in the future (0.01 %), duplicates, rows out of order, unknown stations, a
//! payload cut short now and then, and wind masts that report less than half of the time.
//!
//! Invariant: a row that decides an alarm is spared, so the alerts that a scenario must raise do not depend on luck.

use std::collections::BTreeMap;

use huong_types::{Span, Station, Timestamp};

use crate::dice::Dice;
use crate::weather::Measured;

/// What was done to a row or message on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Never sent.
    Dropped,
    /// Never sent, as part of a silence of 20 to 30 minutes.
    Gap,
    /// Negative, or a thousand times too large or small (metres for millimetres).
    Outlier,
    /// Dated days ahead.
    Future,
    /// Sent twice.
    Duplicate,
    /// Sent after its successor.
    Delayed,
    /// Of a station that no registry has.
    Orphan,
    /// The payload ends in the middle.
    Malformed,
}

pub(crate) const OUTLIERS: f64 = 0.0005;
pub(crate) const FUTURE: f64 = 0.0001;
pub(crate) const DUPLICATES: f64 = 0.004;
pub(crate) const DELAYED: f64 = 0.01;
pub(crate) const MALFORMED: f64 = 0.0002;
/// Share of their rows that wind masts deliver.
pub(crate) const WIND_COVERAGE: f64 = 0.45;
/// Each station draws its own share of lost rows between these.
pub(crate) const DROPPED: (f64, f64) = (0.01, 0.05);
/// A silence in one of four such spans, for stations that report at least every ten minutes.
const GAP_SPAN: Span = Span::from_mins(12 * 60);
const GAP_CHANCE: f64 = 0.25;
/// A level this close to an alarm level decides, m.
const DECIDING: f64 = 0.15;

/// How often each fault was done, and how many rows were due in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    pub rows: u64,
    pub faults: BTreeMap<Fault, u64>,
}

impl FaultCounts {
    pub(crate) fn add(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub fn of(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }
}

/// Draws the fault of one row, if any.
pub(crate) fn draw(seed: u64, station: &Station, at: Timestamp, measured: &Measured) -> Option<Fault> {
    if decides(station, measured) {
        return None;
    }
    let mut dice = Dice::new(seed, &station.id, at.as_millis() ^ 0x6661_756c);
    let mut own = Dice::new(seed, &station.id, 4);
    let lost = if matches!(measured, Measured::Wind { .. }) { 1.0 - WIND_COVERAGE } else { own.between(DROPPED.0, DROPPED.1) };
    if in_gap(seed, station, at) {
        return Some(Fault::Gap);
    }
    let shares = [
        (lost, Fault::Dropped),
        (OUTLIERS, Fault::Outlier),
        (FUTURE, Fault::Future),
        (DUPLICATES, Fault::Duplicate),
        (DELAYED, Fault::Delayed),
        (MALFORMED, Fault::Malformed),
    ];
    let mut drawn = dice.unit();
    for (share, fault) in shares {
        if drawn < share {
            return Some(fault);
        }
        drawn -= share;
    }
    None
}

/// The row as a broken sensor or a mistaken unit would give it.
pub(crate) fn distort(measured: Measured, dice: &mut Dice) -> Measured {
    let how = dice.below(3);
    let distorted = |value: f64| match how {
        0 => -value - 6.341,
        1 => (value + 0.4) * 1000.0,
        _ => value / 1000.0,
    };
    match measured {
        Measured::Level(value) => Measured::Level(distorted(value)),
        Measured::Rain(value) => Measured::Rain(distorted(value)),
        Measured::Depth(value) => Measured::Depth(distorted(value)),
        Measured::Lake { level, inflow, outflow, gates } => Measured::Lake { level: distorted(level), inflow, outflow, gates },
        Measured::Wind { speed, gust, direction } => Measured::Wind { speed: distorted(speed), gust, direction },
        Measured::Air { pm25, pm10, so2, no2, o3, co } => Measured::Air { pm25: distorted(pm25), pm10, so2, no2, o3, co },
        Measured::Water { ph, oxygen, cod, tss, nh4 } => Measured::Water { ph, oxygen, cod: distorted(cod), tss, nh4 },
        Measured::Effluent { ph, cod, tss, nh4, flow, status } => Measured::Effluent { ph, cod: distorted(cod), tss, nh4, flow, status },
        // What counts or beats does not mistake its unit.
        machine => machine,
    }
}

fn in_gap(seed: u64, station: &Station, at: Timestamp) -> bool {
    let span = at.floor(GAP_SPAN);
    let mut dice = Dice::new(seed, &station.id, span.as_millis() ^ 0x6761_7073);
    // The gaps are those of the gauges' radio networks; machines have their own outages.
    let machine = matches!(station.kind.as_str(), "api" | "soc" | "screen" | "gateway" | "siren");
    if machine || station.period > Span::from_mins(10) || !dice.chance(GAP_CHANCE) {
        return false;
    }
    let length = dice.between(20.0, 30.0);
    let start = dice.between(0.0, GAP_SPAN.as_hours() * 60.0 - length);
    let minute = at.since(span).as_hours() * 60.0;
    (start..start + length).contains(&minute)
}

fn decides(station: &Station, measured: &Measured) -> bool {
    let Measured::Level(level) = measured else { return false };
    station.levels.iter().any(|(name, alarm)| name.starts_with("bd") && (level - alarm).abs() < DECIDING)
}
