//! Short scenes before one camera, each with what happens in it and who does it: what an evaluation of violations looks at.
//!
//! Invariant: a scene is a function of its act, its number and the seed; its truths say all that its camera's view forbids and that
//! happens in it, and where the drawing of who does it stands at every moment.

mod lawful;
mod litter;
mod photo;
mod traffic;

use std::f64::consts::TAU;

use bytes::Bytes;
use huong_types::{Act, BoundingBox, Candidate, EvidenceFrame, Timestamp};

use super::canvas::{Canvas, Color};
use super::scene::{self, HALF_ROAD, HALF_ROAD_METRES, Sky};
use super::vehicle::{Kind, Light, Vehicle};
use crate::dice::Dice;
pub use photo::Photo;

/// The camera of the registry before which all scenes are set.
pub const CAMERA: &str = "cam-003";
/// Of the pictures, in pixels.
pub const SIZE: (usize, usize) = (1280, 720);
/// When every scene begins, in milliseconds: 08:00 in Huế on 1 July 2025.
pub const START: i64 = 1_751_331_600_000;
const QUALITY: i32 = 80;
/// Scenes of one act: half of them show it, half only look like it.
pub const SCENES: usize = 20;

/// What somebody in a scene does.
#[derive(Clone, Debug)]
pub struct Truth {
    pub act: Act,
    /// Who, by position among the scene's bodies; see [`Staged::place`].
    pub who: usize,
    /// From when it is forbidden, to when it is over.
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A scene: a script that [`Staged::play`] draws.
#[derive(Clone, Debug)]
pub struct Staged {
    pub name: String,
    /// The act that it shows or looks like.
    pub act: Act,
    pub night: bool,
    pub rain: bool,
    /// Zones, lines and signals, as in `views.toml`.
    pub view: String,
    pub truths: Vec<Truth>,
    /// Something else that must not be missed, such as `cleared`, by when.
    pub told: Option<(&'static str, Timestamp)>,
    fps: f64,
    seconds: f64,
    bodies: Vec<Body>,
    /// From which second the signal shows what: 0 red, 1 yellow, 2 green, anything else nothing.
    signal: Vec<(f64, usize)>,
    seed: u64,
}

/// Somebody or something in a scene, and where it is when.
#[derive(Clone, Debug)]
struct Body {
    what: What,
    /// Second, depth (0 is the lower edge), lane (-1 to 1 over the road); there from the first to the last, straight between two.
    path: Vec<(f64, f64, f64)>,
    /// How far its place trembles, in lanes and depths.
    tremble: f64,
    /// Over the drawn head of a rider.
    head: Option<Photo>,
}

#[derive(Clone, Debug)]
enum What {
    Vehicle(Vehicle),
    /// The colour of the shirt.
    Person(Color),
    /// Seed of its bags.
    Heap(u64),
    /// Whether more is in it than it holds.
    Bin(bool),
    /// A heap of waste that was photographed.
    Photo(Photo),
}

impl What {
    /// Width in metres, height over width.
    fn size(&self) -> (f64, f64) {
        match self {
            What::Vehicle(vehicle) if vehicle.kind == Kind::Motorbike => (Kind::Motorbike.metres() * 1.1, Kind::Motorbike.height()),
            What::Vehicle(vehicle) => (vehicle.kind.metres(), vehicle.kind.height()),
            What::Person(_) => (0.6, 2.8),
            What::Heap(_) => (2.2, 0.5),
            What::Bin(over) => (1.2, if *over { 1.6 } else { 1.25 }),
            What::Photo(photo) => (2.2, photo.shape()),
        }
    }
}

/// The scenes of an act, the first half with it, the second without.
pub fn scenes(act: Act, seed: u64) -> Vec<Staged> {
    (0..SCENES).map(|i| scene_of(act, i, seed)).collect()
}

fn scene_of(act: Act, i: usize, seed: u64) -> Staged {
    let (shows, i) = (i < SCENES / 2, i % (SCENES / 2));
    match act {
        Act::WasteHeap | Act::BinOverflow | Act::DumpingAct => litter::scene(act, shows, i, seed),
        _ if shows => traffic::scene(act, i, seed),
        _ => lawful::scene(act, i, seed),
    }
}

impl Staged {
    /// By day, at night, in rain, in rain at night, in turn.
    fn new(act: Act, name: &str, i: usize, seed: u64) -> Self {
        let (night, rain) = ([false, true, false, true, false][i % 5], [false, false, true, true, false][i % 5]);
        Self {
            name: format!("{}/{i}/{name}", act.as_str()),
            act,
            night,
            rain,
            view: String::new(),
            truths: Vec::new(),
            told: None,
            fps: [3.0, 2.0, 5.0, 4.0][i % 4],
            seconds: 0.0,
            bodies: Vec::new(),
            signal: Vec::new(),
            seed: seed.wrapping_mul(1000).wrapping_add(i as u64),
        }
    }

