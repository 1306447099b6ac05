//! The audit: everything is read again and held against what the store says of itself.
//!
//! Invariant: it writes nothing and trusts no summary. Each file is summed up anew, each sequence is looked for in log, parts and deletions,
//! and of each stream received = stored + rejected is counted out. While it runs, seals and merges wait; commits do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::deletions::{Deletions, Step};
use crate::manifest::{self, Manifest, Part};
use crate::record::State;
use crate::segment::{self, Segment};
use crate::table::Table;
use crate::{Record, StoreError, part, retention};

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// By stream; "" when it is not known.
    pub streams: BTreeMap<String, StreamAudit>,
    pub segments: usize,
    pub parts: usize,
    /// Bytes of segments and parts.
    pub bytes: u64,
    /// Deletions that the log proves.
    pub deletions: usize,
    /// Every difference, each naming its file, stream or sequences.
    pub faults: Vec<String>,
}

/// Records of one stream: readings and refused payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamAudit {
    /// What the ledger says was received: stored and rejected.
    pub ledger: u64,
    pub in_log: u64,
    pub in_parts: u64,
    pub deleted: u64,
}

impl StreamAudit {
    fn found(self) -> u64 {
        self.in_log + self.in_parts + self.deleted
    }
}

impl Audit {
    fn account(&mut self, stream: &str) -> &mut StreamAudit {
        self.streams.entry(stream.to_owned()).or_default()
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }
}

/// Reads the whole store of `dir`. Blocking, as long as the disk takes.
///
/// # Errors
/// When the manifest cannot be read, or files cannot be listed: then nothing can be said. Everything else is a fault.
pub fn audit(dir: &Path) -> Result<Audit, StoreError> {
    let _lock = manifest::lock(dir)?;
    let manifest = Manifest::read(dir)?;
    let mut audit = Audit::default();
    let mut seen = Sequences::default();
    for part in &manifest.parts {
        audit.parts += 1;
        audit.bytes += part.bytes;
        if let Err(fault) = look_at(dir, part, &mut audit, &mut seen) {
            audit.fault(format!("part {}: {fault}", part.path));
        }
    }
    let (state, logs) = read_log(dir, &manifest, &mut audit, &mut seen)?;
    let deleted = read_deletions(dir, &manifest, &mut audit);
    compare_sequences(&manifest, &logs, &deleted, &seen, &mut audit);
    if let Some(state) = state {
        for (account, counts) in &state.counts {
            audit.account(account.stream.as_deref().unwrap_or_default()).ledger += counts.stored + counts.rejected.values().sum::<u64>();
        }
        let transitions = seen.transitions + deleted.transitions;
        if transitions + 1 != state.next_seq {
            audit.fault(format!("alerts: found {transitions} transitions, the journal has {}", state.next_seq - 1));
        }
    }
    let off = audit.streams.iter().filter(|(_, account)| account.found() != account.ledger);
    let faults: Vec<String> = off
        .map(|(stream, account)| format!("stream `{stream}`: found {} records, the ledger has {}", account.found(), account.ledger))
        .collect();
    audit.faults.extend(faults);
    Ok(audit)
}

/// Which sequences were found.
#[derive(Default)]
struct Sequences {
    bits: Vec<u64>,
    transitions: u64,
}

