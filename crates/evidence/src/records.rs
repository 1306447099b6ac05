//! [`Records`]: the folder of records, and the one way in which it changes.
//!
//! Invariants: a change is prepared in `staged/`, then announced by `staged/intent.json`, then it is a line of the chain, then a move to
//! its place. Whoever takes the lock next completes what was announced and drops what was not, so a crash leaves a change whole or not
//! made. Any number of processes may work on one folder: each change holds the lock.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use huong_types::{Act, Candidate, Name, Timestamp, VoidReason};
use serde::{Deserialize, Serialize};

use crate::chain::{Entry, Ledger, State, Step};
use crate::disk::{Disk, Real, SHARED, names};
use crate::error::Context;
use crate::journal::Journal;
use crate::law::Laws;
use crate::looks::{Look, Seen};
use crate::record::{self, ClockOffset, Moment, Record, Scene};
use crate::review::Review;
use crate::seal::{PublicKey, SigningKey, path_of, sha256};
use crate::{EvidenceConfig, EvidenceError};

/// What is about to be done.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    at: Timestamp,
    step: Step,
    /// Both below the folder of records; nothing is moved when absent. What goes to `staged/` is removed.
    moves: Option<(PathBuf, PathBuf)>,
}

/// The last line of the chain on a local day: whoever keeps it elsewhere can prove later that no line up to it was altered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub day: String,
    pub line: u64,
    pub sha256: String,
}

/// How many records there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub states: BTreeMap<State, u64>,
    pub expired: u64,
}

#[derive(Debug)]
pub struct Records {
    pub(crate) dir: PathBuf,
    pub(crate) config: EvidenceConfig,
    pub(crate) laws: Laws,
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) ledger: Ledger,
    pub(crate) heads: BTreeMap<String, Head>,
    pub(crate) chain: Journal<Step>,
    pub(crate) looks: Journal<Look>,
    /// Of the looks read so far; old ones go when a file is asked for.
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    pub camera: Name,
    pub camera_name: String,
    pub place: Name,
    /// Of the detector.
    pub label: Name,
    pub void: Vec<VoidReason>,
    pub clock: Option<ClockOffset>,
}

/// Held while something changes.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file unlocks it")] File);

impl Records {
    /// The folder of `config`, made when there is none, with its key.
    ///
    /// # Errors
    /// When the chain is not what was written; the line is named.
    pub fn open(config: &EvidenceConfig, laws: Laws, now: Timestamp) -> Result<Records, EvidenceError> {
        Self::open_on(Box::new(Real), config, laws, now)
    }

    pub(crate) fn open_on(disk: Box<dyn Disk>, config: &EvidenceConfig, laws: Laws, now: Timestamp) -> Result<Records, EvidenceError> {
        let dir = config.dir.clone();
        let staged = dir.join("staged");
        disk.create_dir(&staged).during("create", &staged)?;
        let chain = Journal::new(dir.join("chain.jsonl"));
        let looks = Journal::new(dir.join("looks.jsonl"));
        let mut records = Records {
            dir,
            config: config.clone(),
            laws,
            disk,
            ledger: Ledger::default(),
            heads: BTreeMap::new(),
            chain,
            looks,
            seen: Seen::new(),
        };
        let _lock = records.lock()?;
        if records.ledger.keys.is_empty() {
            records.new_key(now)?;
        }
        Ok(records)
    }

    /// Keeps a candidate and returns the id of its record; one that is kept already stays as it is.
    ///
    /// # Errors
    /// When it could not be written: nothing of it is there then.
    pub fn keep(&mut self, candidate: &Candidate, scene: &Scene, now: Timestamp) -> Result<Name, EvidenceError> {
        let id = record::id(candidate)?;
        let _lock = self.lock()?;
        if self.ledger.records.contains_key(&id) {
            return Ok(id);
        }
        let (record, files) = record::make(candidate, scene, &self.laws, &self.config, now)?;
        let json = serde_json::to_vec_pretty(&record)?;
        // A number that JSON cannot hold would make the record unreadable.
        serde_json::from_slice::<Record>(&json)?;
        let staged = self.staged(&id);
        self.disk.create_dir(&staged).during("create", &staged)?;
        for (name, bytes) in files.iter().map(|(name, bytes)| (name.as_str(), bytes)).chain([("record.json", &json)]) {
            let path = staged.join(name);
            self.disk.write(&path, bytes, SHARED).during("write", &path)?;
        }
        let void = !record.void.is_empty();
        let moves = (Path::new("staged").join(&*id), place_of(&id, record.began.day(), void));
        let step = Step::Kept { record: id.clone(), act: record.act, began: candidate.began, void, sha256: sha256(&json) };
        self.commit(Intent { at: now, step, moves: Some(moves) })?;
        Ok(id)
    }

