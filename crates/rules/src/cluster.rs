//! Events close together in space and time: at least N within R metres of one of them within T.
//!
//! A cluster is a disc of R metres around the event that founded it. Events inside of it join while it is open, others do not: were a
//! member of a member to join too, a hundred calls from a flooded city would be one cluster as wide as the city.
//!
//! Invariants: an event is in at most one cluster. A cluster is open while N of its members lie within T; it ends at the moment that
//! stops, and what is left of it may found another. Among the events in no cluster there are never N that could.
//!
//! Order of arrival: a cluster forms at once when its N-th event is here, nothing waits for stragglers. Whether any forms where discs
//! overlap does not depend on who came first within the stream's disorder; nor, for events that all lie within R of each other, when
//! the last cluster ends and what is left of it. What does depend on it: which event founds a cluster, so the alert's key and how
//! overlapping discs share the events, and whether a lull between two clusters that is shorter than the disorder is told at all.

use std::collections::BTreeMap;

use huong_types::{Name, Span, Timestamp, geo};

/// Events kept by one rule. One too many is not judged, and counted.
const MOST_EVENTS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClusterSpec {
    pub(crate) events: u32,
    pub(crate) radius_m: f64,
    pub(crate) within: Span,
}

/// The clusters of one rule.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    classes: BTreeMap<Name, Class>,
    kept: usize,
    ignored: u64,
    /// Serial of the next cluster.
    next: u64,
    /// What is older than `within` before this is forgotten.
    watermark: Option<Timestamp>,
    /// When the oldest event has been kept for twice as long as it counts.
    forget: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// `<class>@16.4640,107.5950`: where the founding event was, to about ten metres.
    pub(crate) id: Name,
    pub(crate) kind: ChangeKind,
    /// Event time.
    pub(crate) at: Timestamp,
    /// Members within the last T before `at`.
    pub(crate) n: u32,
    /// Their mean position.
    pub(crate) lat: f64,
    pub(crate) lon: f64,
    /// Distance of the farthest of them from that.
    pub(crate) radius_m: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Formed,
    /// Another event joined.
    Grown,
    Ended,
}

/// The events of one class.
#[derive(Debug, Default)]
struct Class {
    /// In order of time, then place.
    events: Vec<Event>,
    /// In order of formation.
    open: Vec<Cluster>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: Timestamp,
    place: (f64, f64),
    /// The serial of its cluster.
    cluster: Option<u64>,
}

#[derive(Debug)]
struct Cluster {
    serial: u64,
    id: Name,
    centre: (f64, f64),
    formed: Timestamp,
    /// When fewer than N are left.
    end: Timestamp,
}

impl ClusterSpec {
    /// An error names what was found and what was expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.events < 2 {
            return Err(format!("events = {}, expected at least 2", self.events));
        }
        if self.events as usize > MOST_EVENTS {
            return Err(format!("events = {}, expected at most {MOST_EVENTS}", self.events));
        }
        // Ids are told apart to some ten metres; a flat map is good enough up to some tens of kilometres.
        if !(20.0..=50_000.0).contains(&self.radius_m) {
            return Err(format!("radius_m = {}, expected 20 to 50000", self.radius_m));
        }
        if self.within <= Span::ZERO {
            return Err(format!("within = `{}`, expected longer than nothing", self.within));
        }
        Ok(())
    }

    fn near(&self, a: (f64, f64), b: (f64, f64)) -> bool {
        // Cheap, and true of every pair that is near: a degree of latitude has at least 110 km.
        (a.0 - b.0).abs() * 110_000.0 <= self.radius_m && geo::distance_m(a, b) <= self.radius_m
    }
}

impl Clusters {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes an occurrence; what it changes goes to `out`.
    pub(crate) fn on_event(&mut self, spec: &ClusterSpec, at: Timestamp, lat: f64, lon: f64, class: &str, out: &mut Vec<Change>) {
        if self.watermark.is_some_and(|watermark| at <= watermark - spec.within) {
            return;
        }
        if self.kept == MOST_EVENTS {
            self.ignored += 1;
            return;
        }
        self.kept += 1;
        let forget = at + spec.within + spec.within;
        self.forget = Some(self.forget.map_or(forget, |known| known.min(forget)));
        let name = self.classes.get_key_value(class).map_or_else(|| Name::new(class), |(name, _)| name.clone());
        let state = self.classes.entry(name).or_default();
        let place = (lat, lon);
        state.insert(at, place);
        let joins = state.open.iter().filter(|cluster| cluster.takes(spec, at, place));
        let nearest = joins.min_by(|a, b| geo::distance_m(a.centre, place).total_cmp(&geo::distance_m(b.centre, place)));
        match nearest.map(|cluster| cluster.serial) {
            Some(serial) => {
                state.absorb(spec, serial);
                out.extend(state.open.iter().find(|c| c.serial == serial).map(|c| state.tell(spec, c, ChangeKind::Grown)));
            }
            None => state.form(spec, class, place, &mut self.next, out),
        }
    }

