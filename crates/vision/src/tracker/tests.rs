//! Drawn sequences: crossing, occlusion, standing, one frame a second.

use super::*;
use crate::testing::seen;

/// Label, score, centre, and a shade that makes the appearance.
type Object<'a> = (&'a str, f32, (f32, f32), u8);
/// Seconds, and what is seen then.
type Scene<'a> = &'a [(f32, &'a [Object<'a>])];

fn at(second: f32) -> Timestamp {
    Timestamp::from_millis((second * 1000.0) as i64)
}

/// Runs a scene in which something moves everywhere; returns per look the ids by the order of what was seen.
fn run(config: &TrackerConfig, scene: Scene<'_>) -> (Tracker, Vec<Vec<Option<u64>>>) {
    let mut tracker = Tracker::default();
    let ids = |tracker: &Tracker, objects: &[(Detection, Appearance)], now: Timestamp| {
        let id = |(d, _): &(Detection, Appearance)| {
            tracker.tracks.iter().find(|t| t.sight().at == now && t.sight().bbox == d.bbox).map(|t| t.id)
        };
        objects.iter().map(id).collect()
    };
    let looks = scene.iter().map(|&(second, objects)| {
        let objects = seen(objects);
        tracker.look(config, &objects, |_| false, at(second));
        ids(&tracker, &objects, at(second))
    });
    let looks = looks.collect();
    (tracker, looks)
}

#[test]
fn one_frame_a_second_is_enough_for_a_vehicle_that_moves_three_lengths_a_frame() {
    let path: Vec<Object> = (0..6).map(|i| ("motorbike", 0.8, (50.0 + 110.0 * i as f32, 200.0), 200)).collect();
    let scene: Vec<(f32, &[_])> = path.iter().enumerate().map(|(i, object)| (i as f32, std::slice::from_ref(object))).collect();
    let (tracker, ids) = run(&TrackerConfig::default(), &scene);
    assert!(ids.iter().all(|ids| ids == &[Some(1)]), "{ids:?}");
    let track = tracker.tracks().next().expect("one object");
    assert_eq!((track.hits, track.path().len(), track.label().as_str(), track.doubted), (6, 6, "motorbike", None));
    assert_eq!(track.still_for(at(5.0)), Span::ZERO);
}

#[test]
fn two_that_cross_keep_their_ids() {
    // A red one to the right and a blue one to the left meet at x = 200, where their boxes coincide but for 6 pixels.
    let scene: Vec<(f32, Vec<Object>)> = (0..9)
        .map(|i| {
            (i as f32 * 0.5, vec![("car", 0.8, (100.0 + 25.0 * i as f32, 200.0), 250), ("car", 0.8, (300.0 - 25.0 * i as f32, 206.0), 20)])
        })
        .collect();
    let scene: Vec<(f32, &[_])> = scene.iter().map(|(second, objects)| (*second, &objects[..])).collect();
    let (tracker, ids) = run(&TrackerConfig::default(), &scene);
    assert!(ids.iter().all(|ids| ids == &[Some(1), Some(2)]), "{ids:?}");
    assert!(tracker.tracks().all(|track| track.doubted.is_none()), "their colours tell them apart");
}

#[test]
fn two_alike_that_meet_are_doubted() {
    let scene: Vec<(f32, Vec<Object>)> = (0..9)
        .map(|i| {
            (i as f32 * 0.5, vec![("car", 0.8, (100.0 + 25.0 * i as f32, 200.0), 90), ("car", 0.8, (300.0 - 25.0 * i as f32, 202.0), 90)])
        })
        .collect();
    let scene: Vec<(f32, &[_])> = scene.iter().map(|(second, objects)| (*second, &objects[..])).collect();
    let (tracker, _) = run(&TrackerConfig::default(), &scene);
    assert!(tracker.tracks().all(|track| track.doubted.is_some_and(|when| when >= at(1.5))));
}

