//! One street scene: a road in perspective between houses and trees, its traffic, the light of the hour.
//!
//! Invariant: a picture is a function of seed, view and [`Moment`] alone.

use super::canvas::{Canvas, Color};
use super::vehicle::{Kind, Light, Vehicle};
use crate::dice::Dice;

/// How bright and how wet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sky {
    pub(super) night: bool,
    pub(super) rain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Crowd {
    /// A dam or a road under water: no vehicle.
    Empty,
    Light,
    Normal,
    Jam,
}

impl Crowd {
    pub(super) fn vehicles(self, dice: &mut Dice) -> usize {
        match self {
            Crowd::Empty => 0,
            Crowd::Light => 3 + dice.below(3),
            Crowd::Normal => 8 + dice.below(4),
            Crowd::Jam => 32 + dice.below(8),
        }
    }
}

/// What a view shows at a moment. Vehicles go round once in [`PHASES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Moment {
    pub(super) sky: Sky,
    pub(super) crowd: Crowd,
    pub(super) phase: usize,
}

pub(super) const PHASES: usize = 6;

/// The horizon, and how fast things shrink towards it.
pub(super) const HORIZON: f64 = 0.3;
const SHRINK: f64 = 5.0;
/// Half the road's width at the lower edge of the picture, as a fraction of the picture's width, and in metres.
pub(super) const HALF_ROAD: f64 = 0.62;
pub(super) const HALF_ROAD_METRES: f64 = 5.5;
/// Middles of the lanes; left of the middle traffic comes near, as it does where one drives on the right.
const LANES: [f64; 6] = [-0.82, -0.5, -0.2, 0.2, 0.5, 0.82];

/// RGB pixels of `width` × `height`.
pub(super) fn street(seed: u64, view: usize, moment: Moment, (width, height): (usize, usize)) -> Vec<u8> {
    let mut canvas = Canvas::new(width, height);
    let name = format!("street {view}");
    let mut place = Dice::new(seed, &name, 0);
    let mut lights = Vec::new();
    surroundings(&mut canvas, &mut place, moment.sky);
    road(&mut canvas, &mut lights);
    traffic(&mut canvas, &mut Dice::new(seed, &name, 1), moment, &mut lights);
    finish(&mut canvas, moment.sky, &lights, &mut Dice::new(seed, &name, 2 + moment.phase as i64));
    with_grain(&canvas, &mut Dice::new(seed, &name, 100 + moment.phase as i64))
}

/// A reservoir seen from its dam: water, hills, the parapet.
pub(super) fn dam(seed: u64, view: usize, sky: Sky, phase: usize, (width, height): (usize, usize)) -> Vec<u8> {
    let mut canvas = Canvas::new(width, height);
    let name = format!("dam {view}");
    let mut place = Dice::new(seed, &name, 0);
    paint_sky(&mut canvas, sky);
    hills(&mut canvas, &mut place, 9);
    canvas.gradient(0.0, 0.42, 1.0, 0.85, [96, 118, 118], [70, 84, 74]);
    let mut ripple = Dice::new(seed, &name, 1 + phase as i64);
    for _ in 0..70 {
        let (x, y) = (ripple.unit(), ripple.between(0.44, 0.84));
        canvas.rect(x, y, x + 0.08 * y, y + 0.004, [128, 146, 144]);
    }
    canvas.rect(0.0, 0.85, 1.0, 1.0, [132, 130, 124]);
    for post in 0..16 {
        let x = f64::from(post) / 16.0 + 0.02;
        canvas.rect(x, 0.76, x + 0.008, 0.9, [92, 92, 90]);
    }
    canvas.rect(0.0, 0.76, 1.0, 0.775, [92, 92, 90]);
    finish(&mut canvas, sky, &[(0.2, 0.7, 0.1, [250, 220, 150]), (0.8, 0.7, 0.1, [250, 220, 150])], &mut ripple);
    with_grain(&canvas, &mut Dice::new(seed, &name, 100 + phase as i64))
}

fn paint_sky(canvas: &mut Canvas, sky: Sky) {
    let (top, low): (Color, Color) = if sky.rain { ([140, 146, 152], [188, 190, 190]) } else { ([112, 160, 214], [206, 222, 232]) };
    canvas.gradient(0.0, 0.0, 1.0, 0.45, top, low);
}

fn hills(canvas: &mut Canvas, place: &mut Dice, count: usize) {
    for _ in 0..count {
        let green = place.between(60.0, 100.0) as u8;
        canvas.ellipse(place.unit(), 0.46, place.between(0.12, 0.3), place.between(0.03, 0.12), [green - 20, green + 14, green]);
    }
}

pub(super) fn surroundings(canvas: &mut Canvas, place: &mut Dice, sky: Sky) {
    paint_sky(canvas, sky);
    hills(canvas, place, 4);
    canvas.rect(0.0, HORIZON + 0.04, 1.0, 1.0, [120, 116, 106]);
    // Houses from far to near on both sides, then trees between them and the kerb.
    for row in (0..7).rev() {
        let (scale, ground) = perspective(f64::from(row) / 7.0 + 0.04);
        for side in [-1.0, 1.0] {
            let wall: Color = *place.pick(&[[206, 190, 150], [188, 196, 200], [214, 206, 190], [170, 140, 120], [196, 180, 110]]);
            let near = 0.5 + side * (HALF_ROAD * 1.5) * scale;
            let far = near + side * 0.55 * scale;
            let (left, right) = (near.min(far), near.max(far));
            let top = ground - place.between(0.45, 1.0) * scale;
            canvas.rect(left, top, right, ground, wall);
            canvas.rect(left, top - 0.02 * scale, right, top, [150, 70, 50]);
            windows(canvas, (left, top, right, ground), scale);
            let (trunk, crown) = (0.5 + side * (HALF_ROAD * 1.28) * scale, place.between(0.06, 0.1) * scale);
            canvas.rect(trunk - 0.008 * scale, ground - 0.3 * scale, trunk + 0.008 * scale, ground, [86, 66, 50]);
            canvas.ellipse(trunk, ground - 0.36 * scale, crown, crown * 1.2, [48, place.between(84.0, 118.0) as u8, 50]);
        }
    }
}

