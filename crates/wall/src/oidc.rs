//! `[wall.oidc]`: the city's own accounts by OpenID Connect, the authorization code flow with PKCE (RFC 7636).
//!
//! Invariant: nobody is somebody before the provider's ID token was verified for this very sign-in; the client's secret and the tokens appear in no
//! log and no answer. Blocking: to be asked on a thread that may wait.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use huong_types::{Problems, Span};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;

use crate::auth::Role;
use crate::id_token::{Expected, Fault, Jwk, verify};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// As the provider calls itself, `https://`.
    pub issuer: String,
    pub client_id: String,
    /// A file, or an environment variable, with the client's secret; a public client has none.
    pub secret_file: Option<PathBuf>,
    pub secret_env: Option<String>,
    /// This server's own address as browsers reach it, with `/api/oidc/callback` behind it; the provider must know it.
    pub redirect: String,
    /// What is asked for beside `openid`.
    #[serde(default = "profile")]
    pub scopes: Vec<String>,
    /// The claim of the ID token that names the person.
    #[serde(default = "username")]
    pub name: String,
    /// The claim that holds a text or a list of texts by which roles are given; dots lead into objects.
    pub claim: String,
    /// The first whose value is among them.
    pub roles: Vec<OidcRole>,
    /// For each request to the provider.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcRole {
    pub value: String,
    pub role: Role,
}

fn profile() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn username() -> String {
    "preferred_username".to_owned()
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

/// Of the path that the provider sends browsers back to.
pub(crate) const CALLBACK: &str = "/api/oidc/callback";
/// A provider's answers are some kilobytes.
const ANSWER_BYTES: u64 = 256 << 10;
/// Keys are asked for again at most so often, when a token names one that is not known.
const KEYS_AGAIN: Duration = Duration::from_secs(60);

impl OidcConfig {
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (name, address) in [("issuer", &self.issuer), ("redirect", &self.redirect)] {
            if !is_safe(address) {
                problems.add(file, format!("{path}.{name}"), format!("`{address}`"), "https://, or http:// on this machine");
            }
        }
        if !self.redirect.ends_with(CALLBACK) {
            problems.add(file, format!("{path}.redirect"), format!("`{}`", self.redirect), format!("an address that ends with {CALLBACK}"));
        }
        for (name, text) in [("client_id", &self.client_id), ("name", &self.name), ("claim", &self.claim)] {
            if text.is_empty() {
                problems.add(file, format!("{path}.{name}"), "an empty text", "a text");
            }
        }
        if self.roles.is_empty() {
            problems.add(file, format!("{path}.roles"), "nothing", "at least one: without any nobody can sign in");
        }
        if self.timeout <= Span::ZERO {
            problems.add(file, format!("{path}.timeout"), format!("`{}`", self.timeout), "more than 0s");
        }
        if let Err(found) = self.secret() {
            problems.add(file, format!("{path}.secret_file or secret_env"), found, "the client's secret");
        }
    }

    fn secret(&self) -> Result<Option<String>, String> {
        let text = match (&self.secret_file, &self.secret_env) {
            (Some(file), _) => std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display()))?,
            (None, Some(name)) => std::env::var(name).map_err(|error| format!("`{name}`: {error}"))?,
            (None, None) => return Ok(None),
        };
        let secret = text.trim().to_owned();
        if secret.is_empty() { Err("an empty text".to_owned()) } else { Ok(Some(secret)) }
    }
}

/// Encrypted on its way, or not leaving this machine.
fn is_safe(address: &str) -> bool {
    let here = |rest: &str| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    address.starts_with("https://") || address.strip_prefix("http://").is_some_and(here)
}

/// What one sign-in is known by: the browser keeps it, the provider sees the first, the second and a hash of the third.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

