//! Drawn streets: who crosses, stops and dumps, and who does not.

use huong_types::{Detection, Span};
use proptest::prelude::*;

use super::*;
use crate::ZoneConfig;
use crate::testing::Street;

const SIZE: (u32, u32) = (1000, 500);

const VIEW: &str = r#"
    [[line]]
    name = "stop"
    kind = "stop"
    from = [0.3, 0.6]
    to = [0.7, 0.6]
    signal = "north"
    [[line]]
    name = "one-way"
    kind = "direction"
    from = [0.8, 0.6]
    to = [1.0, 0.6]
    [[zone]]
    name = "kerb"
    kind = "no-stopping"
    points = [[0.0, 0.0], [0.2, 0.0], [0.2, 1.0], [0.0, 1.0]]
    dwell = "1m"
    [[zone]]
    name = "bus-lane"
    kind = "bus-lane"
    points = [[0.22, 0.0], [0.28, 0.0], [0.28, 1.0], [0.22, 1.0]]
    [[zone]]
    name = "pavement"
    kind = "pavement"
    points = [[0.71, 0.0], [0.79, 0.0], [0.79, 1.0], [0.71, 1.0]]
    [[zone]]
    name = "bins"
    kind = "waste"
    points = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
"#;

fn view() -> View {
    let mut problems = huong_types::Problems::default();
    let view = huong_types::load_toml("view", VIEW, &mut problems).unwrap_or_default();
    assert!(problems.is_empty(), "{problems}");
    view
}

pub(super) struct Scene {
    pub(super) street: Street,
    watch: ZoneWatch,
    judge: Judge,
    doubt: bool,
}

impl Scene {
    pub(super) fn new() -> Self {
        let codes = [(Act::RedLight, [("motorbike".into(), "168/2024:7.7.c".into())].into())].into();
        let config = JudgeConfig { codes, ..JudgeConfig::default() };
        let judge = Judge::new(config, "cam-1".into(), view(), vec![ModelId { name: "m".into(), sha256: "00".into() }]);
        Self { street: Street::default(), watch: ZoneWatch::new(ZoneConfig::default(), &view()), judge, doubt: false }
    }

    /// A second later: objects by label and foot; the light with the second since when it is so; heads of the first track.
    pub(super) fn look(&mut self, objects: &[(&str, (f32, f32))], light: (SignalState, i64), head: Option<(f32, f32)>) -> Vec<Candidate> {
        let (ended, now) = self.street.look(objects);
        let mut tracks: Vec<Track> = self.street.tracker.tracks().cloned().collect();
        if self.doubt {
            tracks.iter_mut().for_each(|track| track.doubted = Some(now));
        }
        let events = self.watch.look(tracks.iter(), SIZE, now);
        self.watch.end(&ended, now);
        let signal = SignalSight {
            signal: "north".into(),
            state: light.0,
            confidence: 1.0,
            since: Timestamp::from_millis(light.1 * 1000),
            source: "camera".into(),
        };
        let jpeg = Bytes::from(now.as_millis().to_string());
        let shot = Shot { at: now, received: now, jpeg, size: SIZE, signals: vec![signal], found: Vec::new(), plates: Vec::new() };
        let heads: Vec<HeadSight> = head
            .zip(tracks.first())
            .map(|((with_helmet, without_helmet), track)| HeadSight { track: track.id, with_helmet, without_helmet })
            .into_iter()
            .collect();
        self.judge.look(
            shot,
            &tracks.iter().collect::<Vec<_>>(),
            &events,
            &self.watch,
            &heads,
            &ended.iter().map(|track| track.id).collect::<Vec<_>>(),
        )
    }
}

use SignalState::{Green, Red, Unknown};

/// Down the picture over the line at 300, between the fourth second and the fifth.
const DOWN: [f32; 7] = [150.0, 200.0, 250.0, 280.0, 330.0, 380.0, 430.0];

pub(super) fn lines(candidates: &[Candidate]) -> Vec<String> {
    let line = |c: &Candidate| {
        let frames: Vec<String> = c.frames.iter().map(|f| format!("{}@{}", f.moment, f.at.as_millis() / 1000)).collect();
        let void: Vec<&str> = c.void.iter().map(|reason| reason.as_str()).collect();
        format!("{} {} {} [{}]", c.act.as_str(), c.place, frames.join(" "), void.join(" "))
    };
    candidates.iter().map(line).collect()
}

