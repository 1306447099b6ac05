//! One measurement of one thing at one time, and how far it can be trusted.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Name, Quarantined, Timestamp};

/// One event of a stream: the fields that `key` (a station, a camera, a boat) had `at` a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub stream: Name,
    pub key: Name,
    /// Event time: when it was measured.
    pub at: Timestamp,
    /// Processing time: when it reached us.
    pub received: Timestamp,
    /// In SI or the stream's customary unit (m, mm, m³/s, µg/m³); at least one.
    pub fields: SmallVec<[Field; 1]>,
    /// Which configured source decoded it; for observations, the model.
    pub source: Name,
    pub origin: Origin,
    /// True when the registry has no row for `key`.
    pub orphan: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: Name,
    pub value: Value,
    pub quality: Quality,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Always finite.
    Number(f64),
    Text(Arc<str>),
}

/// Where a reading comes from; it decides between the tables `readings` and `observations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Sensor,
    Vision,
    /// Computed by a rule from other readings; made again, not read back, when the log is replayed.
    Derived,
}

/// How far a value can be trusted and, when not fully, which check said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    pub flag: Flag,
    pub check: Option<Check>,
}

/// In order of growing distrust; the worst of several is their `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flag {
    Ok,
    /// The first value after a long silence: it may raise an alarm, but not clear one.
    Gap,
    /// Arrived after its time had been judged: kept as history, never judged.
    Late,
    /// Implausible: may raise "check the sensor", never a flood alarm.
    Suspect,
    /// Impossible: stored, never judged.
    Bad,
}

/// Which plausibility check flagged a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Range,
    Step,
    /// A second, different value for the same moment.
    Conflict,
    Gap,
    Late,
    /// Right in another unit: millimetres sent as metres.
    UnitSlip,
    /// The same for too long while the neighbours move.
    Flat,
    /// The source itself says that it is calibrating or faulty, or says something unknown.
    Status,
}

/// What one MQTT message became: valid readings and refused parts side by side, and the right to acknowledge it once both are on disk.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    pub readings: SmallVec<[Reading; 1]>,
    pub rejected: Vec<Quarantined>,
    /// Streams and keys of which the sender said that they are gone: silent from now on, until their next reading.
    pub silent: Vec<(Name, Name)>,
    /// What the sender must be told before more can be read.
    pub commands: Vec<Publish>,
    /// `None` for QoS 0.
    pub ack: Option<AckToken>,
}

/// A message to send to a sender's device, at QoS 0, not retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// Names a message awaiting acknowledgement. A token from an earlier connection is void: the broker sends that message again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub connection: u64,
    pub packet_id: u16,
}

impl Reading {
    pub fn number(&self, field: &str) -> Option<f64> {
        self.fields.iter().find(|f| f.name == *field).and_then(Field::number)
    }

    /// What was said, not what was thought of it: names and values of the fields in their order.
    pub fn hash_fields(&self, hasher: &mut impl Hasher) {
        for field in &self.fields {
            field.name.hash(hasher);
            match &field.value {
                Value::Number(number) => number.to_bits().hash(hasher),
                Value::Text(text) => text.hash(hasher),
            }
        }
    }

    /// The worst flag of its fields.
    pub fn flag(&self) -> Flag {
        self.fields.iter().map(|f| f.quality.flag).max().unwrap_or(Flag::Bad)
    }
}

impl Field {
    pub fn ok(name: Name, value: f64) -> Self {
        Self { name, value: Value::Number(value), quality: Quality::OK }
    }

    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(number) => Some(number),
            Value::Text(_) => None,
        }
    }
}

impl Quality {
    pub const OK: Quality = Quality { flag: Flag::Ok, check: None };

    pub fn new(flag: Flag, check: Check) -> Self {
        Self { flag, check: Some(check) }
    }
}

impl Flag {
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::Ok => "ok",
            Flag::Gap => "gap",
            Flag::Late => "late",
            Flag::Suspect => "suspect",
            Flag::Bad => "bad",
        }
    }
}

impl Check {
    pub fn as_str(self) -> &'static str {
        match self {
            Check::Range => "range",
            Check::Step => "step",
            Check::Conflict => "conflict",
            Check::Gap => "gap",
            Check::Late => "late",
            Check::UnitSlip => "unit_slip",
            Check::Flat => "flat",
            Check::Status => "status",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
