//! What a start needs of the past: open alerts from the journal, window state from the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use huong_store::{Asker, Queries, Recovered, StoreError, newest_arrival, note_start, replay_readings, starts, transitions_after};
use huong_types::{Name, Reading, Registry, Span, Timestamp, Transition, TransitionKind};
use huong_wall::Trouble;

use crate::archive;
use crate::brain::Brain;
use crate::metrics::Recovery;
use crate::shared::Shared;

/// Transitions looked through for what was raised last, and for the load of the last day: more than one commit holds, whose readings
/// alone may come twice.
const REMEMBERED: u64 = 10_000;
/// The log is read over this at least: what was stored last may come again, however short the rules' windows are. A mosquitto that
/// crashes has forgotten what it was acknowledged since it last saved its state, which it does every 1,800 s where `autosave_interval`
/// says nothing else, and sends that again.
const REDELIVERED: Span = Span::from_mins(35);
/// A long replay says how far it is, once per so many readings.
const PROGRESS: u64 = 1_000_000;

/// A value older than a week says nothing of today, and looking for it costs.
const SHOWN: Span = Span::from_mins(7 * 24 * 60);
/// Keys of one question: a statement has its limit of length.
const ASKED: usize = 200;
/// A start does not wait longer for values that are old anyway.
const PATIENCE: Span = Span::from_secs(10);

/// What the past says beside the brain's own state.
pub(crate) struct Past {
    /// The last transitions, oldest first.
    pub(crate) steps: Vec<Transition>,
    /// The newest reading of each key that was replayed.
    pub(crate) latest: BTreeMap<(Name, Name), Reading>,
    pub(crate) figures: Recovery,
}

/// Brings `brain` to where it was: replays the log, each stream as far back as some rule needs it, with its signals dropped, because
/// everything they caused is in the journal already, then takes the open alerts from there.
///
/// The window is counted back from the last reading, not from `now`: after a day of standstill the broker sends again what was stored
/// and not acknowledged a day ago.
pub(crate) fn recover(brain: &mut Brain, dir: &Path, recovered: &Recovered, now: Timestamp) -> Result<Past> {
    let begun = Instant::now();
    let newest = newest_arrival(dir).context("the log cannot be read")?.unwrap_or(now).min(now);
    let reach = brain.reach();
    let since = |stream: &Name| reach.get(stream).map(|reach| newest - (*reach).max(REDELIVERED));
    let longest = newest - brain.longest_window().max(REDELIVERED);
    let starts = starts(dir, longest).context("the earlier starts cannot be read")?;
    if let Err(error) = note_start(dir, &starts, now) {
        tracing::error!(%error, "the start cannot be noted: after the next one, windows of this moment may be judged again");
    }
    tracing::info!(since = %longest, starts = starts.len(), open_alerts = recovered.open_alerts.len(), "recovering: reading the log");
    let (mut pauses, mut count, mut judging) = (starts.into_iter().peekable(), 0, Duration::ZERO);
    let mut latest: BTreeMap<(Name, Name), Reading> = BTreeMap::new();
    let relive = &mut |mut reading: Reading| {
        let taken = Instant::now();
        while let Some(start) = pauses.next_if(|start| *start <= reading.received) {
            brain.resume(start);
        }
        brain.relive(&mut reading);
        judging += taken.elapsed();
        count += 1;
        if count % PROGRESS == 0 {
            tracing::info!(readings = count, upto = %reading.received, seconds = begun.elapsed().as_secs(), "recovering");
        }
        let newest = latest.entry((reading.stream.clone(), reading.key.clone())).or_insert_with(|| reading.clone());
        if newest.at < reading.at {
            *newest = reading;
        }
    };
    let readings = replay_readings(dir, &since, relive).context("the log cannot be replayed")?;
    let relived = begun.elapsed();
    let last =
        transitions_after(dir, recovered.next_seq.saturating_sub(REMEMBERED + 1), usize::MAX).context("the journal cannot be read")?;
    let raised = last.iter().filter(|step| step.kind == TransitionKind::Raised).map(|step| step.alert.id.clone()).collect();
    brain.restore(recovered.open_alerts.clone(), raised, recovered.next_seq);
    if recovered.damaged > 0 {
        tracing::error!(records = recovered.damaged, "the open log is damaged in its midst: acknowledged records are lost, check the disk");
    }
    if recovered.cut_bytes > 0 {
        tracing::warn!(bytes = recovered.cut_bytes, "the log's end was cut off behind the last whole record; the store keeps a copy");
    }
    let millis = Duration::as_millis;
    tracing::info!(
        readings,
        read_ms = millis(&(relived - judging)),
        judge_ms = millis(&judging),
        journal_ms = millis(&(begun.elapsed() - relived)),
        open_alerts = recovered.open_alerts.len(),
        next_transition = recovered.next_seq,
        "recovered"
    );
    let figures = Recovery { took: begun.elapsed(), readings, cut_bytes: recovered.cut_bytes, damaged: recovered.damaged };
    Ok(Past { steps: last, latest, figures })
}

/// The newest readings of the registry's stations that the replay did not reach: what has been silent for longer than any window looks
/// back, but not for more than [`SHOWN`].
pub(crate) async fn older(past: &Past, registry: &Registry, queries: &Queries, now: Timestamp) -> Result<Vec<Reading>, StoreError> {
    let places = registry.stations.iter().flat_map(|station| station.streams.iter().map(|stream| (stream.clone(), station.id.clone())));
    let wanted: Vec<(Name, Name)> = places.filter(|place| !past.latest.contains_key(place)).collect();
    let asked = async {
        let mut found = Vec::new();
        for wanted in wanted.chunks(ASKED) {
            let asker = Asker { who: "huong".to_owned(), via: "start", at: now };
            found.extend(queries.latest(asker, &wanted.iter().cloned().collect(), now - SHOWN).await?);
        }
        Ok(found)
    };
    tokio::time::timeout(PATIENCE.to_std(), asked).await.unwrap_or(Err(StoreError::TooSlow(PATIENCE)))
}

/// Readings of forecasts that may still speak of what is to come, in the order of their coming.
pub(crate) async fn foretold(shared: &Shared) -> Result<Vec<Reading>, Trouble> {
    let now = shared.clock.now();
    let asker = Asker { who: "huong".to_owned(), via: "start", at: now };
    let found = tokio::time::timeout(PATIENCE.to_std(), archive::forecasts(shared, asker, now, now)).await;
    found.unwrap_or_else(|_| Err(Trouble::Failed(StoreError::TooSlow(PATIENCE).to_string())))
}
