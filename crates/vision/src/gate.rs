//! The motion gate: most frames of most cameras show nothing new, and need no detector.
//!
//! It compares the brightness of 8x8 blocks with what is known of each: a mean and a spread. What the detector has just looked at
//! is known at once; where it has not, the mean follows slowly. A change of light (gain and offset of the whole picture: clouds,
//! the camera's own exposure) is fitted away first; rain, leaves and sensor noise widen the spread of their blocks.
//!
//! Invariant: it may let a still frame through, at the price of one inference, but lets no camera's whole picture go unseen for longer
//! than `keep_alive`. A frame it let through that was then not looked at (an error) is owed: the next one passes, to be seen whole, and
//! nothing that changed meanwhile counts as known.

use huong_types::{BoundingBox, Problems, Span, Timestamp};
use serde::Deserialize;

use crate::blobs::blobs;
use crate::check::in_range;
use crate::view::{Area, Point};
use crate::zone::contains;

/// When a frame is worth a detector's time.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// A block has changed when its brightness differs from its mean by more than this (0–255) ..
    pub block_change: f32,
    /// .. and by more than so many spreads (medians of its usual difference).
    pub spreads: f32,
    /// The spread is taken for no more than this (0–255): in the busiest lane a vehicle must still stand out.
    pub most_spread: f32,
    /// Motion is a region of at least so many changed blocks that touch; fewer are noise.
    pub least_blocks: usize,
    /// How much of an unchanged frame goes into the means, 0 to 1.
    pub learning_rate: f32,
    /// A whole frame is looked at at least this often, motion or not, so that counts of standing vehicles stay fresh. `"0s"`: every one.
    pub keep_alive: Span,
}

impl Default for GateConfig {
    /// Tuned by `cargo run -p huong-vision --example gate_eval` over 170 labelled frames of a junction: see docs/accuracy.md.
    /// 5 medians are 3.4 standard deviations of normal noise. 10 s: six counts in a window of a minute.
    fn default() -> Self {
        Self { block_change: 10.0, spreads: 5.0, most_spread: 4.0, least_blocks: 2, learning_rate: 0.05, keep_alive: Span::from_secs(10) }
    }
}

impl GateConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "block_change", self.block_change, 1.0..=255.0);
        in_range(file, path, problems, "spreads", self.spreads, 1.0..=100.0);
        in_range(file, path, problems, "most_spread", self.most_spread, 0.0..=255.0);
        in_range(file, path, problems, "least_blocks", self.least_blocks, 1..=10_000);
        in_range(file, path, problems, "learning_rate", self.learning_rate, 0.001..=1.0);
    }
}

/// Where in a camera's picture the gate looks otherwise than elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attention<'a> {
    /// Polygons in fractions of the picture in which nothing counts.
    pub masks: &'a [&'a [Point]],
    /// Rectangles in which a single changed block is motion: signal heads.
    pub watched: &'a [Area],
}

/// What the gate makes of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Glance {
    /// Whether the frame is to be looked at.
    pub passes: bool,
    /// It is to be looked at as a whole, not only where something changed.
    pub whole: bool,
    /// Where something changed, in pixels of the full frame.
    pub moved: Vec<BoundingBox>,
}

/// What one camera usually looks like.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    size: (u32, u32),
    mean: Vec<f32>,
    /// The median of how far the block is from its mean while nothing happens; learnt in small steps, which a passing vehicle
    /// hardly moves, however bright.
    spread: Vec<f32>,
    masked: Vec<bool>,
    watched: Vec<bool>,
    /// What each block showed in the frame last admitted, the light's change taken out: known once that frame was looked at.
    pending: Vec<f32>,
    /// When a frame was last looked at as a whole; `None` when the next one must be.
    whole: Option<Timestamp>,
    /// A frame was let through and not looked at.
    owed: bool,
    /// The second whole look comes earlier by this share of `keep_alive`.
    early: f32,
}

/// The spread of a block of which nothing is known yet, and the step by which it is learnt: JPEG noise of a block's mean is 1 to 3.
const FIRST_SPREAD: f32 = 1.5;
const SPREAD_STEP: f32 = 0.1;

impl Gate {
    /// The gate of the `index`-th camera: cameras that begin together do not ask for their whole looks together ever after.
    pub fn of_camera(index: usize) -> Self {
        // Multiples of the golden ratio lie evenly, however many they are.
        Self { early: (index as f64 * 0.618_033_988_749_895).fract() as f32, ..Self::default() }
    }

