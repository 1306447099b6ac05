//! Which detections of successive frames are one object, at half a frame to five frames a second.
//!
//! By motion foretold, overlap, distance and colour, in two rounds: sure detections first, then unsure ones for the objects still
//! without any (Zhang et al., "ByteTrack", 2022). At such rates overlap alone fails: a motorbike is several lengths further on.
//!
//! Invariant: an id is never given twice; an object that the tracker might have mistaken for another says so (`doubted`).

use std::collections::VecDeque;

use huong_types::{BoundingBox, Detection, Name, Problems, Span, Timestamp};
use serde::Deserialize;

use crate::Appearance;
use crate::assign::assign;
use crate::check::in_range;
use crate::judge::{VEHICLES, covered};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackerConfig {
    /// Detections from this score on are sure; only they begin an object.
    pub high: f32,
    /// Those below this score do not count at all.
    pub low: f32,
    /// Detections that make an object out of a beginning.
    pub confirm: u32,
    /// A moving object not seen for so long is gone.
    pub lost_after: Span,
    /// A standing object whose surroundings did not change stays through so many looks that miss it.
    pub quiet_misses: u32,
    /// How far an object of unknown speed may get in a second, in sizes of its box.
    pub reach: f32,
    /// What each difference costs at most: no overlap, as far as reach allows, no colour in common, another label.
    pub weights: Weights,
    /// The highest cost at which two boxes are one object.
    pub most_cost: f32,
    /// Another explanation that costs at most so much more puts the identity in doubt.
    pub doubt: f32,
    /// An object is standing while its foot stays within so many sizes of its box.
    pub still: f32,
    /// Labels that a model takes for each other: a track may change between them.
    pub alike: Vec<Vec<Name>>,
    /// Two boxes of vehicles that overlap by more (IoU, 0 to 1) are one vehicle under two labels.
    pub same: f32,
    /// Nor is a box another vehicle that lies in a surer one of its label by more than this part, on the same foot.
    pub within: f32,
}

/// Parts of a cost.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    pub overlap: f32,
    pub distance: f32,
    pub colour: f32,
    pub label: f32,
}

impl Default for TrackerConfig {
    /// Scores and the two rounds as in ByteTrack, which has 0.6 and 0.1 for a model of persons. Reach and doubt by `track_eval` over labelled
    /// frames of a junction: docs/accuracy.md. `same` and `within` by `violations_eval`. The others: drawn sequences in the tests (crossing, occlusion, one frame a second).
    fn default() -> Self {
        Self {
            high: 0.5,
            low: 0.1,
            confirm: 2,
            lost_after: Span::from_secs(5),
            quiet_misses: 3,
            reach: 3.0,
            weights: Weights { overlap: 0.25, distance: 0.4, colour: 0.35, label: 0.1 },
            most_cost: 0.8,
            doubt: 0.12,
            still: 0.2,
            alike: vec![vec!["car".into(), "bus".into(), "truck".into()]],
            same: 0.7,
            within: 0.85,
        }
    }
}

impl TrackerConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let Weights { overlap, distance, colour, label } = self.weights;
        let weights = [("overlap", overlap), ("distance", distance), ("colour", colour), ("label", label)];
        for (name, value) in weights {
            in_range(file, &format!("{path}.weights"), problems, name, value, 0.0..=1.0);
        }
        for (name, value) in [("high", self.high), ("low", self.low), ("most_cost", self.most_cost), ("doubt", self.doubt)]
            .into_iter()
            .chain([("same", self.same), ("within", self.within)])
        {
            in_range(file, path, problems, name, value, 0.0..=1.0);
        }
        if self.low > self.high {
            problems.add(file, format!("{path}.low"), format!("`{}`", self.low), format!("at most `high`, {}", self.high));
        }
        in_range(file, path, problems, "confirm", self.confirm, 1..=100);
        in_range(file, path, problems, "reach", self.reach, 0.1..=100.0);
        in_range(file, path, problems, "still", self.still, 0.01..=10.0);
    }
}

/// Where a track was at one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    pub at: Timestamp,
    /// In pixels of the full frame.
    pub bbox: BoundingBox,
    pub score: f32,
}

/// How many sights a track remembers.
const PATH: usize = 16;

