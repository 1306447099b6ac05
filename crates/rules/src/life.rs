//! One rule's state for one key: idle, pending (on-delay), active, receding (hysteresis).
//!
//! Invariants: a judgement older than the last one changes nothing. An unknown result (SQL's NULL) changes nothing. An alert is
//! never cleared at or before its onset, so two alerts of one rule and key never share an onset. A life that is idle and remembers
//! no judgements is as good as none: a key without alerts costs nothing per rule.

use huong_types::{SignalKind, Span, Timestamp};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) hold: Span,
    pub(crate) clear_for: Span,
    /// Not cleared before this long after the condition last held.
    pub(crate) keep: Span,
    pub(crate) update_every: Span,
    /// (n, m): holds once it did in n of the last m judgements.
    pub(crate) of: (u32, u32),
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
    /// When the condition last held.
    held: Timestamp,
    /// The last judgements, the newest in the lowest bit.
    history: u32,
    pub(crate) stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Pending { since: Timestamp, until: Timestamp },
    Active { onset: Timestamp },
    Receding { onset: Timestamp, clear_since: Option<Timestamp> },
}

impl Life {
    pub(crate) fn new() -> Self {
        let never = Timestamp::MIN;
        Self { phase: Phase::Idle, judged: never, spoke: never, held: never, history: 0, stale: false }
    }

    /// As the alert table remembers it after a restart.
    pub(crate) fn restore(&mut self, onset: Timestamp, holds: bool, stale: bool, updated: Timestamp) {
        self.phase = if holds { Phase::Active { onset } } else { Phase::Receding { onset, clear_since: None } };
        self.spoke = updated;
        self.held = self.held.max(onset);
        self.stale = stale;
    }

    /// An on-delay that began before what the log was read from, unless its condition is known to be over. False when it is.
    pub(crate) fn restore_pending(&mut self, since: Timestamp, until: Timestamp) -> bool {
        let waits = self.is_pending() || (self.phase == Phase::Idle && self.judged <= since);
        if waits {
            (self.phase, self.judged) = (Phase::Pending { since, until }, self.judged.max(since));
        }
        waits
    }

    /// Forgets an alert that the table does not know; its condition raises it again when it still holds.
    pub(crate) fn reset(&mut self) {
        if self.is_raised() {
            self.phase = Phase::Idle;
            self.stale = false;
        }
    }

    /// Whether dropping it would lose anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.phase == Phase::Idle && self.history == 0
    }

    pub(crate) fn is_raised(&self) -> bool {
        matches!(self.phase, Phase::Active { .. } | Phase::Receding { .. })
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Pending { .. })
    }

    /// Since when the condition has been holding, on-delay and hysteresis included.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Idle => None,
            Phase::Pending { since, .. } => Some(since),
            Phase::Active { onset } | Phase::Receding { onset, .. } => Some(onset),
        }
    }

    /// Event time of the last judgement.
    pub(crate) fn judged(&self) -> Timestamp {
        self.judged
    }

    /// When the on-delay ends, if it runs.
    pub(crate) fn matures(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Pending { until, .. } => Some(until),
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
        let holds = self.of_last(holds, timing.of);
        if holds {
            self.held = at;
        }
        let said = match (self.phase, holds) {
            (Phase::Idle, true) if timing.hold == Span::ZERO => self.raise(at, at),
            (Phase::Idle, true) => {
                self.phase = Phase::Pending { since: at, until: at + timing.hold };
                Some((at, SignalKind::Pending { since: at }))
            }
            (Phase::Pending { since, until }, true) => {
                if at >= until {
                    self.raise(since, until)
                } else {
                    None
                }
            }
            (Phase::Pending { .. }, false) => {
                self.phase = Phase::Idle;
                Some((at, SignalKind::Settled))
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
            && !matches!(kind, SignalKind::Update | SignalKind::Pending { .. } | SignalKind::Settled)
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
    pub(crate) fn mature(&mut self, upto: Timestamp) -> Option<(Timestamp, SignalKind)> {
        match self.phase {
            Phase::Pending { since, until } if upto >= until => {
                self.spoke = until;
                self.raise(since, until)
            }
            _ => None,
        }
    }

    /// Ends it whatever its conditions say: the rule's schedule has ended, or what it spoke of is gone.
    pub(crate) fn end(&mut self, at: Timestamp) -> Option<(Timestamp, SignalKind)> {
        let (raised, pending) = (self.is_raised(), self.is_pending());
        let at = self.since().map_or(at, |onset| at.max(onset + Span::from_millis(1)));
        self.phase = Phase::Idle;
        (self.history, self.stale, self.judged) = (0, false, self.judged.max(at));
        match (raised, pending) {
            (true, _) => Some((at, SignalKind::Clear)),
            (_, true) => Some((at, SignalKind::Settled)),
            _ => None,
        }
    }

    fn of_last(&mut self, holds: bool, (n, m): (u32, u32)) -> bool {
        if m <= 1 {
            return holds;
        }
        let mask = u32::MAX >> (32 - m);
        self.history = (self.history << 1 | u32::from(holds)) & mask;
        self.history.count_ones() >= n
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
        let kept = at.since(self.held) >= timing.keep;
        if kept && clear_since.is_some_and(|since| at.since(since) >= timing.clear_for) {
            self.phase = Phase::Idle;
            self.stale = false;
            return Some((at, SignalKind::Clear));
        }
        self.phase = Phase::Receding { onset, clear_since };
        None
    }
}
