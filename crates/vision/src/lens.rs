//! All that is known of one camera: its gate, tracks, zones, signals, plates and cases.
//!
//! Invariant: its time does not go back but where the camera's clock was set, which ends all that was followed; so ages and speeds mean
//! something.

use std::collections::HashMap;

use huong_types::{BoundingBox, Camera, Candidate, Detection, Frame, Name, Reading, SignalSight, SignalState, Span, Timestamp};

use crate::counts::Counter;
use crate::gate::{Attention, Gate, GateConfig, Glance};
use crate::judge::{HeadSight, Judge, Shot, WasteWatch, is_rider_of};
use crate::observe::{self, Moment};
use crate::pipeline::{Kit, VisionConfig};
use crate::plate::{Kinds, Votes};
use crate::view::{Area, View};
use crate::zone::contains;
use crate::{Appearance, FrameError, Pixels, Point, Signals, Track, Tracker, ZoneKind, ZoneWatch};

/// Labels of what moves by itself: the rest (lights, waste) is found, not followed.
const FOLLOWED: [&str; 5] = ["car", "bus", "truck", "motorbike", "person"];

/// A camera's clock this far behind what it said before was set; less is jitter, or a clock that stands still.
const SET_BACK: Span = Span::from_secs(10);

pub(crate) struct Lens {
    pub(crate) camera: Name,
    pub(crate) gate: Gate,
    /// What was seen in the last frame that was looked at, and what stood still since.
    pub(crate) known: Vec<Detection>,
    /// Where it changed in that frame: what was seen there, in motion or half hidden by it, is looked at once more when it rests.
    pub(crate) stirred: Vec<BoundingBox>,
    pub(crate) counter: Counter,
    pub(crate) waste_counter: Counter,
    view: View,
    tracker: Tracker,
    watch: ZoneWatch,
    signals: Signals,
    judge: Judge,
    waste: WasteWatch,
    waste_looked: Option<Timestamp>,
    votes: HashMap<u64, Votes>,
    /// Tracks whose plate was told.
    told: Vec<u64>,
    /// Candidates that wait for their plate, and until when.
    waiting: Vec<(Candidate, Timestamp)>,
    /// Of the latest frame: this lens's time, the frame's own, its arrival.
    clock: Option<(Timestamp, Timestamp, Timestamp)>,
}

/// What one frame gave beyond its count.
#[derive(Default)]
pub(crate) struct Gains {
    pub(crate) readings: Vec<Reading>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) faults: Vec<FrameError>,
}

impl Lens {
    pub(crate) fn new(config: &VisionConfig, camera: &Camera, gate: Gate, view: View, labels: &[Name], kit: &Kit) -> Self {
        let models = kit.models();
        let waste_labels = kit.waste.as_ref().map_or(&[][..], |eye| eye.detector.labels());
        Self {
            camera: camera.id.clone(),
            gate,
            known: Vec::new(),
            stirred: Vec::new(),
            counter: Counter::of_vehicles(camera, labels),
            waste_counter: Counter::of_all(camera, waste_labels),
            tracker: Tracker::default(),
            watch: ZoneWatch::new(config.zones, &view),
            signals: Signals::new(config.signals, &view.signals),
            judge: Judge::new(config.judge.clone(), camera.id.clone(), view.clone(), models.clone()),
            waste: WasteWatch::new(config.judge.waste, camera.id.clone(), &view, models),
            waste_looked: None,
            votes: HashMap::new(),
            told: Vec::new(),
            waiting: Vec::new(),
            clock: None,
            view,
        }
    }

    /// Whether the frame with these blocks is to be looked at. A signal that changed is looked at until it is sure, and so is now and then who
    /// stays where he must not, though nothing moves.
    pub(crate) fn glance(&mut self, config: &GateConfig, luma: &[u8], blocks: (u32, u32), when: Moment) -> Glance {
        let masks: Vec<&[Point]> = self.view.zones_of(ZoneKind::Mask).map(|zone| &zone.points[..]).collect();
        let watched: Vec<Area> = self.signals.areas().collect();
        let glance = self.gate.glance(config, luma, blocks, Attention { masks: &masks, watched: &watched }, when.received);
        let wanted = self.judge.wants_look(when.at);
        let rests = !self.stirred.is_empty();
        Glance { passes: glance.passes || rests || self.signals.is_unsettled() || wanted, whole: glance.whole || wanted, ..glance }
    }