    /// Every record, in the order of ids, which is that of time.
    pub fn entries(&mut self) -> Result<Vec<Entry>, EvidenceError> {
        self.catch_up()?;
        Ok(self.ledger.records.values().cloned().collect())
    }

    pub fn counts(&mut self) -> Result<Counts, EvidenceError> {
        self.catch_up()?;
        let mut counts = Counts { expired: self.ledger.expired, ..Counts::default() };
        for entry in self.ledger.records.values() {
            *counts.states.entry(entry.state).or_default() += 1;
        }
        Ok(counts)
    }

    /// One for each local day on which something happened. A day's head is final once the day is over.
    pub fn heads(&mut self) -> Result<Vec<Head>, EvidenceError> {
        self.catch_up()?;
        Ok(self.heads.values().cloned().collect())
    }

    /// All that ever signed, in the order of time.
    pub fn keys(&mut self) -> Result<Vec<PublicKey>, EvidenceError> {
        self.catch_up()?;
        Ok(self.ledger.keys.clone())
    }

    /// Makes a new key that signs from now on. The old private key is removed; its public key stays in the chain.
    pub fn rotate_key(&mut self, now: Timestamp) -> Result<String, EvidenceError> {
        let _lock = self.lock()?;
        let old = self.ledger.keys.last().map(|key| key.public.clone());
        let public = self.new_key(now)?;
        if let Some(path) = old.map(|old| path_of(&self.keys_dir(), &old)).filter(|path| path.exists()) {
            self.disk.remove(&path).during("remove", &path)?;
        }
        Ok(public)
    }

    /// What a list shows of a record: nothing about a person.
    pub fn outline(&mut self, id: &str) -> Result<Outline, EvidenceError> {
        self.catch_up()?;
        let (record, _) = self.read(id)?;
        let Record { camera, place, label, void, clock, .. } = record;
        Ok(Outline { camera: camera.id, camera_name: camera.name, place, label, void, clock })
    }

    /// How acts, vehicles and reasons are called.
    pub fn laws(&self) -> &Laws {
        &self.laws
    }

    pub(crate) fn entry(&self, id: &str) -> Result<&Entry, EvidenceError> {
        self.ledger.records.get(id).ok_or_else(|| EvidenceError::Unknown(id.to_owned()))
    }

    /// The record and its reviews, in order.
    pub(crate) fn read(&self, id: &str) -> Result<(Record, Vec<Review>), EvidenceError> {
        let entry = self.entry(id)?;
        let folder = self.folder(entry)?;
        let record = read_json(&folder.join("record.json"))?;
        let reviews = (1..=entry.reviews).map(|n| read_json(&folder.join(Review::file(n)))).collect::<Result<_, _>>()?;
        Ok((record, reviews))
    }

    /// Where a record is.
    pub(crate) fn folder(&self, entry: &Entry) -> Result<PathBuf, EvidenceError> {
        Ok(self.dir.join(self.place(entry)?))
    }

    /// The same below the folder of records.
    pub(crate) fn place(&self, entry: &Entry) -> Result<PathBuf, EvidenceError> {
        Ok(place_of(&entry.id, Moment::of(entry.began)?.day(), entry.state == State::Void))
    }

    pub(crate) fn staged(&self, name: &str) -> PathBuf {
        self.dir.join("staged").join(name)
    }

    pub(crate) fn signing_key(&self) -> Result<SigningKey, EvidenceError> {
        let public = self.ledger.keys.last().map_or("", |key| key.public.as_str());
        SigningKey::load(&self.keys_dir(), public)
    }

    fn keys_dir(&self) -> PathBuf {
        self.dir.join("keys")
    }

    fn new_key(&mut self, now: Timestamp) -> Result<String, EvidenceError> {
        let public = SigningKey::make(&*self.disk, &self.keys_dir())?.public();
        self.commit(Intent { at: now, step: Step::Key { public: public.clone() }, moves: None })?;
        Ok(public)
    }

    /// Waits for the lock, completes what another process announced and did not finish, and reads what was written meanwhile.
    pub(crate) fn lock(&mut self) -> Result<Lock, EvidenceError> {
        let path = self.dir.join("evidence.lock");
        let file = File::options().write(true).create(true).truncate(false).open(&path).during("open", &path)?;
        file.lock().during("lock", &path)?;
        self.catch_up()?;
        let intent = self.staged("intent.json");
        if intent.exists() {
            self.carry_out(read_json(&intent)?)?;
        }
        let staged = self.dir.join("staged");
        for name in names(&staged)? {
            let left = staged.join(name);
            self.disk.remove(&left).during("remove", &left)?;
        }
        Ok(Lock(file))
    }

    /// Announces a change and carries it out. The caller holds the lock.
    pub(crate) fn change(&mut self, at: Timestamp, step: Step, from: PathBuf, to: PathBuf) -> Result<(), EvidenceError> {
        self.commit(Intent { at, step, moves: Some((from, to)) })
    }

