//! The vocabulary of huong: what flows through every wall of the system.
//!
//! Everything is an event in a typed stream: a river level, a count of vehicles seen by a camera and a dam's inflow are
//! all [`Reading`]s, so one rule language and one alert life cycle serve them all.
//!
//! Invariant: this crate does no IO, reads no clock and holds no global state. Time is always an argument.

mod alert;
pub mod decode;
mod duty;
mod forecast;
mod format;
mod frame;
pub mod geo;
mod load;
mod local;
mod name;
mod place;
mod quarantine;
mod reading;
mod registry;
mod remembered;
mod stream;
mod time;
pub mod units;
mod violation;

pub use alert::{
    About, Ack, Alert, AlertState, Assigned, Cause, Escalation, Flap, Note, NoteKind, RuleInfo, Severity, Shelf, Signal, SignalKind, Text,
    Transition, TransitionKind, Values,
};
pub use duty::{LoadFigures, LoadSource, Order};
pub use forecast::Forecast;
pub use format::{format_number, local_date_time, local_time};
pub use frame::{BoundingBox, Detection, Frame};
pub use load::{Problem, Problems, load_toml};
pub use local::LocalDay;
pub use name::{Interner, Map, Name, Set};
pub use place::Place;
pub use quarantine::{Quarantined, Reject, RejectReason};
pub use reading::{AckToken, Check, Field, Flag, Inbound, Origin, Publish, Quality, Reading, Value};
pub use registry::{Camera, Registry, Row, Station, Ward, Zone};
pub use remembered::Remembered;
pub use stream::{FieldSpec, FlatLine, SourceStatus, Step, Stream};
pub use time::{Span, Timestamp};
pub use violation::{Act, Candidate, EvidenceFrame, ModelId, PlateText, SignalSight, SignalState, VoidReason};
