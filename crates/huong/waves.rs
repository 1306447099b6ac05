//! How far ahead the flood packs announced what came, by family of rules, as Markdown tables.
//!
//! What came is taken from the published readings alone: crossings of alarm levels, and waves, rises of at least [`RISE`] from a
//! trough to a peak above alarm level II. Invariant: an announcement counts from the moment it could be told (processing time), one
//! that nobody saw because another alarm hid it does not count, and one that no reading can confirm or refute is told apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use huong_types::{Name, Problems, Reading, Registry, Span, Timestamp, Transition, TransitionKind, load_toml, local_date_time};
use serde::Deserialize;

use crate::score::{Crossing, Notice, Score, inside, shows};

/// A wave, and the fall between two of them, m.
const RISE: f64 = 0.5;
/// A river that was said to rise has risen, m: the rapid rise of an hour.
const RISEN: f64 = 0.2;
/// A rapid rise states no time; its wave should go on within this.
const GOES_ON: Span = Span::from_mins(6 * 60);
/// The last reading before an announcement says where the river stood. And so long before a trough what is said of a rise is said of
/// the wave that follows: it is made for rivers that still fall.
const HALF_DAY: Span = Span::from_mins(12 * 60);
/// A release that a notice raises by this is a warning, m³/s; the release rule's own step.
const STEP: f64 = 200.0;

/// One feed of the flood through the rules.
pub(crate) struct Pass {
    pub(crate) title: &'static str,
    pub(crate) fed: Vec<Reading>,
    pub(crate) transitions: Vec<Transition>,
    pub(crate) score: Score,
}

/// What announcements are measured against.
pub(crate) struct Truth<'a> {
    pub(crate) crossings: &'a [Crossing],
    pub(crate) notices: &'a [Notice],
    pub(crate) registry: &'a Registry,
    /// Rule → the time within which it says its level will be reached: `limit.horizon_h` in its pack.
    pub(crate) horizons: &'a BTreeMap<Name, Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Ahead,
    Rise,
    Release,
    NewWave,
}

/// One alarm of a family about one river station.
#[derive(Debug)]
struct Said {
    family: Family,
    station: Name,
    /// The level to come, of [`Family::Ahead`].
    level: Option<String>,
    at: Timestamp,
    horizon: Span,
    /// `None` when no reading can tell.
    right: Option<bool>,
}

#[derive(Debug)]
struct Wave {
    station: Name,
    /// From here on, what is said of a rise is said of this wave.
    from: Timestamp,
    trough: (Timestamp, f64),
    peak: (Timestamp, f64),
}

/// The highest level that a wave passed, and when its alarm came on.
type Passed = Option<(String, Timestamp)>;

const FAMILIES: [(Family, &str); 4] = [
    (Family::Ahead, "time to level (`river-bd*-ahead*`)"),
    (Family::Rise, "rapid rise (`river-rise*`)"),
    (Family::Release, "release (`reservoir-release*`)"),
    (Family::NewWave, "new wave by rain (`river-new-wave*`)"),
];

/// Reads `limit.horizon_h` of every rule.
pub(crate) fn horizons(pipelines: &[(String, String)]) -> BTreeMap<Name, Span> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Pack {
        rule: Vec<Rule>,
    }
    #[derive(Deserialize)]
    struct Rule {
        id: Name,
        #[serde(default)]
        limit: BTreeMap<Name, f64>,
    }
    // The engine has named every mistake already.
    let mut named = Problems::default();
    let packs = pipelines.iter().filter_map(|(file, text)| load_toml::<Pack>(file, text, &mut named));
    let stated = |rule: Rule| rule.limit.get("horizon_h").map(|hours| (rule.id.clone(), Span::from_mins((hours * 60.0) as i64)));
    packs.flat_map(|pack| pack.rule).filter_map(stated).collect()
}

/// Both tables for each pass.
pub(crate) fn markdown(passes: &[Pass], truth: &Truth<'_>) -> String {
    let mut text = String::new();
    for pass in passes {
        let waves = waves(&pass.fed, truth);
        let said = said(pass, truth);
        let _infallible = writeln!(text, "### {}\n", pass.title);
        rows(&mut text, &scores(pass, truth, &waves, &said));
        rows(&mut text, &first_words(pass, truth, &waves, &said));
    }
    text
}

