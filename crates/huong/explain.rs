//! `huong explain`: why an alert came and went: its journal, the readings behind each turn, and what the rule made of them.
//!
//! The judgements are made again, by the rules of today from the stored readings in virtual time; where the rule has been rewritten since,
//! that is said. Nothing is written.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use huong_rules::{Engine, Watched};
use huong_store::{replay_readings, transitions_of};
use huong_types::{About, Alert, Name, Problems, Reading, Span, Timestamp, Transition, TransitionKind, Value, local_date_time, local_time};

use crate::brain::{Brain, Event};
use crate::commands::{print_table, say};
use crate::config::Config;

/// Readings shown of one turn; of a longer window the newest.
const SHOWN: usize = 40;
/// A rule without a window is shown with at least so many readings, so that one sees what led up to it.
const LEAST: usize = 6;

pub(crate) fn command(id: &str, config: &Path, data: Option<&Path>) -> Result<()> {
    let config = Config::load(config)?;
    let dir = data.unwrap_or(&config.store.dir);
    let history = transitions_of(dir, id).with_context(|| format!("the store {} cannot be read", dir.display()))?;
    let Some(Transition { alert, .. }) = history.iter().find(|t| t.kind == TransitionKind::Raised).or(history.first()) else {
        bail!(
            "found no alert `{id}` in {}, expected an id such as river-bd3:kimlong:20251026T230000Z (huong query \"SELECT DISTINCT id FROM alerts\")",
            dir.display()
        );
    };
    let mut problems = Problems::default();
    let brain = config.brain(&mut problems);
    let Some(brain) = brain.filter(|_| problems.is_empty()) else { return Err(problems.into()) };
    head(alert, brain.engine(), &config)?;
    journal(&history)?;
    if alert.about == About::Rule && brain.engine().rules().iter().any(|rule| rule.id == alert.rule) {
        let past = Past::relive(brain, dir, &history, alert)?;
        for turn in history.iter().filter(|t| turns(t.kind)) {
            past.print(turn)?;
        }
    }
    Ok(())
}

/// The steps that follow from a judgement of the rule.
fn turns(kind: TransitionKind) -> bool {
    use TransitionKind::{Cleared, Latched, Raised, Receded, Resumed};
    matches!(kind, Raised | Receded | Resumed | Latched | Cleared)
}

fn head(alert: &Alert, engine: &Engine, config: &Config) -> Result<()> {
    say(&format!("{}  {}\n  {}\n  {}", alert.id, alert.severity, alert.text.vi, alert.text.en))?;
    if alert.about != About::Rule {
        return say("  it speaks for other alerts, whose journals say why");
    }
    let version = engine.rules().iter().find(|rule| rule.id == alert.rule).map(|rule| &rule.version);
    let rule = match version {
        Some(version) if *version == alert.rule_version => "as it runs today".to_owned(),
        Some(version) => format!("rewritten since: today's is version {version}, and the judgements below are its"),
        None => "no longer configured".to_owned(),
    };
    let name = config.registry.row(&alert.key).map_or_else(|| "not in the registry".to_owned(), |row| row.name.to_owned());
    say(&format!("  rule `{}` version {}, {rule}", alert.rule, alert.rule_version))?;
    say(&format!("  key `{}` ({name}), stream `{}`", alert.key, alert.stream))
}

fn journal(history: &[Transition]) -> Result<()> {
    let rows = history.iter().map(|t| {
        let by = t.by.clone().unwrap_or_default();
        vec![moment(t.at), moment(t.decided), t.kind.to_string(), t.alert.state.to_string(), by, t.alert.text.vi.clone()]
    });
    say("\n== journal")?;
    print_table(&["at", "decided", "step", "state", "by", "text"], rows.collect())
}

/// What the rule saw, from long enough before the raise until the last step.
struct Past {
    /// With the clock time of each.
    judgements: Vec<(Timestamp, Watched)>,
    /// Of the streams and keys that the alert names as its causes.
    readings: Vec<Reading>,
}

impl Past {
    fn relive(mut brain: Brain, dir: &Path, history: &[Transition], alert: &Alert) -> Result<Past> {
        let causes = history.iter().flat_map(|t| &t.cause).map(|cause| (cause.stream.clone(), cause.key.clone()));
        let about: BTreeSet<(Name, Name)> = causes.chain([(alert.stream.clone(), alert.key.clone())]).collect();
        let (Some(from), Some(until)) = (history.iter().map(|t| t.decided).min(), history.iter().map(|t| t.decided).max()) else {
            bail!("an alert without a journal");
        };
        brain.watch(alert.rule.clone(), alert.key.clone(), alert.exercise);
        let mut past = Past { judgements: Vec::new(), readings: Vec::new() };
        let mut outcome = Ok(());
        let since = from - brain.longest_window();
        replay_readings(dir, &|_| Some(since), &mut |mut reading| {
            let now = reading.received;
            if now <= until && outcome.is_ok() {
                outcome = past.take(&mut brain, Event::Reading(&mut reading), now, &about);
                past.keep(reading, &about);
            }
        })
        .with_context(|| format!("the store {} cannot be read", dir.display()))?;
        outcome?;
        past.take(&mut brain, Event::Tick, until, &about)?;
        ensure!(!past.readings.is_empty(), "the readings of that time are no longer in {}", dir.display());
        Ok(past)
    }

