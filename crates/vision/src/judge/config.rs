//! The settings of the judge.
//!
//! Invariant: no provision of law is in the code: which act of which vehicle is which, the configuration says with its source.

use std::collections::BTreeMap;

use huong_types::{Act, Name, Problems, Span};
use serde::Deserialize;

use super::WasteConfig;
use crate::check::in_range;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeConfig {
    /// Pictures that a candidate needs.
    pub frames: usize,
    /// How long the light must have been red in the frame before the line.
    pub red_margin: Span,
    /// How long a frame after the line is waited for.
    pub after: Span,
    /// Standing for so long is stopping, where the zone does not say.
    pub standing: Span,
    /// Being on a pavement or in a bus lane for so long is driving there. Who stood on a pavement for longer was parked: what counts is what he
    /// does after.
    pub passing: Span,
    /// Who got less far on a pavement than so many sizes of its box is parked there, not driving.
    pub gets: f32,
    /// Who crossed a line has come so many sizes of its box from where it was before: the boxes of those who stand on it jitter by less.
    pub crosses: f32,
    /// Labels that the detector gives to buses: at night in rain it calls them lorries.
    pub like_buses: Vec<Name>,
    /// In a bus lane: who got more than this part of the scores for labels that may be there may be one of them.
    pub welcome: f32,
    /// Another vehicle that covers more than this part of one, or is covered, makes it two candidates.
    pub overlap: f32,
    /// A look at a head counts from this score of either label.
    pub helmet_score: f32,
    /// Whose box is less than this part as wide and high as it was is going away: his head will not be seen better.
    pub leaving: f32,
    /// A motorbike within another's box and smaller than this part of it is that one's rider, found once more.
    pub rider_part: f32,
    /// Looks kept for the frames before.
    pub recent: usize,
    /// Provisions by act, then by `car` (also bus and truck) or `motorbike`.
    pub codes: BTreeMap<Act, BTreeMap<Name, Name>>,
    pub waste: WasteConfig,
}

impl Default for JudgeConfig {
    /// Three frames: the practice of red-light evidence (before, on, after the line). One second of red: this project's margin for the
    /// clock of a camera and a driver who cannot stop. Two minutes, two seconds, one size, 0.15, 0.3, 0.8: choices of this project.
    /// 0.25: the box of a car that stood on the line jittered by 0.13 of its size, half hidden by another (`violations_eval`, seed 12).
    /// 0.2: the heads that `vehicles` takes for motorbikes are 0.11 to 0.15 of one (`violations_eval`).
    fn default() -> Self {
        Self {
            frames: 3,
            red_margin: Span::from_secs(1),
            after: Span::from_secs(6),
            standing: Span::from_mins(2),
            passing: Span::from_secs(2),
            gets: 1.0,
            crosses: 0.25,
            like_buses: ["bus", "truck"].map(Name::new).to_vec(),
            welcome: 0.15,
            overlap: 0.3,
            helmet_score: 0.5,
            leaving: 0.8,
            rider_part: 0.2,
            recent: 6,
            codes: BTreeMap::new(),
            waste: WasteConfig::default(),
        }
    }
}

impl JudgeConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "frames", self.frames, 1..=3);
        in_range(file, path, problems, "gets", self.gets, 0.0..=100.0);
        in_range(file, path, problems, "crosses", self.crosses, 0.0..=100.0);
        in_range(file, path, problems, "welcome", self.welcome, 0.0..=1.0);
        in_range(file, path, problems, "overlap", self.overlap, 0.0..=1.0);
        in_range(file, path, problems, "helmet_score", self.helmet_score, 0.0..=1.0);
        in_range(file, path, problems, "leaving", self.leaving, 0.0..=1.0);
        in_range(file, path, problems, "rider_part", self.rider_part, 0.0..=1.0);
        in_range(file, path, problems, "recent", self.recent, 2..=64);
        for (act, codes) in &self.codes {
            for vehicle in codes.keys().filter(|vehicle| !["car", "motorbike"].contains(&vehicle.as_str())) {
                problems.add(file, format!("{path}.codes.{}", act.as_str()), format!("`{vehicle}`"), "`car` or `motorbike`");
            }
        }
        self.waste.check(file, &format!("{path}.waste"), problems);
    }

    pub(super) fn code(&self, act: Act, label: &str) -> Option<Name> {
        let vehicle = if label == "motorbike" { "motorbike" } else { "car" };
        self.codes.get(&act)?.get(vehicle).cloned()
    }
}
