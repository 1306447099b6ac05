//! Browsers that want pushes, by user, and the key pair by which push services know this server (VAPID, RFC 8292).
//!
//! Invariant: a change is on disk when it is answered. Messages go to the push services that are listed and to no other address, whatever
//! a browser hands in.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use huong_types::Problems;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use crate::durable::{OWN, replace, secret};

/// Browsers of one user; one more replaces the oldest.
const PER_USER: usize = 10;
const ENDPOINT_BYTES: usize = 1024;

/// `[push]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PushSettings {
    /// `mailto:` or `https:`: whom a push service asks when we misbehave (RFC 8292, 2.1).
    pub subject: Option<String>,
    /// Hosts of push services; `*.` at the start for any names before the rest.
    pub hosts: Vec<String>,
}

/// What a browser's `PushSubscription` says as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub endpoint: String,
    pub keys: SubscriptionKeys,
}

/// Base64url (RFC 8291, 3.1 and 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionKeys {
    pub p256dh: String,
    pub auth: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("this is no subscription: {0}")]
    Malformed(String),
    #[error("`{0}` is none of the push services in [push] hosts")]
    Host(String),
    #[error("subscriptions cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// See the module.
pub struct Subscriptions {
    path: PathBuf,
    settings: PushSettings,
    pub(crate) key: EcdsaKeyPair,
    by_user: Mutex<BTreeMap<String, Vec<Subscription>>>,
}

impl Default for PushSettings {
    fn default() -> Self {
        let hosts = ["fcm.googleapis.com", "*.push.services.mozilla.com", "*.notify.windows.com", "*.push.apple.com"];
        Self { subject: None, hosts: hosts.map(str::to_owned).to_vec() }
    }
}

impl PushSettings {
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if let Some(subject) = self.subject.as_ref().filter(|subject| !subject.starts_with("mailto:") && !subject.starts_with("https://")) {
            problems.add(file, format!("{path}.subject"), format!("`{subject}`"), "mailto: or https:");
        }
    }

    fn lists(&self, host: &str) -> bool {
        self.hosts.iter().any(|listed| match listed.strip_prefix("*.") {
            Some(rest) => host.strip_suffix(rest).is_some_and(|start| start.ends_with('.')),
            None => listed == host,
        })
    }
}

/// Scheme, host and port of an address, and the host alone.
pub(crate) fn origin(endpoint: &str) -> Option<(&str, &str)> {
    let scheme = endpoint.find("://")? + 3;
    let end = endpoint[scheme..].find('/').map_or(endpoint.len(), |slash| scheme + slash);
    let authority = &endpoint[scheme..end];
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    (!host.is_empty() && !authority.contains(['@', '?', '#', '\\'])).then_some((&endpoint[..end], host))
}

impl Subscription {
    /// The browser's public key, an uncompressed point, and its secret.
    pub(crate) fn keys(&self) -> Option<([u8; 65], [u8; 16])> {
        // Some browsers pad.
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        Some((decode(&self.keys.p256dh)?.try_into().ok()?, decode(&self.keys.auth)?.try_into().ok()?))
    }
}