    /// Whether this frame is to be looked at. `luma` holds the blocks (8x8 pixels) of a picture of `size` blocks, row by row; `now` is
    /// arrival time: a camera's own clock may stand still.
    pub fn glance(&mut self, config: &GateConfig, luma: &[u8], size: (u32, u32), attention: Attention<'_>, now: Timestamp) -> Glance {
        let anew = self.size != size || self.mean.len() != luma.len();
        if anew {
            self.begin(luma, size, attention);
        }
        let changed = self.changed(config, luma);
        let mut moved = blobs(&changed, size.0 as usize, config.least_blocks);
        for region in &mut moved {
            *region = BoundingBox { x: region.x * 8.0, y: region.y * 8.0, width: region.width * 8.0, height: region.height * 8.0 };
        }
        // A clock set back must not shut the gate until it has caught up.
        let period = (config.keep_alive.as_millis() as f64 * f64::from(1.0 - self.early)) as i64;
        let due = self.owed || self.whole.is_none_or(|whole| now < whole || now.since(whole).as_millis() >= period);
        let switched = changed.iter().zip(&self.watched).any(|(changed, watched)| *changed && *watched);
        let passes = anew || due || switched || !moved.is_empty();
        self.owed |= passes;
        Glance { passes, whole: anew || due, moved }
    }

    /// The frame let through was looked at, as a whole or where it changed: what it showed is known.
    pub fn serve(&mut self, whole: bool, now: Timestamp) {
        if whole && self.whole.replace(now).is_some() {
            self.early = 0.0;
        }
        self.owed = false;
        self.mean.copy_from_slice(&self.pending);
    }

    fn begin(&mut self, luma: &[u8], size: (u32, u32), attention: Attention<'_>) {
        self.size = size;
        self.mean = luma.iter().map(|&now| f32::from(now)).collect();
        self.pending = self.mean.clone();
        self.spread = vec![FIRST_SPREAD; luma.len()];
        let place = |i: usize| ((i as u32 % size.0.max(1)) as f32, (i as u32 / size.0.max(1)) as f32);
        let hidden = |i: usize| {
            let (x, y) = place(i);
            let centre = ((x + 0.5) / size.0 as f32, (y + 0.5) / size.1 as f32);
            attention.masks.iter().any(|mask| contains(mask, centre))
        };
        let watched = |i: usize| {
            let (x, y) = place(i);
            let meets = |[left, top, width, height]: &Area| {
                let (left, top) = (left * size.0 as f32, top * size.1 as f32);
                x + 1.0 > left && y + 1.0 > top && x < left + width * size.0 as f32 && y < top + height * size.1 as f32
            };
            attention.watched.iter().any(meets)
        };
        self.masked = (0..luma.len()).map(hidden).collect();
        self.watched = (0..luma.len()).map(watched).collect();
    }

    /// Which blocks changed; learns from the others.
    fn changed(&mut self, config: &GateConfig, luma: &[u8]) -> Vec<bool> {
        let (gain, offset) = self.light(config, luma);
        let mut changed = vec![false; luma.len()];
        for (i, &now) in luma.iter().enumerate() {
            let now = f32::from(now);
            // What cannot be seen (black, or burnt out) cannot have changed by more than the eye of the camera shows.
            let expected = (gain * self.mean[i] + offset).clamp(0.0, 255.0);
            let away = now - expected;
            self.spread[i] =
                (self.spread[i] + SPREAD_STEP * (away.abs() - self.spread[i]).clamp(-1.0, 1.0)).clamp(0.5, config.most_spread.max(0.5));
            changed[i] = !self.masked[i] && away.abs() > config.block_change.max(config.spreads * self.spread[i]);
            self.pending[i] = now;
            // The means move into the new light whole; what did not change is smoothed, what did waits for the detector's look.
            let rate = if changed[i] { 0.0 } else { config.learning_rate };
            self.mean[i] = expected + rate * away;
        }
        changed
    }

    /// Gain and offset of now ≈ gain · mean + offset over all blocks that count; fitted again without those that then stand out,
    /// because a bus before the lens is not the light.
    fn light(&self, config: &GateConfig, luma: &[u8]) -> (f32, f32) {
        let first = least_squares(self.mean.iter().zip(luma).zip(&self.masked).filter(|(_, masked)| !**masked).map(|(pair, _)| pair));
        let fits = |&(&then, &now): &(&f32, &u8)| (f32::from(now) - first.0 * then - first.1).abs() <= config.block_change;
        let kept = || self.mean.iter().zip(luma).zip(&self.masked).filter(|(_, masked)| !**masked).map(|(pair, _)| pair).filter(fits);
        if kept().count() * 2 < luma.len() { first } else { least_squares(kept()) }
    }
}

