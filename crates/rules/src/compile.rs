//! From rules as written to rules that run: every mistake is found here, at load, with its file and path.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use huong_types::{Name, Problems, Registry, RuleInfo, Span, Stream, Text, load_toml};

use crate::engine::Engine;
use crate::life::Timing;
use crate::panes::{Aggregate, Window};
use crate::rule::{Bilingual, Conditions, Judge, Rule, Select};
use crate::rule_file::{Kind, RawRule, RawWindow, RuleFile, Sliding, Tumbling};
use crate::sql::{Columns, Compiler, Condition, call_column, expected};
use crate::stream_engine::StreamEngine;
use crate::template::{Language, Template};

/// A day by the minute: bounds what one rule remembers of one key.
const MOST_PANES: i64 = 1440;

/// A rule as written, and where.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) file: String,
    pub(crate) rule: RawRule,
}

pub(crate) fn load(pipelines: &[(String, String)], problems: &mut Problems) -> Vec<Written> {
    let mut written = Vec::new();
    for (file, text) in pipelines {
        let rules = load_toml::<RuleFile>(file, text, problems).unwrap_or_default().rule;
        written.extend(rules.into_iter().map(|rule| Written { file: file.clone(), rule }));
    }
    check_ids(&written, problems);
    written
}

/// What rules may call `station.<level>`: the levels of the registry and those that rule tests declare, so that a registry
/// without, say, reservoirs still runs a file with rules for them.
pub(crate) fn level_names(registry: &Registry, rules: &[Written]) -> Vec<Name> {
    let tested = rules.iter().flat_map(|written| &written.rule.test).flat_map(|test| test.station.keys().cloned());
    let names: BTreeSet<Name> = registry.level_names().into_iter().chain(tested).collect();
    names.into_iter().collect()
}

pub(crate) fn compile_rules(
    rules: &[Written],
    streams: &[Stream],
    registry: &Arc<Registry>,
    levels: &[Name],
    problems: &mut Problems,
) -> Option<Engine> {
    let compiler = Compiler::new();
    let mut columns = Vec::new();
    for stream in streams {
        let fields = stream.fields.iter().filter(|(_, spec)| !spec.text).map(|(name, _)| name.clone()).collect();
        match Columns::new(fields, levels) {
            Ok(made) => columns.push(made),
            Err(message) => problems.add("streams", format!("stream `{}`.fields", stream.id), message, "fields unlike each other"),
        }
    }
    if columns.len() < streams.len() {
        return None;
    }
    let mut infos = Vec::new();
    let mut by_stream: BTreeMap<usize, Vec<Rule>> = BTreeMap::new();
    for Written { file, rule: raw } in rules {
        let Some(stream) = streams.iter().position(|stream| stream.id == raw.from) else {
            let known = streams.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(", ");
            problems.add(file, format!("rule `{}`.from", raw.id), format!("`{}`", raw.from), format!("a stream: {known}"));
            continue;
        };
        let mut task = Task { file, raw, compiler: &compiler, fields: &columns[stream], levels, problems };
        let of_stream = by_stream.entry(stream).or_default();
        let place = of_stream.iter().filter(|rule| matches!(rule.judge, Judge::Window { .. })).count();
        if let Some(rule) = task.compile(place) {
            infos.push(rule.info.clone());
            of_stream.push(rule);
        }
    }
    if !problems.is_empty() {
        return None;
    }
    let made = streams.iter().zip(columns).enumerate().map(|(i, (stream, columns))| {
        let rules = by_stream.remove(&i).unwrap_or_default();
        StreamEngine::new(stream.clone(), Arc::clone(registry), columns, levels.to_vec(), rules)
    });
    Some(Engine::new(infos, made.collect()))
}

/// Duplicate ids, inhibited rules that do not exist, rules that hide each other.
fn check_ids(written: &[Written], problems: &mut Problems) {
    let mut first: HashMap<&Name, &Written> = HashMap::new();
    for w in written {
        if let Some(other) = first.get(&w.rule.id) {
            problems.add(
                &w.file,
                format!("rule `{}`.id", w.rule.id),
                format!("`{}` again", w.rule.id),
                format!("an id unlike that in {}", other.file),
            );
        } else {
            first.insert(&w.rule.id, w);
        }
    }
    for w in written {
        for hidden in &w.rule.inhibits {
            let path = format!("rule `{}`.inhibits", w.rule.id);
            match first.get(hidden) {
                None => problems.add(&w.file, path, format!("`{hidden}`"), "the id of a rule"),
                Some(other) if hides(other, &w.rule.id, &first, &mut BTreeSet::new()) => {
                    problems.add(&w.file, path, format!("`{hidden}`, which hides this rule in turn"), "no circle");
                }
                Some(_) => {}
            }
        }
    }
}

