//! The sealer thread: closed segments become Parquet, small parts become one, parts are taken to the bucket where there is one, and what
//! was kept long enough goes; all of it away from the path of the commits.
//!
//! Invariant: a segment that waits comes before everything else, and a stop is heeded between two merges and within one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_flow::{Ring, Stop};
use huong_ingest::FolderConfig;
use huong_store::{ClosedSegment, StoreConfig, compact, discard, retain, seal, ship, sweep, use_objects};
use huong_types::{Name, Timestamp};

use crate::clock::Clock;
use crate::shared::Shared;

/// How often it is looked whether to stop when nothing comes.
const IDLE: Duration = Duration::from_secs(1);
/// How soon a segment is tried again that could not be sealed, as on a full disk.
const AGAIN: Duration = Duration::from_secs(10);
/// How often small parts are looked for besides after a seal: days end, and readings of other days come late.
const MERGES: Duration = Duration::from_secs(60);
/// How often old parts are looked for: they go by whole days.
const DELETIONS: Duration = Duration::from_secs(10 * 60);

/// What the thread needs to know besides the segments.
pub(crate) struct Keeper {
    pub(crate) store: StoreConfig,
    pub(crate) folders: Vec<FolderConfig>,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) fn run(segments: &Ring<ClosedSegment>, keeper: &Keeper, stop: &Stop) {
    segments.waker().register();
    let (mut tried, mut merged, mut deleted): (Option<Instant>, Option<Instant>, Option<Instant>) = (None, None, None);
    let due = |last: Option<Instant>, every: Duration| last.is_none_or(|last| last.elapsed() >= every);
    let mut failed: Vec<ClosedSegment> = Vec::new();
    loop {
        let last = stop.is_set();
        let again = if due(tried, AGAIN) { std::mem::take(&mut failed) } else { Vec::new() };
        for closed in again.into_iter().chain(std::iter::from_fn(|| segments.pop())) {
            if keeper.seal(&closed) {
                merged = None;
            } else {
                tried = Some(Instant::now());
                failed.push(closed);
            }
        }
        if last {
            return;
        }
        if due(merged, MERGES) && !keeper.merge(segments, stop) {
            keeper.ship(segments, stop);
            merged = Some(Instant::now());
        }
        if due(deleted, DELETIONS) && !stop.is_set() {
            keeper.delete();
            deleted = Some(Instant::now());
        }
        if merged.is_some() {
            segments.waker().wait(IDLE);
        }
    }
}

impl Keeper {
    /// False when it failed: the segment stays readable as a log.
    fn seal(&self, closed: &ClosedSegment) -> bool {
        let (began, stats) = (Instant::now(), &self.shared.store);
        match seal(closed) {
            Ok(sealed) => {
                stats.seal.add(began.elapsed());
                tracing::info!(segment = closed.first_seq, rows = sealed.rows, parts = sealed.parts, "sealed a segment");
                true
            }
            Err(error) => {
                stats.seals_failed.add(1);
                tracing::error!(segment = closed.first_seq, %error, "a segment could not be sealed: it stays readable as a log, and is tried again");
                false
            }
        }
    }

    /// Makes some merges; false when none is due or it failed.
    fn merge(&self, segments: &Ring<ClosedSegment>, stop: &Stop) -> bool {
        let stopped = || stop.is_set() || !segments.is_empty();
        match compact(&self.store.dir, &self.store.compact, self.clock.now(), &stopped) {
            Ok(Some(merge)) => {
                tracing::debug!(
                    merges = merge.merges,
                    parts = merge.parts,
                    rows = merge.rows,
                    before = merge.bytes_before,
                    after = merge.bytes_after,
                    "merged parts"
                );
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::error!(%error, "parts could not be merged; they stay as they are");
                false
            }
        }
    }

    /// Takes to the bucket what is not there yet and no start needs; after the merges, so that little is taken twice.
    fn ship(&self, segments: &Ring<ClosedSegment>, stop: &Stop) {
        let Some(objects) = &self.store.objects else { return };
        let stopped = || stop.is_set() || !segments.is_empty();
        match use_objects(&self.store.dir, objects).and_then(|()| ship(&self.store.dir, &|stream| self.needed(stream), &stopped)) {
            Ok(0) => {}
            Ok(parts) => tracing::info!(parts, "took sealed parts to the bucket"),
            Err(error) => tracing::warn!(%error, "sealed parts stay here until the bucket takes them"),
        }
    }

    /// From which arrival on the readings of `stream` may be replayed at a start.
    fn needed(&self, stream: &Name) -> Option<Timestamp> {
        self.shared.reach.load().get(stream).map(|reach| self.clock.now() - *reach)
    }

    fn delete(&self) {
        let (dir, now) = (&self.store.dir, self.clock.now());
        match retain(dir, &self.store.keep, now, &|stream| self.needed(stream)) {
            Ok(paths) if paths.is_empty() => {}
            Ok(paths) => tracing::info!(parts = paths.len(), "dropped parts that were kept long enough; deletions.jsonl has them"),
            Err(error) => tracing::error!(%error, "nothing could be deleted"),
        }
        if let Err(error) = sweep(dir, self.store.compact.grace, now) {
            tracing::error!(%error, "the files of parts that are out of use could not be removed");
        }
        for folder in &self.folders {
            for left in folder.left() {
                match discard(dir, &left, folder.keep, "kept by the folder's setting", now) {
                    Ok(0) => {}
                    Ok(files) => {
                        tracing::info!(folder = %left.display(), files, "removed files that were kept long enough; deletions.jsonl has them")
                    }
                    Err(error) => tracing::error!(%error, folder = %left.display(), "old files could not be removed"),
                }
            }
        }
    }
}