#[test]
fn an_occlusion_and_unsure_detections_do_not_change_the_id() {
    let config = TrackerConfig::default();
    let car = |x: f32, score: f32| [("car", score, (x, 100.0), 60)];
    let (a, b, c, d, e): (&[_], &[_], &[_], &[_], &[_]) = (&car(100.0, 0.9), &car(150.0, 0.9), &car(200.0, 0.2), &[], &car(350.0, 0.7));
    let (_, ids) = run(&config, &[(0.0, a), (1.0, b), (2.0, c), (3.0, d), (4.0, d), (5.0, e)]);
    assert_eq!(ids, [vec![Some(1)], vec![Some(1)], vec![Some(1)], vec![], vec![], vec![Some(1)]]);
    // An unsure detection alone begins nothing, and one that stays away too long comes back as another.
    let (tracker, ids) = run(&config, &[(0.0, a), (1.0, b), (7.5, d), (8.0, e), (9.0, &car(600.0, 0.3))]);
    assert_eq!(ids[3..], [vec![Some(2)], vec![None]]);
    assert_eq!(tracker.tracks().count(), 0);
}

#[test]
fn labels_are_voted_on_and_a_motorbike_never_becomes_a_car() {
    let config = TrackerConfig::default();
    let object = |label: &'static str, x: f32| [(label, 0.8, (x, 100.0), 60)];
    let (_, ids) = run(&config, &[(0.0, &object("motorbike", 100.0)), (1.0, &object("car", 104.0))]);
    assert_eq!(ids, [vec![Some(1)], vec![Some(2)]]);
    let (tracker, ids) = run(&config, &[(0.0, &object("truck", 100.0)), (1.0, &object("car", 104.0)), (2.0, &object("truck", 108.0))]);
    assert_eq!(ids, [vec![Some(1)], vec![Some(1)], vec![Some(1)]]);
    assert_eq!(tracker.tracks().next().map(|track| track.label().as_str()), Some("truck"));
}

#[test]
fn a_standing_vehicle_stays_while_its_place_is_quiet() {
    let config = TrackerConfig::default();
    let mut tracker = Tracker::default();
    let car = seen(&[("car", 0.9, (100.0, 100.0), 60)]);
    for second in 0..3 {
        tracker.look(&config, &car, |_| false, at(second as f32));
    }
    for second in 3..120 {
        assert!(tracker.rest(&config, at(second as f32)).is_empty(), "held back by the gate: nothing changed");
    }
    assert!(tracker.look(&config, &car, |_| true, at(120.0)).is_empty());
    let track = tracker.tracks().next().expect("still there");
    assert_eq!((track.id, track.still_for(at(120.0)), track.is_here()), (1, Span::from_secs(120), true));
    // Missed while nothing moved there: kept for three looks, then gone.
    let ended: Vec<usize> = (0..5).map(|n| tracker.look(&config, &[], |_| true, at(130.0 + 10.0 * n as f32)).len()).collect();
    assert_eq!(ended, [0, 0, 0, 1, 0]);
    // The same with motion there: it left.
    let mut tracker = Tracker::default();
    for second in 0..3 {
        tracker.look(&config, &car, |_| false, at(second as f32));
    }
    assert_eq!(tracker.look(&config, &[], |_| false, at(10.0)).len(), 1);
}

#[test]
fn a_clock_set_back_begins_anew() {
    let mut tracker = Tracker::default();
    let car = seen(&[("car", 0.9, (100.0, 100.0), 60)]);
    for second in [100.0, 101.0] {
        tracker.look(&TrackerConfig::default(), &car, |_| false, at(second));
    }
    let ended = tracker.clone().rest(&TrackerConfig::default(), at(5.0));
    assert_eq!(ended.len(), 1);
    let ended = tracker.look(&TrackerConfig::default(), &car, |_| true, at(5.0));
    assert_eq!((ended.len(), tracker.tracks.len(), tracker.tracks[0].id), (1, 1, 2));
}

#[test]
fn settings_out_of_range_are_all_named() {
    let config = TrackerConfig { low: 0.7, confirm: 0, reach: f32::NAN, ..TrackerConfig::default() };
    let mut problems = Problems::default();
    config.check("huong.toml", "vision.tracker", &mut problems);
    assert_eq!(problems.list.len(), 3, "{problems}");
}
