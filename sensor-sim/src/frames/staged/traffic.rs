//! What the camera's view forbids: each act ten times, by day, at night and in rain, alone and among others.

use huong_types::Act;

use super::{Kind, Staged};

/// Where the stop line and the line of direction lie, and how long one may stand in the zone where none may.
pub(super) const STOP: f64 = 0.25;
pub(super) const DIRECTION: f64 = 0.3;
pub(super) const DWELL: f64 = 12.0;
/// Lanes: the kerb's (also the bus lane), the pavement beside it.
pub(super) const KERB: (f64, f64) = (0.68, 1.0);
pub(super) const PAVEMENT: (f64, f64) = (1.03, 1.24);

const CAR: Kind = Kind::Car;
const MOTO: Kind = Kind::Motorbike;

impl Staged {
    /// What the camera of an act looks at.
    pub(super) fn set(mut self) -> Self {
        match self.act {
            Act::RedLight => self.line("stop", STOP),
            Act::WrongWay => self.line("direction", DIRECTION),
            Act::StopPark => self.zone("no-stopping", Some("12s"), (0.05, 0.7), KERB),
            Act::Pavement => self.zone("pavement", None, (0.15, 0.9), PAVEMENT),
            Act::WrongLane => self.zone("bus-lane", None, (0.05, 0.9), KERB),
            _ => self.line("count", DIRECTION),
        }
        self
    }

    /// Drives away from the camera, `speed` in depths a second: 0.22 are some 35 km/h.
    pub(super) fn goes(&mut self, kind: Kind, start: f64, lane: f64, speed: f64) -> usize {
        self.vehicle(kind, &[(start, -0.08, lane), (start + 0.98 / speed, 0.9, lane)])
    }

    /// Drives towards the camera.
    pub(super) fn comes(&mut self, kind: Kind, start: f64, lane: f64, speed: f64) -> usize {
        self.vehicle(kind, &[(start, 0.9, lane), (start + 0.98 / speed, -0.08, lane)])
    }

    /// Others who do as they should: on the left they come, on the right they go, in lanes and at depths of their own.
    pub(super) fn others(&mut self, count: usize, seconds: f64) {
        let mut dice = self.dice("others");
        for i in 0..count {
            let kind = *dice.pick(&[MOTO, MOTO, CAR, MOTO, CAR, Kind::Bus]);
            let (start, speed) = (seconds * i as f64 / count as f64 + dice.between(0.0, 0.5), dice.between(0.16, 0.26));
            if i % 2 == 0 {
                self.comes(kind, start, -0.75 + 0.25 * (i % 3) as f64, speed);
            } else if self.act != Act::RedLight {
                self.goes(kind, start, 0.2, speed);
            }
        }
    }

    /// Waits before the stop line until it is green, for those who do.
    pub(super) fn waits(&mut self, kind: Kind, start: f64, lane: f64, depth: f64, until: f64) -> usize {
        let arrived = start + (depth + 0.08) / 0.2;
        self.vehicle(
            kind,
            &[(start, -0.08, lane), (arrived, depth, lane), (until.max(arrived), depth, lane), (until.max(arrived) + 4.0, 0.9, lane)],
        )
    }

    /// One who drives over a line: the truth is about that moment.
    fn crosses(&mut self, who: usize, at: f64) {
        self.commits(self.act, who, at - 2.5, at + 2.0);
    }
}

pub(super) fn scene(act: Act, i: usize, seed: u64) -> Staged {
    let names = ["alone", "small", "large", "motorbike", "others wait", "fast", "after a halt", "others come", "two", "crowd"];
    let scene = Staged::new(act, names[i], i, seed).set();
    match act {
        Act::RedLight => red_light(scene, i),
        Act::WrongWay => wrong_way(scene, i),
        Act::StopPark => stop_park(scene, i),
        Act::Pavement => pavement(scene, i),
        Act::WrongLane => bus_lane(scene, i),
        _ => no_helmet(scene, i),
    }
}

