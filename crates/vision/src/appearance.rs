//! How an object looks, cheaply: a histogram of colours.
//!
//! Invariant: two appearances compare by 0 (the same) to 1 (nothing in common), in either order.

use huong_types::BoundingBox;

/// Levels per colour channel.
const LEVELS: usize = 4;
/// Samples along each side of the box: more say nothing new about a vehicle.
const SAMPLES: usize = 16;

/// Shares of colours in the middle of an object's box; square roots of them, as the distance takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Appearance([f32; LEVELS * LEVELS * LEVELS]);

/// Interleaved RGB samples of the whole picture.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    pub samples: &'a [u8],
    pub size: (u32, u32),
    /// Pixels of the full frame per pixel here, across and down.
    pub scale: (f32, f32),
}

impl Pixels<'_> {
    /// The pixel at a point of the full frame; the nearest one inside when it is outside.
    pub(crate) fn at(&self, (x, y): (f32, f32)) -> [u8; 3] {
        let side = |at: f32, scale: f32, length: u32| ((at / scale).max(0.0) as usize).min(length.max(1) as usize - 1);
        let i = 3 * (side(y, self.scale.1, self.size.1) * self.size.0 as usize + side(x, self.scale.0, self.size.0));
        self.samples.get(i..i + 3).map_or([0; 3], |pixel| [pixel[0], pixel[1], pixel[2]])
    }
}

impl Appearance {
    /// Of the object in `bbox` (pixels of the full frame): the inner part of it, because at its edges is the road.
    pub fn of(pixels: &Pixels<'_>, bbox: &BoundingBox) -> Self {
        let mut counts = [0.0f32; LEVELS * LEVELS * LEVELS];
        for row in 0..SAMPLES {
            for column in 0..SAMPLES {
                let part = |i: usize| 0.15 + 0.7 * (i as f32 + 0.5) / SAMPLES as f32;
                let pixel = pixels.at((bbox.x + part(column) * bbox.width, bbox.y + part(row) * bbox.height));
                let bin = pixel.iter().fold(0, |bin, &sample| bin * LEVELS + usize::from(sample) * LEVELS / 256);
                counts[bin] += 1.0;
            }
        }
        Self(counts.map(|count| (count / (SAMPLES * SAMPLES) as f32).sqrt()))
    }

    /// Hellinger's distance.
    pub fn distance(&self, other: &Self) -> f32 {
        let alike: f32 = self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum();
        (1.0 - alike).max(0.0).sqrt()
    }

    /// Moves towards `other` by `rate`, 0 to 1.
    pub(crate) fn follow(&mut self, other: &Self, rate: f32) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = ((1.0 - rate) * *mine * *mine + rate * theirs * theirs).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_tell_objects_apart_and_the_scale_of_the_picture_does_not_matter() {
        // Left half red, right half blue, at half the frame's size.
        let samples: Vec<u8> = (0..20 * 10).flat_map(|i| if i % 20 < 10 { [200, 20, 20] } else { [20, 20, 200] }).collect();
        let pixels = Pixels { samples: &samples, size: (20, 10), scale: (2.0, 2.0) };
        let of = |x: f32, width: f32| Appearance::of(&pixels, &BoundingBox { x, y: 0.0, width, height: 20.0 });
        let (red, blue, both) = (of(0.0, 18.0), of(22.0, 18.0), of(0.0, 40.0));
        assert!(red.distance(&of(2.0, 10.0)) < 1e-3);
        assert!((red.distance(&blue) - 1.0).abs() < 1e-3 && (blue.distance(&red) - 1.0).abs() < 1e-3);
        assert!((0.3..0.8).contains(&red.distance(&both)), "{}", red.distance(&both));
        let mut follower = red.clone();
        follower.follow(&blue, 0.5);
        assert!((follower.distance(&red) - follower.distance(&blue)).abs() < 1e-3);
        // A box outside the picture is the nearest pixel's colour, never a crash.
        assert!(of(1e6, 10.0).distance(&blue) < 1e-3);
    }
}
