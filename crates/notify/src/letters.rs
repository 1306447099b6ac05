//! The letters of a sink that tells people: written down before the step they are about is done with, crossed out when they have left.
//!
//! Invariant: a letter that was written down is sent at least once or refused for good, whatever happens between, always under the same
//! key. A disk that refuses stops no letter: lines wait in memory and are tried again, and a restart meanwhile reads the steps again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use huong_types::{Name, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::durable::{OWN, replace};
use crate::message::Message;

/// Written anew, with what still stands, when it is larger.
const FILE_BYTES: u64 = 4 << 20;

/// A message to one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// `<alert>/<step>/<person>`, and a digit of the address where the person has several; receivers drop what they have seen.
    pub(crate) key: String,
    /// One; several for a digest.
    pub(crate) alerts: Vec<Name>,
    pub(crate) person: Name,
    pub(crate) to: String,
    pub(crate) severity: Severity,
    /// When it was written, in processing time.
    pub(crate) at: Timestamp,
    /// For a digest, in both languages.
    pub(crate) title: Text,
    pub(crate) message: Message,
    /// The keys of those that a digest stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) merges: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Letter(Box<Letter>),
    /// It has left, or is among the dead letters.
    Done(String),
    /// Letters about all steps up to this one are written.
    Upto(u64),
    /// These persons have been told of this alert, which is not over.
    Told(Name, BTreeSet<Name>),
    Over(Name),
}

#[derive(Debug, Default)]
pub(crate) struct Letters {
    path: PathBuf,
    /// In the order in which they were written.
    waiting: BTreeMap<u64, Letter>,
    numbers: u64,
    upto: u64,
    told: BTreeMap<Name, BTreeSet<Name>>,
    /// How large the file was when it was last written anew.
    compacted: u64,
    /// Lines that the disk has not taken.
    unsaved: String,
    failing: bool,
}

impl Letters {
    /// # Errors
    /// When the file is there and cannot be read, or holds what none of ours holds.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut letters = Self { path, ..Self::default() };
        for (number, line) in text.split_inclusive('\n').enumerate() {
            match serde_json::from_str(line) {
                Ok(line) => letters.apply(line),
                // Cut short by a crash: its step is read again.
                Err(_) if !line.ends_with('\n') => {}
                Err(error) => {
                    let found = format!("{} line {}: {error}", letters.path.display(), number + 1);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, found));
                }
            }
        }
        letters.compact()?;
        Ok(letters)
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Letter(letter) => {
                self.waiting.retain(|_, other| !letter.merges.contains(&other.key) && other.key != letter.key);
                self.numbers += 1;
                self.waiting.insert(self.numbers, *letter);
            }
            Line::Done(key) => self.waiting.retain(|_, letter| letter.key != key),
            Line::Upto(seq) => self.upto = seq,
            Line::Told(alert, persons) => self.told.entry(alert).or_default().extend(persons),
            Line::Over(alert) => {
                self.told.remove(&alert);
            }
        }
    }

    fn add(&mut self, line: Line) {
        if let Ok(text) = serde_json::to_string(&line) {
            self.unsaved.push_str(&text);
            self.unsaved.push('\n');
        }
        self.apply(line);
    }

    pub(crate) fn write(&mut self, letter: Letter) {
        self.add(Line::Letter(Box::new(letter)));
    }

    pub(crate) fn done(&mut self, key: &str) {
        self.add(Line::Done(key.to_owned()));
    }

    /// Letters about steps up to this one are written.
    pub(crate) fn upto(&self) -> u64 {
        self.upto
    }

    pub(crate) fn read_upto(&mut self, seq: u64) {
        self.add(Line::Upto(seq));
    }

    pub(crate) fn tell(&mut self, alert: &Name, persons: BTreeSet<Name>) {
        if !persons.is_empty() && !self.told.get(alert).is_some_and(|told| told.is_superset(&persons)) {
            self.add(Line::Told(alert.clone(), persons));
        }
    }

    pub(crate) fn over(&mut self, alert: &Name) {
        if self.told.contains_key(alert) {
            self.add(Line::Over(alert.clone()));
        }
    }

    /// Who has been told of it.
    pub(crate) fn told(&self, alert: &Name) -> impl Iterator<Item = &Name> {
        self.told.get(alert).into_iter().flatten()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Letter> {
        self.waiting.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Puts on disk what is not there yet; `sync` also when the power fails. What the disk refuses is tried again with the next call.
    pub(crate) fn save(&mut self, sync: bool) {
        if self.unsaved.is_empty() {
            return;
        }
        match self.append(sync) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(file = %self.path.display(), %error, "letters cannot be written down, and go out all the same");
            }
            Err(_) => {}
        }
    }

    fn append(&mut self, sync: bool) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(self.unsaved.as_bytes()).and_then(|()| if sync { file.sync_data() } else { Ok(()) }) {
            // Half a line would spoil the next.
            file.set_len(before)?;
            return Err(error);
        }
        self.unsaved.clear();
        if before > FILE_BYTES.max(2 * self.compacted) { self.compact() } else { Ok(()) }
    }

    /// Writes the file anew with what stands.
    fn compact(&mut self) -> io::Result<()> {
        let told = self.told.iter().map(|(alert, persons)| Line::Told(alert.clone(), persons.clone()));
        let letters = self.waiting.values().map(|letter| Line::Letter(Box::new(letter.clone())));
        let mut text = String::new();
        for line in told.chain(letters).chain([Line::Upto(self.upto)]) {
            text.push_str(&serde_json::to_string(&line).map_err(io::Error::other)?);
            text.push('\n');
        }
        self.compacted = text.len() as u64;
        replace(&self.path, OWN, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(key: &str) -> Letter {
        Letter {
            key: key.to_owned(),
            alerts: vec!["a".into()],
            person: "an".into(),
            to: "an@example.invalid".to_owned(),
            severity: Severity::Severe,
            at: Timestamp::from_millis(1),
            title: Text::default(),
            message: Message::default(),
            merges: Vec::new(),
        }
    }

    fn keys(letters: &Letters) -> Vec<&str> {
        letters.waiting().map(|letter| letter.key.as_str()).collect()
    }

    #[test]
    fn letters_outlive_the_process_in_order_and_a_line_cut_short_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("mail.letters.jsonl");
        let mut letters = Letters::open(path.clone()).expect("a new file");
        for key in ["3", "1", "2", "4"] {
            letters.write(letter(key));
        }
        letters.done("1");
        letters.tell(&"a".into(), ["an".into()].into());
        letters.read_upto(7);
        letters.save(true);
        let digest = Letter { merges: vec!["3".to_owned(), "2".to_owned()], ..letter("digest") };
        letters.write(digest);
        letters.save(false);
        let mut text = std::fs::read_to_string(&path).expect("the file");
        text.push_str("{\"letter\":{\"key\":\"hal");
        std::fs::write(&path, text).expect("as a crash leaves it");
        let letters = Letters::open(path.clone()).expect("it opens");
        assert_eq!((keys(&letters), letters.upto()), (vec!["4", "digest"], 7));
        assert_eq!(letters.told(&"a".into()).collect::<Vec<_>>(), ["an"]);
        std::fs::write(&path, "rubbish\n").expect("spoil it");
        let error = Letters::open(path).expect_err("rubbish is not passed over");
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
