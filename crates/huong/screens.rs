//! What screens and scrapers are told, out of what the threads tell each other.

use std::sync::{Arc, PoisonError};

use futures_util::future::BoxFuture;
use huong_evidence::Line;
use huong_notify::Sinks;
use huong_store::Asker;
use huong_types::{BoundingBox, Detection, Order, Text, Timestamp};
use huong_vision::{FrameLimits, validate_jpeg};
use huong_wall::{
    AccountLedger, Action, Backend, CameraNow, Evidence, Family, Figures, Found, FrameFigures, History, MirrorFigures, OrderError, Past,
    Picture, Push, QueryError, QueryFormat, Rows, RuleFigures, SinkFigures, Trouble, WallClock,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::ledger::by_stream;
use crate::shared::{Command, Shared};
use crate::{answers, archive, metrics, push};

/// The wall's view of the running system.
pub(crate) struct Screens(pub(crate) Arc<Shared>);

impl Backend for Screens {
    fn clock(&self) -> WallClock {
        WallClock { now: self.0.clock.now(), rate: self.0.clock.rate() }
    }

    fn figures(&self) -> Figures {
        figures(&self.0)
    }

    fn accounts(&self) -> Vec<AccountLedger> {
        self.0.accounts()
    }

    fn metrics(&self) -> Vec<Family> {
        metrics::families(&self.0)
    }

    fn cameras(&self) -> Vec<CameraNow> {
        let cameras = self.0.registry.cameras.iter().zip(&self.0.lenses);
        cameras
            .map(|(camera, lens)| CameraNow {
                id: camera.id.clone(),
                last_frame: lens.latest.load().as_ref().map(|frame| frame.at),
                failing: lens.failing.load(std::sync::atomic::Ordering::Relaxed),
            })
            .collect()
    }

    fn frame(&self, camera: &str) -> Option<Picture> {
        let lens = self.0.lenses.get(self.0.registry.camera_position(camera)?)?;
        lens.latest.load().as_ref().map(|frame| Picture { at: frame.at, jpeg: frame.jpeg.clone() })
    }

    fn advice(&self, rule: &str) -> Option<Text> {
        self.0.office.advice(rule).cloned()
    }

    fn order(&self, order: Order) -> BoxFuture<'static, Result<(), OrderError>> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.commands.push(Command { order, reply });
        Box::pin(async move {
            if sent.is_err() {
                return Err(OrderError::Refused("too many commands wait".to_owned()));
            }
            match answer.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(huong_alerts::AlertError::NotOpen { id })) => Err(OrderError::NotFound(id)),
                Ok(Err(error)) => Err(OrderError::Refused(error.to_string())),
                Err(_) => Err(OrderError::Stopping),
            }
        })
    }

    fn query(&self, who: String, sql: String, format: QueryFormat) -> BoxFuture<'static, Result<Rows, QueryError>> {
        let asker = Asker { who, via: "http", at: self.0.clock.now() };
        Box::pin(answers::encoded(self.0.queries.clone(), asker, sql, format))
    }

    fn boxes(&self, camera: &str) -> Option<Value> {
        let lens = self.0.lenses.get(self.0.registry.camera_position(camera)?)?;
        let (found, latest) = (lens.found.load_full()?, lens.latest.load_full()?);
        // A camera's pictures are of one size.
        let (width, height) = validate_jpeg(&latest.jpeg, &FrameLimits::default()).ok()?;
        let (at, detections) = found.as_ref();
        let part = |pixels: f32, of: u32| f64::from(pixels) / f64::from(of);
        let told = |one: &Detection| {
            let BoundingBox { x, y, width: w, height: h } = one.bbox;
            json!({ "label": one.label, "score": one.score, "x": part(x, width), "y": part(y, height), "w": part(w, width), "h": part(h, height) })
        };
        Some(json!({ "at": at, "width": width, "height": height, "boxes": detections.iter().map(told).collect::<Vec<_>>() }))
    }

    fn history(&self, who: String, question: History) -> BoxFuture<'static, Result<Found, Trouble>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { archive::answer(&shared, who, question).await })
    }

    fn past(&self, who: String, from: Timestamp, to: Timestamp) -> BoxFuture<'static, Result<Past, Trouble>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { archive::past(&shared, who, from, to).await })
    }

    fn evidence(&self, who: String, question: Evidence) -> BoxFuture<'static, Result<Found, Trouble>> {
        let (reviewed, now) = (self.0.reviewed.clone(), self.0.clock.now());
        Box::pin(async move {
            let none = || Trouble::Absent("no evidence is kept: set dir in [evidence]".to_owned());
            reviewed.ok_or_else(none)?.answer(who, question, now).await
        })
    }

    fn push(&self, who: String, question: Push) -> BoxFuture<'static, Result<Found, Trouble>> {
        Box::pin(push::answer(Arc::clone(&self.0.office), who, question))
    }

    fn link(&self, token: String, follow: bool) -> BoxFuture<'static, Result<Found, Trouble>> {
        Box::pin(push::link(Arc::clone(&self.0), token, follow))
    }

    fn note(&self, action: Action) -> BoxFuture<'static, Result<(), Trouble>> {
        let (actions, now) = (Arc::clone(&self.0.actions), self.0.clock.now());
        Box::pin(async move {
            // One fsync, on a thread that may wait for it.
            let noted = spawn_blocking(move || actions.lock().unwrap_or_else(PoisonError::into_inner).append(now, action)).await;
            noted.map_err(|error| Trouble::Failed(error.to_string()))?.map_err(|error| Trouble::Failed(error.to_string()))
        })
    }

    fn actions(&self, after: u64, limit: usize) -> BoxFuture<'static, Result<Found, Trouble>> {
        let actions = Arc::clone(&self.0.actions);
        Box::pin(async move {
            let read = spawn_blocking(move || {
                let reader = actions.lock().unwrap_or_else(PoisonError::into_inner).reader();
                reader.read(after, limit)
            });
            let read = read.await;
            let (lines, fault) = read.map_err(|error| Trouble::Failed(error.to_string()))?;
            let entry = |(line, hash): &(Line<Action>, String)| {
                let Action { who, role, from, action, target, outcome } = &line.step;
                json!({
                    "seq": line.n, "at": line.at, "who": who, "role": role, "from": from,
                    "action": action, "target": target, "outcome": outcome, "hash": hash,
                })
            };
            let entries: Vec<Value> = lines.iter().map(entry).collect();
            Ok(Found::Json(json!({ "entries": entries, "intact": fault.is_none(), "fault": fault.map(|fault| fault.to_string()) })))
        })
    }
}