impl Subscriptions {
    pub(crate) fn open(dir: &Path, settings: PushSettings) -> io::Result<Self> {
        let random = SystemRandom::new();
        let rejected = |error: ring::error::KeyRejected| io::Error::new(io::ErrorKind::InvalidData, format!("vapid.pk8: {error}"));
        let pkcs8 = secret(&dir.join("vapid.pk8"), || {
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            made.map(|pkcs8| pkcs8.as_ref().to_vec()).map_err(|_| io::Error::other("the system gives no random numbers"))
        })?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random).map_err(rejected)?;
        let path = dir.join("subscriptions.json");
        let by_user = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, settings, key, by_user: Mutex::new(by_user) })
    }

    /// What a browser subscribes with (`applicationServerKey`), base64url; `None` when `[push] subject` is not set.
    pub fn public_key(&self) -> Option<String> {
        self.settings.subject.as_ref().map(|_| self.public())
    }

    pub(crate) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.public_key())
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.settings.subject.as_deref()
    }

    /// Keeps `json`, a `PushSubscription`, for `user`.
    ///
    /// # Errors
    /// When it is none, names another host than those listed, or cannot be written.
    pub fn subscribe(&self, user: &str, json: &[u8]) -> Result<(), SubscribeError> {
        let subscription: Subscription = serde_json::from_slice(json).map_err(|error| SubscribeError::Malformed(error.to_string()))?;
        let endpoint = &subscription.endpoint;
        let wrong = |why: &str| SubscribeError::Malformed(why.to_owned());
        if endpoint.len() > ENDPOINT_BYTES || endpoint.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong("the endpoint is too long or no address"));
        }
        let (_, host) = origin(endpoint).ok_or_else(|| wrong("the endpoint is no address"))?;
        // In the clear only to this machine.
        let here = endpoint.starts_with("http://") && ["127.0.0.1", "localhost"].contains(&host);
        if !endpoint.starts_with("https://") && !here {
            return Err(wrong("the endpoint is not https"));
        }
        if !self.settings.lists(host) {
            return Err(SubscribeError::Host(host.to_owned()));
        }
        subscription.keys().ok_or_else(|| wrong("keys.p256dh has 65 bytes and keys.auth 16, in base64url"))?;
        self.change(|by_user| {
            // A browser that changes hands changes its user.
            by_user.values_mut().for_each(|list| list.retain(|other| other.endpoint != *endpoint));
            let list = by_user.entry(user.to_owned()).or_default();
            list.push(subscription.clone());
            let over = list.len().saturating_sub(PER_USER);
            list.drain(..over);
        })?;
        Ok(())
    }

    /// Forgets an endpoint of `user`; one that is not known is forgotten already.
    ///
    /// # Errors
    /// When the change cannot be written.
    pub fn unsubscribe(&self, user: &str, endpoint: &str) -> io::Result<()> {
        self.change(|by_user| by_user.get_mut(user).into_iter().for_each(|list| list.retain(|other| other.endpoint != endpoint)))
    }

    /// The push service knows it no longer.
    pub(crate) fn gone(&self, endpoint: &str) {
        let forgotten = self.change(|by_user| by_user.values_mut().for_each(|list| list.retain(|other| other.endpoint != endpoint)));
        if let Err(error) = forgotten {
            tracing::error!(%error, "a subscription that is gone stays written down");
        }
    }

    pub(crate) fn of(&self, user: &str) -> Vec<String> {
        let by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        by_user.get(user).into_iter().flatten().map(|subscription| subscription.endpoint.clone()).collect()
    }

    pub(crate) fn find(&self, endpoint: &str) -> Option<Subscription> {
        let by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        by_user.values().flatten().find(|subscription| subscription.endpoint == endpoint).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<Subscription>>)) -> io::Result<()> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = by_user.clone();
        change(&mut changed);
        changed.retain(|_, list| !list.is_empty());
        if changed != *by_user {
            replace(&self.path, OWN, &serde_json::to_vec_pretty(&changed)?)?;
            *by_user = changed;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(endpoint: &str) -> Vec<u8> {
        let keys = SubscriptionKeys { p256dh: URL_SAFE_NO_PAD.encode([4; 65]), auth: URL_SAFE_NO_PAD.encode([1; 16]) };
        serde_json::to_vec(&Subscription { endpoint: endpoint.to_owned(), keys }).expect("JSON")
    }

    #[test]
    fn subscriptions_outlive_the_process_and_go_when_they_are_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Subscriptions::open(dir.path(), PushSettings::default()).expect("it opens");
        let first = open();
        for number in 0..12 {
            first.subscribe("an", &json(&format!("https://fcm.googleapis.com/{number}"))).expect("a good one");
        }
        first.subscribe("binh", &json("https://fcm.googleapis.com/11")).expect("the browser has changed hands");
        let again = open();
        assert_eq!((again.of("an").len(), again.of("binh").len(), again.public()), (9, 1, first.public()));
        again.gone("https://fcm.googleapis.com/5");
        again.unsubscribe("binh", "https://fcm.googleapis.com/11").expect("written");
        assert_eq!((open().of("an").len(), open().of("binh").len()), (8, 0));
    }

    #[test]
    fn nothing_is_sent_anywhere_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let subscriptions = Subscriptions::open(dir.path(), PushSettings::default()).expect("it opens");
        let good = "https://updates.push.services.mozilla.com/wpush/v2/x";
        subscriptions.subscribe("an", &json(good)).expect("a listed service");
        for bad in [
            "https://10.0.0.1/x",
            "https://fcm.googleapis.com.evil.invalid/x",
            "https://fcm.googleapis.com@evil.invalid/x",
            "https://evil.invalid?.push.apple.com/x",
            "https://xpush.apple.com/x",
            "http://fcm.googleapis.com/x",
            "file:///etc/passwd",
            "",
        ] {
            assert!(subscriptions.subscribe("an", &json(bad)).is_err(), "{bad}");
        }
        assert!(subscriptions.subscribe("an", b"{}").is_err());
        assert_eq!(subscriptions.of("an"), [good]);
    }
}
