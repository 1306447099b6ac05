//! Rules: quality checks, event-time windows, SQL conditions, silence. Readings and ticks in, signals out.
//!
//! Rules are written in `pipelines/*.toml` and compiled once; what a rule may say is checked then, all mistakes at once.
//!
//! Invariants: this crate has no thread, does no IO and reads no clock: time is an argument, and the same readings and ticks
//! give the same signals in the same order. A value that is suspect or bad never reaches a condition. Silence never clears.

mod advice;
mod baseline;
mod board;
mod cluster;
mod cluster_rule;
mod compile;
mod derive;
mod due;
mod engine;
mod explain;
mod expr;
mod gate;
mod group;
mod lens;
mod life;
mod pause;
mod quality;
mod rule;
mod rule_file;
mod schedule;
mod sensor;
mod silence;
mod stream;
mod subject;
mod takeover;
mod template;
mod testing;
mod voice;
mod windows;

pub use advice::advise;
pub use engine::{Engine, Orphan, Out, Verdict};
pub use explain::Watched;
pub use testing::{TestReport, run_tests};

#[cfg(test)]
mod tests;
