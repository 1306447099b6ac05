//! From what objects did to candidates of violations, each with its pictures and with every reason against it.
//!
//! A pure state machine per camera: looks in, candidates out.
//!
//! Invariant: a candidate is given once per act, vehicle and place; without a reason against it, it has at least `frames` pictures in
//! the order of time, in each of which the vehicle was seen. Nothing here fines anybody: a person looks at each.

mod case;
mod config;
mod heads;
mod waste;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use huong_types::{
    Act, BoundingBox, Candidate, Detection, EvidenceFrame, ModelId, Name, SignalSight, SignalState, Span, Timestamp, VoidReason,
};

use case::{Case, Manner, Stage, first_middle_last};
pub use config::JudgeConfig;
pub use heads::HeadSight;
use heads::Votes;
pub(crate) use heads::is_rider_of;
pub use waste::{WasteConfig, WasteWatch};

use crate::events::side;
use crate::view::View;
use crate::{Happening, LineKind, Track, ZoneEvent, ZoneKind, ZoneSpec, ZoneWatch};

/// The labels of vehicles.
pub(crate) const VEHICLES: [&str; 4] = ["car", "bus", "truck", "motorbike"];

/// One look as evidence.
#[derive(Clone, Debug)]
pub struct Shot {
    pub at: Timestamp,
    pub received: Timestamp,
    pub jpeg: Bytes,
    /// In pixels.
    pub size: (u32, u32),
    pub signals: Vec<SignalSight>,
    /// People and vehicles in it, tracked or not.
    pub found: Vec<Detection>,
    /// The plates that were found in it, of the tracks whose they are.
    pub plates: Vec<(u64, BoundingBox)>,
}

impl Shot {
    /// Who and what is in it beside the vehicle `track`, or the heap, in `bbox`.
    fn beside(&self, track: Option<u64>, bbox: &BoundingBox) -> Vec<Detection> {
        // Two vehicles whose boxes are so alike that half of them is shared are no evidence anyway ([`JudgeConfig::overlap`]).
        let own = |one: &Detection| track.is_some() && one.label != *"person" && one.bbox.iou(bbox) >= 0.5;
        let plates = self.plates.iter().filter(|(of, _)| track != Some(*of));
        let plates = plates.map(|(_, bbox)| Detection { label: Name::new(EvidenceFrame::PLATE), score: 1.0, bbox: *bbox });
        self.found.iter().filter(|one| !own(one)).cloned().chain(plates).collect()
    }
}

/// A shot with the vehicles that were in it.
#[derive(Clone, Debug)]
struct Seen {
    shot: Shot,
    boxes: Vec<(u64, BoundingBox)>,
    /// Of these, who may be two: see [`Judge::doubled`].
    doubled: Vec<u64>,
}

/// The violations of one camera.
#[derive(Clone, Debug)]
pub struct Judge {
    config: JudgeConfig,
    camera: Name,
    view: View,
    versions: (Name, Name),
    models: Vec<ModelId>,
    recent: VecDeque<Seen>,
    open: Vec<Case>,
    told: HashSet<(Act, u64, Name)>,
    /// By rider.
    votes: HashMap<u64, Votes>,
}

impl Judge {
    /// `models` are those whose word it takes.
    pub fn new(config: JudgeConfig, camera: Name, view: View, models: Vec<ModelId>) -> Self {
        let versions = (crate::view::checksum(&config), view.version());
        Self {
            config,
            camera,
            view,
            versions,
            models,
            recent: VecDeque::new(),
            open: Vec::new(),
            told: HashSet::new(),
            votes: HashMap::new(),
        }
    }

