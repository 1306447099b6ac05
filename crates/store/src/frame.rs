//! Frames: `[length u32][crc32 u32][payload]`, little endian, the checksum over the payload.
//!
//! Invariant: reading never panics and never trusts a length. A frame whose checksum fails is passed over when a good one follows
//! directly (one damaged record does not hide those behind it); otherwise reading ends at the last good frame: what follows is torn.

use serde::Serialize;

use crate::StoreError;

/// Larger lengths are damage. A checkpoint with ten thousand open alerts is about 10 MiB.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;

const HEADER: usize = 8;

/// Appends `value` as one frame; on an error `buffer` is as before.
pub(crate) fn push<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), StoreError> {
    let start = buffer.len();
    let result = encode(buffer, value);
    if result.is_err() {
        buffer.truncate(start);
    }
    result
}

fn encode<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), StoreError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEADER]);
    postcard::to_io(value, &mut *buffer)?;
    let payload = &buffer[start + HEADER..];
    let length = payload.len();
    if length > MAX_PAYLOAD {
        return Err(StoreError::TooLong { length, limit: MAX_PAYLOAD });
    }
    let sum = crc32fast::hash(payload);
    buffer[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    buffer[start + 4..start + HEADER].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The payloads of the good frames of `bytes`, in order.
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    end: usize,
    damaged: u64,
}

enum Found<'a> {
    Good(&'a [u8], usize),
    /// The checksum fails; the next frame would begin here.
    Bad(usize),
    Torn,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, end: 0, damaged: 0 }
    }

    /// Just behind the last good frame read so far.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Damaged frames passed over so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    fn frame_at(&self, at: usize) -> Found<'a> {
        let Some((header, rest)) = self.bytes.get(at..).and_then(|rest| rest.split_at_checked(HEADER)) else { return Found::Torn };
        let word = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        let length = word(0) as usize;
        // No payload is empty; a run of zeros, as a power cut may leave, would otherwise be a run of good frames.
        if length == 0 || length > MAX_PAYLOAD {
            return Found::Torn;
        }
        let Some(payload) = rest.get(..length) else { return Found::Torn };
        let end = at + HEADER + length;
        if crc32fast::hash(payload) == word(4) { Found::Good(payload, end) } else { Found::Bad(end) }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut at = self.end;
        let mut passed = 0;
        loop {
            match self.frame_at(at) {
                Found::Good(payload, end) => {
                    self.end = end;
                    self.damaged += passed;
                    return Some(payload);
                }
                Found::Bad(next) => {
                    passed += 1;
                    at = next;
                }
                Found::Torn => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut buffer = Vec::new();
        for payload in payloads {
            push(&mut buffer, payload).expect("a small payload encodes");
        }
        buffer
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, u64, usize) {
        let mut frames = Frames::new(bytes);
        let payloads = frames.by_ref().map(|p| postcard::from_bytes(p).expect("a good frame holds what was put in")).collect();
        (payloads, frames.damaged(), frames.end())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payloads: Vec<Vec<u8>>) {
            let bytes = frames(&payloads);
            prop_assert_eq!(read(&bytes), (payloads, 0, bytes.len()));
        }

        #[test]
        fn a_cut_leaves_a_prefix(payloads in prop::collection::vec(any::<Vec<u8>>(), 1..6), cut: prop::sample::Index) {
            let bytes = frames(&payloads);
            let cut = cut.index(bytes.len());
            let (got, damaged, end) = read(&bytes[..cut]);
            prop_assert_eq!(damaged, 0);
            prop_assert!(end <= cut);
            prop_assert!(got.len() < payloads.len() && got[..] == payloads[..got.len()]);
            prop_assert_eq!(&frames(&got), &bytes[..end]);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut frames = Frames::new(&bytes);
            while frames.next().is_some() {}
            prop_assert!(frames.end() <= bytes.len());
        }

        /// A flipped bit never yields a payload that was not written, and in payload or checksum costs one frame only.
        #[test]
        fn a_flipped_bit_is_seen(payloads in prop::collection::vec(any::<Vec<u8>>(), 2..6), at: prop::sample::Index, bit in 0..8u32) {
            let mut bytes = frames(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let (got, _, _) = read(&bytes);
            prop_assert!(got.len() < payloads.len());
            let mut rest = payloads.iter();
            prop_assert!(got.iter().all(|g| rest.any(|p| p == g)), "in order, none made up");
        }
    }

    #[test]
    fn zeros_are_torn_not_empty_frames() {
        let mut bytes = frames(&[vec![1, 2, 3]]);
        let end = bytes.len();
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(read(&bytes), (vec![vec![1, 2, 3]], 0, end));
    }

    #[test]
    fn a_damaged_frame_costs_only_itself() {
        let payloads = vec![vec![1; 10], vec![2; 10], vec![3; 10]];
        let mut bytes = frames(&payloads);
        let second = bytes.len() / 3 + HEADER + 5;
        bytes[second] ^= 4;
        assert_eq!(read(&bytes), (vec![vec![1; 10], vec![3; 10]], 1, bytes.len()));
    }
}
