//! The motion gate: most frames of most cameras show nothing new, and need no detector.
//!
//! It compares the brightness of 8x8 blocks with a running background, after fitting away a change of light (gain and offset
//! of the whole picture: clouds, the camera's own exposure).
//!
//! Invariant: it may let a still frame through, at the price of one inference, but lets no camera go unseen for longer than
//! `keep_alive`. A frame it let through that was then not looked at (an error) is owed: the next one passes.

use huong_types::{Problems, Span, Timestamp};
use serde::Deserialize;

/// When a frame is worth a detector's time.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// A block has changed when its brightness differs from the background by more than this (0–255).
    pub block_change: f32,
    /// Motion is at least this part of the blocks, 0 to 1, and at least one.
    pub moving_part: f32,
    /// How much of a frame goes into the background, 0 to 1: what stands still becomes background in about 1/rate frames.
    pub learning_rate: f32,
    /// A frame passes at least this often, motion or not, so that counts of standing vehicles stay fresh. `"0s"`: every one.
    pub keep_alive: Span,
}

impl Default for GateConfig {
    /// 12 levels: JPEG noise of a block's mean is 1 to 3. 0.0005: 7 blocks at 1280x720, about a motorbike at 60 m in a street
    /// view. 0.1: a stopped car is background after some 20 frames. 10 s: six counts in a
    /// window of a minute. Guesses from drawn scenes, to be tuned on each site's own cameras.
    fn default() -> Self {
        Self { block_change: 12.0, moving_part: 0.0005, learning_rate: 0.1, keep_alive: Span::from_secs(10) }
    }
}

impl GateConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let ranges = [
            ("block_change", self.block_change, 1.0..=255.0),
            ("moving_part", self.moving_part, 0.0..=1.0),
            ("learning_rate", self.learning_rate, 0.001..=1.0),
        ];
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                problems.add(file, format!("{path}.{name}"), format!("`{value}`"), format!("{} to {}", range.start(), range.end()));
            }
        }
    }
}

/// What one camera usually looks like.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    background: Vec<f32>,
    size: (u32, u32),
    /// When a frame was last looked at; `None` when the next one must be.
    served: Option<Timestamp>,
}

impl Gate {
    /// Whether this frame is to be looked at. `luma` holds the blocks of a picture of `size` blocks; `now` is arrival time:
    /// a camera's own clock may stand still.
    pub(crate) fn admits(&mut self, config: &GateConfig, luma: &[u8], size: (u32, u32), now: Timestamp) -> bool {
        let moved = self.size != size || self.moved(config, luma);
        self.learn(config.learning_rate, luma, size);
        // A clock set back must not shut the gate until it has caught up.
        let due = self.served.is_none_or(|served| now < served || now.since(served) >= config.keep_alive);
        if moved || due {
            self.served = None;
        }
        moved || due
    }

    /// The frame let through was looked at.
    pub(crate) fn serve(&mut self, now: Timestamp) {
        self.served = Some(now);
    }

    fn moved(&self, config: &GateConfig, luma: &[u8]) -> bool {
        let (gain, offset) = light(&self.background, luma);
        let changed = |(&then, &now): (&f32, &u8)| (f32::from(now) - gain * then - offset).abs() > config.block_change;
        let count = self.background.iter().zip(luma).filter(|&pair| changed(pair)).count();
        count > 0 && count as f32 >= config.moving_part * luma.len() as f32
    }

    fn learn(&mut self, rate: f32, luma: &[u8], size: (u32, u32)) {
        if self.size != size {
            self.size = size;
            self.background = luma.iter().map(|&now| f32::from(now)).collect();
            return;
        }
        for (then, &now) in self.background.iter_mut().zip(luma) {
            *then += rate * (f32::from(now) - *then);
        }
    }
}

