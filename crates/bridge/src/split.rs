//! JPEG pictures out of a stream of bytes, one behind the other, as `ffmpeg -f image2pipe` writes them.
//!
//! Segments of a header are passed over by their length, so that a thumbnail inside of one is not taken for a picture (ITU-T T.81,
//! annex B). Invariant: whatever comes, never more than `limit` bytes and one header are kept; bytes between pictures are skipped,
//! a picture above the limit is skipped to its end and told of.

/// A picture of more bytes than allowed was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    pub bytes: u64,
}

/// Cuts a stream into pictures; keeps the unfinished one.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    picture: Vec<u8>,
    /// Of the picture so far, also what is not kept of one that is too large.
    length: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between pictures; whether the byte before was ff.
    Outside {
        ff: bool,
    },
    /// Expects ff, the begin of a marker.
    Marker,
    /// Expects a marker's code, after ff.
    Code,
    /// Expects the first, then the second byte of a segment's length.
    High {
        scan: bool,
    },
    Low {
        scan: bool,
        high: u8,
    },
    /// So many bytes of a segment are left.
    Segment {
        scan: bool,
        left: u16,
    },
    /// Picture data; whether the byte before was ff.
    Scan {
        ff: bool,
    },
}

impl Splitter {
    /// Pictures of more than `limit` bytes are skipped.
    pub fn new(limit: usize) -> Self {
        Self { limit, picture: Vec::new(), length: 0, state: State::Outside { ff: false } }
    }

    /// Takes bytes and gives each picture that ends in them to `out`.
    pub fn push(&mut self, mut bytes: &[u8], mut out: impl FnMut(Result<Vec<u8>, TooLarge>)) {
        while let Some(&first) = bytes.first() {
            // Long runs at once: what is inside a segment, and picture data up to the next ff.
            let run = match self.state {
                State::Segment { left, .. } => usize::from(left).min(bytes.len()),
                State::Scan { ff: false } => bytes.iter().position(|&byte| byte == 0xFF).unwrap_or(bytes.len()),
                _ => 0,
            };
            if run > 0 {
                self.keep(&bytes[..run]);
                if let State::Segment { scan, left } = self.state {
                    self.state = after(scan, left - run as u16);
                }
                bytes = &bytes[run..];
                continue;
            }
            bytes = &bytes[1..];
            self.step(first, &mut out);
        }
    }

    fn step(&mut self, byte: u8, out: &mut impl FnMut(Result<Vec<u8>, TooLarge>)) {
        let state = self.state;
        if let State::Outside { ff } = state {
            self.state = State::Outside { ff: byte == 0xFF };
            if ff && byte == 0xD8 {
                self.begin();
            }
            return;
        }
        self.keep(&[byte]);
        self.state = match state {
            State::Marker if byte == 0xFF => State::Code,
            State::Code => match byte {
                // Fill bytes; markers without a segment.
                0xFF => State::Code,
                0x01 | 0xD0..=0xD7 => State::Marker,
                0xD8 => return self.begin(),
                0xD9 => return self.finish(out),
                0x00 => return self.reset(),
                _ => State::High { scan: byte == 0xDA },
            },
            State::High { scan } => State::Low { scan, high: byte },
            State::Low { scan, high } => match u16::from_be_bytes([high, byte]).checked_sub(2) {
                Some(left) => after(scan, left),
                None => return self.reset(),
            },
            // Within picture data ff 00 is a byte, ff d0 to ff d7 are restarts; anything else ends the scan.
            State::Scan { ff: true } => match byte {
                0x00 | 0x01 | 0xD0..=0xD7 => State::Scan { ff: false },
                0xFF => State::Scan { ff: true },
                0xD8 => return self.begin(),
                0xD9 => return self.finish(out),
                _ => State::High { scan: byte == 0xDA },
            },
            State::Scan { ff: false } => State::Scan { ff: byte == 0xFF },
            // No marker where one must be: not a picture.
            State::Marker | State::Outside { .. } | State::Segment { .. } => return self.reset(),
        };
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.length <= self.limit as u64 {
            self.picture.extend_from_slice(bytes);
        }
    }

