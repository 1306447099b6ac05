//! The check of a package with nothing but the package, on any machine.
//!
//! Invariants: whatever byte of a package is changed, taken out or added, it is found and named; what is found is told as far as it can
//! be, not only the first. That the signer is who they should be shows only by a key, or by a head, that came another way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use huong_types::Name;

use crate::EvidenceError;
use crate::archive::Source;
use crate::chain::{State, Step};
use crate::journal::follow;
use crate::package::{CHAIN, FORMAT, HandOver, KEY, MANIFEST, Manifest, SIGNATURE, path_in};
use crate::record::{Moment, Record};
use crate::records::Head;
use crate::review::Review;
use crate::seal::{PublicKey, sha256, signed};

/// What the one who checks knows already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Public keys with their periods, from the city's own publication; unknown when empty.
    pub keys: Vec<PublicKey>,
    /// Heads that were published.
    pub heads: Vec<Head>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The container itself.
    Container(String),
    Missing(String),
    /// Not in the manifest.
    Added(String),
    Changed {
        file: String,
        why: String,
    },
    Signature(String),
    Key(String),
    Chain(String),
    Record {
        record: Name,
        what: String,
    },
    Head(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Container(what) => write!(f, "container: {what}"),
            Fault::Missing(file) => write!(f, "{file}: missing"),
            Fault::Added(file) => write!(f, "{file}: added, it is not in the manifest"),
            Fault::Changed { file, why } => write!(f, "{file}: changed, {why}"),
            Fault::Signature(what) => write!(f, "signature: {what}"),
            Fault::Key(what) => write!(f, "key: {what}"),
            Fault::Chain(what) => write!(f, "chain: {what}"),
            Fault::Record { record, what } => write!(f, "record {record}: {what}"),
            Fault::Head(what) => write!(f, "head: {what}"),
        }
    }
}

/// What a package is, as far as it says so, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub made: Option<Moment>,
    pub hand_over: Option<HandOver>,
    pub records: Vec<Name>,
    pub files: usize,
    /// The public key that its signature names.
    pub key: String,
    /// Whether that key is one that was trusted; `None` without any.
    pub trusted: Option<bool>,
    /// Published heads that were found in its chain.
    pub heads: usize,
    pub faults: Vec<Fault>,
}

/// Checks the package at `path`, a ZIP file or the folder that it was unpacked into.
///
/// # Errors
/// Only when the file cannot be read; what is wrong with it is in the report.
pub fn verify(path: &Path, trust: &Trust) -> Result<Report, EvidenceError> {
    let mut report = Report::default();
    let source = match Source::open(path)? {
        Ok(source) => source,
        Err(why) => {
            report.faults.push(Fault::Container(why));
            return Ok(report);
        }
    };
    let Some(manifest) = report.manifest(&source, trust)? else { return Ok(report) };
    report.files(&source, &manifest)?;
    let lines = report.chain(&source, &manifest, trust)?;
    let listed: BTreeMap<&str, &str> = manifest.files.iter().map(|file| (file.path.as_str(), file.sha256.as_str())).collect();
    for record in &manifest.records {
        report.record(&source, &listed, &lines, record)?;
    }
    let order: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).chain([MANIFEST, SIGNATURE, KEY]).collect();
    if let Some(at) = source.differs(&order)? {
        report.faults.push(Fault::Container(format!("byte {at} is not as it was written")));
    }
    Ok(report)
}

/// What the chain says of the records of a package: of each, the hash of `record.json`, and number, state and hash of each review.
#[derive(Default)]
struct Lines {
    kept: BTreeMap<Name, String>,
    decided: BTreeMap<Name, Vec<(u32, State, String)>>,
}

impl Report {
    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn changed(&mut self, file: &str, why: impl Into<String>) {
        self.fault(Fault::Changed { file: file.to_owned(), why: why.into() });
    }

    /// The content of a file; what is wrong with it is noted.
    fn read(&mut self, source: &Source, name: &str) -> Result<Option<Vec<u8>>, EvidenceError> {
        match source.read(name)? {
            None => self.fault(Fault::Missing(name.to_owned())),
            Some(Err(why)) => self.changed(name, why),
            Some(Ok(bytes)) => return Ok(Some(bytes)),
        }
        Ok(None)
    }

