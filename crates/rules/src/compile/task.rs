//! One rule, or one derivation, being compiled. Everything is looked at before anything is given up: conditions that are wrong do
//! not hide texts that are wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use huong_types::{Name, Problems, RuleInfo, Span, Stream, Text};

use crate::baseline::BaselineSpec;
use crate::cluster::ClusterSpec;
use crate::cluster_rule;
use crate::derive::Derive;
use crate::expr::{Aggregate, Condition, Kind, Number, Output, Part, Place, Schema};
use crate::lens::{BaselinePlan, Extras, Join, Joined, To};
use crate::life::Timing;
use crate::rule::{Bilingual, Judge, Rule, Then, Within};
use crate::rule_file::{Kind as RuleKind, RawDerive, RawJoin, RawOverride, RawRule, RawThen};
use crate::schedule::Schedule;
use crate::template::{Language, Template};

use super::source::{Source, check_calls, fields_schema, source};
use super::{Bench, Shop, is_derived};

/// Judgements that an n-of-m condition may look back on.
const MOST_OF: u32 = 32;

/// What is being compiled, and where its mistakes go.
pub(super) struct Task<'a, 's> {
    shop: &'a mut Shop<'s>,
    file: &'a str,
    /// ``rule `id` `` or ``derive `id` ``.
    at: String,
    problems: &'a mut Problems,
}

pub(super) fn rule(
    shop: &mut Shop<'_>,
    bench: &mut Bench,
    stream: usize,
    file: &str,
    raw: &RawRule,
    problems: &mut Problems,
) -> Option<Rule> {
    Task { shop, file, at: format!("rule `{}`", raw.id), problems }.rule(bench, stream, raw)
}

/// The derivation and the position of the stream it feeds.
pub(super) fn derive(
    shop: &mut Shop<'_>,
    bench: &mut Bench,
    stream: usize,
    file: &str,
    raw: &RawDerive,
    problems: &mut Problems,
) -> Option<(Derive, usize)> {
    Task { shop, file, at: format!("derive `{}`", raw.id), problems }.derive(bench, stream, raw)
}

impl Task<'_, '_> {
    fn rule(&mut self, bench: &mut Bench, stream: usize, raw: &RawRule) -> Option<Rule> {
        let before = self.problems.list.len();
        self.check_shape(raw);
        let fields = self.own_schema(bench)?;
        let source = source(self.shop, bench, (&raw.by, raw.filter.as_deref(), &raw.window), &fields, (self.file, &self.at), self.problems);
        let mut extras = self.extras(stream, &raw.limit, &raw.overrides, &raw.join);
        let of = self.of(raw);
        let schedule = raw.schedule.as_ref().and_then(|raw| self.noted("schedule", Schedule::parse(raw)));
        let Source { group, filter, plan, window } = source?;
        let selecting = self.schema(bench.columns.to_vec(), &extras)?;
        let figures = match (plan, window) {
            (Some(plan), Some(window)) => {
                let figures = self.figures(&raw.select, &selecting, Some(bench.groups[group].calls(plan)));
                check_calls(bench.groups[group].calls(plan), window, (self.file, &self.at), self.problems);
                figures
            }
            _ => Vec::new(),
        };
        if plan.is_some() && figures.len() < raw.select.len() {
            // What speaks of a column that is wrong would only say the same again.
            return None;
        }
        extras.baseline = self.baseline(raw, &figures);
        let judge = self.judge(raw, bench, plan);
        let own = match &judge {
            Some(Judge::Cluster { .. }) => cluster_rule::COLUMNS.map(|name| (Name::new(name), Kind::Number)).to_vec(),
            Some(Judge::ClassSilence { .. }) => ["silent", "total"].map(|name| (Name::new(name), Kind::Number)).to_vec(),
            _ if plan.is_some() => figures.iter().map(|(name, figure)| (name.clone(), figure.kind())).collect(),
            _ => bench.columns.to_vec(),
        };
        let schema = self.schema(own, &extras)?;
        let when = raw.when.as_ref().map(|sql| self.condition("when", sql, &schema));
        let clear = raw.clear.as_ref().map(|sql| self.condition("clear", sql, &schema));
        let then = raw.then.as_ref().map(|then| self.then(then, stream, &schema));
        let text = self.bilingual("text", &raw.text, &schema);
        let over = raw.over.as_ref().map(|over| self.bilingual("over", over, &schema));
        if self.problems.list.len() > before {
            return None;
        }
        let (when, clear, then) = (when.flatten(), clear.flatten(), then.flatten());
        let (text, over) = (text?, over.flatten());
        let shown = self.shown(raw.kind, &schema);
        let conditions = when.iter().chain(&clear).flat_map(Condition::columns);
        let texts = std::iter::once(&text).chain(&over).flat_map(Bilingual::columns);
        let selected = figures.iter().flat_map(|(_, figure)| figure.columns());
        let hours = then.as_ref().and_then(|then| if let Within::Hours(hours) = &then.within { Some(hours.columns()) } else { None });
        mark_used(&mut extras, conditions.chain(texts).chain(selected).chain(hours.into_iter().flatten()));
        Some(Rule {
            info: self.info(raw),
            group,
            filter,
            judge: judge?,
            timing: Timing { hold: raw.hold, clear_for: raw.clear_for, keep: raw.keep_firing_for, update_every: raw.update_every, of: of? },
            schedule,
            extras,
            figures,
            when,
            clear,
            then,
            text,
            over,
            columns: bench.columns.len(),
            shown,
        })
    }

