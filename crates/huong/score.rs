//! Replaying a published flood and scoring its alarms against the crossings and notices of the time.
//!
//! A level alarm is right when it comes inside the interval between the last reading below and the first at or above the
//! level. A crossing that no published reading shows rests on words alone and is printed as such, never counted as found.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use huong_types::{Field, Name, Origin, Reading, Registry, Span, Station, Timestamp, Transition, TransitionKind, local_date_time};
use serde::Deserialize;

/// Qualities of rows that a replay believes.
const BELIEVED: [&str; 3] = ["ok", "derived", "approx_time"];

/// One published observation.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    ts_local: String,
    station: String,
    kind: String,
    value: f64,
    /// Of a rain total: over how many hours.
    #[serde(default)]
    interval_h: Option<f64>,
    #[serde(default)]
    quality: String,
}

#[derive(Debug, Deserialize)]
struct CrossingRow {
    station: String,
    level: String,
    direction: String,
    last_ts_before: String,
    first_ts_after: String,
}

#[derive(Debug, Deserialize)]
struct NoticeRow {
    issued_ts_local: String,
    issuer: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    level: String,
    #[serde(default)]
    expected_value: String,
    #[serde(default)]
    flow_from_m3s: Option<f64>,
    #[serde(default)]
    flow_to_m3s: Option<f64>,
}

/// One time a station passed one alarm level.
#[derive(Debug)]
pub(crate) struct Crossing {
    pub(crate) station: String,
    pub(crate) key: Name,
    /// `BĐ1` to `BĐ3`.
    pub(crate) level: String,
    pub(crate) up: bool,
    /// Last reading before, first reading after; `None` when no reading is published.
    pub(crate) interval: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) issued: Timestamp,
    issuer: String,
    pub(crate) kind: String,
    /// Stations, rivers or reservoirs.
    pub(crate) subject: String,
    /// As printed: `BĐ3`, `>BĐ2`, `<BĐ3`, ...
    pub(crate) level: String,
    /// The lowest level expected, m, when a figure is given.
    pub(crate) expected: Option<f64>,
    /// By how much a release is raised, m³/s.
    pub(crate) release_step: Option<f64>,
}

/// Which rows to feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// Those that are believed, as published.
    Published,
    /// The same with a straight line drawn through rows at most [`MAX_GAP`] apart, every 10 minutes.
    Interpolated,
    /// As published, with the proven misprints among them, in the order of the file.
    WithMisprints,
}

/// A straight line says nothing about what a river did over more than two days.
const MAX_GAP: Span = Span::from_mins(48 * 60);
const STEP: Span = Span::from_mins(10);

/// The outcome of one pass.
#[derive(Debug, Default)]
pub(crate) struct Score {
    pub(crate) text: String,
    pub(crate) found: usize,
    pub(crate) words_only: usize,
    pub(crate) missed: usize,
    pub(crate) left_over: usize,
    /// (station key, level, event time) of every time a level alarm came on.
    pub(crate) onsets: Vec<(Name, String, Timestamp)>,
}

pub(crate) fn read_rows(path: &Path) -> Result<Vec<Row>> {
    read_csv(path)
}

pub(crate) fn read_crossings(path: &Path, registry: &Registry) -> Result<Vec<Crossing>> {
    let rows: Vec<CrossingRow> = read_csv(path)?;
    rows.into_iter()
        .map(|row| {
            let up = match row.direction.as_str() {
                "up" => true,
                "down" => false,
                other => bail!("{}: direction: found `{other}`, expected `up` or `down`", path.display()),
            };
            let interval = match (row.last_ts_before.as_str(), row.first_ts_after.as_str()) {
                ("", _) | (_, "") => None,
                (before, after) => Some((time(path, before)?, time(path, after)?)),
            };
            Ok(Crossing { key: key_of(registry, &row.station, "water_level"), station: row.station, level: row.level, up, interval })
        })
        .collect()
}