    /// Manifest, signature and key.
    fn manifest(&mut self, source: &Source, trust: &Trust) -> Result<Option<Manifest>, EvidenceError> {
        let (bytes, signature, key) = (self.read(source, MANIFEST)?, self.read(source, SIGNATURE)?, self.read(source, KEY)?);
        let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (Some(bytes), signature, key) = (bytes, text(signature), text(key)) else { return Ok(None) };
        if let (Some(signature), Some(key)) = (&signature, &key)
            && !signed(key, &bytes, signature)
        {
            let what = format!("{MANIFEST} is not what was signed, or {SIGNATURE} or {KEY} is another");
            self.fault(Fault::Signature(what));
        }
        let manifest: Manifest = match serde_json::from_slice(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.changed(MANIFEST, format!("it cannot be read ({error})"));
                return Ok(None);
            }
        };
        if manifest.format != FORMAT {
            self.changed(MANIFEST, format!("found format `{}`, expected `{FORMAT}`", manifest.format));
        }
        if key.is_some_and(|key| key != manifest.key) {
            self.fault(Fault::Key(format!("{KEY} is not the key that {MANIFEST} names")));
        }
        self.key.clone_from(&manifest.key);
        if !trust.keys.is_empty() {
            let made = manifest.made.millis;
            let known = trust.keys.iter().find(|key| key.public == manifest.key);
            let in_use = known.is_some_and(|key| key.from <= made && key.until.is_none_or(|until| made <= until));
            self.trusted = Some(in_use);
            match known {
                None => self.fault(Fault::Key(format!("signed by {}, which is not a trusted key", manifest.key))),
                Some(_) if !in_use => self.fault(Fault::Key(format!("{} was not in use at {}", manifest.key, manifest.made.utc))),
                Some(_) => {}
            }
        }
        self.made = Some(manifest.made.clone());
        self.hand_over = Some(manifest.hand_over.clone());
        self.records.clone_from(&manifest.records);
        self.files = manifest.files.len();
        Ok(Some(manifest))
    }

    /// Each file against the manifest, and nothing else.
    fn files(&mut self, source: &Source, manifest: &Manifest) -> Result<(), EvidenceError> {
        let by_hash: BTreeMap<&str, &str> = manifest.files.iter().map(|file| (file.sha256.as_str(), file.path.as_str())).collect();
        let mut known: BTreeSet<&str> = BTreeSet::from([MANIFEST, SIGNATURE, KEY]);
        for file in &manifest.files {
            known.insert(&file.path);
            let Some(bytes) = self.read(source, &file.path)? else { continue };
            let hash = sha256(&bytes);
            if hash != file.sha256 {
                let why = match by_hash.get(hash.as_str()) {
                    Some(other) => format!("it has the content of {other}"),
                    None => format!("found SHA-256 {hash}, expected {}", file.sha256),
                };
                self.changed(&file.path, why);
            }
        }
        let mut seen = BTreeSet::new();
        for name in source.names() {
            if !known.contains(name.as_str()) || !seen.insert(name) {
                self.fault(Fault::Added(name.clone()));
            }
        }
        Ok(())
    }

    /// Line by line.
    fn chain(&mut self, source: &Source, manifest: &Manifest, trust: &Trust) -> Result<Lines, EvidenceError> {
        let mut lines = Lines::default();
        let Some(Ok(bytes)) = source.read(CHAIN)? else { return Ok(lines) };
        let (first, last) = manifest.lines;
        let (mut n, mut sum) = (first.saturating_sub(1), None);
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        for text in whole.split(|byte| *byte == b'\n') {
            // Of the first line, what it follows is not in the package.
            let before =
                sum.take().or_else(|| Some(serde_json::from_slice::<serde_json::Value>(text).ok()?.get("prev")?.as_str()?.to_owned()));
            let line = match follow::<Step>(text, &before.unwrap_or_default(), n) {
                Ok(line) => line,
                Err(what) => {
                    self.fault(Fault::Chain(format!("line {}, {what}: that line or the one before was changed, or one is missing", n + 1)));
                    return Ok(lines);
                }
            };
            n = line.n;
            let hash = sha256(text);
            for head in trust.heads.iter().filter(|head| head.line == n) {
                if head.sha256 == hash {
                    self.heads += 1;
                } else {
                    self.fault(Fault::Head(format!("line {n} has {hash}, published on {} was {}", head.day, head.sha256)));
                }
            }
            match line.step {
                Step::Kept { record, sha256, .. } => {
                    lines.kept.insert(record, sha256);
                }
                Step::Decided { record, review, state, sha256 } => lines.decided.entry(record).or_default().push((review, state, sha256)),
                Step::Key { .. } | Step::Exported { .. } | Step::Expired { .. } => {}
            }
            sum = Some(hash);
        }
        if n != last || sum.as_ref() != Some(&manifest.head) {
            self.fault(Fault::Chain(format!("it ends with line {n}, expected line {last} of {}", manifest.head)));
        }
        Ok(lines)
    }

    /// A record against its pictures and against the chain.
    fn record(&mut self, source: &Source, listed: &BTreeMap<&str, &str>, lines: &Lines, id: &Name) -> Result<(), EvidenceError> {
        let Some(Ok(json)) = source.read(&path_in(id, "record.json"))? else { return Ok(()) };
        let hash = sha256(&json);
        let record: Record = match serde_json::from_slice(&json) {
            Ok(record) => record,
            Err(error) => {
                self.fault(Fault::Record { record: id.clone(), what: format!("record.json cannot be read ({error})") });
                return Ok(());
            }
        };
        let mut wrong = Vec::new();
        if record.id != *id {
            wrong.push(format!("record.json is of record {}", record.id));
        }
        match lines.kept.get(id) {
            Some(kept) if *kept == hash => {}
            Some(kept) => wrong.push(format!("record.json is not what the chain says was kept, {kept}")),
            None => wrong.push("the chain does not say that it was kept".to_owned()),
        }
        let listed = |name: &str| listed.get(path_in(id, name).as_str()).copied();
        for (name, fact) in &record.files {
            if listed(name) != Some(fact.sha256.as_str()) {
                wrong.push(format!("{name} in the manifest is not the file that was kept, {}", fact.sha256));
            }
        }
        for (n, state, hash) in lines.decided.get(id).into_iter().flatten() {
            let name = Review::file(*n);
            if listed(&name) != Some(hash.as_str()) {
                wrong.push(format!("{name} in the manifest is not the {} decision that the chain names, {hash}", state.as_str()));
            }
        }
        self.faults.extend(wrong.into_iter().map(|what| Fault::Record { record: id.clone(), what }));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