    fn derive(&mut self, bench: &mut Bench, stream: usize, raw: &RawDerive) -> Option<(Derive, usize)> {
        let before = self.problems.list.len();
        if raw.source.trim().is_empty() {
            self.problem("source", "nothing", "where the formula comes from");
        }
        let into = self.shop.stream(self.file, &format!("{}.into", self.at), &raw.into, self.problems);
        let fields = self.own_schema(bench)?;
        let source = source(self.shop, bench, (&raw.by, raw.filter.as_deref(), &raw.window), &fields, (self.file, &self.at), self.problems);
        let mut extras = self.extras(stream, &raw.limit, &raw.overrides, &raw.join);
        let Source { group, filter, plan, window } = source?;
        let schema = self.schema(bench.columns.to_vec(), &extras)?;
        let calls = plan.map(|plan| bench.groups[group].calls(plan));
        let fields = self.figures(&raw.select, &schema, calls);
        if let (Some(plan), Some(window)) = (plan, window) {
            check_calls(bench.groups[group].calls(plan), window, (self.file, &self.at), self.problems);
        }
        let into = into?;
        self.check_into(&self.shop.streams[into].clone(), &fields);
        if self.problems.list.len() > before {
            return None;
        }
        mark_used(&mut extras, fields.iter().flat_map(|(_, figure)| figure.columns()));
        let said = RawDerive { test: Vec::new(), ..raw.clone() };
        Some((Derive { id: raw.id.clone(), version: checksum(&said), group, filter, plan, extras, fields, into: raw.into.clone() }, into))
    }

    /// What the rule looks at.
    fn judge(&mut self, raw: &RawRule, bench: &Bench, plan: Option<usize>) -> Option<Judge> {
        if let Some(cluster) = &raw.cluster {
            let spec = ClusterSpec { events: cluster.events, radius_m: cluster.radius_m, within: cluster.within };
            self.noted("cluster", spec.check())?;
            let column = |name: &str, kind: Kind| bench.columns.iter().position(|(n, k)| *n == *name && *k == kind);
            let (lat, lon) = (column("lat", Kind::Number), column("lon", Kind::Number));
            if lat.is_none() || lon.is_none() {
                self.problem("cluster", "a stream without `lat` and `lon`", "events with their position");
            }
            let class = match cluster.class.as_ref().map(|name| (name, column(name, Kind::Text))) {
                Some((name, None)) => {
                    self.problem("cluster.class", &format!("`{name}`"), "a text field of the stream");
                    return None;
                }
                Some((_, class)) => class,
                None => None,
            };
            return Some(Judge::Cluster { spec, lat: lat?, lon: lon?, class });
        }
        Some(match (raw.kind, plan) {
            (RuleKind::Silence, _) => Judge::Silence { after: raw.after },
            (RuleKind::Suspect, _) => Judge::Suspect,
            (RuleKind::ClassSilence, _) => {
                let (share, least) = (raw.share.unwrap_or(f64::NAN), raw.least.unwrap_or(1));
                if !(0.0..1.0).contains(&share) {
                    self.problem(
                        "share",
                        &raw.share.map_or("nothing".to_owned(), |share| format!("`{share}`")),
                        "a share from 0 to below 1",
                    );
                }
                Judge::ClassSilence { share, least }
            }
            (RuleKind::Condition, Some(plan)) => Judge::Window { plan, early: raw.early },
            (RuleKind::Condition, None) => Judge::Reading,
        })
    }