fn rows(text: &mut String, rows: &[Vec<String>]) {
    for (i, row) in rows.iter().enumerate() {
        let _infallible = writeln!(text, "| {} |", row.join(" | "));
        if i == 0 {
            let _infallible = writeln!(text, "|{}", " --- |".repeat(row.len()));
        }
    }
    text.push('\n');
}

/// A row per family: how many events it found, how many of its announcements were wrong, how far ahead it was.
fn scores(pass: &Pass, truth: &Truth<'_>, waves: &[Wave], said: &[Said]) -> Vec<Vec<String>> {
    let head =
        ["family", "events", "detected", "POD", "announced", "right", "false", "not to be judged", "FAR", "median lead", "least lead"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let Score { found, missed, left_over, .. } = pass.score;
    let level = Tally { events: found + missed, detected: found, right: found, wrong: left_over, open: 0, leads: Vec::new() };
    table.push(level.row("alarm levels I to III (`river-bd*`), crossings both ways"));
    let crossed = crossed(pass, truth);
    for (family, name) in FAMILIES {
        let of_family = || said.iter().filter(|s| s.family == family);
        let count = |right: Option<bool>| of_family().filter(|s| s.right == right).count();
        let (events, leads): (usize, Vec<Span>) = match family {
            Family::Ahead => {
                let ahead = |(crossing, at): &(&Crossing, Option<Timestamp>)| {
                    let at = (*at)?;
                    let answers = |s: &&Said| s.station == crossing.key && s.level.as_ref() == Some(&crossing.level);
                    of_family().filter(answers).filter(|s| s.at < at && at <= s.at + s.horizon).map(|s| at - s.at).max()
                };
                (crossed.len(), crossed.iter().filter_map(ahead).collect())
            }
            _ => (waves.len(), waves.iter().filter_map(|wave| first(wave, of_family()).map(|at| wave.peak.0 - at)).collect()),
        };
        let tally = Tally { events, detected: leads.len(), right: count(Some(true)), wrong: count(Some(false)), open: count(None), leads };
        let to = if family == Family::Ahead { "crossings up; lead to the level" } else { "waves; lead to the peak" };
        table.push(tally.row(&format!("{name}, {to}")));
    }
    let official: Vec<Span> =
        crossed.iter().filter_map(|(crossing, at)| at.and_then(|at| foreseen(crossing, at, truth).map(|issued| at - issued))).collect();
    let tally = Tally { events: crossed.len(), detected: official.len(), right: 0, wrong: 0, open: 0, leads: official };
    let mut row = tally.row("official notices: the level foreseen by the last one before, crossings up; lead to the level");
    row[4..9].fill("–".to_owned());
    table.push(row);
    table
}

struct Tally {
    events: usize,
    detected: usize,
    right: usize,
    wrong: usize,
    open: usize,
    leads: Vec<Span>,
}

impl Tally {
    fn row(mut self, name: &str) -> Vec<String> {
        self.leads.sort();
        let ratio = |part: usize, whole: usize| if whole == 0 { "–".to_owned() } else { format!("{:.2}", part as f64 / whole as f64) };
        // Of an even number, the lower of the two in the middle.
        let lead = |at: usize| self.leads.get(at).map_or_else(|| "–".to_owned(), ToString::to_string);
        vec![
            name.to_owned(),
            self.events.to_string(),
            self.detected.to_string(),
            ratio(self.detected, self.events),
            (self.right + self.wrong + self.open).to_string(),
            self.right.to_string(),
            self.wrong.to_string(),
            self.open.to_string(),
            ratio(self.wrong, self.right + self.wrong),
            lead(self.leads.len().saturating_sub(1) / 2),
            lead(0),
        ]
    }
}

/// A row per wave: when each family first spoke of it.
fn first_words(pass: &Pass, truth: &Truth<'_>, waves: &[Wave], said: &[Said]) -> Vec<Vec<String>> {
    let head = ["wave", "passes", "time to level", "rapid rise", "release", "new wave by rain", "first official notice of a rise"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for wave in waves {
        let passed = passed(wave, &pass.score);
        let told = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| lead(at, wave, passed.as_ref()));
        let name = truth.registry.row(&wave.station).map_or(wave.station.as_str(), |row| row.name);
        let ((from, low), (to, high)) = (wave.trough, wave.peak);
        let mut row = vec![format!("{name}: {low:.2} m {} to {high:.2} m {}", local_date_time(from), local_date_time(to)), "–".to_owned()];
        if let Some((level, at)) = &passed {
            row[1] = format!("{level} {}", local_date_time(*at));
        }
        row.extend(FAMILIES.map(|(family, _)| told(first(wave, said.iter().filter(|s| s.family == family)))));
        row.push(told(truth.notices.iter().filter(|n| warns(n, wave, passed.as_ref(), pass, truth)).map(|n| n.issued).min()));
        table.push(row);
    }
    table
}

/// `09:00 29/10/2025, 3h50m before BĐ3, 9h before the peak`.
fn lead(at: Timestamp, wave: &Wave, passed: Option<&(String, Timestamp)>) -> String {
    let level = passed.map_or_else(String::new, |(level, passed)| match (*passed - at).as_millis() {
        0 => format!(", with {level}"),
        1.. => format!(", {} before {level}", *passed - at),
        _ => format!(", {} after {level}", at - *passed),
    });
    format!("{}{level}, {} before the peak", local_date_time(at), wave.peak.0 - at)
}

/// The first announcement of a wave that was not wrong.
fn first<'a>(wave: &Wave, said: impl Iterator<Item = &'a Said>) -> Option<Timestamp> {
    let of_wave = said.filter(|s| s.station == wave.station && s.right != Some(false));
    of_wave.map(|s| s.at).filter(|at| wave.from <= *at && *at < wave.peak.0).min()
}

