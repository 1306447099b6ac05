//! Units as senders write them, and their conversion.
//!
//! Invariant: a value is converted only within one quantity, by an exact factor and offset; an unknown unit is an error,
//! never a guess.

/// A unit that converts within its quantity: `base = value · factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    quantity: Quantity,
    factor: f64,
    offset: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("unknown unit: `{0}`")]
    Unknown(String),
    #[error("not of one quantity: `{from}` and `{to}`")]
    Incompatible { from: String, to: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Length,
    Discharge,
    Volume,
    Concentration,
    Speed,
    Temperature,
    Pressure,
    Ratio,
    Angle,
    Voltage,
    Count,
}

/// `value` given in `from`, expressed in `to`. Units of the same spelling need not be known.
pub fn convert(value: f64, from: &str, to: &str) -> Result<f64, UnitError> {
    if from.trim() == to.trim() {
        return Ok(value);
    }
    let (source, target) = (Unit::parse(from)?, Unit::parse(to)?);
    source.convert(value, target).ok_or_else(|| UnitError::Incompatible { from: from.to_owned(), to: to.to_owned() })
}

impl Unit {
    /// Upper and lower case, `³`/`^3`/`3`, `µ`/`u` and `°`/`deg` are the same.
    pub fn parse(text: &str) -> Result<Unit, UnitError> {
        let name = normal(text);
        let found = UNITS.iter().find(|(names, ..)| names.contains(&name.as_str()));
        found.map(|&(_, quantity, factor, offset)| Unit { quantity, factor, offset }).ok_or_else(|| UnitError::Unknown(text.to_owned()))
    }

    /// `None` when the two measure different quantities.
    pub fn convert(self, value: f64, to: Unit) -> Option<f64> {
        if self == to {
            return Some(value);
        }
        (self.quantity == to.quantity).then(|| ((value * self.factor + self.offset) - to.offset) / to.factor)
    }
}

fn normal(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            // Micro sign and Greek mu look the same and both occur.
            '\u{b5}' | '\u{3bc}' => name.push('u'),
            '²' => name.push('2'),
            '³' => name.push('3'),
            '°' | 'º' => name.push_str("deg"),
            '^' | ' ' => {}
            c => name.extend(c.to_lowercase()),
        }
    }
    name
}

