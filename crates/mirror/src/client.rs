//! One request to the server, and what its answer means.
//!
//! Invariant: only an answer that blames the lines themselves (400, 413, 422) is a refusal of them; everything else is tried again.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};

use crate::config::MirrorConfig;

/// Enough of an answer to see what the server minded.
const ANSWER_BYTES: u64 = 1024;
/// However long the server asks us to wait: an hour of a slip in its configuration is enough.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

pub(crate) struct Client {
    agent: Agent,
    url: String,
    authorization: Option<String>,
    gzip: bool,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Taken,
    /// The server will not take these lines.
    Refused(String),
    Later(Later),
}

/// To be tried again.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) why: String,
    /// Not before so long, as the server asks.
    pub(crate) asked: Duration,
    /// It will not mend itself: a person must look at the token, the bucket or the address.
    pub(crate) grave: bool,
}

impl Client {
    /// # Errors
    /// When the token cannot be read.
    pub(crate) fn new(config: &MirrorConfig) -> Result<Self, String> {
        // A redirect of a POST would be followed as a GET: the address must be right.
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout.to_std()))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("huong/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let (base, org, bucket) = (config.url.trim_end_matches('/'), encoded(&config.org), encoded(&config.bucket));
        let url = format!("{base}/api/v2/write?org={org}&bucket={bucket}&precision=ms");
        let authorization = config.token()?.map(|token| format!("Token {token}"));
        Ok(Self { agent, url, authorization, gzip: config.gzip })
    }

    pub(crate) fn send(&self, lines: &str) -> Answer {
        let mut request = self.agent.post(&self.url).content_type("text/plain; charset=utf-8");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let sent = if self.gzip {
            match packed(lines) {
                Ok(packed) => request.header("content-encoding", "gzip").send(&packed[..]),
                Err(error) => Err(error.into()),
            }
        } else {
            request.send(lines)
        };
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Answer::Later(Later { why: error.to_string(), asked: Duration::ZERO, grave: false }),
        };
        let status = answer.status();
        if status.is_success() {
            return Answer::Taken;
        }
        let asked = asked(answer.headers());
        let said = answer.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string().unwrap_or_default();
        judge(status, asked, format!("{status}: {}", said.trim()))
    }
}

fn judge(status: StatusCode, asked: Duration, why: String) -> Answer {
    match status.as_u16() {
        400 | 413 | 422 => Answer::Refused(why),
        // Request timeout, too early, too many requests.
        408 | 425 | 429 | 500.. => Answer::Later(Later { why, asked, grave: false }),
        _ => Answer::Later(Later { why, asked, grave: true }),
    }
}

/// `Retry-After` in seconds; its other form, a date, is of no use where clocks differ and counts as not asked.
fn asked(headers: &HeaderMap) -> Duration {
    let seconds = headers.get("retry-after").and_then(|value| value.to_str().ok()).and_then(|value| value.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST_ASKED)
}

fn packed(lines: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 8), Compression::fast());
    encoder.write_all(lines.as_bytes())?;
    encoder.finish()
}

/// As a value in a query: all but unreserved characters by their bytes (RFC 3986).
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_they_say() {
        let mean = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            match judge(status, Duration::from_secs(7), "x".to_owned()) {
                Answer::Taken => "taken",
                Answer::Refused(_) => "refused",
                Answer::Later(Later { asked, grave, .. }) if asked == Duration::from_secs(7) => {
                    if grave {
                        "grave"
                    } else {
                        "later"
                    }
                }
                Answer::Later(_) => "asked in vain",
            }
        };
        for (statuses, expected) in
            [(&[400, 413, 422][..], "refused"), (&[408, 425, 429, 500, 502, 503, 504], "later"), (&[301, 401, 403, 404, 405, 418], "grave")]
        {
            for status in statuses {
                assert_eq!(mean(*status), expected, "{status}");
            }
        }
        let asks = |value: &str| asked(&HeaderMap::from_iter([(ureq::http::header::RETRY_AFTER, value.parse().expect("a value"))]));
        assert_eq!([asks("30"), asks("999999999"), asks("soon")].map(|asked| asked.as_secs()), [30, 3600, 0]);
    }

    #[test]
    fn names_are_encoded_into_the_address() {
        assert_eq!(encoded("hương & co/1"), "h%C6%B0%C6%A1ng%20%26%20co%2F1");
    }
}
