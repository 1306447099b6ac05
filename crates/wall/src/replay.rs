//! A stretch of the past in the words of the live stream, so that the page plays it by the code that plays the present.
//!
//! Invariant: put together beside the hub: hours of readings delay no screen.

use std::collections::BTreeMap;

use huong_types::{Reading, Span, Timestamp};

use crate::assets;
use crate::hub::{advice_of, shown};
use crate::model::{Backend, Figures, Past, WallClock};
use crate::view::{Moment, Places, Replay, Scene, Snapshot, Step, ValueView};

/// What changed is told in steps of this length.
const MOMENT: Span = Span::from_secs(10);

/// The snapshot at `from`, then what changed, as JSON.
pub(crate) fn replay(places: &Places, past: &Past, backend: &dyn Backend, from: Timestamp) -> serde_json::Result<Vec<u8>> {
    let (scene, figures) = (Scene::default(), Figures::default());
    let rules = past.alerts.iter().map(|alert| &alert.rule).chain(past.steps.iter().map(|step| &step.alert.rule));
    let advice = advice_of(rules, backend);
    let mut forecasts = places.forecasts.clone();
    let (known, later) = past.forecasts.split_at(past.forecasts.partition_point(|reading| reading.received <= from));
    for reading in known {
        forecasts.take(reading);
    }
    let then = forecasts.clone();
    let mut foretold = BTreeMap::new();
    for reading in later {
        if let Some((place, forecast)) = forecasts.take(reading) {
            foretold.insert((reading.received.floor(MOMENT), place), forecast.clone());
        }
    }
    // A forecast is dated when it is of, not when it came.
    let measured = |reading: &&Reading| !forecasts.has(&reading.stream);
    let snapshot = Snapshot {
        scene: &scene,
        build: assets::build(),
        seq: 0,
        clock: WallClock { now: from, rate: 0.0 },
        places,
        alerts: past.alerts.iter().collect(),
        advice: &advice,
        values: past.values.iter().filter(measured).map(ValueView::from).collect(),
        forecasts: then.issues().collect(),
        camera_states: Vec::new(),
        figures: &figures,
        accounts: Vec::new(),
    };
    let mut moments: BTreeMap<Timestamp, Moment> = BTreeMap::new();
    for step in past.steps.iter().filter(|step| shown(step)) {
        let at = step.decided.floor(MOMENT);
        moments.entry(at).or_insert_with(|| Moment::new(at)).alerts.push(Step::from(step));
    }
    for reading in past.readings.iter().filter(measured) {
        let at = reading.at.floor(MOMENT);
        moments.entry(at).or_insert_with(|| Moment::new(at)).values.push(ValueView::from(reading));
    }
    for ((at, _), forecast) in &foretold {
        moments.entry(*at).or_insert_with(|| Moment::new(*at)).forecasts.push(forecast);
    }
    serde_json::to_vec(&Replay { snapshot, deltas: moments.into_values().collect() })
}
