//! What only looks like the acts of [`super::traffic`]: nothing in these scenes may become a record.

use huong_types::Act;

use super::traffic::{DIRECTION, DWELL, STOP};
use super::{Kind, Staged, What};

const CAR: Kind = Kind::Car;
const MOTO: Kind = Kind::Motorbike;
const SHIRT: [u8; 3] = [90, 130, 190];

pub(super) fn scene(act: Act, i: usize, seed: u64) -> Staged {
    match act {
        Act::RedLight => red_light(i, seed),
        Act::WrongWay => wrong_way(i, seed),
        Act::StopPark => stop_park(i, seed),
        Act::Pavement => pavement(i, seed),
        Act::WrongLane => bus_lane(i, seed),
        _ => helmets(i, seed),
    }
}

fn begin(act: Act, names: [&str; 10], i: usize, seed: u64) -> Staged {
    Staged::new(act, names[i], i, seed).set()
}

fn red_light(i: usize, seed: u64) -> Staged {
    let names = [
        "waits for green",
        "on green",
        "on yellow",
        "red for half a second",
        "stands on the line until green",
        "others come on red",
        "the light is dark",
        "a lorry hides the light",
        "turns off before the line",
        "two at once over the line",
    ];
    let mut s = begin(Act::RedLight, names, i, seed);
    let crossing = |speed: f64| (STOP + 0.08) / speed;
    match i {
        0 => {
            s.lights(&[(0.0, 0), (8.0, 2)]);
            s.waits(CAR, 0.0, 0.35, 0.2, 8.5);
            s.waits(MOTO, 1.0, 0.75, 0.21, 8.5);
        }
        1 => {
            s.lights(&[(0.0, 2)]);
            s.goes(MOTO, 1.0, 0.5, 0.18);
            s.goes(CAR, 2.5, 0.3, 0.2);
        }
        2 => {
            s.lights(&[(0.0, 2), (2.0, 1), (5.0, 0)]);
            s.goes(CAR, 2.5, 0.4, 0.2);
        }
        3 => {
            s.lights(&[(0.0, 2), (1.0, 1), (1.5 + crossing(0.2), 0)]);
            s.goes(MOTO, 2.0, 0.5, 0.2);
        }
        4 => {
            s.lights(&[(0.0, 0), (8.0, 2)]);
            let who = s.waits(CAR, 0.0, 0.4, STOP, 8.5);
            s.bodies[who].tremble = 0.003;
        }
        5 => {
            s.lights(&[(0.0, 0)]);
            s.others(10, 8.0);
        }
        6 => {
            s.lights(&[(0.0, 9)]);
            s.goes(CAR, 1.0, 0.4, 0.18);
            s.goes(MOTO, 3.0, 0.7, 0.18);
        }
        7 => {
            s.lights(&[(0.0, 0), (4.0, 2)]);
            // So near that its box stands before the head.
            s.vehicle(Kind::Truck, &[(3.0, -0.1, 0.55), (4.0, 0.0, 0.52), (11.0, 0.02, 0.52)]);
            s.goes(MOTO, 6.0, 0.12, 0.2);
        }
        8 => {
            s.lights(&[(0.0, 0)]);
            s.vehicle(MOTO, &[(0.5, -0.05, 0.7), (2.5, 0.18, 0.85), (4.5, 0.22, 1.5)]);
            s.vehicle(CAR, &[(3.0, -0.05, 0.6), (5.0, 0.15, 0.8), (7.5, 0.2, 1.6)]);
        }
        _ => {
            s.lights(&[(0.0, 0)]);
            s.goes(MOTO, 1.5, 0.4, 0.17);
            s.goes(MOTO, 1.7, 0.47, 0.17);
        }
    }
    s
}