    /// Takes one look into account: the tracks of the camera, what they did, and what their heads showed. The tracks `ended` are gone
    /// since the last one.
    pub fn look(
        &mut self,
        shot: Shot,
        tracks: &[&Track],
        events: &[ZoneEvent],
        watch: &ZoneWatch,
        heads: &[HeadSight],
        ended: &[u64],
    ) -> Vec<Candidate> {
        let now = shot.at;
        let vehicles = tracks.iter().copied().filter(|track| VEHICLES.contains(&track.label().as_str()));
        let (here, lost): (Vec<&Track>, Vec<&Track>) = vehicles.partition(|track| track.is_here());
        let boxes = here.iter().map(|track| (track.id, track.sight().bbox)).collect();
        let doubled = here.iter().filter(|track| self.doubled(track, &lost)).map(|track| track.id).collect();
        self.recent.push_back(Seen { shot, boxes, doubled });
        // Only lines need the frames before; without any, a frame more per camera would be kept for nothing.
        let kept = if self.view.lines.is_empty() { 1 } else { self.config.recent };
        while self.recent.len() > kept {
            self.recent.pop_front();
        }
        self.follow(&here, now);
        for event in events {
            if let Happening::Crossed { forward } = event.happening {
                self.crossed(event, forward, watch, &here);
            }
        }
        for track in &here {
            self.stays(track, watch, now);
        }
        for head in heads {
            if let Some(track) = here.iter().find(|track| track.id == head.track) {
                self.head(track, head, now);
            }
        }
        self.end(now, ended)
    }

    /// The tracks `ended` are gone, without a look.
    pub fn end(&mut self, now: Timestamp, ended: &[u64]) -> Vec<Candidate> {
        let given = self.close(now, |case| ended.contains(&case.track));
        self.told.retain(|(_, told, _)| !ended.contains(told));
        self.votes.retain(|track, _| !ended.contains(track));
        given
    }

    /// Whether somebody stays where he must not and has not been looked at for a quarter of the time that makes it an act: pictures of it are
    /// needed, though nothing moves.
    pub fn wants_look(&self, now: Timestamp) -> bool {
        let seen = |case: &Case| case.frames.last().map_or(case.began, |frame| frame.at);
        self.open.iter().any(|case| match case.stage {
            Stage::Stays { least, .. } => now.since(seen(case)).as_millis() * 4 >= least.as_millis(),
            _ => false,
        })
    }

    /// Whether one of the `lost` ones may be in this one's box: one of its label that overlapped it when it was seen last.
    fn doubled(&self, track: &Track, lost: &[&Track]) -> bool {
        lost.iter().filter(|other| other.label() == track.label()).any(|other| {
            let last = other.sight();
            track.path().any(|sight| sight.at == last.at && covered(&sight.bbox, &last.bbox) > self.config.overlap)
        })
    }

    /// A vehicle crossed a line in the latest look.
    fn crossed(&mut self, event: &ZoneEvent, forward: bool, watch: &ZoneWatch, here: &[&Track]) {
        let Some(track) = here.iter().find(|track| track.id == event.track) else { return };
        let (act, signal) = if let Some(line) = watch.line(&event.place, LineKind::Stop).filter(|_| forward) {
            let Some(signal) = &line.signal else { return };
            (Act::RedLight, Some(signal.clone()))
        } else if watch.line(&event.place, LineKind::Direction).is_some() && !forward {
            (Act::WrongWay, None)
        } else {
            return;
        };
        let mut seen = self.recent.iter().rev();
        let Some(on) = seen.next() else { return };
        let mut case = Case::new(act, track, event.place.clone(), event.at, signal);
        // The latest frame before that shows it alone; without one, the latest.
        let earlier: Vec<&Seen> = seen.filter(|seen| seen.boxes.iter().any(|(id, _)| *id == track.id)).collect();
        let alone = earlier.iter().find(|seen| case.is_overlapped(seen, &self.config) == Some(false));
        let before = alone.or(earlier.first()).copied();
        case.began = before.map_or(event.at, |seen| seen.shot.at);
        case.stage = Stage::AwaitsAfter { until: event.at + self.config.after };
        match before {
            Some(before) => case.add("before", before, &self.config),
            None => _ = case.void.insert(VoidReason::TooFewFrames),
        }
        case.add("on", on, &self.config);
        if act == Act::RedLight {
            let states: Vec<Option<&SignalSight>> = case.frames.iter().map(|frame| frame.signal.as_ref()).collect();
            let is = |sight: &Option<&SignalSight>, state| sight.is_some_and(|sight| sight.state == state);
            let red = states.iter().filter(|sight| is(sight, SignalState::Red)).count();
            // A light that was green or yellow in either frame, or not red for longer than the margin, accuses nobody.
            let lawful = states.iter().any(|sight| is(sight, SignalState::Green) || is(sight, SignalState::Yellow));
            let fresh = case.frames.first().is_some_and(|frame| {
                frame.signal.as_ref().is_some_and(|s| s.state == SignalState::Red && frame.at.since(s.since) < self.config.red_margin)
            });
            if lawful || fresh || red == 0 {
                return;
            }
            if red < states.len() {
                case.void.insert(VoidReason::SignalUnknown);
            }
        }
        self.begin(case);
    }

