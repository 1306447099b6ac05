//! A way to one recipient, and what an HTTP answer means.
//!
//! Invariant: a channel sends one letter once per call and remembers nothing of it; trying again is its caller's business.

use std::time::Duration;

use huong_types::Name;
use ureq::Agent;
use ureq::http::Response;

use crate::letters::Letter;
use crate::roster::Person;

/// Enough of an answer to see what the receiver minded.
const ANSWER_BYTES: u64 = 1024;

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Try again, not before the wait that the receiver asked for.
    Later(String, Duration),
    Never(String),
}

pub(crate) trait Channel: Send + Sync + 'static {
    /// Where `person` is reached; each address gets a letter of its own.
    fn addresses(&self, sink: &Name, person: &Person) -> Vec<String> {
        person.to.get(sink).cloned().into_iter().collect()
    }

    fn send(&self, letter: &Letter) -> Result<(), Failure>;
}

impl Failure {
    pub(crate) fn later(why: impl ToString) -> Self {
        Failure::Later(why.to_string(), Duration::ZERO)
    }
}

/// A client that follows no redirect: a POST would be followed as a GET, so the address must be right. Proxies named by the environment
/// are not used.
pub(crate) fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("huong/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// The beginning of the answer's text when the receiver has taken it. `renewable`: it refuses our credentials, which a person may mend.
pub(crate) fn judge(mut answer: Response<ureq::Body>, renewable: bool) -> Result<String, Failure> {
    let status = answer.status();
    let asked = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
    let said = answer.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string().unwrap_or_default();
    if status.is_success() {
        return Ok(said);
    }
    let why = format!("{status}: {}", said.trim());
    // Request timeout, too early, too many requests: the message itself is not at fault.
    let wait = matches!(status.as_u16(), 408 | 425 | 429) || (renewable && matches!(status.as_u16(), 401 | 403));
    if status.is_server_error() || wait { Err(Failure::Later(why, Duration::from_secs(asked))) } else { Err(Failure::Never(why)) }
}
