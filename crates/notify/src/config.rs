//! The `[[sink]]` entries.
//!
//! Invariant: secrets stand in the environment or in files, never in the configuration; [`SinkConfig::check`] reads them, so that
//! a missing one is found before the start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use huong_types::{Name, Problems, Severity, Span};
use serde::Deserialize;

use crate::cap_sink::CapConfig;
use crate::http::HttpConfig;
use crate::smtp::SmtpConfig;
use crate::web_push::WebPushConfig;

/// One receiver of alerts, or one way to people: exactly one of `webhook`, `mqtt`, `cap`, `smtp`, `http` and `web_push`. The last three
/// tell who is on duty, by the file that `notify` names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Names the sink's offset file: letters, digits, `-` and `_`. Renaming a sink starts it anew.
    pub name: Name,
    /// Only alerts of rules that notify one of these routes; none means all.
    #[serde(default)]
    pub routes: Vec<Name>,
    #[serde(default = "minor")]
    pub min_severity: Severity,
    /// Also tell new figures of alerts that are already open.
    #[serde(default)]
    pub updates: bool,
    #[serde(default)]
    pub retry: RetryConfig,
    #[serde(default)]
    pub webhook: Option<WebhookConfig>,
    #[serde(default)]
    pub mqtt: Option<MqttSinkConfig>,
    #[serde(default)]
    pub cap: Option<CapConfig>,
    #[serde(default)]
    pub smtp: Option<SmtpConfig>,
    #[serde(default)]
    pub http: Option<HttpConfig>,
    #[serde(default)]
    pub web_push: Option<WebPushConfig>,
    /// A message to a person that could not be delivered for so long is a dead letter.
    #[serde(default = "day")]
    pub give_up: Span,
}

/// Waits between attempts: drawn evenly from zero to a bound that doubles from `first` to `most`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    pub first: Span,
    pub most: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// `http://` or `https://`. Proxies named by the environment are not used.
    pub url: String,
    /// The secret of the `X-Huong-Signature` header, from an environment variable or a file.
    #[serde(default)]
    pub secret_env: Option<String>,
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// For the whole request.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttSinkConfig {
    /// Another broker than the one that readings come from.
    #[serde(default)]
    pub broker: Option<MqttTarget>,
    #[serde(default)]
    pub payload: Payload,
    /// For `payload = "values"`: the one topic.
    #[serde(default)]
    pub topic: Option<String>,
}

/// What an MQTT sink publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// The alert, retained, on `<prefix>/alerts/<severity>/<rule>/<key>`: who subscribes later sees exactly what holds.
    #[default]
    State,
    /// One flat object of figures per raised alert on `topic`, not retained.
    Values,
}

/// A broker to publish to, over MQTT 3.1.1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttTarget {
    pub host: String,
    #[serde(default = "mqtt_port")]
    pub port: u16,
    /// The sink's name is added, because a broker throws out the older of two clients with one id.
    #[serde(default = "huong")]
    pub client_id: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_env: Option<String>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    #[serde(default = "ten_seconds")]
    pub keep_alive: Span,
}

/// PEM files, read at each connection so that renewed certificates are used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    pub ca: PathBuf,
    /// The client's certificate and key; both or neither.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { first: Span::from_secs(1), most: Span::from_secs(60) }
    }
}

fn minor() -> Severity {
    Severity::Minor
}

fn day() -> Span {
    Span::from_mins(24 * 60)
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

fn mqtt_port() -> u16 {
    1883
}

fn huong() -> String {
    "huong".to_owned()
}

impl SinkConfig {
    /// Checks all sinks of a configuration; `path` is that of the list in `file`, and every mistake goes to `problems`.
    pub fn check_all(sinks: &[SinkConfig], file: &str, path: &str, problems: &mut Problems) {
        let mut names = HashSet::new();
        for (i, sink) in sinks.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if sink.name.is_empty() || !sink.name.chars().all(plain) {
                problems.add(file, format!("{path}.name"), format!("`{}`", sink.name), "letters, digits, - and _");
            }
            if !names.insert(&sink.name) {
                problems.add(file, format!("{path}.name"), format!("`{}` again", sink.name), "a name of its own");
            }
            sink.check(file, &path, problems);
        }
    }

    fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.retry.first <= Span::ZERO || self.retry.most < self.retry.first {
            let found = format!("first {}, most {}", self.retry.first, self.retry.most);
            problems.add(file, format!("{path}.retry"), found, "more than 0s, and most not less than first");
        }
        if self.give_up <= Span::ZERO {
            problems.add(file, format!("{path}.give_up"), format!("`{}`", self.give_up), "more than 0s");
        }
        let at = |kind: &str| format!("{path}.{kind}");
        if let Some(webhook) = &self.webhook {
            webhook.check(file, &at("webhook"), problems);
        }
        if let Some(mqtt) = &self.mqtt {
            mqtt.check(file, &at("mqtt"), problems);
        }
        if let Some(smtp) = &self.smtp {
            smtp.check(file, &at("smtp"), problems);
        }
        if let Some(http) = &self.http {
            http.check(file, &at("http"), problems);
        }
        if let Some(web_push) = &self.web_push {
            web_push.check(file, &at("web_push"), problems);
        }
        let kinds = [
            ("webhook", self.webhook.is_some()),
            ("mqtt", self.mqtt.is_some()),
            ("cap", self.cap.is_some()),
            ("smtp", self.smtp.is_some()),
            ("http", self.http.is_some()),
            ("web_push", self.web_push.is_some()),
        ];
        let given: Vec<&str> = kinds.iter().filter(|(_, given)| *given).map(|(kind, _)| *kind).collect();
        if given.len() != 1 {
            let all = kinds.map(|(kind, _)| kind).join(", ");
            let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
            problems.add(file, path, found, format!("one of {all}"));
        }
    }

    /// It tells people, whom the file of `notify` lists.
    pub fn tells_people(&self) -> bool {
        self.smtp.is_some() || self.http.is_some() || self.web_push.is_some()
    }
}

