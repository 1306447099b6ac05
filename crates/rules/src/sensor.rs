//! What the engine knows of one key of one stream as a source of values: the trust in them, its watermark, its silence.

use std::sync::Arc;

use huong_types::{Name, Origin, Registry, Row, Span, Stream, Timestamp};

use crate::expr::{Cell, Kind};
use crate::quality::{Checks, Trust};

#[derive(Debug)]
pub(crate) struct Sensor {
    /// Its name, as a cell of each of its readings.
    pub(crate) key: Cell,
    /// The registry lists this stream for it: its silence matters.
    pub(crate) registered: bool,
    pub(crate) orphan: bool,
    pub(crate) facts: Arc<[Cell]>,
    pub(crate) trust: Trust,
    /// Event time of the newest reading with a usable value.
    pub(crate) newest: Option<Timestamp>,
    /// Nothing usable for so long is silence.
    pub(crate) silent_after: Span,
    /// Set while silent: since the newest usable reading, or since the start.
    pub(crate) silent_since: Option<Timestamp>,
    /// Its last usable cells, for silence rules with a condition.
    pub(crate) last: Box<[Cell]>,
    /// Its source has said that nothing will come: it is silent at once.
    pub(crate) gone: bool,
    /// When a silence whose condition does not hold was last looked at.
    pub(crate) looked: Timestamp,
    /// When the clock wakes it next, as the queue knows.
    pub(crate) scheduled: Timestamp,
}

/// The columns `station.*`: levels, labels, position, kind and ward of the registry row.
#[derive(Debug)]
pub(crate) struct Facts {
    names: Arc<[(Name, Kind)]>,
    nothing: Arc<[Cell]>,
}

impl Facts {
    pub(crate) fn new(levels: &[Name], labels: &[Name]) -> Self {
        let levels = levels.iter().map(|name| (name.clone(), Kind::Number));
        let labels = labels.iter().map(|name| (name.clone(), Kind::Text));
        let fixed = [("lat", Kind::Number), ("lon", Kind::Number), ("kind", Kind::Text), ("ward", Kind::Text)];
        let names: Arc<[_]> = levels.chain(labels).chain(fixed.map(|(name, kind)| (Name::new(name), kind))).collect();
        Self { nothing: vec![Cell::Null; names.len()].into(), names }
    }

    pub(crate) fn names(&self) -> &Arc<[(Name, Kind)]> {
        &self.names
    }

    /// Of what is no single row.
    pub(crate) fn nothing(&self) -> &Arc<[Cell]> {
        &self.nothing
    }

    pub(crate) fn of(&self, row: Option<&Row<'_>>) -> Arc<[Cell]> {
        let Some(row) = row else { return Arc::clone(&self.nothing) };
        let cell = |(name, kind): &(Name, Kind)| match (name.as_str(), kind) {
            ("lat", _) => Cell::Number(row.lat),
            ("lon", _) => Cell::Number(row.lon),
            ("kind", _) => Cell::Text(row.kind.into()),
            ("ward", _) => row.ward.map_or(Cell::Null, |ward| Cell::Text(ward.as_str().into())),
            (_, Kind::Number) => row.levels.get(name).map_or(Cell::Null, |level| Cell::Number(*level)),
            (_, Kind::Text) => row.labels.get(name).map_or(Cell::Null, |label| Cell::Text(label.as_str().into())),
        };
        self.names.iter().map(cell).collect()
    }
}

impl Sensor {
    pub(crate) fn new(key: &Name, spec: &Stream, registry: &Registry, facts: &Facts, checks: &Checks) -> Self {
        let row = registry.row(key);
        let listed = registry.station(key).is_some_and(|station| station.streams.contains(&spec.id));
        let seen = spec.origin == Origin::Vision && registry.camera(key).is_some();
        let registered = listed || seen;
        let period = row.filter(|_| registered).map(|row| row.period);
        Self {
            key: Cell::Text(key.as_str().into()),
            registered,
            orphan: row.is_none(),
            facts: facts.of(row.as_ref()),
            trust: checks.key(row),
            newest: None,
            silent_after: period.map_or(spec.gap, |period| Span::from_millis(period.as_millis() * i64::from(spec.silent_after_periods))),
            silent_since: None,
            last: Box::default(),
            gone: false,
            looked: Timestamp::MIN,
            scheduled: Timestamp::MAX,
        }
    }

    /// From when on its silence counts: its newest reading, but not sooner than the start: what was sent while we were away is
    /// still on its way.
    pub(crate) fn quiet_from(&self, started: Timestamp) -> Timestamp {
        if self.gone {
            return Timestamp::MIN;
        }
        self.newest.map_or(started, |newest| newest.max(started))
    }
}
