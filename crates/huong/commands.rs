//! The commands that look, check and measure; none of them writes to the store.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use huong_store::{Asker, Encoder, Queries};
use huong_types::{Problems, Registry};
use huong_vision::Views;
use huong_wall::{Role, user_line};

use crate::clock::Clock;
use crate::config::{Config, overlay, read_pipelines};
use crate::score::table;
use crate::{flood, push, series, storm, vision};

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Published observations: ts_local, station, kind, value, quality.
    #[arg(long, requires = "score", required_unless_present_any = ["series", "storm"])]
    readings: Option<PathBuf>,
    /// When each alarm level was crossed: station, level, direction, last_ts_before, first_ts_after.
    #[arg(long)]
    score: Option<PathBuf>,
    /// Official notices to compare with; by default `*_warnings.csv` beside the readings, when it is there.
    #[arg(long)]
    notices: Option<PathBuf>,
    /// A Markdown file: the tables of detection, false alarms and lead times are written between its two marks.
    #[arg(long, requires = "readings")]
    table: Option<PathBuf>,
    /// A list of sensor series with thresholds, such as config/replay/series.toml.
    #[arg(long, requires = "data")]
    series: Option<PathBuf>,
    /// The folder of the series' files.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    storm: storm::StormArgs,
    #[arg(long, default_value = "config/huong.toml")]
    config: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A table with borders.
    #[value(alias = "table")]
    Pretty,
    Csv,
    /// An array of objects.
    Json,
    /// An Arrow IPC stream.
    Arrow,
}

/// The one place that prints results, so that they go to standard output and logs do not.
pub(crate) fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot print")
}

/// The one place that prints why a command failed. Mistakes in files begin their lines with the place, as editors expect it.
pub(crate) fn complain(error: &anyhow::Error) {
    let lines = match error.downcast_ref::<Problems>() {
        Some(problems) => format!("{problems}\nhuong: {} to be mended\n", count(problems.list.len(), "mistake")),
        None => format!("huong: {error:#}\n"),
    };
    // There is nowhere left to tell when standard error is closed.
    let _closed = io::stderr().write_all(lines.as_bytes());
}

/// Columns padded to their widest cell under `head`; nothing without rows.
pub(crate) fn print_table(head: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = String::new();
    table(&mut text, std::iter::once(head).chain(rows));
    say(text.trim_end())
}

/// `1 rule`, `2 rules`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

pub(crate) fn check(path: &Path) -> Result<()> {
    let (config, mut problems) = Config::check(path);
    huong_rules::advise(&config.pipelines, &mut problems);
    config.unheard(path, &mut problems);
    push::unreached(&config, &mut problems);
    for warning in problems.warnings_text().lines() {
        say(&format!("warning: {warning}"))?;
    }
    ensure!(problems.is_empty(), problems);
    let registry = &config.registry;
    say(&format!(
        "{}: valid. {} stations, {} cameras, {} wards, {} streams, {} pipelines, {}",
        path.display(),
        registry.stations.len(),
        registry.cameras.len(),
        registry.wards.len(),
        config.streams.len(),
        config.pipelines.len(),
        count(problems.warnings.len(), "warning")
    ))
}

/// Runs the tests inside the pipelines at `paths`, or inside those of the configuration. Files are tried beside the configuration's
/// other rules, which theirs may name; a folder stands for itself.
pub(crate) fn test(paths: &[PathBuf], rule: Option<&str>, config: &Path) -> Result<()> {
    let config = Config::load(config)?;
    let began = Instant::now();
    let mut problems = Problems::default();
    let given = read_pipelines(paths, &mut problems);
    let pipelines = match given.as_slice() {
        [] => config.pipelines.clone(),
        _ if paths.iter().any(|path| path.is_dir()) => given.clone(),
        _ => overlay(&config.pipelines, &given)?.0,
    };
    let mut reports = huong_rules::run_tests(&pipelines, &config.streams, &config.registry, &mut problems);
    ensure!(problems.is_empty(), problems);
    reports.retain(|report| given.is_empty() || given.iter().any(|(file, _)| *file == report.file));
    reports.retain(|report| rule.is_none_or(|rule| report.rule == *rule));
    if let Some(rule) = rule {
        ensure!(!reports.is_empty(), "found no test of a rule `{rule}`, expected the id of a rule with tests");
    }
    for report in &reports {
        let verdict = if report.failures.is_empty() { "ok    " } else { "FAILED" };
        say(&format!("{verdict}  {} {} {}", report.file, report.rule, report.name))?;
        for failure in &report.failures {
            say(&format!("        {failure}"))?;
        }
    }
    let failed = reports.iter().filter(|report| !report.failures.is_empty()).count();
    let rules: BTreeSet<_> = reports.iter().map(|report| &report.rule).collect();
    let files: BTreeSet<_> = reports.iter().map(|report| &report.file).collect();
    say(&format!(
        "{} passed, {failed} failed; {} in {}, {:.1} s",
        reports.len() - failed,
        count(rules.len(), "rule"),
        count(files.len(), "file"),
        began.elapsed().as_secs_f64()
    ))?;
    ensure!(failed == 0, "{failed} of {} failed", count(reports.len(), "pipeline test"));
    Ok(())
}

