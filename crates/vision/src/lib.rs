//! From JPEG bytes to counts: header check, scaled decode, motion gate, letterbox, box decoding, zones.
//!
//! The model itself is behind [`Detector`], so that everything here is tested without one.
//!
//! Invariant: a frame that could not be looked at is an `Err`, never a count of zero. Nothing here keeps a clock, a thread
//! or a file; all state belongs to one [`Pipeline`], which one worker owns.

mod blobs;
mod check;
mod counts;
mod decode;

mod gate;
mod jpeg;
mod layouts;
mod letterbox;
mod model;
mod nms;
mod pipeline;
mod zone;

pub use decode::luma_eighth;
pub use gate::{Gate, GateConfig, Glance};
pub use jpeg::{FrameLimits, validate_jpeg};
pub use layouts::{Head, Layout, PlateHead, Tensor};
pub use letterbox::{ChannelOrder, InputSpec, Letterbox, Letterboxed};
pub use model::{Ctc, DetectError, Detector, FoundPlate, ModelId, PlateFinder, PlateImage, PlateReader, PlateRows, PlateSight};
pub use pipeline::{FrameError, Outcome, Pipeline, VisionConfig};
