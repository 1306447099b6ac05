//! The wall over real HTTP: events, roles, and the page in a real browser.

mod browser;
mod events;
mod roles;
mod support;
