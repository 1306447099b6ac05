//! The wall over real HTTP: events, rights, sessions, TLS.

mod events;
mod oidc;
mod roles;
mod sessions;
mod support;
