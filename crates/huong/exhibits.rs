//! The evidence thread: candidates of violations become records, and records that were kept long enough go.
//!
//! Invariant: a candidate leaves the ring only for a record that is complete on disk, or for an ERROR that names it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use huong_evidence::{EvidenceConfig, Records, Scene};
use huong_flow::{Ring, Stop};
use huong_types::{Candidate, Name};
use huong_vision::VisionConfig;

use crate::clock::Clock;
use crate::evidence;
use crate::shared::Shared;

/// Candidates that wait, each with some megabytes of pictures; then the cameras wait for the disk.
pub(crate) const WAITING: usize = 16;
const IDLE: Duration = Duration::from_secs(1);
/// How often old records are looked for: they go by whole days.
const EXPIRES: Duration = Duration::from_secs(60 * 60);

pub(crate) struct Exhibits {
    records: Records,
    /// What decided; stands in each record.
    thresholds: BTreeMap<Name, f64>,
    clock: Clock,
    shared: Arc<Shared>,
}

impl Exhibits {
    /// # Errors
    /// When the folder cannot be used.
    pub(crate) fn open(config: &EvidenceConfig, vision: &VisionConfig, clock: Clock, shared: Arc<Shared>) -> Result<Self> {
        let records = evidence::open(config, clock.now()).context("the evidence cannot be opened")?;
        let thresholds = [
            ("track_score", vision.tracker.high),
            ("helmet_score", vision.judge.helmet_score),
            ("plate_score", vision.plates.score),
            ("plate_confidence", vision.plates.votes.likely),
            ("plate_margin", vision.plates.votes.margin),
        ];
        let thresholds = thresholds.into_iter().map(|(name, value)| (name.into(), f64::from(value))).collect();
        Ok(Self { records, thresholds, clock, shared })
    }

    /// Runs until `stop` is set and nothing waits.
    pub(crate) fn run(mut self, candidates: &Ring<Candidate>, stop: &Stop) {
        candidates.waker().register();
        let mut expired: Option<Instant> = None;
        loop {
            let last = stop.is_set();
            while let Some(candidate) = candidates.pop() {
                self.keep(&candidate);
            }
            if last {
                return;
            }
            if expired.is_none_or(|expired| expired.elapsed() >= EXPIRES) {
                expired = Some(Instant::now());
                self.expire();
            }
            candidates.waker().wait(IDLE);
        }
    }

    fn keep(&mut self, candidate: &Candidate) {
        let Some(camera) = self.shared.registry.cameras.iter().find(|camera| camera.id == candidate.camera) else {
            return tracing::error!(camera = %candidate.camera, candidate = %candidate.id, "a candidate of a camera that is not in the registry is lost");
        };
        let scene = Scene { camera: camera.into(), clock: None, thresholds: self.thresholds.clone() };
        match self.records.keep(candidate, &scene, self.clock.now()) {
            Ok(id) => {
                self.shared.vision.records.add(1);
                tracing::info!(record = %id, act = candidate.act.as_str(), void = candidate.void.len(), "kept a record");
            }
            Err(error) => {
                self.shared.vision.records_failed.add(1);
                tracing::error!(candidate = %candidate.id, %error, "a candidate could not be kept and is lost");
            }
        }
    }

    fn expire(&mut self) {
        match self.records.expire(self.clock.now(), false) {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tracing::info!(records = gone.len(), "records that were kept long enough are gone; the chain has them"),
            Err(error) => tracing::error!(%error, "no record could be deleted"),
        }
    }
}