    fn dice(&self, thing: &str) -> Dice {
        Dice::new(self.seed, &format!("{} {thing}", self.name), 0)
    }

    /// Puts something on the scene and tells its position.
    fn put(&mut self, what: What, path: &[(f64, f64, f64)]) -> usize {
        self.seconds = path.last().map_or(0.0, |last| last.0).max(self.seconds);
        self.bodies.push(Body { what, path: path.to_vec(), tremble: 0.0, head: None });
        self.bodies.len() - 1
    }

    fn vehicle(&mut self, kind: Kind, path: &[(f64, f64, f64)]) -> usize {
        let coming = path.first().zip(path.last()).is_some_and(|(first, last)| last.1 < first.1);
        let vehicle = Vehicle::of(kind, &mut self.dice(&format!("vehicle {}", self.bodies.len())), coming);
        self.put(What::Vehicle(vehicle), path)
    }

    /// The street is watched for a while after all are gone: some things are decided then.
    fn goes_on(&mut self) {
        self.seconds += 6.0;
    }

    /// Takes the rider's helmet away.
    fn bare(&mut self, who: usize) {
        if let What::Vehicle(vehicle) = &mut self.bodies[who].what {
            vehicle.bare = true;
        }
    }

    /// Heaps and riders' heads out of photos in place of drawn ones, in turn; each of the lists must hold one at least.
    #[must_use]
    pub fn with_photos(mut self, heaps: &[Photo], bare: &[Photo], covered: &[Photo]) -> Self {
        for (i, body) in self.bodies.iter_mut().enumerate() {
            match &body.what {
                What::Heap(seed) => body.what = What::Photo(heaps[*seed as usize % heaps.len()].clone()),
                What::Vehicle(vehicle) if vehicle.kind == Kind::Motorbike => {
                    let heads = if vehicle.bare { bare } else { covered };
                    body.head = Some(heads[(self.seed as usize + i) % heads.len()].clone());
                }
                _ => {}
            }
        }
        self
    }

    fn commits(&mut self, act: Act, who: usize, from: f64, to: f64) {
        self.truths.push(Truth { act, who, from: moment(from), to: moment(to) });
    }

    /// A zone whose corners are places on the road: from which depth to which, from which lane to which.
    fn zone(&mut self, kind: &str, dwell: Option<&str>, depths: (f64, f64), lanes: (f64, f64)) {
        let corners = [(depths.0, lanes.0), (depths.0, lanes.1), (depths.1, lanes.1), (depths.1, lanes.0)];
        let points: Vec<String> = corners.map(|(depth, lane)| point(depth, lane)).to_vec();
        let dwell = dwell.map_or_else(String::new, |dwell| format!("dwell = \"{dwell}\"\n"));
        self.view += &format!("[[camera.zone]]\nname = \"{kind}-zone\"\nkind = \"{kind}\"\npoints = [{}]\n{dwell}", points.join(", "));
    }