/// Names after normalisation, quantity, factor to the base unit, offset. Factors are exact by definition: the international foot
/// 0.3048 m, inch 25.4 mm, nautical mile 1852 m and mile 1609.344 m. "Nm3" is a cubic metre at the reference conditions of
/// QCVN 05:2023, in which its limits are given; "Mm3" is a million cubic metres, as reservoir tables
/// write it: nobody sends cubic millimetres.
const UNITS: [(&[&str], Quantity, f64, f64); 38] = [
    (&["m", "metre", "meter", "mét"], Quantity::Length, 1.0, 0.0),
    (&["dm"], Quantity::Length, 0.1, 0.0),
    (&["cm"], Quantity::Length, 0.01, 0.0),
    (&["mm"], Quantity::Length, 0.001, 0.0),
    (&["km"], Quantity::Length, 1000.0, 0.0),
    (&["ft", "feet", "foot"], Quantity::Length, 0.3048, 0.0),
    (&["in", "inch", "inches"], Quantity::Length, 0.0254, 0.0),
    (&["m3/s", "m3s-1", "cms", "cumecs"], Quantity::Discharge, 1.0, 0.0),
    (&["l/s", "lps"], Quantity::Discharge, 0.001, 0.0),
    (&["m3/h"], Quantity::Discharge, 1.0 / 3600.0, 0.0),
    (&["cfs", "ft3/s"], Quantity::Discharge, 0.3048 * 0.3048 * 0.3048, 0.0),
    (&["m3"], Quantity::Volume, 1.0, 0.0),
    (&["mm3", "hm3"], Quantity::Volume, 1e6, 0.0),
    (&["l"], Quantity::Volume, 0.001, 0.0),
    (&["ug/m3", "ug/nm3"], Quantity::Concentration, 1.0, 0.0),
    (&["mg/m3", "mg/nm3"], Quantity::Concentration, 1000.0, 0.0),
    (&["m/s", "ms-1"], Quantity::Speed, 1.0, 0.0),
    (&["cm/s"], Quantity::Speed, 0.01, 0.0),
    (&["km/h", "kmh", "kph"], Quantity::Speed, 1.0 / 3.6, 0.0),
    (&["kn", "kt", "kts", "knot", "knots"], Quantity::Speed, 1852.0 / 3600.0, 0.0),
    (&["mph"], Quantity::Speed, 1609.344 / 3600.0, 0.0),
    (&["degc", "c", "celsius"], Quantity::Temperature, 1.0, 273.15),
    (&["k", "kelvin"], Quantity::Temperature, 1.0, 0.0),
    (&["degf", "f", "fahrenheit"], Quantity::Temperature, 5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0),
    (&["pa"], Quantity::Pressure, 1.0, 0.0),
    (&["hpa", "mbar", "mb"], Quantity::Pressure, 100.0, 0.0),
    (&["kpa"], Quantity::Pressure, 1000.0, 0.0),
    (&["bar"], Quantity::Pressure, 100_000.0, 0.0),
    (&["mmhg"], Quantity::Pressure, 133.322_387_415, 0.0),
    (&["%", "percent", "pct"], Quantity::Ratio, 0.01, 0.0),
    (&["ratio", "fraction"], Quantity::Ratio, 1.0, 0.0),
    (&["deg", "degree", "degrees"], Quantity::Angle, 1.0, 0.0),
    (&["rad"], Quantity::Angle, 180.0 / std::f64::consts::PI, 0.0),
    (&["v", "volt"], Quantity::Voltage, 1.0, 0.0),
    (&["mv"], Quantity::Voltage, 0.001, 0.0),
    (&["kv"], Quantity::Voltage, 1000.0, 0.0),
    (&["1", "count"], Quantity::Count, 1.0, 0.0),
    (&["gates", "cửa"], Quantity::Count, 1.0, 0.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_and_factors() {
        for (value, from, to, expected) in [
            (1378.0, "mm", "m", 1.378),
            (23.0, "cm", "m", 0.23),
            (23.0, "CM", "cm", 23.0),
            (10.0, "ft", "m", 3.048),
            (1.0, "in", "mm", 25.4),
            (1500.0, "L/s", "m³/s", 1.5),
            (35.314_666_721_488_59, "cfs", "m3/s", 1.0),
            (0.05, "mg/m³", "µg/m3", 50.0),
            (31.7, "μg/Nm3", "ug/m3", 31.7),
            (36.0, "km/h", "m/s", 10.0),
            (10.0, "kn", "m/s", 5.144_444_444_444_445),
            (25.0, "°C", "K", 298.15),
            (212.0, "°F", "degC", 100.0),
            (1013.25, "hPa", "Pa", 101_325.0),
            (80.0, "%", "ratio", 0.8),
            (2.5, "Mm³", "m3", 2_500_000.0),
            (3.0, "người", "người", 3.0),
        ] {
            let found = convert(value, from, to).expect(from);
            assert!((found - expected).abs() < 1e-9, "{value} {from} is {found} {to}, expected {expected}");
        }
    }

    #[test]
    fn what_does_not_convert_is_an_error() {
        assert_eq!(convert(1.0, "ppb", "ug/m3"), Err(UnitError::Unknown("ppb".into())));
        assert_eq!(convert(1.0, "m", "furlong"), Err(UnitError::Unknown("furlong".into())));
        assert_eq!(convert(1.0, "m", "m/s"), Err(UnitError::Incompatible { from: "m".into(), to: "m/s".into() }));
    }

    #[test]
    fn every_unit_converts_there_and_back() {
        for (names, quantity, ..) in UNITS {
            for (others, other, ..) in UNITS {
                if quantity == other {
                    let there = convert(12.5, names[0], others[0]).expect("same quantity");
                    let back = convert(there, others[0], names[0]).expect("same quantity");
                    assert!((back - 12.5).abs() < 1e-9, "{} via {}: {back}", names[0], others[0]);
                }
            }
        }
    }
}
