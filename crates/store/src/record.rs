//! What the log holds, and the state that follows from it.
//!
//! Invariant: [`State`] is a pure function of the records before it, so a checkpoint plus the records behind it give the same state
//! as all records from the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use huong_types::{Alert, AlertState, Name, Quarantined, Reading, RejectReason, Timestamp, Transition};
use serde::{Deserialize, Serialize};

/// One entry of the log. Its encoding is the log's format: a change of it or of a type inside needs a new version of the segment header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    Reading(Reading),
    /// Large beside the others, and shared with the tail that the sinks read.
    Transition(Arc<Transition>),
    Quarantined(Quarantined),
}

impl From<Transition> for Record {
    fn from(transition: Transition) -> Self {
        Record::Transition(Arc::new(transition))
    }
}

/// The ledger of the store since the data directory was made.
pub type Counts = BTreeMap<StreamSource, StreamCounts>;

/// What the ledger is kept by. Both are of the configuration, so there are no more accounts than that has streams and sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamSource {
    /// `None`: the stream of a refused payload is unknown.
    pub stream: Option<Name>,
    /// `None`: no source took the payload.
    pub source: Option<Name>,
}

/// Of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCounts {
    /// Readings on disk.
    pub stored: u64,
    pub rejected: BTreeMap<RejectReason, u64>,
}

/// The first frame of every segment: the state before its first record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// When the segment was begun; `None` for the very first.
    pub(crate) at: Option<Timestamp>,
    pub(crate) state: State,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) open: BTreeMap<Name, Alert>,
    /// The sequence of the next transition.
    pub(crate) next_seq: u64,
    pub(crate) counts: Counts,
}

impl Default for State {
    fn default() -> Self {
        Self { open: BTreeMap::new(), next_seq: 1, counts: Counts::new() }
    }
}

impl State {
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Reading(reading) => self.of(StreamSource::of_reading(reading)).stored += 1,
            Record::Quarantined(refused) => *self.of(StreamSource::of_refused(refused)).rejected.entry(refused.reason).or_default() += 1,
            Record::Transition(transition) => {
                let alert = &transition.alert;
                self.next_seq = self.next_seq.max(transition.seq.saturating_add(1));
                if alert.state == AlertState::Cleared {
                    self.open.remove(&alert.id);
                } else {
                    self.open.insert(alert.id.clone(), alert.clone());
                }
            }
        }
    }

    fn of(&mut self, account: StreamSource) -> &mut StreamCounts {
        self.counts.entry(account).or_default()
    }
}

impl StreamSource {
    pub fn of_reading(reading: &Reading) -> Self {
        Self { stream: Some(reading.stream.clone()), source: Some(reading.source.clone()) }
    }

    pub fn of_refused(refused: &Quarantined) -> Self {
        Self { stream: refused.stream.clone(), source: refused.source.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mixed;

    #[test]
    fn the_ledger_is_kept_by_stream_and_source() {
        let mut state = State::default();
        mixed().iter().for_each(|record| state.apply(record));
        let line = |stream: Option<&str>, source: Option<&str>| {
            let account = StreamSource { stream: stream.map(Name::from), source: source.map(Name::from) };
            state.counts.get(&account).map(|counts| (counts.stored, counts.rejected.values().sum::<u64>()))
        };
        assert_eq!(line(Some("water_level"), Some("vrain")), Some((2, 0)));
        assert_eq!(line(Some("vehicles"), Some("yolox")), Some((1, 0)));
        assert_eq!(line(Some("rain"), None), Some((0, 1)));
        assert_eq!(line(None, None), Some((0, 1)));
        assert_eq!(state.counts.len(), 4);
    }
}
