//! A tilted plate made straight: from its four corners to the reader's input.
//!
//! Invariant: whatever the corners are, the answer is a picture of the asked size or `None`; points outside the picture take its edge.

use huong_types::BoundingBox;

use crate::{ChannelOrder, InputSpec, Pixels, PlateImage, PlateRows};

/// Top left, top right, bottom right, bottom left.
pub(crate) type Corners = [(f32, f32); 4];

/// The mean width of a plate over its mean height.
pub(crate) fn aspect(corners: &Corners) -> f32 {
    let length = |a: usize, b: usize| (corners[a].0 - corners[b].0).hypot(corners[a].1 - corners[b].1);
    (length(0, 1) + length(3, 2)) / (length(0, 3) + length(1, 2)).max(1e-3)
}

/// The box around the corners.
pub(crate) fn around(corners: &Corners) -> BoundingBox {
    let (mut left, mut top, mut right, mut bottom) = (f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &(x, y) in corners {
        (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
    }
    BoundingBox { x: left, y: top, width: right - left, height: bottom - top }
}

/// Corners moved outwards from their middle by `part` of their distance to it.
pub(crate) fn widened(corners: &Corners, part: f32) -> Corners {
    let middle = corners.iter().fold((0.0, 0.0), |(x, y), corner| (x + corner.0 / 4.0, y + corner.1 / 4.0));
    corners.map(|(x, y)| (x + part * (x - middle.0), y + part * (y - middle.1)))
}

/// The projective map from the unit square to a quadrilateral (Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989,
/// section 2.2.3), as a, b, c, d, e, f, g, h of x = (a u + b v + c) / (g u + h v + 1), y = (d u + e v + f) / (g u + h v + 1).
fn projection(corners: &Corners) -> Option<[f32; 8]> {
    let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = *corners;
    let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
    let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
    let determinant = dx1 * dy2 - dx2 * dy1;
    let (g, h) = ((sx * dy2 - dx2 * sy) / determinant, (dx1 * sy - sx * dy1) / determinant);
    let map = [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h];
    // A quadrilateral that is folded, or hardly wider than a line, is no plate: the map's denominator would vanish inside it.
    let convex = 1.0 + g > 0.05 && 1.0 + h > 0.05 && 1.0 + g + h > 0.05;
    (map.iter().all(|value| value.is_finite()) && determinant.abs() > 1.0 && convex).then_some(map)
}

/// The plate within `corners` (pixels of the full frame) as a reader of `spec` and `rows` takes it; a plate below `two_lines` in
/// aspect has two. `None` when the corners are no quadrilateral.
pub(crate) fn deskew(pixels: &Pixels<'_>, corners: &Corners, spec: &InputSpec, rows: PlateRows, two_lines: f32) -> Option<PlateImage> {
    let map = projection(corners)?;
    let aspect = aspect(corners);
    let split = rows == PlateRows::Strip && aspect < two_lines;
    let (width, height) = (spec.width as usize, spec.height as usize);
    // As many samples per pixel, across and down, as the plate is larger than its picture: far fewer would lose strokes.
    let length = |a: (f32, f32), b: (f32, f32)| (a.0 - b.0).hypot(a.1 - b.1) / pixels.scale.0.max(1e-3);
    let (across, down) = if split { (2.0, 0.5) } else { (1.0, 1.0) };
    let samples = |length: f32, side: usize| ((length / side as f32).ceil() as usize).clamp(1, 4);
    let samples_x = samples(across * length(corners[0], corners[1]), width);
    let samples_y = samples(down * length(corners[0], corners[3]), height);
    let mut out = vec![0.0; 3 * width * height];
    for y in 0..height {
        for x in 0..width {
            let mut sum = [0.0f32; 3];
            for sub in 0..samples_x * samples_y {
                let u = (x as f32 + ((sub % samples_x) as f32 + 0.5) / samples_x as f32) / width as f32;
                let v = (y as f32 + ((sub / samples_x) as f32 + 0.5) / samples_y as f32) / height as f32;
                // Two lines side by side: the left half of the strip is the upper half of the plate.
                let (u, v) = match (split, u < 0.5) {
                    (false, _) => (u, v),
                    (true, true) => (2.0 * u, v / 2.0),
                    (true, false) => (2.0 * u - 1.0, 0.5 + v / 2.0),
                };
                let [a, b, c, d, e, f, g, h] = map;
                let w = g * u + h * v + 1.0;
                let sample = blended(pixels, ((a * u + b * v + c) / w, (d * u + e * v + f) / w));
                for (sum, sample) in sum.iter_mut().zip(sample) {
                    *sum += sample;
                }
            }
            if spec.channels == ChannelOrder::Bgr {
                sum.reverse();
            }
            for (channel, sum) in sum.into_iter().enumerate() {
                out[channel * width * height + y * width + x] = sum / (samples_x * samples_y) as f32 * spec.scale;
            }
        }
    }
    Some(PlateImage { pixels: out, aspect, split })
}

/// Between the four nearest pixels.
fn blended(pixels: &Pixels<'_>, (x, y): (f32, f32)) -> [f32; 3] {
    let (scale_x, scale_y) = pixels.scale;
    // Pixel i covers i to i + 1: its value holds at its centre.
    let (x, y) = (x / scale_x - 0.5, y / scale_y - 0.5);
    let (part_x, part_y) = (x - x.floor(), y - y.floor());
    let at = |dx: f32, dy: f32| pixels.at(((x.floor() + dx + 0.5) * scale_x, (y.floor() + dy + 0.5) * scale_y)).map(f32::from);
    let (a, b, c, d) = (at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0), at(1.0, 1.0));
    std::array::from_fn(|i| {
        let (top, bottom) = (a[i] + part_x * (b[i] - a[i]), c[i] + part_x * (d[i] - c[i]));
        top + part_y * (bottom - top)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC: InputSpec = InputSpec { width: 8, height: 4, channels: ChannelOrder::Rgb, scale: 1.0, pad: 0, step: None };
    const CORNERS: Corners = [(40.0, 30.0), (120.0, 50.0), (115.0, 100.0), (35.0, 70.0)];

    /// A picture of 160x120 in which the plate is painted: its colour says where on the plate a point is (u in red, v in green).
    fn painted(corners: &Corners) -> Vec<u8> {
        let map = projection(corners).expect("a quadrilateral");
        let mut samples = vec![0u8; 160 * 120 * 3];
        let fine = 900;
        for i in 0..fine * fine {
            let (u, v) = ((i % fine) as f32 / fine as f32, (i / fine) as f32 / fine as f32);
            let [a, b, c, d, e, f, g, h] = map;
            let w = g * u + h * v + 1.0;
            let (x, y) = ((a * u + b * v + c) / w, (d * u + e * v + f) / w);
            let at = 3 * (y as usize * 160 + x as usize);
            samples[at..at + 3].copy_from_slice(&[(u * 250.0) as u8, (v * 250.0) as u8, 200]);
        }
        samples
    }

    #[test]
    fn a_tilted_plate_comes_out_straight() {
        let map = projection(&CORNERS).expect("a quadrilateral");
        for ((u, v), (x, y)) in [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].into_iter().zip(CORNERS) {
            let w = map[6] * u + map[7] * v + 1.0;
            let found = ((map[0] * u + map[1] * v + map[2]) / w, (map[3] * u + map[4] * v + map[5]) / w);
            assert!((found.0 - x).abs() < 1e-2 && (found.1 - y).abs() < 1e-2, "{found:?} {x} {y}");
        }
        let samples = painted(&CORNERS);
        let pixels = Pixels { samples: &samples, size: (160, 120), scale: (1.0, 1.0) };
        let image = deskew(&pixels, &CORNERS, &SPEC, PlateRows::Whole, 2.5).expect("a quadrilateral");
        assert!(!image.split);
        // Away from the edge, where the black ground blends in.
        for (y, x) in [(1, 1), (1, 3), (2, 6), (2, 4)] {
            let at = |channel: usize| image.pixels[channel * 32 + y * 8 + x];
            let expected = [(x as f32 + 0.5) / 8.0 * 250.0, (y as f32 + 0.5) / 4.0 * 250.0, 200.0];
            for (channel, expected) in expected.into_iter().enumerate() {
                assert!((at(channel) - expected).abs() < 6.0, "({x}, {y}) {channel}: found {}, expected {expected}", at(channel));
            }
        }
    }

    #[test]
    fn two_lines_become_one_strip() {
        let corners: Corners = [(20.0, 20.0), (100.0, 20.0), (100.0, 80.0), (20.0, 80.0)];
        assert!((aspect(&corners) - 80.0 / 60.0).abs() < 1e-3);
        let samples = painted(&corners);
        let pixels = Pixels { samples: &samples, size: (160, 120), scale: (1.0, 1.0) };
        let image = deskew(&pixels, &corners, &SPEC, PlateRows::Strip, 2.5).expect("a rectangle");
        assert!(image.split);
        // The strip's column 5 of 8 is at 3/8 of the lower half.
        let (u, v) = (image.pixels[2 * 8 + 5], image.pixels[32 + 2 * 8 + 5]);
        assert!((u - 0.375 * 250.0).abs() < 6.0 && (v - (0.5 + 0.625 / 2.0) * 250.0).abs() < 6.0, "{u} {v}");
        let whole = deskew(&pixels, &corners, &SPEC, PlateRows::Whole, 2.5).expect("a rectangle");
        assert!(!whole.split && whole.pixels != image.pixels);
        let wide = widened(&corners, 0.1);
        assert_eq!(around(&wide), BoundingBox { x: 16.0, y: 17.0, width: 88.0, height: 66.0 });
    }

    proptest! {
        #[test]
        fn any_corners_are_answered(c in prop::collection::vec(prop_oneof![-500.0f32..700.0, Just(f32::NAN), Just(1e30f32)], 8)) {
            let corners: Corners = [(c[0], c[1]), (c[2], c[3]), (c[4], c[5]), (c[6], c[7])];
            let samples = vec![90u8; 20 * 10 * 3];
            let pixels = Pixels { samples: &samples, size: (20, 10), scale: (2.0, 2.0) };
            if let Some(image) = deskew(&pixels, &corners, &SPEC, PlateRows::Strip, 2.5) {
                prop_assert_eq!(image.pixels.len(), 96);
                prop_assert!(image.pixels.iter().all(|value| (value - 90.0).abs() < 0.01));
            }
        }
    }
}