    /// Lets event time pass: everything up to `watermark` is known.
    pub(crate) fn expire(&mut self, spec: &ClusterSpec, watermark: Timestamp, out: &mut Vec<Change>) {
        if self.watermark.is_some_and(|known| watermark <= known) {
            return;
        }
        self.watermark = Some(watermark);
        self.classes.retain(|class, state| {
            state.expire(spec, watermark, class, &mut self.next, out);
            !state.events.is_empty()
        });
        self.kept = self.classes.values().map(|class| class.events.len()).sum();
        let oldest = self.classes.values().filter_map(|class| class.events.first()).map(|event| event.at).min();
        self.forget = oldest.map(|at| at + spec.within + spec.within);
    }

    /// The event time up to which `expire` may wait: a cluster ends, or events are to be forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let ends = self.classes.values().flat_map(|class| &class.open).map(|cluster| cluster.end);
        ends.chain(self.forget).min()
    }

    /// After a restart: the clusters that were told, by id and onset, instead of those that the events read again have founded. What
    /// is known of their centres is the id, to some ten metres.
    pub(crate) fn restore(&mut self, spec: &ClusterSpec, told: &[(&Name, Timestamp)]) {
        for state in self.classes.values_mut() {
            state.open.clear();
            state.events.iter_mut().for_each(|event| event.cluster = None);
        }
        for (id, formed) in told {
            let Some((class, centre)) = parse(id) else { continue };
            let Some(state) = self.classes.get_mut(class) else { continue };
            let near = state.events.iter().rev().filter(|event| event.cluster.is_none() && spec.near(event.place, centre));
            let Some(end) = near.map(|event| event.at).nth(spec.events as usize - 1).map(|nth| nth + spec.within) else { continue };
            let serial = self.next;
            self.next += 1;
            state.open.push(Cluster { serial, id: (*id).clone(), centre, formed: *formed, end });
            state.absorb(spec, serial);
        }
    }

    /// Events kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// Whether a cluster of this id is open.
    pub(crate) fn is_open(&self, id: &Name) -> bool {
        self.classes.values().flat_map(|class| &class.open).any(|cluster| cluster.id == *id)
    }

    /// Events that were not judged because too many were kept already.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored
    }
}

/// Class and centre.
fn parse(id: &Name) -> Option<(&str, (f64, f64))> {
    let (class, place) = id.rsplit_once('@')?;
    let (lat, lon) = place.split_once(',')?;
    Some((class, (lat.parse().ok()?, lon.parse().ok()?)))
}

impl Cluster {
    /// Whether an event at this time and place is a member.
    fn takes(&self, spec: &ClusterSpec, at: Timestamp, place: (f64, f64)) -> bool {
        at < self.end && at > self.formed - spec.within && spec.near(self.centre, place)
    }
}

impl Class {
    fn insert(&mut self, at: Timestamp, place: (f64, f64)) {
        let before = |event: &Event| {
            let places = event.place.0.total_cmp(&place.0).then(event.place.1.total_cmp(&place.1));
            event.at.cmp(&at).then(places).is_le()
        };
        // Nearly always at the end.
        let position = self.events.partition_point(before);
        self.events.insert(position, Event { at, place, cluster: None });
    }

    /// Takes every free event into the open cluster that it takes, and moves its end, until nothing changes.
    fn absorb(&mut self, spec: &ClusterSpec, serial: u64) {
        let Self { events, open } = self;
        let Some(cluster) = open.iter_mut().find(|cluster| cluster.serial == serial) else { return };
        loop {
            let free = events.iter_mut().filter(|event| event.cluster.is_none());
            let joining = free.filter(|event| cluster.takes(spec, event.at, event.place));
            let joined = joining.map(|event| event.cluster = Some(serial)).count();
            let mut members = events.iter().rev().filter(|event| event.cluster == Some(serial));
            if let Some(nth) = members.nth(spec.events as usize - 1) {
                cluster.end = nth.at + spec.within;
            }
            if joined == 0 {
                return;
            }
        }
    }

