//! Frames: `[length u32][crc32 u32][payload]`, little endian, the checksum over length and payload. The highest bit of the length says
//! that a commit ends with this frame.
//!
//! Invariant: reading never panics and never trusts a length. A frame that fails its checksum is passed over when a commit ends behind
//! it: the disk lost something that was whole, and what stands behind is as good as ever. Without such an end it belongs to a commit
//! that never was, whose pages may have reached the disk in any order: reading ends at the last good frame before.

use serde::Serialize;

use crate::StoreError;

/// Larger lengths are damage. A checkpoint with ten thousand open alerts is about 10 MiB.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;

const HEADER: usize = 8;
/// In the length.
const END: u32 = 1 << 31;

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
    let length = buffer.len() - start - HEADER;
    if length > MAX_PAYLOAD {
        return Err(StoreError::TooLong { length, limit: MAX_PAYLOAD });
    }
    seal(&mut buffer[start..], length as u32);
    Ok(())
}

/// Says of the frame that fills `frame` whether a commit ends with it.
pub(crate) fn mark_end(frame: &mut [u8], end: bool) {
    let length = (frame.len() - HEADER) as u32;
    seal(frame, if end { length | END } else { length });
}

/// Writes the header of the frame that fills `frame`.
fn seal(frame: &mut [u8], word: u32) {
    let (header, payload) = frame.split_at_mut(HEADER);
    let word = word.to_le_bytes();
    header[..4].copy_from_slice(&word);
    header[4..].copy_from_slice(&checksum(word, payload).to_le_bytes());
}

fn checksum(word: [u8; 4], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&word);
    sum.update(payload);
    sum.finalize()
}

/// The payloads of the good frames of `bytes`, in order.
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    end: usize,
    damaged: u64,
    /// A commit ends here; what is ahead has not been looked at.
    committed: usize,
}

