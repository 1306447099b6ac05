//! `huong replay --readings`: a published flood through the rules, in three feeds, scored and tabled.
//!
//! Invariant: each feed meets a fresh brain, and a replay that misses a crossing or raises one too many fails the command.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use huong_types::{Problems, TransitionKind};

use crate::commands::say;
use crate::config::Config;
use crate::replay;
use crate::score::{self, Feed};
use crate::waves::{self, Pass, Truth};

pub(crate) struct Files<'a> {
    pub(crate) readings: &'a Path,
    pub(crate) crossings: &'a Path,
    /// By default `*_warnings.csv` beside the readings, when it is there.
    pub(crate) notices: Option<&'a Path>,
    pub(crate) table: Option<&'a Path>,
}

/// Between these lines of the Markdown file stand the tables.
const MARKS: [&str; 2] = ["<!-- tables: written by huong replay -->", "<!-- end of tables -->"];

pub(crate) fn replay(files: &Files<'_>, config: &Config, failed: &mut Vec<String>) -> Result<()> {
    let rows = score::read_rows(files.readings)?;
    let crossings = score::read_crossings(files.crossings, &config.registry)?;
    let beside = PathBuf::from(files.readings.to_string_lossy().replace(".csv", "_warnings.csv"));
    let notices = match files.notices {
        Some(path) => score::read_notices(path)?,
        None if beside != *files.readings && beside.exists() => score::read_notices(&beside)?,
        None => Vec::new(),
    };
    let mut passes = Vec::new();
    for (feed, title) in [
        (Feed::Published, "as published (rows ok, derived, approx_time)"),
        (Feed::Interpolated, "interpolated to 10 minutes"),
        (Feed::WithMisprints, "as published, with the proven misprints among them"),
    ] {
        let fed = score::readings(files.readings, &rows, feed, &config.registry)?;
        let mut problems = Problems::default();
        let mut brain = config.brain(&mut problems).with_context(|| problems.to_string())?;
        let transitions = replay::run(&mut brain, fed.clone())?;
        let score = score::score(&transitions, &fed, &crossings, &notices, &config.registry);
        let raised = |silence: bool| {
            let raised = transitions.iter().filter(|t| t.kind == TransitionKind::Raised);
            raised.filter(|t| t.alert.silence == silence).count()
        };
        say(&format!("== {title}: {} readings\n{}", fed.len(), score.text))?;
        say(&format!(
            "{} crossings that readings show found in their interval, {} missed, {} rest on words alone, {} level alarms left over",
            score.found, score.missed, score.words_only, score.left_over
        ))?;
        say(&format!("{} alarms of all rules, and {} of silence, which so sparse a series must cause\n", raised(false), raised(true)))?;
        if score.missed + score.left_over > 0 {
            failed.push(format!("{title}: {} missed, {} left over", score.missed, score.left_over));
        }
        passes.push(Pass { title, fed, transitions, score });
    }
    let onsets = |pass: &Pass| pass.score.onsets.iter().cloned().collect::<BTreeSet<_>>();
    let extra: Vec<_> = onsets(&passes[2]).difference(&onsets(&passes[0])).cloned().collect();
    say(&format!("misprints: {} flood alarms that the believed rows alone do not raise\n", extra.len()))?;
    if !extra.is_empty() {
        failed.push(format!("misprints raised {extra:?}"));
    }
    let truth =
        Truth { crossings: &crossings, notices: &notices, registry: &config.registry, horizons: &waves::horizons(&config.pipelines) };
    let tables = waves::markdown(&passes[..2], &truth);
    match files.table {
        Some(path) => write_between_marks(path, &tables),
        None => say(&tables),
    }
}

fn write_between_marks(path: &Path, tables: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parts = text.split_once(MARKS[0]).and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    let Some((before, after)) = parts else {
        bail!("{}: found no lines `{}` and `{}`, expected both", path.display(), MARKS[0], MARKS[1]);
    };
    let text = format!("{before}{}\n\n{tables}{}{after}", MARKS[0], MARKS[1]);
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
