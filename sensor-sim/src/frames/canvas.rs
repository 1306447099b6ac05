//! A picture to paint on, twice as fine as the frame it becomes so that edges come out smooth.
//!
//! Invariant: everything is clipped to the picture; no coordinate can write outside.

/// Red, green, blue.
pub(super) type Color = [u8; 3];

/// Painted in fractions: x from 0 to 1 over the width, y from 0 to 1 over the height, both downwards and rightwards.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

const FINER: usize = 2;

impl Canvas {
    /// For a frame of `width` × `height` pixels.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width * FINER, height * FINER);
        Self { width, height, pixels: vec![0; width * height * 3] }
    }

    /// Height over width of the frame, to draw round things round.
    pub(super) fn aspect(&self) -> f64 {
        self.height as f64 / self.width as f64
    }

    pub(super) fn rect(&mut self, x0: f64, y0: f64, x1: f64, y1: f64, color: Color) {
        let (left, right) = (self.column(x0), self.column(x1));
        for y in self.row(y0)..self.row(y1) {
            self.run(y, left, right, |pixel| *pixel = color);
        }
    }

    /// A vertical blend from `top` to `bottom`.
    pub(super) fn gradient(&mut self, x0: f64, y0: f64, x1: f64, y1: f64, top: Color, bottom: Color) {
        let (left, right, first, last) = (self.column(x0), self.column(x1), self.row(y0), self.row(y1));
        for y in first..last {
            let share = (y - first) as f64 / (last - first) as f64;
            let color = [0, 1, 2].map(|i| (f64::from(top[i]) * (1.0 - share) + f64::from(bottom[i]) * share) as u8);
            self.run(y, left, right, |pixel| *pixel = color);
        }
    }

    /// A quadrilateral with level top and bottom: `top` and `bottom` are (y, left x, right x).
    pub(super) fn trapezoid(&mut self, top: (f64, f64, f64), bottom: (f64, f64, f64), color: Color) {
        let (first, last) = (self.row(top.0), self.row(bottom.0));
        for y in first..last {
            let share = ((y as f64 + 0.5) / self.height as f64 - top.0) / (bottom.0 - top.0);
            let (left, right) = (top.1 + (bottom.1 - top.1) * share, top.2 + (bottom.2 - top.2) * share);
            let (left, right) = (self.column(left), self.column(right));
            self.run(y, left, right, |pixel| *pixel = color);
        }
    }

    /// An ellipse with radii in fractions of the width.
    pub(super) fn ellipse(&mut self, x: f64, y: f64, rx: f64, ry: f64, color: Color) {
        self.disc(x, y, rx, ry, |pixel, _| *pixel = color);
    }

    /// Light that fades from the middle outwards, added to what is there.
    pub(super) fn glow(&mut self, x: f64, y: f64, radius: f64, color: Color) {
        self.disc(x, y, radius, radius, |pixel, distance| {
            let strength = (1.0 - distance) * (1.0 - distance);
            for i in 0..3 {
                pixel[i] = pixel[i].saturating_add((f64::from(color[i]) * strength) as u8);
            }
        });
    }

    /// Multiplies every pixel, as dusk or wet air does.
    pub(super) fn tint(&mut self, factor: [f64; 3], lift: f64) {
        let table = factor.map(|f| -> Vec<u8> { (0..=255).map(|v| (f64::from(v) * f + lift).min(255.0) as u8).collect() });
        for pixel in self.pixels.as_chunks_mut::<3>().0 {
            for i in 0..3 {
                pixel[i] = table[i][usize::from(pixel[i])];
            }
        }
    }

    /// Scaled down to the frame, RGB rows without padding; `grain` is added to each pixel as a camera's noise.
    pub(super) fn frame(&self, mut grain: impl FnMut() -> i32) -> Vec<u8> {
        let (width, height) = (self.width / FINER, self.height / FINER);
        let mut frame = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                let noise = grain();
                for i in 0..3 {
                    let at = |dx: usize, dy: usize| i32::from(self.pixels[((y * FINER + dy) * self.width + x * FINER + dx) * 3 + i]);
                    let mean = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4;
                    frame.push((mean + noise).clamp(0, 255) as u8);
                }
            }
        }
        frame
    }

    fn disc(&mut self, x: f64, y: f64, rx: f64, ry: f64, mut paint: impl FnMut(&mut Color, f64)) {
        let ry = ry / self.aspect();
        let (left, right) = (self.column(x - rx), self.column(x + rx));
        for row in self.row(y - ry)..self.row(y + ry) {
            let dy = ((row as f64 + 0.5) / self.height as f64 - y) / ry;
            for column in left..right {
                let dx = ((column as f64 + 0.5) / self.width as f64 - x) / rx;
                let distance = (dx * dx + dy * dy).sqrt();
                if distance < 1.0 {
                    self.run(row, column, column + 1, |pixel| paint(pixel, distance));
                }
            }
        }
    }

    fn run(&mut self, row: usize, left: usize, right: usize, mut paint: impl FnMut(&mut Color)) {
        if left < right {
            let start = (row * self.width + left) * 3;
            for pixel in self.pixels[start..start + (right - left) * 3].as_chunks_mut::<3>().0 {
                paint(pixel);
            }
        }
    }

    fn column(&self, x: f64) -> usize {
        (x * self.width as f64).round().clamp(0.0, self.width as f64) as usize
    }

    fn row(&self, y: f64) -> usize {
        (y * self.height as f64).round().clamp(0.0, self.height as f64) as usize
    }
}
