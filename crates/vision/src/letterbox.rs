//! Fits a frame, or a part of one, into a model's input: scaled with its proportions kept, in the top left corner, the rest grey.
//!
//! Invariant: `to_frame` undoes exactly what was done to the pixels, rounding of the scaled size included.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use huong_types::BoundingBox;
use serde::Deserialize;

use crate::{LightConfig, Pixels};

/// The picture a model wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputSpec {
    /// In pixels.
    pub width: u32,
    pub height: u32,
    pub channels: ChannelOrder,
    /// Each 0–255 sample is multiplied by it.
    pub scale: f32,
    /// The sample, 0–255, around the picture.
    pub pad: u8,
    /// It takes smaller pictures too, each side a multiple of so many pixels, at a cost that goes with their area; `None`: no others.
    pub step: Option<u32>,
}

impl InputSpec {
    /// Width and height of the smallest picture it takes that holds so many pixels, or of the largest.
    pub fn holding(&self, content: (u32, u32)) -> (u32, u32) {
        let side = |length: u32, most: u32| self.step.map_or(most, |step| length.next_multiple_of(step).clamp(step, most));
        (side(content.0, self.width), side(content.1, self.height))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    Bgr,
    Rgb,
}

/// Where a frame's pixels are in the model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letterbox {
    /// Width and height of the full frame.
    pub frame: (u32, u32),
    /// Width and height of its scaled copy, whose top left corner is the input's.
    pub content: (u32, u32),
    /// Width and height of the input.
    pub input: (u32, u32),
}

/// A frame as the model takes it.
#[derive(Clone, Debug)]
pub struct Letterboxed {
    /// Samples of shape `[1, 3, height, width]` of the geometry's input.
    pub pixels: Vec<f32>,
    pub geometry: Letterbox,
}

impl Letterbox {
    /// The largest copy of a frame of `frame` pixels that fits into `spec`.
    pub fn fit(frame: (u32, u32), spec: &InputSpec) -> Self {
        let (width, height) = (f64::from(frame.0), f64::from(frame.1));
        Self::scaled(frame, (f64::from(spec.width) / width).min(f64::from(spec.height) / height), spec)
    }

    /// A copy `ratio` times as large, at most the largest that fits.
    pub(crate) fn scaled(frame: (u32, u32), ratio: f64, spec: &InputSpec) -> Self {
        let side = |length: u32, most: u32| ((f64::from(length) * ratio).round() as u32).clamp(1, most);
        let content = (side(frame.0, spec.width), side(frame.1, spec.height));
        Self { frame, content, input: spec.holding(content) }
    }

    /// From pixels of the input to pixels of the frame, cut off at the frame's edges. `None` when nothing of it is inside, or
    /// when it is not a number.
    pub fn to_frame(&self, inner: &BoundingBox) -> Option<BoundingBox> {
        let across = |at: f32| (at * self.frame.0 as f32 / self.content.0 as f32).clamp(0.0, self.frame.0 as f32);
        let down = |at: f32| (at * self.frame.1 as f32 / self.content.1 as f32).clamp(0.0, self.frame.1 as f32);
        let (x, y) = (across(inner.x), down(inner.y));
        let outer = BoundingBox { x, y, width: across(inner.x + inner.width) - x, height: down(inner.y + inner.height) - y };
        (outer.width > 0.0 && outer.height > 0.0).then_some(outer)
    }

    /// A point of the input in pixels of the frame; not cut off.
    pub fn point_to_frame(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (x * self.frame.0 as f32 / self.content.0 as f32, y * self.frame.1 as f32 / self.content.1 as f32)
    }

    /// From pixels of the frame to pixels of the input.
    pub fn to_input(&self, outer: &BoundingBox) -> BoundingBox {
        let x = self.content.0 as f32 / self.frame.0 as f32;
        let y = self.content.1 as f32 / self.frame.1 as f32;
        BoundingBox { x: outer.x * x, y: outer.y * y, width: outer.width * x, height: outer.height * y }
    }
}

/// Makes [`Letterboxed`] frames in buffers that it keeps.
pub(crate) struct Letterboxer {
    spec: InputSpec,
    /// Dark pictures are brightened.
    pub(crate) light: Option<LightConfig>,
    resizer: Resizer,
    options: ResizeOptions,
    resized: Vec<u8>,
    out: Letterboxed,
}