    /// `3/5`.
    fn of(&mut self, raw: &RawRule) -> Option<(u32, u32)> {
        let Some(text) = &raw.of else { return Some((1, 1)) };
        let parsed = text.split_once('/').and_then(|(n, m)| Some((n.trim().parse().ok()?, m.trim().parse().ok()?)));
        let good = parsed.filter(|(n, m): &(u32, u32)| (1..=*m).contains(n) && *m <= MOST_OF);
        if good.is_none() {
            self.problem("of", &format!("`{text}`"), &format!("such as \"3/5\", at most {MOST_OF} judgements"));
        }
        good
    }

    fn baseline(&mut self, raw: &RawRule, figures: &[(Name, Output)]) -> Option<BaselinePlan> {
        let baseline = raw.baseline.as_ref()?;
        let spec = BaselineSpec { days: baseline.days, least: baseline.least };
        self.noted("baseline", spec.check())?;
        let of = figures.iter().position(|(name, figure)| *name == baseline.of && figure.kind() == Kind::Number);
        if of.is_none() {
            self.problem("baseline.of", &format!("`{}`", baseline.of), "a selected number");
        }
        Some(BaselinePlan { spec, of: of? })
    }

    fn extras(
        &mut self,
        stream: usize,
        limits: &BTreeMap<Name, f64>,
        overrides: &BTreeMap<Name, RawOverride>,
        joins: &BTreeMap<Name, RawJoin>,
    ) -> Extras {
        let joins = joins.iter().filter_map(|(name, join)| self.join(stream, name, join)).collect();
        let mut extras = Extras::new(limits, joins);
        for (key, own) in overrides {
            if let Some(unknown) = own.limits.keys().find(|name| !limits.contains_key(*name)) {
                let known = limits.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
                self.problem(&format!("override.{key}.{unknown}"), "no limit of the rule", &format!("off, or one of its limits: {known}"));
            }
            let key = self.shop.registry.row(key).map_or(key, |row| row.id);
            extras.set_override(key, (!own.off).then_some(&own.limits));
        }
        extras
    }

    fn join(&mut self, stream: usize, name: &Name, raw: &RawJoin) -> Option<Join> {
        if ["station", "limit", "baseline"].contains(&name.as_str()) {
            self.problem(&format!("join.{name}"), "a name that means something else", "a name of its own");
        }
        let from = self.shop.stream(self.file, &format!("{}.join.{name}.from", self.at), &raw.from, self.problems)?;
        if raw.max_age <= Span::ZERO {
            self.problem(&format!("join.{name}.max_age"), &format!("`{}`", raw.max_age), "longer than nothing");
        }
        let to = self.to(&format!("join.{name}"), raw.link.as_ref(), raw.key.as_ref())?;
        self.shop.joined.insert(from);
        let fields = self.shop.columns[from].iter().enumerate().filter(|(_, (field, _))| *field != "key");
        let mut columns: Vec<(Name, Kind, Joined)> = fields.map(|(i, (field, kind))| (field.clone(), *kind, Joined::Field(i))).collect();
        let levels = self.shop.levels.iter().filter(|level| !self.shop.columns[from].iter().any(|(field, _)| field == *level));
        columns.extend(levels.map(|level| (level.clone(), Kind::Number, Joined::Level(level.clone()))));
        if !columns.iter().any(|(column, ..)| *column == "age_h") {
            columns.push((Name::new("age_h"), Kind::Number, Joined::Age));
        }
        let _ = stream;
        Some(Join { name: name.clone(), stream: from, to, max_age: raw.max_age, combine: raw.combine, columns })
    }