fn red_light(mut s: Staged, i: usize) -> Staged {
    s.lights(match i {
        4 => &[(0.0, 2), (1.5, 1), (3.0, 0), (11.5, 2)],
        9 => &[(0.0, 0), (11.5, 2)],
        _ => &[(0.0, 0)],
    });
    // From its start until it is over the line.
    let reach = |speed: f64| (STOP + 0.08) / speed;
    let run = |s: &mut Staged, kind, start: f64, lane, speed: f64| {
        let who = s.goes(kind, start, lane, speed);
        s.crosses(who, start + reach(speed));
    };
    match i {
        0 => run(&mut s, CAR, 1.5, 0.35, 0.2),
        1 => run(&mut s, MOTO, 2.0, 0.5, 0.16),
        2 => run(&mut s, Kind::Bus, 2.0, 0.4, 0.15),
        3 => run(&mut s, MOTO, 1.5, 0.3, 0.18),
        4 => {
            s.waits(CAR, 0.0, 0.75, 0.19, 12.0);
            run(&mut s, CAR, 4.0, 0.25, 0.2);
        }
        5 => run(&mut s, MOTO, 2.0, 0.5, 0.28),
        6 => {
            let who = s.vehicle(CAR, &[(0.0, -0.08, 0.4), (1.5, 0.2, 0.4), (6.0, 0.2, 0.4), (7.0, 0.27, 0.4), (11.0, 0.9, 0.4)]);
            s.crosses(who, 6.8);
        }
        7 => {
            s.others(6, 8.0);
            run(&mut s, Kind::Truck, 2.5, 0.4, 0.16);
        }
        8 => {
            run(&mut s, MOTO, 1.5, 0.2, 0.18);
            run(&mut s, MOTO, 2.6, 0.75, 0.18);
        }
        _ => {
            for (lane, depth) in [(0.12, 0.18), (0.8, 0.2), (0.62, 0.17), (0.9, 0.12)] {
                s.waits(MOTO, 0.0, lane, depth, 12.0);
            }
            s.others(6, 10.0);
            run(&mut s, MOTO, 4.0, 0.36, 0.2);
        }
    }
    s
}

fn wrong_way(mut s: Staged, i: usize) -> Staged {
    let against = |s: &mut Staged, kind, start: f64, lane, speed: f64| {
        let who = s.comes(kind, start, lane, speed);
        s.crosses(who, start + (0.9 - DIRECTION) / speed);
    };
    match i {
        0 => against(&mut s, CAR, 0.0, 0.4, 0.16),
        1 => against(&mut s, MOTO, 0.5, 0.6, 0.14),
        2 => against(&mut s, Kind::Truck, 0.5, 0.5, 0.14),
        3 => against(&mut s, MOTO, 0.5, 0.9, 0.13),
        4 => {
            s.goes(CAR, 0.0, 0.25, 0.2);
            s.goes(MOTO, 2.0, 0.3, 0.2);
            against(&mut s, MOTO, 0.0, 0.85, 0.14);
        }
        5 => against(&mut s, MOTO, 0.5, 0.7, 0.24),
        6 => {
            let who = s.vehicle(MOTO, &[(0.0, 0.5, 1.3), (1.5, 0.48, 0.9), (3.0, 0.44, 0.85), (7.0, 0.0, 0.85)]);
            s.crosses(who, 4.3);
        }
        7 => {
            s.others(6, 6.0);
            against(&mut s, CAR, 0.5, 0.65, 0.14);
        }
        8 => {
            against(&mut s, MOTO, 0.0, 0.8, 0.14);
            against(&mut s, MOTO, 1.6, 0.8, 0.14);
        }
        _ => {
            s.others(10, 8.0);
            against(&mut s, MOTO, 1.5, 0.8, 0.14);
        }
    }
    s
}

fn stop_park(mut s: Staged, i: usize) -> Staged {
    let lane = 0.84;
    // Drives up, stands, goes on.
    let stands = |s: &mut Staged, kind, start: f64, depth: f64, stay: f64| {
        let (there, off) = (start + 2.0, start + 2.0 + stay);
        let who = s.vehicle(kind, &[(start, depth - 0.25, 0.5), (there, depth, lane), (off, depth, lane), (off + 3.0, depth + 0.45, 0.5)]);
        s.commits(Act::StopPark, who, start, off + 1.0);
    };
    let long = DWELL + 7.0;
    match i {
        0 => stands(&mut s, CAR, 0.0, 0.25, long),
        1 => stands(&mut s, MOTO, 0.0, 0.22, long),
        2 => stands(&mut s, Kind::Truck, 0.0, 0.3, long),
        3 => stands(&mut s, MOTO, 0.0, 0.18, long),
        4 => {
            stands(&mut s, CAR, 0.0, 0.3, long + 4.0);
            for start in [4.0, 9.0, 13.0, 17.0] {
                s.goes(CAR, start, 0.45, 0.16);
            }
        }
        5 => stands(&mut s, CAR, 0.0, 0.4, long),
        6 => {
            stands(&mut s, CAR, 0.0, 0.3, long);
            s.put(super::What::Person([200, 60, 60]), &[(4.0, 0.28, 1.1), (12.0, 0.28, 1.15), (20.0, 0.6, 1.15)]);
        }
        7 => {
            s.others(8, 20.0);
            stands(&mut s, Kind::Bus, 0.0, 0.35, long);
        }
        8 => {
            stands(&mut s, CAR, 0.0, 0.45, long + 3.0);
            stands(&mut s, MOTO, 2.0, 0.2, long);
        }
        _ => {
            stands(&mut s, CAR, 0.0, 0.3, long + 6.0);
            s.others(16, 24.0);
            for start in [6.0, 12.0, 18.0] {
                s.goes(MOTO, start, 0.55, 0.14);
            }
        }
    }
    s
}