    /// A line over the right half of the road, crossed forward by what goes away.
    fn line(&mut self, kind: &str, depth: f64) {
        let signal = if kind == "stop" { "signal = \"north\"\n" } else { "" };
        let (from, to) = (point(depth, 1.0), point(depth, 0.02));
        self.view += &format!("[[camera.line]]\nname = \"{kind}-line\"\nkind = \"{kind}\"\nfrom = {from}\nto = {to}\n{signal}");
    }

    /// A signal head, and which lamp is lit from which second.
    fn lights(&mut self, phases: &[(f64, usize)]) {
        self.signal = phases.to_vec();
        let lamp = |i: usize| {
            let (x, y, radius) = lamp(i);
            let high = radius * SIZE.0 as f64 / SIZE.1 as f64;
            format!("[{:.4}, {:.4}, {:.4}, {:.4}]", x - radius, y - high, 2.0 * radius, 2.0 * high)
        };
        let lamps = format!("red = {}\nyellow = {}\ngreen = {}", lamp(0), lamp(1), lamp(2));
        self.view += &format!("[[camera.signal]]\nname = \"north\"\n{lamps}\n");
    }

    /// All of `views.toml` for this scene.
    pub fn views(&self) -> String {
        format!("[[camera]]\nid = \"{CAMERA}\"\n{}", self.view)
    }

    /// Where the body `who` is drawn at that moment, in pixels; `None` while it is not there.
    pub fn place(&self, who: usize, at: Timestamp) -> Option<BoundingBox> {
        let second = (at.as_millis() - START) as f64 / 1000.0;
        let body = self.bodies.get(who)?;
        let (x, y, width) = body.stands(second)?;
        let (wide, high) = (width * SIZE.0 as f64, width * SIZE.0 as f64 * body.what.size().1);
        let (left, top) = (x * SIZE.0 as f64 - wide / 2.0, y * SIZE.1 as f64 - high);
        Some(BoundingBox { x: left as f32, y: top as f32, width: wide as f32, height: high as f32 })
    }

    /// Whether a candidate is of this truth: its act, begun in its time, and each picture's box where the body was drawn (an overlap, IoU, of
    /// 0.3 at least). Before something was left behind, it is not there yet.
    pub fn shows(&self, truth: &Truth, candidate: &Candidate) -> bool {
        let lies = |frame: &EvidenceFrame| match self.place(truth.who, frame.at) {
            Some(drawn) => drawn.iou(&frame.bbox) >= 0.3,
            None => truth.act == Act::DumpingAct && *frame.moment == *"before",
        };
        truth.act == candidate.act && (truth.from..=truth.to).contains(&candidate.began) && candidate.frames.iter().all(lies)
    }

    /// The pictures in order, each with its time, drawn as they are asked for.
    pub fn play(&self) -> impl Iterator<Item = anyhow::Result<(Timestamp, Bytes)>> {
        let mut lamps: Vec<Light> = Vec::new();
        let mut street = Canvas::new(SIZE.0, SIZE.1);
        let sky = Sky { night: self.night, rain: self.rain };
        scene::surroundings(&mut street, &mut self.dice("place"), sky);
        scene::road(&mut street, &mut lamps);
        let frames = (self.seconds * self.fps).floor() as usize + 1;
        (0..frames).map(move |i| {
            let at = moment(i as f64 / self.fps);
            let pixels = self.picture(street.clone(), lamps.clone(), sky, i);
            let mut compressor = turbojpeg::Compressor::new()?;
            compressor.set_quality(QUALITY)?;
            compressor.set_subsamp(turbojpeg::Subsamp::Sub2x2)?;
            let image = turbojpeg::Image {
                pixels: pixels.as_slice(),
                width: SIZE.0,
                pitch: SIZE.0 * 3,
                height: SIZE.1,
                format: turbojpeg::PixelFormat::RGB,
            };
            Ok((at, Bytes::from(compressor.compress_to_vec(image)?)))
        })
    }

