//! `huong backtest`: what other rules would have said, over readings that are stored or in a file.
//!
//! Two brains take the same readings in virtual time: one with the configuration's rules, one with those of the file in their place.
//! Invariant: nothing is written, and one reading at a time is in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use huong_store::replay_readings;
use huong_types::{About, AlertState, Name, Problems, Reading, Registry, Severity, Span, Timestamp, Transition, Values, local_date_time};

use crate::brain::{Brain, Event};
use crate::commands::{count, print_table, say};
use crate::config::{Config, overlay, read_pipelines};
use crate::score::{self, Crossing, Feed};
use crate::truth::{self, Alarm, Skill};

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// A file of rules: in place of the configuration's rules of the same id, beside its others.
    #[arg(long)]
    rule: PathBuf,
    /// First moment: 2025-10-27T06:00 in local time, or with a zone.
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// Last moment.
    #[arg(long, value_parser = moment)]
    to: Option<Timestamp>,
    /// The store's folder, instead of the configuration's.
    #[arg(long, conflicts_with = "readings")]
    data: Option<PathBuf>,
    /// Published observations instead of the store: ts_local, station, kind, value, quality.
    #[arg(long)]
    readings: Option<PathBuf>,
    /// When alarm levels were crossed: station, level, direction, last_ts_before, first_ts_after.
    #[arg(long)]
    truth: Option<PathBuf>,
    /// How long before a crossing an alarm may come and still be about it.
    #[arg(long, default_value = "12h")]
    ahead: Span,
    #[arg(long, default_value = "config/huong.toml")]
    config: PathBuf,
}

/// Local time is UTC+7; there is no daylight saving time.
fn moment(text: &str) -> Result<Timestamp, String> {
    let zoned = ["", "+07:00", ":00+07:00", "T00:00:00+07:00"].into_iter().map(|rest| format!("{text}{rest}"));
    let parsed = zoned.filter_map(|text| Timestamp::parse_rfc3339(&text)).next();
    parsed.ok_or_else(|| format!("found `{text}`, expected a time such as 2025-10-27T06:00 or 2025-10-26T23:00:00Z"))
}

pub(crate) fn command(args: &BacktestArgs) -> Result<()> {
    let config = Config::load(&args.config)?;
    let mut problems = Problems::default();
    let given = read_pipelines(std::slice::from_ref(&args.rule), &mut problems);
    ensure!(problems.is_empty(), problems);
    let running = config.brain(&mut problems);
    let (pipelines, ids) = overlay(&config.pipelines, &given)?;
    let tried = Brain::new(&pipelines, &config.streams, &config.registry, &config.alerts, &mut problems);
    let (Some(running), Some(tried), true) = (running, tried, problems.is_empty()) else { return Err(problems.into()) };
    let own = tried.engine().rules().iter().map(|info| info.id.clone()).filter(|id| ids.contains(id.as_str()));
    let rules: Vec<Name> = own.collect();
    let truth = args.truth.as_deref().map(|path| score::read_crossings(path, &config.registry)).transpose()?.unwrap_or_default();

    let warm_up = running.longest_window().max(tried.longest_window());
    let from = args.from.unwrap_or(Timestamp::MIN);
    let (running, tried) = (Side::new(running), Side::new(tried));
    let mut past = Past { running, tried, truth: &truth, shown: Vec::new(), from, before: 0, fed: 0, first: None };
    past.feed(args, &config, from - warm_up)?;
    past.finish(args.to)?;
    let whole = "nothing was read in that time";
    let first = past.first.context(whole)?;
    let last = past.tried.now;
    say(&format!(
        "{}: {}; {} from {} to {}, {} before that fill the windows",
        args.rule.display(),
        rules.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
        count(past.fed, "reading"),
        local_date_time(first),
        local_date_time(last),
        past.before
    ))?;
    let inside = |episode: &&Episode| episode.end() >= from;
    let tried: Vec<&Episode> = past.tried.episodes.values().filter(inside).collect();
    let running: Vec<&Episode> = past.running.episodes.values().filter(inside).collect();
    print_alerts(&tried, &rules)?;
    print_changes(&changes(&running, &tried), running.len())?;
    if !truth.is_empty() {
        print_skill(&tried, &running, &rules, &past, args.ahead, &config.registry)?;
    }
    Ok(())
}