    /// Forms what clusters the free events around `place` can.
    fn form(&mut self, spec: &ClusterSpec, class: &str, place: (f64, f64), next: &mut u64, out: &mut Vec<Change>) {
        loop {
            let free = || self.events.iter().filter(|event| event.cluster.is_none());
            // Around a centre that is still open its successor waits for the end, lest two bear one name.
            let centres = free().filter(|event| spec.near(event.place, place));
            let centres = centres.filter(|event| !self.open.iter().any(|cluster| spec.near(cluster.centre, event.place)));
            let found = centres.filter_map(|centre| {
                let times: Vec<Timestamp> = free().filter(|event| spec.near(event.place, centre.place)).map(|event| event.at).collect();
                let few = times.windows(spec.events as usize).map(|few| (few[0], few[few.len() - 1]));
                let (_, formed) = few
                    .filter(|(first, last)| (*first..=*last).contains(&centre.at))
                    .find(|(first, last)| last.since(*first) < spec.within)?;
                Some((times.len(), formed, centre.place))
            });
            // The fullest; of equals, the first.
            let Some((_, formed, centre)) = found.reduce(|best, other| if other.0 > best.0 { other } else { best }) else { return };
            let id = Name::from(format!("{class}@{:.4},{:.4}", centre.0, centre.1));
            let serial = *next;
            *next += 1;
            // The N that found it are in time for any end.
            self.open.push(Cluster { serial, id, centre, formed, end: formed + Span::from_millis(1) });
            self.absorb(spec, serial);
            out.extend(self.open.last().map(|cluster| self.tell(spec, cluster, ChangeKind::Formed)));
        }
    }

    fn expire(&mut self, spec: &ClusterSpec, watermark: Timestamp, class: &str, next: &mut u64, out: &mut Vec<Change>) {
        loop {
            let over = self.open.iter().enumerate().filter(|(_, cluster)| cluster.end <= watermark);
            let Some((i, _)) = over.min_by_key(|(_, cluster)| (cluster.end, cluster.serial)) else { break };
            let cluster = self.open.remove(i);
            out.push(self.tell(spec, &cluster, ChangeKind::Ended));
            self.events.retain(|event| event.cluster != Some(cluster.serial) || event.at > cluster.end - spec.within);
            self.events.iter_mut().filter(|event| event.cluster == Some(cluster.serial)).for_each(|event| event.cluster = None);
            // What is left may found another together with what came since.
            let freed: Vec<(f64, f64)> = self.events.iter().filter(|e| e.cluster.is_none()).map(|e| e.place).collect();
            for place in freed.into_iter().filter(|place| geo::distance_m(*place, cluster.centre) <= 2.0 * spec.radius_m) {
                self.form(spec, class, place, next, out);
            }
        }
        self.events.retain(|event| event.at > watermark - spec.within);
    }

    /// The figures of a cluster: those of an end are as of the end, others as of the newest member.
    fn tell(&self, spec: &ClusterSpec, cluster: &Cluster, kind: ChangeKind) -> Change {
        let members = || self.events.iter().filter(|event| event.cluster == Some(cluster.serial));
        let newest = members().next_back().map_or(cluster.formed, |event| event.at);
        let at = if kind == ChangeKind::Ended { cluster.end } else { newest };
        let live = || members().filter(|event| event.at > at - spec.within && event.at <= at);
        let n = live().count();
        let mean = |of: fn(&Event) -> f64, none: f64| if n == 0 { none } else { live().map(of).sum::<f64>() / n as f64 };
        let (lat, lon) = (mean(|e| e.place.0, cluster.centre.0), mean(|e| e.place.1, cluster.centre.1));
        let radius_m = live().map(|event| geo::distance_m(event.place, (lat, lon))).fold(0.0, f64::max);
        Change { id: cluster.id.clone(), kind, at, n: u32::try_from(n).unwrap_or(u32::MAX), lat, lon, radius_m }
    }
}

#[cfg(test)]
mod tests;
