//! A compiled rule, and how it comes from a reading or a window to a judgement.

use huong_types::{Alert, Check, Name, Registry, RuleInfo, SignalKind, Span, Stream, Timestamp};

use smallvec::SmallVec;

use crate::board::Board;
use crate::cluster::ClusterSpec;
use crate::engine::Out;
use crate::explain::Watched;
use crate::expr::{Cell, Condition, Number, Output, Place, Row};
use crate::lens::{Extras, To};
use crate::life::{Judgement, Timing};
use crate::schedule::Schedule;
use crate::subject::{Held, Subject};
use crate::template::Template;

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) info: RuleInfo,
    /// The group of subjects that it speaks of.
    pub(crate) group: usize,
    /// Position of its filter in the group.
    pub(crate) filter: Option<usize>,
    pub(crate) judge: Judge,
    pub(crate) timing: Timing,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) extras: Extras,
    /// Figures over the aggregates of a window; empty for rules on readings.
    pub(crate) figures: Vec<(Name, Output)>,
    pub(crate) when: Option<Condition>,
    /// `None`: the negation of `when`.
    pub(crate) clear: Option<Condition>,
    pub(crate) then: Option<Then>,
    pub(crate) text: Bilingual,
    /// Said when the condition no longer holds.
    pub(crate) over: Option<Bilingual>,
    /// Own columns of the stream.
    pub(crate) columns: usize,
    /// The columns that become the figures of a signal, with their positions in the row it is judged by.
    pub(crate) shown: Vec<(usize, Name)>,
}

/// How a rule comes to its judgement.
#[derive(Debug)]
pub(crate) enum Judge {
    /// On every reading.
    Reading,
    /// On every closed window of a plan of its group and, when `early`, on open ones.
    Window {
        plan: usize,
        early: bool,
    },
    Silence {
        after: Option<Span>,
    },
    ClassSilence {
        share: f64,
        least: u32,
    },
    Suspect,
    /// On events near each other; columns of latitude, longitude and class.
    Cluster {
        spec: ClusterSpec,
        lat: usize,
        lon: usize,
        class: Option<usize>,
    },
}

/// What must, or must not, happen once `when` holds.
#[derive(Debug)]
pub(crate) struct Then {
    /// Position among the marks of the board.
    pub(crate) pattern: usize,
    pub(crate) stream: usize,
    pub(crate) to: To,
    pub(crate) when: Condition,
    pub(crate) within: Within,
    pub(crate) before: Span,
    pub(crate) absent: bool,
}

/// How far back a restart looks for what waits for a number of hours that each occurrence computes anew: the deadlines of the public
/// service are counted in days, the longest of them about a month.
const LONGEST_WAIT: Span = Span::from_mins(31 * 24 * 60);

impl Then {
    /// How far back readings matter to it.
    pub(crate) fn reach(&self) -> Span {
        let within = if let Within::Span(within) = self.within { within } else { LONGEST_WAIT };
        within + self.before
    }
}

#[derive(Debug)]
pub(crate) enum Within {
    Span(Span),
    /// Over the columns of the first half.
    Hours(Number),
}

#[derive(Debug)]
pub(crate) struct Bilingual {
    pub(crate) vi: Template,
    pub(crate) en: Template,
}

/// What surrounds a judgement.
#[derive(Clone, Copy)]
pub(crate) struct Ctx<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) registry: &'a Registry,
    pub(crate) board: &'a Board,
    pub(crate) exercise: bool,
    /// What a text calls "since then", when that is not the moment judged: of a silence people ask since when.
    pub(crate) told_at: Option<Timestamp>,
    /// A rule and a key whose every judgement is to be told in full.
    pub(crate) watch: Option<(&'a Name, &'a Name)>,
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) at: Timestamp,
    /// Where its window begins; `at` without one.
    pub(crate) start: Timestamp,
    /// The cells of the reading, or the aggregates of the plan.
    pub(crate) own: &'a [Cell],
    pub(crate) may_clear: bool,
    /// A window that is not closed yet.
    pub(crate) open: bool,
    /// What the plausibility checks said.
    pub(crate) flags: &'a [(&'a str, f64, Check)],
}