impl Letterboxer {
    pub(crate) fn new(spec: InputSpec) -> Self {
        Self {
            spec,
            light: None,
            resizer: Resizer::new(),
            // The scaled decode leaves a factor below two: averaging over the pixels covered keeps small vehicles whole.
            options: ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false),
            resized: Vec::new(),
            out: Letterboxed { pixels: Vec::new(), geometry: Letterbox { frame: (0, 0), content: (0, 0), input: (0, 0) } },
        }
    }

    /// The part of the frame within `crop` (pixels of the full frame), whose copy `geometry` describes, out of `pixels` in RGB.
    pub(crate) fn fill(&mut self, pixels: &Pixels<'_>, crop: &BoundingBox, geometry: Letterbox) -> Result<&Letterboxed, ResizeError> {
        let (width, height) = geometry.content;
        self.resized.resize(width as usize * height as usize * 3, 0);
        let (across, down) = pixels.scale;
        let side = |at: f32, scale: f32, most: u32| f64::from(at / scale).clamp(0.0, f64::from(most));
        let (left, top) = (side(crop.x, across, pixels.size.0), side(crop.y, down, pixels.size.1));
        let (right, bottom) = (side(crop.x + crop.width, across, pixels.size.0), side(crop.y + crop.height, down, pixels.size.1));
        let source = TypedImageRef::<U8x3>::from_buffer(pixels.size.0, pixels.size.1, pixels.samples);
        let source = source.map_err(|_| ResizeError::PixelTypesAreDifferent)?;
        let target = TypedImage::<U8x3>::from_buffer(width, height, &mut self.resized);
        let mut target = target.map_err(|_| ResizeError::PixelTypesAreDifferent)?;
        let options = self.options.crop(left, top, right - left, bottom - top);
        // Typed, because the other way compiles every kind of pixel that there is: minutes.
        self.resizer.resize_typed(&source, &mut target, &options)?;
        if let Some(light) = &self.light {
            light.brighten(&mut self.resized);
        }
        self.write_planes(geometry);
        Ok(&self.out)
    }

    fn write_planes(&mut self, geometry: Letterbox) {
        let (stride, plane) = (geometry.input.0 as usize, geometry.input.0 as usize * geometry.input.1 as usize);
        let (width, scale) = (geometry.content.0 as usize, self.spec.scale);
        // The grey stays from frame to frame; only another shape of picture moves it.
        if (self.out.geometry.content, self.out.geometry.input) != (geometry.content, geometry.input) {
            self.out.pixels.clear();
            self.out.pixels.resize(3 * plane, f32::from(self.spec.pad) * scale);
        }
        self.out.geometry = geometry;
        let (first, rest) = self.out.pixels.split_at_mut(plane);
        let (second, third) = rest.split_at_mut(plane);
        // Decoded pixels are RGB; a model of BGR gets its planes the other way round.
        let (first, third) = match self.spec.channels {
            ChannelOrder::Rgb => (first, third),
            ChannelOrder::Bgr => (third, first),
        };
        for (row, pixels) in self.resized.chunks_exact(3 * width).enumerate() {
            let range = row * stride..row * stride + width;
            let planes = first[range.clone()].iter_mut().zip(&mut second[range.clone()]).zip(&mut third[range]);
            for (pixel, ((a, b), c)) in pixels.chunks_exact(3).zip(planes) {
                *a = f32::from(pixel[0]) * scale;
                *b = f32::from(pixel[1]) * scale;
                *c = f32::from(pixel[2]) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC: InputSpec = InputSpec { width: 416, height: 256, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114, step: None };

    #[test]
    fn proportions_are_kept_and_the_corner_is_top_left() {
        let cases = [
            ((1280, 720), (416, 234)),
            ((1920, 1080), (416, 234)),
            ((640, 640), (256, 256)),
            ((416, 256), (416, 256)),
            ((100, 4000), (6, 256)),
            ((4000, 1), (416, 1)),
        ];
        for (frame, content) in cases {
            assert_eq!(Letterbox::fit(frame, &SPEC).content, content, "{frame:?}");
            assert_eq!(Letterbox::fit(frame, &SPEC).input, (416, 256), "{frame:?}");
        }
        let fluid = InputSpec { step: Some(32), ..SPEC };
        for (frame, input) in [((1280, 720), (416, 256)), ((640, 640), (256, 256)), ((100, 4000), (32, 256)), ((4000, 400), (416, 64))] {
            assert_eq!(Letterbox::fit(frame, &fluid).input, input, "{frame:?}");
        }
        let part = Letterbox::scaled((100, 60), 0.5, &fluid);
        assert_eq!((part.content, part.input), ((50, 30), (64, 32)));
    }

    #[test]
    fn samples_are_planar_and_scaled_with_grey_around() {
        let spec = InputSpec { width: 4, height: 2, channels: ChannelOrder::Rgb, scale: 0.5, pad: 100, step: None };
        let mut letterboxer = Letterboxer::new(spec);
        let geometry = Letterbox::fit((2, 2), &spec);
        let pixels = [10, 20, 30, 11, 21, 31, 12, 22, 32, 13, 23, 33];
        let whole = |width, height| BoundingBox { x: 0.0, y: 0.0, width, height };
        let pixels = Pixels { samples: &pixels, size: (2, 2), scale: (1.0, 1.0) };
        let out = letterboxer.fill(&pixels, &whole(2.0, 2.0), geometry).expect("sizes agree");
        let plane = |p: usize| &out.pixels[p * 8..p * 8 + 8];
        assert_eq!(plane(0), [5.0, 5.5, 50.0, 50.0, 6.0, 6.5, 50.0, 50.0]);
        assert_eq!(plane(1), [10.0, 10.5, 50.0, 50.0, 11.0, 11.5, 50.0, 50.0]);
        assert_eq!(plane(2), [15.0, 15.5, 50.0, 50.0, 16.0, 16.5, 50.0, 50.0]);

        // A flat frame of another shape: nothing of the earlier one is left.
        let geometry = Letterbox::fit((8, 2), &spec);
        let pixels = Pixels { samples: &[80; 48], size: (8, 2), scale: (1.0, 1.0) };
        let out = letterboxer.fill(&pixels, &whole(8.0, 2.0), geometry).expect("sizes agree");
        assert_eq!(geometry.content, (4, 1));
        assert_eq!(out.pixels[..8], [40.0, 40.0, 40.0, 40.0, 50.0, 50.0, 50.0, 50.0]);
    }

    #[test]
    fn a_crop_is_taken_in_pixels_of_the_frame_and_bgr_turns_the_planes() {
        let spec = InputSpec { width: 2, height: 1, channels: ChannelOrder::Bgr, scale: 1.0, pad: 0, step: None };
        // A frame of 8x2 pixels decoded at half its size: 4x1.
        let samples = [10, 20, 30, 11, 21, 31, 12, 22, 32, 13, 23, 33];
        let pixels = Pixels { samples: &samples, size: (4, 1), scale: (2.0, 2.0) };
        let crop = BoundingBox { x: 4.0, y: 0.0, width: 4.0, height: 2.0 };
        let mut letterboxer = Letterboxer::new(spec);
        let out = letterboxer.fill(&pixels, &crop, Letterbox::fit((4, 2), &spec)).expect("sizes agree");
        assert_eq!(out.pixels, [32.0, 33.0, 22.0, 23.0, 12.0, 13.0]);
    }

    #[test]
    fn boxes_are_cut_at_the_edges_and_dropped_outside() {
        let geometry = Letterbox::fit((1280, 720), &SPEC);
        let inside = |x, y, width, height| geometry.to_frame(&BoundingBox { x, y, width, height });
        let whole = inside(-50.0, -50.0, 1000.0, f32::INFINITY).expect("covers the frame");
        assert_eq!((whole.x, whole.y, whole.width, whole.height), (0.0, 0.0, 1280.0, 720.0));
        assert_eq!(inside(10.0, 240.0, 20.0, 10.0), None, "in the grey below the picture");
        assert_eq!(inside(f32::NAN, 1.0, 5.0, 5.0), None);
        assert_eq!(inside(1.0, 1.0, 5.0, f32::NAN), None);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_box(
            (w, h) in (16u32..4000, 16u32..4000),
            (x, y) in (0.0f32..0.9, 0.0f32..0.9),
            (bw, bh) in (0.05f32..0.1, 0.05f32..0.1),
        ) {
            let geometry = Letterbox::fit((w, h), &SPEC);
            prop_assert!(geometry.content.0 <= SPEC.width && geometry.content.1 <= SPEC.height);
            let outer = BoundingBox { x: x * w as f32, y: y * h as f32, width: bw * w as f32, height: bh * h as f32 };
            let back = geometry.to_frame(&geometry.to_input(&outer)).expect("inside the frame");
            let tolerance = 1e-3 * w.max(h) as f32;
            prop_assert!((back.x - outer.x).abs() < tolerance && (back.y - outer.y).abs() < tolerance);
            prop_assert!((back.width - outer.width).abs() < tolerance && (back.height - outer.height).abs() < tolerance);
        }
    }
}
