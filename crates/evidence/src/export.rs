//! A package for the police: originals, what was written down, a sheet for each record, the table, the chain, a signature.
//!
//! Invariants: no package leaves without its line in the chain, and none holds what is void or rejected; a file that is not what was
//! kept stops the export, and the package is verified before it is handed over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use huong_types::{Name, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::EvidenceError;
use crate::archive::Writer;
use crate::blur::{Regions, hide};
use crate::chain::{Entry, State, Step};
use crate::disk::SHARED;
use crate::error::{Context, given};
use crate::journal::Journal;
use crate::package::{CHAIN, FORMAT, HIDDEN, HandOver, HandedOver, Hidden, KEY, MANIFEST, Manifest, Packed, SIGNATURE, TABLE, path_in};
use crate::pdf::Font;
use crate::record::{Kind, Moment, Picture, Record};
use crate::records::{Filter, Records};
use crate::review::Review;
use crate::seal::{hex, sha256};
use crate::sheet::Sheet;
use crate::table;
use crate::verify::{Trust, verify};

/// In place of a plate.
const UNTOLD: &str = "***";

/// What was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub records: Vec<Name>,
    pub bytes: u64,
    pub sha256: String,
    /// The public key that signed.
    pub key: String,
}

/// The file of a package in the making.
struct Package {
    writer: Writer<Hashed>,
    path: PathBuf,
    files: Vec<Packed>,
}

impl Package {
    fn add(&mut self, path: String, bytes: &[u8], kind: Kind) -> Result<(), EvidenceError> {
        self.write(&path, bytes)?;
        self.files.push(Packed { path, sha256: sha256(bytes), bytes: bytes.len() as u64, kind });
        Ok(())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.writer.add(name, bytes).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => EvidenceError::TooLarge {
                found: format!("more than {} files", self.files.len()),
                limit: "4 GiB and 65,534 files".to_owned(),
            },
            _ => EvidenceError::Io { action: "write", path: self.path.clone(), source: error },
        })
    }
}