    fn picture(&self, mut canvas: Canvas, mut lights: Vec<Light>, sky: Sky, turn: usize) -> Vec<u8> {
        let second = turn as f64 / self.fps;
        let lit = self.signal.iter().rev().find(|(from, _)| *from <= second).map(|(_, lamp)| *lamp);
        if !self.signal.is_empty() {
            head(&mut canvas);
        }
        let mut there: Vec<(&Body, f64)> = self.bodies.iter().filter_map(|body| Some((body, body.at(second)?.0))).collect();
        there.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut glows = lit.is_some();
        for (body, _) in there {
            let Some((x, y, width)) = body.stands(second) else { continue };
            // A lamp behind a lorry is not seen, and does not shine through it at night.
            let (left, top) = (x - width / 2.0, y - width * body.what.size().1 * SIZE.0 as f64 / SIZE.1 as f64);
            glows &= !(left < lamp(0).0 && x + width / 2.0 > lamp(0).0 && top < lamp(0).1);
            match &body.what {
                What::Vehicle(vehicle) => vehicle.paint(&mut canvas, x, y, width, &mut lights),
                What::Person(shirt) => person(&mut canvas, x, y, width, *shirt, second),
                What::Heap(seed) => heap(&mut canvas, x, y, width, *seed),
                What::Bin(over) => bin(&mut canvas, x, y, width, *over),
                What::Photo(photo) => photo.paint(&mut canvas, x, y, width),
            }
            if let Some(head) = &body.head {
                // Over the drawn one, which is 0.48 widths high and begins 1.82 widths up.
                let neck = y - 1.82 * width / canvas.aspect();
                head.paint(&mut canvas, x, neck, 0.48 * width / head.shape());
            }
        }
        if let Some(lit) = lit.filter(|_| glows && !sky.night) {
            light(&mut canvas, lit);
        }
        scene::finish(&mut canvas, sky, &lights, &mut Dice::new(self.seed, "rain", turn as i64));
        if let Some(lit) = lit.filter(|_| glows && sky.night) {
            light(&mut canvas, lit);
        }
        scene::with_grain(&canvas, &mut Dice::new(self.seed, "grain", turn as i64))
    }
}

impl Body {
    /// Depth and lane; `None` while it is not there.
    fn at(&self, second: f64) -> Option<(f64, f64)> {
        let (first, last) = (self.path.first()?, self.path.last()?);
        if second < first.0 || second > last.0 {
            return None;
        }
        let next = self.path.iter().position(|(from, ..)| *from >= second)?;
        let (to, from) = (self.path[next], self.path[next.saturating_sub(1)]);
        let share = if to.0 > from.0 { (second - from.0) / (to.0 - from.0) } else { 0.0 };
        let shake = |phase: f64| self.tremble * (second * 7.0 + phase).sin() * (second * 3.1 * TAU).cos();
        Some((from.1 + (to.1 - from.1) * share + shake(0.0), from.2 + (to.2 - from.2) * share + shake(2.0)))
    }

