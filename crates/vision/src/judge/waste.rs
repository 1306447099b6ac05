//! Heaps of waste that stay, bins that overflow, things left behind.
//!
//! Invariant: one look never makes a heap, and one look without it never clears it, nor makes it new again; the same place is told again
//! once a day at most. Each zone is looked at from near: what is some fifty pixels wide in a whole frame is not seen there.

use huong_types::{Act, BoundingBox, Candidate, Detection, EvidenceFrame, ModelId, Name, Problems, Span, Timestamp};
use serde::Deserialize;

use super::case::{first_middle_last, keep};
use super::{Shot, covered, evidence};
use crate::check::in_range;
use crate::view::View;
use crate::zone::contains;
use crate::{Happening, Point, Track, ZoneEvent, ZoneKind, ZoneSpec};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WasteConfig {
    /// Waste in a zone for so long is a heap ..
    pub heap: Span,
    /// .. when at least this part of the looks saw it.
    pub share: f32,
    /// A bin that overflows for so long is to be emptied.
    pub overflow: Span,
    /// The overflow's box must be at least this part of its bin's.
    pub overflow_part: f32,
    /// Something new that stays for so long after somebody was beside it was left behind.
    pub left_for: Span,
    /// Who was beside it: within so many sizes of its box.
    pub beside: f32,
    /// While somebody is in a zone, and for `lingers` after, it is looked at so often: who leaves something behind does so in seconds.
    pub busy: Span,
    pub lingers: Span,
    /// The same zone is told again after so long.
    pub again: Span,
    /// Looks in a row without anything that clear a zone; without a thing that nobody stood before, that forget it.
    pub clear: u32,
    /// The least score.
    pub score: f32,
}

impl Default for WasteConfig {
    /// 15 min in 60 % of the frames, 30 min at 0.3, 60 s, once in 24 h, three clear checks: proposals of this project's domain notes, to be
    /// agreed with the city's cleaning service. 2 s and 5 s: two looks at least while somebody puts something down (`violations_eval`).
    fn default() -> Self {
        Self {
            heap: Span::from_mins(15),
            share: 0.6,
            overflow: Span::from_mins(30),
            overflow_part: 0.3,
            left_for: Span::from_secs(60),
            beside: 2.0,
            busy: Span::from_secs(2),
            lingers: Span::from_secs(5),
            again: Span::from_mins(24 * 60),
            clear: 3,
            score: 0.4,
        }
    }
}

impl WasteConfig {
    pub(super) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (name, value) in [("share", self.share), ("overflow_part", self.overflow_part), ("score", self.score)] {
            in_range(file, path, problems, name, value, 0.0..=1.0);
        }
        in_range(file, path, problems, "beside", self.beside, 0.0..=100.0);
        in_range(file, path, problems, "clear", self.clear, 1..=100);
    }
}

/// Around a zone so much more is looked at, as a part of its larger side; and so many pixels at least: more of nothing is not seen better.
const MARGIN: f32 = 0.1;
const LEAST_WINDOW: f32 = 128.0;

/// Something seen again and again in one zone.
#[derive(Clone, Debug)]
struct Persisting {
    since: Timestamp,
    label: Name,
    looks: u32,
    hits: u32,
    clear: u32,
    frames: Vec<EvidenceFrame>,
    told: bool,
}

/// A thing in a zone.
#[derive(Clone, Debug)]
struct Thing {
    label: Name,
    bbox: BoundingBox,
    since: Timestamp,
    /// Looks in a row that did not see it, though nobody hid it.
    missed: u32,
    /// Who was beside it when it appeared, and the pictures of that; empty for what nobody brought or what was told.
    by: Vec<u64>,
    frames: Vec<EvidenceFrame>,
}

#[derive(Clone, Debug)]
struct ZoneState {
    zone: ZoneSpec,
    heap: Option<Persisting>,
    overflow: Option<Persisting>,
    /// When each was last told: heap, overflow.
    told: [Option<Timestamp>; 2],
    /// What lies there; `None` before the first look.
    things: Option<Vec<Thing>>,
}

/// The waste zones of one camera.
#[derive(Clone, Debug)]
pub struct WasteWatch {
    config: WasteConfig,
    camera: Name,
    versions: (Name, Name),
    models: Vec<ModelId>,
    zones: Vec<ZoneState>,
    /// The latest look.
    last: Option<Shot>,
    /// When somebody was last in one of the zones.
    visited: Option<Timestamp>,
}

