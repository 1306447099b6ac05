//! The subjects of one stream gathered in one way: by key, by a text of the reading, by a fact of the row, or all in one.
//!
//! Rules over the same stream, gathering, filter and window share their windows: what any of them asks is computed once.

use std::sync::Arc;

use huong_types::{Map, Name, Span, Timestamp};

use crate::expr::{Call, Cell, Condition};
use crate::gate::Gate;
use crate::subject::Subject;
use crate::windows::{Plan, Windows};

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) by: By,
    pub(crate) filters: Vec<Filter>,
    pub(crate) plans: Vec<Shared>,
    /// Rules and derivations on readings.
    pub(crate) rules: Vec<Gate>,
    pub(crate) derives: Vec<u32>,
    pub(crate) subjects: Vec<Subject>,
    index: Map<Name, u32>,
    /// Places of subjects that were forgotten.
    free: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Key,
    All,
    /// A text column of the reading.
    Field(usize),
    /// A text among the facts.
    Fact(usize),
}

#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) sql: String,
    pub(crate) condition: Condition,
}

/// A window with all who look through it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) filter: Option<usize>,
    pub(crate) rules: Vec<Gate>,
    pub(crate) derives: Vec<u32>,
    /// Some rule wants to know before the window closes.
    pub(crate) early: bool,
    /// Of a window that has outlived a reload, which asks for other figures: where those that its rules were compiled for stand.
    pub(crate) places: Option<Box<[Option<usize>]>>,
}

impl Shared {
    /// The figures in the order in which its rules know them, when that is another.
    pub(crate) fn moved(&self, cells: &[Cell]) -> Option<Vec<Cell>> {
        let places = self.places.as_ref()?;
        Some(places.iter().map(|place| place.map_or(Cell::Null, |place| cells[place].clone())).collect())
    }
}

impl Group {
    pub(crate) fn new(by: By) -> Self {
        Self {
            by,
            filters: Vec::new(),
            plans: Vec::new(),
            rules: Vec::new(),
            derives: Vec::new(),
            subjects: Vec::new(),
            index: Map::default(),
            free: Vec::new(),
        }
    }

    /// `rules` of this group, and the window with whether it is looked at early.
    pub(crate) fn with_rules(mut self, rules: impl Iterator<Item = (Gate, Option<(usize, bool)>)>) -> Self {
        for (gate, window) in rules {
            match window {
                None => self.rules.push(gate),
                Some((plan, early)) => {
                    self.plans[plan].rules.push(gate);
                    self.plans[plan].early |= early;
                }
            }
        }
        self
    }

    pub(crate) fn with_derives(mut self, derives: impl Iterator<Item = (u32, Option<usize>)>) -> Self {
        for (i, plan) in derives {
            match plan {
                None => self.derives.push(i),
                Some(plan) => self.plans[plan].derives.push(i),
            }
        }
        self
    }

    /// What a reading belongs to; `None` when the text that tells is missing.
    pub(crate) fn name(&self, key: &Name, stream: &Name, cells: &[Cell], facts: &[Cell]) -> Option<Name> {
        let text = match self.by {
            By::Key => return Some(key.clone()),
            By::All => return Some(stream.clone()),
            By::Field(column) => &cells[column],
            By::Fact(column) => &facts[column],
        };
        match text {
            Cell::Text(text) => Some(Name::from(&**text)),
            _ => None,
        }
    }

    pub(crate) fn find(&self, name: &Name) -> Option<u32> {
        self.index.get(name).copied()
    }

    /// Names and positions of its subjects, by name: an order that does not depend on hashing.
    pub(crate) fn names(&self) -> Vec<(Name, u32)> {
        let mut names: Vec<(Name, u32)> = self.index.iter().map(|(name, position)| (name.clone(), *position)).collect();
        names.sort();
        names
    }

    /// The position of a subject, made when there is none. `facts` are those of a key.
    pub(crate) fn subject(&mut self, name: &Name, facts: &Arc<[Cell]>) -> u32 {
        if let Some(position) = self.index.get(name) {
            return *position;
        }
        let subject = Subject::new(name.clone(), Arc::clone(facts), self.plans.iter().map(|shared| Windows::new(&shared.plan)));
        let position = match self.free.pop() {
            Some(position) => {
                self.subjects[position as usize] = subject;
                position
            }
            None => {
                self.subjects.push(subject);
                (self.subjects.len() - 1) as u32
            }
        };
        self.index.insert(name.clone(), position);
        position
    }

