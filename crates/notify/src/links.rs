//! Addresses in messages: the alert on the wall, and a page that acknowledges it without a password.
//!
//! Invariant: a token names one alert, one person and one moment until which it is good, under a key that never leaves this machine.
//! Nothing of it can be changed, and two tokens are compared in constant time.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use huong_types::{Name, Span, Timestamp};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::durable::secret;

/// As long as what SHA-256 gives (RFC 2104, 3).
const KEY_BYTES: usize = 32;
/// Longer than any of ours: ids of rules and keys, a name and a moment.
const TOKEN_BYTES: usize = 1024;

/// Makes and checks the addresses.
pub struct Links {
    key: hmac::Key,
    base: Option<String>,
    valid: Span,
}

/// What a good token allows: this person acknowledges this alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub alert: Name,
    pub person: Name,
    pub expires: Timestamp,
}

/// Why a token is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("this is no link of ours")]
    Forged,
    #[error("this link is too old")]
    Expired,
}

impl Links {
    /// The key is made at the first start, in `dir/links.key`. Without `base`, the address of the wall as people reach it, messages carry
    /// no links.
    ///
    /// # Errors
    /// When the key can neither be read nor written.
    pub fn open(dir: &Path, base: Option<String>, valid: Span) -> io::Result<Self> {
        let bytes = secret(&dir.join("links.key"), || {
            let mut bytes = vec![0; KEY_BYTES];
            SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
            Ok(bytes)
        })?;
        if bytes.len() != KEY_BYTES {
            let found = format!("expected {KEY_BYTES} bytes in links.key, found {}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, found));
        }
        let base = base.map(|base| base.trim_end_matches('/').to_owned());
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), base, valid })
    }

    /// The address of the wall as people reach it.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Where the wall shows an alert.
    pub fn alert(&self, alert: &str) -> Option<String> {
        let id: String = alert.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '_' }).collect();
        Some(format!("{}/console#alert={id}", self.base.as_ref()?))
    }

    /// Where `person` acknowledges an alert told at `at`.
    pub fn acknowledge(&self, alert: &Name, person: &Name, at: Timestamp) -> Option<String> {
        Some(format!("{}/staff#link={}", self.base.as_ref()?, self.token(alert, person, at + self.valid)))
    }

    pub fn token(&self, alert: &Name, person: &Name, expires: Timestamp) -> String {
        let claim = format!("{alert}\0{person}\0{}", expires.as_millis());
        let tag = hmac::sign(&self.key, claim.as_bytes());
        format!("{}.{}", URL_SAFE_NO_PAD.encode(claim), URL_SAFE_NO_PAD.encode(tag))
    }

    /// # Errors
    /// When the token is not one of ours, or `now` is past its moment.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Claim, BadToken> {
        let claim = self.read(token).ok_or(BadToken::Forged)?;
        if now > claim.expires { Err(BadToken::Expired) } else { Ok(claim) }
    }

    fn read(&self, token: &str) -> Option<Claim> {
        let (claim, tag) = token.split_once('.').filter(|_| token.len() <= TOKEN_BYTES)?;
        let (claim, tag) = (URL_SAFE_NO_PAD.decode(claim).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?);
        hmac::verify(&self.key, &claim, &tag).ok()?;
        let text = String::from_utf8(claim).ok()?;
        let mut parts = text.split('\0');
        let (alert, person, expires) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Claim { alert: alert.into(), person: person.into(), expires: Timestamp::from_millis(expires.parse().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(dir: &Path) -> Links {
        Links::open(dir, Some("https://wall.example.invalid/".to_owned()), Span::from_mins(60)).expect("a key")
    }

    #[test]
    fn a_token_is_good_until_its_moment_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let (alert, person, expires) = (Name::new("river-bd3:kimlong:20251026T230000Z"), Name::new("an"), Timestamp::from_millis(5000));
        let token = links(dir.path()).token(&alert, &person, expires);
        let again = links(dir.path());
        assert_eq!(again.check(&token, expires), Ok(Claim { alert, person, expires }));
        assert_eq!(again.check(&token, expires + Span::from_millis(1)), Err(BadToken::Expired));
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "it stands in an address as it is: {token}");
    }

    #[test]
    fn nothing_of_a_token_can_be_changed() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (links, now) = (links(dir.path()), Timestamp::from_millis(0));
        let token = links.token(&"a".into(), &"an".into(), Timestamp::from_millis(5000));
        let (claim, tag) = token.split_once('.').expect("two parts");
        let forged = URL_SAFE_NO_PAD.encode("a\x00binh\x005000");
        let foreign = super::tests::links(other.path()).token(&"a".into(), &"an".into(), Timestamp::from_millis(5000));
        for bad in [&format!("{forged}.{tag}"), &foreign, claim, "", ".", "x.y", &format!("{token}AAAA"), &"A".repeat(5000)] {
            assert_eq!(links.check(bad, now), Err(BadToken::Forged), "{bad}");
        }
    }
}
