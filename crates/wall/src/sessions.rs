//! Who is signed in, over restarts of the server.
//!
//! Invariant: the file holds hashes, so that reading it lets nobody in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use huong_types::Span;
use serde::{Deserialize, Serialize};

use crate::auth::Role;
use crate::gate::hex;
use crate::kept;
use crate::users::new_token;

/// Sessions of one name; one more ends the oldest.
const OF_ONE: usize = 16;

pub(crate) struct Sessions {
    file: Option<PathBuf>,
    life: Span,
    /// By the SHA-256 of the cookie.
    open: Mutex<BTreeMap<String, Session>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    user: String,
    /// As a provider gave it; who is in the file of users has the role that stands there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    role: Option<Role>,
    /// Seconds since the epoch, by the system's clock.
    opened: u64,
}

impl Sessions {
    /// What is open by `dir`/sessions.json.
    ///
    /// # Errors
    /// In words, when the file cannot be read for what it is.
    pub(crate) fn load(dir: &Path, life: Span) -> Result<Self, String> {
        let file = dir.join("sessions.json");
        let open = kept::load(&file)?;
        Ok(Self { file: Some(file), life, open: Mutex::new(open) })
    }

    /// Kept in memory only.
    pub(crate) fn forgetful(life: Span) -> Self {
        Self { file: None, life, open: Mutex::default() }
    }

    /// The user of a session that is open, and the role that a provider gave.
    pub(crate) fn user(&self, cookie: &str) -> Option<(String, Option<Role>)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&hex(cookie.as_bytes())).filter(|session| self.lives(session)).map(|session| (session.user.clone(), session.role))
    }

    /// A new session's cookie.
    ///
    /// # Errors
    /// In words, when the session cannot be kept.
    pub(crate) fn begin(&self, user: &str, role: Option<Role>) -> Result<String, String> {
        let cookie = new_token()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| self.lives(session));
        while open.values().filter(|session| session.user == user).count() >= OF_ONE {
            let of_user = open.iter().filter(|(_, session)| session.user == user);
            let Some(oldest) = of_user.min_by_key(|(_, session)| session.opened).map(|(key, _)| key.clone()) else { break };
            open.remove(&oldest);
        }
        open.insert(hex(cookie.as_bytes()), Session { user: user.to_owned(), role, opened: now() });
        self.save(&open)?;
        Ok(cookie)
    }

    pub(crate) fn end(&self, cookie: &str) -> Result<(), String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&hex(cookie.as_bytes()));
        self.save(&open)
    }

    fn lives(&self, session: &Session) -> bool {
        now().saturating_sub(session.opened) < self.life.to_std().as_secs()
    }

    fn save(&self, open: &BTreeMap<String, Session>) -> Result<(), String> {
        self.file.as_ref().map_or(Ok(()), |file| kept::save(file, open))
    }
}

/// Seconds since the epoch. The processor's own clock may run at 600 times real speed.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_over_a_restart_and_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let life = Span::from_mins(60);
        let sessions = Sessions::load(dir.path(), life).expect("an empty directory");
        let cookie = sessions.begin("lan", None).expect("writable");
        let text = std::fs::read_to_string(dir.path().join("sessions.json")).expect("kept");
        assert!(!text.contains(&cookie), "a hash is kept, not the cookie");
        let sessions = Sessions::load(dir.path(), life).expect("readable");
        assert_eq!(sessions.user(&cookie), Some(("lan".to_owned(), None)));
        assert_eq!(sessions.user("else"), None);
        sessions.end(&cookie).expect("writable");
        assert_eq!(sessions.user(&cookie), None);
        let over = Sessions::load(dir.path(), Span::ZERO).expect("readable");
        let cookie = over.begin("lan", Some(Role::Flood)).expect("writable");
        assert_eq!(over.user(&cookie), None, "its time is over");
    }

    #[test]
    fn nobody_has_sessions_without_end() {
        let sessions = Sessions::forgetful(Span::from_mins(1));
        let cookies: Vec<String> = (0..20).map(|_| sessions.begin("lan", None).expect("in memory")).collect();
        assert_eq!(cookies.iter().filter(|cookie| sessions.user(cookie).is_some()).count(), OF_ONE);
    }
}