    fn take(&mut self, brain: &mut Brain, event: Event<'_>, now: Timestamp, about: &BTreeSet<(Name, Name)>) -> Result<()> {
        brain.on(event, now, &mut Vec::new())?;
        self.judgements.extend(brain.watched().map(|judgement| (now, judgement)));
        brain.derived().for_each(|derived| self.keep(derived, about));
        Ok(())
    }

    fn keep(&mut self, reading: Reading, about: &BTreeSet<(Name, Name)>) {
        if about.contains(&(reading.stream.clone(), reading.key.clone())) {
            self.readings.push(reading);
        }
    }

    /// The judgement that a step rests on: the last one that had been made by then, about a time not after it.
    fn judgement(&self, turn: &Transition) -> Option<&Watched> {
        let made = self.judgements.iter().filter(|(now, judgement)| *now <= turn.decided && judgement.at <= turn.at);
        made.map(|(_, judgement)| judgement).max_by_key(|judgement| judgement.at)
    }

    fn print(&self, turn: &Transition) -> Result<()> {
        say(&format!("\n== {} at {}, decided at {}", turn.kind, moment(turn.at), moment(turn.decided)))?;
        let judgement = self.judgement(turn);
        let start = judgement.map_or(turn.at, |judgement| judgement.start);
        match judgement {
            None => say("the rule has no expression that was judged: it speaks of the sensor")?,
            Some(judgement) => {
                let truth = |holds: Option<bool>| holds.map_or("NULL", |holds| if holds { "true" } else { "false" });
                say(&format!("judged at {}: when {}, clear {}", moment(judgement.at), truth(judgement.when), truth(judgement.clear)))?;
                let columns = judgement.columns.iter().map(|(name, value)| vec![format!("  {name}"), figure(value)]);
                print_table(&["figure", "value"], columns.collect())?;
                // `clear` has many parts in common with `when`.
                let mut told = BTreeSet::new();
                let parts = judgement.parts.iter().filter(|(sql, _)| told.insert(sql));
                print_table(&["expression", "value"], parts.map(|(sql, value)| vec![format!("  {sql}"), figure(value)]).collect())?;
            }
        }
        self.print_readings(turn, start)
    }

    fn print_readings(&self, turn: &Transition, start: Timestamp) -> Result<()> {
        let caused =
            |reading: &Reading| turn.cause.iter().any(|c| (&c.stream, &c.key, c.at) == (&reading.stream, &reading.key, reading.at));
        let mut known: Vec<&Reading> = self.readings.iter().filter(|r| r.at <= turn.at && r.received <= turn.decided).collect();
        known.sort_by_key(|reading| reading.at);
        let first = known.iter().position(|reading| reading.at > start || caused(reading)).unwrap_or(known.len());
        let first = first.min(known.len().saturating_sub(LEAST));
        let left_out = known.len().saturating_sub(first).saturating_sub(SHOWN);
        let length = (turn.at - start).max(Span::ZERO);
        say(&format!(
            "readings{}",
            if length > Span::ZERO { format!(" of the window of {length} and those that caused it") } else { String::new() }
        ))?;
        let rows = known[first + left_out..].iter().flat_map(|reading| {
            let mark = if caused(reading) { "cause" } else { "" };
            reading.fields.iter().map(move |field| {
                let value = match &field.value {
                    Value::Number(number) => number.to_string(),
                    Value::Text(text) => text.to_string(),
                };
                let check = field.quality.check.map_or_else(String::new, |check| format!(" ({})", check.as_str()));
                let quality = format!("{}{check}", field.quality.flag);
                let (stream, key) = (reading.stream.to_string(), reading.key.to_string());
                vec![format!("  {}", moment(reading.at)), stream, key, field.name.to_string(), value, quality, mark.to_owned()]
            })
        });
        print_table(&["  at", "stream", "key", "field", "value", "quality", ""], rows.collect())?;
        if left_out > 0 {
            say(&format!("  and {left_out} before"))?;
        }
        Ok(())
    }
}

/// A number without the digits that only binary fractions have.
fn figure(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => ((number * 1e6).round() / 1e6).to_string(),
        _ => value.to_owned(),
    }
}

/// To the second: journals are read step by step.
fn moment(at: Timestamp) -> String {
    let date_time = local_date_time(at);
    let date = date_time.split_once(' ').map_or("", |(_, date)| date);
    format!("{} {date}", local_time(at))
}
