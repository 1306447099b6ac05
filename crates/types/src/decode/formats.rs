//! The formats: each turns a message's bytes into one tree, in which the source's paths find key, time and values.
//!
//! Invariant: any bytes give a document or a refusal, never a panic, and nothing larger than a fixed multiple of the payload. A new
//! format is one file and its line in [`FORMATS`].

mod chirpstack;
mod dahua;
mod frigate;
mod hikvision;
mod json;
mod protobuf;
mod seen;
mod senml;
mod sparkplug;
mod tt10;

use super::json::{Json, Path};
use crate::{Publish, Reject, RejectReason, Timestamp};

/// Makes a format for one source.
type Make = fn() -> Box<dyn Format>;

/// By the name that `format` in `config/sources.toml` gives it.
pub(super) const FORMATS: &[(&str, Make)] = &[
    ("json", || Box::new(json::Plain)),
    ("chirpstack", || Box::<chirpstack::ChirpStack>::default()),
    ("dahua", || Box::<dahua::Dahua>::default()),
    ("frigate", || Box::<frigate::Frigate>::default()),
    ("hikvision", || Box::new(hikvision::Hikvision)),
    ("senml", || Box::new(senml::SenMl)),
    ("sparkplug-b", || Box::<sparkplug::Sparkplug>::default()),
    ("tt10", || Box::new(tt10::Tt10)),
];

/// Parts of one message, each of which may end in a refusal; a message of more is refused whole.
const MOST_PARTS: usize = 20_000;

/// A way to write messages. One value serves one source, so what earlier messages said may be kept in it, within bounds.
pub(super) trait Format: Send {
    /// Reads a message that arrived `now`.
    ///
    /// # Errors
    /// When nothing of it can be used: the reason, what was found and what was expected.
    fn read<'p>(&mut self, topic: &str, payload: &'p [u8], now: Timestamp) -> Result<Document<'p>, Reject>;
}

/// What a format made of one message.
pub(super) struct Document<'p> {
    /// One object is one item, a list as many as it has.
    pub(super) items: Json<'p>,
    /// Where an item lacks a path it is looked up here.
    pub(super) shared: Json<'p>,
    /// The format collects single measurements into items by time, values under `values`: an item without any that is wanted is
    /// passed over as long as the message gives something.
    pub(super) grouped: bool,
    /// Parts that could not be read.
    pub(super) refused: Vec<Reject>,
    /// Items that hold a key only: these fell silent.
    pub(super) silent: Vec<Json<'p>>,
    /// What to send in answer.
    pub(super) commands: Vec<Publish>,
}

impl<'p> Document<'p> {
    pub(super) fn of(items: Json<'p>) -> Self {
        Self { items, shared: Json::Null, grouped: false, refused: Vec::new(), silent: Vec::new(), commands: Vec::new() }
    }

    pub(super) fn grouped(items: Vec<Json<'p>>, shared: Json<'p>) -> Self {
        Self { shared, grouped: true, ..Self::of(Json::List(items)) }
    }

    /// Goes down to the list at `path`; what stands beside it is shared.
    pub(super) fn descend(&mut self, path: &Path) -> Result<(), Reject> {
        match path.take(&mut self.items) {
            Some(list @ Json::List(_)) => {
                self.shared = std::mem::replace(&mut self.items, list);
                Ok(())
            }
            found => {
                let found = found.map_or_else(|| "nothing".to_owned(), |json| json.shown());
                Err(Reject::new(RejectReason::BadValue, format!("`{}`: found {found}, expected a list", path.as_str())))
            }
        }
    }
}

/// The format of this name, or the names there are.
pub(super) fn by_name(name: &str) -> Result<Box<dyn Format>, String> {
    let found = FORMATS.iter().find(|(known, _)| *known == name);
    found.map(|(_, make)| make()).ok_or_else(|| FORMATS.iter().map(|(known, _)| format!("`{known}`")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod fuzz;