/// The health of the processor.
pub(crate) fn figures(shared: &Shared) -> Figures {
    Figures {
        readings_per_second: shared.readings_per_second(),
        ledger: by_stream(&shared.accounts()),
        frames: FrameFigures {
            received: shared.mailbox.published(),
            replaced: shared.mailbox.replaced(),
            inferred: shared.vision.inferred.get(),
            gated: shared.vision.gated.get(),
            errors: shared.vision.errors.get(),
        },
        latency: shared.latency.load().as_deref().copied(),
        broker_connected: shared.ingest.readings.connected(),
        sinks: shared.sinks.load().as_deref().map(sink_figures).unwrap_or_default(),
        mirror: shared.mirror.load().as_deref().map(|mirror| {
            let figures = mirror.figures(shared.clock.now());
            MirrorFigures { behind: figures.behind, behind_seconds: figures.behind_seconds, failing: figures.failing }
        }),
        load: shared.load.load().as_ref().clone(),
        rules: RuleFigures { taken: shared.reload.taken.get(), refused: shared.reload.refused.get(), outdated: shared.reload.is_broken() },
    }
}

fn sink_figures(sinks: &Sinks) -> Vec<SinkFigures> {
    let figures = sinks.figures().into_iter();
    figures
        .map(|sink| SinkFigures {
            name: sink.name,
            delivered: sink.delivered,
            behind: sink.behind,
            retries: sink.retries,
            dead_letters: sink.dead_letters,
            failing: sink.failing,
        })
        .collect()
}
