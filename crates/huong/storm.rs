//! `huong replay --storm`: the simulated city's whole fleet through the rules in virtual time, and what it asks of one operator.
//!
//! Invariant: no clock and no network take part, so the same seed gives the same figures. Readings go the way of the running system:
//! messages through the decoder, in the order of arrival, with the clock's ticks between them. Cameras' pictures are not drawn; their
//! counts are taken from the scene, once a minute each.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use huong_rules::Verdict;
use huong_types::decode::Decoder;
use huong_types::{
    Field, Name, Origin, Problems, Reading, Registry, Severity, Span, Timestamp, Transition, TransitionKind, local_date_time,
};
use sensor_sim::{Scenario, ScenarioKind};

use crate::brain::{Brain, Event};
use crate::config::Config;
use crate::kept::Kept;

#[derive(Clone, Debug, Args)]
pub(crate) struct StormArgs {
    /// Play the simulated fleet through the storm from 25 October 2025, and count what an operator hears.
    #[arg(long)]
    pub(crate) storm: bool,
    #[arg(long, default_value_t = 12, requires = "storm")]
    days: u16,
    #[arg(long, default_value_t = 1, requires = "storm")]
    seed: u64,
    /// How many of the registry's cameras count vehicles.
    #[arg(long, default_value_t = usize::MAX, requires = "storm", hide_default_value = true)]
    cameras: usize,
    /// Keep everything in a new store in this folder, as if the system had run.
    #[arg(long, requires = "storm")]
    store: Option<PathBuf>,
    /// Print every alarm that is announced.
    #[arg(long, requires = "storm")]
    list: bool,
}

/// 25 October 2025, midnight in Huế.
const START: Timestamp = Timestamp::from_millis(1_761_325_200_000);
const MINUTE: Span = Span::from_mins(1);
const HOUR: Span = Span::from_mins(60);
const DAY: Span = Span::from_mins(24 * 60);
/// Of the level rules: they clear this far below the level, so a crossing counts anew only after that. m.
const HYSTERESIS: f64 = 0.05;
/// A level alarm belongs to a crossing when it comes within this time of it: the reading of the crossing itself may be late or lost.
const NEAR: Span = Span::from_mins(40);
/// The most that one operator can manage in an hour (ISA-18.2, EEMUA 191, as commonly cited).
const MOST_PER_HOUR: usize = 12;

/// What an operator heard.
struct Told {
    at: Timestamp,
    rule: Name,
    key: Name,
    severity: Severity,
    text: String,
}

/// A river station passing an alarm level upwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crossing {
    key: Name,
    level: Name,
    at: Timestamp,
}

#[derive(Default)]
struct Heard {
    readings: u64,
    observations: u64,
    derived: u64,
    refused: u64,
    told: Vec<Told>,
    /// Level alarms as they were raised, and whether an operator heard them.
    levels: Vec<(Crossing, bool)>,
}

/// Prints the figures.
///
/// # Errors
/// When a level alarm is missing, hidden or left over, or an hour holds more than [`MOST_PER_HOUR`] announcements.
pub(crate) fn command(args: &StormArgs, config: &Config) -> Result<()> {
    let heard = play(args, config)?;
    let expected = crossings(args, config)?;
    let (text, failed) = report(args, &heard, &expected);
    crate::commands::say(text.trim_end())?;
    anyhow::ensure!(failed.is_empty(), "the storm is not borne: {}", failed.join("; "));
    Ok(())
}

fn scenario(args: &StormArgs, config: &Config) -> Scenario {
    Scenario::new(ScenarioKind::Storm2025, Arc::clone(&config.registry), args.seed).with_prefix(&config.prefix).starting(START)
}

fn end(args: &StormArgs) -> Timestamp {
    START + Span::from_millis(DAY.as_millis() * i64::from(args.days))
}