/// A motorbike goes down over the stop line; the light by second, and others beside it.
fn crossing(light: impl Fn(i64) -> (SignalState, i64), others: &[(&str, (f32, f32))], until: usize) -> Vec<Candidate> {
    let mut scene = Scene::new();
    let mut given = Vec::new();
    for second in 1..=20 {
        let mut objects: Vec<(&str, (f32, f32))> = Vec::new();
        if let Some(y) = DOWN.get(second - 1).filter(|_| second <= until) {
            objects.push(("motorbike", (500.0, *y)));
            objects.extend(others.iter().map(|(label, (dx, dy))| (*label, (500.0 + dx, y + dy))));
        }
        given.extend(scene.look(&objects, light(second as i64), None));
    }
    given
}

#[test]
fn red_light_needs_red_before_on_and_after() {
    let red = crossing(|_| (Red, 0), &[], 7);
    assert_eq!(lines(&red), ["red_light stop before@4 on@5 after@6 []"]);
    let candidate = &red[0];
    assert_eq!((candidate.id.as_str(), candidate.code.as_deref()), ("cam-1-red_light-1-4000", Some("168/2024:7.7.c")));
    assert_eq!((candidate.label.as_str(), candidate.frames[1].jpeg.as_ref()), ("motorbike", &b"5000"[..]));
    assert!(candidate.frames.iter().all(|frame| frame.signal.as_ref().is_some_and(|signal| signal.state == Red)));
    assert_eq!((candidate.models.len(), candidate.view_version.clone()), (1, view().version()));

    type Light = fn(i64) -> (SignalState, i64);
    let cases: [(&str, Light, usize, &[&str]); 7] = [
        ("green", |_| (Green, 0), 7, &[]),
        ("red only as it crossed", |second| if second < 5 { (Green, 0) } else { (Red, 5) }, 7, &[]),
        ("red for no longer than the margin", |second| if second < 4 { (Green, 0) } else { (Red, 4) }, 7, &[]),
        ("nobody knows", |_| (Unknown, 0), 7, &[]),
        (
            "unknown on the line",
            |second| if second == 5 { (Unknown, 0) } else { (Red, 0) },
            7,
            &["red_light stop before@4 on@5 after@6 [signal_unknown]"],
        ),
        (
            "green behind the line",
            |second| if second < 6 { (Red, 0) } else { (Green, 6) },
            7,
            &["red_light stop before@4 on@5 after@6 [too_few_frames]"],
        ),
        ("never seen behind it", |_| (Red, 0), 5, &["red_light stop before@4 on@5 [too_few_frames]"]),
    ];
    for (name, light, until, expected) in cases {
        assert_eq!(lines(&crossing(light, &[], until)), expected, "{name}");
    }
}

#[test]
fn doubts_void_a_candidate() {
    let beside = crossing(|_| (Red, 0), &[("car", (15.0, -5.0))], 7);
    assert!(beside.iter().all(|c| c.void.contains(&VoidReason::TwoVehicles)) && beside.len() == 2, "{:?}", lines(&beside));
    let apart = crossing(|_| (Red, 0), &[("car", (150.0, 0.0))], 7);
    assert_eq!(lines(&apart), ["red_light stop before@4 on@5 after@6 []"; 2], "each for itself");
    let mut scene = Scene::new();
    scene.doubt = true;
    let given: Vec<Candidate> = DOWN.iter().flat_map(|y| scene.look(&[("motorbike", (500.0, *y))], (Red, 0), None)).collect();
    assert_eq!(given.iter().map(|c| c.void.clone()).collect::<Vec<_>>(), [[VoidReason::IdentityDoubtful]]);
}

#[test]
fn two_that_are_taken_for_one_are_no_evidence() {
    // Side by side for three seconds, then one box over the line.
    let ride = |other: &str| {
        let mut scene = Scene::new();
        let look = |second: u8| {
            let y = 100.0 + 45.0 * f32::from(second);
            let objects = [("motorbike", (500.0, y)), (other, (520.0, y))];
            scene.look(if second < 3 { &objects } else { &objects[..1] }, (Red, 0), None)
        };
        lines(&(0..9).flat_map(look).collect::<Vec<_>>())
    };
    assert_eq!(ride("motorbike"), ["red_light stop before@5 on@6 after@9 [two_vehicles]"]);
    assert_eq!(ride("car"), ["red_light stop before@5 on@6 after@7 []"], "nobody takes a motorbike for the car behind it");
}

