//! The wall over real HTTP: events, rights, sessions, TLS.

mod events;
mod roles;
mod sessions;
mod support;