    fn commit(&mut self, intent: Intent) -> Result<(), EvidenceError> {
        self.disk.write_whole(&self.staged("intent.json"), &serde_json::to_vec(&intent)?, SHARED)?;
        self.carry_out(intent)
    }

    fn carry_out(&mut self, intent: Intent) -> Result<(), EvidenceError> {
        // Under the lock nothing can have come after it.
        if self.ledger.last.as_ref() != Some(&intent.step) {
            let (line, sum) = self.chain.append(&*self.disk, intent.at, intent.step)?;
            note_head(&mut self.heads, &line.at, line.n, &sum)?;
            self.ledger.apply(line);
        }
        if let Some((from, to)) = intent.moves.map(|(from, to)| (self.dir.join(from), self.dir.join(to))).filter(|(from, _)| from.exists())
        {
            if let Some(parent) = to.parent().filter(|parent| !parent.is_dir()) {
                self.disk.create_dir(parent).during("create", parent)?;
            }
            self.disk.rename(&from, &to).during("rename", &from)?;
            if to.starts_with(self.dir.join("staged")) {
                self.disk.remove(&to).during("remove", &to)?;
            }
        }
        let path = self.staged("intent.json");
        self.disk.remove(&path).during("remove", &path)
    }

    /// Reads what was written since, by whomever.
    pub(crate) fn catch_up(&mut self) -> Result<(), EvidenceError> {
        let (ledger, heads) = (&mut self.ledger, &mut self.heads);
        let mut wrong = None;
        self.chain.catch_up(|line, _, sum| {
            wrong = note_head(heads, &line.at, line.n, sum).err().or(wrong.take());
            ledger.apply(line);
        })?;
        wrong.map_or(Ok(()), Err)
    }
}

fn note_head(heads: &mut BTreeMap<String, Head>, at: &Timestamp, line: u64, sum: &str) -> Result<(), EvidenceError> {
    let day = Moment::of(*at)?.day().to_owned();
    heads.insert(day.clone(), Head { day, line, sha256: sum.to_owned() });
    Ok(())
}

/// Where a record is, below the folder of records.
fn place_of(id: &str, day: &str, void: bool) -> PathBuf {
    Path::new(if void { "void" } else { "records" }).join(day).join(id)
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, EvidenceError> {
    let bytes = fs::read(path).during("read", path)?;
    serde_json::from_slice(&bytes).map_err(|error| EvidenceError::Damaged { what: error.to_string(), path: path.to_owned() })
}

/// Which records are meant. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Ids; all when empty.
    pub ids: Vec<Name>,
    /// The beginning of the act is not before,
    pub from: Option<Timestamp>,
    /// .. and before.
    pub to: Option<Timestamp>,
    /// Part of the camera's id or name, or of the place's, in any case.
    pub place: Option<String>,
    pub act: Option<Act>,
    /// The plate as corrected or read; dots, dashes and spaces don't matter.
    pub plate: Option<String>,
    pub states: Vec<State>,
}

impl Filter {
    /// As far as the chain knows.
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        (self.ids.is_empty() || self.ids.contains(&entry.id))
            && self.from.is_none_or(|from| entry.began >= from)
            && self.to.is_none_or(|to| entry.began < to)
            && self.act.is_none_or(|act| entry.act == act)
            && (self.states.is_empty() || self.states.contains(&entry.state))
    }

    /// The rest.
    fn takes_record(&self, record: &Record, reviews: &[Review]) -> bool {
        let names = [&*record.camera.id, &record.camera.name, &*record.place];
        let at = |place: &String| names.iter().any(|name| name.to_lowercase().contains(&place.to_lowercase()));
        let is = |plate: &String| plate_of(record, reviews).is_some_and(|text| plain(text) == plain(plate));
        self.place.as_ref().is_none_or(at) && self.plate.as_ref().is_none_or(is)
    }
}

impl Records {
    /// The records that `filter` takes. Only those are opened that the chain does not rule out.
    pub fn select(&mut self, filter: &Filter) -> Result<Vec<Entry>, EvidenceError> {
        let mut found = self.entries()?;
        found.retain(|entry| filter.takes(entry));
        if filter.place.is_some() || filter.plate.is_some() {
            let mut taken = Vec::new();
            for entry in found {
                let (record, reviews) = self.read(&entry.id)?;
                if filter.takes_record(&record, &reviews) {
                    taken.push(entry);
                }
            }
            return Ok(taken);
        }
        Ok(found)
    }
}

/// The plate that counts: the last correction, or what was read.
pub(crate) fn plate_of<'a>(record: &'a Record, reviews: &'a [Review]) -> Option<&'a str> {
    let corrected = reviews.iter().rev().find_map(Review::plate);
    corrected.or_else(|| record.plate.as_ref()?.text.as_deref())
}

fn plain(plate: &str) -> String {
    plate.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests;