fn pavement(mut s: Staged, i: usize) -> Staged {
    let lane = 1.13;
    let rides = |s: &mut Staged, kind, start: f64, coming: bool, speed: f64| {
        let who = if coming { s.comes(kind, start, lane, speed) } else { s.goes(kind, start, lane, speed) };
        s.commits(Act::Pavement, who, start, start + 0.98 / speed);
    };
    match i {
        0 => rides(&mut s, MOTO, 0.5, false, 0.12),
        1 => rides(&mut s, MOTO, 0.5, true, 0.1),
        2 => rides(&mut s, CAR, 0.5, false, 0.1),
        3 => rides(&mut s, MOTO, 0.5, false, 0.1),
        4 => {
            s.goes(CAR, 0.0, 0.5, 0.1);
            s.goes(MOTO, 2.0, 0.75, 0.1);
            rides(&mut s, MOTO, 1.0, false, 0.11);
        }
        5 => rides(&mut s, MOTO, 0.5, true, 0.14),
        6 => {
            let who = s.vehicle(MOTO, &[(0.0, 0.0, 0.85), (2.0, 0.2, 0.85), (3.0, 0.26, 1.12), (8.0, 0.8, 1.12)]);
            s.commits(Act::Pavement, who, 2.0, 8.0);
        }
        7 => {
            s.others(6, 6.0);
            rides(&mut s, MOTO, 1.0, true, 0.11);
        }
        8 => {
            rides(&mut s, MOTO, 0.0, false, 0.11);
            rides(&mut s, MOTO, 2.5, false, 0.11);
        }
        _ => {
            s.others(10, 8.0);
            s.put(super::What::Person([70, 120, 180]), &[(0.0, 0.7, 1.18), (10.0, 0.5, 1.18)]);
            rides(&mut s, MOTO, 1.0, false, 0.12);
        }
    }
    s
}

fn bus_lane(mut s: Staged, i: usize) -> Staged {
    let lane = 0.84;
    let drives = |s: &mut Staged, kind, start: f64, speed: f64| {
        let who = s.goes(kind, start, lane, speed);
        s.commits(Act::WrongLane, who, start, start + 0.98 / speed);
    };
    match i {
        0 => drives(&mut s, CAR, 0.5, 0.12),
        1 => drives(&mut s, MOTO, 0.5, 0.11),
        2 => drives(&mut s, Kind::Truck, 0.5, 0.1),
        3 => drives(&mut s, MOTO, 0.5, 0.1),
        4 => {
            s.goes(CAR, 0.0, 0.35, 0.1);
            drives(&mut s, CAR, 1.0, 0.11);
        }
        5 => drives(&mut s, CAR, 0.5, 0.15),
        6 => {
            let who = s.vehicle(CAR, &[(0.0, 0.0, 0.5), (1.5, 0.18, 0.5), (3.0, 0.3, 0.84), (8.0, 0.85, 0.84)]);
            s.commits(Act::WrongLane, who, 2.0, 8.0);
        }
        7 => {
            s.others(6, 6.0);
            drives(&mut s, CAR, 1.0, 0.12);
        }
        8 => {
            drives(&mut s, MOTO, 0.0, 0.11);
            drives(&mut s, CAR, 3.0, 0.11);
        }
        _ => {
            s.others(10, 8.0);
            s.goes(Kind::Bus, 0.0, lane, 0.12);
            drives(&mut s, MOTO, 3.5, 0.12);
        }
    }
    s
}

fn no_helmet(mut s: Staged, i: usize) -> Staged {
    let rides = |s: &mut Staged, start: f64, lane, coming: bool| {
        let who = if coming { s.comes(MOTO, start, lane, 0.11) } else { s.goes(MOTO, start, lane, 0.11) };
        s.bare(who);
        s.commits(Act::NoHelmet, who, start, start + 9.0);
    };
    match i {
        0 | 2 | 3 => rides(&mut s, 0.5, 0.4, false),
        1 | 5 => rides(&mut s, 0.5, -0.4, true),
        4 => {
            s.goes(MOTO, 0.0, 0.7, 0.11);
            rides(&mut s, 1.0, 0.3, false);
        }
        6 => rides(&mut s, 0.5, 0.8, false),
        7 => {
            s.others(6, 8.0);
            rides(&mut s, 1.0, 0.6, false);
        }
        8 => {
            rides(&mut s, 0.0, 0.3, false);
            rides(&mut s, 1.5, 0.75, false);
        }
        _ => {
            s.others(8, 8.0);
            rides(&mut s, 1.0, 0.7, false);
        }
    }
    s.goes_on();
    s
}