fn windows(canvas: &mut Canvas, (left, top, right, ground): (f64, f64, f64, f64), scale: f64) {
    let mut y = top + 0.06 * scale;
    while y + 0.1 * scale < ground {
        for column in 0..3 {
            let x = left + (right - left) * (0.12 + 0.3 * f64::from(column));
            canvas.rect(x, y, x + (right - left) * 0.16, y + 0.08 * scale, [64, 78, 90]);
        }
        y += 0.17 * scale;
    }
}

pub(super) fn road(canvas: &mut Canvas, lights: &mut Vec<Light>) {
    let at = |depth: f64, lane: f64| {
        let (scale, y) = perspective(depth);
        (0.5 + lane * HALF_ROAD * scale, y)
    };
    let strip = |canvas: &mut Canvas, from: f64, to: f64, left: f64, right: f64, color: Color| {
        let ((l0, y0), (r0, _)) = (at(to, left), at(to, right));
        let ((l1, y1), (r1, _)) = (at(from, left), at(from, right));
        canvas.trapezoid((y0, l0, r0), (y1, l1, r1), color);
    };
    strip(canvas, -0.05, 1.0, -1.22, 1.22, [158, 152, 146]);
    strip(canvas, -0.05, 1.0, -1.02, 1.02, [186, 184, 178]);
    strip(canvas, -0.05, 1.0, -1.0, 1.0, [84, 86, 90]);
    strip(canvas, -0.05, 1.0, -0.012, 0.012, [214, 176, 60]);
    for dash in 0..12 {
        let from = f64::from(dash) / 12.0;
        for lane in [-0.66, -0.34, 0.34, 0.66] {
            strip(canvas, from, from + 0.035, lane - 0.012, lane + 0.012, [216, 216, 212]);
        }
    }
    for lamp in [0.12, 0.4, 0.75] {
        let (scale, y) = perspective(lamp);
        let x = 0.5 + HALF_ROAD * 1.1 * scale;
        let head = y - 0.75 * scale;
        canvas.rect(x, head, x + 0.01 * scale, y, [96, 100, 104]);
        canvas.rect(x - 0.1 * scale, head, x, head + 0.012 * scale, [96, 100, 104]);
        lights.push((x - 0.1 * scale, head, 0.32 * scale, [230, 180, 100]));
    }
}

fn traffic(canvas: &mut Canvas, dice: &mut Dice, moment: Moment, lights: &mut Vec<Light>) {
    let count = moment.crowd.vehicles(dice);
    let gone = moment.phase as f64 / PHASES as f64;
    let mut placed: Vec<(f64, f64, Vehicle)> = (0..count)
        .map(|i| {
            // Lanes in turn and depths apart, so that a jam is a queue and not a heap.
            let lane = LANES[i % LANES.len()];
            let vehicle = Vehicle::draw(dice, lane < 0.0);
            let slot = (i / LANES.len()) as f64 + dice.between(0.1, 0.6);
            let depth = if moment.crowd == Crowd::Jam { slot / 7.0 + 0.02 * gone } else { dice.unit() };
            let way = if vehicle.coming { -gone } else { gone };
            let depth = if moment.crowd == Crowd::Jam { depth } else { (depth + way).rem_euclid(1.0) };
            (depth, lane + dice.between(-0.05, 0.05), vehicle)
        })
        .collect();
    placed.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (depth, lane, vehicle) in placed {
        let (scale, y) = perspective(depth * 0.9 + 0.02);
        let width = vehicle.kind.metres() / HALF_ROAD_METRES * HALF_ROAD * scale;
        let width = if vehicle.kind == Kind::Motorbike { width * 1.1 } else { width };
        vehicle.paint(canvas, 0.5 + lane * HALF_ROAD * scale, y, width, lights);
    }
}

pub(super) fn finish(canvas: &mut Canvas, sky: Sky, lights: &[Light], dice: &mut Dice) {
    match (sky.night, sky.rain) {
        (true, _) => canvas.tint([0.3, 0.31, 0.38], 6.0),
        (false, true) => canvas.tint([0.72, 0.75, 0.78], 12.0),
        (false, false) => {}
    }
    if sky.night {
        for (x, y, radius, color) in lights {
            canvas.glow(*x, *y, *radius, *color);
        }
    }
    if sky.rain {
        let streak: Color = if sky.night { [74, 78, 92] } else { [196, 200, 204] };
        for _ in 0..260 {
            let (x, y) = (dice.unit(), dice.unit());
            canvas.rect(x, y, x + 0.0012, y + dice.between(0.01, 0.035), streak);
        }
    }
}

pub(super) fn with_grain(canvas: &Canvas, dice: &mut Dice) -> Vec<u8> {
    let mut bits = 0u64;
    canvas.frame(|| {
        bits = if bits < 8 { dice.next() } else { bits / 5 };
        (bits % 5) as i32 - 2
    })
}

/// Scale and height in the picture of a place on the road: `depth` 0 is the lower edge, 1 far away.
pub(super) fn perspective(depth: f64) -> (f64, f64) {
    let scale = 1.0 / (1.0 + SHRINK * depth);
    (scale, HORIZON + (1.02 - HORIZON) * scale)
}