pub(crate) fn replay(args: &ReplayArgs) -> Result<()> {
    let config = Config::load(&args.config)?;
    if args.storm.storm {
        return storm::command(&args.storm, &config);
    }
    let mut failed = Vec::new();
    if let (Some(readings), Some(crossings)) = (&args.readings, &args.score) {
        let files = flood::Files { readings, crossings, notices: args.notices.as_deref(), table: args.table.as_deref() };
        flood::replay(&files, &config, &mut failed)?;
    }
    if let (Some(list), Some(folder)) = (&args.series, &args.data) {
        replay_series(list, folder, &config, &mut failed)?;
    }
    ensure!(failed.is_empty(), "the replay does not hold: {}", failed.join("; "));
    Ok(())
}

fn replay_series(list: &Path, folder: &Path, config: &Config, failed: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let mut problems = Problems::default();
    let all = series::parse(&list.display().to_string(), &text, &mut problems);
    ensure!(problems.is_empty(), problems);
    ensure!(!all.is_empty(), "{}: found no [[series]], expected at least one", list.display());
    for one in &all {
        let report = series::check(one, folder, &config.pipelines, &config.streams, &config.registry)?;
        say(&report.line)?;
        if !report.passed {
            failed.push(one.file.clone());
        }
    }
    Ok(())
}

pub(crate) fn query(sql: &str, format: Format, config: &Path, data: Option<&Path>) -> Result<()> {
    // Only the store's folder and the limits matter here: a mistake elsewhere must not keep anyone from the data.
    let (dir, limits) = match data {
        Some(dir) => (dir.to_path_buf(), huong_store::QueryLimits::default()),
        None => Config::store(config)?,
    };
    // Who may read the files needs nobody's leave: such a query is not noted.
    let queries = Queries::new(dir, limits, None)?;
    let asker = Asker { who: String::new(), via: "command", at: Clock::Wall.now() };
    let format = match format {
        Format::Pretty => huong_store::Format::Pretty,
        Format::Csv => huong_store::Format::Csv,
        Format::Json => huong_store::Format::Json,
        Format::Arrow => huong_store::Format::Arrow,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let mut answer = queries.ask(asker, sql.to_owned()).await?;
        let mut encoder = Encoder::new(format, answer.schema())?;
        let mut out = io::stdout().lock();
        while let Some(batch) = answer.next().await {
            out.write_all(&encoder.push(batch?)?)?;
        }
        Ok(out.write_all(&encoder.finish()?)?)
    })
}

pub(crate) fn detect(images: &[PathBuf], config: &Path) -> Result<()> {
    let config = Config::load(config)?;
    let mut pipeline = vision::open(&config.vision, &Views::default(), &Arc::new(Registry::default()))?.swap_remove(0);
    let mut failed = 0;
    for image in images {
        let found = std::fs::read(image).map_err(anyhow::Error::from).and_then(|jpeg| Ok(pipeline.detect(&jpeg)?));
        match found {
            Ok(detections) => {
                say(&format!("{}: {} objects", image.display(), detections.len()))?;
                for d in detections {
                    let b = d.bbox;
                    say(&format!(
                        "  {:<14} {:.2}  x {:.0}  y {:.0}  width {:.0}  height {:.0}",
                        d.label, d.score, b.x, b.y, b.width, b.height
                    ))?;
                }
            }
            Err(error) => {
                failed += 1;
                complain(&error.context(format!("{}", image.display())));
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} pictures could not be looked at", images.len());
    }
    Ok(())
}

/// Prints a line of the users' file.
pub(crate) fn user(role: &str, name: &str) -> Result<()> {
    let role = Role::named(role).with_context(|| format!("role: found `{role}`, expected viewer, operator, flood, police or admin"))?;
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).context("the password is read from standard input")?;
    say(&user_line(role, name, password.trim_end_matches(['\r', '\n'])).map_err(anyhow::Error::msg)?)
}
