//! What the connections to a broker need, checked so that nothing later can panic on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use huong_types::{Problems, Span};
use serde::Deserialize;

use crate::{IngestError, tls};

/// A broker and how to speak to it: the section `[mqtt]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    pub host: String,
    pub port: u16,
    /// The name of the session that holds unacknowledged readings; must stay the same over restarts and be nobody else's.
    /// The frames' connection adds `-frames`.
    pub client_id: String,
    pub protocol: Protocol,
    pub user: Option<String>,
    /// The environment variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password; read again whenever the broker refuses it.
    pub password_file: Option<PathBuf>,
    pub tls: Option<TlsConfig>,
    /// How often a silent connection proves itself alive, 5 s at least.
    pub keep_alive: Span,
    /// Readings in flight: received and not yet acknowledged. Bounds memory; MQTT 5 brokers keep to it.
    pub receive_maximum: u16,
    /// How long the broker keeps the session of readings while we are away; MQTT 5 only.
    pub session_expiry: Span,
    /// Bytes of a packet on the connection of the readings. Above, see [`crate::run_readings`].
    pub max_packet_readings: u32,
    /// Bytes of a packet on the connection of the frames.
    pub max_packet_frames: u32,
    /// Bytes of one message of readings; a larger one is quarantined.
    pub max_payload: usize,
    /// Elements of one message of readings that is an array.
    pub max_items: usize,
    /// The longest wait between attempts to connect; the first is a hundredth of it.
    pub retry: Span,
    /// Retained `online` or `offline`, the latter also as the last will.
    pub status_topic: String,
    /// A frame dated further ahead of the clock is quarantined.
    pub frame_future: Span,
    /// A frame older than this on arrival is quarantined.
    pub frame_max_age: Span,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    #[serde(rename = "3.1.1")]
    V4,
    #[default]
    #[serde(rename = "5")]
    V5,
}

/// PEM files. The server's name is always checked against its certificate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The authorities to trust.
    pub ca: PathBuf,
    /// Our certificate chain and its key, when the broker asks for them.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// The broker inside the process: the section `[broker]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    pub embedded: bool,
    pub listen: SocketAddr,
    pub max_connections: usize,
    /// Bytes of a packet; a larger one drops its sender's connection.
    pub max_packet: usize,
    /// Readings that a subscriber may lag behind: segments of so many bytes, per subscription. Beyond, the oldest are lost.
    pub segment_bytes: usize,
    pub segments: usize,
    /// The same for frames, of which only the newest matters.
    pub frame_segment_bytes: usize,
    pub frame_segments: usize,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1883,
            client_id: "huong".to_owned(),
            protocol: Protocol::V5,
            user: None,
            password_env: None,
            password_file: None,
            tls: None,
            keep_alive: Span::from_secs(30),
            receive_maximum: 1024,
            session_expiry: Span::from_secs(7 * 86_400),
            max_packet_readings: 64 << 20,
            max_packet_frames: 16 << 20,
            max_payload: 1 << 20,
            max_items: 20_000,
            retry: Span::from_secs(30),
            status_topic: "huong/status".to_owned(),
            frame_future: Span::from_mins(10),
            frame_max_age: Span::from_mins(24 * 60),
        }
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            embedded: false,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)),
            max_connections: 10_000,
            max_packet: 64 << 20,
            segment_bytes: 16 << 20,
            segments: 16,
            frame_segment_bytes: 8 << 20,
            frame_segments: 4,
        }
    }
}

/// The largest packet that MQTT can express (MQTT 5.0 §1.5.5: a remaining length of 268,435,455).
pub(crate) const MQTT_MAX_PACKET: u32 = 268_435_455;

