//! Distances and areas on the ground, for figures of a few metres to some tens of kilometres.

/// Mean radius of the earth in metres (IUGG R1).
const EARTH_M: f64 = 6_371_008.8;

/// Metres along the great circle between two points in WGS84 degrees, by the haversine formula. Its error against the ellipsoid is
/// at most 0.56 %.
pub fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (phi_a, phi_b) = (a.0.to_radians(), b.0.to_radians());
    let (d_phi, d_lambda) = (phi_b - phi_a, (b.1 - a.1).to_radians());
    let h = (d_phi / 2.0).sin().powi(2) + phi_a.cos() * phi_b.cos() * (d_lambda / 2.0).sin().powi(2);
    2.0 * EARTH_M * h.sqrt().min(1.0).asin()
}

/// Whether a point lies in the polygon (latitude, longitude corners in order), by the even-odd rule on the plate carrée map.
pub fn contains(polygon: &[(f64, f64)], point: (f64, f64)) -> bool {
    let mut inside = false;
    for (a, b) in edges(polygon) {
        if (a.0 > point.0) != (b.0 > point.0) && point.1 < (b.1 - a.1) * (point.0 - a.0) / (b.0 - a.0) + a.1 {
            inside = !inside;
        }
    }
    inside
}

/// Metres from a point to the nearest edge of the polygon, whether it lies inside or outside; `None` for a polygon without edges.
/// The map around the point is taken as flat, good to a percent over tens of kilometres away from the poles.
pub fn edge_distance_m(polygon: &[(f64, f64)], point: (f64, f64)) -> Option<f64> {
    let scale = point.0.to_radians().cos();
    let flat = |p: (f64, f64)| ((p.1 - point.1).to_radians() * scale * EARTH_M, (p.0 - point.0).to_radians() * EARTH_M);
    let to_edge = |(a, b): ((f64, f64), (f64, f64))| {
        let ((ax, ay), (bx, by)) = (flat(a), flat(b));
        let (dx, dy) = (bx - ax, by - ay);
        let length = dx * dx + dy * dy;
        let t = if length == 0.0 { 0.0 } else { (-(ax * dx + ay * dy) / length).clamp(0.0, 1.0) };
        (ax + t * dx).hypot(ay + t * dy)
    };
    edges(polygon).map(to_edge).min_by(f64::total_cmp)
}

fn edges(polygon: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> + '_ {
    let next = polygon.iter().cycle().skip(1);
    polygon.iter().copied().zip(next.copied()).take(polygon.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_latitude_is_a_nautical_mile() {
        let metres = distance_m((16.0, 107.6), (16.0 + 1.0 / 60.0, 107.6));
        assert!((metres - 1852.0).abs() < 5.0, "{metres}");
        assert_eq!(distance_m((16.46, 107.59), (16.46, 107.59)), 0.0);
    }

    #[test]
    fn a_square_holds_its_middle_and_knows_its_edge() {
        let square = [(16.0, 107.0), (16.0, 108.0), (17.0, 108.0), (17.0, 107.0)];
        assert!(contains(&square, (16.5, 107.5)));
        assert!(!contains(&square, (15.9, 107.5)));
        assert!(!contains(&square, (16.5, 108.1)));
        let from_outside = edge_distance_m(&square, (15.0 + 59.0 / 60.0, 107.5)).expect("it has edges");
        assert!((from_outside - 1853.0).abs() < 5.0, "{from_outside}");
        assert_eq!(edge_distance_m(&[], (16.0, 107.0)), None);
    }
}
