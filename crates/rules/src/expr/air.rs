//! Air quality by the Vietnamese rule: QĐ 1459/QĐ-TCMT of 12/11/2019.
//!
//! Invariant: pure arithmetic; what is missing is said by `None`, never by a figure.

/// Hours a NowCast looks back.
pub(crate) const NOWCAST_HOURS: usize = 12;

/// Upper ends of the index ranges (columns of [`BREAKPOINTS`]).
const INDEX: [f64; 8] = [0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0];

/// Concentrations in µg/m³ at which a pollutant's index is that of [`INDEX`], in the order of [`vn_aqi`]'s arguments: PM2.5 and
/// PM10 as NowCast, O3, CO, SO2 and NO2 as 1-hour means. Source: QĐ 1459/QĐ-TCMT, table of BPi values for the hourly VN_AQI.
const BREAKPOINTS: [[f64; 8]; 6] = [
    [0.0, 25.0, 50.0, 80.0, 150.0, 250.0, 350.0, 500.0],
    [0.0, 50.0, 150.0, 250.0, 350.0, 420.0, 500.0, 600.0],
    [0.0, 160.0, 200.0, 300.0, 400.0, 800.0, 1000.0, 1200.0],
    [0.0, 10_000.0, 30_000.0, 45_000.0, 60_000.0, 90_000.0, 120_000.0, 150_000.0],
    [0.0, 125.0, 350.0, 550.0, 800.0, 1600.0, 2100.0, 2630.0],
    [0.0, 100.0, 200.0, 700.0, 1200.0, 2350.0, 3100.0, 3850.0],
];

/// NowCast of hourly means, newest first; hours beyond the twelfth are ignored.
///
/// `w = max(min/max, 1/2)` over the present hours, `Σ w^(i−1) c_i / Σ w^(i−1)` over the same. `None` unless at least two of the
/// newest three hours are present; 0 when the highest is 0. Negative or non-finite means count as missing. Source: QĐ 1459/QĐ-TCMT.
pub(crate) fn nowcast(hours: &[Option<f64>]) -> Option<f64> {
    let present = || {
        let hours = hours.iter().take(NOWCAST_HOURS).enumerate();
        hours.filter_map(|(age, mean)| mean.filter(|c| c.is_finite() && *c >= 0.0).map(|c| (age, c)))
    };
    if present().filter(|(age, _)| *age < 3).count() < 2 {
        return None;
    }
    let (least, most) = present().fold((f64::INFINITY, 0.0_f64), |(least, most), (_, c)| (least.min(c), most.max(c)));
    if most == 0.0 {
        return Some(0.0);
    }
    let weight = (least / most).max(0.5);
    // Oldest first, so that the powers of the weight come from one multiplication each.
    let (mut sum, mut weights) = (0.0, 0.0);
    for age in (0..hours.len().min(NOWCAST_HOURS)).rev() {
        sum *= weight;
        weights *= weight;
        if let Some(c) = hours[age].filter(|c| c.is_finite() && *c >= 0.0) {
            sum += c;
            weights += 1.0;
        }
    }
    Some(sum / weights)
}

/// The hourly VN_AQI of PM2.5, PM10 (NowCasts), O3, CO, SO2, NO2 (1-hour means), all in µg/m³: the highest index of those present,
/// each linear between its breakpoints, 500 above the highest, rounded half up. `None` without PM2.5 or PM10; negative or
/// non-finite concentrations count as missing.
pub(crate) fn vn_aqi(concentrations: [Option<f64>; 6]) -> Option<f64> {
    let index = |pollutant: usize| concentrations[pollutant].and_then(|c| sub_index(&BREAKPOINTS[pollutant], c));
    index(0).or(index(1))?;
    (0..BREAKPOINTS.len()).filter_map(index).reduce(f64::max)
}