impl MqttConfig {
    /// Every mistake goes to `problems`, under `path` of `file`. Reads the files and the environment variable it names.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let mut add = |field: &str, found: String, expected: &str| problems.add(file, format!("{path}.{field}"), found, expected);
        if self.host.trim().is_empty() {
            add("host", "nothing".into(), "a host name or an address");
        }
        if self.port == 0 {
            add("port", "`0`".into(), "1 to 65535");
        }
        // Servers must accept 23 characters (MQTT 3.1.1 §3.1.3.1); `-frames` takes 7 more, and all in use accept 64.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.client_id.is_empty() || self.client_id.len() > 57 || !self.client_id.chars().all(plain) {
            add("client_id", format!("`{}`", self.client_id), "1 to 57 letters, digits, `-`, `_` and `.`");
        }
        let seconds = |span: Span| span.as_millis() / 1000;
        if !(5..=i64::from(u16::MAX)).contains(&seconds(self.keep_alive)) {
            add("keep_alive", format!("`{}`", self.keep_alive), "5s to 65535s");
        }
        if !(0..=i64::from(u32::MAX)).contains(&seconds(self.session_expiry)) {
            add("session_expiry", format!("`{}`", self.session_expiry), "at most 4294967295s");
        }
        if self.retry < Span::from_millis(100) {
            add("retry", format!("`{}`", self.retry), "at least 100ms");
        }
        if self.receive_maximum == 0 {
            add("receive_maximum", "`0`".into(), "1 to 65535");
        }
        for (field, size) in [("max_packet_readings", self.max_packet_readings), ("max_packet_frames", self.max_packet_frames)] {
            if !(4096..=MQTT_MAX_PACKET).contains(&size) {
                add(field, format!("`{size}`"), "4096 to 268435455");
            }
        }
        for (field, size) in [("max_payload", self.max_payload), ("max_items", self.max_items)] {
            if size == 0 {
                add(field, "`0`".into(), "at least 1");
            }
        }
        if self.status_topic.is_empty() || self.status_topic.contains(['+', '#', '\0']) || self.status_topic.starts_with('$') {
            add("status_topic", format!("`{}`", self.status_topic), "a topic without wildcards");
        }
        if self.password_env.is_some() && self.password_file.is_some() {
            add("password_file", "a file beside password_env".into(), "one of the two");
        } else if self.user.is_none() && (self.password_env.is_some() || self.password_file.is_some()) {
            add("user", "nothing".into(), "a user for the password");
        } else if let Err(error) = self.password() {
            add(if self.password_env.is_some() { "password_env" } else { "password_file" }, error.to_string(), "a password");
        }
        if let Some(tls) = &self.tls
            && let Err(error) = tls::client_config(tls)
        {
            add("tls", error.to_string(), "PEM files: ca, and cert with key when the broker asks for them");
        }
    }

    /// The password as it stands now; `None` when none is configured.
    pub(crate) fn password(&self) -> Result<Option<String>, IngestError> {
        if let Some(name) = &self.password_env {
            return std::env::var(name).map(Some).map_err(|_| IngestError::Environment { name: name.clone() });
        }
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|source| IngestError::File { path: path.to_owned(), source });
        let text = self.password_file.as_deref().map(read).transpose()?;
        // Editors end a file with a line break; a password does not.
        Ok(text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// The longest wait, from which the others follow.
    pub(crate) fn retry(&self) -> Duration {
        self.retry.to_std()
    }
}

impl BrokerConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (field, found, least) in [
            ("max_connections", self.max_connections, 1),
            ("max_packet", self.max_packet, 4096),
            // rumqttd panics below 1 KiB.
            ("segment_bytes", self.segment_bytes, 1024),
            ("frame_segment_bytes", self.frame_segment_bytes, 1024),
            ("segments", self.segments, 1),
            ("frame_segments", self.frame_segments, 1),
        ] {
            if found < least {
                problems.add(file, format!("{path}.{field}"), format!("`{found}`"), format!("at least {least}"));
            }
        }
        if self.listen.port() == 0 {
            problems.add(file, format!("{path}.listen"), format!("`{}`", self.listen), "an address with a port");
        }
    }
}
