//! Violation records for those who review them over HTTP.
//!
//! Invariant: the evidence's own journal of looks says who saw what before it is shown; nothing here keeps a plate or a picture.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use huong_evidence::{Decision, Entry, EvidenceError, Filter, HandOver, Records, State};
use huong_types::{Act, Name, Timestamp};
use huong_wall::{Evidence, Found, QueryError, RecordsWanted, Trouble};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

/// Records of one list, where nothing else is asked for.
const LISTED: usize = 200;
const MOST_LISTED: usize = 2000;
/// Bytes of a package sent at once.
const CHUNK: usize = 64 << 10;

/// The records, for one request at a time: each is short, and the evidence's folder is locked for changes anyway.
pub(crate) struct Reviewed {
    records: Mutex<Records>,
    /// Where packages are made on their way out. Not in the evidence's `staged`: that is swept by every change.
    outgoing: PathBuf,
}

#[derive(Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase", deny_unknown_fields)]
enum Decided {
    Accept {
        note: Option<String>,
    },
    Reject {
        reason: Option<Name>,
        #[serde(default)]
        reasons: Vec<Name>,
        note: Option<String>,
    },
    Correct {
        plate: String,
        note: Option<String>,
    },
}

impl Reviewed {
    /// `outgoing` is a folder of its own, for nothing else; what a crash has left there goes.
    ///
    /// # Errors
    /// When the folder cannot be made anew.
    pub(crate) fn new(records: Records, outgoing: PathBuf) -> io::Result<Arc<Self>> {
        if outgoing.exists() {
            fs::remove_dir_all(&outgoing)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&outgoing)?;
        Ok(Arc::new(Self { records: Mutex::new(records), outgoing }))
    }

    /// Answers `question` for the person `who`.
    pub(crate) async fn answer(self: Arc<Self>, who: String, question: Evidence, now: Timestamp) -> Result<Found, Trouble> {
        let found = tokio::task::spawn_blocking(move || self.find(&who, question, now)).await;
        found.map_err(|error| Trouble::Failed(error.to_string()))?
    }

    fn find(&self, who: &str, question: Evidence, now: Timestamp) -> Result<Found, Trouble> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let json = match question {
            Evidence::List(wanted) => list(&mut records, wanted)?,
            Evidence::Show { id, why } => {
                let (record, reviews, _) = records.show(&id, who, &why, now).map_err(told)?;
                let state = records.select(&Filter { ids: vec![record.id.clone()], ..Filter::default() }).map_err(told)?;
                json!({ "record": record, "reviews": reviews, "state": state.first().map(|entry| entry.state) })
            }
            Evidence::File { id, name } => {
                let bytes = records.file(&id, &name, who, now).map_err(told)?;
                // All that `record.json` names are pictures.
                return Ok(Found::Bytes { kind: "image/jpeg", bytes: bytes.into() });
            }
            Evidence::Decide { id, decision } => {
                let decided: Decided = serde_json::from_value(decision).map_err(|error| Trouble::Wrong(error.to_string()))?;
                let (decision, note) = match decided {
                    Decided::Accept { note } => (Decision::Accept, note),
                    Decided::Reject { reason, mut reasons, note } => {
                        reasons.extend(reason);
                        (Decision::Reject { reasons }, note)
                    }
                    Decided::Correct { plate, note } => (Decision::Correct { plate }, note),
                };
                json!({ "state": records.decide(&id, who, decision, note, now).map_err(told)? })
            }
            Evidence::Words => words(&records),
            Evidence::Search { plate, why } => {
                let found = records.find_plate(&plate, who, &why, now).map_err(told)?;
                let rows = found.iter().map(|entry| row(&mut records, entry)).collect::<Result<Vec<_>, _>>()?;
                json!({ "records": rows })
            }
            Evidence::Export { filter, to, purpose } => {
                if filter.limit.is_some() {
                    return Err(Trouble::Wrong("limit: found one, expected none: a package holds all that the filter takes".to_owned()));
                }
                let name = format!("huong-{}.zip", now.as_millis());
                let path = self.outgoing.join(&name);
                let hand_over = HandOver { by: who.to_owned(), to, why: purpose };
                records.export(&selected(filter)?, &hand_over, &path, now).map_err(told)?;
                return package(&path, name).map_err(|error| Trouble::Failed(format!("{}: {error}", path.display())));
            }
            Evidence::HandOvers => json!({ "handovers": records.hand_overs().map_err(told)? }),
        };
        Ok(Found::Json(json))
    }
}