    /// A signal controller reports.
    pub(crate) fn hear(&mut self, feed: &str, state: SignalState, at: Timestamp) {
        self.signals.hear(feed, state, at);
    }

    /// Whether this frame is needed at full resolution, for lights, plates, heads or waste.
    pub(crate) fn needs_all_pixels(&self, config: &VisionConfig, kit: &Kit) -> bool {
        !self.signals.is_empty()
            || (kit.plates.is_some() && self.reads_plates(config))
            || (kit.helmets.is_some() && self.view.judges())
            || (kit.waste.is_some() && !self.waste.is_empty())
    }

    /// Nobody's plate is looked at where nothing is judged, unless the site wants every plate.
    fn reads_plates(&self, config: &VisionConfig) -> bool {
        config.plates.report || self.view.judges()
    }

    /// The time of this frame: its own while that moves forward, else as much later as it arrived later. A clock set back by more is
    /// believed: everything that was followed ends.
    pub(crate) fn time_of(&mut self, frame: &Frame) -> Moment {
        let at = match self.clock {
            Some((_, own, _)) if own.since(frame.at) > SET_BACK => frame.at,
            Some((now, own, _)) if frame.at > own => {
                if frame.at >= now {
                    frame.at
                } else {
                    now + frame.at.since(own)
                }
            }
            Some((now, _, received)) => now + frame.received.since(received),
            None => frame.at,
        };
        self.clock = Some((at, frame.at, frame.received));
        Moment { at, received: frame.received }
    }

    /// The gate held the frame back.
    pub(crate) fn rest(&mut self, config: &VisionConfig, kit: &Kit, when: Moment) -> Gains {
        let mut gains = Gains::default();
        let ended = self.tracker.rest(&config.tracker, when.at);
        let gone: Vec<u64> = ended.iter().map(|track| track.id).collect();
        let candidates = self.judge.end(when.at, &gone);
        self.await_plates(config, kit, candidates, when.at);
        self.end(config, kit, &ended, when, &mut gains);
        self.flush(config, when, &mut gains);
        gains
    }

    /// The frame was looked at: `found` is in it, and `moved` where it changed.
    pub(crate) fn look(
        &mut self,
        config: &VisionConfig,
        kit: &mut Kit,
        (frame, when, size): (&Frame, Moment, (u32, u32)),
        pixels: &Pixels<'_>,
        found: &[Detection],
        moved: &[BoundingBox],
    ) -> Gains {
        let mut gains = Gains::default();
        let now = when.at;
        let changed = self.signals.look(pixels, size, now);
        gains.readings.extend(changed.iter().map(|sight| observe::signal(&self.camera, sight, when)));

        let masks: Vec<&[Point]> = self.view.zones_of(ZoneKind::Mask).map(|zone| &zone.points[..]).collect();
        let follows = |d: &&Detection| {
            let (x, y) = d.bbox.foot();
            FOLLOWED.contains(&d.label.as_str()) && !masks.iter().any(|mask| contains(mask, (x / size.0 as f32, y / size.1 as f32)))
        };
        let seen: Vec<(Detection, Appearance)> =
            found.iter().filter(follows).map(|d| (d.clone(), Appearance::of(pixels, &d.bbox))).collect();
        let quiet = |bbox: &BoundingBox| moved.iter().all(|region| region.iou(bbox) == 0.0);
        let ended = self.tracker.look(&config.tracker, &seen, quiet, now);
        let events = self.watch.look(self.tracker.tracks(), size, now);
        gains.readings.extend(events.iter().map(|event| observe::zone_event(&self.camera, event, when.received, &kit.source())));

        // A model that fails here costs its own answer: what the tracks did stays told.
        let plates = self.read_plates(config, kit, pixels, size, when, &mut gains).unwrap_or_else(|fault| {
            gains.faults.push(fault);
            Vec::new()
        });
        let heads = self.look_at_heads(config, kit, pixels, size, now).unwrap_or_else(|fault| {
            gains.faults.push(fault);
            Vec::new()
        });
        let signals: Vec<SignalSight> = self.signals.states(now).collect();
        let tracks: Vec<&Track> = self.tracker.tracks().collect();
        // A masked zone is not judged, but who stands there is in the picture; so is what stands still and was not found again.
        let found = found.iter().filter(|d| FOLLOWED.contains(&d.label.as_str())).cloned();
        let unseen = tracks.iter().filter(|track| track.is_here() && track.sight().at != now);
        let unseen = unseen.map(|track| Detection { label: track.label().clone(), score: track.sight().score, bbox: track.sight().bbox });
        let found = found.chain(unseen).collect();
        let shot = Shot { at: now, received: when.received, jpeg: frame.jpeg.clone(), size, signals, found, plates };
        let gone: Vec<u64> = ended.iter().map(|track| track.id).collect();
        let mut candidates = self.judge.look(shot.clone(), &tracks, &events, &self.watch, &heads, &gone);
        let due = self.waste.is_due(&tracks, size, self.waste_looked, config.waste_every, now);
        if let Some(eye) = kit.waste.as_mut().filter(|_| due) {
            self.waste_looked = Some(now);
            match eye.look_at(&config.look, pixels, &self.waste.windows(size)) {
                Err(fault) => gains.faults.push(fault),
                Ok(waste) => {
                    let (more, events) = self.waste.look(&shot, &waste, &tracks);
                    candidates.extend(more);
                    let source = &eye.detector.model().name;
                    gains.readings.extend(events.iter().map(|event| observe::zone_event(&self.camera, event, when.received, source)));
                    let fields = self.waste_counter.fields(&waste, size);
                    gains.readings.push(observe::reading(observe::WASTE, self.camera.clone(), when, source, fields));
                }
            }
        }
        self.await_plates(config, kit, candidates, now);
        self.end(config, kit, &ended, when, &mut gains);
        self.flush(config, when, &mut gains);
        gains
    }

