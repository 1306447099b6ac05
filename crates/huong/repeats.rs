//! Which readings have been stored lately, so that what comes a second time is not stored twice.
//!
//! A broker sends again what it was not acknowledged, after our restart or its own: messages of the last commits, whose readings are
//! on disk. It may send again what was acknowledged, too: mosquitto 2.0.11 does, when it is restarted while it works off a queue that
//! it had read from its disk. The rules' own memory of a key is made for what sensors repeat and is shorter than a burst of one key, or than a message
//! that holds a day of it.
//!
//! Invariant: a reading among the last [`REMEMBERED`] is recognised, whatever its key, its age or its stream. Memory is bounded.

use std::hash::{DefaultHasher, Hash, Hasher};

use huong_types::{Reading, Remembered};

/// Two minutes at 8,700 readings a second; 26 MB once so many have come. Two different readings are taken for one with a chance of 2²⁰
/// in 2⁶⁴.
const REMEMBERED: usize = 1 << 20;

pub(crate) struct Repeats(Remembered<u64>);

impl Repeats {
    pub(crate) fn new() -> Self {
        Self(Remembered::new(REMEMBERED))
    }

    /// Notes a reading; false when it is known.
    pub(crate) fn note(&mut self, reading: &Reading) -> bool {
        self.0.note(fingerprint(reading))
    }
}

/// Of what was said, not of when it arrived nor of what was thought of it.
fn fingerprint(reading: &Reading) -> u64 {
    // With fixed keys: the same readings are judged the same in every run.
    let mut hasher = DefaultHasher::new();
    (&reading.stream, &reading.key, reading.at).hash(&mut hasher);
    reading.hash_fields(&mut hasher);
    hasher.finish()
}