fn selected(wanted: RecordsWanted) -> Result<Filter, Trouble> {
    let unknown = |what: &str, found: &str| Trouble::Wrong(format!("{what}: found `{found}`"));
    let act = |name: String| Act::ALL.into_iter().find(|act| act.as_str() == name).ok_or_else(|| unknown("act", &name));
    let state = |name: String| State::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| unknown("state", &name));
    Ok(Filter {
        ids: wanted.ids.unwrap_or_default().into_iter().map(Name::from).collect(),
        from: wanted.from,
        to: wanted.to,
        place: wanted.camera,
        act: wanted.act.map(act).transpose()?,
        plate: wanted.plate,
        states: wanted.state.map(state).transpose()?.into_iter().collect(),
    })
}

/// The newest records first, without plates.
fn list(records: &mut Records, wanted: RecordsWanted) -> Result<Value, Trouble> {
    let limit = wanted.limit.unwrap_or(LISTED);
    if limit > MOST_LISTED {
        return Err(Trouble::Wrong(format!("limit: found {limit}, expected at most {MOST_LISTED}")));
    }
    let found = records.select(&selected(wanted)?).map_err(told)?;
    let rows = found.iter().rev().take(limit).map(|entry| row(records, entry)).collect::<Result<Vec<_>, _>>()?;
    let counts = records.counts().map_err(told)?;
    Ok(json!({ "records": rows, "counts": counts.states, "found": found.len() }))
}

fn row(records: &mut Records, entry: &Entry) -> Result<Value, Trouble> {
    let outline = records.outline(&entry.id).map_err(told)?;
    Ok(json!({
        "id": entry.id, "at": entry.began, "act": entry.act, "state": entry.state, "handed_over": entry.handed_over,
        "act_name": act_name(records, entry.act),
        "camera": outline.camera, "camera_name": outline.camera_name, "place": outline.place, "label": outline.label,
        "void": outline.void, "clock_doubt": outline.clock.is_none(),
    }))
}

fn act_name(records: &Records, act: Act) -> Value {
    json!({ "vi": records.laws().act(act), "en": act.as_str().replace('_', " ") })
}

fn words(records: &Records) -> Value {
    let acts = Act::ALL.map(|act| json!({ "code": act, "vi": records.laws().act(act), "en": act.as_str().replace('_', " ") }));
    let reasons = records.laws().reasons().iter();
    let reasons: Vec<Value> = reasons.map(|(code, vi)| json!({ "code": code, "vi": vi, "en": code.as_str().replace('_', " ") })).collect();
    json!({ "acts": acts, "reasons": reasons })
}

/// A file that nobody else sees: its name goes before its first byte does.
fn package(path: &Path, name: String) -> io::Result<Found> {
    let file = tokio::fs::File::from_std(fs::File::open(path)?);
    fs::remove_file(path)?;
    let bytes = unfold(Some(file), async |file| {
        let mut file = file?;
        let mut chunk = vec![0; CHUNK];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(read) => {
                chunk.truncate(read);
                Some((Ok(Bytes::from(chunk)), Some(file)))
            }
            Err(error) => Some((Err(QueryError::Store(error.to_string())), None)),
        }
    });
    Ok(Found::Package { name, kind: "application/zip", bytes: bytes.boxed() })
}

fn told(error: EvidenceError) -> Trouble {
    let words = error.to_string();
    match error {
        EvidenceError::Unknown(_) | EvidenceError::Nothing(_) => Trouble::Absent(words),
        EvidenceError::Argument { .. } => Trouble::Wrong(words),
        EvidenceError::Refused { .. } | EvidenceError::TooLarge { .. } => Trouble::Refused(words),
        _ => Trouble::Failed(words),
    }
}
