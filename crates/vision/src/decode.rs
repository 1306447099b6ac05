//! JPEG decoding at the scale that is needed and no larger: scaling inside the inverse DCT costs less than a full decode.
//!
//! Invariant: whatever libjpeg complains of, be it only a warning about damaged data, is an `Err`: half a picture counts as
//! none, because an empty road and a grey half frame look the same to a detector.

use turbojpeg::{Decompressor, Image, PixelFormat, ScalingFactor};

use crate::jpeg::FrameLimits;
use crate::pipeline::FrameError;
use crate::validate_jpeg;

/// The scales whose inverse DCT libjpeg-turbo has in vector code; those between are slower than the next larger one.
const SCALES: [ScalingFactor; 4] = [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF, ScalingFactor::ONE];

/// One frame ready to be decoded, perhaps twice: small for the gate, larger for the detector.
pub(crate) struct Picture<'a> {
    jpeg: &'a [u8],
    size: (u32, u32),
    // Made anew per frame (microseconds), so that a damaged picture leaves nothing behind for the next.
    decompressor: Decompressor,
}

impl<'a> Picture<'a> {
    /// Checks the header.
    pub(crate) fn open(jpeg: &'a [u8], limits: &FrameLimits) -> Result<Self, FrameError> {
        let size = validate_jpeg(jpeg, limits)?;
        let mut decompressor = Decompressor::new()?;
        decompressor.set_scan_limit(limits.max_scans)?;
        Ok(Self { jpeg, size, decompressor })
    }

    /// Width and height of the full frame in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The brightness of each 8x8 block into `luma`, row by row; returns columns and rows. The colour planes are not transformed.
    pub(crate) fn luma_eighth(&mut self, luma: &mut Vec<u8>) -> Result<(u32, u32), FrameError> {
        self.decode(PixelFormat::GRAY, ScalingFactor::ONE_EIGHTH, luma)
    }

    /// Interleaved RGB into `pixels` at the smallest scale that is at least `wanted` (width, height), or at full size when
    /// the frame is smaller; returns the decoded width and height.
    pub(crate) fn at_least(&mut self, wanted: (u32, u32), pixels: &mut Vec<u8>) -> Result<(u32, u32), FrameError> {
        let size = self.size;
        let enough = |scale: &&ScalingFactor| scaled(**scale, size.0) >= wanted.0 && scaled(**scale, size.1) >= wanted.1;
        let scale = SCALES.iter().find(enough).copied().unwrap_or(ScalingFactor::ONE);
        self.decode(PixelFormat::RGB, scale, pixels)
    }

    fn decode(&mut self, format: PixelFormat, scale: ScalingFactor, pixels: &mut Vec<u8>) -> Result<(u32, u32), FrameError> {
        self.decompressor.set_scaling_factor(scale)?;
        let (width, height) = (scaled(scale, self.size.0), scaled(scale, self.size.1));
        let pitch = width as usize * format.size();
        pixels.resize(pitch * height as usize, 0);
        let output = Image { pixels: &mut pixels[..], width: width as usize, pitch, height: height as usize, format };
        self.decompressor.decompress(self.jpeg, output)?;
        Ok((width, height))
    }
}

/// The brightness of each 8x8 block of a JPEG into `luma`, as the gate takes it; returns columns and rows.
///
/// # Errors
/// When the picture is refused or does not decode.
pub fn luma_eighth(jpeg: &[u8], limits: &FrameLimits, luma: &mut Vec<u8>) -> Result<(u32, u32), FrameError> {
    Picture::open(jpeg, limits)?.luma_eighth(luma)
}

fn scaled(scale: ScalingFactor, length: u32) -> u32 {
    (length * scale.num() as u32).div_ceil(scale.denom() as u32)
}

#[cfg(test)]
mod tests {
    use turbojpeg::{Compressor, Subsamp};

    use super::*;

    fn jpeg(width: usize, height: usize) -> Vec<u8> {
        let image = Image::mandelbrot(width, height, PixelFormat::RGB);
        let mut compressor = Compressor::new().expect("libjpeg starts");
        compressor.set_subsamp(Subsamp::Sub2x2).expect("a valid option");
        compressor.compress_to_vec(image.as_deref()).expect("a drawn picture compresses")
    }

    #[test]
    fn the_scale_is_the_smallest_that_is_enough() {
        let cases = [
            ((1280, 720), (416, 234), (640, 360)),
            ((1920, 1080), (416, 234), (480, 270)),
            ((3840, 2160), (416, 234), (480, 270)),
            ((640, 640), (256, 256), (320, 320)),
            ((200, 100), (416, 208), (200, 100)),
            ((333, 217), (41, 27), (42, 28)),
        ];
        for (size, wanted, expected) in cases {
            let bytes = jpeg(size.0, size.1);
            let mut picture = Picture::open(&bytes, &FrameLimits::default()).expect("valid");
            let mut pixels = Vec::new();
            assert_eq!(picture.at_least(wanted, &mut pixels).expect("decodes"), expected, "{size:?}");
            assert_eq!(pixels.len(), (expected.0 * expected.1 * 3) as usize);
            let mut luma = Vec::new();
            let cells = picture.luma_eighth(&mut luma).expect("decodes");
            assert_eq!(luma.len(), (cells.0 * cells.1) as usize, "the same picture decodes at two scales");
        }
    }

    #[test]
    fn damaged_data_is_an_error_though_the_header_is_whole() {
        let whole = jpeg(640, 360);
        let mut cut = whole[..whole.len() / 2].to_vec();
        cut.extend([0xFF, 0xD9]);
        let mut picture = Picture::open(&cut, &FrameLimits::default()).expect("header and end are there");
        let error = picture.luma_eighth(&mut Vec::new()).expect_err("half the data is missing");
        assert!(matches!(error, FrameError::Decode(_)), "{error}");
    }
}
