//! The door: who a request comes from, by a bearer token, a device's cookie or a session, and whether that is enough.
//!
//! Invariant: what a cookie alone would allow, another site could have a browser do: whatever changes something needs the token of
//! `GET /api/session` as well, which no other site can read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, header};
use ring::digest::{SHA256, digest};

use crate::auth::{Caller, Denied, Right, Role, Tokens, same};
use crate::oidc::Oidc;
use crate::sessions::Sessions;
use crate::users::Users;

/// The name of the cookie that holds a device's token.
pub(crate) const DEVICE: &str = "huong_token";
/// .. and of the one that holds a person's session.
pub(crate) const SESSION: &str = "huong_session";
pub(crate) const CSRF: &str = "x-csrf-token";

/// Wrong passwords of one name from one address, and of one address, before it must wait.
const MISTAKES: u32 = 5;
const MISTAKES_OF_ADDRESS: u32 = 30;
const WAIT: Duration = Duration::from_secs(15 * 60);
/// Names and addresses remembered; beyond, the oldest mistakes are forgiven.
const REMEMBERED: usize = 10_000;

pub(crate) struct Gate {
    pub(crate) tokens: Tokens,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions,
    /// Who else says who people are.
    pub(crate) oidc: Option<Arc<Oidc>>,
    /// Looking needs nobody to sign in.
    open: bool,
    mistakes: Mutex<HashMap<(IpAddr, String), (u32, Instant)>>,
}

/// How a request says who it is from.
pub(crate) enum Presented<'a> {
    Nothing,
    Bearer(&'a str),
    Device(&'a str),
    Session(&'a str),
}

impl Gate {
    /// Where nobody can sign in, who reaches it may look, and do nothing.
    pub(crate) fn new(tokens: Tokens, users: Users, sessions: Sessions, oidc: Option<Arc<Oidc>>, open: bool) -> Self {
        let mut gate = Self { tokens, users, sessions, oidc, open, mistakes: Mutex::default() };
        gate.open |= gate.knows_nobody();
        gate
    }

    fn knows_nobody(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty() && self.oidc.is_none()
    }

    /// Who is asking, when they have the right.
    pub(crate) fn admit(&self, headers: &HeaderMap, method: &Method, need: Right) -> Result<Caller, Denied> {
        if need == Right::Public {
            return Ok(Caller { role: Role::Viewer, name: None, person: false });
        }
        let presented = presented(headers);
        let caller = match presented {
            Presented::Nothing if self.open && need == Right::View => return Ok(Caller { role: Role::Viewer, name: None, person: false }),
            Presented::Nothing if self.knows_nobody() => return Err(Denied::NoneConfigured),
            Presented::Nothing => return Err(Denied::NoToken),
            Presented::Bearer(token) | Presented::Device(token) => self.tokens.admit(Some(token), need)?,
            Presented::Session(cookie) => {
                let (name, given) = self.sessions.user(cookie).ok_or(Denied::Unknown)?;
                // Who is no longer in the file that this start read is out, and so is whom a provider named that is no longer asked.
                let role = match given {
                    Some(role) => self.oidc.as_ref().map(|_| role),
                    None => self.users.role(&name),
                };
                let role = role.ok_or(Denied::Unknown)?;
                if !role.may(need) {
                    return Err(Denied::Role);
                }
                Caller { role, name: Some(name), person: true }
            }
        };
        if let (true, Presented::Device(secret) | Presented::Session(secret)) = (changes(method), presented) {
            let given = headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !same(given.as_bytes(), csrf(secret).as_bytes()) {
                return Err(Denied::Forged);
            }
        }
        Ok(caller)
    }

    /// How long whoever is at `address` must wait before trying again, as `name` where one is given.
    pub(crate) fn wait(&self, address: IpAddr, name: Option<&str>) -> Option<Duration> {
        let mistakes = self.mistakes.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |name: &str, most: u32| {
            let (count, last) = mistakes.get(&(address, name.to_owned()))?;
            let left = WAIT.checked_sub(last.elapsed())?;
            (*count >= most).then_some(left)
        };
        name.and_then(|name| left(name, MISTAKES)).max(left("", MISTAKES_OF_ADDRESS))
    }

    pub(crate) fn mistaken(&self, address: IpAddr, name: Option<&str>) {
        let mut mistakes = self.mistakes.lock().unwrap_or_else(PoisonError::into_inner);
        if mistakes.len() >= REMEMBERED {
            mistakes.retain(|_, (_, last)| last.elapsed() < WAIT);
        }
        if mistakes.len() >= REMEMBERED
            && let Some(oldest) = mistakes.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone())
        {
            mistakes.remove(&oldest);
        }
        for name in name.into_iter().chain([""]) {
            let entry = mistakes.entry((address, name.to_owned())).or_insert((0, Instant::now()));
            if entry.1.elapsed() >= WAIT {
                entry.0 = 0;
            }
            *entry = (entry.0 + 1, Instant::now());
        }
    }

    pub(crate) fn right(&self, address: IpAddr, name: &str) {
        self.mistakes.lock().unwrap_or_else(PoisonError::into_inner).remove(&(address, name.to_owned()));
    }
}

/// The header first, because a browser's `EventSource` and `<img>` cannot set one and have the cookies; a person before the device.
pub(crate) fn presented(headers: &HeaderMap) -> Presented<'_> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    if let Some(token) = bearer {
        return Presented::Bearer(token.trim());
    }
    match (cookie(headers, SESSION), cookie(headers, DEVICE)) {
        (Some(session), _) => Presented::Session(session),
        (None, Some(token)) => Presented::Device(token),
        (None, None) => Presented::Nothing,
    }
}

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What a page must send beside its cookie. Of the cookie, so that nothing is kept; it does not tell the cookie.
pub(crate) fn csrf(secret: &str) -> String {
    hex(&[b"huong csrf ", secret.as_bytes()].concat())
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_and_others_do_not() {
        let gate = Gate::new(Tokens::default(), Users::default(), Sessions::forgetful(huong_types::Span::from_mins(1)), None, false);
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        (0..MISTAKES).for_each(|_| gate.mistaken(here, Some("lan")));
        assert!(gate.wait(here, Some("lan")).is_some_and(|wait| wait > Duration::from_secs(800)));
        assert_eq!((gate.wait(here, Some("minh")), gate.wait(there, Some("lan"))), (None, None), "nobody locks another out");
        gate.right(here, "lan");
        assert_eq!(gate.wait(here, Some("lan")), None);
        (0..MISTAKES_OF_ADDRESS).for_each(|n| gate.mistaken(here, Some(&format!("name {n}"))));
        assert!(gate.wait(here, Some("minh")).is_some() && gate.wait(there, Some("minh")).is_none());
    }
}