/// The crossings up that the readings show, and when the level's alarm came on.
fn crossed<'a>(pass: &Pass, truth: &Truth<'a>) -> Vec<(&'a Crossing, Option<Timestamp>)> {
    let shown = truth.crossings.iter().filter(|c| c.up && shows(c, &pass.fed, truth.registry));
    let on = |crossing: &Crossing| {
        let of_this =
            pass.score.onsets.iter().filter(|(key, level, at)| *key == crossing.key && *level == crossing.level && inside(crossing, *at));
        of_this.map(|(_, _, at)| *at).min()
    };
    shown.map(|crossing| (crossing, on(crossing))).collect()
}

fn passed(wave: &Wave, score: &Score) -> Passed {
    let of_wave = score.onsets.iter().filter(|(key, _, at)| *key == wave.station && wave.trough.0 < *at && *at <= wave.peak.0);
    of_wave.map(|(_, level, at)| (level.clone(), *at)).max()
}

fn levels<'a>(fed: &'a [Reading], station: &Name) -> impl Iterator<Item = (Timestamp, f64)> + use<'a> {
    let station = station.clone();
    fed.iter().filter(move |r| r.stream == "water_level" && r.key == station).filter_map(|r| Some((r.at, r.number("value")?)))
}

/// The waves at the stations whose crossings are published.
fn waves(fed: &[Reading], truth: &Truth<'_>) -> Vec<Wave> {
    let stations: std::collections::BTreeSet<&Name> = truth.crossings.iter().map(|c| &c.key).collect();
    let mut waves = Vec::new();
    for station in stations {
        let Some(&flood) = truth.registry.row(station).and_then(|row| row.levels.get("bd2")) else { continue };
        let mut points: Vec<_> = levels(fed, station).collect();
        points.sort_by_key(|(at, _)| *at);
        let mut turns = rises(&points);
        turns.retain(|(_, peak)| peak.1 >= flood);
        let mut last = Timestamp::MIN;
        for (trough, peak) in turns {
            waves.push(Wave { station: station.clone(), from: last.max(trough.0 - HALF_DAY), trough, peak });
            last = peak.0;
        }
    }
    waves
}

type Point = (Timestamp, f64);

