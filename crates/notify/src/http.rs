//! Messages by an HTTP interface that a template describes: bots, official accounts, SMS gateways.
//!
//! Invariant: what a template inserts is escaped for where it stands, so no text of an alert changes the request's form. Secrets come
//! from the environment or from files and are read for each request, so that a renewed one is used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use huong_types::{Name, Problems, Span};
use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use crate::channel::{Channel, Failure, agent, judge};
use crate::config::{is_http, secret};
use crate::letters::Letter;
use crate::message::one_line;

/// One request per letter. Texts hold `{to}`, `{title}`, `{text}`, `{short}`, `{key}`, `{severity}`, `{link}`, `{acknowledge}` and
/// `{secret.NAME}`; other braces stand for themselves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    #[serde(default = "post")]
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub escape: Escape,
    #[serde(default)]
    pub secrets: BTreeMap<Name, Secret>,
    /// For interfaces that answer 200 to everything.
    #[serde(default)]
    pub expect: Option<Expect>,
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

/// How what is inserted in the body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Escape {
    /// Inside a JSON string; the content type is JSON.
    #[default]
    Json,
    /// As a value of a form (`application/x-www-form-urlencoded`).
    Form,
    /// Text as it is.
    None,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    #[serde(default)]
    env: Option<String>,
    #[serde(default)]
    file: Option<PathBuf>,
}

/// What the answer's JSON must say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// A JSON pointer (RFC 6901), such as `/error`.
    pointer: String,
    /// A number, text or truth value.
    is: Plain,
    /// Values with which the message will never be taken; any other is tried again.
    #[serde(default)]
    never: Vec<Plain>,
}

/// A value as TOML and JSON both write it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Plain {
    Truth(bool),
    Number(i64),
    Text(String),
}

