//! What a package says of itself: `manifest.json`, signed as it stands.
//!
//! ```text
//! records.csv  chain.jsonl  records/<id>/{record.json, picture-<n>.jpg, plate.jpg, review-<n>.json, access.json, sheet.pdf}
//! manifest.json  manifest.sig  public-key.txt
//! ```
//! Invariant: every file but the last three is in the manifest with its hash, in the order of the container.

use std::collections::BTreeMap;

use huong_types::Name;
use serde::{Deserialize, Serialize};

use crate::BlurConfig;
use crate::record::{Kind, Moment};
use crate::records::Filter;

pub(crate) const FORMAT: &str = "huong-evidence-package/1";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SIGNATURE: &str = "manifest.sig";
pub(crate) const KEY: &str = "public-key.txt";
pub(crate) const CHAIN: &str = "chain.jsonl";
pub(crate) const TABLE: &str = "records.csv";

/// Who takes records, for whom and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    pub by: String,
    pub to: String,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) made: Moment,
    pub(crate) hand_over: HandOver,
    pub(crate) filter: Filter,
    /// The public key that signs, in hex.
    pub(crate) key: String,
    /// Lines of the chain that are in it, the last one's hash.
    pub(crate) lines: (u64, u64),
    pub(crate) head: String,
    pub(crate) records: Vec<Name>,
    /// Absent in packages of before anything was hidden.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) hidden: Option<Hidden>,
    pub(crate) files: Vec<Packed>,
}

/// What was made unrecognisable in the pictures of the sheets, which are derived; the originals in the package are untouched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hidden {
    /// For people who read the manifest.
    pub(crate) what: String,
    pub(crate) settings: BlurConfig,
    /// How many places, by record and picture.
    pub(crate) places: BTreeMap<Name, BTreeMap<String, usize>>,
}

pub(crate) const HIDDEN: &str = "in the pictures of sheet.pdf the heads of people and the plates of all other vehicles are squares of one colour; \
    the bare head of a rider without a helmet is shown; every other file is as it was kept";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Packed {
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) kind: Kind,
}

/// `handovers/<sha256>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandedOver {
    pub at: Moment,
    #[serde(flatten)]
    pub hand_over: HandOver,
    pub filter: Filter,
    pub records: Vec<Name>,
    /// Of the package.
    pub file: String,
    pub sha256: String,
    pub bytes: u64,
}

/// Where a file of a record is in a package.
pub(crate) fn path_in(record: &str, file: &str) -> String {
    format!("records/{record}/{file}")
}