fn play(args: &StormArgs, config: &Config) -> Result<Heard> {
    let mut problems = Problems::default();
    let mut brain = config.brain(&mut problems).with_context(|| problems.to_string())?;
    let mut decoder: Decoder = config.decoder(&mut problems);
    let mut scenario = scenario(args, config);
    let cameras = args.cameras.min(config.registry.cameras.len());
    let (mut heard, mut minute) = (Heard::default(), START);
    let mut transitions = Vec::new();
    let mut kept = args.store.as_ref().map(|dir| Kept::new(dir, &config.store)).transpose()?;
    while let Some(message) = scenario.next() {
        while minute <= message.send.min(end(args)) {
            let seen = (0..cameras).filter_map(|index| observation(&scenario, &config.registry, index, minute));
            for mut reading in seen {
                heard.observations += 1;
                brain.on(Event::Reading(&mut reading), minute, &mut transitions)?;
                heard.take(&mut transitions, &mut brain, std::iter::once(reading), minute, kept.as_mut())?;
            }
            minute = minute + MINUTE;
        }
        if message.send >= end(args) {
            break;
        }
        let inbound = decoder.decode(&message.topic, &message.payload, message.send);
        heard.refused += inbound.rejected.len() as u64;
        let mut taken = Vec::new();
        for mut reading in inbound.readings {
            heard.readings += 1;
            if brain.on(Event::Reading(&mut reading), message.send, &mut transitions)? != Verdict::Duplicate {
                taken.push(reading);
            }
        }
        heard.take(&mut transitions, &mut brain, taken.into_iter(), message.send, kept.as_mut())?;
    }
    brain.on(Event::Tick, end(args), &mut transitions)?;
    heard.take(&mut transitions, &mut brain, std::iter::empty(), end(args), kept.as_mut())?;
    kept.map_or(Ok(()), Kept::finish)?;
    Ok(heard)
}

fn observation(scenario: &Scenario, registry: &Registry, index: usize, at: Timestamp) -> Option<Reading> {
    let total = scenario.vehicles(index, at)?;
    Some(Reading {
        stream: Name::new("vehicles"),
        key: registry.cameras.get(index)?.id.clone(),
        at,
        received: at,
        fields: [Field::ok(Name::new("total"), total as f64)].into_iter().collect(),
        source: Name::new("storm"),
        origin: Origin::Vision,
        orphan: false,
    })
}

/// The crossings that the true course of the rivers has, by a plain loop that shares no code with the rules.
fn crossings(args: &StormArgs, config: &Config) -> Result<Vec<Crossing>> {
    let mut problems = Problems::default();
    let mut decoder = config.decoder(&mut problems);
    anyhow::ensure!(problems.is_empty(), "{problems}");
    let mut above: BTreeMap<(Name, Name), bool> = BTreeMap::new();
    let mut found = Vec::new();
    for message in scenario(args, config).with_faults(false).take_while(|message| message.send < end(args)) {
        if !message.topic.contains("/water_level") {
            continue;
        }
        for reading in decoder.decode(&message.topic, &message.payload, message.send).readings {
            // What came, not what was foretold.
            if reading.stream != *"water_level" {
                continue;
            }
            let (Some(value), Some(row)) = (reading.number("value"), config.registry.row(&reading.key)) else { continue };
            for (level, limit) in row.levels.iter().filter(|(name, _)| name.starts_with("bd")) {
                let above = above.entry((reading.key.clone(), level.clone())).or_default();
                if value >= *limit && !*above {
                    found.push(Crossing { key: reading.key.clone(), level: level.clone(), at: reading.at });
                    *above = true;
                } else if value < *limit - HYSTERESIS {
                    *above = false;
                }
            }
        }
    }
    Ok(found)
}

impl Heard {
    /// Takes what `readings`, judged at `now`, have led to.
    fn take(
        &mut self,
        transitions: &mut Vec<Transition>,
        brain: &mut Brain,
        readings: impl Iterator<Item = Reading>,
        now: Timestamp,
        kept: Option<&mut Kept>,
    ) -> Result<()> {
        let derived: Vec<Reading> = brain.derived().collect();
        self.derived += derived.len() as u64;
        if let Some(kept) = kept {
            kept.take(transitions, readings.chain(derived), now)?;
        }
        for transition in transitions.drain(..) {
            let alert = &transition.alert;
            if transition.kind == TransitionKind::Raised
                && let Some(level) = alert.rule.strip_prefix("river-").filter(|level| ["bd1", "bd2", "bd3"].contains(level))
            {
                let crossing = Crossing { key: alert.key.clone(), level: Name::new(level), at: alert.since };
                self.levels.push((crossing, transition.announced));
            }
            if transition.announced {
                let (rule, key) = (alert.rule.clone(), alert.key.clone());
                self.told.push(Told { at: transition.decided, rule, key, severity: alert.severity, text: alert.text.vi.clone() });
            }
        }
        Ok(())
    }

