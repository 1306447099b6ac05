//! Rules: quality checks, event-time windows, SQL conditions, silence. Readings and ticks in, signals out.
//!
//! Rules are written in `pipelines/*.toml` and compiled once; what a rule may say is checked then, all mistakes at once.
//!
//! Invariants: this crate has no thread, does no IO and reads no clock: time is an argument, and the same readings and ticks
//! give the same signals in the same order. A value that is suspect or bad never reaches a condition. Silence never clears.

mod advice;
mod compile;
mod engine;
mod keys;
mod life;
mod panes;
mod quality;
mod rule;
mod rule_file;
mod sql;
mod stream_engine;
mod template;
mod testing;

pub use advice::advise;
pub use engine::{Engine, Orphan, Verdict};
pub use testing::{TestReport, run_tests};

#[cfg(test)]
mod tests;
