//! One vehicle that may be doing one thing wrong.
//!
//! Invariant: frames are in the order of time, each at most once; of a long stay the first, the middle and the last are given.

use huong_types::{Act, BoundingBox, EvidenceFrame, Name, Span, Timestamp, VoidReason};

use super::{Reasons, Shot, covered, evidence};
use crate::Track;

/// What a case still waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// It crossed the line; a frame behind it, until then.
    AwaitsAfter {
        until: Timestamp,
    },
    /// It stays (`standing`: without moving) for at least so long.
    Stays {
        standing: bool,
        least: Span,
    },
    /// Looks that said the opposite.
    Votes {
        against: usize,
    },
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
        let (track, label) = (track.id, track.label().clone());
        Self { act, track, label, place, began, at: began, signal, frames: Vec::new(), void: Reasons::new(), stage: Stage::Dropped }
    }

    pub(super) fn is(&self, act: Act, track: u64, place: &Name) -> bool {
        self.act == act && self.track == track && self.place == *place
    }

    /// Takes a shot in which the vehicle is as evidence; `overlap` is the covered part from which another vehicle makes it doubtful.
    pub(super) fn add(&mut self, moment: &str, shot: &Shot, boxes: &[(u64, BoundingBox)], overlap: f32) {
        let Some((_, bbox)) = boxes.iter().find(|(id, _)| *id == self.track) else { return };
        if self.frames.last().is_some_and(|frame| frame.at >= shot.at) {
            return;
        }
        if boxes.iter().any(|(id, other)| *id != self.track && covered(bbox, other) > overlap) {
            self.void.insert(VoidReason::TwoVehicles);
        }
        keep(&mut self.frames, evidence(moment, shot, *bbox, self.signal.as_ref()));
    }
}
