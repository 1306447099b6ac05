//! Evidence: what cameras saw of possible violations, kept so that it can be proven years later.
//!
//! [`Records::keep`] writes a candidate with the untouched pictures, people decide ([`Records::decide`]), [`Records::export`] makes a
//! signed package for the police, and [`verify`] checks it on any machine. Synchronous; time is an argument.
//!
//! Layout of the folder:
//! ```text
//! evidence.lock                    held while something changes
//! chain.jsonl                      everything that happened; hashes and ids only
//! looks.jsonl                      who looked at what, and why
//! keys/<public key>.key            the private key that signs, mode 0600
//! records/<local day>/<id>/        record.json, picture-<n>.jpg, plate.jpg, review-<n>.json
//! void/<local day>/<id>/           the same, of those that something speaks against
//! handovers/<sha256>.json          who took what, when, for whom and why
//! staged/                          what is being done
//! ```
//! Invariants: a record is there complete and in the chain, or not at all; nothing in it is ever changed; nothing about a person is in
//! the chain, so that records can be deleted and the chain stays whole.

mod actions;
mod archive;
mod audit;
mod blur;
mod chain;
mod config;
mod crop;
mod disk;
mod error;
mod export;
mod journal;
mod law;
mod looks;
mod package;
mod paper;
mod pdf;
mod record;
mod records;
mod retention;
mod review;
mod seal;
mod sheet;
mod table;
#[cfg(test)]
mod testing;
mod verify;

pub use actions::{Actions, Reader};
pub use audit::Audit;
pub use blur::BlurConfig;
pub use chain::{Entry, State, Step};
pub use config::{EvidenceConfig, KeepDays};
pub use crop::Method;
pub use error::EvidenceError;
pub use export::Exported;
pub use journal::Line;
pub use law::{Law, LawText, Laws, Provision};
pub use looks::Look;
pub use package::{HandOver, HandedOver};
pub use paper::{Part, paper};
pub use pdf::FONTS;
pub use record::{CameraFacts, ClockOffset, Crop, FileFact, Kind, Moment, Picture, Record, Scene};
pub use records::{Counts, Filter, Head, Outline, Records};
pub use review::{Decision, Review};
pub use seal::PublicKey;
pub use verify::{Fault, Report, Trust, verify};