    fn to(&mut self, field: &str, link: Option<&Name>, key: Option<&Name>) -> Option<To> {
        match (link, key) {
            (Some(_), Some(_)) => {
                self.problem(field, "`link` and `key`", "one of them");
                None
            }
            (Some(link), None) => {
                if !self.shop.links.contains(link) {
                    let known = self.shop.links.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
                    self.problem(&format!("{field}.link"), &format!("`{link}`"), &format!("a link of some registry row: {known}"));
                }
                Some(To::Link(link.clone()))
            }
            (None, Some(key)) => Some(To::Key(key.clone())),
            (None, None) => Some(To::Same),
        }
    }

    fn then(&mut self, raw: &RawThen, stream: usize, schema: &Schema) -> Option<Then> {
        let other = match &raw.from {
            None => stream,
            Some(from) => self.shop.stream(self.file, &format!("{}.then.from", self.at), from, self.problems)?,
        };
        let to = self.to("then", raw.link.as_ref(), raw.key.as_ref());
        let columns = Arc::clone(&self.shop.columns[other]);
        let fields = self.noted("then", fields_schema(self.shop, &columns))?;
        let when = self.condition("then.when", &raw.when, &fields);
        let within = match (raw.within, &raw.within_h) {
            (Some(within), None) => Some(Within::Span(within)),
            (None, Some(sql)) => self.number("then.within_h", sql, schema).map(Within::Hours),
            _ => {
                self.problem("then.within", "both or none of `within` and `within_h`", "one of them");
                None
            }
        };
        let pattern = self.shop.patterns;
        self.shop.patterns += 1;
        Some(Then { pattern, stream: other, to: to?, when: when?, within: within?, before: raw.before, absent: raw.absent })
    }

    /// Selected columns: over the aggregates of a window when there are `calls`, else over the reading's own fields.
    fn figures(
        &mut self,
        select: &BTreeMap<Name, String>,
        schema: &Schema,
        mut calls: Option<&mut Vec<crate::expr::Call>>,
    ) -> Vec<(Name, Output)> {
        let mut figures = Vec::new();
        for (name, sql) in select {
            let compiled = match &mut calls {
                Some(calls) => self.shop.compiler.select(sql, schema, calls),
                None => self.shop.compiler.value(sql, schema),
            };
            match compiled {
                Ok(figure) => figures.push((name.clone(), figure)),
                Err(message) => {
                    let aggregates: Vec<&str> = Aggregate::NAMED.iter().map(|(name, _)| *name).collect();
                    let what =
                        if calls.is_some() { format!("SQL over {} of columns", aggregates.join(", ")) } else { "SQL over columns".into() };
                    self.problem(&format!("select.{name}"), &format!("`{sql}`: {message}"), &format!("{what}: {}", schema.listed()));
                }
            }
        }
        if select.is_empty() {
            self.problem("select", "nothing", "at least one column, such as level = \"max(value)\"");
        }
        figures
    }

    /// The fields of a derived stream are what is selected for it.
    fn check_into(&mut self, into: &Stream, fields: &[(Name, Output)]) {
        if !is_derived(into) {
            self.problem("into", &format!("`{}`, which others fill", into.id), "a stream with origin = \"derived\"");
        }
        for (name, figure) in fields {
            let text = figure.kind() == Kind::Text;
            if into.fields.get(name).is_none_or(|field| field.text != text) {
                let known = into.fields.iter().map(|(name, field)| format!("{name}{}", if field.text { " (text)" } else { "" }));
                let known = known.collect::<Vec<_>>().join(", ");
                self.problem(
                    &format!("select.{name}"),
                    if text { "a text" } else { "a number" },
                    &format!("a field of `{}`: {known}", into.id),
                );
            }
        }
    }