/// Each rise of at least [`RISE`] from the lowest point since the one before, ended by a fall as large or by the end of the series.
fn rises(points: &[Point]) -> Vec<(Point, Point)> {
    let mut rises = Vec::new();
    let Some(&start) = points.first() else { return rises };
    let (mut low, mut high): (Point, Option<Point>) = (start, None);
    for &point in points {
        match high {
            Some(top) if point.1 > top.1 => high = Some(point),
            Some(top) if top.1 - point.1 >= RISE => {
                rises.push((low, top));
                (low, high) = (point, None);
            }
            Some(_) => {}
            None if point.1 < low.1 => low = point,
            None => high = (point.1 - low.1 >= RISE).then_some(point),
        }
    }
    rises.extend(high.map(|top| (low, top)));
    rises
}

fn family(rule: &str) -> Option<Family> {
    match rule {
        _ if rule.starts_with("river-bd") && rule.contains("-ahead") => Some(Family::Ahead),
        _ if rule.starts_with("river-rise") => Some(Family::Rise),
        _ if rule.starts_with("reservoir-release") => Some(Family::Release),
        _ if rule.starts_with("river-new-wave") => Some(Family::NewWave),
        _ => None,
    }
}

/// The stations that an alarm at `key` speaks of: itself, or those below a reservoir or a rain gauge.
fn stations(key: &Name, registry: &Registry) -> Vec<Name> {
    let below = registry.row(key).and_then(|row| row.links.get("downstream"));
    below.cloned().unwrap_or_else(|| vec![key.clone()])
}

/// Every announcement that people saw, judged.
fn said(pass: &Pass, truth: &Truth<'_>) -> Vec<Said> {
    let mut list = Vec::new();
    let raised = pass.transitions.iter().filter(|t| t.kind == TransitionKind::Raised && t.alert.inhibited_by.is_none());
    for transition in raised {
        let Some(family) = family(&transition.alert.rule) else { continue };
        let level = (family == Family::Ahead).then(|| transition.alert.rule.chars().nth("river-bd".len())).flatten();
        for station in stations(&transition.alert.key, truth.registry) {
            let horizon = truth.horizons.get(&transition.alert.rule).copied().unwrap_or(GOES_ON);
            let level = level.map(|number| format!("BĐ{number}"));
            let mut said = Said { family, station, level, at: transition.decided, horizon, right: None };
            said.right = judge(&said, pass);
            list.push(said);
        }
    }
    list
}

/// A level to come is right when its alarm comes on within the horizon; a rise, when a reading within it is [`RISEN`] higher.
/// What is not right is wrong only if the river was read in the later half of the horizon: else nobody knows.
fn judge(said: &Said, pass: &Pass) -> Option<bool> {
    let within = |at: Timestamp| said.at < at && at <= said.at + said.horizon;
    let read: Vec<Point> = levels(&pass.fed, &said.station).filter(|(at, _)| within(*at)).collect();
    let right = match &said.level {
        Some(level) => pass.score.onsets.iter().any(|(key, of, at)| *key == said.station && of == level && within(*at)),
        None => {
            let before = levels(&pass.fed, &said.station).filter(|(at, _)| *at <= said.at && *at + HALF_DAY >= said.at);
            let (_, stood) = before.max_by_key(|(at, _)| *at)?;
            // The readings are decimal fractions: exactly so much higher must not fail by its last bit.
            read.iter().any(|(_, value)| *value >= stood + RISEN - 1e-9)
        }
    };
    let told = read.iter().any(|(at, _)| (said.at + said.horizon - *at).as_millis() * 2 <= said.horizon.as_millis());
    (right || told).then_some(right)
}

/// When the unbroken run of official forecasts that foresaw this crossing began; `None` when the last one before it did not.
fn foreseen(crossing: &Crossing, at: Timestamp, truth: &Truth<'_>) -> Option<Timestamp> {
    let forecast = |n: &&Notice| !["crossing", "status"].contains(&n.kind.as_str()) && !n.level.is_empty();
    let mut before: Vec<&Notice> =
        truth.notices.iter().filter(forecast).filter(|n| n.issued < at && about(n, &crossing.key, truth.registry)).collect();
    before.sort_by_key(|n| n.issued);
    let run = before.iter().rev().take_while(|n| n.level.contains(&crossing.level) && !n.level.starts_with('<'));
    run.last().map(|n| n.issued)
}

