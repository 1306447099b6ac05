//! Where an alert stands.
//!
//! Invariant: [`state`] is the only place that says what the facts of an alert amount to.

use huong_types::{Alert, AlertState, Timestamp};

/// What the facts amount to: the first that applies, in the order of [`AlertState`]. What takes an alert off the operator's list
/// goes before what says how it stands on it; the facts behind the later ones stay readable (a stale alert can be acknowledged).
pub fn state(alert: &Alert) -> AlertState {
    let over = alert.ended.is_some();
    let kept = !alert.pending && (alert.shelf.is_some() || alert.flapping_until.is_some() || (alert.latch && alert.ack.is_none()));
    if over && !kept {
        AlertState::Cleared
    } else if alert.pending {
        AlertState::Pending
    } else if alert.inhibited_by.is_some() {
        AlertState::Suppressed
    } else if alert.shelf.is_some() {
        AlertState::Shelved
    } else if alert.folded_into.is_some() {
        AlertState::Grouped
    } else if alert.flapping_until.is_some() {
        AlertState::Flapping
    } else if over {
        AlertState::Latched
    } else if alert.stale_since.is_some() {
        AlertState::Stale
    } else if alert.ack.is_some() {
        AlertState::Acknowledged
    } else {
        AlertState::Open
    }
}

/// It holds, as far as other alerts are concerned: it may hide them and is counted by its group. One that flaps holds until it is still.
pub(crate) fn stands(alert: &Alert) -> bool {
    !alert.pending && (alert.ended.is_none() || alert.flapping_until.is_some())
}

/// The condition is over.
pub(crate) fn end(alert: &mut Alert, at: Timestamp) {
    alert.ended = Some(at);
    alert.holds = false;
    alert.stale_since = None;
}
