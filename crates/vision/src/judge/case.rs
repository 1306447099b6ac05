//! One vehicle that may be doing one thing wrong.
//!
//! Invariant: frames are in the order of time, each at most once; of a long stay the first, the middle and the last are given.

use huong_types::{Act, BoundingBox, EvidenceFrame, Name, Span, Timestamp, VoidReason};

use super::{JudgeConfig, Reasons, Seen, covered, evidence, is_rider_of};
use crate::Track;

/// How somebody stays in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Standing,
    /// From one place to another: who only stands there, or was just put there, is not meant.
    Driving,
    Either,
}

/// What a case still waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// It crossed the line; a frame behind it, until then.
    AwaitsAfter {
        until: Timestamp,
    },
    /// It stays in a zone for at least so long.
    Stays {
        manner: Manner,
        least: Span,
    },
    /// The looks at a rider's head decide, once he comes no nearer.
    Votes,
    Complete,
    Dropped,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) act: Act,
    pub(super) track: u64,
    pub(super) label: Name,
    pub(super) place: Name,
    pub(super) began: Timestamp,
    pub(super) at: Timestamp,
    pub(super) signal: Option<Name>,
    pub(super) frames: Vec<EvidenceFrame>,
    pub(super) void: Reasons,
    pub(super) stage: Stage,
    /// Looks in which another vehicle overlapped it: no evidence, where others will do.
    pub(super) overlapped: usize,
    /// It does not do it just now: see [`Manner::Driving`].
    pub(super) idle: bool,
    /// Where its foot was when it began, in pixels.
    pub(super) foot: (f32, f32),
}

/// Frames kept of something long: enough that one of them is about in the middle whenever it ends.
const KEPT: usize = 6;

/// Adds the latest frame; of too many the one goes that is nearest to its neighbours, never the first or the last.
pub(super) fn keep(frames: &mut Vec<EvidenceFrame>, frame: EvidenceFrame) {
    frames.push(frame);
    if frames.len() > KEPT {
        let gap = |i: &usize| frames[i + 1].at.since(frames[i - 1].at);
        let spare = (1..frames.len() - 1).min_by_key(gap).unwrap_or(1);
        frames.remove(spare);
    }
}

/// The first, the one nearest to the middle, and the last of something long.
pub(super) fn first_middle_last(mut frames: Vec<EvidenceFrame>) -> Vec<EvidenceFrame> {
    if let (Some(first), Some(last), true) = (frames.first(), frames.last(), frames.len() > 2) {
        let (from, to) = (first.at.as_millis(), last.at.as_millis());
        let off = |i: &usize| (2 * frames[*i].at.as_millis() - from - to).abs();
        let middle = (1..frames.len() - 1).min_by_key(off).unwrap_or(1);
        frames = vec![frames[0].clone(), frames[middle].clone(), frames[frames.len() - 1].clone()];
    }
    for (frame, moment) in frames.iter_mut().zip(["first", "middle", "last"]) {
        frame.moment = Name::new(moment);
    }
    frames
}

impl Case {
    pub(super) fn new(act: Act, track: &Track, place: Name, began: Timestamp, signal: Option<Name>) -> Self {
        Self {
            act,
            track: track.id,
            label: track.label().clone(),
            place,
            began,
            at: began,
            signal,
            frames: Vec::new(),
            void: Reasons::new(),
            stage: Stage::Dropped,
            overlapped: 0,
            idle: false,
            foot: track.sight().bbox.foot(),
        }
    }

    pub(super) fn is(&self, act: Act, track: u64, place: &Name) -> bool {
        self.act == act && self.track == track && self.place == *place
    }

    /// What it did so far does not count.
    pub(super) fn begin_anew(&mut self, track: &Track, now: Timestamp) {
        (self.began, self.at, self.foot) = (now, now, track.sight().bbox.foot());
        self.frames.clear();
        self.overlapped = 0;
    }

    /// Whether another vehicle overlaps this one there, or may be in its box with it. `None` when it is not there itself.
    pub(super) fn is_overlapped(&self, seen: &Seen, config: &JudgeConfig) -> Option<bool> {
        let (_, bbox) = seen.boxes.iter().find(|(id, _)| *id == self.track)?;
        let rider = |other: &BoundingBox| self.act == Act::NoHelmet && is_rider_of(other, bbox, config.rider_part);
        let overlaps = seen.boxes.iter().any(|(id, other)| *id != self.track && covered(bbox, other) > config.overlap && !rider(other));
        Some(overlaps || seen.doubled.contains(&self.track))
    }

    /// As [`Case::add`], but passes over a shot in which another vehicle overlaps it: another one will show it alone. Whether it was taken.
    pub(super) fn add_alone(&mut self, moment: &str, seen: &Seen, config: &JudgeConfig) -> bool {
        match self.is_overlapped(seen, config) {
            Some(false) => self.add(moment, seen, config),
            Some(true) => self.overlapped += 1,
            None => return false,
        }
        self.is_overlapped(seen, config) == Some(false)
    }

    /// Leaves the `most` frames that show it from nearest.
    pub(super) fn keep_nearest(&mut self, most: usize) {
        if self.frames.len() > most
            && let Some(farthest) =
                (0..self.frames.len()).min_by(|a, b| self.frames[*a].bbox.area().total_cmp(&self.frames[*b].bbox.area()))
        {
            self.frames.remove(farthest);
        }
    }

    /// Takes a shot in which the vehicle is as evidence; another one that overlaps it makes it doubtful.
    pub(super) fn add(&mut self, moment: &str, seen: &Seen, config: &JudgeConfig) {
        let Some((_, bbox)) = seen.boxes.iter().find(|(id, _)| *id == self.track) else { return };
        if self.frames.last().is_some_and(|frame| frame.at >= seen.shot.at) {
            return;
        }
        if self.is_overlapped(seen, config) == Some(true) {
            self.void.insert(VoidReason::TwoVehicles);
        }
        keep(&mut self.frames, evidence(moment, &seen.shot, (Some(self.track), *bbox), self.signal.as_ref()));
    }
}