#[test]
fn who_was_parked_on_the_pavement_may_leave_it() {
    let ride = |feet: &[(f32, f32)]| {
        let mut scene = Scene::new();
        lines(&feet.iter().flat_map(|foot| scene.look(&[("motorbike", *foot)], (Green, 0), None)).collect::<Vec<_>>())
    };
    let along: Vec<(f32, f32)> = DOWN.iter().map(|y| (750.0, *y)).collect();
    assert_eq!(ride(&along).len(), 1);
    let parked = [(750.0, 150.0); 8];
    let away = [(740.0, 200.0), (680.0, 240.0), (620.0, 280.0)];
    assert!(ride(&[&parked[..], &away].concat()).is_empty());
    assert_eq!(ride(&[&parked[..], &along].concat()).len(), 1, "who drives along it after that has driven there");
}

#[test]
fn who_turns_back_at_the_line_or_rides_with_the_traffic_is_left_alone() {
    let mut scene = Scene::new();
    let back = [150.0, 200.0, 250.0, 280.0, 330.0, 270.0, 220.0];
    assert!(back.iter().all(|y| scene.look(&[("motorbike", (500.0, *y))], (Red, 0), None).is_empty()));
    let ride = |feet: Vec<f32>| {
        let mut scene = Scene::new();
        feet.iter().flat_map(|y| scene.look(&[("motorbike", (900.0, *y))], (Green, 0), None)).collect::<Vec<_>>()
    };
    assert!(ride(DOWN.to_vec()).is_empty());
    let against = ride(DOWN.iter().rev().copied().collect());
    assert_eq!(lines(&against), ["wrong_way one-way before@3 on@4 after@5 []"]);
}

#[test]
fn stopping_is_told_once_with_first_middle_and_last() {
    let mut scene = Scene::new();
    let mut given = Vec::new();
    for second in 0..150 {
        // It rolls in, then stands.
        let y = if second < 3 { 100.0 + 60.0 * second as f32 } else { 250.0 };
        given.extend(scene.look(&[("car", (100.0, y))], (Green, 0), None));
    }
    assert_eq!(given.len(), 1, "{:?}", lines(&given));
    let times: Vec<i64> = given[0].frames.iter().map(|frame| frame.at.as_millis() / 1000).collect();
    assert_eq!((given[0].act, times[0], times[2], given[0].void.len()), (Act::StopPark, 4, 64, 0));
    assert!((25..45).contains(&times[1]), "{times:?}");
    // It drives on before the time is over; later it stands again, in all for longer.
    let mut scene = Scene::new();
    for second in 0..110 {
        let y = if second < 50 { 250.0 } else { 350.0 };
        assert!(scene.look(&[("car", (100.0, y))], (Green, 0), None).is_empty(), "second {second}");
    }
}

#[test]
fn a_bus_lane_is_for_buses() {
    for (label, expected) in [("car", 1), ("bus", 0), ("truck", 0), ("motorbike", 1)] {
        let mut scene = Scene::new();
        let given: Vec<Candidate> = DOWN.iter().flat_map(|y| scene.look(&[(label, (250.0, *y))], (Green, 0), None)).collect();
        assert_eq!(given.iter().filter(|c| c.act == Act::WrongLane && c.void.is_empty()).count(), expected, "{label}");
    }
}

fn waste(label: &str, x: f32, side: f32) -> Detection {
    Detection { label: label.into(), score: 0.8, bbox: BoundingBox { x, y: 200.0, width: side, height: side } }
}

/// Looks every 30 s at what lies there by second; `tracks` are there by second.
fn watch(found: impl Fn(i64) -> Vec<Detection>, tracks: impl Fn(i64) -> Vec<Track>, until: i64) -> (Vec<Candidate>, Vec<String>) {
    let mut watch = WasteWatch::new(WasteConfig::default(), "cam-1".into(), &view(), Vec::new());
    let (mut candidates, mut events) = (Vec::new(), Vec::new());
    for second in (0..until).step_by(30) {
        let at = Timestamp::from_millis(second * 1000);
        let shot = Shot { at, received: at, jpeg: Bytes::new(), size: SIZE, signals: Vec::new(), found: Vec::new(), plates: Vec::new() };
        let there = tracks(second);
        let (more, told) = watch.look(&shot, &found(second), &there.iter().collect::<Vec<_>>());
        candidates.extend(more);
        events.extend(told.iter().map(|event| format!("{} {} {}", second, event.place, event.happening.as_str())));
    }
    (candidates, events)
}