fn hides<'a>(from: &'a Written, id: &Name, rules: &HashMap<&'a Name, &'a Written>, seen: &mut BTreeSet<&'a Name>) -> bool {
    from.rule.id == *id
        || (seen.insert(&from.rule.id)
            && from.rule.inhibits.iter().any(|next| rules.get(next).is_some_and(|next| hides(next, id, rules, seen))))
}

enum Shape {
    Reading,
    Window { window: Window, select: Box<Select> },
}

/// One rule being compiled.
struct Task<'a> {
    file: &'a str,
    raw: &'a RawRule,
    compiler: &'a Compiler,
    /// The stream's fields and the levels.
    fields: &'a Columns,
    levels: &'a [Name],
    problems: &'a mut Problems,
}

impl Task<'_> {
    /// `place`: how many rules with windows the stream has already.
    fn compile(&mut self, place: usize) -> Option<Rule> {
        let raw = self.raw;
        if raw.source.trim().is_empty() {
            self.problem("source", "nothing", "where the thresholds come from");
        }
        if raw.each && (raw.clear.is_some() || raw.over.is_some() || raw.hold > Span::ZERO || raw.clear_for > Span::ZERO) {
            self.problem("each", "`true`", "no `clear`, `clear_for`, `for` or `over`: such alerts have no state");
        }
        if raw.early && matches!(raw.window, RawWindow::None(_)) {
            self.problem("early", "`true`", "a window: rules on readings are as early as can be");
        }
        // Everything is looked at before anything is given up: conditions that are wrong do not hide texts that are wrong.
        let shape = self.shape()?;
        let columns = if let Shape::Window { select, .. } = &shape { &select.columns } else { self.fields };
        let conditions = if raw.kind == Kind::Condition { Some(self.conditions(columns)) } else { None };
        let text = self.bilingual("text", &raw.text, columns);
        let over = raw.over.as_ref().map(|over| self.bilingual("over", over, columns));
        // A silent sensor has no figures.
        let names = if raw.kind == Kind::Silence { Vec::new() } else { columns.own().to_vec() };
        let judge = match (shape, conditions) {
            (Shape::Window { window, select }, Some(conditions)) => {
                Judge::Window { window, early: raw.early, place, select, conditions: conditions? }
            }
            (_, Some(conditions)) => Judge::Reading(conditions?),
            (_, None) if raw.kind == Kind::Silence => Judge::Silence,
            (_, None) => Judge::Suspect,
        };
        let over = match over {
            Some(None) => return None,
            Some(over) => over,
            None => None,
        };
        let info = RuleInfo {
            id: raw.id.clone(),
            stream: raw.from.clone(),
            severity: raw.severity,
            version: raw.id.clone(),
            inhibits: raw.inhibits.clone(),
            across: false,
            group: raw.id.clone(),
            group_after: 0,
            latch: false,
            flap: None,
            escalate: Vec::new(),
            notify: raw.notify.clone(),
            silence: raw.kind != Kind::Condition,
            each: raw.each,
        };
        let timing = Timing { hold: raw.hold, clear_for: raw.clear_for, update_every: raw.update_every };
        Some(Rule { info, judge, timing, text: text?, over, names })
    }

    /// What the rule looks at: single readings or windows.
    fn shape(&mut self) -> Option<Shape> {
        if self.raw.kind != Kind::Condition {
            self.check_sensor_rule();
            return Some(Shape::Reading);
        }
        let (size, hop) = match &self.raw.window {
            RawWindow::None(_) => {
                if !self.raw.select.is_empty() {
                    self.problem("select", "columns", "none without a window: the fields of the reading are the columns");
                }
                return Some(Shape::Reading);
            }
            RawWindow::Tumbling(Tumbling { tumbling }) => (*tumbling, *tumbling),
            RawWindow::Sliding(Sliding { sliding, every }) => (*sliding, *every),
        };
        let (size_ms, hop_ms) = (size.as_millis(), hop.as_millis());
        let whole = hop_ms > 0 && size_ms > 0 && size_ms % hop_ms == 0 && size_ms / hop_ms <= MOST_PANES;
        if !whole {
            self.problem("window", &format!("{size} every {hop}"), &format!("a whole number of `every`, 1 to {MOST_PANES}"));
        }
        let select = self.select()?;
        whole.then_some(Shape::Window { window: Window { size, hop }, select })
    }

    fn check_sensor_rule(&mut self) {
        let raw = self.raw;
        let windowed = !matches!(raw.window, RawWindow::None(_));
        let told = [
            ("when", raw.when.is_some()),
            ("clear", raw.clear.is_some()),
            ("select", !raw.select.is_empty()),
            ("window", windowed),
            ("each", raw.each),
        ];
        let silence = raw.kind == Kind::Silence;
        let delayed = [("for", silence && raw.hold > Span::ZERO), ("clear_for", silence && raw.clear_for > Span::ZERO)];
        for (field, _) in told.into_iter().chain(delayed).filter(|(_, given)| *given) {
            self.problem(field, "a value", "nothing: rules about sensors follow the limits of the stream");
        }
    }

    fn select(&mut self) -> Option<Box<Select>> {
        let (mut calls, mut rests) = (Vec::new(), Vec::new());
        for (name, sql) in &self.raw.select {
            match self.compiler.select(sql, self.fields, &mut calls) {
                Ok(rest) => rests.push((name, sql, rest)),
                Err(message) => {
                    let aggregates = format!("SQL over {} of a field", Aggregate::NAMES.join(", "));
                    self.problem(&format!("select.{name}"), &format!("`{sql}`: {message}"), &expected(&aggregates, self.fields));
                }
            }
        }
        if self.raw.select.is_empty() {
            self.problem("select", "nothing", "at least one column, such as level = \"max(value)\"");
        }
        if rests.len() < self.raw.select.len() || rests.is_empty() {
            return None;
        }
        let names = (0..calls.len()).map(|i| Name::from(call_column(i))).collect();
        let over_calls = Columns::new(names, self.levels).ok()?;
        let columns = Columns::new(rests.iter().map(|(name, ..)| (*name).clone()).collect(), self.levels).ok()?;
        let mut figures = Vec::new();
        for (name, sql, rest) in rests {
            match self.compiler.over_calls(rest, &over_calls) {
                Ok(figure) => figures.push(figure),
                Err(message) => self.problem(&format!("select.{name}"), &format!("`{sql}`: {message}"), "a number"),
            }
        }
        (figures.len() == columns.own().len()).then(|| Box::new(Select { calls, over_calls, figures, columns }))
    }

    fn conditions(&mut self, columns: &Columns) -> Option<Conditions> {
        let raw = self.raw;
        let Some(when) = &raw.when else {
            self.problem("when", "nothing", "a condition");
            return None;
        };
        let when = self.condition("when", when, columns);
        let clear = raw.clear.as_ref().map(|clear| self.condition("clear", clear, columns));
        match clear {
            None => Some(Conditions { when: when?, clear: None }),
            Some(clear) => Some(Conditions { when: when?, clear: Some(clear?) }),
        }
    }

    fn condition(&mut self, field: &str, sql: &str, columns: &Columns) -> Option<Condition> {
        match self.compiler.condition(sql, columns) {
            Ok(condition) => Some(condition),
            Err(message) => {
                self.problem(field, &format!("`{sql}`: {message}"), &expected("a condition", columns));
                None
            }
        }
    }

    fn bilingual(&mut self, field: &str, text: &Text, columns: &Columns) -> Option<Bilingual> {
        let vi = self.template(&format!("{field}.vi"), &text.vi, Language::Vietnamese, columns);
        let en = self.template(&format!("{field}.en"), &text.en, Language::English, columns);
        Some(Bilingual { vi: vi?, en: en? })
    }

    fn template(&mut self, field: &str, text: &str, language: Language, columns: &Columns) -> Option<Template> {
        if text.trim().is_empty() {
            self.problem(field, "nothing", "a text");
            return None;
        }
        match Template::compile(text, language, columns, self.compiler) {
            Ok(template) => Some(template),
            Err(message) => {
                self.problem(field, &message, &expected("figures in braces", columns));
                None
            }
        }
    }

    fn problem(&mut self, field: &str, found: &str, expected: &str) {
        self.problems.add(self.file, format!("rule `{}`.{field}", self.raw.id), found, expected);
    }
}