impl Rule {
    /// Looks at a reading or a window and takes what it finds to the rule's state for the subject.
    pub(crate) fn look(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, sight: Sight<'_>, out: &mut Out) {
        if self.extras.is_off(&subject.name) || !self.in_schedule(i, ctx, subject, sight, out) {
            return;
        }
        let mut selected: SmallVec<[Cell; 4]> = SmallVec::new();
        let expected = match &self.extras.baseline {
            Some(plan) => subject.baseline(i).expected(&plan.spec, sight.at),
            None => None,
        };
        let extra = self.extras.fill(&subject.name, sight.at, ctx.board, ctx.registry, expected);
        if !self.figures.is_empty() {
            let row = Row { own: sight.own, facts: &subject.facts, extra: &extra };
            selected = self.figures.iter().map(|(_, figure)| figure.eval(row)).collect();
        }
        let own = if self.figures.is_empty() { sight.own } else { &selected };
        let mut when = self.when.as_ref().and_then(|when| when.eval(Row { own, facts: &subject.facts, extra: &extra }));
        let idle = self.is_stateless(ctx.stream.events) && ctx.watch.is_none() && subject.state(i).is_none();
        if when != Some(true) && (sight.open || idle) {
            return;
        }
        let facts = std::sync::Arc::clone(&subject.facts);
        let row = Row { own, facts: &facts, extra: &extra };
        let mut hold = self.timing.hold;
        if let Some(then) = &self.then {
            let begins = self.begins(i, ctx, subject, sight.at, when);
            if !then.absent {
                if begins {
                    self.await_second(i, ctx, subject, sight, row, out);
                }
                return;
            }
            let state = subject.state(i);
            let since =
                state.and_then(|state| state.life.since().or(Some(state.half.since).filter(|_| state.half.holds))).unwrap_or(sight.at);
            let followed =
                then.to.keys(&subject.name, ctx.registry).iter().any(|key| ctx.board.marked(then.pattern, key, since - then.before));
            when = when.map(|first| first && !followed);
            match then.within.span(row) {
                Some(span) => hold = span,
                None => return,
            }
        }
        let clear = match &self.clear {
            Some(clear) => clear.eval(row),
            None => when.map(|holds| !holds),
        };
        if ctx.watch.is_some_and(|(rule, key)| *rule == self.info.id && *key == subject.name) {
            out.watched.push(Watched::new(self, sight, row, when, clear));
        }
        let judgement = Judgement { at: sight.at, when, clear, may_clear: sight.may_clear };
        self.apply(i, ctx, subject, judgement, hold, sight, row, out);
        if let Some(plan) = &self.extras.baseline
            && let (Cell::Number(value), false) = (&own[plan.of], sight.open)
        {
            let clean = sight.may_clear && !subject.state(i).is_some_and(|state| state.life.is_raised());
            subject.baseline(i).add(&plan.spec, sight.at, *value, clean);
        }
    }

    /// Where nothing stands, a judgement that its condition does not hold leaves nothing behind.
    pub(crate) fn is_stateless(&self, events: bool) -> bool {
        !self.remembers(events) && self.extras.baseline.is_none() && self.then.is_none()
    }

    /// Occurrences may come out of order: what was judged last must be known even when nothing came of it.
    fn remembers(&self, events: bool) -> bool {
        self.timing.of.1 > 1 || (events && !self.info.each && matches!(self.judge, Judge::Reading))
    }

    /// Takes a judgement to the rule's state and says what follows from it.
    #[expect(clippy::too_many_arguments, reason = "one judgement, its row and where they go")]
    pub(crate) fn apply(
        &self,
        i: u32,
        ctx: Ctx<'_>,
        subject: &mut Subject,
        judgement: Judgement,
        hold: Span,
        sight: Sight<'_>,
        row: Row<'_>,
        out: &mut Out,
    ) {
        let remembers = self.remembers(ctx.stream.events);
        if judgement.when.is_none() || (judgement.when == Some(false) && subject.state(i).is_none() && !remembers) {
            return;
        }
        if self.info.each {
            if judgement.when == Some(true) {
                self.once(i, ctx, subject, sight, row, out);
            }
            return;
        }
        let state = subject.state_mut(i);
        let said = state.life.judge(judgement, &Timing { hold, ..self.timing });
        state.pending = state.life.is_pending().then(|| held(row));
        if let Some((at, kind)) = said {
            self.tell(i, ctx, subject, at, kind, row, sight.flags, out);
        }
        if !remembers {
            subject.tidy(i);
        }
    }

