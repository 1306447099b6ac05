//! The cheap look at a payload that says whether it is worth a decoder's time: markers up to the first scan, and the end.
//!
//! Invariant: no allocation and no work beyond the marker headers and the last bytes, whatever the payload claims; what
//! passes claims a size within the limits, so a decoder's buffers are bounded.

use huong_types::{Problems, Reject, RejectReason};
use serde::Deserialize;

/// What a frame may ask of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrameLimits {
    pub max_bytes: usize,
    pub max_pixels: u64,
    /// Scans of a progressive JPEG; each costs a pass over the picture.
    pub max_scans: u32,
    /// How far before the end of the payload the picture may end: cameras append padding or a note.
    pub trailer_bytes: usize,
}

impl Default for FrameLimits {
    /// 8K video is 33 megapixels and its JPEG some 10 MB; encoders write about 10 scans; a trailer is a few hundred bytes.
    fn default() -> Self {
        Self { max_bytes: 16 << 20, max_pixels: 40_000_000, max_scans: 100, trailer_bytes: 1024 }
    }
}

impl FrameLimits {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let fields = [
            ("max_bytes", self.max_bytes as u64),
            ("max_pixels", self.max_pixels),
            ("max_scans", u64::from(self.max_scans)),
            ("trailer_bytes", self.trailer_bytes as u64),
        ];
        for (name, value) in fields {
            if value == 0 {
                problems.add(file, format!("{path}.{name}"), "`0`", "at least 1");
            }
        }
    }
}

/// The width and height in pixels of a JPEG that a decoder may be given.
///
/// # Errors
/// [`RejectReason::TooLarge`] past `max_bytes`, else [`RejectReason::BadFrame`] with what was found and expected: not a JPEG,
/// cut short, absurd dimensions, or a kind that no camera sends (lossless, hierarchical, 12 bit, four colours).
pub fn validate_jpeg(bytes: &[u8], limits: &FrameLimits) -> Result<(u32, u32), Reject> {
    if bytes.len() > limits.max_bytes {
        return Err(Reject::new(
            RejectReason::TooLarge,
            format!("frame: found {} bytes, expected at most {}", bytes.len(), limits.max_bytes),
        ));
    }
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(bad(format!("found first bytes {:02x?}, expected a JPEG (ff d8)", &bytes[..bytes.len().min(4)])));
    }
    let mut size = None;
    let mut at = 2;
    loop {
        let (code, after) = marker(bytes, at)?;
        at = after;
        // Stand-alone markers carry no length.
        if matches!(code, 0x01 | 0xD0..=0xD7) {
            continue;
        }
        if matches!(code, 0x00 | 0xD8 | 0xD9) {
            return Err(bad(format!("found marker ff {code:02x} at byte {}, expected a header segment", at - 2)));
        }
        let body = segment(bytes, at)?;
        match code {
            0xC0..=0xCF if !matches!(code, 0xC4 | 0xC8 | 0xCC) => {
                if size.is_some() {
                    return Err(bad("found two frame headers, expected one".to_owned()));
                }
                size = Some(frame_header(code, body, limits)?);
            }
            0xDA => break,
            _ => {}
        }
        at += 2 + body.len();
    }
    let size = size.ok_or_else(|| bad("found picture data, expected a frame header before it".to_owned()))?;
    // Inside picture data ff is always followed by 00 or a restart marker, so ff d9 is the end and nothing else.
    let tail = &bytes[at.max(bytes.len().saturating_sub(limits.trailer_bytes + 2))..];
    if !tail.windows(2).any(|pair| pair == [0xFF, 0xD9]) {
        return Err(bad(format!("found {} bytes without an end marker (ff d9), expected a whole picture: cut short", bytes.len())));
    }
    Ok(size)
}

/// The code of the marker at `at` and where its segment begins; any number of fill bytes may come first.
fn marker(bytes: &[u8], at: usize) -> Result<(u8, usize), Reject> {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.iter().position(|&byte| byte != 0xFF) {
        Some(0) => Err(bad(format!("found byte {:02x} at {at}, expected a marker (ff)", rest[0]))),
        Some(fill) => Ok((rest[fill], at + fill + 1)),
        None => Err(cut_short(bytes)),
    }
}