/// Whether a notice names the station or its river.
fn about(notice: &Notice, station: &Name, registry: &Registry) -> bool {
    let Some(station) = registry.station(station) else { return false };
    let river = station.on.as_deref().unwrap_or_default().trim_start_matches("sông ");
    notice.subject.contains(&station.name) || (!river.is_empty() && notice.subject.contains(river))
}

/// Whether a notice within the wave says that the river will rise: by its level, by a figure, by its kind, or by a release above.
fn warns(notice: &Notice, wave: &Wave, passed: Option<&(String, Timestamp)>, pass: &Pass, truth: &Truth<'_>) -> bool {
    if notice.issued < wave.from || notice.issued >= wave.peak.0 {
        return false;
    }
    let upstream = truth.registry.row(&wave.station).and_then(|row| row.links.get("upstream")).into_iter().flatten();
    let mut lakes = upstream.filter_map(|lake| truth.registry.row(lake));
    if notice.release_step.is_some_and(|step| step >= STEP) && lakes.any(|lake| lake.name.ends_with(&notice.subject)) {
        return true;
    }
    if !about(notice, &wave.station, truth.registry) || notice.level.starts_with('<') {
        return false;
    }
    let stood = levels(&pass.fed, &wave.station).filter(|(at, _)| *at <= notice.issued).max_by_key(|(at, _)| *at);
    let higher = notice.expected.zip(stood).is_some_and(|(expected, (_, stood))| expected >= stood + RISEN);
    let level = notice.expected.is_none() && passed.is_some_and(|(level, at)| notice.issued < *at && notice.level.contains(level));
    higher || level || ["siren", "urgent_notice", "urgent_bulletin"].contains(&notice.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Vec<Point> {
        values.iter().zip(0..).map(|(value, hour)| (Timestamp::from_millis(hour * 3_600_000), *value)).collect()
    }

    #[test]
    fn a_wave_is_a_rise_of_half_a_metre_between_falls_as_large() {
        let points = series(&[2.0, 1.2, 1.6, 3.0, 2.7, 5.0, 4.8, 3.6, 3.7, 3.5, 4.9, 4.7, 4.0, 4.3]);
        let turns: Vec<(f64, f64)> = rises(&points).iter().map(|(low, high)| (low.1, high.1)).collect();
        assert_eq!(turns, [(1.2, 5.0), (3.5, 4.9)]);
        assert!(rises(&series(&[1.0, 1.4, 1.0, 1.4])).is_empty(), "a tide is no wave");
        assert_eq!(rises(&series(&[1.0, 1.6])).len(), 1, "a series may end on its way up");
        assert!(rises(&[]).is_empty());
    }

    #[test]
    fn rules_belong_to_families_by_their_names() {
        let of = |rule| family(rule);
        assert_eq!(of("river-bd3-ahead-slow"), Some(Family::Ahead));
        assert_eq!(of("river-rise-3h"), Some(Family::Rise));
        assert_eq!(of("reservoir-release-new-wave"), Some(Family::Release));
        assert_eq!(of("river-new-wave-total"), Some(Family::NewWave));
        assert_eq!((of("river-bd3"), of("rain-1h-watch")), (None, None));
    }

    #[test]
    fn a_horizon_is_what_the_pack_says() {
        let pack = "[[rule]]\nid = \"a\"\nlimit = { horizon_h = 1.5, rise = 0.1 }\n[[rule]]\nid = \"b\"\n";
        let stated = horizons(&[("p.toml".to_owned(), pack.to_owned())]);
        assert_eq!(stated, BTreeMap::from([(Name::new("a"), Span::from_mins(90))]));
    }

    #[test]
    fn the_median_of_leads_is_one_of_them_and_no_event_gives_no_ratio() {
        let leads = [30, 10, 20, 40].map(Span::from_mins).to_vec();
        let row = Tally { events: 5, detected: 4, right: 6, wrong: 2, open: 1, leads }.row("x");
        assert_eq!(row, ["x", "5", "4", "0.80", "9", "6", "2", "1", "0.25", "20m", "10m"]);
        let row = Tally { events: 0, detected: 0, right: 0, wrong: 0, open: 0, leads: Vec::new() }.row("x");
        assert_eq!(row[3], "–");
        assert_eq!(row[8..], ["–", "–", "–"]);
    }
}