    /// The most that was announced in any 60 minutes, and those alarms.
    fn worst_hour(&self) -> Vec<&Told> {
        let (mut window, mut worst) = (VecDeque::new(), Vec::new());
        for told in &self.told {
            window.push_back(told);
            while window.front().is_some_and(|first| told.at.since(first.at) >= HOUR) {
                window.pop_front();
            }
            if window.len() > worst.len() {
                worst = window.iter().copied().collect();
            }
        }
        worst
    }
}

fn report(args: &StormArgs, heard: &Heard, expected: &[Crossing]) -> (String, Vec<String>) {
    let mut failed = Vec::new();
    let mut text = String::new();
    let mut line = |written: String| {
        text.push_str(&written);
        text.push('\n');
    };
    if args.list {
        heard.told.iter().for_each(|t| line(format!("{}  {}  {} {}  {}", local_date_time(t.at), t.severity, t.rule, t.key, t.text)));
    }
    let days = args.days;
    line(format!("{days} days from {}, seed {}", local_date_time(START), args.seed));
    line(format!(
        "{} readings, {} counts of cameras, {} computed, {} rows refused",
        heard.readings, heard.observations, heard.derived, heard.refused
    ));
    let hours = f64::from(days.max(1)) * 24.0;
    line(format!("{} alarms announced, {:.1} an hour", heard.told.len(), heard.told.len() as f64 / hours));

    let worst = heard.worst_hour();
    if let (Some(first), Some(last)) = (worst.first(), worst.last()) {
        line(format!("at most {} in 60 minutes, from {} to {}:", worst.len(), local_date_time(first.at), local_date_time(last.at)));
        ranked(worst.iter().map(|told| told.rule.to_string())).into_iter().for_each(|(rule, n)| line(format!("  {n:>4}  {rule}")));
    }
    if worst.len() > MOST_PER_HOUR {
        failed.push(format!("{} alarms in an hour, expected at most {MOST_PER_HOUR}", worst.len()));
    }
    line("per day:".to_owned());
    for day in 0..i64::from(days) {
        let from = START + Span::from_millis(DAY.as_millis() * day);
        let told: Vec<&Told> = heard.told.iter().filter(|told| (from..from + DAY).contains(&told.at)).collect();
        let of = |severity| told.iter().filter(|told| told.severity == severity).count();
        let shares: Vec<String> = Severity::ALL.iter().map(|s| format!("{} {s}", of(*s))).collect();
        line(format!("  {}  {:>4}  ({})", local_date_time(from), told.len(), shares.join(", ")));
    }
    line("top ten sources:".to_owned());
    for (source, n) in ranked(heard.told.iter().map(|told| format!("{} {}", told.rule, told.key))).into_iter().take(10) {
        line(format!("  {n:>4}  {source}"));
    }
    line("by rule:".to_owned());
    ranked(heard.told.iter().map(|told| told.rule.to_string())).into_iter().for_each(|(rule, n)| line(format!("  {n:>4}  {rule}")));

    let mut raised: Vec<&(Crossing, bool)> = heard.levels.iter().collect();
    let mut hidden = 0;
    let mut missed = Vec::new();
    for crossing in expected {
        let near = |(found, _): &&(Crossing, bool)| {
            found.key == crossing.key
                && found.level == crossing.level
                && (found.at.since(crossing.at) <= NEAR && crossing.at.since(found.at) <= NEAR)
        };
        match raised.iter().position(near) {
            Some(position) => hidden += usize::from(!raised.remove(position).1),
            None => missed.push(format!("{} {} at {}", crossing.key, crossing.level, local_date_time(crossing.at))),
        }
    }
    line(format!(
        "level alarms: {} crossings, {} raised, {hidden} of them not announced, {} missed, {} beside",
        expected.len(),
        heard.levels.len(),
        missed.len(),
        raised.len()
    ));
    for (found, _) in &raised {
        let _infallible = writeln!(text, "  beside: {} {} at {}", found.key, found.level, local_date_time(found.at));
    }
    if hidden > 0 {
        failed.push(format!("{hidden} level alarms hidden"));
    }
    if !missed.is_empty() {
        failed.push(format!("level alarms missed: {}", missed.join(", ")));
    }
    if !raised.is_empty() {
        failed.push(format!("{} level alarms without a crossing", raised.len()));
    }
    (text, failed)
}

/// How often each occurs, the most frequent first.
fn ranked(names: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut list: Vec<_> = counts.into_iter().collect();
    list.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), name.clone()));
    list
}
