//! E-mail, by the mail server of the city.
//!
//! Invariant: letters and passwords go over TLS, or stay on this machine. A letter sent again has the same Message-ID, by which mail
//! programs show it once.

use std::path::PathBuf;
use std::time::Duration;

use huong_types::{Problems, Severity, Span};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use crate::channel::{Channel, Failure};
use crate::config::secret;
use crate::letters::Letter;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    pub host: String,
    /// 587 with STARTTLS, 465 with TLS from the first byte, 25 without.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub security: Security,
    /// A PEM file: the authority of a mail server whose certificate is none of the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_env: Option<String>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// `IOC Huế <ioc@example.invalid>`.
    pub from: String,
    /// For the whole conversation.
    #[serde(default = "thirty_seconds")]
    pub timeout: Span,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    #[default]
    Starttls,
    Tls,
    /// Only to this machine.
    None,
}

fn thirty_seconds() -> Span {
    Span::from_secs(30)
}

impl SmtpConfig {
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.host.is_empty() {
            problems.add(file, format!("{path}.host"), "nothing", "a host name or address");
        }
        if self.security == Security::None && !["localhost", "127.0.0.1", "::1"].contains(&self.host.as_str()) {
            problems.add(file, format!("{path}.security"), format!("`none` to {}", self.host), "starttls or tls, except to this machine");
        }
        if let Err(error) = self.from.parse::<Mailbox>() {
            problems.add(file, format!("{path}.from"), format!("`{}`: {error}", self.from), "an e-mail address");
        }
        if self.timeout <= Span::ZERO {
            problems.add(file, format!("{path}.timeout"), format!("`{}`", self.timeout), "more than 0s");
        }
        if let Err(found) = self.password() {
            problems.add(file, format!("{path}.password_env"), found, "one readable password");
        }
        if let Err(found) = self.authority() {
            problems.add(file, format!("{path}.ca"), found, "a readable PEM file");
        }
    }

    fn password(&self) -> Result<Option<String>, String> {
        let password = secret(self.password_env.as_deref(), self.password_file.as_deref())?;
        if password.is_some() == self.user.is_some() { Ok(password) } else { Err("one of user and password".to_owned()) }
    }

    fn authority(&self) -> Result<Option<Certificate>, String> {
        let Some(path) = &self.ca else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Certificate::from_pem(&pem).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }
}

pub(crate) struct Smtp {
    transport: SmtpTransport,
    from: Mailbox,
}

impl Smtp {
    /// # Errors
    /// When a secret or certificate cannot be read, or the sender is no address.
    pub(crate) fn new(config: &SmtpConfig) -> Result<Self, String> {
        let parameters = || {
            let builder = TlsParameters::builder(config.host.clone());
            let builder = config.authority()?.into_iter().fold(builder, |builder, ca| builder.add_root_certificate(ca));
            builder.build().map_err(|error| error.to_string())
        };
        let (tls, port) = match config.security {
            Security::Starttls => (Tls::Required(parameters()?), 587),
            Security::Tls => (Tls::Wrapper(parameters()?), 465),
            Security::None => (Tls::None, 25),
        };
        let timeout: Duration = config.timeout.to_std();
        let mut builder = SmtpTransport::builder_dangerous(&config.host).port(config.port.unwrap_or(port)).tls(tls).timeout(Some(timeout));
        if let (Some(user), Some(password)) = (&config.user, config.password()?) {
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let from = config.from.parse().map_err(|error| format!("`{}`: {error}", config.from))?;
        Ok(Self { transport: builder.build(), from })
    }
}

impl Channel for Smtp {
    fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let never = |error: &dyn std::fmt::Display| Failure::Never(error.to_string());
        let to: Mailbox = letter.to.parse().map_err(|error| Failure::Never(format!("`{}`: {error}", letter.to)))?;
        let number: String = digest(&SHA256, letter.key.as_bytes()).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut mail = Mail::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.message.title.clone())
            .message_id(Some(format!("<{number}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("X-Huong-Key"), letter.key.clone()))
            // RFC 3834: nobody's holiday notice is to answer it.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
        if letter.severity >= Severity::Severe {
            mail = mail.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("X-Priority"), "1".to_owned()));
        }
        let mail = mail.header(ContentType::TEXT_PLAIN).body(letter.message.body.clone()).map_err(|error| never(&error))?;
        match self.transport.send(&mail) {
            Ok(_) => Ok(()),
            // RFC 4954: 530, 534, 535 and 538 mind our credentials, not the letter; 421 and the like are said to pass.
            Err(error) if error.is_permanent() && !error.status().is_some_and(|code| [530, 534, 535, 538].contains(&u16::from(code))) => {
                Err(never(&error))
            }
            Err(error) => Err(Failure::later(chain(&error))),
        }
    }
}

/// The error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