    /// Reads the plates of the vehicles here that are not read yet, the largest first. Where they are, by track.
    fn read_plates(
        &mut self,
        config: &VisionConfig,
        kit: &mut Kit,
        pixels: &Pixels<'_>,
        size: (u32, u32),
        when: Moment,
        gains: &mut Gains,
    ) -> Result<Vec<(u64, BoundingBox)>, FrameError> {
        let source = kit.source();
        let reads = self.reads_plates(config);
        let Some(eye) = kit.plates.as_mut().filter(|_| reads) else { return Ok(Vec::new()) };
        let zones: Vec<&[Point]> = self.view.zones_of(ZoneKind::Plate).map(|zone| &zone.points[..]).collect();
        let in_zone = |bbox: &BoundingBox| {
            let (x, y) = bbox.foot();
            zones.is_empty() || zones.iter().any(|zone| contains(zone, (x / size.0 as f32, y / size.1 as f32)))
        };
        let mut here: Vec<&Track> = self
            .tracker
            .tracks()
            .filter(|track| track.is_here() && track.sight().at == when.at && crate::judge::VEHICLES.contains(&track.label().as_str()))
            .filter(|track| in_zone(&track.sight().bbox))
            .filter(|track| self.votes.get(&track.id).is_none_or(|votes| !votes.is_settled(&config.plates.votes)))
            .collect();
        here.sort_by(|a, b| b.sight().bbox.area().total_cmp(&a.sight().bbox.area()));
        let mut plates = Vec::new();
        for track in here.into_iter().take(config.plates.per_frame) {
            let Some(shot) = eye.look(&config.plates, pixels, size, Some(&track.sight().bbox), Some(track.label()))? else { continue };
            let votes = self.votes.entry(track.id).or_default();
            votes.add(&config.plates.votes, &shot.spelling, &shot.characters, (when.at, shot.bbox));
            plates.push((track.id, shot.bbox));
            if config.plates.report && votes.is_settled(&config.plates.votes) && !self.told.contains(&track.id) {
                self.told.push(track.id);
                let plate = votes.decide(&config.plates.votes, Kinds::of_vehicle(Some(track.label()), None));
                gains.readings.extend(observe::plate(&self.camera, &plate, track.label(), when, &source));
            }
        }
        Ok(plates)
    }

