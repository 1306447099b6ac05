//! What the engine knows of one thing that alerts are about: its windows, and the states of the rules that speak of it.
//!
//! By default that is a key of the stream; a rule may also gather readings by a text field, a fact of the row, or all of them.
//! A rule that is idle for a subject has no state there, so a subject costs what is going on at it.

use std::sync::Arc;

use huong_types::{Cause, Name, Span, Text, Timestamp, Values};

use crate::baseline::Baseline;
use crate::expr::Cell;
use crate::life::Life;
use crate::windows::Windows;

/// A signal names at most so many of the readings that decided it.
const CAUSES: usize = 3;

#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: Name,
    /// The registry row's facts, in the engine's order; NULL for what the registry does not know.
    pub(crate) facts: Arc<[Cell]>,
    /// Event time of the newest reading with a usable value, never ahead of the clock.
    pub(crate) newest: Option<Timestamp>,
    /// How late that reading arrived: the clock runs this much ahead of the subject's event time.
    pub(crate) lag: Span,
    /// Nothing heard for so long makes what stands here stale.
    pub(crate) quiet_after: Span,
    /// The latest usable readings: key and event time.
    recent: [Option<(Name, Timestamp)>; CAUSES],
    /// One per plan of the group.
    pub(crate) windows: Box<[Watched]>,
    /// By position of the rule, sorted.
    lives: Vec<(u32, RuleState)>,
    baselines: Vec<(u32, Baseline)>,
    /// When the clock wakes it next, as the queue knows.
    pub(crate) scheduled: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) windows: Windows,
    /// The end of the newest window judged.
    pub(crate) upto: Timestamp,
    /// Among occurrences: from here on hops in which nothing comes are judged, too.
    pub(crate) followed: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct RuleState {
    pub(crate) life: Life,
    /// The figures last told, to keep quiet when nothing is new.
    pub(crate) told: Values,
    /// The row that began or continued the on-delay, for the signal that ends it.
    pub(crate) pending: Option<Box<Held>>,
    /// Onset of the last `each` alert.
    pub(crate) once: Timestamp,
    pub(crate) half: Half,
}

/// The first half of a pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Half {
    /// When it last began to hold; [`Timestamp::MIN`] when that is settled.
    pub(crate) since: Timestamp,
    /// Until when the second may follow.
    pub(crate) until: Timestamp,
    pub(crate) holds: bool,
}

/// A row kept for later.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) own: Vec<Cell>,
    pub(crate) extra: Vec<Cell>,
    /// What was said of it before a restart, which brings back its figures alone.
    pub(crate) text: Option<Text>,
}

impl Subject {
    pub(crate) fn new(name: Name, facts: Arc<[Cell]>, windows: impl Iterator<Item = Windows>) -> Self {
        let mut subject = Self {
            name,
            facts,
            newest: None,
            lag: Span::ZERO,
            quiet_after: Span::ZERO,
            recent: [const { None }; CAUSES],
            windows: Box::default(),
            lives: Vec::new(),
            baselines: Vec::new(),
            scheduled: Timestamp::MAX,
        };
        subject.set_windows(windows);
        subject
    }

    /// One per plan of the group, of which nothing is known yet.
    pub(crate) fn set_windows(&mut self, windows: impl Iterator<Item = Windows>) {
        self.windows = windows.map(|windows| Watched { windows, upto: Timestamp::MIN, followed: Timestamp::MAX }).collect();
    }

    /// Notes a reading with a usable value. False when it is older than the newest.
    pub(crate) fn heard(&mut self, key: &Name, at: Timestamp, now: Timestamp) -> bool {
        // A clock that runs ahead must not declare the present late.
        let known = at.min(now);
        let newest = self.newest.is_none_or(|newest| known >= newest);
        if newest {
            self.newest = Some(known);
            self.lag = now.since(known);
        }
        if self.recent[CAUSES - 1].as_ref().is_none_or(|(last, t)| *t != at || last != key) {
            self.recent.rotate_left(1);
            self.recent[CAUSES - 1] = Some((key.clone(), at));
        }
        newest
    }

