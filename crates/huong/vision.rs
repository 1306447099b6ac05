//! The vision thread: frames out of the mailbox, observations into the ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use huong_flow::{Ring, Stop};
use huong_infer::{OnnxDetector, Provider, load_openvino, load_runtime};
use huong_ingest::ShedReason;
use huong_types::{Frame, Inbound, Registry};
use huong_vision::{Outcome, Pipeline, Views};

use crate::config::VisionSection;
use crate::shared::Shared;

const IDLE: Duration = Duration::from_secs(1);

/// Opens the model; slow enough to be done before anything listens.
pub(crate) fn open(config: &VisionSection, views: Views, registry: &Arc<Registry>) -> Result<Pipeline> {
    load_runtime(&config.runtime).context("the ONNX runtime cannot be loaded")?;
    if config.provider == Provider::Openvino {
        load_openvino(&config.openvino).context("the provider cannot be loaded")?;
    }
    let detector = OnnxDetector::open(&config.model, config.provider).context("the model cannot be loaded")?;
    Ok(Pipeline::new(config.pipeline(), Arc::clone(registry), Box::new(detector)).with_views(views))
}

/// Runs until `stop` is set. Without a pipeline frames are only kept for the wall.
pub(crate) fn run(mut pipeline: Option<Pipeline>, ring: &Ring<Inbound>, shared: &Shared, stop: &Stop) {
    shared.mailbox.waker().register();
    while !stop.is_set() {
        let Some((camera, frame)) = shared.mailbox.take() else {
            shared.mailbox.waker().wait(IDLE);
            continue;
        };
        let frame = Arc::new(frame);
        let lens = &shared.lenses[camera];
        lens.latest.store(Some(Arc::clone(&frame)));
        let Some(pipeline) = &mut pipeline else { continue };
        let outcome = look(pipeline, camera, &frame, shared);
        lens.failing.store(outcome.is_none(), Ordering::Relaxed);
        let readings = outcome.map(|outcome| outcome.readings).unwrap_or_default();
        if !readings.is_empty() {
            shared.vision.observations.add(readings.len() as u64);
            push(ring, Inbound { readings: readings.into_iter().collect(), ..Inbound::default() }, shared, stop);
        }
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