/// The segment at `at` without its two length bytes.
fn segment(bytes: &[u8], at: usize) -> Result<&[u8], Reject> {
    let Some(&[high, low]) = bytes.get(at..at + 2) else {
        return Err(cut_short(bytes));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 {
        return Err(bad(format!("found a segment of length {length} at byte {at}, expected at least 2")));
    }
    bytes.get(at + 2..at + length).ok_or_else(|| cut_short(bytes))
}

fn frame_header(code: u8, body: &[u8], limits: &FrameLimits) -> Result<(u32, u32), Reject> {
    // Baseline, extended and progressive, Huffman or arithmetic coding.
    if !matches!(code, 0xC0..=0xC2 | 0xC9 | 0xCA) {
        return Err(bad(format!("found JPEG process ff {code:02x}, expected baseline or progressive")));
    }
    let &[precision, h1, h0, w1, w0, components, ..] = body else {
        return Err(bad(format!("found a frame header of {} bytes, expected at least 6", body.len())));
    };
    let (width, height) = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    if precision != 8 {
        return Err(bad(format!("found {precision} bits a sample, expected 8")));
    }
    if !matches!(components, 1 | 3) {
        return Err(bad(format!("found {components} colour components, expected 1 or 3")));
    }
    if width == 0 || height == 0 {
        return Err(bad(format!("found {width}x{height} pixels, expected at least 1x1")));
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(bad(format!("found {width}x{height} pixels, expected at most {} in all", limits.max_pixels)));
    }
    Ok((width, height))
}

fn cut_short(bytes: &[u8]) -> Reject {
    bad(format!("found {} bytes that end inside the header, expected a whole picture: cut short", bytes.len()))
}

fn bad(detail: String) -> Reject {
    Reject::new(RejectReason::BadFrame, format!("frame: {detail}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Header of a `width`x`height` JPEG, a byte of picture data, the end.
    fn minimal(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, b'h', b'i', 0xFF, 0xFF, 0xC0, 0, 11, 8];
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([1, 1, 0x11, 0, 0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0x55, 0xFF, 0xD9]);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        let reject = validate_jpeg(bytes, &FrameLimits::default()).expect_err("must be refused");
        assert_eq!(reject.reason, RejectReason::BadFrame);
        reject.detail
    }

    #[test]
    fn a_whole_picture_tells_its_size() {
        let limits = FrameLimits::default();
        let mut bytes = minimal(1280, 720);
        assert_eq!(validate_jpeg(&bytes, &limits), Ok((1280, 720)));
        bytes.extend([0; 900]);
        assert_eq!(validate_jpeg(&bytes, &limits), Ok((1280, 720)), "padding after the end is the camera's business");
    }

    #[test]
    fn what_is_no_picture_is_refused_with_found_and_expected() {
        let with = |at: usize, byte: u8| {
            let mut bytes = minimal(640, 480);
            bytes[at] = byte;
            bytes
        };
        let whole = minimal(640, 480);
        let no_frame_header: Vec<u8> = [&whole[..8], &whole[22..]].concat();
        let two_frame_headers: Vec<u8> = [&whole[..22], &whole[8..]].concat();
        let cases: [(&str, Vec<u8>, &str); 14] = [
            ("empty", vec![], "expected a JPEG"),
            ("text", b"not a picture".to_vec(), "found first bytes [6e, 6f, 74, 20], expected a JPEG (ff d8)"),
            ("bomb", minimal(65_535, 65_535), "found 65535x65535 pixels, expected at most 40000000 in all"),
            ("no height", minimal(640, 0), "found 640x0 pixels"),
            ("start only", vec![0xFF, 0xD8], "cut short"),
            ("in the header", whole[..16].to_vec(), "cut short"),
            ("in the data", whole[..whole.len() - 2].to_vec(), "without an end marker (ff d9)"),
            ("end far from the end", [&whole[..], &[0; 2000]].concat(), "without an end marker"),
            ("12 bit", with(13, 12), "found 12 bits a sample, expected 8"),
            ("four colours", with(18, 4), "found 4 colour components"),
            ("lossless", with(10, 0xC3), "found JPEG process ff c3"),
            ("segment of no length", with(5, 1), "found a segment of length 1"),
            ("data before its header", no_frame_header, "expected a frame header before it"),
            ("two headers", two_frame_headers, "found two frame headers"),
        ];
        for (name, bytes, expected) in cases {
            let detail = refusal(&bytes);
            assert!(detail.contains(expected), "{name}: {detail}");
        }
    }

    #[test]
    fn a_large_payload_is_refused_unread() {
        let limits = FrameLimits { max_bytes: 10, ..FrameLimits::default() };
        let reject = validate_jpeg(&minimal(8, 8), &limits).expect_err("too many bytes");
        assert_eq!(reject.reason, RejectReason::TooLarge);
        assert_eq!(reject.detail, "frame: found 35 bytes, expected at most 10");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let with_start = [&[0xFF, 0xD8][..], &bytes].concat();
            let answers = [validate_jpeg(&bytes, &FrameLimits::default()), validate_jpeg(&with_start, &FrameLimits::default())];
            for (width, height) in answers.into_iter().flatten() {
                prop_assert!(u64::from(width) * u64::from(height) <= FrameLimits::default().max_pixels);
            }
        }

        /// Cut anywhere, or with any byte changed, a picture is refused or keeps a bounded size.
        #[test]
        fn damaged_pictures_are_answered(cut in 0usize..35, at in 0usize..35, byte in any::<u8>()) {
            let whole = minimal(320, 240);
            prop_assert!(validate_jpeg(&whole[..cut], &FrameLimits::default()).is_err());
            let mut changed = whole;
            changed[at] = byte;
            if let Ok((width, height)) = validate_jpeg(&changed, &FrameLimits::default()) {
                prop_assert!(u64::from(width) * u64::from(height) <= FrameLimits::default().max_pixels);
            }
        }
    }
}