    /// The latest usable readings not after `at`.
    pub(crate) fn cause(&self, stream: &Name, at: Timestamp) -> Vec<Cause> {
        let until = self.recent.iter().flatten().filter(|(_, t)| *t <= at);
        until.map(|(key, t)| Cause { stream: stream.clone(), key: key.clone(), at: *t }).collect()
    }

    /// Up to which event time everything in order has arrived, judged by the readings alone.
    pub(crate) fn watermark(&self, disorder: Span) -> Timestamp {
        self.newest.map_or(Timestamp::MIN, |newest| newest - disorder)
    }

    /// The same, judged by the clock: what is not here by now will not come in order.
    pub(crate) fn clock_watermark(&self, disorder: Span, now: Timestamp) -> Timestamp {
        self.watermark(disorder).max(now - self.lag - disorder)
    }

    /// When the clock watermark reaches `event`.
    pub(crate) fn clock_reaches(&self, event: Timestamp, disorder: Span) -> Timestamp {
        event + self.lag + disorder
    }

    pub(crate) fn state(&self, rule: u32) -> Option<&RuleState> {
        let position = self.lives.binary_search_by_key(&rule, |(i, _)| *i).ok()?;
        Some(&self.lives[position].1)
    }

    /// The state of a rule, made when there is none.
    pub(crate) fn state_mut(&mut self, rule: u32) -> &mut RuleState {
        let position = match self.lives.binary_search_by_key(&rule, |(i, _)| *i) {
            Ok(position) => position,
            Err(position) => {
                self.lives.insert(position, (rule, RuleState::new()));
                position
            }
        };
        &mut self.lives[position].1
    }

    /// Drops the state of a rule that has nothing to remember.
    pub(crate) fn tidy(&mut self, rule: u32) {
        if let Ok(position) = self.lives.binary_search_by_key(&rule, |(i, _)| *i)
            && self.lives[position].1.is_blank()
        {
            self.lives.remove(position);
        }
    }

    pub(crate) fn lives(&self) -> impl Iterator<Item = (u32, &RuleState)> {
        self.lives.iter().map(|(i, state)| (*i, state))
    }

    pub(crate) fn lives_mut(&mut self) -> impl Iterator<Item = (u32, &mut RuleState)> {
        self.lives.iter_mut().map(|(i, state)| (*i, state))
    }

    /// Takes over what is known of it under other rules; `places` says where each rule has gone, `plan` where each window has.
    pub(crate) fn adopt(&mut self, old: Subject, places: &[Option<u32>], plan: impl Fn(usize) -> Option<usize>) {
        (self.newest, self.lag, self.recent, self.quiet_after) = (old.newest, old.lag, old.recent, old.quiet_after);
        for (p, watched) in old.windows.into_vec().into_iter().enumerate() {
            if let Some(place) = plan(p) {
                self.windows[place] = watched;
            }
        }
        for (i, state) in old.lives {
            if let Some(place) = places[i as usize] {
                *self.state_mut(place) = state;
            }
        }
        for (i, baseline) in old.baselines {
            if let Some(place) = places[i as usize] {
                *self.baseline(place) = baseline;
            }
        }
    }

    pub(crate) fn baseline(&mut self, rule: u32) -> &mut Baseline {
        let position = match self.baselines.binary_search_by_key(&rule, |(i, _)| *i) {
            Ok(position) => position,
            Err(position) => {
                self.baselines.insert(position, (rule, Baseline::new()));
                position
            }
        };
        &mut self.baselines[position].1
    }

    pub(crate) fn has_alert(&self) -> bool {
        self.lives.iter().any(|(_, state)| state.life.is_raised())
    }

    /// Nothing is open, pending or compared.
    pub(crate) fn is_idle(&self) -> bool {
        self.lives.iter().all(|(_, state)| state.life.is_blank()) && self.baselines.is_empty()
    }
}

impl RuleState {
    fn new() -> Self {
        let half = Half { since: Timestamp::MIN, until: Timestamp::MIN, holds: false };
        Self { life: Life::new(), told: Values::new(), pending: None, once: Timestamp::MIN, half }
    }

    fn is_blank(&self) -> bool {
        self.life.is_blank() && self.once == Timestamp::MIN && self.half.since == Timestamp::MIN && !self.half.holds
    }
}
