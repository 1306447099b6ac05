//! The desk of CAP messages: drafts for the public wait for a named person, messages for staff go at once.
//!
//! Invariant: nothing reaches the public that nobody has released by name. A released file never changes; what comes after refers to it.
//! Files and state are on disk when a call returns, and a step told twice changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use huong_types::{Name, Problems, Severity, Span, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cap_xml::{self, Info, MessageType, Scope};
use crate::durable::{OWN, SHARED, replace};
use crate::office::Now;

/// Messages remembered after they have left the desk: the feed, and what later ones refer to. Their files stay.
const REMEMBERED: usize = 1000;
const IDENTIFIER_BYTES: usize = 200;

/// `[cap]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CapSettings {
    /// Unique and ours, such as a host name; no spaces, commas, `<` or `&` (CAP 1.2, 3.2.1).
    pub sender: String,
    pub sender_name: Text,
    pub contact: Option<String>,
    /// For messages to staff: who may have them.
    pub restriction: String,
    /// How long a message is good; it is cancelled when the alert is over before.
    pub valid: Span,
    /// Of the circle around a station, km: how far its reading speaks. A proposal.
    pub radius_km: f64,
    /// Where no place is known.
    pub area: Text,
}

/// What waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub id: String,
    pub alert: Name,
    pub made: Timestamp,
    /// It ends what was released before.
    pub cancels: bool,
    pub info: Info,
}

/// What the public has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Released {
    pub id: String,
    pub alert: Name,
    pub sent: Timestamp,
    pub by: String,
    pub kind: MessageType,
    pub headline: Text,
    pub area: Text,
    pub severity: Severity,
}

/// Everything on the desk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desk {
    pub drafts: Vec<Draft>,
    /// Newest last.
    pub released: Vec<Released>,
}

#[derive(Debug, thiserror::Error)]
pub enum CapError {
    #[error("there is no draft `{0}`")]
    Unknown(String),
    #[error("a person's name is needed")]
    Nobody,
    #[error("the CAP file cannot be written: {0}")]
    Disk(#[from] io::Error),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    drafts: Vec<Draft>,
    released: Vec<Released>,
    /// Ids of drafts that left the desk unreleased: a step told again does not bring them back.
    dropped: Vec<String>,
    /// Messages to staff about alerts that stand: (id, sent).
    staff: BTreeMap<Name, Vec<(String, Timestamp)>>,
}

/// See the module.
pub struct CapDesk {
    dir: PathBuf,
    settings: CapSettings,
    now: Now,
    state: Mutex<State>,
}

impl Default for CapSettings {
    fn default() -> Self {
        Self {
            sender: "huong.invalid".to_owned(),
            sender_name: Text {
                vi: "Trung tâm điều hành đô thị thông minh Huế".to_owned(), en: "Huế city operations centre".to_owned()
            },
            contact: None,
            restriction: "Lực lượng ứng phó / Response staff".to_owned(),
            valid: Span::from_mins(24 * 60),
            radius_km: 2.0,
            area: Text { vi: "Thành phố Huế".to_owned(), en: "Huế city".to_owned() },
        }
    }
}

impl CapSettings {
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.sender.is_empty() || self.sender.contains(|c: char| c.is_whitespace() || ",<&".contains(c)) {
            problems.add(file, format!("{path}.sender"), format!("`{}`", self.sender), "a name without spaces, commas, < and &");
        }
        if self.valid <= Span::ZERO {
            problems.add(file, format!("{path}.valid"), self.valid.to_string(), "more than 0s");
        }
        if !(self.radius_km > 0.0 && self.radius_km < 1000.0) {
            problems.add(file, format!("{path}.radius_km"), self.radius_km.to_string(), "more than 0 and less than 1000");
        }
    }
}

/// Of one step of an alert: letters, digits, `-`, `_` and `.`, so that it names a file and stands in an address.
fn identifier(alert: &str, seq: u64) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let alert: String = alert.chars().map(plain).take(IDENTIFIER_BYTES).collect();
    format!("{}-{seq}", alert.trim_start_matches('.'))
}

fn forget<T>(list: &mut Vec<T>) {
    let over = list.len().saturating_sub(REMEMBERED);
    list.drain(..over);
}