pub(crate) fn read_notices(path: &Path) -> Result<Vec<Notice>> {
    let rows: Vec<NoticeRow> = read_csv(path)?;
    rows.into_iter()
        .map(|row| {
            let issued = time(path, &row.issued_ts_local)?;
            let first = row.expected_value.split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default();
            let release_step = row.flow_to_m3s.zip(row.flow_from_m3s).map(|(to, from)| to - from);
            Ok(Notice {
                issued,
                issuer: row.issuer,
                kind: row.kind,
                subject: row.subject,
                level: row.level,
                expected: first.parse().ok(),
                release_step,
            })
        })
        .collect()
}

fn read_csv<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    reader.deserialize().collect::<Result<_, _>>().with_context(|| format!("cannot read {}", path.display()))
}

fn time(path: &Path, text: &str) -> Result<Timestamp> {
    Timestamp::parse_rfc3339(text)
        .with_context(|| format!("{}: found `{text}`, expected a time such as 2025-10-27T06:00:00+07:00", path.display()))
}

/// The registry's id for a name as a bulletin prints it; a place the registry does not know keeps its name and is an orphan.
fn key_of(registry: &Registry, name: &str, stream: &str) -> Name {
    // Totals come from the gauges that report rain; a river station or a reservoir may bear the same name.
    let stream = if stream == "rain_total" { "rain" } else { stream };
    let reports = |s: &&Station| s.streams.iter().any(|id| id == stream);
    if let Some(station) = registry.station(name).filter(reports) {
        return station.id.clone();
    }
    let of_stream = || registry.stations.iter().filter(reports);
    of_stream()
        .find(|s| s.name == name || s.name_en == name)
        .or_else(|| of_stream().find(|s| s.name.strip_suffix(name).is_some_and(|head| head.ends_with(' '))))
        .or_else(|| of_stream().find(|s| s.name.split(['(', ',', '–', '-']).next().is_some_and(|head| head.trim_end().ends_with(name))))
        .map_or_else(|| Name::new(name), |s| s.id.clone())
}

/// (stream, field) of a published kind.
fn stream_of(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "water_level" => Some(("water_level", "value")),
        "reservoir_level" => Some(("reservoir", "level")),
        "inflow" => Some(("reservoir", "q_in")),
        "outflow" => Some(("reservoir", "q_out")),
        "rain_total" => Some(("rain_total", "value")),
        _ => None,
    }
}

/// The readings of one feed, in the order of the file.
pub(crate) fn readings(path: &Path, rows: &[Row], feed: Feed, registry: &Registry) -> Result<Vec<Reading>> {
    type Points = Vec<(Timestamp, f64)>;
    let mut series: BTreeMap<(Name, &str, &str), Points> = BTreeMap::new();
    let mut fed = Vec::new();
    for row in rows {
        let Some((stream, field)) = stream_of(&row.kind) else { continue };
        let believed = BELIEVED.contains(&row.quality.as_str());
        let misprint = row.quality == "wrong";
        if !(believed || misprint && feed == Feed::WithMisprints) {
            continue;
        }
        let at = time(path, &row.ts_local)?;
        let key = key_of(registry, &row.station, stream);
        if row.kind == "rain_total" {
            // A fact of its own, never a point of a line; what fell in an unknown time cannot be judged.
            let Some(hours) = row.interval_h else { continue };
            let mut total = reading(&key, stream, field, at, row.value, registry);
            total.fields.push(Field::ok(Name::new("hours"), hours));
            fed.push(total);
        } else if feed == Feed::Interpolated {
            series.entry((key, stream, field)).or_default().push((at, row.value));
        } else {
            fed.push(reading(&key, stream, field, at, row.value, registry));
        }
    }
    for ((key, stream, field), mut points) in series {
        points.sort_by_key(|(at, _)| *at);
        for (at, value) in interpolate(&points) {
            fed.push(reading(&key, stream, field, at, value, registry));
        }
    }
    Ok(fed)
}

