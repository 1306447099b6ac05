//! One worker's way from a frame to readings and candidates of violations.
//!
//! Invariant: a count is given only for a frame that the detector looked at. All state is per camera and owned here, so a camera's
//! frames belong to one pipeline.

use std::sync::Arc;

use huong_types::{Camera, Candidate, Detection, Frame, ModelId, Name, Problems, Reading, Registry, Reject, SignalState, Span, Timestamp};
use serde::Deserialize;

use crate::check::in_range;
use crate::decode::Picture;
use crate::judge::JudgeConfig;
use crate::lens::{Gains, Lens};
use crate::look::{Canvas, Eye, Plan};
use crate::observe;
use crate::plate::{PlateConfig, PlateEye};
use crate::view::Views;
use crate::{DetectError, Detector, FrameLimits, Gate, GateConfig, LightConfig, LookConfig, SignalConfig, TrackerConfig, ZoneConfig};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VisionConfig {
    pub limits: FrameLimits,
    pub gate: GateConfig,
    pub look: LookConfig,
    /// Before heads and waste are looked for.
    pub light: LightConfig,
    pub tracker: TrackerConfig,
    pub zones: ZoneConfig,
    pub signals: SignalConfig,
    pub plates: PlateConfig,
    pub judge: JudgeConfig,
    /// How long a candidate waits for its vehicle's plate to be read.
    pub plate_wait: Span,
    /// Riders whose heads are looked at in one frame, and how wide in pixels their motorbike must be.
    pub riders: usize,
    pub rider_width: f32,
    /// How often a camera with waste zones is looked at for waste.
    pub waste_every: Span,
}

impl Default for VisionConfig {
    /// 10 s: a vehicle is out of the picture by then. 3 riders of 32 pixels: heads of some 8 pixels; 30 s: 30 looks in the 15 minutes after
    /// which waste is a heap. Choices of this project.
    fn default() -> Self {
        Self {
            limits: FrameLimits::default(),
            gate: GateConfig::default(),
            look: LookConfig::default(),
            light: LightConfig::default(),
            tracker: TrackerConfig::default(),
            zones: ZoneConfig::default(),
            signals: SignalConfig::default(),
            plates: PlateConfig::default(),
            judge: JudgeConfig::default(),
            plate_wait: Span::from_secs(10),
            riders: 3,
            rider_width: 32.0,
            waste_every: Span::from_secs(30),
        }
    }
}

/// What one frame came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Nothing moved: the detector did not look, and there are no detections and no counts.
    pub gated: bool,
    pub detections: Vec<Detection>,
    /// Counts of vehicles first, when there are any; then what happened in zones, signals that changed, plates, waste.
    pub readings: Vec<Reading>,
    pub candidates: Vec<Candidate>,
    /// What failed beside the count: a plate's, head's or waste model. To be counted by the caller.
    pub faults: Vec<String>,
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

/// The models of one worker.
pub(crate) struct Kit {
    pub(crate) eye: Eye,
    pub(crate) plates: Option<PlateEye>,
    pub(crate) helmets: Option<Eye>,
    pub(crate) waste: Option<Eye>,
}

impl Kit {
    /// The name that readings of tracks carry.
    pub(crate) fn source(&self) -> Name {
        self.eye.detector.model().name.clone()
    }

    pub(crate) fn models(&self) -> Vec<ModelId> {
        let eyes = [Some(&self.eye), self.helmets.as_ref(), self.waste.as_ref()];
        let eyes = eyes.into_iter().flatten().map(|eye| eye.detector.model().clone());
        eyes.chain(self.plates.iter().flat_map(PlateEye::models)).collect()
    }
}

/// Gates, tracks, buffers and models of one worker.
pub struct Pipeline {
    config: VisionConfig,
    registry: Arc<Registry>,
    views: Views,
    lenses: Vec<Lens>,
    luma: Vec<u8>,
    canvas: Canvas,
    kit: Kit,
}

impl VisionConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        self.limits.check(file, &format!("{path}.limits"), problems);
        self.gate.check(file, &format!("{path}.gate"), problems);
        self.look.check(file, &format!("{path}.look"), problems);
        self.light.check(file, &format!("{path}.light"), problems);
        self.tracker.check(file, &format!("{path}.tracker"), problems);
        self.zones.check(file, &format!("{path}.zones"), problems);
        self.signals.check(file, &format!("{path}.signals"), problems);
        self.plates.check(file, &format!("{path}.plates"), problems);
        self.judge.check(file, &format!("{path}.judge"), problems);
        in_range(file, path, problems, "riders", self.riders, 0..=100);
        in_range(file, path, problems, "rider_width", self.rider_width, 8.0..=4096.0);
    }
}