impl CapDesk {
    pub(crate) fn open(dir: &Path, settings: CapSettings, now: Now) -> io::Result<Self> {
        std::fs::create_dir_all(dir.join("staff"))?;
        let path = dir.join("desk.json");
        let state = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { dir: dir.to_owned(), settings, now, state: Mutex::new(state) })
    }

    pub(crate) fn settings(&self) -> &CapSettings {
        &self.settings
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, state: &mut MutexGuard<'_, State>, changed: State) -> io::Result<()> {
        replace(&self.dir.join("desk.json"), OWN, &serde_json::to_vec(&changed)?)?;
        **state = changed;
        Ok(())
    }

    pub fn list(&self) -> Desk {
        let state = self.lock();
        Desk { drafts: state.drafts.clone(), released: state.released.clone() }
    }

    /// A draft for the public about a step; `over` when it ends the alert. It takes the place of an older draft of that alert.
    pub(crate) fn draft(&self, seq: u64, alert: &Name, info: Info, over: bool) -> io::Result<()> {
        let mut state = self.lock();
        let id = identifier(alert, seq);
        let known = state.released.iter().map(|released| &released.id).chain(&state.dropped).any(|other| *other == id);
        if known || state.drafts.iter().any(|draft| draft.id == id) {
            return Ok(());
        }
        let mut changed = state.clone();
        let (old, kept) = changed.drafts.into_iter().partition::<Vec<_>, _>(|draft| draft.alert == *alert);
        changed.drafts = kept;
        changed.dropped.extend(old.into_iter().map(|draft| draft.id));
        let stands =
            changed.released.iter().rfind(|released| released.alert == *alert).is_some_and(|last| last.kind != MessageType::Cancel);
        if over && !stands {
            // The public has never heard of it.
            changed.dropped.push(id);
        } else {
            changed.drafts.push(Draft { id, alert: alert.clone(), made: (self.now)(), cancels: over, info });
        }
        forget(&mut changed.dropped);
        self.keep(&mut state, changed)
    }

    /// Makes a draft public in the name of `by`; gives its file's bytes.
    ///
    /// # Errors
    /// When there is no such draft (any more), nobody is named, or the disk refuses.
    pub fn release(&self, id: &str, by: &str) -> Result<Vec<u8>, CapError> {
        let by = by.trim();
        if by.is_empty() {
            return Err(CapError::Nobody);
        }
        let mut state = self.lock();
        let mut changed = state.clone();
        let place = changed.drafts.iter().position(|draft| draft.id == id).ok_or_else(|| CapError::Unknown(id.to_owned()))?;
        let draft = changed.drafts.remove(place);
        let sent = (self.now)().floor(Span::from_secs(1));
        let before: Vec<(String, Timestamp)> = changed
            .released
            .iter()
            .filter(|released| released.alert == draft.alert)
            .map(|released| (released.id.clone(), released.sent))
            .collect();
        let kind = match (draft.cancels, before.is_empty()) {
            (true, _) => MessageType::Cancel,
            (false, true) => MessageType::Alert,
            (false, false) => MessageType::Update,
        };
        let xml = cap_xml::message(&draft.id, sent, kind, Scope::Public, &before, &draft.info, &self.settings)?;
        // First the file: one that the state does not know is written again, one that is missing would be a lie.
        replace(&self.dir.join(format!("{id}.xml")), SHARED, &xml)?;
        changed.released.push(Released {
            id: draft.id,
            alert: draft.alert,
            sent,
            by: by.to_owned(),
            kind,
            headline: draft.info.headline,
            area: draft.info.area,
            severity: draft.info.severity,
        });
        forget(&mut changed.released);
        self.keep(&mut state, changed)?;
        tracing::info!(id, by, ?kind, "a CAP message is public");
        Ok(xml)
    }

    /// Takes a draft off the desk in the name of `by`.
    ///
    /// # Errors
    /// As for [`CapDesk::release`].
    pub fn reject(&self, id: &str, by: &str) -> Result<(), CapError> {
        if by.trim().is_empty() {
            return Err(CapError::Nobody);
        }
        let mut state = self.lock();
        let mut changed = state.clone();
        let place = changed.drafts.iter().position(|draft| draft.id == id).ok_or_else(|| CapError::Unknown(id.to_owned()))?;
        let draft = changed.drafts.remove(place);
        changed.dropped.push(draft.id);
        forget(&mut changed.dropped);
        self.keep(&mut state, changed)?;
        tracing::info!(id, by, "a CAP draft is rejected");
        Ok(())
    }

    /// The bytes of a released file; `None` when there is none of this id.
    pub fn file(&self, id: &str) -> Option<Vec<u8>> {
        let known = self.lock().released.iter().any(|released| released.id == id);
        // Ids on the desk are our own, so this names no file elsewhere.
        if known { std::fs::read(self.dir.join(format!("{id}.xml"))).ok() } else { None }
    }

    /// The Atom feed (RFC 4287) of released files, newest first; `base` is the wall's address as the public reaches it.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn feed(&self, base: &str) -> io::Result<Vec<u8>> {
        cap_xml::feed(&self.lock().released, base.trim_end_matches('/'), &self.settings)
    }

    /// A message to staff, at once, as `staff/<id>.xml`.
    pub(crate) fn tell_staff(&self, seq: u64, alert: &Name, info: &Info, over: bool) -> io::Result<()> {
        let mut state = self.lock();
        let id = identifier(alert, seq);
        let before = state.staff.get(alert).cloned().unwrap_or_default();
        if before.iter().any(|(other, _)| *other == id) || (over && before.is_empty()) {
            return Ok(());
        }
        let kind = match (over, before.is_empty()) {
            (true, _) => MessageType::Cancel,
            (false, true) => MessageType::Alert,
            (false, false) => MessageType::Update,
        };
        let sent = (self.now)().floor(Span::from_secs(1));
        let xml = cap_xml::message(&id, sent, kind, Scope::Restricted, &before, info, &self.settings)?;
        replace(&self.dir.join("staff").join(format!("{id}.xml")), SHARED, &xml)?;
        let mut changed = state.clone();
        if over {
            changed.staff.remove(alert);
        } else {
            changed.staff.entry(alert.clone()).or_default().push((id, sent));
        }
        self.keep(&mut state, changed)
    }
}