fn interpolate(points: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    let mut line = Vec::new();
    for pair in points.windows(2) {
        let [(from, low), (to, high)] = [pair[0], pair[1]];
        line.push((from, low));
        let whole = to - from;
        if whole > MAX_GAP {
            continue;
        }
        let mut at = from + STEP;
        while at < to {
            let share = (at - from).as_millis() as f64 / whole.as_millis() as f64;
            line.push((at, low + share * (high - low)));
            at = at + STEP;
        }
    }
    line.extend(points.last());
    line
}

pub(crate) fn reading(key: &Name, stream: &str, field: &str, at: Timestamp, value: f64, registry: &Registry) -> Reading {
    Reading {
        stream: Name::new(stream),
        key: key.clone(),
        at,
        received: at,
        fields: [Field::ok(Name::new(field), value)].into_iter().collect(),
        source: Name::new("replay"),
        origin: Origin::Sensor,
        orphan: registry.row(key).is_none(),
    }
}

/// One change of a level alarm: `river-bd3` at a key came on or went off.
struct Change {
    key: Name,
    level: String,
    on: bool,
    at: Timestamp,
    used: bool,
}

/// The on and off changes of level rules, whose ids end in `bd1`, `bd2` or `bd3`. An alarm goes off when its condition ends,
/// which is the crossing; that hysteresis keeps it open a little longer is the operator's business.
fn changes(transitions: &[Transition]) -> Vec<Change> {
    let mut holding: BTreeMap<Name, bool> = BTreeMap::new();
    let mut list = Vec::new();
    for transition in transitions {
        let alert = &transition.alert;
        let Some(level) = level_of(&alert.rule) else { continue };
        let on = match transition.kind {
            TransitionKind::Raised | TransitionKind::Resumed => true,
            TransitionKind::Receded | TransitionKind::Latched | TransitionKind::Cleared => false,
            _ => continue,
        };
        if holding.insert(alert.id.clone(), on) != Some(on) {
            list.push(Change { key: alert.key.clone(), level, on, at: transition.at, used: false });
        }
    }
    list
}

fn level_of(rule: &str) -> Option<String> {
    ["bd1", "bd2", "bd3"].iter().position(|suffix| rule.starts_with("river-") && rule.ends_with(suffix)).map(|i| format!("BĐ{}", i + 1))
}

pub(crate) fn score(
    transitions: &[Transition],
    readings: &[Reading],
    crossings: &[Crossing],
    notices: &[Notice],
    registry: &Registry,
) -> Score {
    let mut changes = changes(transitions);
    let mut score =
        Score { onsets: changes.iter().filter(|c| c.on).map(|c| (c.key.clone(), c.level.clone(), c.at)).collect(), ..Score::default() };
    let mut lines = vec![Vec::new(); crossings.len()];
    // Crossings that readings show take their alarms first; those that rest on words take what is left.
    for shown in [true, false] {
        for (i, crossing) in crossings.iter().enumerate() {
            if shows(crossing, readings, registry) != shown {
                continue;
            }
            let of_this = |c: &&mut Change| !c.used && c.key == crossing.key && c.level == crossing.level && c.on == crossing.up;
            let found = changes.iter_mut().filter(of_this).find(|c| !shown || inside(crossing, c.at));
            let (at, verdict) = match (found, shown) {
                (Some(change), _) => {
                    change.used = true;
                    let verdict = match (inside(crossing, change.at), shown) {
                        (true, true) => "inside",
                        (true, false) => "inside, words alone",
                        (false, _) => "words alone",
                    };
                    (Some(change.at), verdict)
                }
                (None, true) => (None, "MISSED"),
                (None, false) => (None, "words alone"),
            };
            match (shown, verdict) {
                (true, "MISSED") => score.missed += 1,
                (true, _) => score.found += 1,
                (false, _) => score.words_only += 1,
            }
            lines[i] = line(crossing, at, verdict, notices, registry);
        }
    }
    let mut text = String::new();
    let head = ["station", "level", "", "published interval", "alarm", "verdict", "nearest official notice", "first official warning"]
        .map(str::to_owned);
    table(&mut text, std::iter::once(head.to_vec()).chain(lines));
    let scored: Vec<&Name> = crossings.iter().map(|c| &c.key).collect();
    for change in changes.iter().filter(|c| c.on && !c.used) {
        if scored.contains(&&change.key) {
            score.left_over += 1;
            let _infallible = writeln!(text, "LEFT OVER: {} {} at {}", change.key, change.level, local_date_time(change.at));
        } else {
            let _infallible =
                writeln!(text, "no published crossing to compare: {} {} at {}", change.key, change.level, local_date_time(change.at));
        }
    }
    score.text = text;
    score
}