struct Good<'a> {
    payload: &'a [u8],
    /// Just behind it.
    end: usize,
    ends_commit: bool,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, end: 0, damaged: 0, committed: 0 }
    }

    /// Just behind the last good frame read so far.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Gaps passed over so far: each is at least one frame.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    fn good_at(&self, at: usize) -> Option<Good<'a>> {
        let (header, rest) = self.bytes.get(at..)?.split_at_checked(HEADER)?;
        let word = [header[0], header[1], header[2], header[3]];
        let length = (u32::from_le_bytes(word) & !END) as usize;
        // No payload is empty; a run of zeros, as a power cut may leave, would otherwise be a run of good frames.
        if length == 0 || length > MAX_PAYLOAD {
            return None;
        }
        let payload = rest.get(..length)?;
        let sum = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let good = Good { payload, end: at + HEADER + length, ends_commit: word[3] & 0x80 != 0 };
        (checksum(word, payload) == sum).then_some(good)
    }

    /// Where the next good frame behind the damage at `at` begins. Its length is believed first: most damage is to payloads.
    fn next_good(&self, at: usize) -> Option<usize> {
        let word = self.bytes.get(at..at + 4)?;
        let length = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) & !END;
        let hop = at.saturating_add(HEADER).saturating_add(length as usize);
        if length > 0 && self.good_at(hop).is_some() {
            // A damaged length may point behind frames that are whole: those that lead up to where it points come first.
            return (at + 1..hop).find(|from| self.leads(*from, hop)).or(Some(hop));
        }
        (at + 1..self.bytes.len().saturating_sub(HEADER)).find(|at| self.good_at(*at).is_some())
    }

    /// Whether good frames follow each other from `at` exactly to `end`.
    fn leads(&self, mut at: usize, end: usize) -> bool {
        while at < end {
            match self.good_at(at) {
                Some(good) => at = good.end,
                None => return false,
            }
        }
        at == end
    }

    /// Whether a commit ends at or behind the good frame at `at`.
    fn is_committed(&mut self, mut at: usize) -> bool {
        if at < self.committed {
            return true;
        }
        loop {
            match self.good_at(at) {
                Some(good) if good.ends_commit => {
                    self.committed = good.end;
                    return true;
                }
                Some(good) => at = good.end,
                None => match self.next_good(at) {
                    Some(next) => at = next,
                    None => return false,
                },
            }
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let good = match self.good_at(self.end) {
            Some(good) => good,
            None => {
                let at = self.next_good(self.end)?;
                if !self.is_committed(at) {
                    return None;
                }
                self.damaged += 1;
                self.good_at(at)?
            }
        };
        self.end = good.end;
        Some(good.payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Commits of several frames each.
    fn commits(commits: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut buffer = Vec::new();
        for payloads in commits {
            let mut last = buffer.len();
            for payload in payloads {
                last = buffer.len();
                push(&mut buffer, payload).expect("a small payload encodes");
            }
            if last < buffer.len() {
                mark_end(&mut buffer[last..], true);
            }
        }
        buffer
    }

    /// One commit.
    fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
        commits(&[payloads.to_vec()])
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, u64, usize) {
        let mut frames = Frames::new(bytes);
        let payloads = frames.by_ref().map(|p| postcard::from_bytes(p).expect("a good frame holds what was put in")).collect();
        (payloads, frames.damaged(), frames.end())
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..40)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in prop::collection::vec(prop::collection::vec(payload(), 0..4), 0..4)) {
            let bytes = commits(&all);
            prop_assert_eq!(read(&bytes), (all.concat(), 0, bytes.len()));
        }

        #[test]
        fn a_cut_leaves_a_prefix(payloads in prop::collection::vec(payload(), 1..6), cut: prop::sample::Index) {
            let bytes = frames(&payloads);
            let cut = cut.index(bytes.len());
            let (got, damaged, end) = read(&bytes[..cut]);
            prop_assert_eq!(damaged, 0);
            prop_assert!(end <= cut);
            prop_assert!(got.len() < payloads.len() && got[..] == payloads[..got.len()]);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut frames = Frames::new(&bytes);
            while frames.next().is_some() {}
            prop_assert!(frames.end() <= bytes.len());
        }

        /// Wherever a bit flips, length or checksum or payload, one frame is lost and all others are read; the last one of all cannot
        /// be told from a commit that never was.
        #[test]
        fn a_flipped_bit_costs_one_frame(payloads in prop::collection::vec(payload(), 2..6), at: prop::sample::Index, bit in 0..8u32) {
            let mut bytes = commits(&payloads.iter().map(|payload| vec![payload.clone()]).collect::<Vec<_>>());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let (got, damaged, end) = read(&bytes);
            let lost = (0..payloads.len()).find(|i| got[..] == [&payloads[..*i], &payloads[i + 1..]].concat());
            prop_assert!(lost.is_some(), "{} of {} left", got.len(), payloads.len());
            prop_assert!((damaged == 1) != (end < bytes.len()), "seen, once: {damaged}, {end}");
        }

        /// Pages of a commit that was cut by a power failure reach the disk in any order: what is behind a hole is not taken for stored,
        /// or a reading would be whose alarm is lost.
        #[test]
        fn a_hole_in_the_last_commit_ends_the_log(before in prop::collection::vec(payload(), 1..4), torn in prop::collection::vec(payload(), 3..6)) {
            let whole = frames(&before);
            let mut bytes = commits(&[before.clone(), torn.clone()]);
            let hole = whole.len() + 1;
            bytes[hole..hole + HEADER].fill(0);
            let ends_early = Frames::new(&bytes[whole.len()..]).good_at(0).is_none();
            let without_end = bytes.len() - frames(&torn[torn.len() - 1..]).len();
            let (got, damaged, end) = read(&bytes[..without_end]);
            prop_assert!(ends_early);
            prop_assert_eq!((got, damaged, end), (before, 0, whole.len()));
        }
    }

    #[test]
    fn a_length_that_points_behind_the_next_frame_hides_nothing() {
        let payloads = [vec![0; 22], vec![0; 22], vec![1; 3]];
        let mut bytes = commits(&payloads.iter().map(|payload| vec![payload.clone()]).collect::<Vec<_>>());
        // 23 bytes become 54: as if the first frame reached to the end of the second.
        let (first, both) = (23, 2 * 23 + HEADER);
        assert_eq!(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]), first);
        bytes[0] = both as u8;
        assert_eq!(read(&bytes), (payloads[1..].to_vec(), 1, bytes.len()));
    }

    #[test]
    fn zeros_are_torn_not_empty_frames() {
        let mut bytes = frames(&[vec![1, 2, 3]]);
        let end = bytes.len();
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(read(&bytes), (vec![vec![1, 2, 3]], 0, end));
    }

    #[test]
    fn an_end_can_be_taken_back() {
        let mut bytes = frames(&[vec![1; 10]]);
        let marked = bytes.clone();
        mark_end(&mut bytes, false);
        assert_ne!(bytes, marked);
        assert_eq!(read(&bytes).0, [vec![1; 10]]);
        mark_end(&mut bytes, true);
        assert_eq!(bytes, marked);
    }
}
