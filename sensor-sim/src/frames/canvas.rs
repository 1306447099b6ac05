//! A picture to paint on, twice as fine as the frame it becomes so that edges come out smooth.
//!
//! Invariant: everything is clipped to the picture; no coordinate can write outside.

/// Red, green, blue.
pub(super) type Color = [u8; 3];

/// Painted in fractions: x from 0 to 1 over the width, y from 0 to 1 over the height, both downwards and rightwards.
#[derive(Clone)]
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
            self.run(y, left, right).fill(color);
        }
    }

    /// A vertical blend from `top` to `bottom`.
    pub(super) fn gradient(&mut self, x0: f64, y0: f64, x1: f64, y1: f64, top: Color, bottom: Color) {
        let (left, right, first, last) = (self.column(x0), self.column(x1), self.row(y0), self.row(y1));
        for y in first..last {
            let share = (y - first) as f64 / (last - first) as f64;
            let color = [0, 1, 2].map(|i| (f64::from(top[i]) * (1.0 - share) + f64::from(bottom[i]) * share) as u8);
            self.run(y, left, right).fill(color);
        }
    }

    /// A quadrilateral with level top and bottom: `top` and `bottom` are (y, left x, right x).
    pub(super) fn trapezoid(&mut self, top: (f64, f64, f64), bottom: (f64, f64, f64), color: Color) {
        let (first, last) = (self.row(top.0), self.row(bottom.0));
        for y in first..last {
            let share = ((y as f64 + 0.5) / self.height as f64 - top.0) / (bottom.0 - top.0);
            let (left, right) = (top.1 + (bottom.1 - top.1) * share, top.2 + (bottom.2 - top.2) * share);
            let (left, right) = (self.column(left), self.column(right));
            self.run(y, left, right).fill(color);
        }
    }

    /// A picture (RGB rows without padding, width, height), stretched over the rectangle. Its corners are round, and at the edge it blends
    /// into what is there: `soft` is the part of its half sides over which it does.
    pub(super) fn paste(&mut self, (x0, y0, x1, y1): (f64, f64, f64, f64), (pixels, width, height): (&[Color], usize, usize), soft: f64) {
        let (left, right) = (self.column(x0), self.column(x1));
        let out = |part: f64| (2.0 * part - 1.0).abs().powi(3);
        for y in self.row(y0)..self.row(y1) {
            let down = ((y as f64 + 0.5) / self.height as f64 - y0) / (y1 - y0);
            let row = ((down * height as f64) as usize).min(height - 1) * width;
            let across = self.width as f64;
            for (i, pixel) in self.run(y, left, right).iter_mut().enumerate() {
                let part = (((left + i) as f64 + 0.5) / across - x0) / (x1 - x0);
                let from = pixels[row + ((part * width as f64) as usize).min(width - 1)];
                let share = ((1.0 - (out(part) + out(down)).cbrt()) / soft).clamp(0.0, 1.0);
                for (c, from) in from.into_iter().enumerate() {
                    pixel[c] = (f64::from(pixel[c]) * (1.0 - share) + f64::from(from) * share) as u8;
                }
            }
        }
    }

    /// An ellipse with radii in fractions of the width.
    pub(super) fn ellipse(&mut self, x: f64, y: f64, rx: f64, ry: f64, color: Color) {
        self.rounds(x, y, rx, ry, |pixels, _, _| pixels.fill(color));
    }

    /// Light that fades from the middle outwards, added to what is there.
    pub(super) fn glow(&mut self, x: f64, y: f64, radius: f64, color: Color) {
        let width = self.width as f64;
        self.rounds(x, y, radius, radius, |pixels, left, dy| {
            for (i, pixel) in pixels.iter_mut().enumerate() {
                let dx = (((left + i) as f64 + 0.5) / width - x) / radius;
                let strength = (1.0 - dx * dx - dy * dy).max(0.0).powi(3);
                for c in 0..3 {
                    pixel[c] = pixel[c].saturating_add((f64::from(color[c]) * strength) as u8);
                }
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
        let mut frame = Vec::with_capacity(self.pixels.len() / (FINER * FINER));
        for rows in self.pixels.chunks_exact(self.width * 3 * FINER) {
            let (upper, lower) = rows.split_at(self.width * 3);
            for (up, low) in upper.as_chunks::<6>().0.iter().zip(lower.as_chunks::<6>().0) {
                let noise = grain();
                for i in 0..3 {
                    let sum = i32::from(up[i]) + i32::from(up[i + 3]) + i32::from(low[i]) + i32::from(low[i + 3]);
                    frame.push(((sum + 2) / 4 + noise).clamp(0, 255) as u8);
                }
            }
        }
        frame
    }

    /// Hands out the runs of an ellipse, row by row: pixels, first column, height of the row (−1 to 1).
    fn rounds(&mut self, x: f64, y: f64, rx: f64, ry: f64, mut paint: impl FnMut(&mut [Color], usize, f64)) {
        let ry = ry / self.aspect();
        for row in self.row(y - ry)..self.row(y + ry) {
            let dy = ((row as f64 + 0.5) / self.height as f64 - y) / ry;
            let half = (1.0 - dy * dy).max(0.0).sqrt() * rx;
            let (left, right) = (self.column(x - half), self.column(x + half));
            paint(self.run(row, left, right), left, dy);
        }
    }

    /// The pixels of one row; none when `left` is not less than `right`.
    fn run(&mut self, row: usize, left: usize, right: usize) -> &mut [Color] {
        let start = row * self.width;
        &mut self.pixels.as_chunks_mut::<3>().0[start + left.min(right)..start + right]
    }

    fn column(&self, x: f64) -> usize {
        (x * self.width as f64).round().clamp(0.0, self.width as f64) as usize
    }

    fn row(&self, y: f64) -> usize {
        (y * self.height as f64).round().clamp(0.0, self.height as f64) as usize
    }
}