#[test]
fn waste_zones_are_looked_at_from_near() {
    let windows = |points: &str, size| {
        let mut problems = huong_types::Problems::default();
        let zone = format!("[[zone]]\nname = \"bins\"\nkind = \"waste\"\npoints = {points}");
        let view: View = huong_types::load_toml("view", &zone, &mut problems).unwrap_or_default();
        assert!(problems.is_empty(), "{problems}");
        let windows = WasteWatch::new(WasteConfig::default(), "cam-1".into(), &view, Vec::new()).windows(size);
        windows.into_iter().map(|b| [b.x, b.y, b.width, b.height]).collect::<Vec<_>>()
    };
    let low = "[[0.4, 0.6], [0.6, 0.6], [0.6, 0.8], [0.4, 0.8]]";
    assert_eq!(windows(low, (1000, 500)), [[0.0, 0.0, 1000.0, 500.0], [380.0, 184.0, 240.0, 240.0]], "a square, with more room above");
    assert_eq!(windows(low, (200, 100)), [[0.0, 0.0, 200.0, 100.0], [36.0, 0.0, 128.0, 100.0]], "not nearer than there are pixels for");
    assert_eq!(windows("[[0.9, 0.0], [1.0, 0.0], [1.0, 0.1]]", (1000, 500))[1], [872.0, 0.0, 128.0, 128.0], "inside the frame");
    assert_eq!(windows("[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]", (1000, 500)).len(), 1, "all of it is looked at anyway");
}

#[test]
fn a_heap_stays_is_told_once_a_day_and_is_cleared() {
    // Seen in two looks of three, from the beginning; collected after an hour.
    let heap = |second: i64| if second < 3600 && second % 90 != 60 { vec![waste("garbage", 100.0, 40.0)] } else { Vec::new() };
    let (given, events) = watch(heap, |_| Vec::new(), 7200);
    assert_eq!(given.len(), 1, "{:?}", lines(&given));
    assert_eq!((given[0].act, given[0].at.since(given[0].began), given[0].frames.len()), (Act::WasteHeap, Span::from_mins(15), 3));
    assert_eq!(events, ["3630 bins cleared"]);
    // For two days, without a break: once more after a day.
    let (given, _) = watch(|_| vec![waste("garbage_bag", 100.0, 40.0)], |_| Vec::new(), 2 * 86_400);
    assert_eq!(given.len(), 2);
    // In half of the looks, or outside the zone, or for ten minutes: nothing.
    assert!(watch(|second| if second % 60 == 0 { heap(30) } else { Vec::new() }, |_| Vec::new(), 7200).0.is_empty());
    assert!(watch(|_| vec![waste("garbage", 600.0, 40.0)], |_| Vec::new(), 7200).0.is_empty());
    assert!(watch(|second| if second < 600 { heap(30) } else { Vec::new() }, |_| Vec::new(), 7200).0.is_empty());
}

#[test]
fn a_bin_overflows_when_enough_of_it_does() {
    let bin = |part: f32| move |_: i64| vec![waste("garbage_bin", 100.0, 100.0), waste("overflow", 110.0, 100.0 * part.sqrt())];
    let (given, _) = watch(bin(0.4), |_| Vec::new(), 3600);
    assert_eq!(given.iter().map(|c| (c.act, c.at.as_millis() / 1000)).collect::<Vec<_>>(), [(Act::BinOverflow, 1800)]);
    assert!(watch(bin(0.2), |_| Vec::new(), 3600).0.is_empty());
    assert!(watch(|_| vec![waste("garbage_bin", 100.0, 100.0)], |_| Vec::new(), 3600).0.is_empty());
}

