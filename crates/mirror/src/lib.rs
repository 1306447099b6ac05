//! A copy of the store in an InfluxDB 2 compatible server: readings, observations, derived readings, the steps of alerts, and the
//! processor's own figures, as line protocol.
//!
//! The backlog is the store itself: the mirror follows the log ([`huong_store::Follower`]) and keeps only its place in it, so a server
//! that was away for a week costs no second copy on disk, and nothing waits for it.
//!
//! Invariant: at least once. The place moves only behind what the server took, refused for good (then it is a dead letter), or what was
//! passed over and counted; a point sent twice is the same point.

mod client;
mod config;
mod line;
mod points;
mod run;
mod status;

pub use config::MirrorConfig;
pub use points::Sample;
pub use run::{Mirror, MirrorError, Setup, start_mirror};
pub use status::MirrorFigures;
