//! Drawn objects for the tests of this crate.

use huong_types::{BoundingBox, Detection, Timestamp};

use crate::{Appearance, Pixels, Track, Tracker, TrackerConfig};

/// What a detector finds when each object (label, score, centre, a shade that makes its appearance) is 40x30 pixels.
pub(crate) fn seen(objects: &[(&str, f32, (f32, f32), u8)]) -> Vec<(Detection, Appearance)> {
    let object = |&(label, score, (x, y), shade): &(&str, f32, (f32, f32), u8)| {
        let bbox = BoundingBox { x: x - 20.0, y: y - 15.0, width: 40.0, height: 30.0 };
        let samples = [shade, shade / 2, 255 - shade];
        let pixels = Pixels { samples: &samples, size: (1, 1), scale: (1.0, 1.0) };
        (Detection { label: label.into(), score, bbox }, Appearance::of(&pixels, &bbox))
    };
    objects.iter().map(object).collect()
}

/// A tracker that looks every second, motion everywhere.
#[derive(Default)]
pub(crate) struct Street {
    pub(crate) tracker: Tracker,
    /// How many times as large each object is; 1 where nothing is said.
    pub(crate) sizes: Vec<f32>,
    second: i64,
}

impl Street {
    /// The next second: objects by label and **foot** in pixels. Returns what ended.
    pub(crate) fn look(&mut self, objects: &[(&str, (f32, f32))]) -> (Vec<Track>, Timestamp) {
        self.second += 1;
        let now = Timestamp::from_millis(self.second * 1000);
        let shade = |i: usize| (i * 80) as u8;
        let objects: Vec<_> = objects.iter().enumerate().map(|(i, (label, (x, y)))| (*label, 0.9, (*x, y - 15.0), shade(i))).collect();
        let mut seen = seen(&objects);
        for ((detection, _), size) in seen.iter_mut().zip(&self.sizes) {
            let ((x, y), b) = (detection.bbox.foot(), &mut detection.bbox);
            *b = BoundingBox { x: x - size * b.width / 2.0, y: y - size * b.height, width: size * b.width, height: size * b.height };
        }
        (self.tracker.look(&TrackerConfig::default(), &seen, |_| false, now), now)
    }
}