/// Least squares of now ≈ gain · then + offset over all blocks.
fn light(background: &[f32], luma: &[u8]) -> (f32, f32) {
    let n = luma.len().max(1) as f32;
    let mean_then = background.iter().sum::<f32>() / n;
    let mean_now = luma.iter().map(|&now| u32::from(now)).sum::<u32>() as f32 / n;
    let (mut spread, mut joint) = (0.0, 0.0);
    for (&then, &now) in background.iter().zip(luma) {
        let away = then - mean_then;
        spread += away * away;
        joint += away * (f32::from(now) - mean_now);
    }
    // An almost even picture (night, fog) says nothing about the gain; a factor beyond two is not the light but another view.
    let gain = if spread < n { 1.0 } else { (joint / spread).clamp(0.5, 2.0) };
    (gain, mean_now - gain * mean_then)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (160, 90);

    /// A street: a bright sky above, a dark road with lines below; `block` draws a vehicle of 4x3 blocks at that column.
    fn street(block: Option<u32>, light: impl Fn(f32) -> f32) -> Vec<u8> {
        (0..SIZE.0 * SIZE.1)
            .map(|i| {
                let (x, y) = (i % SIZE.0, i / SIZE.0);
                let ground = if y < 30 { 170.0 } else { 80.0 + f32::from((x % 16 == 0) as u8) * 60.0 };
                let vehicle = block.is_some_and(|at| (at..at + 4).contains(&x) && (50..53).contains(&y));
                light(if vehicle { 30.0 } else { ground }).clamp(0.0, 255.0) as u8
            })
            .collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    /// A gate that has seen and served the empty street at second 0.
    fn settled() -> Gate {
        let mut gate = Gate::default();
        assert!(gate.admits(&GateConfig::default(), &street(None, |v| v), SIZE, at(0)), "the first frame passes");
        gate.serve(at(0));
        gate
    }

    #[test]
    fn motion_passes_and_light_does_not() {
        type Light = fn(f32) -> f32;
        let cases: [(&str, Option<u32>, Light, bool); 7] = [
            ("still", None, |v| v, false),
            ("a vehicle", Some(40), |v| v, true),
            ("brighter", None, |v| v + 25.0, false),
            ("darker by a cloud", None, |v| v * 0.7, false),
            ("exposure up", None, |v| v * 1.3 + 8.0, false),
            ("a vehicle under the cloud", Some(40), |v| v * 0.7, true),
            ("noise", None, |v| v + 4.0 * ((v as u32 % 3) as f32 - 1.0), false),
        ];
        for (name, vehicle, light, passes) in cases {
            assert_eq!(settled().admits(&GateConfig::default(), &street(vehicle, light), SIZE, at(1)), passes, "{name}");
        }
    }

    #[test]
    fn a_moving_vehicle_passes_each_time_and_a_parked_one_becomes_background() {
        let mut gate = settled();
        let config = GateConfig { keep_alive: Span::from_mins(60), ..GateConfig::default() };
        for step in 0..20 {
            assert!(gate.admits(&config, &street(Some(step * 5), |v| v), SIZE, at(i64::from(step))), "step {step}");
            gate.serve(at(i64::from(step)));
        }
        let parked = street(Some(120), |v| v);
        let passed = (20..80)
            .filter(|&second| {
                let passed = gate.admits(&config, &parked, SIZE, at(second));
                if passed {
                    gate.serve(at(second));
                }
                passed
            })
            .count();
        assert!((1..40).contains(&passed), "passes at first, then not: {passed} of 60");
    }

    #[test]
    fn a_still_camera_is_looked_at_every_keep_alive() {
        let mut gate = settled();
        let still = street(None, |v| v);
        let seconds: Vec<i64> = (1..=35)
            .filter(|&second| {
                let passed = gate.admits(&GateConfig::default(), &still, SIZE, at(second));
                if passed {
                    gate.serve(at(second));
                }
                passed
            })
            .collect();
        assert_eq!(seconds, vec![10, 20, 30]);
        assert!(gate.admits(&GateConfig::default(), &still, SIZE, at(-500)), "a clock set back");
    }

    #[test]
    fn a_frame_that_failed_is_owed_and_another_size_starts_anew() {
        let mut gate = settled();
        assert!(gate.admits(&GateConfig::default(), &street(Some(10), |v| v), SIZE, at(1)));
        // Not served: the detector failed. The street is still again, but nobody has looked yet.
        assert!(gate.admits(&GateConfig::default(), &street(None, |v| v), SIZE, at(2)));
        gate.serve(at(2));
        assert!(!gate.admits(&GateConfig::default(), &street(None, |v| v), SIZE, at(3)));
        assert!(gate.admits(&GateConfig::default(), &[80; 12], (4, 3), at(4)));
        gate.serve(at(4));
        assert!(!gate.admits(&GateConfig::default(), &[80; 12], (4, 3), at(5)));
    }

    #[test]
    fn settings_out_of_range_are_all_named() {
        let config = GateConfig { block_change: 0.0, moving_part: f32::NAN, learning_rate: 2.0, ..GateConfig::default() };
        let mut problems = Problems::default();
        config.check("huong.toml", "vision.gate", &mut problems);
        assert_eq!(problems.list.len(), 3, "{problems}");
        assert_eq!(problems.list[0].to_string(), "huong.toml: vision.gate.block_change: found `0`, expected 1 to 255");
    }
}