/// An address of the web with a host.
pub(crate) fn is_http(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    !host.is_empty() && !host.starts_with(['/', ':']) && !url.contains(char::is_whitespace)
}

impl WebhookConfig {
    fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if !is_http(&self.url) {
            problems.add(file, format!("{path}.url"), format!("`{}`", self.url), "an http:// or https:// address");
        }
        if self.timeout <= Span::ZERO {
            problems.add(file, format!("{path}.timeout"), format!("`{}`", self.timeout), "more than 0s");
        }
        if let Err(found) = self.secret() {
            problems.add(file, format!("{path}.secret_env"), found, "one readable secret");
        }
    }

    pub(crate) fn secret(&self) -> Result<Option<String>, String> {
        secret(self.secret_env.as_deref(), self.secret_file.as_deref())
    }
}

impl MqttSinkConfig {
    fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        match (self.payload, &self.topic) {
            (Payload::Values, None) => problems.add(file, format!("{path}.topic"), "nothing", "the topic for payload = \"values\""),
            (Payload::Values, Some(topic)) if topic.is_empty() || topic.contains(['+', '#', '\0']) => {
                problems.add(file, format!("{path}.topic"), format!("`{topic}`"), "a topic without wildcards");
            }
            (Payload::State, Some(topic)) => {
                problems.add(file, format!("{path}.topic"), format!("`{topic}`"), "none: state topics derive from the alert")
            }
            _ => {}
        }
        if let Some(broker) = &self.broker {
            broker.check(file, &format!("{path}.broker"), problems);
        }
    }
}

impl MqttTarget {
    /// Every mistake goes to `problems`.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.host.is_empty() {
            problems.add(file, format!("{path}.host"), "nothing", "a host name or address");
        }
        if self.keep_alive < Span::from_secs(1) {
            problems.add(file, format!("{path}.keep_alive"), format!("`{}`", self.keep_alive), "at least 1s");
        }
        if let Err(found) = self.password() {
            problems.add(file, format!("{path}.password_env"), found, "one readable password");
        }
        if let Some(tls) = &self.tls {
            for (name, file_named) in [("ca", Some(&tls.ca)), ("cert", tls.cert.as_ref()), ("key", tls.key.as_ref())] {
                if let Some(Err(error)) = file_named.map(std::fs::read) {
                    problems.add(file, format!("{path}.tls.{name}"), format!("{error}"), "a readable PEM file");
                }
            }
            if tls.cert.is_some() != tls.key.is_some() {
                problems.add(file, format!("{path}.tls"), "one of cert and key", "both or neither");
            }
        }
    }

    pub(crate) fn password(&self) -> Result<Option<String>, String> {
        secret(self.password_env.as_deref(), self.password_file.as_deref())
    }
}

/// The text of a secret, without the line break that editors add; `Err` says what is wrong without showing it.
pub(crate) fn secret(env: Option<&str>, file: Option<&Path>) -> Result<Option<String>, String> {
    let text = match (env, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err("an environment variable and a file".to_owned()),
        (Some(variable), None) => std::env::var(variable).map_err(|error| format!("`{variable}`: {error}"))?,
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display()))?,
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("an empty text".to_owned()) } else { Ok(Some(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huong_types::load_toml;

    #[derive(Debug, Deserialize)]
    struct File {
        sink: Vec<SinkConfig>,
    }

    fn problems_of(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let file: File = load_toml("huong.toml", text, &mut problems).expect("a list of sinks");
        SinkConfig::check_all(&file.sink, "huong.toml", "sink", &mut problems);
        problems.list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_webhook_and_an_mqtt_sink_are_valid() {
        let text = "[[sink]]\nname = \"duty\"\nroutes = [\"flood-staff\"]\nmin_severity = \"severe\"\nwebhook = { url = \"https://example.vn/hook\" }\n\
                    [[sink]]\nname = \"state\"\nmqtt = {}\n[[sink]]\nname = \"each\"\nmqtt = { payload = \"values\", topic = \"hue/alerts\" }\n";
        assert_eq!(problems_of(text), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named() {
        let text = "[[sink]]\nname = \"a b\"\nwebhook = { url = \"ftp://x\", timeout = \"0s\", secret_env = \"HUONG_NO_SUCH_VARIABLE\" }\n\
                    [[sink]]\nname = \"a b\"\nmqtt = { payload = \"values\", broker = { host = \"\", tls = { ca = \"nowhere.pem\", key = \"nowhere.key\" } } }\n\
                    [[sink]]\nname = \"c\"\nretry = { first = \"2s\", most = \"1s\" }\n";
        let lines = problems_of(text);
        let paths: Vec<&str> = lines.iter().filter_map(|line| line.split(": ").nth(1)).collect();
        let expected = [
            "sink[0].name",
            "sink[0].webhook.url",
            "sink[0].webhook.timeout",
            "sink[0].webhook.secret_env",
            "sink[1].name",
            "sink[1].name",
            "sink[1].mqtt.topic",
            "sink[1].mqtt.broker.host",
            "sink[1].mqtt.broker.tls.ca",
            "sink[1].mqtt.broker.tls.key",
            "sink[1].mqtt.broker.tls",
            "sink[2].retry",
            "sink[2]",
        ];
        assert_eq!(paths, expected, "{lines:#?}");
    }
}