fn wrong_way(i: usize, seed: u64) -> Staged {
    let names = [
        "as it should",
        "on the other side",
        "trembles on the line",
        "somebody walks against",
        "stop and go",
        "rolls back a little",
        "overtakes",
        "close to the middle",
        "behind a bus",
        "crowd",
    ];
    let mut s = begin(Act::WrongWay, names, i, seed);
    match i {
        0 => {
            s.goes(CAR, 0.0, 0.4, 0.18);
            s.goes(MOTO, 1.5, 0.7, 0.16);
        }
        1 => {
            s.comes(CAR, 0.0, -0.4, 0.16);
            s.comes(MOTO, 1.0, -0.7, 0.16);
        }
        2 => {
            let who = s.vehicle(CAR, &[(0.0, 0.0, 0.4), (2.0, DIRECTION, 0.4), (12.0, DIRECTION, 0.4), (15.0, 0.8, 0.4)]);
            s.bodies[who].tremble = 0.006;
        }
        3 => _ = s.put(What::Person(SHIRT), &[(0.0, 0.45, 0.95), (12.0, 0.15, 0.95)]),
        4 => {
            s.vehicle(
                CAR,
                &[
                    (0.0, 0.0, 0.4),
                    (2.0, 0.24, 0.4),
                    (5.0, 0.24, 0.4),
                    (6.0, 0.29, 0.4),
                    (9.0, 0.29, 0.4),
                    (10.0, 0.36, 0.4),
                    (13.0, 0.9, 0.4),
                ],
            );
            s.vehicle(CAR, &[(0.0, -0.15, 0.4), (2.0, 0.1, 0.4), (6.0, 0.1, 0.4), (7.0, 0.17, 0.4), (10.5, 0.17, 0.4), (14.0, 0.8, 0.4)]);
        }
        5 => {
            _ = s.vehicle(CAR, &[(0.0, 0.0, 0.5), (2.0, 0.36, 0.5), (4.0, 0.36, 0.5), (6.0, 0.33, 0.5), (9.0, 0.33, 0.5), (12.0, 0.9, 0.5)])
        }
        6 => {
            s.goes(Kind::Truck, 0.0, 0.4, 0.11);
            s.goes(MOTO, 1.5, 0.75, 0.24);
            s.goes(MOTO, 3.0, 0.7, 0.22);
        }
        7 => {
            s.comes(MOTO, 0.0, -0.1, 0.15);
            s.comes(CAR, 2.0, -0.16, 0.15);
        }
        8 => {
            s.goes(Kind::Bus, 0.0, 0.4, 0.12);
            s.goes(MOTO, 1.5, 0.4, 0.12);
            s.comes(MOTO, 1.0, -0.5, 0.16);
        }
        _ => {
            s.others(16, 8.0);
            s.goes(MOTO, 1.0, 0.6, 0.18);
            s.goes(MOTO, 2.0, 0.85, 0.18);
        }
    }
    s
}

fn stop_park(i: usize, seed: u64) -> Staged {
    let names = [
        "not for long",
        "crawls through",
        "beside the zone",
        "somebody on foot",
        "twice, not for long",
        "passes",
        "stop and go beside",
        "trembles at the edge",
        "one after the other in one place",
        "many pass",
    ];
    let mut s = begin(Act::StopPark, names, i, seed);
    let (lane, short) = (0.84, DWELL / 2.0);
    let halt = |s: &mut Staged, kind, start: f64, depth: f64, stay: f64| {
        let (there, off) = (start + 2.0, start + 2.0 + stay);
        s.vehicle(kind, &[(start, depth - 0.25, 0.5), (there, depth, lane), (off, depth, lane), (off + 3.0, depth + 0.45, 0.5)])
    };
    match i {
        0 => _ = halt(&mut s, CAR, 0.0, 0.3, short),
        1 => _ = s.vehicle(CAR, &[(0.0, 0.1, lane), (20.0, 0.6, lane)]),
        2 => {
            let who = s.vehicle(CAR, &[(0.0, 0.05, 0.3), (2.0, 0.3, 0.3), (22.0, 0.3, 0.3), (25.0, 0.9, 0.3)]);
            s.bodies[who].tremble = 0.001;
        }
        3 => _ = s.put(What::Person(SHIRT), &[(0.0, 0.2, 0.9), (22.0, 0.2, 0.9)]),
        4 => {
            let path = [(0.0, 0.0, lane), (2.0, 0.2, lane), (8.0, 0.2, lane), (9.5, 0.32, lane), (15.5, 0.32, lane), (18.0, 0.8, lane)];
            s.vehicle(MOTO, &path);
        }
        5 => {
            s.goes(CAR, 0.0, lane, 0.15);
            s.goes(MOTO, 4.0, lane, 0.15);
            s.goes(CAR, 8.0, lane, 0.15);
        }
        6 => {
            for (lane, from) in [(0.2, 0.1), (0.45, 0.0), (0.2, 0.35)] {
                s.vehicle(CAR, &[(0.0, from, lane), (2.0, from + 0.1, lane), (18.0, from + 0.1, lane), (22.0, from + 0.5, lane)]);
            }
        }
        7 => {
            let who = s.vehicle(MOTO, &[(0.0, 0.0, 0.6), (2.0, 0.3, 0.64), (22.0, 0.3, 0.64), (25.0, 0.8, 0.6)]);
            s.bodies[who].tremble = 0.002;
        }
        8 => {
            halt(&mut s, CAR, 0.0, 0.3, short + 2.0);
            halt(&mut s, CAR, 12.5, 0.3, short + 2.0);
        }
        _ => {
            for n in 0..9 {
                s.goes([CAR, MOTO][n % 2], 2.0 * n as f64, lane, 0.16);
            }
            s.others(8, 18.0);
        }
    }
    s
}