/// One set of rules on its way through the past.
struct Side {
    brain: Brain,
    now: Timestamp,
    episodes: BTreeMap<Name, Episode>,
    buffer: Vec<Transition>,
}

/// An alert from its onset to its end.
#[derive(Clone, Debug, PartialEq)]
struct Episode {
    rule: Name,
    key: Name,
    severity: Severity,
    onset: Timestamp,
    raised: Timestamp,
    cleared: Option<Timestamp>,
    /// The highest of each figure.
    highest: Values,
}

struct Past<'a> {
    running: Side,
    tried: Side,
    truth: &'a [Crossing],
    /// The readings by which the truth can be seen.
    shown: Vec<Reading>,
    from: Timestamp,
    /// Readings taken from before `from`, and from then on.
    before: usize,
    fed: usize,
    first: Option<Timestamp>,
}

impl Past<'_> {
    /// Gives both sides what was received from `since` on.
    fn feed(&mut self, args: &BacktestArgs, config: &Config, since: Timestamp) -> Result<()> {
        let until = args.to.unwrap_or(Timestamp::from_millis(i64::MAX));
        if let Some(path) = &args.readings {
            let rows = score::read_rows(path)?;
            let mut readings = score::readings(path, &rows, Feed::Published, &config.registry)?;
            readings.sort_by_key(|reading| reading.received);
            return readings.into_iter().filter(|r| r.received >= since && r.received <= until).try_for_each(|r| self.take(r));
        }
        let dir = args.data.as_deref().unwrap_or(&config.store.dir);
        let mut outcome = Ok(());
        replay_readings(dir, &|_| Some(since), &mut |reading| {
            if reading.received <= until && outcome.is_ok() {
                outcome = self.take(reading);
            }
        })
        .with_context(|| format!("the store {} cannot be read", dir.display()))?;
        outcome
    }

    fn take(&mut self, reading: Reading) -> Result<()> {
        if reading.received < self.from {
            self.before += 1;
        } else {
            self.fed += 1;
            self.first.get_or_insert(reading.received);
        }
        if reading.stream == "water_level" && self.truth.iter().any(|crossing| crossing.key == reading.key) {
            self.shown.push(reading.clone());
        }
        self.running.take(reading.clone())?;
        self.tried.take(reading)
    }

    /// Lets the clocks run on to the end of the time.
    fn finish(&mut self, to: Option<Timestamp>) -> Result<()> {
        let Some(to) = to else { return Ok(()) };
        self.running.run_to(to)?;
        self.tried.run_to(to)
    }
}

impl Side {
    fn new(brain: Brain) -> Self {
        Self { brain, now: Timestamp::MIN, episodes: BTreeMap::new(), buffer: Vec::new() }
    }

    fn take(&mut self, mut reading: Reading) -> Result<()> {
        self.now = self.now.max(reading.received);
        self.brain.on(Event::Reading(&mut reading), self.now, &mut self.buffer)?;
        self.note();
        Ok(())
    }

    fn run_to(&mut self, to: Timestamp) -> Result<()> {
        self.now = self.now.max(to);
        self.brain.on(Event::Tick, self.now, &mut self.buffer)?;
        self.note();
        Ok(())
    }

    fn note(&mut self) {
        // Judged already, and stored by nobody here.
        self.brain.derived().for_each(drop);
        // Counts of groups are not alerts of a rule, and what is still pending may never be one.
        for Transition { at, alert, .. } in self.buffer.drain(..).filter(|t| t.alert.about == About::Rule && !t.alert.pending) {
            let episode = self.episodes.entry(alert.id).or_insert_with(|| Episode {
                rule: alert.rule,
                key: alert.key,
                severity: alert.severity,
                onset: alert.since,
                raised: alert.raised,
                cleared: None,
                highest: Values::new(),
            });
            for (name, value) in alert.values {
                let highest = episode.highest.entry(name).or_insert(value);
                *highest = highest.max(value);
            }
            // Nobody acknowledges here: the end of the condition is the end of a latched alert too.
            episode.cleared = alert.ended.or((alert.state == AlertState::Cleared).then_some(at));
        }
    }
}

