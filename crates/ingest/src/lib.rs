//! MQTT in: readings at QoS 1 over a persistent session, frames at QoS 0 over a connection of their own, and a broker to embed.
//! The way out, for bridges of cameras, is a connection of its own. Files of watched folders come in as messages, too, and so do the posts of cameras, which are first made files.
//!
//! Invariant: a reading is acknowledged to the broker only by an [`huong_types::AckToken`] that comes back from whoever made it
//! durable, and only on the connection that it arrived on. No message ends the process, and no broker's absence.

mod broker;
mod config;
mod folder;
mod frames;
mod multipart;
mod packets;
mod posts;
mod publish;
mod readings;
mod session;
mod stats;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use huong_types::Timestamp;

pub use broker::EmbeddedBroker;
pub use config::{BrokerConfig, MqttConfig, Protocol, TlsConfig};
pub use folder::FolderConfig;
pub use frames::{FrameCheck, run_frames};
pub use posts::{Posts, PostsConfig};
pub use publish::run_publisher;
pub use readings::run_readings;
pub use stats::{IngestStats, LinkStats, Shed, ShedOf, ShedReason};

/// Tells the time; accelerated in simulations.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Log directives that silence the libraries underneath: the broker logs every disconnection of every client as an error.
/// For an environment filter, beside the program's own.
pub const QUIET: [&str; 2] = ["rumqttd=off", "rumqttc=off"];

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("environment variable is not set: {name}")]
    Environment { name: String },
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot use {}: {reason}", path.display())]
    Pem { path: PathBuf, reason: String },
    #[error("the receiver of posts cannot listen on {listen}: {reason}")]
    Posts { listen: SocketAddr, reason: String },
    #[error("the embedded broker cannot listen on {listen}: {reason}")]
    Listen { listen: SocketAddr, reason: String },
    #[error("ingest task ended: {0}")]
    Task(String),
}
