//! One worker's way from a frame to a reading of the stream `vehicles`.
//!
//! Invariant: a reading is given only for a frame that the detector looked at. All state is per camera and owned here, so a
//! camera's frames belong to one pipeline.

use std::sync::Arc;

use huong_types::{Detection, Frame, Name, Origin, Problems, Reading, Registry, Reject};
use serde::Deserialize;
use turbojpeg::PixelFormat;

use crate::counts::Counter;
use crate::decode::Picture;
use crate::gate::Gate;
use crate::letterbox::Letterboxer;
use crate::{ChannelOrder, DetectError, Detector, FrameLimits, GateConfig, Letterbox};

/// The stream of counts. Its key is the camera's id, its fields are counts of vehicles.
const STREAM: &str = "vehicles";

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VisionConfig {
    pub limits: FrameLimits,
    pub gate: GateConfig,
}

/// What one frame came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Nothing moved: the detector did not look, and there are neither detections nor a reading.
    pub gated: bool,
    pub detections: Vec<Detection>,
    pub reading: Option<Reading>,
}

/// Why a frame was skipped. Each is to be counted by the caller; none means "nothing there".
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("no camera at this position of the registry: found {index}, expected less than {cameras}")]
    NoCamera { index: usize, cameras: usize },
    #[error(transparent)]
    Rejected(#[from] Reject),
    #[error("the picture does not decode: {0}")]
    Decode(#[from] turbojpeg::Error),
    #[error("the picture does not resize: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
    #[error(transparent)]
    Detect(#[from] DetectError),
}

/// Gates, buffers and the detector of one worker.
pub struct Pipeline {
    config: VisionConfig,
    registry: Arc<Registry>,
    stream: Name,
    gates: Vec<Gate>,
    counters: Vec<Counter>,
    luma: Vec<u8>,
    eye: Eye,
}

/// Decodes for the detector and asks it.
struct Eye {
    detector: Box<dyn Detector>,
    pixels: Vec<u8>,
    letterboxer: Letterboxer,
}

impl VisionConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        self.limits.check(file, &format!("{path}.limits"), problems);
        self.gate.check(file, &format!("{path}.gate"), problems);
    }
}

impl Pipeline {
    pub fn new(config: VisionConfig, registry: Arc<Registry>, detector: Box<dyn Detector>) -> Self {
        Self {
            config,
            stream: Name::new(STREAM),
            gates: registry.cameras.iter().map(|_| Gate::default()).collect(),
            counters: registry.cameras.iter().map(|camera| Counter::new(camera, detector.labels())).collect(),
            registry,
            luma: Vec::new(),
            eye: Eye { pixels: Vec::new(), letterboxer: Letterboxer::new(detector.input()), detector },
        }
    }

    /// Looks at a frame of the camera at `camera_index` of the registry, if anything moved in it or it is time to look again.
    ///
    /// # Errors
    /// When the frame could not be looked at. The camera's next frame then passes the gate.
    pub fn process(&mut self, camera_index: usize, frame: &Frame) -> Result<Outcome, FrameError> {
        let cameras = self.registry.cameras.len();
        let (Some(camera), Some(gate)) = (self.registry.cameras.get(camera_index), self.gates.get_mut(camera_index)) else {
            return Err(FrameError::NoCamera { index: camera_index, cameras });
        };
        let mut picture = Picture::open(&frame.jpeg, &self.config.limits)?;
        let blocks = picture.luma_eighth(&mut self.luma)?;
        if !gate.glance(&self.config.gate, &self.luma, blocks, &[], frame.received).passes {
            // No reading: the last count may well still hold, but repeating it would store a guess as a measurement. The gate's
            // keep-alive bounds how old a count gets, and keeps a rule about silence from taking a quiet street for a dead camera.
            return Ok(Outcome { gated: true, detections: Vec::new(), reading: None });
        }
        let detections = self.eye.look(&mut picture)?;
        gate.serve(frame.received);
        let counter = &self.counters[camera_index];
        let reading = counter.counts_anything().then(|| Reading {
            stream: self.stream.clone(),
            key: camera.id.clone(),
            at: frame.at,
            received: frame.received,
            fields: counter.fields(&detections, picture.size()).collect(),
            source: self.eye.detector.model().name.clone(),
            origin: Origin::Vision,
            orphan: false,
        });
        Ok(Outcome { gated: false, detections, reading })
    }

    /// The objects in one JPEG, without camera or gate.
    ///
    /// # Errors
    /// When the picture could not be looked at.
    pub fn detect(&mut self, jpeg: &[u8]) -> Result<Vec<Detection>, FrameError> {
        self.eye.look(&mut Picture::open(jpeg, &self.config.limits)?)
    }
}

impl Eye {
    fn look(&mut self, picture: &mut Picture<'_>) -> Result<Vec<Detection>, FrameError> {
        let spec = self.detector.input();
        let geometry = Letterbox::fit(picture.size(), &spec);
        let format = match spec.channels {
            ChannelOrder::Bgr => PixelFormat::BGR,
            ChannelOrder::Rgb => PixelFormat::RGB,
        };
        let size = picture.at_least(geometry.content, format, &mut self.pixels)?;
        let image = self.letterboxer.fill(&self.pixels, size, geometry)?;
        Ok(self.detector.detect(image)?)
    }
}