    /// Where it stands in the picture, and how wide it is there, in fractions of the picture.
    fn stands(&self, second: f64) -> Option<(f64, f64, f64)> {
        let (depth, lane) = self.at(second)?;
        let (scale, y) = scene::perspective(depth);
        Some((0.5 + lane * HALF_ROAD * scale, y, self.what.size().0 / HALF_ROAD_METRES * HALF_ROAD * scale))
    }
}

fn moment(second: f64) -> Timestamp {
    Timestamp::from_millis(START + (second * 1000.0).round() as i64)
}

/// A place on the road as a point of `views.toml`.
fn point(depth: f64, lane: f64) -> String {
    let (scale, y) = scene::perspective(depth);
    format!("[{:.4}, {:.4}]", (0.5 + lane * HALF_ROAD * scale).clamp(0.0, 1.0), y.clamp(0.0, 1.0))
}

const LAMPS: [Color; 3] = [[235, 40, 32], [242, 188, 40], [42, 214, 130]];

/// Middle and radius of a lamp.
fn lamp(i: usize) -> (f64, f64, f64) {
    (0.72, 0.07 + 0.042 * i as f64, 0.01)
}

/// The head of the signal with its lamps dark.
fn head(canvas: &mut Canvas) {
    let (x, top, radius) = lamp(0);
    let bottom = lamp(2).1;
    canvas.rect(x - 0.003, bottom, x + 0.003, 0.46, [70, 70, 72]);
    canvas.rect(x - 1.5 * radius, top - 0.026, x + 1.5 * radius, bottom + 0.026, [30, 32, 34]);
    for (i, color) in LAMPS.into_iter().enumerate() {
        let (x, y, radius) = lamp(i);
        canvas.ellipse(x, y, radius, radius, color.map(|c| c / 5));
    }
}

fn light(canvas: &mut Canvas, i: usize) {
    if let Some(color) = LAMPS.get(i) {
        let (x, y, radius) = lamp(i);
        canvas.ellipse(x, y, radius, radius, *color);
    }
}

/// Somebody on foot, from behind or in front.
fn person(canvas: &mut Canvas, x: f64, y: f64, width: f64, shirt: Color, second: f64) {
    let up = width / canvas.aspect();
    let stride = 0.2 * (second * 5.0).sin();
    for side in [-1.0, 1.0] {
        let foot = x + width * (0.18 * side + stride * side);
        canvas.trapezoid(
            (y - 1.4 * up, x + width * (0.22 * side - 0.14), x + width * (0.22 * side + 0.14)),
            (y, foot - 0.12 * width, foot + 0.12 * width),
            [44, 48, 66],
        );
    }
    canvas.rect(x - 0.32 * width, y - 2.3 * up, x + 0.32 * width, y - 1.25 * up, shirt);
    canvas.ellipse(x, y - 2.55 * up, 0.25 * width, 0.25 * width, [186, 140, 112]);
}

/// Bags and boxes on a heap.
fn heap(canvas: &mut Canvas, x: f64, y: f64, width: f64, seed: u64) {
    let mut dice = Dice::new(seed, "heap", 0);
    let up = width / canvas.aspect();
    for i in 0..26 {
        let high = 0.34 * (1.0 - f64::from(i) / 26.0);
        let side = dice.between(-0.42, 0.42) * (1.0 - high);
        let color =
            *dice.pick(&[[32, 32, 36], [40, 42, 48], [222, 222, 226], [70, 110, 170], [196, 60, 52], [150, 120, 80], [90, 140, 90]]);
        let size = dice.between(0.07, 0.13);
        canvas.ellipse(x + side * width, y - (high + 0.08) * up, size * width, size * 0.8 * width, color);
    }
}

/// A wheeled bin of 660 litres.
fn bin(canvas: &mut Canvas, x: f64, y: f64, width: f64, over: bool) {
    let up = width / canvas.aspect();
    if over {
        let mut dice = Dice::new(7, "bin", 0);
        for _ in 0..16 {
            let color = *dice.pick(&[[34, 34, 38], [226, 226, 228], [60, 100, 160], [190, 70, 60]]);
            canvas.ellipse(x + dice.between(-0.4, 0.4) * width, y - dice.between(1.1, 1.45) * up, 0.15 * width, 0.12 * width, color);
        }
    }
    canvas.trapezoid((y - 1.15 * up, x - 0.5 * width, x + 0.5 * width), (y - 0.12 * up, x - 0.4 * width, x + 0.4 * width), [36, 112, 62]);
    canvas.rect(x - 0.52 * width, y - 1.22 * up, x + 0.52 * width, y - 1.1 * up, [26, 84, 46]);
    for side in [-0.3, 0.3] {
        canvas.ellipse(x + side * width, y - 0.08 * up, 0.08 * width, 0.08 * width, [24, 24, 26]);
    }
}