fn sub_index(breakpoints: &[f64; 8], c: f64) -> Option<f64> {
    if !c.is_finite() || c < 0.0 {
        return None;
    }
    let exact = match breakpoints.iter().position(|b| *b > c) {
        // Concentrations are >= 0, the first breakpoint: the upper end is never the first.
        Some(upper) => {
            let (c_low, c_high, i_low, i_high) = (breakpoints[upper - 1], breakpoints[upper], INDEX[upper - 1], INDEX[upper]);
            i_low + (c - c_low) * (i_high - i_low) / (c_high - c_low)
        }
        None => INDEX[INDEX.len() - 1],
    };
    Some((exact + 0.5).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(given: &[Option<f64>], rest: f64) -> Vec<Option<f64>> {
        let mut all = given.to_vec();
        all.resize(NOWCAST_HOURS, Some(rest));
        all
    }

    #[test]
    fn nowcast_of_hourly_means() {
        let table = [
            (hours(&[Some(80.0), Some(60.0), Some(40.0)], 30.0), Some(63.758)),
            (
                [50.0, f64::NAN, 45.0, 44.0, 43.0, 42.0, 41.0, 40.0, 39.0, 38.0, 37.0, 36.0].map(|c| (!c.is_nan()).then_some(c)).to_vec(),
                Some(45.399),
            ),
            (hours(&[20.0, 18.0, 16.0, 15.0, 15.0, 14.0, 13.0].map(Some), 12.0), Some(17.724)),
            (hours(&[None, None, Some(45.0)], 40.0), None),
            (vec![Some(0.0); 12], Some(0.0)),
            (vec![Some(7.0), Some(7.0)], Some(7.0)),
            (vec![Some(7.0)], None),
            (vec![], None),
            // Bad figures are missing; the thirteenth hour is not looked at.
            (vec![Some(-1.0), Some(f64::NAN), Some(4.0)], None),
            ([vec![Some(4.0); 12], vec![Some(1000.0)]].concat(), Some(4.0)),
        ];
        for (hours, expected) in table {
            let got = nowcast(&hours);
            let same = match (got, expected) {
                (Some(got), Some(expected)) => (got - expected).abs() < 5e-4,
                (got, expected) => got == expected,
            };
            assert!(same, "{hours:?}: {got:?}, expected {expected:?}");
        }
    }

    #[test]
    fn index_of_nowcasts() {
        let table = [
            (hours(&[Some(80.0), Some(60.0), Some(40.0)], 30.0), 123.0),
            (
                [50.0, f64::NAN, 45.0, 44.0, 43.0, 42.0, 41.0, 40.0, 39.0, 38.0, 37.0, 36.0].map(|c| (!c.is_nan()).then_some(c)).to_vec(),
                91.0,
            ),
            (hours(&[20.0, 18.0, 16.0, 15.0, 15.0, 14.0, 13.0].map(Some), 12.0), 35.0),
        ];
        for (hours, expected) in table {
            assert_eq!(vn_aqi([nowcast(&hours), None, None, None, None, None]), Some(expected), "{hours:?}");
        }
    }

    #[test]
    fn index_of_one_pollutant() {
        let clean = Some(0.0);
        let table: [([Option<f64>; 6], Option<f64>); 16] = [
            ([Some(65.0), None, None, None, None, None], Some(125.0)),
            ([None, Some(175.0), None, None, None, None], Some(113.0)),
            ([clean, None, None, None, None, Some(150.0)], Some(75.0)),
            ([clean, None, Some(180.0), None, None, None], Some(75.0)),
            ([None, clean, None, Some(20_000.0), None, None], Some(75.0)),
            ([None, clean, None, None, Some(450.0), None], Some(125.0)),
            // The ends of the table and beyond.
            ([Some(0.0), None, None, None, None, None], Some(0.0)),
            ([Some(25.0), None, None, None, None, None], Some(50.0)),
            ([Some(500.0), None, None, None, None, None], Some(500.0)),
            ([Some(9_999.0), None, None, None, None, None], Some(500.0)),
            ([None, Some(600.0), None, None, None, None], Some(500.0)),
            // Nothing without particles; the worst decides; bad figures are missing.
            ([None, None, Some(180.0), Some(20_000.0), Some(450.0), Some(150.0)], None),
            ([Some(65.0), Some(175.0), Some(180.0), None, None, None], Some(125.0)),
            ([Some(-1.0), Some(50.0), Some(-3.0), None, None, None], Some(50.0)),
            ([Some(-1.0), None, None, None, None, Some(150.0)], None),
            ([Some(f64::INFINITY), None, None, None, None, None], None),
        ];
        for (concentrations, expected) in table {
            assert_eq!(vn_aqi(concentrations), expected, "{concentrations:?}");
        }
    }
}
