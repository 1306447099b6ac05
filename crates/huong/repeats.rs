//! Which readings have been stored lately, so that what comes a second time is not stored twice.
//!
//! A broker sends again what it was not acknowledged, after our restart or its own: messages of the last commits, whose readings are
//! on disk. It may send again what was acknowledged, too: mosquitto 2.0.11 does, when it is restarted while it works off a queue that
//! it had read from its disk. The rules' own memory of a key is made for what sensors repeat and is shorter than a burst of one key, or than a message
//! that holds a day of it.
//!
//! Invariant: a reading among the last [`REMEMBERED`] is recognised, whatever its key, its age or its stream. Memory is bounded.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use ahash::RandomState;
use huong_types::Reading;

/// A minute at 15,000 readings a second; about 20 MB once twice so many have come. Two different readings are taken for one with a
/// chance of 2²¹ in 2⁶⁴. As many as a table of a power of two holds at its greatest load.
const REMEMBERED: usize = (1 << 20) / 8 * 7;

/// Two generations, of which the older is forgotten as a whole: forgetting them one by one would cost as much as noting them.
pub(crate) struct Repeats {
    newer: Prints,
    older: Prints,
    hashing: RandomState,
}

type Prints = HashSet<u64, BuildHasherDefault<AsIs>>;

impl Repeats {
    pub(crate) fn new() -> Self {
        let empty = || Prints::with_capacity_and_hasher(REMEMBERED, BuildHasherDefault::default());
        // With fixed keys: the same readings are judged the same in every run.
        Self { newer: empty(), older: empty(), hashing: RandomState::with_seeds(1, 2, 3, 4) }
    }

    /// Notes a reading; false when it is known.
    pub(crate) fn note(&mut self, reading: &Reading) -> bool {
        let print = self.fingerprint(reading);
        if self.older.contains(&print) || !self.newer.insert(print) {
            return false;
        }
        if self.newer.len() == REMEMBERED {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        true
    }

    /// Of what was said, not of when it arrived nor of what was thought of it.
    fn fingerprint(&self, reading: &Reading) -> u64 {
        use std::hash::Hash;
        let mut hasher = self.hashing.build_hasher();
        (&reading.stream, &reading.key, reading.at).hash(&mut hasher);
        reading.hash_fields(&mut hasher);
        hasher.finish()
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached by sets of numbers.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huong_types::{Field, Origin, Timestamp};

    fn reading(at: i64) -> Reading {
        let at = Timestamp::from_millis(at);
        let fields = [Field::ok("value".into(), 1.0)].into_iter().collect();
        let (stream, key, source) = ("water_level".into(), "TD01".into(), "vrain".into());
        Reading { stream, key, at, received: at, fields, source, origin: Origin::Sensor, orphan: false }
    }

    #[test]
    fn the_last_ones_are_known_and_memory_is_bounded() {
        let mut repeats = Repeats::new();
        let most = REMEMBERED as i64;
        assert!((0..2 * most + 10).all(|at| repeats.note(&reading(at))));
        assert!((most + 10..2 * most + 10).all(|at| !repeats.note(&reading(at))), "as many as it promises");
        assert!(repeats.newer.len() + repeats.older.len() <= 2 * REMEMBERED);
        assert!(repeats.note(&reading(0)), "what is long past is forgotten");
    }
}
