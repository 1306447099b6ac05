//! Everything read again: the chain, each record, each file.
//!
//! Invariant: it changes nothing, and an audit without a fault means that what lies there is what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use huong_types::Name;

use crate::EvidenceError;
use crate::chain::Step;
use crate::disk::names;
use crate::error::Context;
use crate::journal::Journal;
use crate::record::Record;
use crate::records::Records;
use crate::review::Review;
use crate::seal::sha256;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    pub lines: u64,
    pub records: u64,
    pub files: u64,
    /// Each names the file.
    pub faults: Vec<String>,
}

impl Records {
    /// # Errors
    /// When the chain itself is not what was written, or a file that is there cannot be read.
    pub fn audit(&mut self) -> Result<Audit, EvidenceError> {
        let _lock = self.lock()?;
        let mut audit = Audit::default();
        // File by file below the folder, with the hash that the chain has.
        let mut expected: BTreeMap<Name, Vec<(String, String)>> = BTreeMap::new();
        let mut handovers = BTreeSet::new();
        Journal::new(self.chain.path().to_owned()).catch_up(|line, _, _| {
            audit.lines = line.n;
            match line.step {
                Step::Key { .. } => {}
                Step::Kept { record, sha256, .. } => expected.entry(record).or_default().push(("record.json".to_owned(), sha256)),
                Step::Decided { record, review, sha256, .. } => expected.entry(record).or_default().push((Review::file(review), sha256)),
                Step::Exported { sha256, .. } => {
                    handovers.insert(sha256);
                }
                Step::Expired { record, .. } => {
                    expected.remove(&record);
                }
            }
        })?;
        audit.lines += self.looks()?.len() as u64;
        for hash in handovers {
            audit.file(&self.dir.join("handovers"), &format!("{hash}.json"), &hash)?;
        }
        let mut places = BTreeSet::new();
        for (id, files) in expected {
            let entry = self.entry(&id)?;
            let folder = self.folder(entry)?;
            places.insert(folder.clone());
            audit.records += 1;
            audit.record(&folder, files)?;
        }
        for root in ["records", "void"].map(|name| self.dir.join(name)) {
            for day in names(&root)? {
                for name in names(&root.join(&day))? {
                    let path = root.join(&day).join(name);
                    if !places.contains(&path) {
                        audit.faults.push(format!("{}: in no line of the chain", path.display()));
                    }
                }
            }
        }
        Ok(audit)
    }
}

impl Audit {
    /// The files of one record: those of the chain, and those that `record.json` names.
    fn record(&mut self, folder: &Path, mut files: Vec<(String, String)>) -> Result<(), EvidenceError> {
        for (name, hash) in &files {
            self.file(folder, name, hash)?;
        }
        let json = folder.join("record.json");
        let record = fs::read(&json).ok().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        if let Some(record) = record {
            for (name, fact) in record.files {
                self.file(folder, &name, &fact.sha256)?;
                files.push((name, fact.sha256));
            }
            for name in names(folder)?.iter().filter(|name| files.iter().all(|(known, _)| known != *name)) {
                self.faults.push(format!("{}: belongs to no record", folder.join(name).display()));
            }
        }
        Ok(())
    }

    fn file(&mut self, folder: &Path, name: &str, hash: &str) -> Result<(), EvidenceError> {
        let path = folder.join(name);
        self.files += 1;
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.faults.push(format!("{}: missing", path.display())),
            bytes => {
                if sha256(&bytes.during("read", &path)?) != hash {
                    self.faults.push(format!("{}: changed", path.display()));
                }
            }
        }
        Ok(())
    }
}