fn pavement(i: usize, seed: u64) -> Staged {
    let names = [
        "at the edge of the road",
        "over it into a gate",
        "somebody on foot",
        "parked there",
        "parked, others pass",
        "trembles at the kerb",
        "two on foot",
        "leaves it",
        "crowd on the road",
        "is parked there",
    ];
    let mut s = begin(Act::Pavement, names, i, seed);
    let lane = 1.13;
    match i {
        0 => {
            s.goes(MOTO, 0.0, 0.92, 0.12);
            s.comes(MOTO, 4.0, 0.9, 0.12);
        }
        1 => _ = s.vehicle(MOTO, &[(0.0, 0.0, 0.8), (2.0, 0.28, 0.9), (3.8, 0.34, 1.5)]),
        2 => _ = s.put(What::Person(SHIRT), &[(0.0, 0.2, lane), (12.0, 0.6, lane)]),
        3 => {
            s.vehicle(MOTO, &[(0.0, 0.3, lane), (15.0, 0.3, lane)]);
            s.vehicle(MOTO, &[(0.0, 0.4, lane), (15.0, 0.4, lane)]);
        }
        4 => {
            let who = s.vehicle(MOTO, &[(0.0, 0.25, lane), (15.0, 0.25, lane)]);
            s.bodies[who].tremble = 0.001;
            s.goes(CAR, 2.0, 0.8, 0.12);
            s.goes(MOTO, 6.0, 0.85, 0.12);
        }
        5 => {
            let who = s.goes(MOTO, 0.0, 0.95, 0.1);
            s.bodies[who].tremble = 0.006;
        }
        6 => {
            s.put(What::Person(SHIRT), &[(0.0, 0.2, 1.1), (10.0, 0.5, 1.1)]);
            s.put(What::Person([200, 90, 60]), &[(0.0, 0.6, 1.18), (10.0, 0.25, 1.18)]);
        }
        7 => _ = s.vehicle(MOTO, &[(0.0, 0.3, lane), (8.0, 0.3, lane), (9.5, 0.36, 0.8), (13.0, 0.85, 0.6)]),
        8 => {
            s.others(12, 8.0);
            s.goes(MOTO, 1.0, 0.9, 0.13);
        }
        _ => _ = s.vehicle(MOTO, &[(0.0, 0.0, 0.85), (2.0, 0.24, 0.9), (3.2, 0.27, lane), (16.0, 0.27, lane)]),
    }
    s
}

fn bus_lane(i: usize, seed: u64) -> Staged {
    let names = [
        "a bus",
        "a bus in rain",
        "turns through it",
        "beside it",
        "a bus among others",
        "at its edge",
        "a bus that stands",
        "cuts through",
        "a bus in a crowd",
        "two buses",
    ];
    let mut s = begin(Act::WrongLane, names, i, seed);
    let lane = 0.84;
    match i {
        0 | 1 => _ = s.goes(Kind::Bus, 0.5, lane, 0.11),
        2 => _ = s.vehicle(CAR, &[(0.0, 0.0, 0.5), (2.0, 0.22, 0.55), (3.6, 0.32, 1.4)]),
        3 => {
            s.goes(CAR, 0.0, 0.4, 0.12);
            s.goes(MOTO, 2.0, 0.5, 0.12);
        }
        4 => {
            s.goes(Kind::Bus, 0.0, lane, 0.12);
            s.goes(CAR, 1.0, 0.4, 0.12);
            s.goes(MOTO, 3.0, 0.5, 0.12);
        }
        5 => {
            let who = s.goes(MOTO, 0.0, 0.6, 0.11);
            s.bodies[who].tremble = 0.004;
        }
        6 => _ = s.vehicle(Kind::Bus, &[(0.0, 0.0, lane), (2.0, 0.25, lane), (12.0, 0.25, lane), (16.0, 0.85, lane)]),
        7 => {
            s.vehicle(MOTO, &[(0.0, 0.0, 0.45), (2.0, 0.3, 0.55), (3.5, 0.4, 1.5)]);
            s.vehicle(CAR, &[(4.0, 0.0, 0.45), (6.0, 0.25, 0.5), (7.6, 0.33, 1.5)]);
        }
        8 => {
            s.others(12, 8.0);
            s.goes(Kind::Bus, 1.0, lane, 0.12);
        }
        _ => {
            s.goes(Kind::Bus, 0.0, lane, 0.13);
            s.goes(Kind::Bus, 4.0, lane, 0.13);
        }
    }
    s
}

fn helmets(i: usize, seed: u64) -> Staged {
    let names = ["going", "coming", "two", "going slowly", "others", "coming fast", "near the kerb", "somebody on foot", "a car", "crowd"];
    let mut s = begin(Act::NoHelmet, names, i, seed);
    match i {
        0 | 3 => _ = s.goes(MOTO, 0.5, 0.4, 0.1),
        1 | 5 => _ = s.comes(MOTO, 0.5, -0.4, 0.12),
        2 => {
            s.goes(MOTO, 0.0, 0.3, 0.11);
            s.goes(MOTO, 1.0, 0.7, 0.11);
        }
        4 => {
            s.others(4, 6.0);
            s.goes(MOTO, 0.5, 0.7, 0.11);
        }
        6 => _ = s.goes(MOTO, 0.5, 0.85, 0.11),
        7 => {
            s.put(What::Person(SHIRT), &[(0.0, 0.2, 0.9), (10.0, 0.4, 0.9)]);
            s.goes(MOTO, 0.5, 0.5, 0.11);
        }
        8 => {
            s.goes(CAR, 0.0, 0.4, 0.12);
            s.goes(MOTO, 1.0, 0.75, 0.11);
        }
        _ => s.others(12, 8.0),
    }
    s.goes_on();
    s
}