impl Episode {
    fn end(&self) -> Timestamp {
        self.cleared.unwrap_or(Timestamp::from_millis(i64::MAX))
    }

    fn about(&self) -> (&Name, &Name) {
        (&self.rule, &self.key)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.rule.to_string(),
            self.key.to_string(),
            self.severity.to_string(),
            local_date_time(self.onset),
            local_date_time(self.raised),
            self.cleared.map_or_else(|| "stands".to_owned(), local_date_time),
            self.highest.iter().map(|(name, value)| format!("{name} {value:.2}")).collect::<Vec<_>>().join(", "),
        ]
    }
}

/// What other rules change about the alerts.
#[derive(Debug, PartialEq)]
enum Change<'a> {
    OnlyTried(&'a Episode),
    OnlyRunning(&'a Episode),
    /// The same alert at another time, or to another one.
    Moved {
        running: &'a Episode,
        tried: &'a Episode,
    },
}

/// Alerts of one rule and key are the same when they stood at the same time; each is paired once, in the order of their raises.
fn changes<'a>(running: &[&'a Episode], tried: &[&'a Episode]) -> Vec<Change<'a>> {
    let mut left: Vec<&Episode> = running.to_vec();
    left.sort_by_key(|episode| episode.raised);
    let mut new: Vec<&Episode> = tried.to_vec();
    new.sort_by_key(|episode| episode.raised);
    let mut changes = Vec::new();
    for tried in new {
        let same = |old: &&Episode| old.about() == tried.about() && old.onset <= tried.end() && tried.onset <= old.end();
        match left.iter().position(same).map(|position| left.remove(position)) {
            None => changes.push(Change::OnlyTried(tried)),
            Some(running) if running.raised != tried.raised || running.cleared != tried.cleared => {
                changes.push(Change::Moved { running, tried });
            }
            Some(_) => {}
        }
    }
    changes.extend(left.into_iter().map(Change::OnlyRunning));
    changes.sort_by_key(|change| match change {
        Change::OnlyTried(episode) | Change::OnlyRunning(episode) | Change::Moved { tried: episode, .. } => episode.raised,
    });
    changes
}

fn print_alerts(tried: &[&Episode], rules: &[Name]) -> Result<()> {
    let mut own: Vec<&&Episode> = tried.iter().filter(|episode| rules.contains(&episode.rule)).collect();
    own.sort_by_key(|episode| episode.raised);
    say(&format!("\n== {} of these rules", count(own.len(), "alert")))?;
    let head = ["rule", "key", "severity", "onset", "raised", "cleared", "highest"];
    print_table(&head, own.iter().map(|episode| episode.cells()).collect())
}

fn print_changes(changes: &[Change<'_>], before: usize) -> Result<()> {
    say(&format!("\n== against the running rules: {} of {} differ", changes.len(), count(before, "alert")))?;
    let rows = changes.iter().map(|change| match change {
        Change::OnlyTried(episode) => [vec!["only new".to_owned()], episode.cells(), vec![String::new()]].concat(),
        Change::OnlyRunning(episode) => [vec!["only running".to_owned()], episode.cells(), vec![String::new()]].concat(),
        Change::Moved { running, tried } => {
            let raised = moved("raised", Some(running.raised), Some(tried.raised));
            let cleared = moved("cleared", running.cleared, tried.cleared);
            let how = raised.into_iter().chain(cleared).collect::<Vec<_>>().join(", ");
            [vec!["moved".to_owned()], tried.cells(), vec![how]].concat()
        }
    });
    print_table(&["", "rule", "key", "severity", "onset", "raised", "cleared", "highest", "change"], rows.collect())
}

/// `raised 20m earlier`; nothing when it is the same.
fn moved(what: &str, old: Option<Timestamp>, new: Option<Timestamp>) -> Option<String> {
    match (old, new) {
        (Some(old), Some(new)) if new < old => Some(format!("{what} {} earlier", old - new)),
        (Some(old), Some(new)) if new > old => Some(format!("{what} {} later", new - old)),
        (Some(_), None) => Some(format!("not {what} any more")),
        (None, Some(_)) => Some(format!("{what} now")),
        _ => None,
    }
}

fn print_skill(tried: &[&Episode], running: &[&Episode], rules: &[Name], past: &Past<'_>, ahead: Span, registry: &Registry) -> Result<()> {
    let judge = |rule: &Name, episodes: &[&Episode]| {
        let own = episodes.iter().filter(|episode| episode.rule == *rule);
        let alarms: Vec<Alarm> = own.map(|episode| Alarm { key: episode.key.clone(), raised: episode.raised }).collect();
        truth::judge(rule, &alarms, past.truth, &past.shown, ahead, registry)
    };
    let (mut events, mut rows) = (Vec::new(), Vec::new());
    for rule in rules {
        let skill = judge(rule, tried);
        rows.push(skill.cells(rule));
        events.extend(skill.lines);
        if past.running.brain.engine().rules().iter().any(|info| info.id == *rule) {
            rows.push(judge(rule, running).cells(&format!("{rule} (running)")));
        }
    }
    say(&format!("\n== against what happened: alarms at most {ahead} ahead of a crossing"))?;
    print_table(&["rule", "station", "level", "crossed", "alarm", ""], events)?;
    say("")?;
    print_table(&Skill::HEAD, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * 3_600_000)
    }

    /// An alert of `key` raised at the first hour and cleared at the second.
    fn episode(key: &str, raised: i64, cleared: Option<i64>) -> Episode {
        Episode {
            rule: Name::new("rule"),
            key: Name::new(key),
            severity: Severity::Minor,
            onset: at(raised),
            raised: at(raised),
            cleared: cleared.map(at),
            highest: Values::new(),
        }
    }

    #[test]
    fn alerts_are_paired_by_the_time_in_which_they_stood() {
        let same = episode("a", 0, Some(2));
        let [one, two] = [episode("b", 4, Some(6)), episode("b", 7, Some(9))];
        let joined = episode("b", 3, Some(9));
        let [gone, new] = [episode("c", 1, Some(2)), episode("c", 3, None)];
        let found = changes(&[&same, &one, &two, &gone], &[&new, &joined, &same]);
        assert_eq!(
            found,
            [
                Change::OnlyRunning(&gone),
                Change::OnlyTried(&new),
                Change::Moved { running: &one, tried: &joined },
                Change::OnlyRunning(&two),
            ]
        );
    }

    #[test]
    fn what_moved_is_said_in_words() {
        for (old, new, said) in [
            (Some(4), Some(3), Some("raised 1h earlier")),
            (Some(3), Some(4), Some("raised 1h later")),
            (Some(3), None, Some("not raised any more")),
            (None, Some(3), Some("raised now")),
            (Some(3), Some(3), None),
            (None, None, None),
        ] {
            assert_eq!(moved("raised", old.map(at), new.map(at)).as_deref(), said);
        }
    }

    #[test]
    fn moments_are_local_unless_they_name_a_zone() {
        let expected = Timestamp::parse_rfc3339("2025-10-26T23:00:00Z");
        for text in ["2025-10-27T06:00", "2025-10-27T06:00:00", "2025-10-27T06:00+07:00", "2025-10-26T23:00:00Z"] {
            assert_eq!(moment(text).ok(), expected, "{text}");
        }
        assert_eq!(moment("2025-10-27").ok(), Timestamp::parse_rfc3339("2025-10-26T17:00:00Z"));
        for text in ["", "06:00", "27/10/2025", "2025-13-01"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
