//! The whole system from outside: the real binary, a real broker, a real browser, and the walls between the crates.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod walls;
