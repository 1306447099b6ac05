//! What cameras saw, as readings: the same for rules, store and wall as any sensor's.
//!
//! Invariant: every reading names the model, or the signal's source, that it rests on.

use std::sync::Arc;

use huong_types::{Field, Name, Origin, PlateText, Quality, Reading, SignalSight, Timestamp, Value};

use crate::{Happening, ZoneEvent};

/// The streams. The key of each is the camera's id.
pub(crate) const VEHICLES: &str = "vehicles";
pub(crate) const WASTE: &str = "waste";
const ZONE_EVENTS: &str = "zone_events";
const PLATES: &str = "plates";
const SIGNAL: &str = "signal";

/// When a frame was taken, and when it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) received: Timestamp,
}

pub(crate) fn reading(stream: &str, key: Name, when: Moment, source: &Name, fields: impl IntoIterator<Item = Field>) -> Reading {
    Reading {
        stream: Name::new(stream),
        key,
        at: when.at,
        received: when.received,
        fields: fields.into_iter().collect(),
        source: source.clone(),
        origin: Origin::Vision,
        orphan: false,
    }
}

fn text(name: &str, text: &str) -> Field {
    Field { name: name.into(), value: Value::Text(Arc::from(text)), quality: Quality::OK }
}

fn number(name: &str, value: f64) -> Field {
    Field::ok(name.into(), value)
}

pub(crate) fn zone_event(camera: &Name, event: &ZoneEvent, received: Timestamp, source: &Name) -> Reading {
    let id = format!("{}-{}-{}-{}", event.track, event.place, event.happening.as_str(), event.at.as_millis());
    let mut fields = vec![
        text("event_id", &id),
        text("event", event.happening.as_str()),
        text("place", &event.place),
        text("vehicle", &event.label),
        number("track", event.track as f64),
    ];
    match event.happening {
        Happening::Left(stayed) | Happening::Dwelt(stayed) => fields.push(number("stayed", stayed.as_millis() as f64 / 1000.0)),
        Happening::Crossed { forward } => fields.push(text("direction", if forward { "forward" } else { "backward" })),
        Happening::Entered | Happening::Cleared => {}
    }
    reading(ZONE_EVENTS, camera.clone(), Moment { at: event.at, received }, source, fields)
}

pub(crate) fn signal(camera: &Name, sight: &SignalSight, when: Moment) -> Reading {
    let fields =
        [text("signal", &sight.signal), text("state", sight.state.as_str()), number("confidence", f64::from(100.0 * sight.confidence))];
    reading(SIGNAL, camera.clone(), when, &sight.source, fields)
}

/// `None` for a plate that was not read.
pub(crate) fn plate(camera: &Name, plate: &PlateText, vehicle: &str, when: Moment, source: &Name) -> Option<Reading> {
    let fields = [
        text("plate", plate.text.as_ref()?),
        text("raw", &plate.raw),
        text("vehicle", vehicle),
        number("confidence", f64::from(100.0 * plate.confidence)),
    ];
    Some(reading(PLATES, camera.clone(), when, source, fields))
}
