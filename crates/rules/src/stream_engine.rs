//! The rules and keys of one stream.
//!
//! Invariant: a condition sees usable values only. A field that is missing, suspect, bad or late is NULL to it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use huong_types::{Alert, Check, Flag, Name, Origin, Reading, Registry, Signal, SignalKind, Span, Stream, Timestamp};

use crate::engine::{Orphan, Verdict};
use crate::keys::Key;
use crate::life::Judgement;
use crate::panes::Closed;
use crate::quality::{Arrival, Checks};
use crate::rule::{Judge, Rule, Shown};
use crate::sql::Columns;

/// Keys that the registry does not know and that are judged all the same, per stream: bounds what hostile ids can cost.
const MOST_ORPHANS: usize = 10_000;

#[derive(Debug)]
pub(crate) struct StreamEngine {
    spec: Stream,
    checks: Checks,
    registry: Arc<Registry>,
    /// The judged fields, in order.
    fields: Vec<Name>,
    levels: Vec<Name>,
    /// `fields` and the levels of the registry row.
    columns: Columns,
    rules: Vec<Rule>,
    windows: usize,
    keys: Vec<Key>,
    index: HashMap<Name, usize>,
    orphans: usize,
    unjudged: u64,
    /// Scratch: the usable values of the reading at hand.
    values: Vec<Option<f64>>,
    /// Scratch: its flagged values, by field position.
    flagged: Vec<(usize, f64, Check)>,
}

impl StreamEngine {
    pub(crate) fn new(spec: Stream, registry: Arc<Registry>, columns: Columns, levels: Vec<Name>, rules: Vec<Rule>) -> Self {
        let fields = columns.own().to_vec();
        let windows = rules.iter().filter(|rule| matches!(rule.judge, Judge::Window { .. })).count();
        let values = vec![None; fields.len()];
        let (keys, index, flagged) = (Vec::new(), HashMap::new(), Vec::new());
        let checks = Checks::new(&spec);
        let mut stream =
            Self { spec, checks, registry, fields, levels, columns, rules, windows, keys, index, orphans: 0, unjudged: 0, values, flagged };
        let registry = Arc::clone(&stream.registry);
        let ids: Vec<&Name> = match stream.spec.origin {
            Origin::Sensor | Origin::Derived => {
                registry.stations.iter().filter(|s| s.streams.contains(&stream.spec.id)).map(|s| &s.id).collect()
            }
            Origin::Vision => registry.cameras.iter().map(|c| &c.id).collect(),
        };
        for id in ids {
            stream.add_key(id);
        }
        stream
    }

    pub(crate) fn id(&self) -> &Name {
        &self.spec.id
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn longest_silence(&self) -> Option<Span> {
        self.keys.iter().map(|key| key.silent_after).max()
    }

    pub(crate) fn orphans(&self) -> impl Iterator<Item = Orphan> + '_ {
        let unknown = self.keys.iter().filter(|key| key.is_orphan());
        unknown.map(|key| Orphan { stream: self.spec.id.clone(), key: key.id.clone() })
    }

    pub(crate) fn unjudged_orphans(&self) -> u64 {
        self.unjudged
    }

    pub(crate) fn deadline(&self, started: Timestamp) -> Option<Timestamp> {
        self.keys.iter().filter_map(|key| self.key_deadline(key, started)).min()
    }

    /// The verdict, and when a tick is due because of this reading.
    pub(crate) fn on_reading(
        &mut self,
        reading: &mut Reading,
        now: Timestamp,
        started: Timestamp,
        out: &mut Vec<Signal>,
    ) -> (Verdict, Option<Timestamp>) {
        let Some(k) = self.index.get(&reading.key).copied().or_else(|| self.add_key(&reading.key)) else {
            self.unjudged += 1;
            return (Verdict::History, None);
        };
        let (verdict, gap) = self.check(k, reading, now);
        if verdict != Verdict::Judged {
            return (verdict, None);
        }
        if self.values.iter().any(Option::is_some) {
            self.keys[k].heard(reading.at, now);
            self.freshen(k, reading.at, now, out);
            self.judge_reading(k, reading.at, gap, out);
            self.judge_windows(k, reading.at, gap, out);
        }
        self.judge_suspicion(k, reading.at, out);
        (verdict, self.key_deadline(&self.keys[k], started))
    }

    pub(crate) fn on_tick(&mut self, now: Timestamp, started: Timestamp, out: &mut Vec<Signal>) {
        self.close_windows(now, out);
        self.end_delays(now, out);
        self.notice_silence(now, started, out);
    }

