//! The vision threads: frames out of the mailbox, observations into the ring, candidates to whoever keeps them.
//!
//! Invariant: a camera's frames are looked at by one thread, in order; what it saw last is always the newest that there is time for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use huong_flow::{Ring, Stop};
use huong_infer::{OnnxDetector, OnnxPlateFinder, OnnxPlateReader, Provider, load_openvino, load_runtime};
use huong_ingest::ShedReason;
use huong_types::{Candidate, Frame, Inbound, Name, Origin, Reading, Registry, SignalState, Timestamp, Value};
use huong_vision::plate::PlateEye;
use huong_vision::{Outcome, Pipeline, Schedule, ScheduleConfig, Views, Watch};

use crate::config::VisionSection;
use crate::shared::Shared;

const IDLE: Duration = Duration::from_secs(1);
/// How often it is looked whether a river alarm stands.
const FLOOD: Duration = Duration::from_secs(1);
/// Words of signal controllers that wait for one thread; a later one says more than one that finds no room.
pub(crate) const SIGNALS: usize = 1024;

/// A signal controller's word: its key, what it shows, and since when.
pub(crate) type SignalWord = (Name, SignalState, Timestamp);

/// Opens the models, once for each thread; slow enough to be done before anything listens.
pub(crate) fn open(config: &VisionSection, views: &Views, registry: &Arc<Registry>) -> Result<Vec<Pipeline>> {
    load_runtime(&config.runtime).context("the ONNX runtime cannot be loaded")?;
    let provider = config.provider;
    if provider == Provider::Openvino {
        load_openvino(&config.openvino).context("the provider cannot be loaded")?;
    }
    let pipeline = |_| {
        let detector = |manifest| OnnxDetector::open(manifest, provider).map(Box::new).context("a model cannot be loaded");
        let mut pipeline = Pipeline::new(config.pipeline(), Arc::clone(registry), detector(&config.model)?).with_views(views.clone());
        if let (Some(finder), Some(reader)) = (&config.plate_finder, &config.plate_reader) {
            let finder = OnnxPlateFinder::open(finder, provider).context("the plate finder cannot be loaded")?;
            let reader = OnnxPlateReader::open(reader, provider).context("the plate reader cannot be loaded")?;
            pipeline = pipeline.with_plates(PlateEye::new(Box::new(finder), Box::new(reader)));
        }
        if let Some(helmets) = &config.helmets {
            pipeline = pipeline.with_helmets(detector(helmets)?);
        }
        if let Some(waste) = &config.waste {
            pipeline = pipeline.with_waste(detector(waste)?);
        }
        Ok(pipeline)
    };
    (0..config.workers).map(pipeline).collect()
}

/// One thread's share of the cameras: every `lanes`-th of the registry.
pub(crate) struct Looker {
    pub(crate) lane: usize,
    /// Without it frames are only kept for the wall.
    pub(crate) pipeline: Option<Pipeline>,
    pub(crate) schedule: ScheduleConfig,
    /// Alarms of these rules are floods.
    pub(crate) flood_rules: Vec<Name>,
    /// Where candidates go; without it they are counted and told, and their pictures dropped.
    pub(crate) candidates: Option<Arc<Ring<Candidate>>>,
}