/// Hashes what passes.
struct Hashed {
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Records {
    /// Writes the records that `filter` takes into `out`, a new ZIP file; without states in the filter the accepted ones.
    ///
    /// # Errors
    /// When there is none, when a file is not what was kept, without names and a reason, or when `out` is there already.
    pub fn export(&mut self, filter: &Filter, hand_over: &HandOver, out: &Path, now: Timestamp) -> Result<Exported, EvidenceError> {
        for (field, text) in [("by", &hand_over.by), ("to", &hand_over.to), ("why", &hand_over.why)] {
            given(field, text)?;
        }
        if out.exists() {
            return Err(EvidenceError::Argument { field: "out", found: out.display().to_string(), expected: "a new file".to_owned() });
        }
        let mut filter = filter.clone();
        if filter.states.is_empty() {
            filter.states.push(State::Accepted);
        }
        let mut entries = self.select(&filter)?;
        entries.retain(|entry| !matches!(entry.state, State::Void | State::Rejected));
        let (Some(first), Some(newest)) =
            (entries.iter().map(|entry| entry.first_line).min(), entries.iter().max_by_key(|entry| entry.last_line))
        else {
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            return Err(EvidenceError::Nothing(format!("found none that is {} and that the other conditions take", states.join(" or "))));
        };
        let font = Font::load(self.config.font.as_deref())?;
        let key = self.signing_key()?;
        // Up to the end of the day, whose head may be published.
        let day = Moment::of(newest.touched)?.day().to_owned();
        let last = self.heads.get(&day).map_or(newest.last_line, |head| head.line);
        let (segment, head) = self.segment(first, last)?;
        let part = out.with_added_extension("part");
        let mut package = Package::create(&part)?;
        package.add(CHAIN.to_owned(), &segment, Kind::Written)?;
        let all = entries.iter().map(|entry| self.read(&entry.id)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<table::Row<'_>> =
            all.iter().zip(&entries).map(|((record, reviews), entry)| (record, reviews.as_slice(), entry.sha256.as_str())).collect();
        package.add(TABLE.to_owned(), &table::write(&rows, &self.laws, &self.config)?, Kind::Derived)?;
        let looks = self.looks()?;
        let mut places = BTreeMap::new();
        for (entry, (record, reviews)) in entries.iter().zip(&all) {
            let hidden = self.pack(&mut package, entry, record, reviews, &font)?;
            places.insert(entry.id.clone(), hidden);
            let seen = looks.iter().filter(|line| line.step.records.contains(&entry.id));
            let seen: Vec<_> = seen.map(|line| json!({ "at": line.at, "by": line.step.by, "why": line.step.why })).collect();
            package.add(path_in(&entry.id, "access.json"), &serde_json::to_vec_pretty(&seen)?, Kind::Written)?;
        }
        let ids: Vec<Name> = entries.iter().map(|entry| entry.id.clone()).collect();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            made: Moment::of(now)?,
            hand_over: hand_over.clone(),
            filter: filter.clone(),
            key: key.public(),
            lines: (first, last),
            head,
            records: ids.clone(),
            hidden: Some(Hidden { what: HIDDEN.to_owned(), settings: self.config.blur, places }),
            files: std::mem::take(&mut package.files),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)?;
        package.write(MANIFEST, &manifest)?;
        package.write(SIGNATURE, key.sign(&manifest).as_bytes())?;
        package.write(KEY, key.public().as_bytes())?;
        let (bytes, hash) = package.finish()?;
        let faults = verify(&part, &Trust::default())?.faults;
        if !faults.is_empty() {
            let what: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return Err(EvidenceError::Damaged { what: what.join("; "), path: part });
        }
        let file = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.note_hand_over(HandedOver {
            at: Moment::of(now)?,
            hand_over: hand_over.clone(),
            filter,
            records: ids.clone(),
            file,
            sha256: hash.clone(),
            bytes,
        })?;
        self.disk.rename(&part, out).during("rename", &part)?;
        Ok(Exported { records: ids, bytes, sha256: hash, key: key.public() })
    }

    /// Who took what, in the order of time. A plate that chose the records is not told: the file of the hand-over has it, for who may open that.
    pub fn hand_overs(&mut self) -> Result<Vec<HandedOver>, EvidenceError> {
        let mut files = Vec::new();
        Journal::new(self.chain.path().to_owned()).catch_up(|line, _, _| {
            if let Step::Exported { sha256, .. } = line.step {
                files.push(format!("{sha256}.json"));
            }
        })?;
        let read = |file: &String| {
            let mut over: HandedOver = crate::records::read_json(&self.dir.join("handovers").join(file))?;
            over.filter.plate = over.filter.plate.map(|_| UNTOLD.to_owned());
            Ok(over)
        };
        files.iter().map(read).collect()
    }

    /// The files of one record. How many places are hidden in each of its pictures on the sheet.
    fn pack(
        &self,
        package: &mut Package,
        entry: &Entry,
        record: &Record,
        reviews: &[Review],
        font: &Font,
    ) -> Result<BTreeMap<String, usize>, EvidenceError> {
        let folder = self.folder(entry)?;
        let json = kept(&folder.join("record.json"), &entry.sha256)?;
        package.add(path_in(&entry.id, "record.json"), &json, Kind::Written)?;
        let mut files = BTreeMap::new();
        for (name, fact) in &record.files {
            let bytes = kept(&folder.join(name), &fact.sha256)?;
            package.add(path_in(&entry.id, name), &bytes, fact.kind)?;
            files.insert(name.as_str(), bytes);
        }
        for review in reviews {
            let name = Review::file(review.n);
            let path = folder.join(&name);
            package.add(path_in(&entry.id, &name), &fs::read(&path).during("read", &path)?, Kind::Written)?;
        }
        let shown = |picture: &Picture| {
            let regions = Regions::of(record, picture, &self.config.blur);
            let original = files.get(picture.file.as_str()).map(Vec::as_slice).unwrap_or_default();
            (hide(original, &regions), regions.hidden.len())
        };
        let pictures: Vec<(Vec<u8>, usize)> = record.pictures.iter().map(shown).collect();
        let crop = record.crop.as_ref().and_then(|crop| files.get(crop.file.as_str())).map(Vec::as_slice);
        let sheet = Sheet { record, sha256: &entry.sha256, reviews, pictures: &pictures, crop, laws: &self.laws, unit: &self.config.unit };
        package.add(path_in(&entry.id, "sheet.pdf"), &sheet.write(font)?, Kind::Derived)?;
        Ok(record.pictures.iter().zip(&pictures).map(|(picture, (_, hidden))| (picture.file.clone(), *hidden)).collect())
    }

    /// The lines of the chain from `first` to `last`, and the last one's hash.
    fn segment(&self, first: u64, last: u64) -> Result<(Vec<u8>, String), EvidenceError> {
        let (mut segment, mut head) = (Vec::new(), String::new());
        Journal::<Step>::new(self.chain.path().to_owned()).catch_up(|line, text, sum| {
            if (first..=last).contains(&line.n) {
                segment.extend_from_slice(text);
                segment.push(b'\n');
                sum.clone_into(&mut head);
            }
        })?;
        Ok((segment, head))
    }

    fn note_hand_over(&mut self, hand_over: HandedOver) -> Result<(), EvidenceError> {
        let _lock = self.lock()?;
        let json = serde_json::to_vec_pretty(&hand_over)?;
        let hash = sha256(&json);
        let name = format!("{hash}.json");
        self.disk.write_whole(&self.staged(&name), &json, SHARED)?;
        let step = Step::Exported { records: hand_over.records, sha256: hash };
        self.change(hand_over.at.millis, step, Path::new("staged").join(&name), Path::new("handovers").join(&name))
    }
}

impl Package {
    fn create(path: &Path) -> Result<Package, EvidenceError> {
        let file = File::options().write(true).create(true).truncate(true).mode(SHARED).open(path).during("create", path)?;
        let hashed = Hashed { out: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        Ok(Package { writer: Writer::new(hashed), path: path.to_owned(), files: Vec::new() })
    }

    /// Its length and its hash, once it is on disk.
    fn finish(self) -> Result<(u64, String), EvidenceError> {
        let path = self.path;
        let Hashed { out, hash, bytes } = self.writer.finish().during("write", &path)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error).during("write", &path)?;
        file.sync_all().during("sync", &path)?;
        Ok((bytes, hex(&hash.finalize())))
    }
}

/// A file, which must be what was kept.
pub(crate) fn kept(path: &Path, hash: &str) -> Result<Vec<u8>, EvidenceError> {
    let bytes = fs::read(path).during("read", path)?;
    if sha256(&bytes) == hash {
        return Ok(bytes);
    }
    Err(EvidenceError::Damaged { what: "the content (it is not what was kept)".to_owned(), path: path.to_owned() })
}