impl WasteWatch {
    pub fn new(config: WasteConfig, camera: Name, view: &View, models: Vec<ModelId>) -> Self {
        let state = |zone: &ZoneSpec| ZoneState { zone: zone.clone(), heap: None, overflow: None, told: [None; 2], things: None };
        let zones = view.zones_of(ZoneKind::Waste).map(state).collect();
        Self { versions: (crate::view::checksum(&config), view.version()), config, camera, models, zones, last: None, visited: None }
    }

    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// What to look at in a frame of `size` pixels: the whole of it, and for each zone a square around it, with room above for what stands in it.
    pub(crate) fn windows(&self, size: (u32, u32)) -> Vec<BoundingBox> {
        let (wide, high) = (size.0 as f32, size.1 as f32);
        let window = |state: &ZoneState| {
            let ends = |at: fn(&Point) -> f32, most: f32| {
                let ends = state.zone.points.iter().map(|point| at(point).clamp(0.0, 1.0) * most);
                ends.fold((most, 0.0f32), |(low, high), at| (low.min(at), high.max(at)))
            };
            let ((left, right), (top, bottom)) = (ends(|point| point.0, wide), ends(|point| point.1, high));
            let side = ((1.0 + 2.0 * MARGIN) * (right - left).max(bottom - top)).max(LEAST_WINDOW);
            let (width, height) = (side.min(wide).floor(), side.min(high).floor());
            let x = ((left + right - width) / 2.0).clamp(0.0, wide - width).floor();
            let y = (bottom + MARGIN * side - height).clamp(0.0, high - height).floor();
            BoundingBox { x, y, width, height }
        };
        let whole = BoundingBox { x: 0.0, y: 0.0, width: wide, height: high };
        std::iter::once(whole).chain(self.zones.iter().map(window).filter(|window| *window != whole)).collect()
    }

    /// Whether it is time to look, the last time having been at `looked` and the usual pace being `every`.
    pub fn is_due(&mut self, tracks: &[&Track], size: (u32, u32), looked: Option<Timestamp>, every: Span, now: Timestamp) -> bool {
        let inside = |track: &&Track| {
            let (x, y) = track.sight().bbox.foot();
            let foot = (x / size.0 as f32, y / size.1 as f32);
            track.is_here() && self.zones.iter().any(|state| contains(&state.zone.points, foot))
        };
        if tracks.iter().any(inside) {
            self.visited = Some(now);
        }
        let busy = self.visited.is_some_and(|visited| now.since(visited) <= self.config.lingers);
        let pace = if busy { self.config.busy.min(every) } else { every };
        !self.is_empty() && looked.is_none_or(|looked| now.since(looked) >= pace)
    }

    /// One look of the waste model at the frame of `shot`; `tracks` are the persons and vehicles there. Returns candidates, and an event
    /// `cleared` for each zone that was told and is clean again.
    pub fn look(&mut self, shot: &Shot, found: &[Detection], tracks: &[&Track]) -> (Vec<Candidate>, Vec<ZoneEvent>) {
        let (mut candidates, mut events) = (Vec::new(), Vec::new());
        let before = self.last.replace(shot.clone());
        for i in 0..self.zones.len() {
            let inside = |detection: &&Detection| {
                let (x, y) = detection.bbox.foot();
                detection.score >= self.config.score
                    && contains(&self.zones[i].zone.points, ((x / shot.size.0 as f32).min(0.9999), (y / shot.size.1 as f32).min(0.9999)))
            };
            let inside: Vec<&Detection> = found.iter().filter(inside).collect();
            let bins: Vec<&&Detection> = inside.iter().filter(|d| d.label == *"garbage_bin").collect();
            let over = |d: &&&Detection| {
                d.label == *"overflow"
                    && bins.iter().all(|bin| d.bbox.iou(&bin.bbox) == 0.0 || d.bbox.area() >= self.config.overflow_part * bin.bbox.area())
            };
            let overflow = inside.iter().find(over).copied();
            let waste: Vec<&Detection> = inside.iter().filter(|d| d.label != *"garbage_bin" && d.label != *"overflow").copied().collect();
            let config = self.config;
            for (kind, act, seen, least) in
                [(0, Act::WasteHeap, waste.first().copied(), config.heap), (1, Act::BinOverflow, overflow, config.overflow)]
            {
                let state = &mut self.zones[i];
                let slot = if kind == 0 { &mut state.heap } else { &mut state.overflow };
                let cleared = persist(&config, slot, seen, shot);
                if cleared {
                    events.push(ZoneEvent {
                        at: shot.at,
                        track: 0,
                        label: Name::new(act.as_str()),
                        place: state.zone.name.clone(),
                        kind: state.zone.kind.as_str(),
                        happening: Happening::Cleared,
                    });
                }
                let ready = slot.as_mut().filter(|p| {
                    let again = state.told[kind].is_none_or(|told| shot.at.since(told) >= config.again);
                    let due = shot.at.since(p.since) >= least && p.hits as f32 >= config.share * p.looks as f32 && p.frames.len() >= 3;
                    again && due
                });
                if let Some(persisting) = ready {
                    state.told[kind] = Some(shot.at);
                    persisting.told = true;
                    let (label, since, frames) = (persisting.label.clone(), persisting.since, first_middle_last(persisting.frames.clone()));
                    candidates.push(self.candidate(act, i, label, since, shot.at, frames));
                }
            }
            candidates.extend(self.left_behind(i, shot, before.as_ref(), &waste, tracks));
        }
        (candidates, events)
    }

