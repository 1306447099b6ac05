//! The plate cut out of a picture.
//!
//! Invariant: what is cut losslessly has the very coefficients of the original; anything else is marked as encoded anew.

use huong_types::BoundingBox;
use serde::{Deserialize, Serialize};
use turbojpeg::{Image, PixelFormat, Subsamp, Transform, TransformCrop, TransformOp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Blocks of the original, not decoded.
    Lossless,
    /// Decoded and encoded again: derived.
    Reencoded,
}

/// Of a crop that is encoded anew.
const QUALITY: i32 = 95;

#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) jpeg: Vec<u8>,
    pub(crate) method: Method,
    /// What was cut out, in pixels of the original: a lossless cut begins at a block.
    pub(crate) area: BoundingBox,
}

/// `None` when there is no such place in the picture, or when it is no picture.
pub(crate) fn cut(jpeg: &[u8], bbox: &BoundingBox) -> Option<Cut> {
    let header = turbojpeg::read_header(jpeg).ok()?;
    // `as` cuts off at both ends what is no number of pixels.
    let left = bbox.x.max(0.0).floor() as usize;
    let top = bbox.y.max(0.0).floor() as usize;
    let right = ((bbox.x + bbox.width).ceil() as usize).min(header.width);
    let bottom = ((bbox.y + bbox.height).ceil() as usize).min(header.height);
    if left >= right || top >= bottom {
        return None;
    }
    let area = |x: usize, y: usize| BoundingBox { x: x as f32, y: y as f32, width: (right - x) as f32, height: (bottom - y) as f32 };
    if header.subsamp != Subsamp::Unknown {
        let (x, y) = (left - left % header.subsamp.mcu_width(), top - top % header.subsamp.mcu_height());
        let crop = TransformCrop { x, y, width: Some(right - x), height: Some(bottom - y) };
        let mut transform = Transform::op(TransformOp::None);
        transform.crop = Some(crop);
        if let Ok(cut) = turbojpeg::transform(&transform, jpeg) {
            return Some(Cut { jpeg: cut.to_vec(), method: Method::Lossless, area: area(x, y) });
        }
    }
    let whole = turbojpeg::decompress(jpeg, PixelFormat::RGB).ok()?;
    let part = Image {
        pixels: whole.pixels.get(top * whole.pitch + left * 3..)?,
        width: right - left,
        height: bottom - top,
        pitch: whole.pitch,
        format: whole.format,
    };
    let cut = turbojpeg::compress(part, QUALITY, Subsamp::None).ok()?;
    Some(Cut { jpeg: cut.to_vec(), method: Method::Reencoded, area: area(left, top) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::picture;

    #[test]
    fn a_cut_has_the_pixels_of_the_original() {
        let original = picture(96, 64, 7);
        let bbox = BoundingBox { x: 40.0, y: 20.0, width: 30.0, height: 12.0 };
        let cut = cut(&original, &bbox).expect("inside");
        assert_eq!(cut.method, Method::Lossless);
        assert_eq!(cut.area, BoundingBox { x: 32.0, y: 16.0, width: 38.0, height: 16.0 }, "from the block that holds the corner");
        let whole = turbojpeg::decompress(&original, PixelFormat::GRAY).expect("a picture");
        let part = turbojpeg::decompress(&cut.jpeg, PixelFormat::GRAY).expect("a picture");
        assert_eq!((part.width, part.height), (38, 16));
        for y in 0..part.height {
            let (ours, theirs) = (&part.pixels[y * part.pitch..][..38], &whole.pixels[(y + 16) * whole.pitch + 32..][..38]);
            assert_eq!(ours, theirs, "row {y}: grey needs no neighbours, so it is the same to the bit");
        }
    }

    #[test]
    fn what_lies_outside_or_is_no_picture_gives_nothing() {
        let original = picture(96, 64, 7);
        for (x, y, width, height) in
            [(96.0, 0.0, 10.0, 10.0), (0.0, 0.0, 0.0, 5.0), (-20.0, 0.0, 10.0, 10.0), (f32::NAN, 0.0, f32::NAN, 4.0)]
        {
            assert!(cut(&original, &BoundingBox { x, y, width, height }).is_none(), "{x} {y}");
        }
        assert!(cut(b"no picture", &BoundingBox { x: 0.0, y: 0.0, width: 5.0, height: 5.0 }).is_none());
        let over = cut(&original, &BoundingBox { x: 80.0, y: 50.0, width: 500.0, height: 500.0 }).expect("partly inside");
        assert_eq!((over.area.width, over.area.height), (16.0, 16.0), "up to the edge");
    }
}
