//! The order of whole readings of one key: occurrences, and readings that carry texts alone.
//!
//! Invariants: what was seen is a repeat as long as it is remembered; an occurrence is lost to the rules only when it is older than
//! the stream's disorder allows, never because many came at once.

use std::hash::{DefaultHasher, Hash, Hasher};

use huong_types::{Name, Reading, Remembered, Span, Timestamp, Value};

/// How many occurrences back a repeat is recognised. More than a gauge's: a hotline is one key, and a broker that reconnects sends
/// again what it has in flight.
const REMEMBERED: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Occurrences {
    /// Event time and what tells two occurrences apart, in order of arrival: what comes again came lately.
    seen: Remembered<(Timestamp, u64)>,
    newest: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    New,
    Late,
    Repeat,
}

impl Default for Occurrences {
    fn default() -> Self {
        Self { seen: Remembered::new(REMEMBERED), newest: Timestamp::MIN }
    }
}

impl Occurrences {
    /// `id_field` tells occurrences of one instant apart; where it says nothing, all fields do.
    pub(super) fn judge(&mut self, reading: &Reading, id_field: Option<&Name>, disorder: Span, now: Timestamp) -> Order {
        let entry = (reading.at, fingerprint(reading, id_field));
        if self.seen.knows(&entry) {
            return Order::Repeat;
        }
        let known = reading.at.min(now);
        if known < self.newest - disorder {
            return Order::Late;
        }
        self.newest = self.newest.max(known);
        self.seen.note(entry);
        Order::New
    }
}

/// Two different occurrences of one key and instant share it once in 2⁶⁴.
fn fingerprint(reading: &Reading, id_field: Option<&Name>) -> u64 {
    // With fixed keys: the same readings are judged the same in every run.
    let mut hasher = DefaultHasher::new();
    let id = id_field.and_then(|name| reading.fields.iter().find(|field| field.name == *name));
    match id.map(|field| &field.value) {
        Some(Value::Text(id)) if !id.trim().is_empty() => id.hash(&mut hasher),
        _ => reading.hash_fields(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
impl Occurrences {
    pub(super) fn remembered(&self) -> usize {
        self.seen.len()
    }
}
