//! Vehicles as a street camera sees them: from behind going away, from the front coming near.
//!
//! Shapes are simple but complete: wheels, windows, lights, a plate, a shadow on the road.

use super::canvas::{Canvas, Color};
use super::plate::Plate;
use crate::dice::Dice;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Car,
    Motorbike,
    Bus,
    Truck,
}

#[derive(Clone, Debug)]
pub(super) struct Vehicle {
    pub(super) kind: Kind,
    /// Coming towards the camera.
    pub(super) coming: bool,
    /// A rider without a helmet.
    pub(super) bare: bool,
    paint: Color,
    plate: Plate,
}

/// Where light comes from at night: x, y, radius, colour.
pub(super) type Light = (f64, f64, f64, Color);

const PAINTS: [Color; 9] = [
    [225, 225, 222],
    [40, 42, 46],
    [150, 153, 158],
    [150, 28, 32],
    [30, 62, 120],
    [190, 176, 140],
    [60, 70, 66],
    [205, 60, 40],
    [90, 95, 100],
];
const GLASS: Color = [52, 66, 78];
const RUBBER: Color = [24, 24, 26];
const SHADOW: Color = [48, 48, 50];
const SKIN: Color = [186, 140, 112];
const HAIR: Color = [28, 22, 20];
const TAIL: Color = [190, 24, 22];
const HEAD: Color = [250, 246, 225];

impl Kind {
    /// Height over width, as [`Vehicle::paint`] paints it.
    pub(super) fn height(self) -> f64 {
        match self {
            Kind::Car => 0.84,
            Kind::Motorbike => 2.3,
            Kind::Bus => 1.22,
            Kind::Truck => 1.3,
        }
    }

    /// Width on the road in metres.
    pub(super) fn metres(self) -> f64 {
        match self {
            Kind::Car => 1.8,
            Kind::Motorbike => 0.8,
            Kind::Bus => 2.5,
            Kind::Truck => 2.4,
        }
    }
}

impl Vehicle {
    /// A mix as in the city: mostly motorbikes.
    pub(super) fn draw(dice: &mut Dice, coming: bool) -> Self {
        let kind = match dice.unit() {
            x if x < 0.58 => Kind::Motorbike,
            x if x < 0.88 => Kind::Car,
            x if x < 0.94 => Kind::Bus,
            _ => Kind::Truck,
        };
        Self::of(kind, dice, coming)
    }

    pub(super) fn of(kind: Kind, dice: &mut Dice, coming: bool) -> Self {
        let plate = match kind {
            Kind::Motorbike => Plate::motorbike(dice),
            Kind::Car => {
                let taxi = dice.chance(0.2);
                Plate::car(dice, false, taxi)
            }
            Kind::Bus | Kind::Truck => Plate::car(dice, true, true),
        };
        Self { kind, coming, bare: false, paint: *dice.pick(&PAINTS), plate }
    }

    /// Paints it standing on `(x, y)`, `width` wide (fractions of the picture's width), and tells its lights.
    pub(super) fn paint(&self, canvas: &mut Canvas, x: f64, y: f64, width: f64, lights: &mut Vec<Light>) {
        let mut part = Part { x, y, unit: width, aspect: canvas.aspect(), canvas };
        part.ellipse(0.0, 0.0, 0.58, 0.1, SHADOW);
        match self.kind {
            Kind::Car => self.car(&mut part),
            Kind::Motorbike => self.motorbike(&mut part),
            Kind::Bus => self.bus(&mut part),
            Kind::Truck => self.truck(&mut part),
        }
        let (plate_y, plate_width) = match self.kind {
            Kind::Car => (0.34, 0.46),
            Kind::Motorbike => (0.8, 0.5),
            Kind::Bus | Kind::Truck => (0.34, 0.26),
        };
        // Motorbikes have no plate in front.
        if !(self.kind == Kind::Motorbike && self.coming) {
            self.plate.paint(part.canvas, x, y - plate_y * width / part.aspect, plate_width * width);
        }
        let (height, apart) = if self.kind == Kind::Motorbike { (1.0, 0.0) } else { (0.42, 0.38) };
        let (color, radius) = if self.coming { ([255, 244, 205], 0.5) } else { ([190, 20, 15], 0.3) };
        for side in if apart == 0.0 { vec![0.0] } else { vec![-apart, apart] } {
            lights.push((x + side * width, y - height * width / part.aspect, radius * width, color));
        }
    }

    fn wheels(part: &mut Part<'_>) {
        for side in [-0.38, 0.38] {
            part.rect(side - 0.08, 0.0, side + 0.08, 0.2, RUBBER);
        }
    }

    fn lamps(&self, part: &mut Part<'_>, y: f64) {
        let color = if self.coming { HEAD } else { TAIL };
        for side in [-0.38, 0.38] {
            part.rect(side - 0.09, y - 0.04, side + 0.09, y + 0.05, color);
        }
    }

