//! Which part of the street a vehicle stands on.
//!
//! Invariant: of two zones that share an edge, a point on it lies in exactly one.

/// Whether `point` lies in `polygon` (even-odd rule; corners in order, either way round).
///
/// A point on an edge belongs to the side of larger x, or larger y.
pub(crate) fn contains(polygon: &[(f32, f32)], point: (f32, f32)) -> bool {
    let edges = polygon.iter().zip(polygon.iter().cycle().skip(1));
    edges.filter(|&(&a, &b)| crosses(a, b, point)).count() % 2 == 1
}

/// Whether a ray from `point` to larger x crosses the edge.
fn crosses(a: (f32, f32), b: (f32, f32), point: (f32, f32)) -> bool {
    // From above to below always, so that neighbours who list the edge in opposite order round alike.
    let (upper, lower) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    if point.1 < upper.1 || point.1 >= lower.1 {
        return false;
    }
    let part = (point.1 - upper.1) / (lower.1 - upper.1);
    point.0 < upper.0 + part * (lower.0 - upper.0)
}

/// How far the point is from the polygon's edge, in its units.
pub(crate) fn edge_distance(polygon: &[(f32, f32)], point: (f32, f32)) -> f32 {
    let edges = polygon.iter().zip(polygon.iter().cycle().skip(1));
    edges.map(|(&a, &b)| segment_distance(a, b, point)).fold(f32::INFINITY, f32::min)
}

fn segment_distance(a: (f32, f32), b: (f32, f32), point: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let part = if length > 0.0 { (((point.0 - a.0) * dx + (point.1 - a.1) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (point.0 - a.0 - part * dx).hypot(point.1 - a.1 - part * dy)
}

/// Whether two segments have a point in common; those that lie in one line have none.
pub(crate) fn meets((a, b): ((f32, f32), (f32, f32)), (c, d): ((f32, f32), (f32, f32))) -> bool {
    let turn = |p: (f32, f32), q: (f32, f32), r: (f32, f32)| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    (turn(a, b, c) > 0.0) != (turn(a, b, d) > 0.0) && (turn(c, d, a) > 0.0) != (turn(c, d, b) > 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Polygon<'a> = &'a [(f32, f32)];

    #[test]
    fn points_at_edges_and_corners() {
        let square = [(0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6)];
        // A U: the notch between its arms is outside.
        let notched = [(0.0, 0.0), (0.3, 0.0), (0.3, 0.5), (0.7, 0.5), (0.7, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        let cases: [(&str, Polygon, (f32, f32), bool); 11] = [
            ("inside", &square, (0.4, 0.4), true),
            ("left edge", &square, (0.2, 0.4), true),
            ("right edge", &square, (0.6, 0.4), false),
            ("upper edge", &square, (0.4, 0.2), true),
            ("lower edge", &square, (0.4, 0.6), false),
            ("upper left corner", &square, (0.2, 0.2), true),
            ("level with a corner, outside", &square, (0.1, 0.2), false),
            ("an arm", &notched, (0.15, 0.2), true),
            ("the notch", &notched, (0.5, 0.2), false),
            ("under the notch", &notched, (0.5, 0.7), true),
            ("not a number", &square, (f32::NAN, 0.4), false),
        ];
        for (name, polygon, point, expected) in cases {
            assert_eq!(contains(polygon, point), expected, "{name}");
        }
    }

    #[test]
    fn distances_and_meetings() {
        let square = [(0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6)];
        for (point, expected) in [((0.4, 0.3), 0.1), ((0.4, 0.0), 0.2), ((0.9, 1.0), 0.5), ((0.2, 0.2), 0.0)] {
            assert!((edge_distance(&square, point) - expected).abs() < 1e-6, "{point:?}");
        }
        let line = ((0.2, 0.5), (0.8, 0.5));
        let cases = [
            ((0.5, 0.4), (0.5, 0.6), true),
            ((0.1, 0.4), (0.1, 0.6), false),
            ((0.1, 0.4), (0.4, 0.6), true),
            ((0.5, 0.1), (0.5, 0.2), false),
        ];
        for (from, to, expected) in cases {
            assert_eq!(meets(line, (from, to)), expected, "{from:?} to {to:?}");
        }
    }

    proptest! {
        /// The unit square cut in two by a slanted line through any two heights: no point is in both halves, none in neither.
        #[test]
        fn neighbours_share_no_point_and_leave_none(
            left in 0.05f32..0.95, right in 0.05f32..0.95, x in 0.0f32..1.0, y in 0.0f32..1.0, on_line in any::<bool>(),
        ) {
            let upper = [(0.0, 0.0), (1.0, 0.0), (1.0, right), (0.0, left)];
            let lower = [(0.0, left), (1.0, right), (1.0, 1.0), (0.0, 1.0)];
            let y = if on_line { left + x * (right - left) } else { y };
            prop_assert!(contains(&upper, (x, y)) != contains(&lower, (x, y)));
        }
    }
}
