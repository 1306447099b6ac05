//! What a start needs of the past: open alerts from the journal, window state from the log.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use huong_store::{Recovered, replay_readings, transitions_after};
use huong_types::{Timestamp, Transition, TransitionKind};

use crate::brain::Brain;
use crate::metrics::Recovery;

/// Transitions looked through for what was raised last, and for the load of the last day: more than one commit holds, whose readings
/// alone may come twice.
const REMEMBERED: u64 = 10_000;

/// Brings `brain` to where it was: replays the log over the longest window with its signals dropped, because everything they
/// caused is in the journal already, then takes the open alerts from there. Gives the last transitions, oldest first, and how it went.
pub(crate) fn recover(brain: &mut Brain, dir: &Path, recovered: &Recovered, now: Timestamp) -> Result<(Vec<Transition>, Recovery)> {
    let began = Instant::now();
    let since = now - brain.longest_window();
    let readings = replay_readings(dir, since, &mut |mut reading| brain.relive(&mut reading)).context("the log cannot be replayed")?;
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
    tracing::info!(readings, open_alerts = recovered.open_alerts.len(), next_transition = recovered.next_seq, "recovered");
    let recovery = Recovery { took: began.elapsed(), readings, cut_bytes: recovered.cut_bytes, damaged: recovered.damaged };
    Ok((last, recovery))
}