fn least_squares<'a>(pairs: impl Iterator<Item = (&'a f32, &'a u8)> + Clone) -> (f32, f32) {
    let (mut n, mut then_sum, mut now_sum) = (0.0f32, 0.0f32, 0.0f32);
    for (&then, &now) in pairs.clone() {
        n += 1.0;
        then_sum += then;
        now_sum += f32::from(now);
    }
    if n == 0.0 {
        return (1.0, 0.0);
    }
    let (mean_then, mean_now) = (then_sum / n, now_sum / n);
    let (mut spread, mut joint) = (0.0, 0.0);
    for (&then, &now) in pairs {
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

    /// Glances and, when the frame passes, serves it.
    fn look(gate: &mut Gate, config: &GateConfig, luma: &[u8], second: i64) -> Glance {
        let glance = gate.glance(config, luma, SIZE, Attention::default(), at(second));
        if glance.passes {
            gate.serve(glance.whole, at(second));
        }
        glance
    }

    /// A gate that has seen and served the empty street at second 0.
    fn settled() -> Gate {
        let mut gate = Gate::default();
        assert!(look(&mut gate, &GateConfig::default(), &street(None, |v| v), 0).passes, "the first frame passes");
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
            assert_eq!(
                settled().glance(&GateConfig::default(), &street(vehicle, light), SIZE, Attention::default(), at(1)).passes,
                passes,
                "{name}"
            );
        }
    }

    #[test]
    fn a_region_is_where_the_change_is_and_masks_hide_it() {
        let config = GateConfig::default();
        let moved = settled().glance(&config, &street(Some(40), |v| v), SIZE, Attention::default(), at(1)).moved;
        assert_eq!(moved, vec![BoundingBox { x: 320.0, y: 400.0, width: 32.0, height: 24.0 }]);
        let left: &[(f32, f32)] = &[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)];
        let masks = Attention { masks: &[left], ..Attention::default() };
        let mut gate = Gate::default();
        gate.glance(&config, &street(None, |v| v), SIZE, masks, at(0));
        gate.serve(true, at(0));
        assert!(!gate.clone().glance(&config, &street(Some(40), |v| v), SIZE, masks, at(1)).passes, "in the mask");
        assert!(gate.glance(&config, &street(Some(100), |v| v), SIZE, masks, at(1)).passes, "beside it");
    }

    #[test]
    fn one_block_of_a_watched_head_is_enough() {
        let config = GateConfig::default();
        let mut lit = street(None, |v| v);
        lit[20 * SIZE.0 as usize + 80] = 230;
        for (watched, passes) in [(&[][..], false), (&[[0.5, 0.222, 0.003, 0.02]], true), (&[[0.2, 0.222, 0.003, 0.02]], false)] {
            let attention = Attention { watched, ..Attention::default() };
            let mut gate = Gate::default();
            gate.glance(&config, &street(None, |v| v), SIZE, attention, at(0));
            gate.serve(true, at(0));
            assert_eq!(gate.glance(&config, &lit, SIZE, attention, at(1)).passes, passes, "{watched:?}");
        }
    }

    #[test]
    fn a_moving_vehicle_passes_each_time_and_a_parked_one_is_known_once_seen() {
        let mut gate = settled();
        let config = GateConfig { keep_alive: Span::from_mins(60), ..GateConfig::default() };
        for step in 0..20 {
            let glance = look(&mut gate, &config, &street(Some(step * 5), |v| v), i64::from(step));
            assert!(glance.passes && !glance.whole, "step {step}");
        }
        let parked = street(Some(120), |v| v);
        let passed: Vec<i64> = (20..80).filter(|&second| look(&mut gate, &config, &parked, second).passes).collect();
        assert_eq!(passed, vec![20]);
        assert!(look(&mut gate, &config, &street(None, |v| v), 80).passes, "and it is seen to leave");
    }

    #[test]
    fn a_vehicle_that_creeps_is_not_learnt_away() {
        let mut gate = settled();
        let config = GateConfig { keep_alive: Span::from_mins(60), ..GateConfig::default() };
        // It darkens the same blocks by 2 levels a frame: no step is motion, their sum is.
        let creeping = |step: u32| -> Vec<u8> {
            let (bright, dark) = (street(None, |v| v), street(Some(40), |v| v));
            bright.iter().zip(&dark).map(|(&a, &b)| a - ((a - b.min(a)) as u32 * step.min(25) / 25) as u8).collect()
        };
        assert!((1..=25).any(|step| look(&mut gate, &config, &creeping(step), i64::from(step)).passes));
    }

    #[test]
    fn rain_is_learnt_and_a_vehicle_in_the_rain_is_still_seen() {
        let config = GateConfig { keep_alive: Span::from_mins(60), ..GateConfig::default() };
        let mut gate = settled();
        // A hash of place and time: streaks that brighten some blocks by up to 14 levels, each frame others.
        let rain = |vehicle: Option<u32>, second: u32| -> Vec<u8> {
            let street = street(vehicle, |v| v);
            let wet = |(i, v): (usize, u8)| {
                let hash =
                    (i as u32).wrapping_mul(2_654_435_761).wrapping_add(second.wrapping_mul(40_503)).wrapping_mul(2_246_822_519) >> 16;
                v.saturating_add((hash % 15) as u8)
            };
            street.into_iter().enumerate().map(wet).collect()
        };
        for second in 1..60 {
            look(&mut gate, &config, &rain(None, second), i64::from(second));
        }
        let passed = (60..120).filter(|&second| look(&mut gate, &config, &rain(None, second), i64::from(second)).passes).count();
        assert!(passed <= 2, "{passed} of 60 frames of rain pass");
        assert!(look(&mut gate, &config, &rain(Some(40), 120), 120).passes);
    }

    #[test]
    fn a_still_camera_is_looked_at_every_keep_alive() {
        let mut gate = settled();
        let still = street(None, |v| v);
        let seconds: Vec<i64> = (1..=35).filter(|&second| look(&mut gate, &GateConfig::default(), &still, second).passes).collect();
        assert_eq!(seconds, vec![10, 20, 30]);
        assert!(look(&mut gate, &GateConfig::default(), &still, -500).passes, "a clock set back");
        // Motion does not put the whole look off.
        let mut gate = settled();
        let busy = |second: i64| street(Some(second as u32 * 3), |v| v);
        let whole: Vec<i64> = (1..=35).filter(|&second| look(&mut gate, &GateConfig::default(), &busy(second), second).whole).collect();
        assert_eq!(whole, vec![10, 20, 30]);
    }

    #[test]
    fn cameras_that_begin_together_are_looked_at_one_after_the_other() {
        let still = street(None, |v| v);
        let config = GateConfig::default();
        let mut busiest = [0; 31];
        for mut gate in (0..100).map(Gate::of_camera) {
            let whole: Vec<i64> = (0..=30).filter(|&second| look(&mut gate, &config, &still, second).whole).collect();
            assert!(whole.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{whole:?}");
            whole.iter().for_each(|&second| busiest[second as usize] += 1);
        }
        assert_eq!(busiest[0], 100);
        assert!(busiest[1..].iter().all(|looks| *looks <= 21), "{busiest:?}");
    }

    #[test]
    fn a_frame_that_failed_is_owed_and_another_size_starts_anew() {
        let config = GateConfig::default();
        let mut gate = settled();
        assert!(gate.glance(&config, &street(Some(10), |v| v), SIZE, Attention::default(), at(1)).passes);
        // Not served: the detector failed. The street is still again, but nobody has looked yet.
        let owed = look(&mut gate, &config, &street(None, |v| v), 2);
        assert!(owed.passes && owed.whole);
        assert!(!gate.glance(&config, &street(None, |v| v), SIZE, Attention::default(), at(3)).passes);
        assert!(gate.glance(&config, &[80; 12], (4, 3), Attention::default(), at(4)).passes);
        gate.serve(true, at(4));
        assert!(!gate.glance(&config, &[80; 12], (4, 3), Attention::default(), at(5)).passes);
    }

    #[test]
    fn settings_out_of_range_are_all_named() {
        let config = GateConfig { block_change: 0.0, spreads: f32::NAN, learning_rate: 2.0, ..GateConfig::default() };
        let mut problems = Problems::default();
        config.check("huong.toml", "vision.gate", &mut problems);
        assert_eq!(problems.list.len(), 3, "{problems}");
        assert_eq!(problems.list[0].to_string(), "huong.toml: vision.gate.block_change: found `0`, expected 1 to 255");
    }
}
