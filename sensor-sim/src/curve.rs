//! Smooth curves through a few known points.
//!
//! Invariant: a curve passes through every anchor exactly and never overshoots between two of them, so a published peak
//! stays the peak (Fritsch and Carlson, "Monotone Piecewise Cubic Interpolation", 1980).

use huong_types::Timestamp;

/// Anchors as `("2025-10-27T06:00", value)`, local time (UTC+7), in growing order of time.
pub(crate) type Anchors = &'static [(&'static str, f64)];

/// Constant before the first anchor and after the last.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// Milliseconds, value, slope per millisecond.
    points: Vec<(f64, f64, f64)>,
}

impl Curve {
    /// Anchors that are not a time, or not later than the one before, are left out: the tests of the tables see to it that
    /// there are none.
    pub(crate) fn through(anchors: Anchors) -> Self {
        let mut points: Vec<(f64, f64, f64)> = Vec::with_capacity(anchors.len());
        for (text, value) in anchors {
            let Some(at) = Timestamp::parse_rfc3339(&format!("{text}:00+07:00")) else { continue };
            let x = at.as_millis() as f64;
            if points.last().is_none_or(|last| last.0 < x) {
                points.push((x, *value, 0.0));
            }
        }
        set_slopes(&mut points);
        Self { points }
    }

    pub(crate) fn at(&self, at: Timestamp) -> f64 {
        let x = at.as_millis() as f64;
        let after = self.points.partition_point(|p| p.0 <= x);
        let (Some(&(x0, y0, m0)), Some(&(x1, y1, m1))) = (after.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(after))
        else {
            let end = if after == 0 { self.points.first() } else { self.points.last() };
            return end.map_or(0.0, |p| p.1);
        };
        let width = x1 - x0;
        let t = (x - x0) / width;
        let (t2, t3) = (t * t, t * t * t);
        (2.0 * t3 - 3.0 * t2 + 1.0) * y0 + (t3 - 2.0 * t2 + t) * width * m0 + (3.0 * t2 - 2.0 * t3) * y1 + (t3 - t2) * width * m1
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }
}

fn set_slopes(points: &mut [(f64, f64, f64)]) {
    let secants: Vec<f64> = points.windows(2).map(|w| (w[1].1 - w[0].1) / (w[1].0 - w[0].0)).collect();
    for i in 1..secants.len() {
        let (before, after) = (secants[i - 1], secants[i]);
        // A harmonic mean keeps the slope within three times either secant, which is what rules out overshoot.
        points[i].2 = if before * after > 0.0 { 2.0 * before * after / (before + after) } else { 0.0 };
    }
    // The ends keep a slope of 0: the river is at rest outside the event.
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHORS: Anchors = &[
        ("2025-10-27T00:00", 1.0),
        ("2025-10-27T06:00", 3.5),
        ("2025-10-27T07:00", 3.58),
        ("2025-10-27T20:00", 5.05),
        ("2025-10-28T00:00", 5.05),
        ("2025-10-28T08:00", 4.0),
    ];

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(&format!("{text}:00+07:00")).expect("a literal of this test")
    }

    #[test]
    fn it_meets_its_anchors_and_stays_between_neighbours() {
        let curve = Curve::through(ANCHORS);
        assert_eq!(curve.len(), ANCHORS.len());
        for (text, value) in ANCHORS {
            assert!((curve.at(at(text)) - value).abs() < 1e-9, "{text}");
        }
        for pair in ANCHORS.windows(2) {
            let (from, to) = (at(pair[0].0).as_millis(), at(pair[1].0).as_millis());
            let (low, high) = (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1));
            for i in 0..=100 {
                let value = curve.at(Timestamp::from_millis(from + (to - from) * i / 100));
                assert!((low - 1e-9..=high + 1e-9).contains(&value), "{value} is not within {low}..{high}");
            }
        }
    }

    #[test]
    fn it_is_flat_outside() {
        let curve = Curve::through(ANCHORS);
        assert_eq!(curve.at(at("2025-01-01T00:00")), 1.0);
        assert_eq!(curve.at(at("2026-01-01T00:00")), 4.0);
    }
}