pub(crate) fn inside(crossing: &Crossing, at: Timestamp) -> bool {
    crossing.interval.is_some_and(|(before, after)| before <= at && at <= after)
}

/// Whether the fed readings show this crossing: one before on the old side, one inside the interval on the new side.
pub(crate) fn shows(crossing: &Crossing, readings: &[Reading], registry: &Registry) -> bool {
    let Some((before, after)) = crossing.interval else { return false };
    let number = crossing.level.trim_start_matches("BĐ");
    let Some(limit) = registry.row(&crossing.key).and_then(|row| row.levels.get(format!("bd{number}").as_str()).copied()) else {
        return false;
    };
    let reached = |reading: &&Reading| reading.number("value").is_some_and(|value| (value >= limit) == crossing.up);
    let own = || readings.iter().filter(|r| r.stream == "water_level" && r.key == crossing.key);
    own().any(|r| before < r.at && r.at <= after && reached(&r)) && own().any(|r| r.at <= before && !reached(&r))
}

fn line(crossing: &Crossing, at: Option<Timestamp>, verdict: &str, notices: &[Notice], registry: &Registry) -> Vec<String> {
    let interval = crossing.interval.map_or_else(
        || "no reading published".to_owned(),
        |(before, after)| format!("{} .. {}", local_date_time(before), local_date_time(after)),
    );
    let of_this = |at| about(crossing, at, notices, registry);
    let up_at = at.filter(|_| crossing.up);
    let nearest = up_at.and_then(|at| of_this(at).min_by_key(|n| (n.issued - at).max(at - n.issued)).map(|n| lead(at, n)));
    let first = up_at.and_then(|at| of_this(at).min_by_key(|n| n.issued).map(|n| lead(at, n)));
    let arrow = if crossing.up { "up" } else { "down" };
    vec![
        crossing.station.clone(),
        crossing.level.clone(),
        arrow.to_owned(),
        interval,
        at.map_or_else(|| "-".to_owned(), local_date_time),
        verdict.to_owned(),
        nearest.unwrap_or_default(),
        first.unwrap_or_default(),
    ]
}

/// The notices about this station or its river and this level, from a day before the alarm to half a day after it.
fn about<'a>(crossing: &'a Crossing, at: Timestamp, notices: &'a [Notice], registry: &Registry) -> impl Iterator<Item = &'a Notice> {
    let river = registry.station(&crossing.key).and_then(|s| s.on.clone()).unwrap_or_default();
    let river = river.trim_start_matches("Sông ").trim_start_matches("sông ").to_owned();
    notices
        .iter()
        .filter(move |n| n.subject.contains(&crossing.station) || (!river.is_empty() && n.subject.contains(&river)))
        .filter(|n| n.level.contains(&crossing.level) && !n.level.starts_with('<'))
        .filter(move |n| n.issued >= at - Span::from_mins(24 * 60) && n.issued <= at + Span::from_mins(12 * 60))
}

fn lead(at: Timestamp, notice: &Notice) -> String {
    let place = format!("{} ({}, {})", notice.kind, notice.issuer, local_date_time(notice.issued));
    match (notice.issued - at).as_millis() {
        0 => format!("same time as {place}"),
        1.. => format!("{} ahead of {place}", notice.issued - at),
        _ => format!("{} behind {place}", at - notice.issued),
    }
}

/// Columns padded to their widest cell.
pub(crate) fn table(text: &mut String, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}