    /// Takes over the subjects of the same gathering under other rules; `stay` says where each rule and derivation has gone.
    pub(crate) fn adopt(&mut self, old: &mut Group, stay: (&[Option<u32>], &[Option<u32>]), nothing: &Arc<[Cell]>) {
        let plans = self.adopt_plans(old, stay);
        let places = stay.0;
        for (name, position) in old.names() {
            // A key for which there is no room any more has no sensor, so it must not have a subject either.
            if self.by == By::Key && self.find(&name).is_none() {
                continue;
            }
            let facts = self.find(&name).map_or_else(|| Arc::clone(nothing), |s| Arc::clone(&self.subjects[s as usize].facts));
            let s = self.subject(&name, &facts);
            let was = std::mem::replace(&mut old.subjects[position as usize], Subject::new(name, facts, std::iter::empty()));
            self.subjects[s as usize].adopt(was, places, |p| plans[p]);
        }
    }

    /// Where each old window has gone. One that is asked for other figures now stays as it was, for the rules that stay: what a new
    /// rule wants to know of the past is not in it, and nobody else's past may be lost for that.
    fn adopt_plans(&mut self, old: &Group, (rules, derives): (&[Option<u32>], &[Option<u32>])) -> Vec<Option<usize>> {
        let sql = |group: &Group, filter: Option<usize>| filter.map(|filter| group.filters[filter].sql.clone());
        let asked: Vec<Vec<Call>> = self.plans.iter().map(|shared| shared.plan.calls().to_vec()).collect();
        let mut gone = Vec::new();
        for was in &old.plans {
            let alike = |is: &Shared| is.plan.window() == was.plan.window() && sql(self, is.filter) == sql(old, was.filter);
            let Some(q) = self.plans[..asked.len()].iter().position(alike) else {
                gone.push(None);
                continue;
            };
            if asked[q] == was.plan.calls() && self.plans[q].places.is_none() {
                gone.push(Some(q));
                continue;
            }
            let kept: Vec<u32> = was.rules.iter().filter_map(|gate| rules[gate.rule as usize]).collect();
            let kept_derives: Vec<u32> = was.derives.iter().filter_map(|i| derives[*i as usize]).collect();
            if kept.is_empty() && kept_derives.is_empty() {
                gone.push(None);
                continue;
            }
            let is = &mut self.plans[q];
            let (kept, rest): (Vec<Gate>, Vec<Gate>) = is.rules.drain(..).partition(|gate| kept.contains(&gate.rule));
            is.rules = rest;
            is.derives.retain(|i| !kept_derives.contains(i));
            let places = asked[q].iter().map(|call| was.plan.calls().iter().position(|known| known == call)).collect();
            let (filter, early) = (is.filter, was.early);
            let shared = Shared { plan: was.plan.clone(), filter, rules: kept, derives: kept_derives, early, places: Some(places) };
            let free = self.plans[q].rules.is_empty() && self.plans[q].derives.is_empty() && !gone.contains(&Some(q));
            if free {
                self.plans[q] = shared;
                gone.push(Some(q));
            } else {
                self.plans.push(shared);
                gone.push(Some(self.plans.len() - 1));
            }
        }
        for subject in &mut self.subjects {
            subject.set_windows(self.plans.iter().map(|shared| Windows::new(&shared.plan)));
        }
        gone
    }

    /// How many subjects there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Frees the place of a subject that has nothing left to remember.
    pub(crate) fn forget(&mut self, position: u32) {
        let subject = &mut self.subjects[position as usize];
        self.index.remove(&subject.name);
        subject.newest = None;
        subject.scheduled = Timestamp::MAX;
        self.free.push(position);
    }

    /// How far back readings matter to its windows.
    pub(crate) fn longest(&self) -> Span {
        self.plans.iter().map(|shared| shared.plan.longest()).max().unwrap_or(Span::ZERO)
    }
}
