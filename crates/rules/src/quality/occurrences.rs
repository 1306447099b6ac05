//! The order of whole readings of one key: occurrences, and readings that carry texts alone.
//!
//! Invariants: what was seen is a repeat as long as it is remembered; an occurrence is lost to the rules only when it is older than
//! the stream's disorder allows, never because many came at once.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use huong_types::{Name, Reading, Span, Timestamp, Value};

/// How many occurrences back a repeat is recognised. More than a gauge's: a hotline is one key, and a broker that reconnects sends
/// again what it has in flight.
const REMEMBERED: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Occurrences {
    /// Event time and what tells two occurrences apart.
    seen: HashSet<(Timestamp, u64)>,
    /// The same in order of arrival: what comes again came lately.
    arrived: VecDeque<(Timestamp, u64)>,
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
        Self { seen: HashSet::new(), arrived: VecDeque::new(), newest: Timestamp::MIN }
    }
}

impl Occurrences {
    /// `id_field` tells occurrences of one instant apart; where it says nothing, all fields do.
    pub(super) fn judge(&mut self, reading: &Reading, id_field: Option<&Name>, disorder: Span, now: Timestamp) -> Order {
        let entry = (reading.at, fingerprint(reading, id_field));
        if self.seen.contains(&entry) {
            return Order::Repeat;
        }
        let known = reading.at.min(now);
        if known < self.newest - disorder {
            return Order::Late;
        }
        self.newest = self.newest.max(known);
        if self.arrived.len() == REMEMBERED
            && let Some(oldest) = self.arrived.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(entry);
        self.arrived.push_back(entry);
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
        _ => reading.fields.iter().for_each(|field| {
            field.name.hash(&mut hasher);
            match &field.value {
                Value::Number(number) => number.to_bits().hash(&mut hasher),
                Value::Text(text) => text.hash(&mut hasher),
            }
        }),
    }
    hasher.finish()
}

#[cfg(test)]
impl Occurrences {
    pub(super) fn remembered(&self) -> usize {
        self.seen.len().max(self.arrived.len())
    }
}
