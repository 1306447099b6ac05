//! Parts of photos among what is drawn: what a model of real things does not see when it is drawn.
//!
//! Invariant: what was cut out keeps its proportions, and no straight edge of the photo is seen.

use std::sync::Arc;

use super::super::canvas::{Canvas, Color};

/// So much of what is around it in the photo is taken along, as a part of its sides, and blends into the drawing.
const MARGIN: f64 = 0.12;

/// A part of a photo.
#[derive(Clone, Debug)]
pub struct Photo {
    pixels: Arc<[Color]>,
    width: usize,
    height: usize,
}

impl Photo {
    /// What is in the rectangle `left, top, right, bottom` of a JPEG.
    ///
    /// # Errors
    /// When the JPEG cannot be read, or the rectangle is not in it.
    pub fn cut(jpeg: &[u8], [left, top, right, bottom]: [usize; 4]) -> anyhow::Result<Self> {
        let image = turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::RGB)?;
        anyhow::ensure!(
            left < right && top < bottom && right <= image.width && bottom <= image.height,
            "found {left}, {top} to {right}, {bottom}, expected a rectangle in {}x{} pixels",
            image.width,
            image.height
        );
        let (wide, high) = (right - left, bottom - top);
        let (beside, above) = ((MARGIN * wide as f64) as usize, (MARGIN * high as f64) as usize);
        // Beyond the photo its edge goes on.
        let from = |at: usize, low: usize, margin: usize, most: usize| (at + low).saturating_sub(margin).min(most - 1);
        let at = |x: usize, y: usize| [0, 1, 2].map(|i| image.pixels[y * image.pitch + 3 * x + i]);
        let (width, height) = (wide + 2 * beside, high + 2 * above);
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = places.map(|(x, y)| at(from(x, left, beside, image.width), from(y, top, above, image.height))).collect();
        Ok(Self { pixels, width, height })
    }

    /// Height over width.
    pub(super) fn shape(&self) -> f64 {
        self.height as f64 / self.width as f64
    }

    /// Paints it `width` wide, without the margin, with the middle of its lower edge at `(x, y)`.
    pub(super) fn paint(&self, canvas: &mut Canvas, x: f64, y: f64, width: f64) {
        let (side, height) = (width / 2.0, width * self.shape() / canvas.aspect());
        let (more, under) = (MARGIN * width, MARGIN * height);
        let around = (x - side - more, y - height - under, x + side + more, y + under);
        canvas.paste(around, (&self.pixels, self.width, self.height), 2.0 * MARGIN / (1.0 + 2.0 * MARGIN));
    }
}
