//! One plate over several frames: every frame votes, and what is not clear is not read.
//!
//! Invariant: a text is given only when it is well-formed, at least `frames` pictures voted, and it leads by `margin`; otherwise
//! the plate is unread, with the reason.

use std::collections::BTreeMap;

use huong_types::{BoundingBox, Name, PlateText, Problems, Timestamp};
use serde::Deserialize;

use super::ctc::Spelling;
use super::grammar::{Kinds, kinds};
use crate::check::in_range;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoteConfig {
    /// Pictures that must have voted.
    pub frames: u32,
    /// Pictures after which no more are needed once the plate is read.
    pub enough: u32,
    /// The least share, 0 to 1, of the winner among all candidates.
    pub margin: f32,
    /// The least probability, 0 to 1, of the winner by a picture: the geometric mean over all that voted.
    pub likely: f32,
    /// The lowest log probability that a picture can give a candidate: one bad picture must not undo nine good ones.
    pub floor: f32,
}

impl Default for VoteConfig {
    /// Three frames: a rule of this project's evidence. The others are to be set from a precision against coverage curve of the models
    /// (`make eval`): read precision at least 0.98. A text that the grammar corrected has at most 0.5, so `likely` above that refuses them all.
    fn default() -> Self {
        Self { frames: 3, enough: 8, margin: 0.9, likely: 0.4, floor: -6.0 }
    }
}

impl VoteConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "frames", self.frames, 1..=100);
        in_range(file, path, problems, "enough", self.enough, self.frames..=1000);
        in_range(file, path, problems, "margin", self.margin, 0.0..=1.0);
        in_range(file, path, problems, "likely", self.likely, 0.0..=1.0);
        in_range(file, path, problems, "floor", self.floor, -100.0..=-0.1);
    }
}

/// How many candidates are kept; those behind have no chance.
const CANDIDATES: usize = 24;

/// The votes on the plate of one vehicle.
#[derive(Clone, Debug, Default)]
pub struct Votes {
    frames: u32,
    /// By text: what the pictures that saw it gave above the floor, summed; and how sure its characters were at best.
    candidates: BTreeMap<String, (f32, Vec<f32>)>,
    best: Option<Best>,
}

#[derive(Clone, Debug)]
struct Best {
    raw: String,
    log_p: f32,
    characters: Vec<f32>,
    crop: (Timestamp, BoundingBox),
}