impl Sequences {
    /// False when it was there before.
    fn add(&mut self, seq: u64) -> bool {
        let (word, bit) = ((seq / 64) as usize, 1 << (seq % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }

    fn has(&self, seq: u64) -> bool {
        self.bits.get((seq / 64) as usize).is_some_and(|word| word & (1 << (seq % 64)) != 0)
    }
}

/// Reads one part whole.
fn look_at(dir: &Path, part: &Part, audit: &mut Audit, seen: &mut Sequences) -> Result<(), StoreError> {
    let (bytes, sha256) = part::sha256(dir, part)?;
    if bytes != part.bytes || part.sha256 != sha256 {
        audit.fault(format!("part {}: its bytes are not those that were written ({bytes} bytes, sha256 {sha256})", part.path));
    }
    let mut rows = 0;
    part::read(dir, part, &[], &mut |batch| {
        rows += batch.num_rows() as u64;
        Ok(())
    })?;
    if rows != part.rows {
        audit.fault(format!("part {}: found {rows} rows, expected {}", part.path, part.rows));
    }
    if !Table::RECORDS.contains(&part.table) {
        return Ok(());
    }
    let alerts = part.table == Table::Alerts;
    let seqs = part::sequences(dir, part, if alerts { "record" } else { "seq" })?;
    if alerts {
        seen.transitions += rows;
    } else {
        for (stream, records) in retention::records(dir, part)? {
            audit.account(&stream).in_parts += records;
        }
    }
    let doubled = seqs.iter().filter(|seq| !seen.add(**seq)).count();
    if doubled > 0 {
        audit.fault(format!("part {}: {doubled} of its records are in another part too", part.path));
    }
    Ok(())
}

type Logs = (Option<State>, Vec<(u64, u64)>);

/// Reads the segments that are not sealed. Returns the state after them and the sequences that they hold, in order.
fn read_log(dir: &Path, manifest: &Manifest, audit: &mut Audit, seen: &mut Sequences) -> Result<Logs, StoreError> {
    let unsealed: Vec<u64> = segment::list(dir)?.into_iter().filter(|seq| !manifest.holds(*seq)).collect();
    let (mut state, mut spans): (Option<State>, _) = (None, Vec::new());
    for (i, first_seq) in unsealed.iter().enumerate() {
        let path = segment::path(dir, *first_seq);
        audit.segments += 1;
        let segment = match Segment::read(&path) {
            Ok(segment) => segment,
            Err(error) => {
                audit.fault(format!("segment: {error}"));
                continue;
            }
        };
        // A damaged one is among what `damaged` counts.
        let mut after = segment.checkpoint.as_ref().map(|checkpoint| checkpoint.state.clone()).or_else(|| state.take());
        let mut records = segment.records();
        for (seq, record) in &mut records {
            if let Some(after) = &mut after {
                after.apply(&record);
            }
            match &record {
                Record::Reading(reading) => audit.account(&reading.stream).in_log += 1,
                Record::Quarantined(refused) => audit.account(refused.stream.as_deref().unwrap_or_default()).in_log += 1,
                Record::Transition(_) => seen.transitions += 1,
            }
            if !seen.add(seq) {
                audit.fault(format!("segment {}: record {seq} is sealed already", path.display()));
            }
        }
        let torn = segment.torn(records.end()).len();
        audit.bytes += (records.end() + torn) as u64;
        if records.damaged() > 0 {
            audit.fault(format!("segment {}: {} records are not what was written", path.display(), records.damaged()));
        }
        // At the end of the newest there may be a commit under way.
        if torn > 0 && i + 1 < unsealed.len() {
            audit.fault(format!("segment {}: its last {torn} bytes are no record", path.display()));
        }
        spans.push((*first_seq, records.next_seq()));
        state = after;
    }
    if state.is_none() && !manifest.sealed.is_empty() {
        audit.fault(format!("{}: no open segment, so there is no ledger to compare with", segment::log_dir(dir).display()));
    }
    Ok((state, spans))
}

/// What went by rules of retention.
#[derive(Default)]
struct Deleted {
    records: u64,
    transitions: u64,
    spans: Vec<(u64, u64)>,
}

fn read_deletions(dir: &Path, manifest: &Manifest, audit: &mut Audit) -> Deleted {
    let mut deleted = Deleted::default();
    let log = match Deletions::read(dir) {
        Ok(log) => log,
        Err(error) => {
            audit.fault(format!("deletion log: {error}"));
            return deleted;
        }
    };
    let named: BTreeSet<&str> = manifest.parts.iter().map(|part| part.path.as_str()).collect();
    for planned in log.planned().filter(|planned| !named.contains(planned.path.as_str()) && Table::RECORDS.contains(&planned.table)) {
        deleted.spans.push(planned.span);
        if planned.table == Table::Alerts {
            deleted.transitions += planned.rows;
        }
        for (stream, records) in &planned.records {
            audit.account(stream).deleted += records;
            deleted.records += records;
        }
    }
    audit.deletions = log.planned().count();
    for line in &log.lines {
        if let Step::Done { path } = &line.step
            && dir.join(path).exists()
        {
            audit.fault(format!("part {path}: the deletion log says that it is gone"));
        }
    }
    deleted
}

/// No sequence may be missing, but for those that were deleted.
fn compare_sequences(manifest: &Manifest, logs: &[(u64, u64)], deleted: &Deleted, seen: &Sequences, audit: &mut Audit) {
    let mut spans: Vec<(u64, u64)> = manifest.sealed.iter().chain(logs).copied().collect();
    spans.sort_unstable();
    let mut next = 1;
    for (first, end) in spans {
        if first > next {
            audit.fault(format!("log: no segment holds the sequences {next} to {}", first - 1));
        }
        next = next.max(end);
    }
    let allowed = deleted.records + deleted.transitions;
    let (mut missed, mut lost) = (0, Vec::<(u64, u64)>::new());
    for seq in manifest.sealed.iter().flat_map(|(first, end)| *first..*end).filter(|seq| !seen.has(*seq)) {
        if deleted.spans.iter().any(|(first, end)| (*first..*end).contains(&seq)) {
            missed += 1;
        } else if let Some(last) = lost.last_mut().filter(|last| last.1 + 1 == seq) {
            last.1 = seq;
        } else {
            lost.push((seq, seq));
        }
    }
    for (first, last) in lost {
        audit.fault(format!("parts: the sealed records {first} to {last} are in none"));
    }
    if missed != allowed {
        audit.fault(format!("parts: {missed} sealed records are in none, {allowed} were deleted"));
    }
}

/// A table for people, then the faults.
impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.streams.keys().map(String::len).max().unwrap_or(0).max(8);
        writeln!(f, "{:width$} {:>12} {:>12} {:>12} {:>12} {:>12}", "stream", "ledger", "log", "parts", "deleted", "difference")?;
        for (stream, account) in &self.streams {
            let stream = if stream.is_empty() { "?" } else { stream };
            let difference = i128::from(account.found()) - i128::from(account.ledger);
            let StreamAudit { ledger, in_log, in_parts, deleted } = account;
            writeln!(f, "{stream:width$} {ledger:>12} {in_log:>12} {in_parts:>12} {deleted:>12} {difference:>12}")?;
        }
        writeln!(f, "{} segments, {} parts, {} bytes, {} deletions", self.segments, self.parts, self.bytes, self.deletions)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "FAULT {fault}"))?;
        write!(f, "{}", if self.faults.is_empty() { "sound: received = stored + rejected, stream by stream" } else { "not sound" })
    }
}

#[cfg(test)]
mod tests;