    fn car(&self, part: &mut Part<'_>) {
        Self::wheels(part);
        part.rect(-0.5, 0.12, 0.5, 0.52, self.paint);
        part.rect(-0.5, 0.12, 0.5, 0.2, darker(self.paint));
        part.trapezoid((0.84, -0.34, 0.34), (0.52, -0.46, 0.46), self.paint);
        part.trapezoid((0.8, -0.31, 0.31), (0.55, -0.41, 0.41), GLASS);
        part.rect(-0.5, 0.5, 0.5, 0.53, lighter(self.paint));
        self.lamps(part, 0.43);
    }

    fn bus(&self, part: &mut Part<'_>) {
        Self::wheels(part);
        part.rect(-0.5, 0.12, 0.5, 1.22, self.paint);
        part.rect(-0.5, 0.12, 0.5, 0.2, darker(self.paint));
        part.rect(-0.44, 0.58, 0.44, 1.02, GLASS);
        part.rect(-0.3, 1.07, 0.3, 1.18, [34, 30, 20]);
        part.rect(-0.24, 1.1, 0.24, 1.15, [240, 150, 30]);
        part.rect(-0.01, 0.58, 0.01, 1.02, darker(self.paint));
        self.lamps(part, 0.42);
    }

    fn truck(&self, part: &mut Part<'_>) {
        Self::wheels(part);
        if self.coming {
            part.rect(-0.48, 0.55, 0.48, 1.3, [196, 196, 190]);
            part.rect(-0.44, 0.12, 0.44, 0.98, self.paint);
            part.rect(-0.38, 0.6, 0.38, 0.9, GLASS);
        } else {
            part.rect(-0.48, 0.32, 0.48, 1.3, [196, 196, 190]);
            part.rect(-0.01, 0.36, 0.01, 1.26, [120, 120, 116]);
            part.rect(-0.44, 0.14, 0.44, 0.32, RUBBER);
        }
        self.lamps(part, 0.42);
    }

    fn motorbike(&self, part: &mut Part<'_>) {
        part.rect(-0.11, 0.0, 0.11, 0.52, RUBBER);
        part.trapezoid((1.02, -0.3, 0.3), (0.42, -0.17, 0.17), self.paint);
        part.rect(-0.5, 1.02, 0.5, 1.08, RUBBER);
        // The rider: shirt, arms to the handlebar, helmet.
        let shirt = if self.paint[0] > 140 { [58, 80, 130] } else { [205, 190, 160] };
        part.trapezoid((1.85, -0.34, 0.34), (0.95, -0.28, 0.28), shirt);
        part.trapezoid((1.7, -0.4, -0.3), (1.06, -0.5, -0.38), shirt);
        part.trapezoid((1.7, 0.3, 0.4), (1.06, 0.38, 0.5), shirt);
        let crown = if self.bare { HAIR } else { self.paint };
        if self.coming {
            part.ellipse(0.0, 2.02, 0.17, 0.2, SKIN);
            part.ellipse(0.0, 2.12, 0.22, 0.16, crown);
            part.ellipse(0.0, 1.0, 0.13, 0.13, HEAD);
        } else {
            part.ellipse(0.0, 2.06, 0.22, 0.24, crown);
            part.rect(-0.13, 0.86, 0.13, 0.97, TAIL);
        }
    }
}

/// Paints in units of the vehicle's width, upwards from where it stands.
struct Part<'a> {
    canvas: &'a mut Canvas,
    x: f64,
    y: f64,
    unit: f64,
    aspect: f64,
}

impl Part<'_> {
    fn up(&self, y: f64) -> f64 {
        self.y - y * self.unit / self.aspect
    }

    fn rect(&mut self, x0: f64, y0: f64, x1: f64, y1: f64, color: Color) {
        let (top, bottom) = (self.up(y1), self.up(y0));
        self.canvas.rect(self.x + x0 * self.unit, top, self.x + x1 * self.unit, bottom, color);
    }

    fn trapezoid(&mut self, top: (f64, f64, f64), bottom: (f64, f64, f64), color: Color) {
        let place = |(y, left, right): (f64, f64, f64)| (self.up(y), self.x + left * self.unit, self.x + right * self.unit);
        let (top, bottom) = (place(top), place(bottom));
        self.canvas.trapezoid(top, bottom, color);
    }

    fn ellipse(&mut self, x: f64, y: f64, rx: f64, ry: f64, color: Color) {
        let y = self.up(y);
        self.canvas.ellipse(self.x + x * self.unit, y, rx * self.unit, ry * self.unit, color);
    }
}

fn darker(color: Color) -> Color {
    color.map(|c| c / 2)
}

fn lighter(color: Color) -> Color {
    color.map(|c| c.saturating_add(30))
}