impl Pipeline {
    /// Counts vehicles; follows them through the zones of [`Pipeline::with_views`].
    pub fn new(config: VisionConfig, registry: Arc<Registry>, detector: Box<dyn Detector>) -> Self {
        let kit = Kit { eye: Eye::new(detector), plates: None, helmets: None, waste: None };
        let canvas = Canvas::default();
        Self { config, registry, views: Views::default(), lenses: Vec::new(), luma: Vec::new(), canvas, kit }.begun()
    }

    /// What is where in each camera's picture.
    pub fn with_views(self, views: Views) -> Self {
        Self { views, ..self }.begun()
    }

    /// Also reads number plates.
    pub fn with_plates(mut self, plates: PlateEye) -> Self {
        self.kit.plates = Some(plates);
        self.begun()
    }

    /// Also looks at riders' heads; labels `with_helmet` and `without_helmet`.
    pub fn with_helmets(mut self, detector: Box<dyn Detector>) -> Self {
        self.kit.helmets = Some(Eye::new(detector).lit(self.config.light));
        self.begun()
    }

    /// Also looks for waste; labels `garbage_bin`, `overflow`, and any others for waste itself.
    pub fn with_waste(mut self, detector: Box<dyn Detector>) -> Self {
        self.kit.waste = Some(Eye::new(detector).lit(self.config.light));
        self.begun()
    }

    fn begun(mut self) -> Self {
        let labels = self.kit.eye.detector.labels();
        let lens = |(index, camera): (usize, &Camera)| {
            let gate = Gate::of_camera(index);
            Lens::new(&self.config, camera, gate, self.views.of(&camera.id), labels, &self.kit)
        };
        self.lenses = self.registry.cameras.iter().enumerate().map(lens).collect();
        self
    }

    /// Looks at a frame of the camera at `camera_index` of the registry, if anything moved in it or it is time to look again.
    ///
    /// # Errors
    /// When the frame could not be looked at. The camera's next frame then passes the gate.
    pub fn process(&mut self, camera_index: usize, frame: &Frame) -> Result<Outcome, FrameError> {
        let cameras = self.registry.cameras.len();
        let lens = self.lenses.get_mut(camera_index).ok_or(FrameError::NoCamera { index: camera_index, cameras })?;
        let (config, kit) = (&self.config, &mut self.kit);
        let mut picture = Picture::open(&frame.jpeg, &config.limits)?;
        let blocks = picture.luma_eighth(&mut self.luma)?;
        let when = lens.time_of(frame);
        let glance = lens.glance(&config.gate, &self.luma, blocks, when);
        if !glance.passes {
            // No count: the last one may well still hold, but repeating it would store a guess as a measurement. The gate's
            // keep-alive bounds how old a count gets, and keeps a rule about silence from taking a quiet street for a dead camera.
            let Gains { readings, candidates, .. } = lens.rest(config, kit, when);
            return Ok(Outcome { gated: true, readings, candidates, ..Outcome::default() });
        }
        let size = picture.size();
        let plan = kit.eye.plan(&config.look, size, &glance, &lens.stirred, &lens.known);
        let wanted = if lens.needs_all_pixels(config, kit) { size } else { kit.eye.wanted(size, &plan) };
        self.canvas.paint(&mut picture, wanted)?;
        let pixels = self.canvas.pixels();
        let sights = kit.eye.look(&config.look, &pixels, size, &plan, &lens.known)?;
        let detections = sights.objects;
        let Gains { readings, candidates, faults } = lens.look(config, kit, (frame, when, size), &pixels, &detections, &glance.moved);
        lens.gate.serve(sights.whole, frame.received);
        lens.known.clone_from(&detections);
        lens.stirred = glance.moved;
        let count = lens.counter.counts_anything().then(|| {
            let own = observe::Moment { at: frame.at, received: frame.received };
            observe::reading(observe::VEHICLES, lens.camera.clone(), own, &kit.source(), lens.counter.fields(&detections, size))
        });
        let readings = count.into_iter().chain(readings).collect();
        let faults = faults.iter().map(ToString::to_string).collect();
        Ok(Outcome { gated: false, detections, readings, candidates, faults })
    }

    /// A signal controller reports: `feed` is its key in the stream `signal`.
    pub fn hear(&mut self, feed: &str, state: SignalState, at: Timestamp) {
        for lens in &mut self.lenses {
            lens.hear(feed, state, at);
        }
    }

    /// The objects in one JPEG, without camera or gate.
    ///
    /// # Errors
    /// When the picture could not be looked at.
    pub fn detect(&mut self, jpeg: &[u8]) -> Result<Vec<Detection>, FrameError> {
        let mut picture = Picture::open(jpeg, &self.config.limits)?;
        let size = picture.size();
        let plan = Plan::whole();
        self.canvas.paint(&mut picture, self.kit.eye.wanted(size, &plan))?;
        Ok(self.kit.eye.look(&self.config.look, &self.canvas.pixels(), size, &plan, &[])?.objects)
    }
}
