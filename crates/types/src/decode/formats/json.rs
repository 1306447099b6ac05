//! JSON of any shape: an object is one item, a list as many as it has.

use super::{Document, Format};
use crate::decode::json;
use crate::{Reject, Timestamp};

pub(super) struct Plain;

impl Format for Plain {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], _now: Timestamp) -> Result<Document<'p>, Reject> {
        json::parse(payload).map(Document::of)
    }
}