    pub(crate) fn restore(&mut self, open: &[Alert]) {
        for key in &mut self.keys {
            key.rules.iter_mut().for_each(|rule| rule.life.reset());
        }
        for alert in open {
            let Some(i) = self.rules.iter().position(|rule| rule.info.id == alert.rule) else { continue };
            let Some(k) = self.index.get(&alert.key).copied().or_else(|| self.add_key(&alert.key)) else { continue };
            let state = &mut self.keys[k].rules[i];
            state.life.restore(alert.since, alert.holds, alert.stale_since.is_some(), alert.updated);
            state.told = alert.values.clone();
        }
    }

    /// `None` when there are too many unknown keys already.
    fn add_key(&mut self, id: &Name) -> Option<usize> {
        let row = self.registry.row(id);
        if row.is_none() {
            if self.orphans == MOST_ORPHANS {
                return None;
            }
            self.orphans += 1;
        }
        let key = Key::new(id.clone(), row, &self.spec, self.checks.key(row), &self.levels, self.rules.len(), self.windows);
        self.keys.push(key);
        self.index.insert(id.clone(), self.keys.len() - 1);
        Some(self.keys.len() - 1)
    }

    fn key_deadline(&self, key: &Key, started: Timestamp) -> Option<Timestamp> {
        key.deadline(started, self.spec.disorder, |i, life| life.matures(&self.rules[i].timing))
    }

    /// Sets the quality of every judged field; leaves usable values in `values` and doubtful ones in `flagged`.
    fn check(&mut self, k: usize, reading: &mut Reading, now: Timestamp) -> (Verdict, bool) {
        self.values.fill(None);
        self.flagged.clear();
        let Arrival { verdict, gap } = self.checks.judge(k, &mut self.keys[k].trust, reading, now);
        for field in &reading.fields {
            let Some(position) = self.fields.iter().position(|name| *name == field.name) else { continue };
            let Some(value) = field.number() else { continue };
            match field.quality.flag {
                Flag::Ok | Flag::Gap => self.values[position] = Some(value),
                Flag::Suspect | Flag::Bad => self.flagged.extend(field.quality.check.map(|check| (position, value, check))),
                Flag::Late => {}
            }
        }
        (verdict, gap)
    }

    /// Ends the silence of a key, unless what arrived is itself too old to speak of now.
    fn freshen(&mut self, k: usize, at: Timestamp, now: Timestamp, out: &mut Vec<Signal>) {
        let Self { keys, rules, columns, .. } = self;
        let key = &mut keys[k];
        if key.newest.is_none_or(|newest| now >= newest + key.silent_after) {
            return;
        }
        key.silent_since = None;
        for (i, rule) in rules.iter().enumerate() {
            let life = &mut key.rules[i].life;
            if life.stale {
                life.stale = false;
                out.push(rule.bare_signal(key, at, SignalKind::Fresh));
            }
        }
        for (i, rule) in rules.iter().enumerate() {
            if matches!(rule.judge, Judge::Silence) && key.rules[i].life.is_raised() {
                // The silence was noticed by the clock; what ends it may be dated before that moment.
                let at = at.max(key.rules[i].life.judged() + Span::from_millis(1));
                let over = Judgement { at, when: Some(false), clear: Some(true), may_clear: true };
                let Some(row) = reading_row(columns, key, &[]) else { continue };
                rule.apply(i, key, over, Shown { row: &row, flags: &[] }, out);
            }
        }
    }

    fn judge_reading(&mut self, k: usize, at: Timestamp, gap: bool, out: &mut Vec<Signal>) {
        let Self { keys, rules, columns, values, .. } = self;
        let key = &mut keys[k];
        let mut row = None;
        for (i, rule) in rules.iter().enumerate() {
            let Judge::Reading(conditions) = &rule.judge else { continue };
            if row.is_none() {
                row = reading_row(columns, key, values);
            }
            let Some(row) = &row else { return };
            for (when, clear) in conditions.evaluate(row) {
                let judgement = Judgement { at, when, clear, may_clear: !gap };
                rule.apply(i, key, judgement, Shown { row, flags: &[] }, out);
            }
        }
    }

    fn judge_windows(&mut self, k: usize, at: Timestamp, gap: bool, out: &mut Vec<Signal>) {
        let Self { keys, rules, values, spec, .. } = self;
        for (i, rule) in rules.iter().enumerate() {
            let Judge::Window { window, early, place, .. } = &rule.judge else { continue };
            let key = &mut keys[k];
            let watermark = key.watermark(spec.disorder);
            let mut closed = Vec::new();
            key.panes[*place].add(*window, at, values, gap);
            key.panes[*place].close(*window, watermark, |window| closed.push((k, window)));
            let open = if *early { key.panes[*place].open(*window) } else { None };
            // What an open window gives is known as of the newest reading.
            let open = open.zip(key.newest).map(|(window, newest)| (k, Closed { end: newest, ..window }));
            closed.extend(open);
            judge_closed(rule, i, keys, closed, out);
        }
    }