/// One object through the frames of one camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    pub id: u64,
    /// Scores given to each label, summed.
    labels: Vec<(Name, f32)>,
    /// The latest last; never empty.
    path: VecDeque<Sight>,
    pub first: Timestamp,
    /// Detections so far.
    pub hits: u32,
    /// When it might have been mistaken for another, the last time.
    pub doubted: Option<Timestamp>,
    /// Looks in a row that missed it.
    missed: u32,
    /// When it was last seen, or known to be there because nothing changed.
    alive: Timestamp,
    /// Of the centre, in pixels a second; `None` after a single sight.
    velocity: Option<(f32, f32)>,
    /// Where its foot came to rest, and when.
    anchor: ((f32, f32), Timestamp),
    appearance: Appearance,
    /// Hits that confirm it.
    wanted: u32,
}

impl Track {
    /// The label most given.
    pub fn label(&self) -> &Name {
        let best = self.labels.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        &best.expect("a track begins with a label").0
    }

    /// The part of its scores that went to this label, 0 to 1.
    pub fn part_of(&self, label: &str) -> f32 {
        let all: f32 = self.labels.iter().map(|(_, sum)| sum).sum();
        let own: f32 = self.labels.iter().filter(|(own, _)| **own == *label).map(|(_, sum)| sum).sum();
        own / all.max(f32::EPSILON)
    }

    /// Where it was last seen.
    pub fn sight(&self) -> &Sight {
        self.path.back().expect("a track begins with a sight")
    }

    /// The latest sights, oldest first.
    pub fn path(&self) -> impl DoubleEndedIterator<Item = &Sight> + ExactSizeIterator {
        self.path.iter()
    }

    /// Seen in the latest look, or unchanged since it was.
    pub fn is_here(&self) -> bool {
        self.missed == 0
    }

    /// How long it has been standing, by `now`.
    pub fn still_for(&self, now: Timestamp) -> Span {
        now.since(self.anchor.1)
    }

    fn confirmed(&self) -> bool {
        self.hits >= self.wanted
    }

    fn meet(&mut self, config: &TrackerConfig, (detection, looks): Seen<'_>, doubted: bool, now: Timestamp) {
        let (was, passed) = (centre(&self.sight().bbox), seconds(self.sight().at, now));
        let is = centre(&detection.bbox);
        if passed > 0.0 {
            let measured = ((is.0 - was.0) / passed, (is.1 - was.1) / passed);
            let blend = |old: f32, new: f32| 0.4 * old + 0.6 * new;
            self.velocity = Some(self.velocity.map_or(measured, |old| (blend(old.0, measured.0), blend(old.1, measured.1))));
        }
        let (foot, anchor) = (detection.bbox.foot(), self.anchor.0);
        if (foot.0 - anchor.0).hypot(foot.1 - anchor.1) > config.still * detection.bbox.area().sqrt() {
            self.anchor = (foot, now);
        }
        self.called(&detection.label, detection.score);
        self.path.push_back(Sight { at: now, bbox: detection.bbox, score: detection.score });
        if self.path.len() > PATH {
            self.path.pop_front();
        }
        self.appearance.follow(looks, 0.3);
        self.hits += 1;
        self.missed = 0;
        self.alive = now;
        if doubted {
            self.doubted = Some(now);
        }
    }

    fn called(&mut self, label: &Name, score: f32) {
        match self.labels.iter_mut().find(|(known, _)| known == label) {
            Some((_, sum)) => *sum += score,
            None => self.labels.push((label.clone(), score)),
        }
    }

    /// Of the box: the root of its area.
    fn scale(&self) -> f32 {
        self.sight().bbox.area().sqrt().max(1.0)
    }

    fn foretold(&self, now: Timestamp) -> BoundingBox {
        let Sight { at, bbox, .. } = *self.sight();
        let (vx, vy) = self.velocity.unwrap_or((0.0, 0.0));
        let seconds = seconds(at, now);
        BoundingBox { x: bbox.x + vx * seconds, y: bbox.y + vy * seconds, ..bbox }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f32 {
    to.since(from).as_millis() as f32 / 1000.0
}

fn centre(bbox: &BoundingBox) -> (f32, f32) {
    (bbox.x + bbox.width / 2.0, bbox.y + bbox.height / 2.0)
}

/// The objects of one camera.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    next: u64,
}

/// A detection with its looks.
type Seen<'a> = (&'a Detection, &'a Appearance);

impl Tracker {
    /// The confirmed objects.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| track.confirmed())
    }