    /// Whether the first half of a pattern begins to hold: an occurrence each time, a gauge when it did not before.
    fn begins(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, at: Timestamp, when: Option<bool>) -> bool {
        let (Some(holds), true) = (when, when == Some(true) || subject.state(i).is_some()) else { return false };
        let half = &mut subject.state_mut(i).half;
        let begins = holds && (ctx.stream.events || !half.holds);
        if begins {
            half.since = at;
        }
        // What is to be absent matters while the first half holds; of occurrences the state of the alert says that.
        if self.then.as_ref().is_some_and(|then| then.absent) && (!holds || ctx.stream.events) {
            half.since = Timestamp::MIN;
        }
        half.holds = holds && !ctx.stream.events;
        begins
    }

    /// The first half of a pattern has come: what follows it may be here already.
    fn await_second(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, sight: Sight<'_>, row: Row<'_>, out: &mut Out) {
        let Some(then) = &self.then else { return };
        let Some(within) = then.within.span(row) else {
            subject.state_mut(i).half.since = Timestamp::MIN;
            return;
        };
        let until = sight.at + within;
        let keys = then.to.keys(&subject.name, ctx.registry);
        let found = keys.iter().filter_map(|key| ctx.board.mark_between(then.pattern, key, sight.at - then.before, until)).min();
        let state = subject.state_mut(i);
        (state.half.until, state.pending) = (until, Some(held(row)));
        if let Some(second) = found {
            self.both(i, ctx, subject, second.max(sight.at), out);
        }
    }

    /// Both halves of a pattern have happened, the later `at`: that is told once.
    fn both(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, at: Timestamp, out: &mut Out) {
        let state = subject.state_mut(i);
        state.half.since = Timestamp::MIN;
        let Some(held) = state.pending.take() else { return };
        let facts = std::sync::Arc::clone(&subject.facts);
        let sight = Sight { at, start: at, own: &held.own, may_clear: true, open: false, flags: &[] };
        self.once(i, ctx, subject, sight, Row { own: &held.own, facts: &facts, extra: &held.extra }, out);
    }

    /// Says it once, under an onset of its own.
    pub(crate) fn once(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, sight: Sight<'_>, row: Row<'_>, out: &mut Out) {
        let windowed = matches!(self.judge, Judge::Window { .. });
        let state = subject.state_mut(i);
        if windowed && sight.start <= state.once {
            return;
        }
        // Two events may share a moment; their alerts must not share an id.
        let start = if windowed { sight.start } else { sight.start.max(state.once + Span::from_millis(1)) };
        state.once = start;
        self.tell(i, ctx, subject, sight.at, SignalKind::Once { window_start: start }, row, sight.flags, out);
    }

    /// What the pattern waited for has happened at `at`.
    pub(crate) fn followed(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, at: Timestamp, out: &mut Out) {
        let (Some(then), Some(state)) = (&self.then, subject.state(i)) else { return };
        let nothing = vec![Cell::Null; self.width()];
        if then.absent {
            let at = at.max(state.life.judged());
            self.end(i, ctx, subject, at, &nothing, out);
            return;
        }
        let half = state.half;
        if half.since != Timestamp::MIN && half.since - then.before <= at && at <= half.until {
            self.both(i, ctx, subject, at.max(half.since), out);
        }
    }

    /// How far back readings of its own stream matter to its delays, patterns and baselines.
    pub(crate) fn memory(&self) -> Span {
        let own = match self.judge {
            Judge::Silence { after } => after.unwrap_or(Span::ZERO),
            Judge::Cluster { spec, .. } => spec.within,
            _ => Span::ZERO,
        };
        let then = self.then.as_ref().map_or(Span::ZERO, Then::reach);
        let baseline = self.extras.baseline.as_ref().map_or(Span::ZERO, |plan| Span::from_mins(i64::from(plan.spec.days) * 24 * 60));
        let delays = [self.timing.hold, self.timing.clear_for, self.timing.keep, then, own, baseline];
        delays.into_iter().max().unwrap_or(Span::ZERO)
    }