impl Votes {
    /// One picture's vote; `characters` are those of each of `spelling`'s candidates.
    pub fn add(&mut self, config: &VoteConfig, spelling: &Spelling, characters: &[Vec<f32>], crop: (Timestamp, BoundingBox)) {
        self.frames += 1;
        for (candidate, sure) in spelling.candidates.iter().zip(characters) {
            let above = (candidate.log_p - config.floor).max(0.0);
            let (sum, best) = self.candidates.entry(candidate.text.clone()).or_insert_with(|| (0.0, sure.clone()));
            *sum += above;
            if mean(sure) > mean(best) {
                best.clone_from(sure);
            }
        }
        while self.candidates.len() > CANDIDATES {
            let least = self.candidates.iter().min_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(text, _)| text.clone());
            least.map(|text| self.candidates.remove(&text));
        }
        if self.best.as_ref().is_none_or(|best| spelling.raw_log_p > best.log_p) {
            let Spelling { raw, raw_log_p, raw_characters, .. } = spelling.clone();
            self.best = Some(Best { raw, log_p: raw_log_p, characters: raw_characters, crop });
        }
    }

    /// Nothing more is to be learnt from further pictures.
    pub fn is_settled(&self, config: &VoteConfig) -> bool {
        self.frames >= config.enough && self.decide(config, Kinds::ALL).text.is_some()
    }

    /// What the plate says; `allowed` are the kinds that its vehicle can carry.
    pub fn decide(&self, config: &VoteConfig, allowed: Kinds) -> PlateText {
        let Some(best) = &self.best else {
            return PlateText { unread: Some("no_plate".into()), ..PlateText::default() };
        };
        let unread = |confidence: f32, reason: &str| PlateText {
            text: None,
            raw: best.raw.clone(),
            confidence,
            characters: best.characters.clone(),
            kinds: Vec::new(),
            corrected: false,
            unread: Some(Name::new(reason)),
            frames: self.frames,
            crop: Some(best.crop),
        };
        let mut ranked: Vec<(&String, f32, &Vec<f32>)> = self
            .candidates
            .iter()
            .filter(|(text, _)| !kinds(text).and(allowed).is_empty())
            .map(|(text, (sum, sure))| (text, *sum, sure))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let Some((text, sum, sure)) = ranked.first().copied() else {
            return unread(0.0, "not_well_formed");
        };
        // The share among all candidates, by the sums of their log probabilities.
        let whole: f32 = ranked.iter().map(|(_, other, _)| (other - sum).exp()).sum();
        let share = 1.0 / whole;
        let likely = (sum / self.frames as f32 + config.floor).exp();
        let confidence = share * likely.min(1.0);
        if self.frames < config.frames {
            return unread(confidence, "too_few_frames");
        }
        if share < config.margin {
            return unread(confidence, "ambiguous");
        }
        if likely < config.likely {
            return unread(confidence, "unlikely");
        }
        PlateText {
            text: Some(text.clone()),
            confidence,
            characters: sure.clone(),
            kinds: kinds(text).and(allowed).names(),
            corrected: best.raw != *text,
            unread: None,
            ..unread(0.0, "")
        }
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::ctc::tests::{ALPHABET, answer};
    use crate::plate::ctc::{characters, spell};

    fn crop(second: i64) -> (Timestamp, BoundingBox) {
        (Timestamp::from_millis(second * 1000), BoundingBox { x: 1.0, y: 2.0, width: 30.0, height: 20.0 })
    }

    /// Votes of pictures, each a text with its rivals (one per character) and how sure it was.
    fn votes(pictures: &[(&str, &str, f32)]) -> Votes {
        let mut votes = Votes::default();
        for (second, (text, rivals, p)) in pictures.iter().enumerate() {
            let ctc = answer(
                &text.chars().zip(rivals.chars()).map(|(c, rival)| (c, rival, if c == rival { 1.0 } else { *p })).collect::<Vec<_>>(),
            );
            let spelling = spell(&ctc, ALPHABET, Kinds::ALL, 16, 5).expect("the alphabet's columns");
            let sure: Vec<Vec<f32>> = spelling.candidates.iter().map(|c| characters(&ctc, ALPHABET, &c.text)).collect();
            votes.add(&VoteConfig::default(), &spelling, &sure, crop(second as i64));
        }
        votes
    }

    fn decided(pictures: &[(&str, &str, f32)]) -> PlateText {
        votes(pictures).decide(&VoteConfig::default(), Kinds::ALL)
    }

    #[test]
    fn frames_that_agree_read_a_plate_and_a_correction_is_said() {
        let plate = decided(&[("75A12345", "75A12346", 0.9), ("75A12345", "75A12845", 0.8), ("75A12345", "75A12345", 1.0)]);
        assert_eq!((plate.text.as_deref(), plate.corrected, plate.unread, plate.frames), (Some("75A12345"), false, None, 3));
        assert!(plate.confidence > 0.8 && plate.characters.len() == 8, "{}", plate.confidence);
        // The model alone would have put an 8 in the place of the letter, each time.
        let picture = ("75812345", "75B12345", 0.55);
        let plate = decided(&[picture; 4]);
        assert_eq!((plate.text.as_deref(), plate.raw.as_str(), plate.corrected), (Some("75B12345"), "75812345", true));
        assert_eq!(plate.crop.map(|(at, _)| at.as_millis()), Some(0));
    }

    #[test]
    fn what_is_not_clear_is_unread_with_its_reason() {
        let good = ("75A12345", "75A12345", 1.0);
        let reason = |pictures: &[(&str, &str, f32)]| decided(pictures).unread.map(|reason| reason.to_string());
        assert_eq!(reason(&[good, good]).as_deref(), Some("too_few_frames"));
        assert_eq!(reason(&[("75A12345", "75A12346", 0.52); 3]).as_deref(), Some("ambiguous"));
        assert_eq!(reason(&[("75A123", "75A123", 1.0); 3]).as_deref(), Some("not_well_formed"));
        assert_eq!(
            reason(&[("75812345", "75B12345", 0.95); 3]).as_deref(),
            Some("unlikely"),
            "the grammar does not make an 8 a B at any price"
        );
        assert_eq!(reason(&[]).as_deref(), Some("no_plate"));
        let plate = decided(&[("75A12345", "75A12346", 0.52); 3]);
        assert_eq!((plate.text, plate.raw.as_str()), (None, "75A12345"), "the raw text stays for a person to judge");
        // One picture of another vehicle among many does not undo them.
        assert_eq!(decided(&[good, good, good, ("75A99999", "75A99999", 1.0), good, good, good, good]).text.as_deref(), Some("75A12345"));
    }

    #[test]
    fn the_vehicle_decides_between_kinds_and_votes_stay_few() {
        let pictures = [("75B11234", "75B11234", 1.0); 3];
        let of = |label| votes(&pictures).decide(&VoteConfig::default(), Kinds::of_vehicle(Some(label), None)).kinds;
        assert_eq!(of("car"), ["car5", "state_blue"].map(Name::new));
        assert_eq!(of("motorbike"), ["moto_old"].map(Name::new));
        assert!(votes(&pictures).decide(&VoteConfig::default(), Kinds::of_vehicle(Some("car"), Some(false))).text.is_some());
        let texts: Vec<String> = (10000..10060).map(|n| format!("75A{n}")).collect();
        let many: Vec<(&str, &str, f32)> = texts.iter().map(|text| (text.as_str(), text.as_str(), 1.0)).collect();
        assert!(votes(&many).candidates.len() <= CANDIDATES);
        assert!(!votes(&pictures).is_settled(&VoteConfig::default()));
        assert!(votes(&[("75B11234", "75B11234", 1.0); 8]).is_settled(&VoteConfig::default()));
    }

    #[test]
    fn settings_out_of_range_are_all_named() {
        let config = VoteConfig { margin: 2.0, floor: 1.0, enough: 1, ..VoteConfig::default() };
        let mut problems = Problems::default();
        config.check("huong.toml", "vision.plates.votes", &mut problems);
        assert_eq!(problems.list.len(), 3, "{problems}");
    }
}
