//! From JPEG bytes to counts: header check, scaled decode, motion gate, letterbox, box decoding, zones.
//!
//! The model itself is behind [`Detector`], so that everything here is tested without one.
//!
//! Invariant: a frame that could not be looked at is an `Err`, never a count of zero. Nothing here keeps a clock, a thread
//! or a file; all state belongs to one [`Pipeline`], which one worker owns.

mod appearance;
mod assign;
mod blobs;
mod check;
mod counts;
mod decode;
mod events;
mod gate;
mod jpeg;
mod judge;
mod layouts;
mod lens;
mod letterbox;
mod light;
mod look;
mod model;
mod nms;
mod observe;
mod pipeline;
pub mod plate;
mod schedule;
mod signal;
#[cfg(test)]
mod testing;
mod tracker;
mod view;
mod windows;
mod zone;

pub use appearance::{Appearance, Pixels};
pub use decode::luma_eighth;
pub use events::{Happening, ZoneConfig, ZoneEvent, ZoneWatch};
pub use gate::{Attention, Gate, GateConfig, Glance};
pub use huong_types::ModelId;
pub use jpeg::{FrameLimits, validate_jpeg};
pub use judge::{HeadSight, Judge, JudgeConfig, Shot, WasteConfig, WasteWatch};
pub use layouts::{Head, Layout, PlateHead, Tensor};
pub use letterbox::{ChannelOrder, InputSpec, Letterbox, Letterboxed};
pub use light::LightConfig;
pub use look::LookConfig;
pub use model::{Ctc, DetectError, Detector, FoundPlate, PlateFinder, PlateImage, PlateReader, PlateRows, PlateSight};
pub use pipeline::{FrameError, Outcome, Pipeline, VisionConfig};
pub use schedule::{Schedule, ScheduleConfig, Watch};
pub use signal::{SignalConfig, Signals};
pub use tracker::{Sight, Track, Tracker, TrackerConfig, Weights};
pub use view::{Area, LineKind, LineSpec, Point, SignalSpec, View, Views, ZoneKind, ZoneSpec};