    /// Opens and feeds the cases of a vehicle that stays in a zone where it must not.
    fn stays(&mut self, track: &Track, watch: &ZoneWatch, now: Timestamp) {
        let zones: Vec<(&ZoneSpec, (Act, Manner, Span))> =
            watch.inside(track.id).filter_map(|(zone, _)| Some((zone, self.forbidden(zone, track)?))).collect();
        // Who left the zone has stopped doing it; what is known by now to be a bus may be in its lane; and whoever moved begins to stand anew.
        self.open.retain(|case| match case.stage {
            Stage::Stays { manner, .. } if case.track == track.id => {
                zones.iter().any(|(zone, (act, ..))| case.act == *act && case.place == zone.name)
                    && (manner != Manner::Standing || track.still_for(now) >= now.since(case.began))
            }
            _ => true,
        });
        for (zone, (act, manner, least)) in &zones {
            if !self.open.iter().any(|case| case.is(*act, track.id, &zone.name)) {
                let mut case = Case::new(*act, track, zone.name.clone(), now, None);
                case.stage = Stage::Stays { manner: *manner, least: *least };
                self.begin(case);
            }
        }
        let Some(seen) = self.recent.back() else { return };
        for case in self.open.iter_mut().filter(|case| case.track == track.id) {
            let Stage::Stays { manner, .. } = case.stage else { continue };
            // Who was parked there and drives off has not driven there before.
            if manner == Manner::Driving && track.still_for(now) > self.config.passing {
                case.begin_anew(track, now);
            }
            // Who has not got anywhere, or stood for most of the time, is not driving (yet).
            let (foot, size) = (track.sight().bbox.foot(), track.sight().bbox.area().sqrt());
            let far = (foot.0 - case.foot.0).hypot(foot.1 - case.foot.1) > self.config.gets * size;
            let stood = track.still_for(now).as_millis() * 2 > now.since(case.began).as_millis();
            case.idle = manner == Manner::Driving && (!far || stood);
            case.label = track.label().clone();
            case.add_alone("stay", seen, &self.config);
        }
    }

    /// What a vehicle in a zone of this kind does wrong, how, and after how long.
    fn forbidden(&self, zone: &ZoneSpec, track: &Track) -> Option<(Act, Manner, Span)> {
        let standing = zone.dwell.unwrap_or(self.config.standing);
        let passing = zone.dwell.unwrap_or(self.config.passing);
        match zone.kind {
            ZoneKind::NoStopping => Some((Act::StopPark, Manner::Standing, standing)),
            ZoneKind::Lane | ZoneKind::Junction => Some((Act::StoppedVehicle, Manner::Standing, standing)),
            ZoneKind::Pavement => Some((Act::Pavement, Manner::Driving, passing)),
            ZoneKind::BusLane => {
                // Who was often enough called what a bus is called is not accused of not being one.
                let buses = zone.allowed.iter().chain(&self.config.like_buses);
                let welcome: f32 = buses.map(|label| track.part_of(label)).sum();
                (welcome <= self.config.welcome).then_some((Act::WrongLane, Manner::Either, passing))
            }
            ZoneKind::Waste | ZoneKind::Mask | ZoneKind::Plate => None,
        }
    }

    fn begin(&mut self, case: Case) {
        let key = (case.act, case.track, case.place.clone());
        if !self.told.contains(&key) && !self.open.iter().any(|open| open.is(case.act, case.track, &case.place)) {
            self.open.push(case);
        }
    }

