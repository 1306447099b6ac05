//! The trust in one number of a gauge: one state per stream, key and field.
//!
//! Invariant: the newest usable value is the reference of all checks, but while the series is read in another unit: then it is what
//! was meant by the newest slipped value, and no agreement of slipped values with one another makes one usable.

use std::collections::VecDeque;

use huong_types::{Check, FieldSpec, Flag, FlatLine, Quality, Step, Stream, Timestamp};

/// How many readings back a repeat is recognised as such. An older one than these is late, never judged twice.
const REMEMBERED: usize = 256;

/// The range of one field of one key: the stream's, or the registry row's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// What a value is judged by, besides the values before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Yardstick<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) spec: &'a FieldSpec,
    pub(crate) limits: Limits,
    /// What the source says of its own reading, if that is doubt.
    pub(crate) status: Option<Quality>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) at: Timestamp,
    /// `at`, or the clock at arrival when that is earlier.
    pub(crate) known: Timestamp,
    pub(crate) value: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct FieldState {
    /// The newest usable value.
    last: Option<(Timestamp, f64)>,
    /// A value that stepped too far, until the next one agrees or not.
    doubt: Option<(Timestamp, f64)>,
    slip: Option<Box<Slip>>,
    run: Run,
    recent: VecDeque<Seen>,
    /// Event time of the newest reading that fell out of `recent`.
    forgotten: Timestamp,
}

/// The series as read in another unit.
#[derive(Clone, Copy, Debug)]
struct Slip {
    factor: f64,
    at: Timestamp,
    /// The newest value, divided by the factor.
    meant: f64,
}

