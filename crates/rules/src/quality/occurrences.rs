//! The order of whole readings of one key: occurrences, and readings that carry texts alone.
//!
//! Invariants: what was seen is a repeat as long as it is remembered; an occurrence is lost to the rules only when it is older than
//! the stream's disorder allows, never because many came at once.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use huong_types::{Name, Reading, Span, Timestamp, Value};

/// How many occurrences back a repeat is recognised. More than a gauge's: a hotline is one key, and a broker that reconnects sends
/// again what it has in flight.
const REMEMBERED: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Occurrences {
    /// Event time and what tells two occurrences apart, in order.
    seen: VecDeque<(Timestamp, u64)>,
    newest: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    New,
    Late,
    Repeat,
}

impl Occurrences {
    pub(super) fn new() -> Self {
        Self { seen: VecDeque::new(), newest: Timestamp::MIN }
    }

    /// `id_field` tells occurrences of one instant apart; without it, or without a text in it, all fields do.
    pub(super) fn judge(&mut self, reading: &Reading, id_field: Option<&Name>, disorder: Span, now: Timestamp) -> Order {
        let entry = (reading.at, fingerprint(reading, id_field));
        let position = match self.seen.back() {
            Some(newest) if entry <= *newest => match self.seen.binary_search(&entry) {
                Ok(_) => return Order::Repeat,
                Err(position) => position,
            },
            _ => self.seen.len(),
        };
        let known = reading.at.min(now);
        if known < self.newest - disorder {
            return Order::Late;
        }
        self.newest = self.newest.max(known);
        self.seen.insert(position, entry);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
        Order::New
    }
}

/// Two different occurrences of one key and instant share it once in 2⁶⁴.
fn fingerprint(reading: &Reading, id_field: Option<&Name>) -> u64 {
    // With fixed keys: the same readings are judged the same in every run.
    let mut hasher = DefaultHasher::new();
    let id = id_field.and_then(|name| reading.fields.iter().find(|field| field.name == *name));
    match id.map(|field| &field.value) {
        Some(Value::Text(id)) => id.hash(&mut hasher),
        Some(Value::Number(_)) | None => reading.fields.iter().for_each(|field| {
            field.name.hash(&mut hasher);
            match &field.value {
                Value::Number(number) => number.to_bits().hash(&mut hasher),
                Value::Text(text) => text.hash(&mut hasher),
            }
        }),
    }
    hasher.finish()
}
