//! What a camera saw of a possible violation: facts for a person to judge, never a verdict.
//!
//! Invariant: a candidate with a reason against it (`void`) stays one: it is counted and explained, and never handed over.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{BoundingBox, Detection, Name, Timestamp};

/// Which model said something: evidence names it, and readings carry its name as their source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    pub name: Name,
    /// Of the model file, in lower case hexadecimal.
    pub sha256: Name,
}

/// What was done, or what lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    RedLight,
    WrongWay,
    StopPark,
    Pavement,
    /// In a lane kept for others, such as a bus lane.
    WrongLane,
    NoHelmet,
    /// Standing where traffic flows: an obstacle, not an offence.
    StoppedVehicle,
    WasteHeap,
    BinOverflow,
    /// Something new left behind by somebody who went on.
    DumpingAct,
}

impl Act {
    pub const ALL: [Act; 10] = [
        Act::RedLight,
        Act::WrongWay,
        Act::StopPark,
        Act::Pavement,
        Act::WrongLane,
        Act::NoHelmet,
        Act::StoppedVehicle,
        Act::WasteHeap,
        Act::BinOverflow,
        Act::DumpingAct,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Act::RedLight => "red_light",
            Act::WrongWay => "wrong_way",
            Act::StopPark => "stop_park",
            Act::Pavement => "pavement",
            Act::WrongLane => "wrong_lane",
            Act::NoHelmet => "no_helmet",
            Act::StoppedVehicle => "stopped_vehicle",
            Act::WasteHeap => "waste_heap",
            Act::BinOverflow => "bin_overflow",
            Act::DumpingAct => "dumping_act",
        }
    }
}

/// What a signal head shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalState {
    Red,
    Yellow,
    Green,
    #[default]
    Unknown,
}

impl SignalState {
    /// As a controller's feed spells it; whatever else it says is unknown.
    pub fn of(text: &str) -> Self {
        [Self::Red, Self::Yellow, Self::Green].into_iter().find(|state| state.as_str() == text).unwrap_or_default()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            SignalState::Red => "red",
            SignalState::Yellow => "yellow",
            SignalState::Green => "green",
            SignalState::Unknown => "unknown",
        }
    }
}

/// A signal as it was at one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalSight {
    pub signal: Name,
    pub state: SignalState,
    /// 0 to 1; 0 when unknown.
    pub confidence: f32,
    /// Since when it has been seen in this state without a break.
    pub since: Timestamp,
    /// `camera`, or `feed` when the controller said so.
    pub source: Name,
}

/// One picture of a candidate. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceFrame {
    /// What it shows, such as `before`, `on`, `after`, `first`, `last`.
    pub moment: Name,
    pub at: Timestamp,
    pub received: Timestamp,
    pub jpeg: Bytes,
    /// Where the vehicle, or the heap, is in it, in pixels.
    pub bbox: BoundingBox,
    /// Who and what else is in it, by the detector's labels, and other vehicles' plates as [`EvidenceFrame::PLATE`]: none of it is what the
    /// candidate is about, so it is made unrecognisable in whatever is derived from the picture.
    pub others: Vec<Detection>,
    pub signal: Option<SignalSight>,
}

impl EvidenceFrame {
    /// The label of a plate.
    pub const PLATE: &str = "plate";
}

/// A plate as it was read over several frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlateText {
    /// The well-formed text; `None` when it was not read surely enough.
    pub text: Option<String>,
    /// What the model alone would have said at its surest frame, well-formed or not.
    pub raw: String,
    /// How sure, 0 to 1, among everything that it might be.
    pub confidence: f32,
    /// Per character of `text` (of `raw` when there is none), 0 to 1.
    pub characters: Vec<f32>,
    /// The kinds of plate that it can be, such as `car5`.
    pub kinds: Vec<Name>,
    /// The grammar changed what the model said.
    pub corrected: bool,
    /// Why there is no text.
    pub unread: Option<Name>,
    /// Frames that voted.
    pub frames: u32,
    /// The plate in the frame where it was read best, in pixels, and that frame's time.
    pub crop: Option<(Timestamp, BoundingBox)>,
}

/// Why a candidate must not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// Another vehicle overlaps this one in a frame that matters.
    TwoVehicles,
    SignalUnknown,
    /// The tracker might have taken one vehicle for another.
    IdentityDoubtful,
    TooFewFrames,
}

impl VoidReason {
    pub fn as_str(self) -> &'static str {
        match self {
            VoidReason::TwoVehicles => "two_vehicles",
            VoidReason::SignalUnknown => "signal_unknown",
            VoidReason::IdentityDoubtful => "identity_doubtful",
            VoidReason::TooFewFrames => "too_few_frames",
        }
    }
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Derived from camera, act, track or zone, and onset: the same frames give the same id.
    pub id: Name,
    pub act: Act,
    /// The provision, such as `168/2024:6.9.b`, by the configuration; `None` when it has none for this act and vehicle.
    pub code: Option<Name>,
    pub camera: Name,
    /// The zone, line or signal of the camera's view.
    pub place: Name,
    pub began: Timestamp,
    pub at: Timestamp,
    /// `None` for waste.
    pub track: Option<u64>,
    /// The label most often given: `car`, `garbage`.
    pub label: Name,
    /// In the order of time.
    pub frames: Vec<EvidenceFrame>,
    pub plate: Option<PlateText>,
    /// Checksums of the settings that decided and of the camera's geometry.
    pub rule_version: Name,
    pub view_version: Name,
    pub models: Vec<ModelId>,
    /// Empty: nothing speaks against it.
    pub void: Vec<VoidReason>,
}