/// How long the series has been the same to the last digit.
#[derive(Clone, Copy, Debug)]
struct Run {
    since: Timestamp,
    until: Timestamp,
    /// Found flat, and so until it changes: neighbours that come to rest are no excuse.
    flat: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Timestamp,
    value: f64,
    usable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judged {
    /// The same value for the same instant again.
    Repeat,
    As(Quality),
}

impl Limits {
    pub(crate) fn hold(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl FieldState {
    pub(crate) fn new() -> Self {
        let run = Run { since: Timestamp::MIN, until: Timestamp::MIN, flat: false };
        Self { last: None, doubt: None, slip: None, run, recent: VecDeque::new(), forgotten: Timestamp::MIN }
    }

    /// When the newest usable value was known.
    pub(crate) fn newest(&self) -> Timestamp {
        self.last.map_or(Timestamp::MIN, |(at, _)| at)
    }

    /// Judges a value; `moving` says whether enough neighbours moved lately, up to a moment.
    pub(crate) fn judge(&mut self, measured: Measured, yardstick: &Yardstick<'_>, moving: impl FnOnce(Timestamp) -> bool) -> Judged {
        let Measured { at, known, value } = measured;
        let newest = self.newest();
        let mut contradicts = false;
        // Most readings are newer than all before: nothing to look up.
        if at <= self.recent.back().map_or(Timestamp::MIN, |seen| seen.at) || known <= newest {
            for seen in self.recent.iter().rev().filter(|seen| seen.at == at) {
                if seen.value == value {
                    return Judged::Repeat;
                }
                contradicts |= seen.usable;
            }
            if !contradicts && (at <= self.forgotten || known < newest - yardstick.stream.disorder) {
                return Judged::As(Quality::new(Flag::Late, Check::Late));
            }
        }
        let quality = self.check(known, value, contradicts, yardstick, moving);
        self.remember(at, value, quality.flag);
        Judged::As(quality)
    }

    fn check(
        &mut self,
        at: Timestamp,
        value: f64,
        contradicts: bool,
        yardstick: &Yardstick<'_>,
        moving: impl FnOnce(Timestamp) -> bool,
    ) -> Quality {
        let suspect = |check| Quality::new(Flag::Suspect, check);
        if let Some(status) = yardstick.status {
            return status;
        }
        let in_range = yardstick.limits.hold(value);
        if contradicts && in_range {
            return suspect(Check::Conflict);
        }
        let reference = self.slip.as_ref().map(|slip| (slip.at, slip.meant)).or(self.last);
        let newest = reference.is_none_or(|(newest, _)| at > newest);
        if let Some(slip) = reference.and_then(|from| self.slipped(from, at, value, in_range, yardstick)) {
            if newest {
                self.slip = Some(Box::new(slip));
            }
            return suspect(Check::UnitSlip);
        }
        if !in_range {
            return Quality::new(Flag::Bad, Check::Range);
        }
        let (Some(last), Some(reference)) = (self.last, reference) else {
            // Nothing is known of the time before: it may raise, it cannot call anything safe.
            self.run = Run { since: at, until: at, flat: false };
            self.take(at, value);
            return Quality::new(Flag::Gap, Check::Gap);
        };
        let follows = |from| yardstick.spec.step.is_none_or(|step| within(step, from, (at, value)));
        if !follows(reference) {
            let confirmed = newest && self.doubt.is_some_and(|doubt| at > doubt.0 && follows(doubt));
            if !confirmed {
                if newest {
                    self.doubt = Some((at, value));
                }
                return suspect(Check::Step);
            }
        }
        if let Some(flat) = &yardstick.spec.flat
            && self.is_flat(at, value, last, flat, moving)
        {
            return suspect(Check::Flat);
        }
        if at <= last.0 {
            return Quality::OK;
        }
        self.take(at, value);
        if at.since(last.0) > yardstick.stream.gap { Quality::new(Flag::Gap, Check::Gap) } else { Quality::OK }
    }

    /// Notes the newest usable value.
    fn take(&mut self, at: Timestamp, value: f64) {
        self.last = Some((at, value));
        self.doubt = None;
        self.slip = self.slip.take().filter(|slip| slip.at >= at);
    }

    /// By which factor a value that cannot be is one that can, if any; the one that leaves the least change.
    fn slipped(&self, from: (Timestamp, f64), at: Timestamp, value: f64, in_range: bool, yardstick: &Yardstick<'_>) -> Option<Slip> {
        let FieldSpec { step, slips, slip_within, .. } = yardstick.spec;
        let step = (*step)?;
        let stays = self.slip.as_ref().is_some_and(|slip| slip.explains(value));
        if in_range && !stays && (slips.is_empty() || within(step, from, (at, value))) {
            return None;
        }
        let slips = slips.iter().map(|factor| Slip { factor: *factor, at, meant: value / factor });
        let possible = slips.filter(|slip| yardstick.limits.hold(slip.meant) && within(step, from, (at, slip.meant)));
        let likely = possible.filter(|slip| {
            let strict = in_range && !stays;
            if strict { (slip.meant - from.1).abs() <= slip_within * from.1.abs() } else { slip.meant * from.1 >= 0.0 }
        });
        likely.min_by(|a, b| (a.meant - from.1).abs().total_cmp(&(b.meant - from.1).abs()))
    }

    /// Whether the series has stood still for too long, this value being one more of it.
    fn is_flat(
        &mut self,
        at: Timestamp,
        value: f64,
        last: (Timestamp, f64),
        flat: &FlatLine,
        moving: impl FnOnce(Timestamp) -> bool,
    ) -> bool {
        if at <= last.0 {
            self.amend_run(at, value, last.1);
            return false;
        }
        let run = &mut self.run;
        if value != last.1 || at.since(run.until).as_millis() > flat.after.as_millis() / 8 {
            *run = Run { since: at, until: at, flat: false };
            return false;
        }
        run.until = at;
        let may_stand = flat.except.iter().any(|except| (except - value).abs() < SLACK);
        run.flat |= !may_stand && at.since(run.since) >= flat.after && moving(at);
        run.flat
    }

    /// A straggler shows that the run is shorter or longer than it looked.
    fn amend_run(&mut self, at: Timestamp, value: f64, standing: f64) {
        let run = &mut self.run;
        if value != standing {
            if at >= run.since {
                let later = self.recent.iter().find(|seen| seen.at > at && seen.value == standing);
                run.since = later.map_or(run.since, |seen| seen.at);
            }
        } else if at < run.since && !self.recent.iter().any(|seen| seen.at > at && seen.at < run.since && seen.usable) {
            run.since = at;
        }
    }

    fn remember(&mut self, at: Timestamp, value: f64, flag: Flag) {
        if self.recent.len() == REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.at);
        }
        // Sorted by event time, so that the newest is at the back and the oldest is forgotten first.
        let seen = Seen { at, value, usable: flag < Flag::Late };
        if self.recent.back().is_none_or(|newest| newest.at <= at) {
            // Nearly always; a search would touch the whole memory of the key.
            return self.recent.push_back(seen);
        }
        let position = self.recent.partition_point(|seen| seen.at <= at);
        self.recent.insert(position, seen);
    }
}

impl Slip {
    /// Whether a value is nearer, by ratio, to the series in the other unit than in its own. Of no sign or another it tells nothing.
    fn explains(&self, value: f64) -> bool {
        let ratio = value / self.meant;
        ratio > 0.0 && ratio.is_finite() && (ratio / self.factor).ln().abs() < ratio.ln().abs()
    }
}

/// The limits are decimal fractions: a change of exactly the limit must not fail by its last bit.
const SLACK: f64 = 1e-9;

/// Whether the change between two values is plausible, whichever of them is the older.
fn within(step: Step, a: (Timestamp, f64), b: (Timestamp, f64)) -> bool {
    let (older, newer) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let hours = newer.0.since(older.0).as_hours();
    let change = newer.1 - older.1;
    change <= step.rise_base + step.rise_per_hour * hours + SLACK && -change <= step.fall_base + step.fall_per_hour * hours + SLACK
}
