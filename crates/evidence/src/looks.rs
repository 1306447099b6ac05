//! Who looked at what, and why: `looks.jsonl`.
//!
//! Invariant: whoever sees a plate through these functions stands in the journal before the answer is given.

use std::collections::BTreeMap;

use huong_types::{Name, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::EvidenceError;
use crate::chain::Entry;
use crate::error::given;
use crate::export::kept;
use crate::journal::{Journal, Line};
use crate::record::Record;
use crate::records::{Filter, Records};
use crate::review::Review;

/// How long an opened record's files are shown without another reason: a person's look at one record.
const SEEN: Span = Span::from_mins(15);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub by: String,
    pub why: String,
    /// A plate was searched for,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plate: Option<String>,
    /// .. and these records were found; or one was opened.
    pub records: Vec<Name>,
}

impl Records {
    /// The records of a plate, as corrected or read.
    ///
    /// # Errors
    /// Without a name and a reason.
    pub fn find_plate(&mut self, plate: &str, by: &str, why: &str, now: Timestamp) -> Result<Vec<Entry>, EvidenceError> {
        let plate = given("plate", plate)?.to_owned();
        let (by, why) = (given("by", by)?.to_owned(), given("why", why)?.to_owned());
        let found = self.select(&Filter { plate: Some(plate.clone()), ..Filter::default() })?;
        let records = found.iter().map(|entry| entry.id.clone()).collect();
        self.note(Look { by, why, plate: Some(plate), records }, now)?;
        Ok(found)
    }

    /// A record with its reviews and the folder of its files.
    ///
    /// # Errors
    /// When there is no such record, or without a name and a reason.
    pub fn show(
        &mut self,
        id: &str,
        by: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<(Record, Vec<Review>, std::path::PathBuf), EvidenceError> {
        let (by, why) = (given("by", by)?.to_owned(), given("why", why)?.to_owned());
        self.catch_up()?;
        let entry = self.entry(id)?.clone();
        let (record, reviews) = self.read(id)?;
        self.note(Look { by, why, plate: None, records: vec![entry.id.clone()] }, now)?;
        Ok((record, reviews, self.folder(&entry)?))
    }

    /// A file of a record, as it was kept, for whoever has opened the record a short while ago: [`SEEN`].
    ///
    /// # Errors
    /// When `by` has not, when there is no such file, or when it is not what was kept.
    pub fn file(&mut self, id: &str, name: &str, by: &str, now: Timestamp) -> Result<Vec<u8>, EvidenceError> {
        self.catch_up()?;
        let entry = self.entry(id)?.clone();
        self.glance()?;
        self.seen.retain(|_, at| *at + SEEN >= now);
        if !self.seen.contains_key(&(by.to_owned(), entry.id.clone())) {
            let why = "open the record first, with a reason".to_owned();
            return Err(EvidenceError::Refused { action: "showing a file", record: entry.id, why });
        }
        let (record, _) = self.read(id)?;
        let fact = record.files.get(name).ok_or_else(|| EvidenceError::Unknown(format!("{id}/{name}")))?;
        kept(&self.folder(&entry)?.join(name), &fact.sha256)
    }

    /// Everything that was looked at.
    pub fn looks(&self) -> Result<Vec<Line<Look>>, EvidenceError> {
        let mut looks = Vec::new();
        Journal::new(self.dir.join("looks.jsonl")).catch_up(|line, _, _| looks.push(line))?;
        Ok(looks)
    }

    fn note(&mut self, look: Look, now: Timestamp) -> Result<(), EvidenceError> {
        let _lock = self.lock()?;
        self.glance()?;
        let (line, _) = self.looks.append(&*self.disk, now, look)?;
        remember(&mut self.seen, line);
        Ok(())
    }

    /// Reads the looks that were written since, by whomever.
    fn glance(&mut self) -> Result<(), EvidenceError> {
        let seen = &mut self.seen;
        self.looks.catch_up(|line, _, _| remember(seen, line))
    }
}

/// When each record was last opened or found, by whom.
pub(crate) type Seen = BTreeMap<(String, Name), Timestamp>;

fn remember(seen: &mut Seen, line: Line<Look>) {
    for record in line.step.records {
        let at = seen.entry((line.step.by.clone(), record)).or_insert(line.at);
        *at = line.at.max(*at);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{NOON, folder, violation};

    #[test]
    fn a_search_needs_a_reason_and_leaves_a_line() {
        let folder = folder();
        let mut records = folder.open();
        let id = folder.keep(&mut records, &violation(1));
        let mut other = violation(2);
        other.plate = None;
        folder.keep(&mut records, &other);
        assert!(records.find_plate("75A-123.45", "lan", " ", NOON).is_err());
        assert!(records.find_plate(" ", "lan", "complaint 12", NOON).is_err());
        let found = records.find_plate("75a12345", "lan", "complaint 12", NOON).expect("works");
        assert_eq!(found.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&id]);
        assert!(records.find_plate("75A-000.00", "lan", "complaint 13", NOON).expect("works").is_empty());
        records.show(&id, "minh", "review", NOON).expect("there");
        let picture = |records: &mut crate::Records, by: &str, at| records.file(&id, "picture-1.jpg", by, at).map(|bytes| bytes.len());
        assert!(picture(&mut records, "minh", NOON).is_ok_and(|bytes| bytes > 0));
        assert!(picture(&mut records, "lan", NOON).is_ok(), "she found it by its plate");
        assert!(picture(&mut records, "son", NOON).is_err(), "he has given no reason");
        assert!(picture(&mut records, "minh", NOON + huong_types::Span::from_mins(16)).is_err(), "that look is over");
        assert!(records.file(&id, "../../chain.jsonl", "minh", NOON).is_err(), "only what the record names");
        let looks = records.looks().expect("readable");
        let told: Vec<_> = looks.iter().map(|line| (line.n, &*line.step.by, &*line.step.why, line.step.records.len())).collect();
        assert_eq!(told, [(1, "lan", "complaint 12", 1), (2, "lan", "complaint 13", 0), (3, "minh", "review", 1)]);
    }
}