    /// Something new that somebody was beside, and that stayed when they went.
    fn left_behind(&mut self, i: usize, shot: &Shot, before: Option<&Shot>, waste: &[&Detection], tracks: &[&Track]) -> Vec<Candidate> {
        let config = self.config;
        let near = |bbox: &BoundingBox, track: &Track| {
            let (a, b) = (bbox, track.sight().bbox);
            let apart = |a0: f32, a1: f32, b0: f32, b1: f32| (b0 - a1).max(a0 - b1).max(0.0);
            let gap = apart(a.x, a.x + a.width, b.x, b.x + b.width).hypot(apart(a.y, a.y + a.height, b.y, b.y + b.height));
            gap <= config.beside * a.area().sqrt()
        };
        let same = |a: &BoundingBox, b: &BoundingBox| covered(a, b) > 0.5;
        let hidden = |bbox: &BoundingBox| tracks.iter().any(|track| covered(bbox, &track.sight().bbox) > 0.0);
        let is_first = self.zones[i].things.is_none();
        let things = self.zones[i].things.get_or_insert_default();
        let mut done = Vec::new();
        things.retain_mut(|thing| {
            if !waste.iter().any(|seen| same(&thing.bbox, &seen.bbox)) {
                thing.missed += u32::from(!hidden(&thing.bbox));
                return thing.missed < config.clear;
            }
            thing.missed = 0;
            let gone = |by: &u64| !tracks.iter().any(|track| track.id == *by && near(&thing.bbox, track));
            if thing.by.iter().any(gone) && shot.at.since(thing.since) >= config.left_for {
                let by = std::mem::take(&mut thing.by);
                let mut frames = std::mem::take(&mut thing.frames);
                frames.push(evidence("after", shot, (None, thing.bbox), None));
                done.push(Thing { by, frames, ..thing.clone() });
            }
            true
        });
        for seen in waste {
            if things.iter().any(|thing| same(&thing.bbox, &seen.bbox)) {
                continue;
            }
            let (bbox, mut by, mut frames) = (seen.bbox, Vec::new(), Vec::new());
            if let Some(before) = before.filter(|_| !is_first) {
                by.extend(tracks.iter().filter(|track| near(&bbox, track)).map(|track| track.id));
                frames = vec![evidence("before", before, (None, bbox), None), evidence("on", shot, (None, bbox), None)];
            }
            things.push(Thing { label: seen.label.clone(), bbox, since: shot.at, missed: 0, by, frames });
        }
        done.into_iter().map(|thing| self.candidate(Act::DumpingAct, i, thing.label, thing.since, shot.at, thing.frames)).collect()
    }

    fn candidate(&self, act: Act, zone: usize, label: Name, began: Timestamp, at: Timestamp, frames: Vec<EvidenceFrame>) -> Candidate {
        let place = self.zones[zone].zone.name.clone();
        Candidate {
            id: Name::from(format!("{}-{}-{place}-{}", self.camera, act.as_str(), began.as_millis())),
            act,
            code: None,
            camera: self.camera.clone(),
            place,
            began,
            at,
            track: None,
            label,
            frames,
            plate: None,
            rule_version: self.versions.0.clone(),
            view_version: self.versions.1.clone(),
            models: self.models.clone(),
            void: Vec::new(),
        }
    }
}

/// Counts one look; true when what had been told is gone for good.
fn persist(config: &WasteConfig, slot: &mut Option<Persisting>, seen: Option<&Detection>, shot: &Shot) -> bool {
    let Some(persisting) = slot else {
        *slot = seen.map(|thing| Persisting {
            since: shot.at,
            label: thing.label.clone(),
            looks: 1,
            hits: 1,
            clear: 0,
            frames: vec![evidence("first", shot, (None, thing.bbox), None)],
            told: false,
        });
        return false;
    };
    persisting.looks += 1;
    let Some(thing) = seen else {
        persisting.clear += 1;
        let over = persisting.clear >= config.clear;
        let told = persisting.told;
        if over {
            *slot = None;
        }
        return over && told;
    };
    persisting.hits += 1;
    persisting.clear = 0;
    keep(&mut persisting.frames, evidence("last", shot, (None, thing.bbox), None));
    false
}
