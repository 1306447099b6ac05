//! One vehicle that may be doing one thing wrong.
//!
//! Invariant: frames are in the order of time, each at most once; of a long stay the first, the middle and the last are kept.

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

/// Frames of a stay.
const KEPT: usize = 3;

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
        self.frames.push(evidence(moment, shot, *bbox, self.signal.as_ref()));
        if self.frames.len() > KEPT {
            // Of four the one goes that leaves the others most evenly spread.
            let span = |a: usize, b: usize| self.frames[b].at.since(self.frames[a].at).as_millis();
            let spare = if span(0, 1) + span(0, 2) < span(1, 3) + span(2, 3) { 1 } else { 2 };
            self.frames.remove(spare);
        }
    }
}
