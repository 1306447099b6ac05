//! Forecasts as screens draw them: of each station the latest issue as one curve, put together from its readings.
//!
//! Invariant: bounded by the registry's stations and by [`MOMENTS`] of each, whatever comes; and the same readings give the same curves
//! in whatever order they come.

use std::sync::Arc;

use huong_types::{Field, Flag, Name, Reading, Registry, Stream, Timestamp, Value};
use serde::Serialize;

/// Of one issue; two days by ten minutes are 288. Further ahead is left out.
const MOMENTS: usize = 400;

/// The latest issue for each station of each stream of forecasts.
#[derive(Clone)]
pub(crate) struct Forecasts {
    streams: Vec<Stream>,
    /// In order.
    stations: Vec<Name>,
    /// By stream and station.
    issues: Vec<Option<Forecast>>,
}

/// One issue for one station.
#[derive(Clone, Serialize)]
pub(crate) struct Forecast {
    pub(crate) stream: Name,
    pub(crate) key: Name,
    issued: Timestamp,
    /// Who foretells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Arc<str>>,
    /// In order of time.
    points: Vec<Foretold>,
}

/// When, the value, and where it lies between.
#[derive(Clone, Serialize)]
struct Foretold(Timestamp, f64, Option<f64>, Option<f64>);

impl Forecasts {
    pub(crate) fn new(registry: &Registry, streams: &[Stream]) -> Self {
        let streams: Vec<Stream> = streams.iter().filter(|stream| stream.forecast.is_some()).cloned().collect();
        let mut stations: Vec<Name> = registry.stations.iter().map(|station| station.id.clone()).collect();
        stations.sort();
        Self { issues: vec![None; streams.len() * stations.len()], streams, stations }
    }

    /// How many curves there may be.
    pub(crate) fn places(&self) -> usize {
        self.issues.len()
    }

    pub(crate) fn has(&self, stream: &Name) -> bool {
        self.streams.iter().any(|known| known.id == *stream)
    }

    /// The curves that there are.
    pub(crate) fn issues(&self) -> impl Iterator<Item = &Forecast> {
        self.issues.iter().flatten()
    }

    /// Takes a reading of a stream of forecasts; gives the place and the curve that it changes. One of an issue that was replaced changes
    /// none, nor does a station that the registry does not know, which no screen shows.
    pub(crate) fn take(&mut self, reading: &Reading) -> Option<(usize, &Forecast)> {
        let s = self.streams.iter().position(|known| known.id == reading.stream)?;
        let place = s * self.stations.len() + self.stations.binary_search(&reading.key).ok()?;
        let usable = |name: &str| reading.fields.iter().find(|field| field.name == *name && field.quality.flag != Flag::Bad);
        let number = |name: &str| usable(name).and_then(Field::number);
        let (issued, value) = (self.streams[s].issued(&reading.fields)?, number("value")?);
        let issue = &mut self.issues[place];
        if issue.as_ref().is_some_and(|known| known.issued > issued) {
            return None;
        }
        if issue.as_ref().is_none_or(|known| known.issued < issued) {
            let by = usable("by").and_then(|field| match &field.value {
                Value::Text(by) => Some(Arc::clone(by)),
                Value::Number(_) => None,
            });
            *issue = Some(Forecast { stream: reading.stream.clone(), key: reading.key.clone(), issued, by, points: Vec::new() });
        }
        let issue = issue.as_mut()?;
        let point = Foretold(reading.at, value, number("low"), number("high"));
        match issue.points.binary_search_by_key(&reading.at, |point| point.0) {
            Ok(known) => issue.points[known] = point,
            Err(next) if next < MOMENTS => issue.points.insert(next, point),
            Err(_) => return None,
        }
        issue.points.truncate(MOMENTS);
        Some((place, issue))
    }
}
