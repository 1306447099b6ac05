//! Web push: messages encrypted for one browser (RFC 8291, `aes128gcm` of RFC 8188), signed by this server's key (RFC 8292).
//!
//! Invariant: a push service learns to whom and how urgent, never what. A subscription that it says is gone is forgotten.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use huong_types::{Name, Problems, Severity, Span, Timestamp};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;

use crate::channel::{Channel, Failure, agent, judge};
use crate::letters::Letter;
use crate::office::Now;
use crate::roster::Person;
use crate::subscriptions::{Subscription, Subscriptions, origin};

/// Services take 4096 bytes at least (RFC 8291, 4), with the header, the tag and the end of the record: as much is left for ours.
const PLAIN_BYTES: usize = 3993;
/// Of the text, so that the rest fits beside it.
const TEXT_BYTES: usize = 2500;
/// RFC 8292, 2: at most a day. Half of it leaves room for clocks that differ.
const TOKEN_LIFE: Span = Span::from_mins(12 * 60);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebPushConfig {
    /// How long the service keeps a message for a browser that is away.
    #[serde(default = "hour")]
    pub ttl: Span,
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

fn hour() -> Span {
    Span::from_mins(60)
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

impl WebPushConfig {
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.timeout <= Span::ZERO || self.ttl < Span::ZERO {
            problems.add(file, path, format!("timeout {}, ttl {}", self.timeout, self.ttl), "more than 0s, and not less than 0s");
        }
    }
}

pub(crate) struct WebPush {
    agent: Agent,
    ttl: Span,
    subscriptions: Arc<Subscriptions>,
    subject: String,
    now: Now,
}

/// So many bytes from HKDF.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]], into: &mut [u8]) -> Result<(), ring::error::Unspecified> {
    let length = into.len();
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(info, Length(length))?.fill(into)
}

/// The body of the request: one record for one browser.
fn encrypt(subscription: &Subscription, plain: &[u8]) -> Result<Vec<u8>, String> {
    let (theirs, auth) = subscription.keys().ok_or("the subscription's keys are none")?;
    let failed = |_| "encryption failed".to_owned();
    let random = SystemRandom::new();
    let key = EphemeralPrivateKey::generate(&ECDH_P256, &random).map_err(failed)?;
    let ours = key.compute_public_key().map_err(failed)?;
    let mut salt = [0; 16];
    random.fill(&mut salt).map_err(failed)?;
    let mut input = [0; 32];
    let info: [&[u8]; 3] = [b"WebPush: info\0", &theirs, ours.as_ref()];
    let agreed = agree_ephemeral(key, &UnparsedPublicKey::new(&ECDH_P256, theirs), |shared| derive(&auth, shared, &info, &mut input));
    agreed.and_then(|derived| derived).map_err(failed)?;
    let (mut content_key, mut nonce) = ([0; 16], [0; 12]);
    derive(&salt, &input, &[b"Content-Encoding: aes128gcm\0"], &mut content_key).map_err(failed)?;
    derive(&salt, &input, &[b"Content-Encoding: nonce\0"], &mut nonce).map_err(failed)?;
    // 2 ends the last record.
    let mut record = [plain, &[2]].concat();
    let sealing = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key).map_err(failed)?);
    sealing.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record).map_err(failed)?;
    let point = ours.as_ref();
    let length = u8::try_from(point.len()).map_err(|_| "a public key too long".to_owned())?;
    Ok([&salt[..], &4096u32.to_be_bytes(), &[length], point, &record].concat())
}

impl WebPush {
    /// # Errors
    /// When `[push] subject` is not set.
    pub(crate) fn new(config: &WebPushConfig, subscriptions: Arc<Subscriptions>, now: Now) -> Result<Self, String> {
        let subject = subscriptions.subject().ok_or("web_push needs [push] subject in the file of [notify]")?.to_owned();
        Ok(Self { agent: agent(config.timeout.to_std()), ttl: config.ttl, subscriptions, subject, now })
    }

    /// `vapid t=…, k=…`: who sends, until when (RFC 8292, 3).
    fn authorization(&self, audience: &str) -> Result<String, String> {
        let expires: Timestamp = (self.now)() + TOKEN_LIFE;
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({ "aud": audience, "exp": expires.as_millis() / 1000, "sub": self.subject });
        let token = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ES256" })), part(claims));
        let signed = self.subscriptions.key.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| "the token cannot be signed")?;
        Ok(format!("vapid t={token}.{}, k={}", URL_SAFE_NO_PAD.encode(signed), self.subscriptions.public()))
    }
}

/// `{key, title, body, severity, url, acknowledge}` for the service worker.
fn payload(letter: &Letter) -> Vec<u8> {
    let message = &letter.message;
    let body = &message.body[..message.body.floor_char_boundary(TEXT_BYTES)];
    let title = &message.title[..message.title.floor_char_boundary(200)];
    let of = |body: &str| {
        let (severity, link, acknowledge) = (letter.severity, &message.link, &message.acknowledge);
        json!({ "key": letter.key, "title": title, "body": body, "severity": severity, "url": link, "acknowledge": acknowledge })
            .to_string()
    };
    let full = of(body);
    // Escapes and addresses may make it longer than thought: the title says what matters.
    if full.len() > PLAIN_BYTES { of("").into_bytes() } else { full.into_bytes() }
}

impl Channel for WebPush {
    fn addresses(&self, _: &Name, person: &Person) -> Vec<String> {
        self.subscriptions.of(&person.id)
    }

    fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let endpoint = &letter.to;
        let subscription = self.subscriptions.find(endpoint).ok_or_else(|| Failure::Never("no longer subscribed".to_owned()))?;
        let (audience, _) = origin(endpoint).ok_or_else(|| Failure::Never("the endpoint is no address".to_owned()))?;
        let body = encrypt(&subscription, &payload(letter)).map_err(Failure::Never)?;
        let authorization = self.authorization(audience).map_err(Failure::later)?;
        let request = self
            .agent
            .post(endpoint)
            .header("authorization", authorization)
            .header("content-encoding", "aes128gcm")
            .content_type("application/octet-stream")
            .header("ttl", (self.ttl.as_millis() / 1000).to_string())
            .header("urgency", if letter.severity >= Severity::Severe { "high" } else { "normal" });
        let answer = request.send(&body[..]).map_err(Failure::later)?;
        if matches!(answer.status().as_u16(), 404 | 410) {
            self.subscriptions.gone(endpoint);
        }
        judge(answer, true).map(|_| ())
    }
}
