//! Violation records for those who review them over HTTP.
//!
//! Invariant: the evidence's own journal of looks says who saw what before it is shown; nothing here keeps a plate or a picture.

use std::path::PathBuf;
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
    /// Where packages are made on their way out.
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
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
    pub(crate) fn new(records: Records, dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { records: Mutex::new(records), dir })
    }

    /// Answers `question` for the person `who`.
    pub(crate) async fn answer(self: Arc<Self>, who: String, question: Evidence, now: Timestamp) -> Result<Found, Trouble> {
        let export = matches!(question, Evidence::Export { .. });
        let found = tokio::task::spawn_blocking(move || self.find(&who, question, now)).await;
        let found = found.map_err(|error| Trouble::Failed(error.to_string()))??;
        match found {
            Reply::Found(found) => Ok(found),
            Reply::File(path, name) if export => send(path, name).await,
            Reply::File(path, _) => Err(Trouble::Failed(format!("{}: not asked for", path.display()))),
        }
    }

    fn find(&self, who: &str, question: Evidence, now: Timestamp) -> Result<Reply, Trouble> {
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
                let kind = if name.ends_with(".jpg") { "image/jpeg" } else { "application/json" };
                return Ok(Reply::Found(Found::Bytes { kind, bytes: bytes.into() }));
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
                let mut filter = selected(filter)?;
                if filter.states.is_empty() {
                    filter.states = vec![State::Accepted];
                }
                let name = format!("huong-{}.zip", now.as_millis());
                let path = self.dir.join("staged").join(&name);
                let hand_over = HandOver { by: who.to_owned(), to, why: purpose };
                records.export(&filter, &hand_over, &path, now).map_err(told)?;
                return Ok(Reply::File(path, name));
            }
            Evidence::HandOvers => json!({ "handovers": records.hand_overs().map_err(told)? }),
        };
        Ok(Reply::Found(Found::Json(json)))
    }
}

enum Reply {
    Found(Found),
    /// To be sent under this name, and gone then.
    File(PathBuf, String),
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
    let limit = wanted.limit.unwrap_or(LISTED).min(MOST_LISTED);
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

/// Sends a file that nobody else sees: its name goes before its first byte does.
async fn send(path: PathBuf, name: String) -> Result<Found, Trouble> {
    let failed = |error: std::io::Error| Trouble::Failed(format!("{}: {error}", path.display()));
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    tokio::fs::remove_file(&path).await.map_err(failed)?;
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
