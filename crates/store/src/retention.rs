//! What is kept how long, and the deleting of the rest by whole parts.
//!
//! Invariant: nothing is deleted that a rule does not name, that an open alert or a window needs, or that a clock says is old while the
//! data does not; and nothing without a line in the deletion log that stood there before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::Array;
use huong_types::{Name, Problems, Span, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::deletions::{Deletions, Discarded, Planned, Step};
use crate::error::Context;
use crate::manifest::{self, Manifest, Part};
use crate::part::hex;
use crate::restore::text;
use crate::snapshot::Snapshot;
use crate::table::{Table, day_name, local_day};
use crate::{Record, StoreError, disk, part};

/// One `[[store.keep]]`: how long a class of data stays. Of several that match, the first counts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub(crate) table: Table,
    /// Only streams of this name; `*` stands for any text.
    #[serde(default)]
    pub(crate) stream: Option<String>,
    /// Whole local days after the day of the event; for ever when absent.
    #[serde(default)]
    pub(crate) days: Option<u16>,
    /// The rule or law that it follows: stands in the deletion log.
    pub(crate) why: String,
}

/// Data ends at most so long before the clock, or else the clock is not to be believed: the longest stop after which nobody need look.
const QUIET: Span = Span::from_mins(2 * 24 * 60);

/// Files removed in one go; the others go with a later one.
const MOST_DISCARDED: usize = 10_000;

impl Keep {
    /// What holds where the configuration says nothing. Measurements, alerts and rollups stay: they are the city's record, and small.
    /// Personal and unchecked data go; the figures are this project's, within the duties of Luật Bảo vệ dữ liệu cá nhân 91/2025/QH15
    /// to keep such data no longer than its purpose needs.
    pub fn defaults() -> Vec<Keep> {
        let keep = |table, stream: Option<&str>, days, why: &str| Keep {
            table,
            stream: stream.map(str::to_owned),
            days: Some(days),
            why: why.to_owned(),
        };
        vec![
            keep(Table::Readings, Some("plates*"), 1, "plate texts serve the matching of one day (personal data)"),
            keep(Table::Minutes, Some("plates*"), 1, "as the plate texts that they count"),
            keep(Table::Hours, Some("plates*"), 1, "as the plate texts that they count"),
            keep(Table::Observations, Some("candidates*"), 30, "unconfirmed candidates are reviewed within a month (personal data)"),
            keep(Table::Quarantine, None, 90, "refused payloads may hold anything; a source is mended within a quarter"),
        ]
    }

    /// Adds every mistake to `problems`; `path` is the entry's name.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.stream.is_some() && !self.table.by_stream() {
            problems.add(file, format!("{path}.stream"), "a stream", format!("nothing: {} is not kept by stream", self.table.name()));
        }
        if self.why.trim().is_empty() {
            problems.add(file, format!("{path}.why"), "an empty text", "the rule that this follows");
        }
    }

    fn covers(&self, part: &Part) -> bool {
        let stream = part.stream.as_ref().map_or("", |stream| stream.as_str());
        self.table == part.table && self.stream.as_ref().is_none_or(|pattern| matches(pattern, stream))
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
}

/// Drops the parts that are older than `keep` and [`Keep::defaults`] say, as of `now`; their files go after the period of grace
/// ([`crate::sweep`]). Returns their paths. Blocking.
///
/// `needed` says from which time of arrival on a stream's readings may still be replayed, `None` when they never are.
///
/// # Errors
/// [`StoreError::ClockAhead`] when the newest reading is long before `now`: nothing is deleted then.
pub fn retain(dir: &Path, keep: &[Keep], now: Timestamp, needed: &dyn Fn(&Name) -> Option<Timestamp>) -> Result<Vec<String>, StoreError> {
    let _lock = manifest::lock(dir)?;
    let mut manifest = Manifest::read(dir)?;
    let mut log = Deletions::read(dir)?;
    log.settle(dir, &manifest, now.as_millis())?;
    let rules: Vec<Keep> = keep.iter().cloned().chain(Keep::defaults()).collect();
    let today = local_day(now);
    let pending: BTreeSet<String> = log.pending().into_iter().map(|planned| planned.path.clone()).collect();
    let outdated = |part: &Part| {
        let rule = rules.iter().find(|keep| keep.covers(part))?;
        (i64::from(today) - i64::from(part.day) > i64::from(rule.days?)).then_some(rule)
    };
    if !manifest.parts.iter().any(|part| pending.contains(&part.path) || outdated(part).is_some()) {
        return Ok(Vec::new());
    }
    let live = Live::read(dir, &manifest)?;
    if live.newest.is_none_or(|newest| now.since(newest) > QUIET) {
        return Err(StoreError::ClockAhead { now, newest: live.newest });
    }
    let (mut planned, mut paths) = (Vec::new(), Vec::new());
    for part in &manifest.parts {
        if pending.contains(&part.path) {
            // A crash came between the line and the step.
            paths.push(part.path.clone());
            continue;
        }
        let Some(rule) = outdated(part) else { continue };
        let live = if part.table == Table::Alerts { live.open_in(dir, part)? } else { part.replayed(needed) };
        if live {
            continue;
        }
        let days = rule.days.unwrap_or_default();
        planned.push(Step::Planned(Box::new(Planned {
            path: part.path.clone(),
            table: part.table,
            stream: part.stream.clone(),
            day: day_name(part.day),
            rows: part.rows,
            records: records(dir, part)?,
            span: part.span,
            bytes: part.bytes,
            sha256: part::sha256(dir, part)?.1,
            rule: format!("{} days: {}", days, rule.why),
        })));
        paths.push(part.path.clone());
    }
    if !paths.is_empty() {
        log.append(now.as_millis(), planned)?;
        manifest.retire(&paths.iter().map(String::as_str).collect());
        manifest.publish(dir)?;
    }
    Ok(paths)
}

