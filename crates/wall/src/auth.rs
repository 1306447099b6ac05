//! Who may do what: roles and their rights, and the bearer tokens of devices and scripts.
//!
//! Invariant: a token's text appears in no log, no error and no response body, and comparing one takes the same time wherever it
//! differs.

use serde::{Deserialize, Serialize};

use crate::config::WallConfig;

/// What a person or a device is to the city. Nobody but the police sees whose vehicle it was: not who runs the system, either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Operator,
    /// Staff of the flood response.
    Flood,
    Police,
    Admin,
}

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// No data of the city behind it: the pages themselves, their assets, the health check, signing in.
    Public,
    View,
    /// Acknowledge an alert, speak about it, be on the way.
    Acknowledge,
    /// Assign, shelve, begin an exercise, pin a scene, query.
    Operate,
    /// Release a warning to the public.
    Release,
    /// Records of possible violations: plates and faces.
    Review,
    /// Who did what.
    Audit,
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

/// One mistake in how tokens or users are configured.
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
    /// The name of the user or beside the token; `None` where neither is configured.
    pub name: Option<String>,
    /// A person who signed in: what they do is done in their name, whatever a request says.
    pub person: bool,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("sign in, or give a token: `Authorization: Bearer ...`")]
    NoToken,
    #[error("this token is not known, or the session is over: sign in again")]
    Unknown,
    #[error("your role does not have this right")]
    Role,
    #[error("the header x-csrf-token is missing or wrong: take it from GET /api/session")]
    Forged,
    #[error("this needs to be signed in, and neither users nor tokens are configured: set users_file, tokens_file or tokens_env in [wall]")]
    NoneConfigured,
}

impl Denied {
    /// Another token would help, not another role.
    pub fn unknown(self) -> bool {
        matches!(self, Denied::NoToken | Denied::Unknown)
    }
}

/// Short enough to type, long enough not to be guessed over a network.
const SHORTEST: usize = 16;

impl Role {
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Operator, Role::Flood, Role::Police, Role::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Flood => "flood",
            Role::Police => "police",
            Role::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }

    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Public | Right::View => true,
            Right::Acknowledge => matches!(self, Role::Operator | Role::Flood | Role::Admin),
            Right::Operate => matches!(self, Role::Operator | Role::Admin),
            Right::Release => matches!(self, Role::Flood | Role::Admin),
            Right::Review => self == Role::Police,
            Right::Audit => self == Role::Admin,
        }
    }

    /// What it may, as the page is told.
    pub(crate) fn rights(self) -> Vec<Right> {
        Right::ALL.into_iter().filter(|right| *right != Right::Public && self.may(*right)).collect()
    }
}

impl Right {
    pub const ALL: [Right; 7] =
        [Right::Public, Right::View, Right::Acknowledge, Right::Operate, Right::Release, Right::Review, Right::Audit];
}

impl Tokens {
    /// Reads what `config` names. Configured but empty is a mistake, so that an emptied file does not open the wall.
    pub fn load(config: &WallConfig) -> Result<Self, Vec<Mistake>> {
        let mut tokens = Self::default();
        let mut mistakes = Vec::new();
        if let Some(file) = &config.tokens_file {
            match std::fs::read_to_string(file) {
                Ok(text) => tokens.parse("tokens_file", &text, &mut mistakes),
                Err(error) => mistakes.push(Mistake::unreadable("tokens_file", file, &error)),
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
        for (role, name, secret) in entries(field, text, "token", mistakes) {
            let wrong = if secret.len() < SHORTEST {
                Some((format!("a token of {} characters", secret.len()), "at least 16 characters"))
            } else if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)) {
                Some(("a token with other characters".to_owned(), "letters, digits and -_.~"))
            } else {
                None
            };
            match wrong {
                Some((found, expected)) => mistakes.push(Mistake { field, found: format!("`{name}`: {found}"), expected }),
                None => self.list.push(Token { role, name: name.to_owned(), secret: secret.to_owned() }),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Who the `given` token belongs to, when that is enough for `need`.
    pub fn admit(&self, given: Option<&str>, need: Right) -> Result<Caller, Denied> {
        let given = given.ok_or(if self.is_empty() { Denied::NoneConfigured } else { Denied::NoToken })?;
        let token = self.list.iter().find(|token| same(token.secret.as_bytes(), given.as_bytes())).ok_or(Denied::Unknown)?;
        if !token.role.may(need) {
            return Err(Denied::Role);
        }
        Ok(Caller { role: token.role, name: Some(token.name.clone()), person: false })
    }
}

impl Mistake {
    pub(crate) fn unreadable(field: &'static str, file: &std::path::Path, error: &std::io::Error) -> Mistake {
        Mistake { field, found: format!("`{}`: {error}", file.display()), expected: "a readable file" }
    }
}

/// The lines `role name secret` of a text; what else stands there is a mistake, and so is nothing.
pub(crate) fn entries<'a>(
    field: &'static str,
    text: &'a str,
    secret_is: &'static str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(Role, &'a str, &'a str)> {
    let (mut found, before) = (Vec::new(), mistakes.len());
    for (i, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let mut wrong = |found: String, expected| mistakes.push(Mistake { field, found: format!("line {}: {found}", i + 1), expected });
        match words[..] {
            [] => {}
            [role, name, secret] => match Role::named(role) {
                Some(role) => found.push((role, name, secret)),
                None => wrong(format!("role `{role}`"), "viewer, operator, flood, police or admin"),
            },
            _ => wrong(format!("{} words", words.len()), "role, name and secret"),
        }
    }
    if found.is_empty() && mistakes.len() == before {
        mistakes.push(Mistake { field, found: format!("no {secret_is}"), expected: "at least one line `role name secret`" });
    }
    found
}

/// Equal, in a time that says nothing of where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
