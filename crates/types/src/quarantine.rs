//! What could not be used, why, and enough of its bytes to find out who sent it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Name, Timestamp};

/// Why a payload, or one part of it, is not a valid value. `detail` names the field, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Reject {
    pub reason: RejectReason,
    pub detail: String,
}

/// The counted causes of refusal; each is a counter and a value of the column `reason` of the table `quarantine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Larger than the limit for its kind.
    TooLarge,
    /// Not the declared format: broken JSON, not UTF-8.
    Malformed,
    /// No configured source or stream takes this topic.
    UnknownStream,
    /// No key found in payload or topic.
    MissingKey,
    /// No time found, or not a time.
    BadTime,
    /// Dated further ahead of the clock than the source allows.
    Future,
    /// Dated before anything this city has measured, or older than the source's limit.
    TooOld,
    /// No usable value: absent, null, not a number.
    BadValue,
    /// The unit is not one that converts to the stream's unit.
    BadUnit,
    /// The same reading again.
    Duplicate,
    /// A frame that is not a JPEG, is cut short, or claims absurd dimensions.
    BadFrame,
    /// A frame of a camera that the registry does not know.
    UnknownCamera,
    /// Well formed, and not about anything that is measured here: a heartbeat, an event of another kind.
    Unused,
    /// Says its values by numbers that an announcement defines which has not been heard; a new one was asked for.
    NoBirth,
}

/// A refused payload as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    pub received: Timestamp,
    pub topic: String,
    /// The source that was to decode it, when one was found.
    pub source: Option<Name>,
    /// The stream it was meant for, when known; the ledger counts by it.
    pub stream: Option<Name>,
    pub reason: RejectReason,
    pub detail: String,
    /// The first bytes, at most [`Quarantined::MAX_BYTES`].
    pub bytes: Vec<u8>,
    /// The payload's whole length.
    pub length: u64,
}

impl Quarantined {
    /// Enough to recognise a format and its sender; small enough that a flood of rubbish does not fill the disk.
    pub const MAX_BYTES: usize = 1024;
}

impl Reject {
    pub fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// With the context that a sender's owner needs to find the message again.
    pub fn quarantine(self, received: Timestamp, topic: &str, source: Option<Name>, stream: Option<Name>, payload: &[u8]) -> Quarantined {
        let kept = &payload[..payload.len().min(Quarantined::MAX_BYTES)];
        let Reject { reason, detail } = self;
        Quarantined {
            received,
            topic: topic.to_owned(),
            source,
            stream,
            reason,
            detail,
            bytes: kept.to_vec(),
            length: payload.len() as u64,
        }
    }
}

impl RejectReason {
    pub fn as_str(self) -> &'static str {
        match self {
            RejectReason::TooLarge => "too_large",
            RejectReason::Malformed => "malformed",
            RejectReason::UnknownStream => "unknown_stream",
            RejectReason::MissingKey => "missing_key",
            RejectReason::BadTime => "bad_time",
            RejectReason::Future => "future",
            RejectReason::TooOld => "too_old",
            RejectReason::BadValue => "bad_value",
            RejectReason::BadUnit => "bad_unit",
            RejectReason::Duplicate => "duplicate",
            RejectReason::BadFrame => "bad_frame",
            RejectReason::UnknownCamera => "unknown_camera",
            RejectReason::Unused => "unused",
            RejectReason::NoBirth => "no_birth",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
