//! Number plates: found, made straight, spelled by the grammar, voted on over frames.
//!
//! Invariant: a text outside the grammar is never given as read, and what the grammar changed is said.

mod ctc;
mod eye;
mod grammar;
mod votes;
mod warp;

pub use ctc::{Candidate, Spelling, characters, likelihood, spell};
pub use eye::{PlateConfig, PlateEye, PlateShot};
pub use grammar::{Kind, Kinds, LONGEST, Repair, is_code, kinds, normalise, repair};
pub use votes::{VoteConfig, Votes};