/// Removes the files of `folder` that were written more than `keep` before the machine's clock, after a line in the deletion log of `dir`,
/// which gives `why`. Returns how many; a folder that is not there has none. Blocking.
pub fn discard(dir: &Path, folder: &Path, keep: Span, why: &str, now: Timestamp) -> Result<usize, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.during("list", folder)?,
    };
    let mut old = Vec::new();
    for entry in entries {
        if old.len() == MOST_DISCARDED {
            break;
        }
        let path = entry.during("list", folder)?.path();
        let found = fs::symlink_metadata(&path).during("look at", &path)?;
        let age = found.modified().during("look at", &path)?.elapsed().unwrap_or_default();
        if found.is_file() && age > keep.to_std() {
            let mut sum = Sha256::new();
            let bytes = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut sum)).during("read", &path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            old.push((path, Discarded { name, bytes, sha256: hex(&sum.finalize()) }));
        }
    }
    let (paths, files): (Vec<PathBuf>, Vec<Discarded>) = old.into_iter().unzip();
    if paths.is_empty() {
        return Ok(0);
    }
    let _lock = manifest::lock(dir)?;
    let rule = format!("{keep}: {why}");
    Deletions::read(dir)?.append(now.as_millis(), vec![Step::Discarded { folder: folder.to_owned(), files, rule }])?;
    paths.iter().try_for_each(|path| disk::remove(path))?;
    disk::sync_dir(folder)?;
    Ok(paths.len())
}

/// Records of a part by stream.
pub(crate) fn records(dir: &Path, part: &Part) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut counts = BTreeMap::new();
    match (&part.stream, part.table) {
        (Some(stream), table) if Table::RECORDS.contains(&table) => {
            counts.insert(stream.to_string(), part.records);
        }
        (None, Table::Quarantine) => part::read(dir, part, &["stream"], &mut |batch| {
            let streams = text(&batch, "stream")?;
            for row in 0..batch.num_rows() {
                let stream = if streams.is_valid(row) { streams.value(row) } else { "" };
                *counts.entry(stream.to_owned()).or_default() += 1;
            }
            Ok(())
        })?,
        _ => {}
    }
    Ok(counts)
}

/// What is going on now: what must not be deleted, whatever its age.
struct Live {
    open: BTreeSet<Name>,
    /// Time of the newest event; of one dated ahead, as a forecast is, that of its arrival.
    newest: Option<Timestamp>,
}

impl Live {
    fn read(dir: &Path, manifest: &Manifest) -> Result<Live, StoreError> {
        let sealed = manifest.parts.iter().filter(|part| matches!(part.table, Table::Readings | Table::Observations));
        let mut newest = sealed.map(|part| Timestamp::from_millis(part.at.1.min(part.arrived.1))).max();
        let mut state = None;
        for log in Snapshot::take(dir)?.logs {
            let segment = log.read()?;
            let before = segment.checkpoint.as_ref().map(|checkpoint| checkpoint.state.clone()).or_else(|| state.take());
            let unknown = || StoreError::Damaged {
                what: "the checkpoint (which alerts are open is not known)".to_owned(),
                path: log.path().to_owned(),
            };
            let mut after = before.ok_or_else(unknown)?;
            for (_, record) in segment.records() {
                after.apply(&record);
                if let Record::Reading(reading) = &record {
                    newest = newest.max(Some(reading.at.min(reading.received)));
                }
            }
            state = Some(after);
        }
        Ok(Live { open: state.map(|state| state.open.into_keys().collect()).unwrap_or_default(), newest })
    }

    /// Whether any row of `part` is of an open alert.
    fn open_in(&self, dir: &Path, part: &Part) -> Result<bool, StoreError> {
        let mut found = false;
        part::read(dir, part, &["id"], &mut |batch| {
            found |= text(&batch, "id")?.iter().flatten().any(|id| self.open.contains(id));
            Ok(())
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