fn post() -> String {
    "POST".to_owned()
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

const NAMES: [&str; 8] = ["to", "title", "text", "short", "key", "severity", "link", "acknowledge"];

/// `template` with `insert` for each `{name}` of ours, in the order in which they stand.
fn fill(template: &str, mut insert: impl FnMut(&str) -> Result<String, String>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        text.push_str(before);
        let name = tail.split_once('}').map(|(name, _)| name).filter(|name| NAMES.contains(name) || name.starts_with("secret."));
        match name {
            Some(name) => {
                text.push_str(&insert(name)?);
                rest = &tail[name.len() + 1..];
            }
            None => {
                text.push('{');
                rest = tail;
            }
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// RFC 3986: everything but unreserved characters.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn escaped(escape: Escape, text: &str) -> String {
    match escape {
        Escape::None => text.to_owned(),
        Escape::Form => percent(text),
        Escape::Json => {
            let quoted = Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
    }
}

impl HttpConfig {
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if !is_http(&self.url) {
            problems.add(file, format!("{path}.url"), format!("`{}`", self.url), "an http:// or https:// address");
        }
        if !["POST", "PUT", "GET"].contains(&self.method.as_str()) {
            problems.add(file, format!("{path}.method"), format!("`{}`", self.method), "POST, PUT or GET");
        }
        if self.timeout <= Span::ZERO {
            problems.add(file, format!("{path}.timeout"), format!("`{}`", self.timeout), "more than 0s");
        }
        for (name, secret) in &self.secrets {
            if let Err(found) = secret.read() {
                problems.add(file, format!("{path}.secrets.{name}"), found, "one readable secret");
            }
        }
        let texts =
            [("url", &self.url), ("body", &self.body)].into_iter().chain(self.headers.iter().map(|(name, text)| (name.as_str(), text)));
        for (place, text) in texts {
            let known = |name: &str| name.strip_prefix("secret.").is_none_or(|name| self.secrets.contains_key(name));
            let unknown = fill(text, |name| if known(name) { Ok(String::new()) } else { Err(format!("`{{{name}}}`")) });
            if let Err(found) = unknown {
                problems.add(file, format!("{path}.{place}"), found, "a secret listed in secrets");
            }
        }
        if self.escape == Escape::Json && !self.body.is_empty() {
            let sample = fill(&self.body, |_| Ok("x".to_owned())).unwrap_or_default();
            if let Err(error) = serde_json::from_str::<Value>(&sample) {
                problems.add(file, format!("{path}.body"), error.to_string(), "JSON once its names are replaced");
            }
        }
    }
}

impl Secret {
    fn read(&self) -> Result<String, String> {
        secret(self.env.as_deref(), self.file.as_deref())?.ok_or_else(|| "neither env nor file".to_owned())
    }
}

impl Expect {
    /// `said` is the answer's text.
    fn judge(&self, said: &str) -> Result<(), Failure> {
        let answer: Value = serde_json::from_str(said).map_err(|error| Failure::later(format!("no JSON: {error}: {said}")))?;
        let found = answer.pointer(&self.pointer).and_then(|value| serde_json::from_value::<Plain>(value.clone()).ok());
        match found {
            Some(found) if found == self.is => Ok(()),
            Some(found) if self.never.contains(&found) => Err(Failure::Never(said.to_owned())),
            _ => Err(Failure::later(said)),
        }
    }
}

pub(crate) struct Http {
    agent: Agent,
    config: HttpConfig,
}

impl Http {
    pub(crate) fn new(config: HttpConfig) -> Self {
        Self { agent: agent(config.timeout.to_std()), config }
    }

    fn request(&self, letter: &Letter) -> Result<Request<Vec<u8>>, String> {
        let config = &self.config;
        let message = &letter.message;
        let value = |name: &str, escape: &dyn Fn(&str) -> String| match name.strip_prefix("secret.") {
            // As it is: who wrote the template knows where it stands.
            Some(name) => config.secrets.get(name).ok_or_else(|| format!("no secret `{name}`"))?.read(),
            None => Ok(escape(match name {
                "to" => &letter.to,
                "title" => &message.title,
                "text" => &message.body,
                "short" => &message.short,
                "key" => &letter.key,
                "severity" => letter.severity.as_str(),
                "link" => &message.link,
                _ => &message.acknowledge,
            })),
        };
        let url = fill(&config.url, |name| value(name, &percent))?;
        let body = fill(&config.body, |name| value(name, &|text| escaped(config.escape, text)))?;
        let mut request = Request::builder().method(config.method.as_str()).uri(url).header("idempotency-key", one_line(&letter.key));
        let content = match config.escape {
            Escape::Json => "application/json",
            Escape::Form => "application/x-www-form-urlencoded",
            Escape::None => "text/plain; charset=utf-8",
        };
        if !config.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", content);
        }
        for (name, text) in &config.headers {
            request = request.header(name, one_line(&fill(text, |name| value(name, &one_line))?));
        }
        request.body(body.into_bytes()).map_err(|error| error.to_string())
    }
}

impl Channel for Http {
    fn send(&self, letter: &Letter) -> Result<(), Failure> {
        // What cannot be put together now, a secret's file among it, may be mended.
        let request = self.request(letter).map_err(Failure::later)?;
        // The address may hold a secret, and errors name it.
        let answer = self.agent.run(request).map_err(|error| Failure::later(without_address(&error)))?;
        let said = judge(answer, true)?;
        self.config.expect.as_ref().map_or(Ok(()), |expect| expect.judge(&said))
    }
}

fn without_address(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the address is no address once its names are replaced".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huong_types::load_toml;

    fn http(text: &str) -> (HttpConfig, Vec<String>) {
        let mut problems = Problems::default();
        let config: HttpConfig = load_toml("huong.toml", text, &mut problems).expect("a sink");
        config.check("huong.toml", "http", &mut problems);
        (config, problems.list.iter().map(|problem| problem.path.clone()).collect())
    }

    #[test]
    fn only_names_of_ours_are_replaced_and_each_is_escaped() {
        let insert = |name: &str| Ok(if name == "text" { "a \"b\"\nĐ&c".to_owned() } else { name.to_owned() });
        let json = fill(r#"{"to":"{to}","t":"{text}","x":{"y":{}}}"#, |name| insert(name).map(|text| escaped(Escape::Json, &text)));
        assert_eq!(json.as_deref(), Ok(r#"{"to":"to","t":"a \"b\"\nĐ&c","x":{"y":{}}}"#));
        let form = fill("m={text}&to={to}", |name| insert(name).map(|text| escaped(Escape::Form, &text)));
        assert_eq!(form.as_deref(), Ok("m=a%20%22b%22%0A%C4%90%26c&to=to"));
        assert_eq!(one_line("a\r\nX-Evil: b"), "a  X-Evil: b");
    }

    #[test]
    fn mistakes_are_named() {
        let (_, problems) = http("url = \"http://x/{secret.a}\"\nbody = '{\"a\": {to}'\nmethod = \"DROP\"\nsecrets = { b = {} }");
        assert_eq!(problems, ["http.method", "http.secrets.b", "http.url", "http.body"]);
    }

    #[test]
    fn an_answer_of_200_may_say_no() {
        let (config, problems) = http("url = \"http://x\"\nexpect = { pointer = \"/error\", is = 0, never = [-213] }");
        assert_eq!(problems, Vec::<String>::new());
        let expect = config.expect.expect("it is given");
        assert_eq!(expect.judge("{\"error\":0}"), Ok(()));
        assert!(matches!(expect.judge("{\"error\":-213}"), Err(Failure::Never(_))));
        for again in ["{\"error\":-216}", "{}", "busy"] {
            assert!(matches!(expect.judge(again), Err(Failure::Later(..))), "{again}");
        }
    }
}
