//! Who may do what: bearer tokens with a role each, in a header or in the cookie that a screen got for one.
//!
//! Invariant: a token's text appears in no log, no error and no response body, and comparing one takes the same time wherever it
//! differs.

use axum::http::{HeaderMap, header};

use crate::config::WallConfig;

/// What a route needs. In growing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// No data of the city behind it: the page itself, its assets, the health check.
    Public,
    Viewer,
    Operator,
}

/// The tokens of `[wall]`: whoever else lets people in asks them too.
#[derive(Clone, Default)]
pub struct Tokens {
    list: Vec<Token>,
}

#[derive(Clone)]
struct Token {
    role: Role,
    name: String,
    secret: String,
}

/// One mistake in how tokens are configured.
#[derive(Debug)]
pub struct Mistake {
    pub field: &'static str,
    pub found: String,
    pub expected: &'static str,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    /// The name beside the token; `None` where no tokens are configured.
    pub name: Option<String>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("a token is needed: `Authorization: Bearer ...`")]
    NoToken,
    #[error("this token is not known")]
    Unknown,
    #[error("the role of this token is not enough")]
    Role,
    #[error("this needs an operator token, and none is configured: set tokens_file or tokens_env in [wall]")]
    NoneConfigured,
}

impl Denied {
    /// Another token would help, not another role.
    pub fn unknown(self) -> bool {
        matches!(self, Denied::NoToken | Denied::Unknown)
    }
}

/// The name of the cookie that holds a screen's token.
pub(crate) const COOKIE: &str = "huong_token";

/// Short enough to type, long enough not to be guessed over a network.
const SHORTEST: usize = 16;

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Public => "public",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }
}

impl Tokens {
    /// Reads what `config` names. Configured but empty is a mistake, so that an emptied file does not open the wall.
    pub fn load(config: &WallConfig) -> Result<Self, Vec<Mistake>> {
        let mut tokens = Self::default();
        let mut mistakes = Vec::new();
        if let Some(file) = &config.tokens_file {
            match std::fs::read_to_string(file) {
                Ok(text) => tokens.parse("tokens_file", &text, &mut mistakes),
                Err(error) => mistakes.push(Mistake {
                    field: "tokens_file",
                    found: format!("`{}`: {error}", file.display()),
                    expected: "a readable file",
                }),
            }
        }
        if let Some(variable) = &config.tokens_env {
            match std::env::var(variable) {
                Ok(text) => tokens.parse("tokens_env", &text, &mut mistakes),
                Err(error) => mistakes.push(Mistake {
                    field: "tokens_env",
                    found: format!("`{variable}`: {error}"),
                    expected: "a set environment variable",
                }),
            }
        }
        if mistakes.is_empty() { Ok(tokens) } else { Err(mistakes) }
    }

    fn parse(&mut self, field: &'static str, text: &str, mistakes: &mut Vec<Mistake>) {
        let before = self.list.len() + mistakes.len();
        for (i, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            let mut wrong = |found: String, expected| mistakes.push(Mistake { field, found: format!("line {}: {found}", i + 1), expected });
            match words[..] {
                [] => {}
                ["viewer" | "operator", _, secret] if secret.len() < SHORTEST => {
                    wrong(format!("a token of {} characters", secret.len()), "at least 16 characters");
                }
                ["viewer" | "operator", _, secret] if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)) => {
                    wrong("a token with other characters".to_owned(), "letters, digits and -_.~");
                }
                [role @ ("viewer" | "operator"), name, secret] => {
                    let role = if role == "operator" { Role::Operator } else { Role::Viewer };
                    self.list.push(Token { role, name: name.to_owned(), secret: secret.to_owned() });
                }
                [role, _, _] => wrong(format!("role `{role}`"), "viewer or operator"),
                _ => wrong(format!("{} words", words.len()), "role, name and token"),
            }
        }
        if self.list.len() + mistakes.len() == before {
            mistakes.push(Mistake { field, found: "no token".to_owned(), expected: "at least one line `role name token`" });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Who the `given` token belongs to, when that is enough for `need`.
    pub fn admit(&self, given: Option<&str>, need: Role) -> Result<Caller, Denied> {
        if need == Role::Public {
            return Ok(Caller { role: Role::Public, name: None });
        }
        if self.is_empty() {
            if need == Role::Operator {
                return Err(Denied::NoneConfigured);
            }
            return Ok(Caller { role: Role::Viewer, name: None });
        }
        let given = given.ok_or(Denied::NoToken)?;
        let token = self.list.iter().find(|token| same(token.secret.as_bytes(), given.as_bytes())).ok_or(Denied::Unknown)?;
        if token.role < need {
            return Err(Denied::Role);
        }
        Ok(Caller { role: token.role, name: Some(token.name.clone()) })
    }
}

/// The token of a request: the header, else the cookie, because a browser's `EventSource` and `<img>` cannot set headers.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    bearer.map(str::trim).or_else(|| {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
    })
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