    /// The gate held a frame back: nothing changed, so what was there is there, standing.
    pub fn rest(&mut self, config: &TrackerConfig, now: Timestamp) -> Vec<Track> {
        for track in self.tracks.iter_mut().filter(|track| track.missed == 0) {
            track.alive = now;
            track.velocity = track.velocity.map(|_| (0.0, 0.0));
        }
        self.bury(config, now)
    }

    /// A look at the frame of `now`: `seen` is what the detector found in it, `quiet` tells whether nothing moved in a place (pixels).
    /// Returns the tracks that ended.
    pub fn look(
        &mut self,
        config: &TrackerConfig,
        seen: &[(Detection, Appearance)],
        quiet: impl Fn(&BoundingBox) -> bool,
        now: Timestamp,
    ) -> Vec<Track> {
        // A clock set back ends everything before anything is compared: no speed and no age means anything across it.
        let mut ended = if self.tracks.iter().any(|track| now < track.sight().at) { self.bury(config, now) } else { Vec::new() };
        let all = seen;
        let (sure, unsure): (Vec<Seen>, Vec<Seen>) =
            distinct(config, seen).into_iter().partition(|(detection, _)| detection.score >= config.high);
        let mut free: Vec<usize> = (0..self.tracks.len()).collect();
        let mut unmatched = Vec::new();
        for (round, seen) in [&sure, &unsure].into_iter().enumerate() {
            let cost = |track: usize, i: usize| self.cost(config, &self.tracks[free[track]], seen[i], now, round == 1);
            let pairs = assign(free.len(), seen.len(), config.most_cost, &cost);
            let doubted: Vec<bool> = pairs.iter().map(|&pair| in_doubt(pair, &pairs, free.len(), seen.len(), config.doubt, cost)).collect();
            for (&(track, i), doubted) in pairs.iter().zip(doubted) {
                let met = &mut self.tracks[free[track]];
                met.meet(config, seen[i], doubted, now);
                // What else the detector called it speaks for that too.
                for (twin, _) in all.iter().filter(|(twin, _)| twin.score >= config.low && twins(config, twin, seen[i].0)) {
                    met.called(&twin.label, twin.score);
                }
            }
            if round == 0 {
                unmatched = (0..seen.len()).filter(|i| pairs.iter().all(|(_, paired)| paired != i)).collect();
            }
            let taken: Vec<usize> = pairs.iter().map(|&(track, _)| free[track]).collect();
            free.retain(|track| !taken.contains(track));
        }
        for &i in &free {
            let track = &mut self.tracks[i];
            track.missed += 1;
            let stands = track.still_for(now) > Span::ZERO && track.missed <= config.quiet_misses && quiet(&track.sight().bbox);
            if stands {
                track.alive = now;
            }
        }
        ended.extend(self.bury(config, now));
        for i in unmatched {
            self.begin(config, sure[i], now);
        }
        ended
    }

    fn begin(&mut self, config: &TrackerConfig, (detection, looks): Seen<'_>, now: Timestamp) {
        self.next += 1;
        let sight = Sight { at: now, bbox: detection.bbox, score: detection.score };
        self.tracks.push(Track {
            id: self.next,
            labels: vec![(detection.label.clone(), detection.score)],
            path: VecDeque::from([sight]),
            first: now,
            hits: 1,
            doubted: None,
            missed: 0,
            alive: now,
            velocity: None,
            anchor: (detection.bbox.foot(), now),
            appearance: looks.clone(),
            wanted: config.confirm,
        });
    }

    /// Takes out what is gone: the unconfirmed at once, the others after `lost_after`.
    fn bury(&mut self, config: &TrackerConfig, now: Timestamp) -> Vec<Track> {
        let gone = |track: &Track| {
            now < track.sight().at || now.since(track.alive) > config.lost_after || (track.missed > 0 && !track.confirmed())
        };
        let (gone, here) = std::mem::take(&mut self.tracks).into_iter().partition(gone);
        self.tracks = here;
        let gone: Vec<Track> = gone;
        gone.into_iter().filter(Track::confirmed).collect()
    }