    /// The heads of riders, the nearest first: the upper part of a motorbike's box, and what is above it.
    fn look_at_heads(
        &mut self,
        config: &VisionConfig,
        kit: &mut Kit,
        pixels: &Pixels<'_>,
        size: (u32, u32),
        now: Timestamp,
    ) -> Result<Vec<HeadSight>, FrameError> {
        let Some(eye) = kit.helmets.as_mut().filter(|_| self.view.judges()) else { return Ok(Vec::new()) };
        let mut heads = Vec::new();
        let motorbikes = self.tracker.tracks().filter(|track| track.sight().at == now && track.label().as_str() == "motorbike");
        let motorbikes: Vec<&Track> = motorbikes.filter(|track| track.sight().bbox.width >= config.rider_width).collect();
        let of_another = |track: &&Track| {
            let within = |other: &&Track| is_rider_of(&track.sight().bbox, &other.sight().bbox, config.judge.rider_part);
            motorbikes.iter().any(within)
        };
        let mut riders: Vec<&Track> = motorbikes.iter().filter(|track| !of_another(track)).copied().collect();
        riders.sort_by(|a, b| b.sight().bbox.area().total_cmp(&a.sight().bbox.area()));
        for track in riders.into_iter().take(config.riders) {
            let b = track.sight().bbox;
            let (top, bottom) = ((b.y - 0.35 * b.height).max(0.0).floor(), (b.y + 0.5 * b.height).min(size.1 as f32).ceil());
            let (left, right) = ((b.x - 0.1 * b.width).max(0.0).floor(), (b.x + 1.1 * b.width).min(size.0 as f32).ceil());
            let crop = BoundingBox { x: left, y: top, width: right - left, height: bottom - top };
            if crop.width < 8.0 || crop.height < 8.0 {
                continue;
            }
            let found = eye.part(pixels, &crop)?;
            // Who rides beside him has a head of his own.
            let above = |d: &&Detection| (b.x..=b.x + b.width).contains(&(d.bbox.x + d.bbox.width / 2.0));
            let best = |label: &str| found.iter().filter(above).filter(|d| d.label == *label).map(|d| d.score).fold(0.0, f32::max);
            heads.push(HeadSight { track: track.id, with_helmet: best("with_helmet"), without_helmet: best("without_helmet") });
        }
        Ok(heads)
    }

    /// Candidates wait for the plates of their vehicles.
    fn await_plates(&mut self, config: &VisionConfig, kit: &Kit, candidates: Vec<Candidate>, now: Timestamp) {
        for candidate in candidates {
            let until = if kit.plates.is_some() && candidate.track.is_some() { now + config.plate_wait } else { now };
            self.waiting.push((candidate, until));
        }
    }

    fn end(&mut self, config: &VisionConfig, kit: &Kit, ended: &[Track], when: Moment, gains: &mut Gains) {
        let source = kit.source();
        let left = self.watch.end(ended, when.at);
        gains.readings.extend(left.iter().map(|event| observe::zone_event(&self.camera, event, when.received, &source)));
        for track in ended {
            let votes = self.votes.remove(&track.id);
            if let Some(votes) = &votes
                && config.plates.report
                && !self.told.contains(&track.id)
            {
                let plate = votes.decide(&config.plates.votes, Kinds::of_vehicle(Some(track.label()), None));
                gains.readings.extend(observe::plate(&self.camera, &plate, track.label(), when, &source));
            }
            self.told.retain(|told| *told != track.id);
            for (candidate, until) in self.waiting.iter_mut().filter(|(candidate, _)| candidate.track == Some(track.id)) {
                let kinds = Kinds::of_vehicle(Some(&candidate.label), None);
                candidate.plate = votes.as_ref().map(|votes| votes.decide(&config.plates.votes, kinds));
                *until = Timestamp::MIN;
            }
        }
    }

    /// Gives the candidates whose plate is read, or need not be waited for any longer.
    fn flush(&mut self, config: &VisionConfig, when: Moment, gains: &mut Gains) {
        let votes = &self.votes;
        self.waiting.retain_mut(|(candidate, until)| {
            let of = candidate.track.and_then(|track| votes.get(&track));
            let ready = *until <= when.at || of.is_some_and(|votes| votes.is_settled(&config.plates.votes));
            if ready {
                let kinds = Kinds::of_vehicle(Some(&candidate.label), None);
                candidate.plate = of.map(|votes| votes.decide(&config.plates.votes, kinds)).or(candidate.plate.take());
                let source = candidate.models.first().map_or_else(|| Name::from("vision"), |model| model.name.clone());
                gains.readings.push(observe::candidate(candidate, when.received, &source));
                gains.candidates.push(candidate.clone());
            }
            !ready
        });
    }
}