    fn begin(&mut self) {
        self.reset();
        self.keep(&[0xFF, 0xD8]);
        self.state = State::Marker;
    }

    fn finish(&mut self, out: &mut impl FnMut(Result<Vec<u8>, TooLarge>)) {
        let bytes = self.length;
        let picture = std::mem::take(&mut self.picture);
        out(if bytes <= self.limit as u64 { Ok(picture) } else { Err(TooLarge { bytes }) });
        self.reset();
    }

    fn reset(&mut self) {
        self.picture.clear();
        self.length = 0;
        self.state = State::Outside { ff: false };
    }
}

fn after(scan: bool, left: u16) -> State {
    match (left, scan) {
        (0, true) => State::Scan { ff: false },
        (0, false) => State::Marker,
        _ => State::Segment { scan, left },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture as the format allows it: segments whose content looks like other pictures, stuffed data, restarts, a second scan.
    fn picture(segment: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xFF, 0xE1];
        bytes.extend((segment.len() as u16 + 2).to_be_bytes());
        bytes.extend(segment);
        for table in [0xC4, 0xDA] {
            bytes.extend([0xFF, table, 0, 4, 0xFF, 0xD9]);
        }
        for byte in data {
            bytes.push(*byte);
            if *byte == 0xFF {
                bytes.push(0);
            }
        }
        bytes.extend([0xFF, 0xD3, 0x12, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0xD9]);
        bytes
    }

    fn split(limit: usize, pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, TooLarge>> {
        let mut splitter = Splitter::new(limit);
        let mut found = Vec::new();
        for piece in pieces {
            splitter.push(piece, |picture| found.push(picture));
            assert!(splitter.picture.len() <= limit, "more is kept than allowed");
        }
        found
    }

    #[test]
    fn a_thumbnail_is_no_picture_and_what_is_between_is_skipped() {
        let inner = picture(b"", &[1, 2, 3]);
        let outer = picture(&inner, &[9; 300]);
        let stream = [b"--boundary\r\n\r\n\xFF", &outer[..], b"\r\n", &inner].concat();
        assert_eq!(split(10_000, &[&stream]), [Ok(outer.clone()), Ok(inner.clone())]);
        // A picture that breaks off is dropped at the begin of the next.
        let broken = [&outer[..outer.len() - 40], &inner[..]].concat();
        assert_eq!(split(10_000, &[&broken]), [Ok(inner)]);
    }

    #[test]
    fn a_picture_above_the_limit_is_skipped_and_the_next_one_is_not() {
        let (small, large) = (picture(b"", &[1; 10]), picture(b"", &[1; 500]));
        let stream = [&large[..], &small].concat();
        assert_eq!(split(small.len(), &[&stream]), [Err(TooLarge { bytes: large.len() as u64 }), Ok(small)]);
    }

    proptest! {
        #[test]
        fn pictures_come_out_as_they_went_in_however_they_are_cut(
            pictures in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), prop::collection::vec(any::<u8>(), 0..200)), 1..5),
            cuts in prop::collection::vec(1usize..60, 1..100),
        ) {
            let pictures: Vec<Vec<u8>> = pictures.iter().map(|(segment, data)| picture(segment, data)).collect();
            let stream = pictures.concat();
            let mut rest = &stream[..];
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, more) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            prop_assert_eq!(split(1000, &pieces), pictures.into_iter().map(Ok).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_break_it_and_it_recovers(
            noise in prop::collection::vec(prop_oneof![Just(0xFFu8), Just(0xD8), Just(0xD9), Just(0xDA), Just(0), any::<u8>()], 0..400),
        ) {
            // Noise may end inside a segment that claims 65,533 bytes more, or a scan; then the first picture is part of it.
            let whole = picture(b"a thumbnail", &[5; 90]);
            let stream = [&noise[..], &vec![0; 70_000], &whole, &whole].concat();
            let found = split(4096, &[&stream]);
            prop_assert_eq!(found.last(), Some(&Ok(whole)));
        }
    }
}
