//! One rule's state for one key: idle, pending (on-delay), active, receding (hysteresis).
//!
//! Invariants: a judgement older than the last one changes nothing. An unknown result (SQL's NULL) changes nothing. An alert is
//! never cleared at or before its onset, so two alerts of one rule and key never share an onset.

use huong_types::{SignalKind, Span, Timestamp};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) hold: Span,
    pub(crate) clear_for: Span,
    pub(crate) update_every: Span,
}

/// What a rule's conditions gave at one instant of event time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    pub(crate) at: Timestamp,
    pub(crate) when: Option<bool>,
    /// `None`: not known; rules without a clear condition pass the negation of `when`.
    pub(crate) clear: Option<bool>,
    /// False after a gap: it may raise, but says nothing safe.
    pub(crate) may_clear: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Life {
    phase: Phase,
    judged: Timestamp,
    /// Event time of the last signal, for `update_every`.
    spoke: Timestamp,
    pub(crate) stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Pending { since: Timestamp },
    Active { onset: Timestamp },
    Receding { onset: Timestamp, clear_since: Option<Timestamp> },
}

impl Life {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Idle, judged: Timestamp::MIN, spoke: Timestamp::MIN, stale: false }
    }

    /// As the alert table remembers it after a restart.
    pub(crate) fn restore(&mut self, onset: Timestamp, holds: bool, stale: bool, updated: Timestamp) {
        self.phase = if holds { Phase::Active { onset } } else { Phase::Receding { onset, clear_since: None } };
        self.spoke = updated;
        self.stale = stale;
    }

    /// Forgets an alert that the table does not know; its condition raises it again when it still holds.
    pub(crate) fn reset(&mut self) {
        if self.is_raised() {
            self.phase = Phase::Idle;
            self.stale = false;
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        matches!(self.phase, Phase::Active { .. } | Phase::Receding { .. })
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Pending { .. })
    }

    /// Event time of the last judgement.
    pub(crate) fn judged(&self) -> Timestamp {
        self.judged
    }

    /// When the on-delay ends, if it runs.
    pub(crate) fn matures(&self, timing: &Timing) -> Option<Timestamp> {
        match self.phase {
            Phase::Pending { since } => Some(since + timing.hold),
            _ => None,
        }
    }

    /// Takes a judgement; what to say about it, and at which event time.
    pub(crate) fn judge(&mut self, judgement: Judgement, timing: &Timing) -> Option<(Timestamp, SignalKind)> {
        let Judgement { at, when, clear, may_clear } = judgement;
        let holds = when?;
        if at < self.judged {
            return None;
        }
        self.judged = at;
        let said = match (self.phase, holds) {
            (Phase::Idle, true) if timing.hold == Span::ZERO => self.raise(at, at),
            (Phase::Idle, true) => {
                self.phase = Phase::Pending { since: at };
                None
            }
            (Phase::Pending { since }, true) => {
                if at >= since + timing.hold {
                    self.raise(since, since + timing.hold)
                } else {
                    None
                }
            }
            (Phase::Pending { .. }, false) => {
                self.phase = Phase::Idle;
                None
            }
            (Phase::Active { .. }, true) => (at.since(self.spoke) >= timing.update_every).then_some((at, SignalKind::Update)),
            (Phase::Receding { onset, .. }, true) => {
                self.phase = Phase::Active { onset };
                Some((at, SignalKind::Resume))
            }
            (Phase::Active { onset }, false) if may_clear && at > onset => match self.recede(onset, None, at, clear, timing) {
                None => Some((at, SignalKind::Recede)),
                cleared => cleared,
            },
            (Phase::Receding { onset, clear_since }, false) if may_clear => self.recede(onset, clear_since, at, clear, timing),
            (Phase::Idle | Phase::Active { .. } | Phase::Receding { .. }, false) => None,
        };
        // An update speaks only if its figures are new: the engine tells by `spoken`.
        if let Some((at, kind)) = said
            && kind != SignalKind::Update
        {
            self.spoke = at;
        }
        said
    }

    /// Notes that an update was told.
    pub(crate) fn spoken(&mut self, at: Timestamp) {
        self.spoke = at;
    }

    /// Ends the on-delay by the clock when `upto`, the time of which everything is known, has passed its end.
    pub(crate) fn mature(&mut self, upto: Timestamp, timing: &Timing) -> Option<(Timestamp, SignalKind)> {
        match self.phase {
            Phase::Pending { since } if upto >= since + timing.hold => {
                self.spoke = since + timing.hold;
                self.raise(since, since + timing.hold)
            }
            _ => None,
        }
    }

    fn raise(&mut self, since: Timestamp, at: Timestamp) -> Option<(Timestamp, SignalKind)> {
        self.phase = Phase::Active { onset: since };
        Some((at, SignalKind::Raise { since }))
    }

    /// `when` is false: clear if `clear` has held long enough, else keep the alert for hysteresis.
    fn recede(
        &mut self,
        onset: Timestamp,
        clear_since: Option<Timestamp>,
        at: Timestamp,
        clear: Option<bool>,
        timing: &Timing,
    ) -> Option<(Timestamp, SignalKind)> {
        let clear_since = if clear == Some(true) { Some(clear_since.unwrap_or(at)) } else { None };
        if clear_since.is_some_and(|since| at.since(since) >= timing.clear_for) {
            self.phase = Phase::Idle;
            self.stale = false;
            return Some((at, SignalKind::Clear));
        }
        self.phase = Phase::Receding { onset, clear_since };
        None
    }
}