    /// The frame after, for those who crossed a line; and doubts about who is who.
    fn follow(&mut self, here: &[&Track], now: Timestamp) {
        let Some(seen) = self.recent.back() else { return };
        for case in &mut self.open {
            let Some(track) = here.iter().find(|track| track.id == case.track) else { continue };
            if track.doubted.is_some_and(|doubted| doubted >= case.began) {
                case.void.insert(VoidReason::IdentityDoubtful);
            }
            let Stage::AwaitsAfter { .. } = case.stage else { continue };
            let line = self.view.lines.iter().find(|line| line.name == case.place);
            let foot = track.sight().bbox.foot();
            let at = (foot.0 / seen.shot.size.0 as f32, foot.1 / seen.shot.size.1 as f32);
            let beyond = line.is_some_and(|line| (side(line, at) > 0.0) == (case.act == Act::RedLight));
            if !beyond {
                // It came back over the line: whatever that was, it was not driving on.
                case.stage = Stage::Dropped;
                continue;
            }
            // The box of one who stands on the line jitters over it: it must have got somewhere since the frame before.
            let from = case.frames.first().map_or(case.foot, |frame| frame.bbox.foot());
            if (foot.0 - from.0).hypot(foot.1 - from.1) <= self.config.crosses * track.sight().bbox.area().sqrt() {
                continue;
            }
            if !case.add_alone("after", seen, &self.config) {
                continue;
            }
            if case.act == Act::RedLight {
                match case.frames.last().and_then(|frame| frame.signal.as_ref()).map(|signal| signal.state) {
                    Some(SignalState::Red) => {}
                    Some(SignalState::Green | SignalState::Yellow) => _ = case.void.insert(VoidReason::TooFewFrames),
                    Some(SignalState::Unknown) | None => _ = case.void.insert(VoidReason::SignalUnknown),
                }
            }
            case.stage = Stage::Complete;
            case.at = now;
        }
    }

    /// Gives what is complete, and what can no longer become so.
    fn close(&mut self, now: Timestamp, gone: impl Fn(&Case) -> bool) -> Vec<Candidate> {
        let mut given = Vec::new();
        for mut case in std::mem::take(&mut self.open) {
            let gone = gone(&case);
            let full = case.frames.len() >= self.config.frames;
            let complete = match case.stage {
                Stage::Complete => true,
                Stage::Stays { least, .. } if case.idle || now.since(case.began) < least => false,
                // It was never to be seen alone, though there was as much time again.
                Stage::Stays { least, .. } if !full && case.overlapped > 0 && now.since(case.began) >= least + least => {
                    case.void.insert(VoidReason::TwoVehicles);
                    true
                }
                Stage::Stays { .. } => full,
                Stage::Votes => full && self.votes.get(&case.track).is_some_and(|votes| votes.say_bare(gone)),
                Stage::AwaitsAfter { until } if gone || now > until => {
                    case.void.insert(VoidReason::TooFewFrames);
                    if case.overlapped > 0 {
                        case.void.insert(VoidReason::TwoVehicles);
                    }
                    true
                }
                Stage::AwaitsAfter { .. } => false,
                Stage::Dropped => continue,
            };
            if complete {
                case.at = now;
                self.told.insert((case.act, case.track, case.place.clone()));
                given.push(self.candidate(case));
            } else if !gone {
                self.open.push(case);
            }
        }
        given
    }

    fn candidate(&self, case: Case) -> Candidate {
        let mut void = case.void;
        if case.frames.len() < self.config.frames {
            void.insert(VoidReason::TooFewFrames);
        }
        let stays = matches!(case.stage, Stage::Stays { .. });
        let frames = if stays { first_middle_last(case.frames) } else { case.frames };
        Candidate {
            id: Name::from(format!("{}-{}-{}-{}", self.camera, case.act.as_str(), case.track, case.began.as_millis())),
            act: case.act,
            code: self.config.code(case.act, &case.label),
            camera: self.camera.clone(),
            place: case.place,
            began: case.began,
            at: case.at,
            track: Some(case.track),
            label: case.label,
            frames,
            plate: None,
            rule_version: self.versions.0.clone(),
            view_version: self.versions.1.clone(),
            models: self.models.clone(),
            void: void.into_iter().collect(),
        }
    }
}

/// A vehicle, or a heap, in one shot, as evidence.
fn evidence(moment: &str, shot: &Shot, (track, bbox): (Option<u64>, BoundingBox), signal: Option<&Name>) -> EvidenceFrame {
    let signal = signal.and_then(|name| shot.signals.iter().find(|sight| sight.signal == *name)).cloned();
    let others = shot.beside(track, &bbox);
    EvidenceFrame { moment: Name::new(moment), at: shot.at, received: shot.received, jpeg: shot.jpeg.clone(), bbox, others, signal }
}

/// The part of the smaller box that the other covers, 0 to 1.
pub(crate) fn covered(a: &BoundingBox, b: &BoundingBox) -> f32 {
    a.shared(b) / a.area().min(b.area()).max(1.0)
}

type Reasons = BTreeSet<VoidReason>;

#[cfg(test)]
mod tests;