    /// 0 (surely the same) to 1, or infinity. `weak`: an unsure detection must be where the object is expected.
    fn cost(&self, config: &TrackerConfig, track: &Track, (detection, looks): Seen<'_>, now: Timestamp, weak: bool) -> f32 {
        let same = track.labels.iter().any(|(label, _)| *label == detection.label);
        let alike = |group: &Vec<Name>| group.contains(&detection.label) && group.contains(track.label());
        if !same && !config.alike.iter().any(alike) {
            return f32::INFINITY;
        }
        let (foretold, scale) = (track.foretold(now), track.scale());
        let ratio = detection.bbox.area().max(1.0) / foretold.area().max(1.0);
        if !(0.25..=4.0).contains(&ratio) {
            return f32::INFINITY;
        }
        let passed = seconds(track.sight().at, now);
        // A known speed halves what may happen; a second's braking or turning is still a length or two.
        let reach = if track.velocity.is_some() { 0.75 + 0.5 * config.reach * passed } else { 0.75 + config.reach * passed };
        let reach = if weak { reach / 2.0 } else { reach };
        let ((ax, ay), (bx, by)) = (centre(&foretold), centre(&detection.bbox));
        let distance = (ax - bx).hypot(ay - by) / scale;
        if distance > reach {
            return f32::INFINITY;
        }
        let Weights { overlap, distance: far, colour, label } = config.weights;
        let other = if same { 0.0 } else { label };
        overlap * (1.0 - foretold.iou(&detection.bbox)) + far * distance / reach + colour * track.appearance.distance(looks) + other
    }
}

/// Whether two boxes are one vehicle under two labels. Of one label they are two vehicles: the detector's own suppression has left both.
fn twins(config: &TrackerConfig, one: &Detection, other: &Detection) -> bool {
    let vehicle = |d: &Detection| VEHICLES.contains(&d.label.as_str());
    one.label != other.label && vehicle(one) && vehicle(other) && one.bbox.iou(&other.bbox) > config.same
}

/// The detections that count, without those that are another box of the same vehicle: a model that calls a bus a truck as well, or finds
/// the rear half of a motorbike beside the whole, would otherwise put its identity in doubt.
fn distinct<'a>(config: &TrackerConfig, seen: &'a [(Detection, Appearance)]) -> Vec<Seen<'a>> {
    let mut all: Vec<Seen> = seen.iter().map(|(detection, looks)| (detection, looks)).filter(|(d, _)| d.score >= config.low).collect();
    all.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    let foot = |b: &BoundingBox| b.y + b.height;
    let again = |d: &Detection, surer: &Detection| {
        let (b, whole) = (&d.bbox, &surer.bbox);
        let part = d.label == surer.label
            && b.area() < whole.area()
            && covered(b, whole) > config.within
            && (foot(b) - foot(whole)).abs() < (1.0 - config.within) * whole.height;
        twins(config, d, surer) || part
    };
    let mut kept: Vec<Seen> = Vec::new();
    for seen in all {
        if !kept.iter().any(|(surer, _)| again(seen.0, surer)) {
            kept.push(seen);
        }
    }
    kept
}

/// Whether exchanging a pair with another one, or with somebody left over, would explain the frame almost as well.
fn in_doubt(
    (track, i): (usize, usize),
    pairs: &[(usize, usize)],
    tracks: usize,
    seen: usize,
    margin: f32,
    cost: impl Fn(usize, usize) -> f32,
) -> bool {
    let mine = cost(track, i);
    let swapped = |&(other, j): &(usize, usize)| other != track && cost(track, j) + cost(other, i) <= mine + cost(other, j) + 2.0 * margin;
    let idle_track = (0..tracks).filter(|t| pairs.iter().all(|(paired, _)| paired != t)).any(|t| cost(t, i) <= mine + margin);
    let idle_seen = (0..seen).filter(|j| pairs.iter().all(|(_, paired)| paired != j)).any(|j| cost(track, j) <= mine + margin);
    idle_track || idle_seen || pairs.iter().any(swapped)
}

#[cfg(test)]
mod tests;
