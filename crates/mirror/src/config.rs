//! Section `[mirror]`.
//!
//! Invariant: the token stands in the environment or in a file, never in the configuration; [`MirrorConfig::check`] reads it, so that
//! a missing one is found before the start.

use std::path::PathBuf;

use huong_types::{Name, Problems, Span};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorConfig {
    /// `http://` or `https://`, without `/api/v2/write`. Proxies named by the environment are not used.
    pub url: String,
    pub org: String,
    pub bucket: String,
    /// The API token, from an environment variable or a file; neither for a server that asks for none.
    #[serde(default)]
    pub token_env: Option<String>,
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Lines of one request: InfluxData's "optimize writes" recommends 5,000.
    #[serde(default = "batch")]
    pub batch: usize,
    /// How long lines gather before they are sent as a smaller batch.
    #[serde(default = "one_second")]
    pub every: Span,
    /// For one request.
    #[serde(default = "half_a_minute")]
    pub timeout: Span,
    #[serde(default = "yes")]
    pub gzip: bool,
    #[serde(default)]
    pub retry: RetryConfig,
    /// What is older is passed over and counted: by default a server may be away for a week.
    #[serde(default = "a_week")]
    pub max_age: Span,
    /// Records by which the mirror may be behind; what goes beyond is passed over and counted.
    #[serde(default = "max_records")]
    pub max_records: u64,
    /// How often the processor's own figures are taken.
    #[serde(default = "ten_seconds")]
    pub figures: Span,
    /// Streams whose text fields are copied too. By default none are: texts may be personal data, and a copy is out of reach of the
    /// store's own retention.
    #[serde(default)]
    pub texts: Vec<Name>,
}

/// Waits between attempts: drawn evenly from zero to a bound that doubles from `first` to `most`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    pub first: Span,
    pub most: Span,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { first: Span::from_secs(1), most: Span::from_secs(60) }
    }
}

fn batch() -> usize {
    5000
}

fn one_second() -> Span {
    Span::from_secs(1)
}

fn ten_seconds() -> Span {
    Span::from_secs(10)
}

fn half_a_minute() -> Span {
    Span::from_secs(30)
}

fn yes() -> bool {
    true
}

fn a_week() -> Span {
    Span::from_mins(7 * 24 * 60)
}

/// A week at 500 readings per second, some three times the fleet of Huế in a storm.
fn max_records() -> u64 {
    300_000_000
}

impl MirrorConfig {
    /// Every mistake goes to `problems`; `path` is the section's name.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let host = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://")).unwrap_or_default();
        if host.is_empty() || host.starts_with(['/', ':']) || self.url.contains(|c: char| c.is_whitespace() || c == '?' || c == '#') {
            problems.add(file, format!("{path}.url"), format!("`{}`", self.url), "an http:// or https:// address");
        } else if self.url.starts_with("http://") && !["127.", "localhost", "[::1]"].iter().any(|here| host.starts_with(here)) {
            let found = "http:// to another machine: token and readings can be read on the way";
            problems.warn(file, format!("{path}.url"), found, "https://");
        }
        for (name, text) in [("org", &self.org), ("bucket", &self.bucket)] {
            if text.is_empty() {
                problems.add(file, format!("{path}.{name}"), "nothing", "a name");
            }
        }
        if !(1..=100_000).contains(&self.batch) {
            problems.add(file, format!("{path}.batch"), format!("`{}`", self.batch), "1 to 100000 lines");
        }
        for (name, span) in [("every", self.every), ("timeout", self.timeout), ("max_age", self.max_age), ("figures", self.figures)] {
            if span <= Span::ZERO {
                problems.add(file, format!("{path}.{name}"), format!("`{span}`"), "more than 0s");
            }
        }
        if self.retry.first <= Span::ZERO || self.retry.most < self.retry.first {
            let found = format!("first {}, most {}", self.retry.first, self.retry.most);
            problems.add(file, format!("{path}.retry"), found, "more than 0s, and most not less than first");
        }
        if self.max_records == 0 {
            problems.add(file, format!("{path}.max_records"), "`0`", "at least 1");
        }
        if let Err(found) = self.token() {
            problems.add(file, format!("{path}.token_env"), found, "one readable token");
        }
    }

    /// Without the line break that editors add; `Err` says what is wrong without showing it.
    pub(crate) fn token(&self) -> Result<Option<String>, String> {
        let text = match (&self.token_env, &self.token_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err("an environment variable and a file".to_owned()),
            (Some(variable), None) => std::env::var(variable).map_err(|error| format!("`{variable}`: {error}"))?,
            (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display()))?,
        };
        let text = text.trim();
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain { Ok(Some(text.to_owned())) } else { Err("an empty text, or one with spaces or letters beyond ASCII".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huong_types::load_toml;

    fn problems_of(text: &str) -> Problems {
        let mut problems = Problems::default();
        let config: MirrorConfig = load_toml("huong.toml", text, &mut problems).expect("a section");
        config.check("huong.toml", "mirror", &mut problems);
        problems
    }

    #[test]
    fn every_mistake_is_named() {
        let sound = problems_of("url = \"http://127.0.0.1:8086\"\norg = \"hue\"\nbucket = \"huong\"\n");
        assert!(sound.is_empty() && sound.warnings.is_empty(), "{sound}");
        let open = problems_of("url = \"http://influx.hue:8086\"\norg = \"hue\"\nbucket = \"huong\"\n");
        assert!(open.is_empty() && open.warnings.len() == 1, "{}", open.warnings_text());
        let text = "url = \"influx\"\norg = \"\"\nbucket = \"\"\nbatch = 0\nevery = \"0s\"\nmax_age = \"0s\"\nmax_records = 0\n\
                    retry = { first = \"2s\", most = \"1s\" }\ntoken_env = \"HUONG_NO_SUCH_VARIABLE\"\n";
        let problems = problems_of(text);
        let paths: Vec<&str> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
        let fields = ["url", "org", "bucket", "batch", "every", "max_age", "retry", "max_records", "token_env"];
        assert_eq!(paths, fields.map(|field| format!("mirror.{field}")));
    }
}
