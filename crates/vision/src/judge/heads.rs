//! The heads of riders: what was seen of them, and what all looks together say.
//!
//! Invariant: nobody is accused while he comes nearer, as the nearest look says most.

use huong_types::{Act, BoundingBox, Name, Timestamp};

use super::case::{Case, Stage};
use super::{Judge, covered};
use crate::Track;

/// What a look at a rider's head said: the best scores of both labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadSight {
    pub track: u64,
    pub with_helmet: f32,
    pub without_helmet: f32,
}

/// What the looks at a rider's head said since he came: the sums of both scores, each times the area of the motorbike's box, as a head that is
/// near is seen better.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Votes {
    bare: f32,
    covered: f32,
    /// The largest area that the box had.
    nearest: f32,
    /// In the latest look it was smaller again, or at the picture's edge.
    leaving: bool,
}

impl Votes {
    /// More than two looks in three say so, and no nearer ones are to come; or none at all, when he is `gone`.
    pub(super) fn say_bare(&self, gone: bool) -> bool {
        (gone || self.leaving) && self.covered * 2.0 < self.bare
    }
}

impl Judge {
    /// A rider's head was looked at.
    pub(super) fn head(&mut self, track: &Track, head: &HeadSight, now: Timestamp) {
        let place = Name::new("rider");
        let Some(size) = self.recent.back().map(|seen| seen.shot.size) else { return };
        let (votes, bbox) = (self.votes.entry(track.id).or_default(), track.sight().bbox);
        votes.nearest = votes.nearest.max(bbox.area());
        votes.leaving = bbox.area().sqrt() < self.config.leaving * votes.nearest.sqrt() || is_at_edge(&bbox, size);
        if head.without_helmet.max(head.with_helmet) < self.config.helmet_score {
            return;
        }
        votes.bare += bbox.area() * head.without_helmet;
        votes.covered += bbox.area() * head.with_helmet;
        let bare = head.without_helmet > head.with_helmet;
        if bare && !self.open.iter().any(|case| case.is(Act::NoHelmet, track.id, &place)) {
            let mut case = Case::new(Act::NoHelmet, track, place.clone(), now, None);
            case.stage = Stage::Votes;
            self.begin(case);
        }
        let Some(seen) = self.recent.back() else { return };
        if let Some(case) = self.open.iter_mut().find(|case| bare && case.is(Act::NoHelmet, track.id, &place)) {
            case.add_alone("bare", seen, &self.config);
            case.keep_nearest(self.config.frames);
        }
    }
}

/// Whether the box ends where the frame of `size` pixels does, but for its top: what comes out at the lower edge is as near as it gets.
fn is_at_edge(bbox: &BoundingBox, (width, height): (u32, u32)) -> bool {
    const NEAR: f32 = 2.0;
    bbox.x < NEAR || bbox.x + bbox.width > width as f32 - NEAR || bbox.y + bbox.height > height as f32 - NEAR
}

/// Whether the box `small` of a motorbike is of the rider of the one in `large`, found once more.
pub(crate) fn is_rider_of(small: &BoundingBox, large: &BoundingBox, part: f32) -> bool {
    small.area() < part * large.area() && covered(small, large) > 0.5
}

#[cfg(test)]
mod tests {
    use huong_types::SignalState::Green;

    use super::super::tests::{Scene, lines};
    use super::*;

    /// A motorbike with these looks at its rider's head, one a second, whose box is so many times as large; then it is gone. A second one is
    /// `above` its foot, so many times as large as it. What is told while it is there, and after.
    fn ride(heads: &[((f32, f32), f32)], above: Option<(f32, f32)>) -> (Vec<String>, Vec<String>) {
        let mut scene = Scene::new();
        let mut here = Vec::new();
        for (second, (head, larger)) in heads.iter().enumerate() {
            let foot = (500.0, 100.0 + 10.0 * second as f32);
            scene.street.sizes = [Some(*larger), above.map(|(_, part)| part * larger)].into_iter().flatten().collect();
            let other = above.map(|(up, _)| ("motorbike", (foot.0, foot.1 - up)));
            let objects: Vec<_> = [Some(("motorbike", foot)), other].into_iter().flatten().collect();
            here.extend(scene.look(&objects, (Green, 0), Some(*head)));
        }
        let gone: Vec<_> = (0..10).flat_map(|_| scene.look(&[], (Green, 0), None)).collect();
        (lines(&here), lines(&gone))
    }

    const BARE: (f32, f32) = (0.1, 0.9);
    const COVERED: (f32, f32) = (0.9, 0.1);

    #[test]
    fn bare_heads_are_voted_on() {
        let unclear = (0.1, 0.2);
        let alike = |heads: &[(f32, f32)]| {
            let (here, gone) = ride(&heads.iter().map(|head| (*head, 1.0)).collect::<Vec<_>>(), None);
            assert!(here.is_empty(), "he may come nearer: {here:?}");
            gone
        };
        // The first look belongs to a track that is not confirmed yet.
        assert_eq!(alike(&[BARE, BARE, unclear, BARE, BARE]), ["no_helmet rider bare@2 bare@4 bare@5 []"]);
        assert_eq!(alike(&[COVERED, COVERED, BARE, BARE, BARE, BARE]).len(), 1, "one look in five says otherwise");
        assert!(alike(&[COVERED, COVERED, COVERED, BARE, BARE, BARE]).is_empty(), "what was seen before counts as well");
        assert!(alike(&[BARE, BARE, BARE, BARE, COVERED, COVERED]).is_empty(), "and what was seen after");
        assert!(alike(&[(0.55, 0.6); 8]).is_empty(), "both is neither");
        assert!(alike(&[COVERED; 8]).is_empty() && alike(&[BARE, BARE, BARE]).is_empty());
    }

    #[test]
    fn heads_that_are_near_say_more() {
        let far = [(BARE, 1.0); 5];
        let told = |last| ride(&[&far[..], &[(COVERED, last)]].concat(), None);
        assert_eq!(told(2.0), (vec![], vec![]), "four times the area");
        let (here, gone) = told(0.5);
        assert_eq!((here.len(), gone.len()), (1, 0), "who goes away is not seen better");
        let nearer = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5].map(|larger| (BARE, larger));
        let shown = ["no_helmet rider bare@4 bare@5 bare@6 []".to_owned()];
        assert_eq!(ride(&nearer, None), (vec![], shown.to_vec()), "the nearest are shown");
        assert_eq!(ride(&nearer, Some((12.0, 0.4))), (vec![], shown.to_vec()), "a head that is taken for a motorbike is not another one");
        assert_eq!(ride(&nearer, Some((12.0, 0.8))), (vec![], vec![]), "what is larger is");
    }

    #[test]
    fn who_is_at_the_edge_is_leaving() {
        let at = |x: f32, y: f32| is_at_edge(&BoundingBox { x, y, width: 40.0, height: 30.0 }, (640, 480));
        assert!(at(0.0, 100.0) && at(600.0, 100.0) && at(100.0, 450.0));
        assert!(!at(100.0, 0.0) && !at(100.0, 100.0));
    }
}
