//! Small parts become one: of a table, stream and day, once there are many or the day is over.
//!
//! Invariant: the merged part takes the place of its sources in one step of the manifest, with the same rows. The sources' files stay for
//! a period of grace, for queries that began before. One merge holds a bounded number of rows.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use huong_types::{Name, Problems, Span, Timestamp};
use serde::Deserialize;

use crate::manifest::{self, Manifest, Part};
use crate::part::Pending;
use crate::table::{Partition, Table, local_day};
use crate::{StoreError, part, rollup};

/// Section `[store.compact]`: when small parts are merged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compact {
    /// So many small parts of one day are merged at once, whatever the hour. Eight keep a stream's day at eleven parts while a segment an
    /// hour comes in.
    pub parts: usize,
    /// No merged part has more rows than this. A merge holds them twice, some 130 bytes each.
    pub rows: u64,
    /// How long the files of merged and outdated parts stay for queries that began before: longer than any query may take.
    pub grace: Span,
}

/// A day is over for compaction when this much of the next has passed: most of what is late has come by then.
const LATE: Span = Span::from_mins(60);
/// What comes to a merged day later is merged in once it is this share of it, else once it is many parts: a day is not written anew
/// for every late reading.
const SHARE: u64 = 4;

/// What merges did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    pub merges: usize,
    /// That there were before.
    pub parts: usize,
    pub rows: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

impl Compact {
    /// Adds every mistake to `problems`; `path` is the section's name.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if !(2..=1000).contains(&self.parts) {
            problems.add(file, format!("{path}.parts"), format!("`{}`", self.parts), "2 to 1000");
        }
        if !(1..=1 << 24).contains(&self.rows) {
            problems.add(file, format!("{path}.rows"), format!("`{}`", self.rows), "1 to 16777216");
        }
        if self.grace < Span::ZERO {
            problems.add(file, format!("{path}.grace"), format!("`{}`", self.grace), "0s or more");
        }
    }
}

impl Default for Compact {
    fn default() -> Self {
        Self { parts: 8, rows: 1 << 19, grace: Span::from_mins(60) }
    }
}

/// Makes the merges that are due, of [`Compact::rows`] rows together or of one run that is larger; `None` when there is none, or `stopped`
/// said so before the first was done. Blocking.
///
/// # Errors
/// When a part cannot be read or written; nothing has changed then.
pub fn compact(dir: &Path, config: &Compact, now: Timestamp, stopped: &dyn Fn() -> bool) -> Result<Option<Compacted>, StoreError> {
    let _lock = manifest::lock(dir)?;
    let mut manifest = Manifest::read(dir)?;
    let mut merged = Pending::new(dir);
    let (mut sources, mut compacted) = (Vec::new(), Compacted::default());
    for run in due(&manifest.parts, config, local_day(now - LATE)) {
        let rows: u64 = run.iter().map(|part| part.rows).sum();
        if compacted.merges > 0 && compacted.rows + rows > config.rows {
            break;
        }
        if !merge(dir, &run, manifest.generation + 1, &mut merged, stopped)? {
            break;
        }
        compacted.merges += 1;
        compacted.rows += rows;
        sources.extend(run);
    }
    if sources.is_empty() {
        return Ok(None);
    }
    let merged = merged.publish()?;
    compacted.parts = sources.len();
    compacted.bytes_before = sources.iter().map(|part| part.bytes).sum();
    compacted.bytes_after = merged.iter().map(|part| part.bytes).sum();
    manifest.retire(&sources.iter().map(|part| part.path.as_str()).collect());
    manifest.parts.extend(merged);
    manifest.publish(dir)?;
    Ok(Some(compacted))
}

/// Neighbours in the order of the log that are worth one part together, one run of each table, stream and day; the oldest day first.
fn due(parts: &[Part], config: &Compact, today: i32) -> Vec<Vec<Part>> {
    let mut partitions: BTreeMap<_, Vec<&Part>> = BTreeMap::new();
    for part in parts {
        partitions.entry((part.day, part.table, part.stream.as_ref())).or_default().push(part);
    }
    let first_run = |((day, ..), mut parts): ((i32, Table, Option<&Name>), Vec<&Part>)| {
        parts.sort_by_key(|part| part.span);
        let runs = runs(&parts, config.rows);
        let run = runs.into_iter().find(|run| {
            let rows: u64 = run.iter().map(|part| part.rows).sum();
            let largest = run.iter().map(|part| part.rows).max().unwrap_or(0);
            run.len() >= config.parts || (run.len() > 1 && day < today && (rows - largest) * SHARE >= largest)
        });
        run.map(|run| run.iter().copied().cloned().collect())
    };
    partitions.into_iter().filter_map(first_run).collect()
}

/// `parts` cut into runs of at most `rows` rows together.
fn runs<'a, 'p>(parts: &'a [&'p Part], rows: u64) -> Vec<&'a [&'p Part]> {
    let mut runs = Vec::new();
    let (mut begin, mut sum) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        if sum + part.rows > rows {
            runs.push(&parts[begin..i]);
            (begin, sum) = (i, 0);
        }
        sum += part.rows;
    }
    runs.push(&parts[begin..]);
    runs
}

/// Writes the rows of `run` as one part of `merged`; false when `stopped` said so before. `generation` makes its name one that no part
/// ever had.
fn merge(dir: &Path, run: &[Part], generation: u64, merged: &mut Pending<'_>, stopped: &dyn Fn() -> bool) -> Result<bool, StoreError> {
    let first = &run[0];
    let (table, stream, day) = (first.table, first.stream.clone(), first.day);
    let schema = table.schema();
    let mut batches = Vec::new();
    for source in run {
        if stopped() {
            return Ok(false);
        }
        part::read(dir, source, &[], &mut |batch| {
            batches.push(batch);
            Ok(())
        })?;
    }
    let rows = concat_batches(&schema, &batches)?;
    drop(batches);
    let rows = part::sorted(table, &rows)?;
    let rows = if table.bin().is_some() { rollup::merge(table, &rows)?.unwrap_or(RecordBatch::new_empty(schema)) } else { rows };
    let span = run.iter().fold(first.span, |span, part| (span.0.min(part.span.0), span.1.max(part.span.1)));
    let name = format!("{:020}-{generation:010}", span.0);
    merged.write(&Partition { table, stream, day }, &name, span, &rows)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