impl Looker {
    /// Runs until `stop` is set.
    pub(crate) fn run(mut self, ring: &Ring<Inbound>, shared: &Shared, stop: &Stop) {
        let (mailbox, signals) = (&shared.mailbox, &shared.signals[self.lane]);
        let watches = shared.registry.cameras.iter().map(|camera| Watch::of(camera.labels.get("watch").map(String::as_str)));
        let mut schedule = Schedule::new(self.schedule, watches);
        let begun = Instant::now();
        let mut flood_asked: Option<Instant> = None;
        mailbox.waker_of(self.lane).register();
        while !stop.is_set() {
            while let Some(camera) = mailbox.claim(self.lane) {
                schedule.add(camera);
            }
            if flood_asked.is_none_or(|asked| asked.elapsed() >= FLOOD) {
                flood_asked = Some(Instant::now());
                schedule.set_flood(shared.open.load().iter().any(|alert| alert.holds && self.flood_rules.contains(&alert.rule)));
            }
            // How long ago a camera was served is a matter of this machine's time, whatever time the city's clock shows.
            let now = Timestamp::from_millis(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
            let Some((camera, frame)) = schedule.next(now).and_then(|camera| Some((camera, mailbox.collect(camera)?))) else {
                mailbox.waker_of(self.lane).wait(IDLE);
                continue;
            };
            let frame = Arc::new(frame);
            let lens = &shared.lenses[camera];
            lens.latest.store(Some(Arc::clone(&frame)));
            let Some(pipeline) = &mut self.pipeline else { continue };
            while let Some((feed, state, at)) = signals.pop() {
                pipeline.hear(&feed, state, at);
            }
            let outcome = look(pipeline, camera, &frame, shared);
            lens.failing.store(outcome.is_none(), Ordering::Relaxed);
            let Some(outcome) = outcome else { continue };
            if !outcome.gated {
                lens.found.store(Some(Arc::new((frame.at, outcome.detections))));
            }
            let age = shared.clock.now().since(frame.received);
            shared.vision.age.add(Duration::from_millis(u64::try_from(age.as_millis()).unwrap_or(0)));
            shared.vision.candidates.add(outcome.candidates.len() as u64);
            if let Some(keeper) = &self.candidates {
                outcome.candidates.into_iter().for_each(|candidate| hand_over(keeper, candidate));
            }
            if !outcome.readings.is_empty() {
                shared.vision.observations.add(outcome.readings.len() as u64);
                push(ring, Inbound { readings: outcome.readings.into_iter().collect(), ..Inbound::default() }, shared, stop);
            }
        }
    }
}

/// Waits for room: frames that come meanwhile replace each other, a candidate is not to be had again. The keeper stops after this thread.
fn hand_over(keeper: &Ring<Candidate>, mut candidate: Candidate) {
    while let Err(back) = keeper.push(candidate) {
        candidate = back;
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// `None` when the frame could not be looked at: it is skipped and counted, never taken for an empty street.
fn look(pipeline: &mut Pipeline, camera: usize, frame: &Frame, shared: &Shared) -> Option<Outcome> {
    match pipeline.process(camera, frame) {
        Ok(outcome) => {
            let counter = if outcome.gated { &shared.vision.gated } else { &shared.vision.inferred };
            counter.add(1);
            shared.vision.errors.add(outcome.faults.len() as u64);
            for fault in &outcome.faults {
                tracing::debug!(camera = %frame.camera, %fault, "a model beside the detector failed");
            }
            Some(outcome)
        }
        Err(error) => {
            shared.vision.errors.add(1);
            tracing::debug!(camera = %frame.camera, %error, "frame skipped");
            None
        }
    }
}

/// Passes on what signal controllers say, to every thread: any may have a camera that looks at that signal.
pub(crate) fn hear(reading: &Reading, shared: &Shared) {
    if reading.stream != *"signal" || reading.origin != Origin::Sensor {
        return;
    }
    let states = reading.fields.iter().filter(|field| field.name == *"state");
    for state in states.filter_map(|field| if let Value::Text(state) = &field.value { Some(SignalState::of(state)) } else { None }) {
        for waiting in &shared.signals {
            let _room = waiting.push((reading.key.clone(), state, reading.at));
        }
    }
}

/// Waits for room: a full ring means the brain is busy, and newer frames replace those that wait meanwhile.
fn push(ring: &Ring<Inbound>, mut inbound: Inbound, shared: &Shared, stop: &Stop) {
    while let Err(back) = ring.push(inbound) {
        if stop.is_set() {
            return shared.ingest.shed.add(&back, ShedReason::Stopping);
        }
        inbound = back;
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
