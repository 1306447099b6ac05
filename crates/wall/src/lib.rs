//! The wall: one HTTP server with the wall screen, one SSE stream that keeps it current, and a small API.
//!
//! The root makes a [`Hub`] and its [`Feed`], gives the feed to the thread that judges readings, and runs a [`Wall`] with a
//! [`Backend`] that answers what only the root knows. The crate knows no rules and no store.
//!
//! Invariant: the screen holds no state that a snapshot cannot rebuild, and no browser, however slow, can delay or grow the
//! processor: values are coalesced per key before they reach the hub, queues to browsers are bounded, and who overflows one
//! is disconnected and gets a new snapshot.

mod asked;
mod assets;
mod auth;
mod config;
mod connection;
mod federated;
mod feed;
mod forecasts;
mod gate;
mod hub;
mod id_token;
mod kept;
mod live;
mod login;
mod lookups;
mod metrics;
mod model;
mod oidc;
mod orders;
mod query;
mod replay;
mod routes;
mod server;
mod sessions;
mod tls;
mod users;
mod view;

pub use auth::{Caller, Denied, Mistake, Right, Role, Tokens};
pub use config::{TileKind, Tiles, WallConfig, WallTls};
pub use connection::stopped;
pub use feed::Feed;
pub use hub::{Hub, HubStats};
pub use metrics::Family;
pub use model::{
    AccountLedger, Action, Backend, CameraNow, Evidence, Figures, Found, FrameFigures, History, Latency, Ledger, MirrorFigures, OrderError,
    Past, Picture, Push, RecordsWanted, RuleFigures, SinkFigures, Trouble, WallClock,
};
pub use oidc::{OidcConfig, OidcRole};
pub use query::{QueryError, QueryFormat, Rows};
pub use routes::{ROUTES, Route};
pub use server::{Wall, WallError};
pub use users::{Users, new_token, user_line};
