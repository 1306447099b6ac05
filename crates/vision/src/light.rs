//! Dark pictures made brighter before a model that learned by day looks at them.
//!
//! Invariant: what is bright enough stays as it is, to the last bit.

use huong_types::Problems;
use serde::Deserialize;

use crate::check::in_range;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightConfig {
    /// What is darker in the mean, 0 to 255, is brought so far; 0: nothing is.
    pub mean: f32,
    /// Times as bright at most: noise grows as well.
    pub gain: f32,
}

impl Default for LightConfig {
    /// 90: about what a street by day has; 4: in the drawn scenes' nights heads and heaps are at a third of their brightness (`violations_eval`). Choices
    /// of this project.
    fn default() -> Self {
        Self { mean: 90.0, gain: 4.0 }
    }
}

impl LightConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "mean", self.mean, 0.0..=255.0);
        in_range(file, path, problems, "gain", self.gain, 1.0..=16.0);
    }

    /// Brightens samples of all colours alike, so that hues stay; a lamp becomes white.
    pub(crate) fn brighten(&self, samples: &mut [u8]) {
        let sum: u64 = samples.iter().map(|sample| u64::from(*sample)).sum();
        let mean = sum as f32 / samples.len().max(1) as f32;
        let gain = (self.mean / mean.max(1.0)).min(self.gain);
        if gain <= 1.0 {
            return;
        }
        let brighter: [u8; 256] = std::array::from_fn(|level| (level as f32 * gain).round().min(255.0) as u8);
        for sample in samples {
            *sample = brighter[usize::from(*sample)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_samples_are_brought_to_the_mean_and_bright_ones_stay() {
        let light = LightConfig { mean: 90.0, gain: 4.0 };
        let brightened = |samples: &[u8]| {
            let mut samples = samples.to_vec();
            light.brighten(&mut samples);
            samples
        };
        assert_eq!(brightened(&[20, 30, 40, 30]), [60, 90, 120, 90], "three times as bright, in proportion");
        assert_eq!(brightened(&[5, 5]), [20, 20], "four times at most");
        assert_eq!(brightened(&[10, 10, 10, 200]), [16, 16, 16, 255], "a lamp becomes white");
        assert_eq!(brightened(&[80, 100]), [80, 100], "bright enough");
        assert_eq!(brightened(&[0, 0]), [0, 0]);
        assert_eq!(brightened(&[]), [0u8; 0]);
        let mut dark = [10, 10];
        LightConfig { mean: 0.0, ..light }.brighten(&mut dark);
        assert_eq!(dark, [10, 10], "not at all");
    }
}