#[test]
fn what_somebody_left_behind_is_dumped_and_what_was_always_there_is_not() {
    let person = |x: f32| {
        let mut street = Street::default();
        street.look(&[("person", (x, 240.0))]);
        street.look(&[("person", (x, 240.0))]);
        street.tracker.tracks().cloned().collect::<Vec<Track>>()
    };
    let bag = |second: i64| if second >= 300 { vec![waste("garbage_bag", 100.0, 40.0)] } else { Vec::new() };
    let dumped = |second: i64| if (270..330).contains(&second) { person(160.0) } else { Vec::new() };
    let acts = |given: Vec<Candidate>| -> Vec<String> { lines(&given).into_iter().filter(|line| line.starts_with("dumping")).collect() };
    assert_eq!(acts(watch(bag, dumped, 600).0), ["dumping_act bins before@270 on@300 after@360 []"]);
    assert!(acts(watch(bag, |_| Vec::new(), 600).0).is_empty(), "nobody was there: blown in, or hidden before");
    assert!(acts(watch(|_| bag(300), dumped, 600).0).is_empty(), "it lay there before");
    let missed_once = |second: i64| if second == 270 { Vec::new() } else { bag(300) };
    assert!(acts(watch(missed_once, dumped, 600).0).is_empty(), "it lay there before, and one look missed it");
    let behind_him = |second: i64| if (270..330).contains(&second) { Vec::new() } else { bag(300) };
    assert!(acts(watch(behind_him, |second| if (270..330).contains(&second) { person(110.0) } else { Vec::new() }, 600).0).is_empty());
    let flickers = |second: i64| if second == 330 { Vec::new() } else { bag(second) };
    assert_eq!(acts(watch(flickers, dumped, 600).0), ["dumping_act bins before@270 on@300 after@360 []"]);
    assert!(acts(watch(bag, |_| person(160.0), 600).0).is_empty(), "they are still there: waiting with their bags");
    assert!(acts(watch(|second| if second == 300 { bag(300) } else { Vec::new() }, dumped, 600).0).is_empty(), "taken along");
}

#[test]
fn settings_out_of_range_are_all_named() {
    let codes = [(Act::RedLight, [("lorry".into(), "x".into())].into())].into();
    let config =
        JudgeConfig { frames: 0, overlap: 2.0, codes, waste: WasteConfig { clear: 0, ..WasteConfig::default() }, ..JudgeConfig::default() };
    let mut problems = huong_types::Problems::default();
    config.check("huong.toml", "vision.judge", &mut problems);
    assert_eq!(problems.list.len(), 4, "{problems}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever drives wherever under whatever light: what nothing speaks against has its three pictures, in order, each with the vehicle
    /// in it, and a red light in all three; and nobody is told of twice for one thing.
    #[test]
    fn every_candidate_keeps_its_promise(
        steps in prop::collection::vec((prop::collection::vec((0usize..3, 0.0f32..1000.0, 0.0f32..500.0), 0..4), 0usize..4), 1..40),
    ) {
        let mut scene = Scene::new();
        let mut ids = std::collections::HashSet::new();
        for (objects, light) in &steps {
            let objects: Vec<(&str, (f32, f32))> = objects.iter().map(|&(label, x, y)| (["car", "motorbike", "bus"][label], (x, y))).collect();
            let light = [Red, Green, Unknown, SignalState::Yellow][*light];
            for candidate in scene.look(&objects, (light, 0), None) {
                prop_assert!(ids.insert(candidate.id.clone()), "{} twice", candidate.id);
                if candidate.void.is_empty() {
                    prop_assert!(candidate.frames.len() >= 3);
                    prop_assert!(candidate.frames.windows(2).all(|pair| pair[0].at < pair[1].at));
                    let red = |f: &EvidenceFrame| f.signal.as_ref().is_some_and(|signal| signal.state == Red);
                    prop_assert!(candidate.act != Act::RedLight || candidate.frames.iter().all(red));
                }
            }
        }
    }
}

#[test]
fn a_picture_says_who_else_is_in_it() {
    let found =
        |label: &str, x: f32| Detection { label: label.into(), score: 0.9, bbox: BoundingBox { x, y: 0.0, width: 100.0, height: 80.0 } };
    let plate = |x: f32| BoundingBox { x, y: 60.0, width: 20.0, height: 10.0 };
    let shot = Shot {
        at: Timestamp::from_millis(1),
        received: Timestamp::from_millis(1),
        jpeg: Bytes::new(),
        size: SIZE,
        signals: Vec::new(),
        // The same car under two names, who drives it, and another one.
        found: vec![found("car", 0.0), found("truck", 10.0), found("person", 5.0), found("bus", 200.0)],
        plates: vec![(7, plate(40.0)), (8, plate(240.0))],
    };
    let told = |others: Vec<Detection>| others.iter().map(|one| format!("{} {}", one.label, one.bbox.x)).collect::<Vec<_>>();
    let bbox = found("car", 2.0).bbox;
    assert_eq!(told(shot.beside(Some(7), &bbox)), ["person 5", "bus 200", "plate 240"]);
    assert_eq!(told(shot.beside(None, &bbox)).len(), 6, "a heap of waste has neither driver nor plate");
}