    /// The end of an on-delay that the clock has reached.
    pub(crate) fn mature(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, upto: Timestamp, out: &mut Out) {
        let state = subject.state_mut(i);
        let Some((at, kind)) = state.life.mature(upto) else { return };
        let Some(held) = state.pending.take() else { return };
        let facts = std::sync::Arc::clone(&subject.facts);
        let row = Row { own: &held.own, facts: &facts, extra: &held.extra };
        self.tell(i, ctx, subject, at, kind, row, &[], out);
        if let (Some(text), Some(signal)) = (held.text, out.signals.last_mut()) {
            signal.text = text;
        }
    }

    /// After a restart: takes up an on-delay, or the wait of a pattern, that began before what the log was read from.
    pub(crate) fn restore_pending(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, alert: &Alert) {
        let mut own = vec![Cell::Null; self.width()];
        for (position, name) in &self.shown {
            own[*position] = alert.values.get(name).map_or(Cell::Null, |value| Cell::Number(*value));
        }
        let facts = std::sync::Arc::clone(&subject.facts);
        let extra = self.extras.fill(&subject.name, alert.since, ctx.board, ctx.registry, None);
        let row = Row { own: &own, facts: &facts, extra: &extra };
        let mut hold = Some(self.timing.hold);
        if let Some(then) = &self.then {
            let keys = then.to.keys(&subject.name, ctx.registry);
            if keys.iter().any(|key| ctx.board.marked(then.pattern, key, alert.since - then.before)) {
                return;
            }
            hold = then.within.span(row);
        }
        let Some(hold) = hold else { return };
        let held = Held { text: Some(alert.text.clone()), ..*held(row) };
        let state = subject.state_mut(i);
        if state.life.restore_pending(alert.since, alert.since + hold) {
            state.pending.get_or_insert_with(|| Box::new(held));
        }
    }

    /// Ends the alert or the on-delay, whatever the conditions say.
    pub(crate) fn end(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, at: Timestamp, own: &[Cell], out: &mut Out) {
        if subject.state(i).is_none() {
            return;
        }
        let state = subject.state_mut(i);
        let said = state.life.end(at);
        state.pending = None;
        if let Some((at, kind)) = said {
            let facts = std::sync::Arc::clone(&subject.facts);
            let extra = self.extras.fill(&subject.name, at, ctx.board, ctx.registry, None);
            self.tell(i, ctx, subject, at, kind, Row { own, facts: &facts, extra: &extra }, &[], out);
        }
        subject.tidy(i);
    }

    /// Columns of the row it is judged by.
    fn width(&self) -> usize {
        if self.figures.is_empty() { self.columns } else { self.figures.len() }
    }

    /// Whether its schedule holds.
    pub(crate) fn is_on(&self, at: Timestamp, exercise: bool) -> bool {
        self.schedule.as_ref().is_none_or(|schedule| schedule.holds(at) && (exercise || !schedule.exercise()))
    }

    /// False when the rule is off at this hour; an alert that stands then ends.
    pub(crate) fn in_schedule(&self, i: u32, ctx: Ctx<'_>, subject: &mut Subject, sight: Sight<'_>, out: &mut Out) -> bool {
        if self.is_on(sight.at, ctx.exercise) {
            return true;
        }
        let nothing = vec![Cell::Null; self.figures.len()];
        let own = if self.figures.is_empty() { sight.own } else { &nothing };
        self.end(i, ctx, subject, sight.at, own, out);
        false
    }
}

impl Within {
    pub(crate) fn span(&self, row: Row<'_>) -> Option<Span> {
        match self {
            Within::Span(span) => Some(*span),
            Within::Hours(hours) => {
                hours.eval(row).filter(|hours| *hours >= 0.0).map(|hours| Span::from_millis((hours * 3_600_000.0) as i64))
            }
        }
    }
}

impl Bilingual {
    /// What its figures read.
    pub(crate) fn columns(&self) -> Vec<Place> {
        [self.vi.columns(), self.en.columns()].concat()
    }
}

fn held(row: Row<'_>) -> Box<Held> {
    Box::new(Held { own: row.own.to_vec(), extra: row.extra.to_vec(), text: None })
}