/// A person whom the provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    /// `None`: of none of the configured values.
    pub(crate) role: Option<Role>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    #[error("{address} cannot be reached: {why}")]
    Away { address: String, why: String },
    #[error("{address} answered {found}, expected {expected}")]
    Answer { address: String, found: String, expected: &'static str },
    #[error("the ID token is refused: {0}")]
    Token(#[from] Fault),
    #[error("the ID token has no claim `{0}` that is a name")]
    Name(String),
}

#[derive(Clone, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Default)]
struct Known {
    discovery: Option<Discovery>,
    keys: Vec<Jwk>,
    keys_asked: Option<Instant>,
}

/// The provider, as far as it is known yet: it is asked when somebody signs in, so that the processor starts without it.
pub(crate) struct Oidc {
    config: OidcConfig,
    secret: Option<String>,
    agent: Agent,
    known: Mutex<Known>,
}

impl Oidc {
    /// # Errors
    /// In words, when the secret cannot be read.
    pub(crate) fn new(config: &OidcConfig) -> Result<Self, String> {
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout.to_std()))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .build()
            .into();
        Ok(Self { secret: config.secret()?, config: config.clone(), agent, known: Mutex::default() })
    }

    /// Where a browser goes to sign in.
    pub(crate) fn address(&self, attempt: &Attempt) -> Result<String, OidcError> {
        let endpoint = self.discovery()?.authorization_endpoint;
        let scope = ["openid"].into_iter().chain(self.config.scopes.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, attempt.verifier.as_bytes()));
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &self.config.redirect),
            ("scope", &scope),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(format!("{endpoint}{}{query}", if endpoint.contains('?') { '&' } else { '?' }))
    }

    /// Who came back with `code` from the sign-in that `attempt` began.
    pub(crate) fn person(&self, code: &str, attempt: &Attempt) -> Result<Person, OidcError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        let discovery = self.discovery()?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*self.config.redirect),
            ("code_verifier", &*attempt.verifier),
        ];
        let mut request = self.agent.post(&discovery.token_endpoint).content_type("application/x-www-form-urlencoded");
        match &self.secret {
            // RFC 6749, 2.3.1: each encoded as in a form, before Basic encodes both.
            Some(secret) => {
                let pair = format!("{}:{}", encoded(&self.config.client_id), encoded(secret));
                request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            None => fields.push(("client_id", &self.config.client_id)),
        }
        let tokens: Tokens = read(&discovery.token_endpoint, request.send(form(&fields)), "an ID token")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let expected = Expected { issuer: &self.config.issuer, client: &self.config.client_id, nonce: &attempt.nonce, now };
        let (mut keys, fresh) = self.keys(&discovery, false)?;
        // A provider that changes its keys names one that we have not seen.
        if !fresh && verify(&tokens.id_token, &keys, &expected) == Err(Fault::Key) {
            (keys, _) = self.keys(&discovery, true)?;
        }
        let claims = verify(&tokens.id_token, &keys, &expected)?;
        let name = claims[&self.config.name].as_str().map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| OidcError::Name(self.config.name.clone()))?.to_owned();
        Ok(Person { name, role: self.role(&claims) })
    }

    fn role(&self, claims: &Value) -> Option<Role> {
        // A claim's own name may have dots, as those that are addresses do.
        let nested = || self.config.claim.split('.').try_fold(claims, |value, part| value.get(part));
        let given = match claims.get(&self.config.claim).or_else(nested)? {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect::<Vec<_>>(),
        };
        self.config.roles.iter().find(|one| given.contains(&&*one.value)).map(|one| one.role)
    }

    fn discovery(&self) -> Result<Discovery, OidcError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(discovery) = &known.discovery {
            return Ok(discovery.clone());
        }
        let address = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let found: Discovery = read(&address, self.agent.get(&address).call(), "the provider's configuration")?;
        let wrong = |found: &str, expected| OidcError::Answer { address: address.clone(), found: format!("`{found}`"), expected };
        if found.issuer != self.config.issuer {
            return Err(wrong(&found.issuer, "the configured issuer"));
        }
        for endpoint in [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri] {
            if !is_safe(endpoint) {
                return Err(wrong(endpoint, "https://"));
            }
        }
        known.discovery = Some(found.clone());
        Ok(found)
    }

    /// The provider's keys, and whether they were asked for just now or a short while ago.
    fn keys(&self, discovery: &Discovery, again: bool) -> Result<(Vec<Jwk>, bool), OidcError> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Jwk>,
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.keys_asked.is_some_and(|asked| asked.elapsed() < KEYS_AGAIN);
        if known.keys_asked.is_none() || (again && !fresh) {
            let Keys { keys } = read(&discovery.jwks_uri, self.agent.get(&discovery.jwks_uri).call(), "the provider's keys")?;
            (known.keys, known.keys_asked) = (keys, Some(Instant::now()));
            return Ok((known.keys.clone(), true));
        }
        Ok((known.keys.clone(), fresh))
    }
}

/// An answer as JSON. Of one that is refused, its own code of the error is told and nothing else.
fn read<T: DeserializeOwned>(
    address: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    expected: &'static str,
) -> Result<T, OidcError> {
    let away = |why: ureq::Error| OidcError::Away { address: address.to_owned(), why: why.to_string() };
    let mut answer = answer.map_err(away)?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().map_err(away)?;
    let other = |found: String| OidcError::Answer { address: address.to_owned(), found, expected };
    if !status.is_success() {
        let code = serde_json::from_slice::<Value>(&body).ok().and_then(|json| json["error"].as_str().map(str::to_owned));
        return Err(other(format!("{status} {}", code.unwrap_or_default().escape_debug())));
    }
    serde_json::from_slice(&body).map_err(|error| other(format!("what cannot be read (line {}, column {})", error.line(), error.column())))
}

/// `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
