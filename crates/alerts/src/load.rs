//! How much the alarms ask of an operator, while it happens.
//!
//! Invariant: a function of the transitions taken and of the time asked for; what is kept is of the last 24 hours and bounded.

use std::collections::{BTreeMap, VecDeque};

use huong_types::{Alert, AlertState, LoadFigures, LoadSource, Name, Severity, Span, Timestamp, Transition};

use crate::config::LoadConfig;

const DAY: Span = Span::from_mins(24 * 60);
const HOUR: Span = Span::from_mins(60);
const TEN_MINUTES: Span = Span::from_mins(10);
/// Announcements kept: a hundred times the most that can be borne in a day; beyond, the oldest are forgotten.
const KEPT: usize = 30_000;
const TOP: usize = 10;

#[derive(Debug)]
pub struct Load {
    config: LoadConfig,
    /// Of the last 24 hours, by processing time.
    announced: VecDeque<Announced>,
    open: BTreeMap<Name, Standing>,
    /// When the figures begin; `None` before anything was taken.
    began: Option<Timestamp>,
    /// How many of `announced`, from its end, are of the last ten minutes.
    recent: usize,
    flood: Option<Timestamp>,
    /// Floods that ended in the last 24 hours: from, to.
    floods: VecDeque<(Timestamp, Timestamp)>,
}

#[derive(Debug)]
struct Announced {
    at: Timestamp,
    rule: Name,
    key: Name,
    severity: Severity,
}

#[derive(Debug)]
struct Standing {
    state: AlertState,
    acknowledged: bool,
    since: Timestamp,
}

impl Load {
    pub fn new(config: LoadConfig) -> Self {
        let open = BTreeMap::new();
        Self { config, announced: VecDeque::new(), open, began: None, recent: 0, flood: None, floods: VecDeque::new() }
    }

    /// After a restart: the alerts that the journal left open, and its last transitions, oldest first.
    pub fn restore(&mut self, open: &[Alert], last: &[Transition]) {
        last.iter().for_each(|step| self.take(step));
        open.iter().for_each(|alert| self.keep(alert));
    }

    pub fn take(&mut self, transition: &Transition) {
        self.advance(transition.decided);
        self.keep(&transition.alert);
        if transition.announced {
            let alert = &transition.alert;
            let (rule, key, severity) = (alert.rule.clone(), alert.key.clone(), alert.severity);
            self.announced.push_back(Announced { at: transition.decided, rule, key, severity });
            self.recent += 1;
            if self.announced.len() > KEPT {
                self.announced.pop_front();
                self.recent = self.recent.min(self.announced.len());
            }
            if self.flood.is_none() && self.per_operator(self.recent) > self.config.flood_begins {
                self.flood = Some(transition.decided);
            }
        }
    }

    /// The figures at `now`, which does not go back.
    pub fn figures(&mut self, now: Timestamp) -> LoadFigures {
        self.advance(now);
        let began = self.began.unwrap_or(now);
        let measured = now.since(began).min(DAY);
        let last_hour = self.announced.iter().rev().take_while(|one| now.since(one.at) < HOUR).count();
        let count = |of: &dyn Fn(&Standing) -> bool| self.open.values().filter(|one| of(one)).count() as u32;
        let (top, top_share) = self.top();
        let share =
            |severity| self.announced.iter().filter(|one| one.severity == severity).count() as f64 / self.announced.len().max(1) as f64;
        let mut figures = LoadFigures {
            operators: self.config.operators,
            last_10_min: self.per_operator(self.recent),
            last_hour: self.per_operator(last_hour),
            per_hour: self.per_operator(self.announced.len()) / measured.as_hours().max(1.0),
            standing: count(&|one| one.state.listed()),
            unacknowledged: count(&|one| one.state.listed() && !one.acknowledged),
            chattering: count(&|one| one.state == AlertState::Flapping),
            stale: count(&|one| one.state.listed() && now.since(one.since) > self.config.stale_after),
            shelved: count(&|one| one.state == AlertState::Shelved),
            suppressed: count(&|one| one.state == AlertState::Suppressed),
            grouped: count(&|one| one.state == AlertState::Grouped),
            top,
            top_share,
            priorities: Severity::ALL.into_iter().map(|severity| (severity, share(severity))).collect(),
            in_flood: self.flood.is_some(),
            flood_share: self.flood_share(now, measured),
            missed: Vec::new(),
        };
        figures.missed = self.missed(&figures);
        figures
    }

