//! A rule about events close together: which clusters it has told, and how they become signals.

use std::collections::BTreeSet;

use huong_types::{Alert, Name, Signal, SignalKind, Span, Timestamp};

use crate::cluster::{Change, ChangeKind, ClusterSpec, Clusters};
use crate::engine::Out;
use crate::expr::{Cell, Row};
use crate::pause::Pause;
use crate::rule::{Judge, Rule};
use crate::stream::{StreamEngine, World, ctx};
use crate::template::Shown;
use crate::voice::{figures, names};

#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) rule: u32,
    pub(crate) clusters: Clusters,
    /// Raised and not cleared.
    told: BTreeSet<Name>,
    /// Raised before a restart; their events are too old to have been read again.
    strays: BTreeSet<Name>,
    /// The newest event, and how late it came: the clock runs this much ahead of it.
    newest: Timestamp,
    lag: Span,
    pub(crate) scheduled: Timestamp,
}

/// The columns of a cluster rule, in order.
pub(crate) const COLUMNS: [&str; 4] = ["n", "lat", "lon", "radius_m"];

impl ClusterState {
    pub(crate) fn of(i: u32, rule: &Rule) -> Option<Self> {
        matches!(rule.judge, Judge::Cluster { .. }).then(|| Self {
            rule: i,
            clusters: Clusters::new(),
            told: BTreeSet::new(),
            strays: BTreeSet::new(),
            newest: Timestamp::MIN,
            lag: Span::ZERO,
            scheduled: Timestamp::MAX,
        })
    }

    pub(crate) fn due(&self, disorder: Span, pause: Pause) -> Timestamp {
        let ends = self.clusters.next_deadline().map(|at| pause.due(at + self.lag + disorder));
        let stray = (!self.strays.is_empty()).then_some(Timestamp::MIN);
        stray.or(ends).unwrap_or(Timestamp::MAX)
    }

    /// After a restart: makes the clusters agree with the alert table.
    pub(crate) fn restore(&mut self, id: &Name, spec: &ClusterSpec, open: &[Alert]) {
        self.told.clear();
        self.strays.clear();
        let open = open.iter().filter(|alert| alert.rule == *id);
        self.clusters.restore(spec, &open.map(|alert| (&alert.key, alert.since)).collect::<Vec<_>>());
    }

    /// Makes what has been told agree with the alert table.
    pub(crate) fn remember(&mut self, id: &Name, open: &[Alert]) {
        for alert in open.iter().filter(|alert| alert.rule == *id) {
            if self.clusters.is_open(&alert.key) {
                self.told.insert(alert.key.clone());
            } else {
                self.strays.insert(alert.key.clone());
            }
        }
    }

    fn kind(&mut self, change: &Change) -> Option<SignalKind> {
        match change.kind {
            ChangeKind::Formed | ChangeKind::Grown if self.told.insert(change.id.clone()) => Some(SignalKind::Raise { since: change.at }),
            ChangeKind::Formed | ChangeKind::Grown => Some(SignalKind::Update),
            ChangeKind::Ended => self.told.remove(&change.id).then_some(SignalKind::Clear),
        }
    }
}

impl StreamEngine {
    /// Takes the event at hand to every cluster rule.
    pub(crate) fn judge_clusters(&mut self, at: Timestamp, now: Timestamp, world: &World, out: &mut Out) {
        for c in 0..self.clusters.len() {
            let Self { spec, rules, groups, clusters, cells, .. } = self;
            let state = &mut clusters[c];
            let rule = &rules[state.rule as usize];
            let Judge::Cluster { spec: cluster, lat, lon, class } = &rule.judge else { continue };
            let filter = rule.filter.map(|filter| &groups[rule.group].filters[filter].condition);
            let taken = filter.is_none_or(|filter| filter.eval(Row { own: cells, facts: world.facts.nothing(), extra: &[] }) == Some(true));
            let (Cell::Number(latitude), Cell::Number(longitude), true) = (cells[*lat].clone(), cells[*lon].clone(), taken) else {
                continue;
            };
            let class = match class.map(|class| &cells[class]) {
                None => "",
                Some(Cell::Text(text)) => &**text,
                Some(_) => continue,
            };
            if at >= state.newest {
                state.newest = at.min(now);
                state.lag = now.since(state.newest);
            }
            let mut changes = Vec::new();
            state.clusters.on_event(cluster, at, latitude, longitude, class, &mut changes);
            tell(state, rule, &changes, spec, world, out);
            self.wake_cluster(c as u32);
        }
    }

    /// The clock has moved: clusters without enough events end.
    pub(crate) fn expire_clusters(&mut self, c: u32, now: Timestamp, world: &World, out: &mut Out) {
        let Self { spec, rules, clusters, pause, .. } = self;
        let state = &mut clusters[c as usize];
        let rule = &rules[state.rule as usize];
        let Judge::Cluster { spec: cluster, .. } = &rule.judge else { return };
        for stray in std::mem::take(&mut state.strays) {
            out.signals.push(rule.bare_signal(&stray, now, SignalKind::Clear));
        }
        let mut changes = Vec::new();
        state.clusters.expire(cluster, pause.clock(now) - state.lag - spec.disorder, &mut changes);
        tell(state, rule, &changes, spec, world, out);
        self.wake_cluster(c);
    }
}

fn tell(state: &mut ClusterState, rule: &Rule, changes: &[Change], stream: &huong_types::Stream, world: &World, out: &mut Out) {
    for change in changes {
        let Some(kind) = state.kind(change) else { continue };
        let own = [f64::from(change.n), change.lat, change.lon, change.radius_m].map(Cell::Number);
        let extra = rule.extras.fill(&change.id, change.at, &world.board, &world.registry, None);
        let row = Row { own: &own, facts: world.facts.nothing(), extra: &extra };
        let name = names(&change.id, ctx(stream, world));
        let text = rule.render(kind, &Shown { name, key: &change.id, at: change.at, flags: &[] }, row);
        out.signals.push(Signal {
            rule: rule.info.id.clone(),
            key: change.id.clone(),
            at: change.at,
            kind,
            values: figures(&rule.shown, &own),
            text,
            cause: Vec::new(),
        });
    }
}