    fn judge_suspicion(&mut self, k: usize, at: Timestamp, out: &mut Vec<Signal>) {
        let Self { keys, rules, columns, values, flagged, fields, .. } = self;
        let key = &mut keys[k];
        for (i, rule) in rules.iter().enumerate() {
            if !matches!(rule.judge, Judge::Suspect)
                || (flagged.is_empty() && !key.rules[i].life.is_raised() && !key.rules[i].life.is_pending())
            {
                continue;
            }
            let doubtful = !flagged.is_empty();
            // The text shows what was sent, trusted or not.
            let mut shown = values.clone();
            for (position, value, _) in flagged.iter() {
                shown[*position] = Some(*value);
            }
            let flags: Vec<(&str, f64, Check)> =
                flagged.iter().map(|(position, value, check)| (fields[*position].as_str(), *value, *check)).collect();
            let Some(row) = reading_row(columns, key, &shown) else { continue };
            let judgement = Judgement { at, when: Some(doubtful), clear: Some(!doubtful), may_clear: true };
            rule.apply(i, key, judgement, Shown { row: &row, flags: &flags }, out);
        }
    }

    fn close_windows(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        let Self { keys, rules, spec, .. } = self;
        for (i, rule) in rules.iter().enumerate() {
            let Judge::Window { window, place, .. } = &rule.judge else { continue };
            let mut closed = Vec::new();
            for (k, key) in keys.iter_mut().enumerate() {
                let watermark = key.clock_watermark(spec.disorder, now);
                key.panes[*place].close(*window, watermark, |window| closed.push((k, window)));
            }
            closed.sort_by_key(|(k, window)| (window.end, *k));
            judge_closed(rule, i, keys, closed, out);
        }
    }

    fn end_delays(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        let Self { keys, rules, spec, .. } = self;
        for (i, rule) in rules.iter().enumerate() {
            for key in keys.iter_mut() {
                let known = key.clock_watermark(spec.disorder, now);
                let Some((at, kind)) = key.rules[i].life.mature(known, &rule.timing) else { continue };
                let Some(row) = key.rules[i].pending.take() else { continue };
                rule.tell(i, key, at, kind, Shown { row: &row, flags: &[] }, out);
            }
        }
    }

    fn notice_silence(&mut self, now: Timestamp, started: Timestamp, out: &mut Vec<Signal>) {
        let Self { keys, rules, columns, .. } = self;
        for key in keys.iter_mut() {
            let Some(deadline) = key.silent_at(started).filter(|deadline| now >= *deadline) else { continue };
            let since = key.newest.unwrap_or(started);
            key.silent_since = Some(since);
            for (i, rule) in rules.iter().enumerate() {
                let life = &mut key.rules[i].life;
                if life.is_raised() && !life.stale && !matches!(rule.judge, Judge::Silence) {
                    life.stale = true;
                    out.push(rule.bare_signal(key, deadline, SignalKind::Stale { since }));
                }
            }
            for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| matches!(rule.judge, Judge::Silence)) {
                let Some(row) = reading_row(columns, key, &[]) else { continue };
                let silent = Judgement { at: deadline, when: Some(true), clear: Some(false), may_clear: false };
                rule.apply(i, key, silent, Shown { row: &row, flags: &[] }, out);
            }
        }
    }
}

/// One row of the stream's columns; fields beyond `values` are NULL.
fn reading_row(columns: &Columns, key: &Key, values: &[Option<f64>]) -> Option<RecordBatch> {
    let fields = (0..columns.own().len()).map(|i| Arc::new(Float64Array::from(vec![values.get(i).copied().flatten()])) as ArrayRef);
    columns.batch(fields, &key.station, 1)
}

/// Judges closed windows of any keys in one batch.
fn judge_closed(rule: &Rule, i: usize, keys: &mut [Key], closed: Vec<(usize, Closed)>, out: &mut Vec<Signal>) {
    let Judge::Window { select, conditions, .. } = &rule.judge else { return };
    if closed.is_empty() {
        return;
    }
    let (owners, windows): (Vec<usize>, Vec<Closed>) = closed.into_iter().unzip();
    let levels = keys[owners[0]].levels.len();
    let station = (0..levels).map(|level| Arc::new(owners.iter().map(|k| keys[*k].levels[level]).collect::<Float64Array>()) as ArrayRef);
    let Some(batch) = select.batch(&windows, &station.collect::<Vec<_>>()) else { return };
    for (row, (when, clear)) in conditions.evaluate(&batch).into_iter().enumerate() {
        let closed = &windows[row];
        if closed.open && when != Some(true) {
            continue;
        }
        let judgement = Judgement { at: closed.end, when, clear, may_clear: closed.may_clear };
        rule.apply(i, &mut keys[owners[row]], judgement, Shown { row: &batch.slice(row, 1), flags: &[] }, out);
    }
}
