//! Pictures of cameras that do not speak MQTT: RTSP and HTTP streams and videos through ffmpeg, folders of JPEGs. Each becomes frames
//! on the camera's topic at the rate that was asked for, and a reading that says how it fares.
//!
//! Invariant: the newest picture of a camera replaces the one that waits, so a slow broker costs frames and never memory; a camera
//! that fails is told of and tried again for ever, and no other camera notices. A password is never an argument of a process, in a
//! log or in an error.

mod bridge;
mod config;
mod eye;
mod ffmpeg;
mod split;

pub use bridge::{Bridge, Feed};
pub use config::{BridgeConfig, CameraConfig};
pub use split::{Splitter, TooLarge};

/// Tells the time.
pub type Clock = std::sync::Arc<dyn Fn() -> huong_types::Timestamp + Send + Sync>;

/// Why a camera gives no pictures for now.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    #[error("environment variable is not set: {name}")]
    Environment { name: String },
    #[error("cannot read {path}: {reason}")]
    File { path: std::path::PathBuf, reason: std::io::Error },
    #[error("found no JPEG in {path}, expected at least one *.jpg or *.jpeg")]
    Empty { path: std::path::PathBuf },
    #[error("ffmpeg does not start: {0}; it comes with the package ffmpeg")]
    Start(std::io::Error),
    #[error("ffmpeg takes no address: {0}")]
    Hand(std::io::Error),
    #[error("no picture for {0} s")]
    Stalled(u64),
    #[error("the stream ended: {0}")]
    Ended(String),
}
