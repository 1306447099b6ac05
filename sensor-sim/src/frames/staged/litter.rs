//! Waste: heaps that stay, bins that overflow, something left behind; and what only looks so.

use huong_types::Act;

use super::{Kind, Staged, What};

/// Where waste is looked for: the pavement.
const LANE: f64 = 1.13;
const DEPTH: f64 = 0.2;
const SHIRT: [u8; 3] = [190, 80, 60];
const MINUTE: f64 = 60.0;

pub(super) fn scene(act: Act, shows: bool, i: usize, seed: u64) -> Staged {
    let names = ["alone", "small", "night", "rain", "others pass", "cleared", "long", "somebody beside", "with a parked bike", "crowd"];
    let name = if shows { names[i].to_owned() } else { format!("not: {}", names[i]) };
    let mut scene = Staged::new(act, &name, i, seed);
    scene.zone("waste", None, (0.12, 0.4), (0.95, 1.3));
    match act {
        Act::WasteHeap => heap(scene, shows, i),
        Act::BinOverflow => overflow(scene, shows, i),
        _ => dumping(scene, shows, i),
    }
}

/// A camera at rest sends a frame every ten seconds.
fn slow(s: &mut Staged) {
    s.fps = 0.1;
}

fn heap(mut s: Staged, shows: bool, i: usize) -> Staged {
    slow(&mut s);
    let end = 19.0 * MINUTE;
    if shows {
        let gone = if i % 2 == 1 { 17.0 * MINUTE } else { end };
        let who = s.put(What::Heap(i as u64), &[(MINUTE, DEPTH, LANE), (gone, DEPTH, LANE)]);
        s.commits(Act::WasteHeap, who, MINUTE - 1.0, gone);
        if gone < end {
            s.told = Some(("cleared", super::moment(end)));
        }
    } else if i < 5 {
        // Taken away in time.
        s.put(What::Heap(i as u64), &[(MINUTE, DEPTH, LANE), (9.0 * MINUTE, DEPTH, LANE)]);
    } else if i < 8 {
        s.put(What::Bin(false), &[(0.0, DEPTH, LANE), (end, DEPTH, LANE)]);
    } else {
        s.vehicle(Kind::Motorbike, &[(0.0, DEPTH, LANE), (end, DEPTH, LANE)]);
    }
    if i % 5 == 4 {
        s.put(What::Person(SHIRT), &[(0.0, 0.25, 0.9), (end, 0.25, 0.9)]);
    }
    s.seconds = end;
    s
}

fn overflow(mut s: Staged, shows: bool, i: usize) -> Staged {
    slow(&mut s);
    let end = if shows { 34.0 * MINUTE } else { 32.0 * MINUTE };
    if shows {
        let who = s.put(What::Bin(true), &[(MINUTE, DEPTH, LANE), (end, DEPTH, LANE)]);
        s.commits(Act::BinOverflow, who, MINUTE - 1.0, end);
    } else if i < 5 {
        s.put(What::Bin(true), &[(0.0, DEPTH, LANE), (12.0 * MINUTE, DEPTH, LANE)]);
        s.put(What::Bin(false), &[(12.0 * MINUTE + 1.0, DEPTH, LANE), (end, DEPTH, LANE)]);
    } else {
        s.put(What::Bin(false), &[(0.0, DEPTH, LANE), (end, DEPTH, LANE)]);
    }
    s
}

fn dumping(mut s: Staged, shows: bool, i: usize) -> Staged {
    let left = 35.0 + 2.0 * i as f64;
    let end = left + 110.0;
    s.fps = 2.0;
    let walk = [
        (left - 8.0, 0.45, 0.95),
        (left - 2.0, DEPTH + 0.01, LANE - 0.12),
        (left + 6.0, DEPTH + 0.01, LANE - 0.12),
        (left + 14.0, 0.6, 0.95),
    ];
    if shows {
        s.put(What::Person(SHIRT), &walk);
        let who = s.put(What::Heap(40 + i as u64), &[(left, DEPTH, LANE), (end, DEPTH, LANE)]);
        s.commits(Act::DumpingAct, who, left - 3.0, left + 30.0);
    } else if i < 4 {
        // Walks past a heap that was there.
        s.put(What::Heap(40 + i as u64), &[(0.0, DEPTH, LANE), (end, DEPTH, LANE)]);
        s.put(What::Person(SHIRT), &walk);
    } else if i < 7 {
        // Puts something down and takes it along again.
        s.put(What::Person(SHIRT), &walk);
        s.put(What::Heap(40 + i as u64), &[(left, DEPTH, LANE), (left + 6.0, DEPTH, LANE)]);
    } else {
        s.put(What::Person(SHIRT), &walk);
    }
    s.seconds = end;
    s
}