    fn own_schema(&mut self, bench: &Bench) -> Option<Schema> {
        let schema = fields_schema(self.shop, &bench.columns);
        self.noted("from", schema)
    }

    fn schema(&mut self, own: Vec<(Name, Kind)>, extras: &Extras) -> Option<Schema> {
        let schema = Schema::new(own, Arc::clone(self.shop.facts.names()), extras.columns());
        self.noted("select", schema)
    }

    fn condition(&mut self, field: &str, sql: &str, schema: &Schema) -> Option<Condition> {
        let compiled = self.shop.compiler.condition(sql, schema);
        self.compiled(field, sql, "a condition", schema, compiled)
    }

    fn number(&mut self, field: &str, sql: &str, schema: &Schema) -> Option<Number> {
        let compiled = self.shop.compiler.number(sql, schema);
        self.compiled(field, sql, "a number", schema, compiled)
    }

    fn compiled<T>(&mut self, field: &str, sql: &str, what: &str, schema: &Schema, compiled: Result<T, String>) -> Option<T> {
        compiled.map_err(|message| self.problem(field, &format!("`{sql}`: {message}"), &format!("{what} over {}", schema.listed()))).ok()
    }

    fn bilingual(&mut self, field: &str, text: &Text, schema: &Schema) -> Option<Bilingual> {
        let vi = self.template(&format!("{field}.vi"), &text.vi, Language::Vietnamese, schema);
        let en = self.template(&format!("{field}.en"), &text.en, Language::English, schema);
        Some(Bilingual { vi: vi?, en: en? })
    }

    fn template(&mut self, field: &str, text: &str, language: Language, schema: &Schema) -> Option<Template> {
        if text.trim().is_empty() {
            self.problem(field, "nothing", "a text");
            return None;
        }
        let made = Template::compile(text, language, schema, &self.shop.compiler);
        made.map_err(|message| self.problem(field, &message, &format!("figures in braces over {}", schema.listed()))).ok()
    }

    /// The figures that alerts carry. A silent sensor has none.
    fn shown(&self, kind: RuleKind, schema: &Schema) -> Vec<(usize, Name)> {
        if kind == RuleKind::Silence {
            return Vec::new();
        }
        let numbers = schema.own().iter().enumerate().filter(|(_, (_, kind))| *kind == Kind::Number);
        numbers.map(|(i, (name, _))| (i, name.clone())).collect()
    }

    fn info(&self, raw: &RawRule) -> RuleInfo {
        RuleInfo {
            id: raw.id.clone(),
            stream: raw.from.clone(),
            severity: raw.severity,
            version: version(raw),
            inhibits: raw.inhibits.clone(),
            across: raw.across,
            group: raw.group.clone().unwrap_or_else(|| raw.id.clone()),
            group_after: raw.group_after,
            latch: raw.latch,
            flap: raw.flap,
            escalate: raw.escalate.clone(),
            notify: raw.notify.clone(),
            silence: matches!(raw.kind, RuleKind::Silence | RuleKind::ClassSilence | RuleKind::Suspect),
            each: raw.each,
        }
    }

    fn noted<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(field, &message, "as said")).ok()
    }

    pub(super) fn problem(&mut self, field: &str, found: &str, expected: &str) {
        self.problems.add(self.file, format!("{}.{field}", self.at), found, expected);
    }
}

fn mark_used(extras: &mut Extras, places: impl Iterator<Item = Place>) {
    for place in places.filter(|place| place.part == Part::Extra) {
        extras.is_used(place.index);
    }
}

/// Of what the rule says, its tests apart: eight hex digits of a checksum over the rule as it was read.
fn version(raw: &RawRule) -> Name {
    let said = RawRule { test: Vec::new(), ..raw.clone() };
    checksum(&said)
}

fn checksum(said: &impl std::fmt::Debug) -> Name {
    Name::from(format!("{:08x}", crc32fast::hash(format!("{said:?}").as_bytes())))
}