    fn keep(&mut self, alert: &Alert) {
        if alert.state == AlertState::Cleared {
            self.open.remove(&alert.id);
        } else {
            let standing = Standing { state: alert.state, acknowledged: alert.ack.is_some(), since: alert.raised };
            self.open.insert(alert.id.clone(), standing);
        }
    }

    /// Lets what is too old go, and ends a flood at the moment at which it ended.
    fn advance(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
        while let Some(oldest) = self.announced.len().checked_sub(self.recent).and_then(|first| self.announced.get(first)) {
            let leaves = oldest.at + TEN_MINUTES;
            if leaves > now {
                break;
            }
            self.recent -= 1;
            if self.per_operator(self.recent) < self.config.flood_ends
                && let Some(from) = self.flood.take()
            {
                self.floods.push_back((from, leaves));
            }
        }
        while self.announced.front().is_some_and(|oldest| oldest.at + DAY <= now) {
            self.announced.pop_front();
        }
        while self.floods.front().is_some_and(|(_, to)| *to + DAY <= now) {
            self.floods.pop_front();
        }
    }

    fn per_operator(&self, count: usize) -> f64 {
        count as f64 / f64::from(self.config.operators.max(1))
    }

    fn flood_share(&self, now: Timestamp, measured: Span) -> f64 {
        let start = now - measured;
        let ended = self.floods.iter().map(|(from, to)| to.since((*from).max(start)));
        let running = self.flood.map(|from| now.since(from.max(start)));
        let millis: i64 = ended.chain(running).map(Span::as_millis).sum();
        millis as f64 / measured.as_millis().max(1) as f64
    }

    fn top(&self) -> (Vec<LoadSource>, f64) {
        let mut counts: BTreeMap<(&Name, &Name), u32> = BTreeMap::new();
        for one in &self.announced {
            *counts.entry((&one.rule, &one.key)).or_default() += 1;
        }
        let mut sources: Vec<_> = counts.into_iter().collect();
        sources.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        sources.truncate(TOP);
        let all = self.announced.len().max(1) as f64;
        let source = |((rule, key), count): ((&Name, &Name), u32)| {
            let share = f64::from(count) / all;
            LoadSource { rule: rule.clone(), key: key.clone(), count, share }
        };
        let top: Vec<LoadSource> = sources.into_iter().map(source).collect();
        let share = top.iter().map(|source| source.share).sum();
        (top, share)
    }

    fn missed(&self, figures: &LoadFigures) -> Vec<Name> {
        let config = &self.config;
        let high = Severity::ALL.into_iter().filter(|severity| *severity >= Severity::Severe);
        let high: f64 = high.filter_map(|severity| figures.priorities.get(&severity)).sum();
        let medium = figures.priorities.get(&Severity::Moderate).copied().unwrap_or_default();
        let judged = [
            ("last_10_min", figures.last_10_min > config.most_per_10_min),
            ("last_hour", figures.last_hour > config.most_per_hour),
            ("chattering", figures.chattering > config.most_chattering),
            ("stale", figures.stale >= config.most_stale),
            ("top_share", figures.top_share > config.most_top_share),
            ("high", high > config.most_high),
            ("medium", medium > config.most_medium),
            ("flood_share", figures.flood_share > config.most_flood),
        ];
        judged.into_iter().filter(|(_, missed)| *missed).map(|(name, _)| Name::new(name)).collect()
    }
}
