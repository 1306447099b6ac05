//! What a rule looks at: how its readings are gathered, filtered and windowed. Equal ones become one and are shared.

use std::sync::Arc;

use huong_types::{Name, Problems, Span};

use crate::derive::Derive;
use crate::expr::{Aggregate, Call, Condition, Kind, Schema};
use crate::gate::Gate;
use crate::group::{By, Filter, Group, Shared};
use crate::rule::{Judge, Rule};
use crate::rule_file::{Count, RawWindow, Session, Sliding, Tumbling};
use crate::windows::{Plan, Window};

use super::{Bench, Shop};

/// A day by the minute: bounds what one rule remembers of one key.
const MOST_PANES: i64 = 1440;
/// Of a count window.
const MOST_COUNT: u32 = 10_000;

/// A group while its rules are being compiled.
pub(crate) struct Plans {
    by: By,
    filters: Vec<Filter>,
    windows: Vec<(Window, Option<usize>, Vec<Call>)>,
}

impl Plans {
    pub(crate) fn new(by: By) -> Self {
        Self { by, filters: Vec::new(), windows: Vec::new() }
    }

    /// Aggregates that all rules over this window ask for.
    pub(crate) fn calls(&mut self, plan: usize) -> &mut Vec<Call> {
        &mut self.windows[plan].2
    }

    /// The group at position `place`.
    pub(crate) fn finish(self, place: usize, columns: &[(Name, Kind)], rules: &[Rule], derives: &[Derive], events: bool) -> Group {
        let kinds: Vec<Kind> = columns.iter().map(|(_, kind)| *kind).collect();
        let mut group = Group::new(self.by);
        group.filters = self.filters;
        group.plans = self
            .windows
            .into_iter()
            .map(|(window, filter, calls)| Shared {
                plan: Plan::new(window, calls, &kinds),
                filter,
                rules: Vec::new(),
                derives: Vec::new(),
                early: false,
                places: None,
            })
            .collect();
        let rules = (0u32..).zip(rules).filter(|(_, rule)| rule.group == place).filter_map(|(i, rule)| match rule.judge {
            Judge::Reading => Some((Gate::new(i, rule, events), None)),
            Judge::Window { plan, early } => Some((Gate::new(i, rule, events), Some((plan, early)))),
            Judge::Silence { .. } | Judge::ClassSilence { .. } | Judge::Suspect | Judge::Cluster { .. } => None,
        });
        let derives = (0u32..).zip(derives).filter(|(_, derive)| derive.group == place).map(|(i, derive)| (i, derive.plan));
        group.with_rules(rules).with_derives(derives)
    }
}

/// Where a rule's readings come from, compiled.
pub(crate) struct Source {
    pub(crate) group: usize,
    pub(crate) filter: Option<usize>,
    pub(crate) plan: Option<usize>,
    pub(crate) window: Option<Window>,
}

/// Compiles `by`, `where` and `window`.
pub(crate) fn source(
    shop: &Shop<'_>,
    bench: &mut Bench,
    (by, filter, window): (&str, Option<&str>, &RawWindow),
    fields: &Schema,
    (file, at): (&str, &str),
    problems: &mut Problems,
) -> Option<Source> {
    let by = gathered(shop, bench, by, (file, at), problems);
    let condition = filter.map(|sql| compile_filter(shop, sql, fields, (file, at), problems).map(|condition| (sql, condition)));
    let window = compile_window(window, (file, at), problems);
    let (by, window) = (by?, window?);
    let filter = match condition {
        Some(None) => return None,
        Some(Some(filter)) => Some(filter),
        None => None,
    };
    let group = bench.groups.iter().position(|group| group.by == by).unwrap_or_else(|| {
        bench.groups.push(Plans::new(by));
        bench.groups.len() - 1
    });
    let plans = &mut bench.groups[group];
    let filter = filter.map(|(sql, condition)| {
        plans.filters.iter().position(|known| known.sql == sql).unwrap_or_else(|| {
            plans.filters.push(Filter { sql: sql.to_owned(), condition });
            plans.filters.len() - 1
        })
    });
    let plan = window.map(|window| {
        plans.windows.iter().position(|(known, of, _)| *known == window && *of == filter).unwrap_or_else(|| {
            plans.windows.push((window, filter, Vec::new()));
            plans.windows.len() - 1
        })
    });
    Some(Source { group, filter, plan, window })
}

fn gathered(shop: &Shop<'_>, bench: &Bench, by: &str, (file, at): (&str, &str), problems: &mut Problems) -> Option<By> {
    let text = |(_, (name, kind)): &(usize, &(Name, Kind)), wanted: &str| *name == *wanted && *kind == Kind::Text;
    let found = match by {
        // What stands in the registry is the key of its readings.
        "key" | "station" | "camera" => Some(By::Key),
        "all" => Some(By::All),
        _ => match by.strip_prefix("station.") {
            Some(fact) => shop.facts.names().iter().enumerate().find(|column| text(column, fact)).map(|(i, _)| By::Fact(i)),
            None => bench.columns.iter().enumerate().find(|column| text(column, by)).map(|(i, _)| By::Field(i)),
        },
    };
    if found.is_none() {
        let fields = bench.columns.iter().filter(|(name, kind)| *kind == Kind::Text && *name != "key").map(|(name, _)| name.to_string());
        let facts = shop.facts.names().iter().filter(|(_, kind)| *kind == Kind::Text).map(|(name, _)| format!("station.{name}"));
        let known: Vec<String> = fields.chain(facts).collect();
        problems.add(file, format!("{at}.by"), format!("`{by}`"), format!("key, all, or a text: {}", known.join(", ")));
    }
    found
}

fn compile_filter(shop: &Shop<'_>, sql: &str, fields: &Schema, (file, at): (&str, &str), problems: &mut Problems) -> Option<Condition> {
    match shop.compiler.condition(sql, fields) {
        Ok(condition) => Some(condition),
        Err(message) => {
            problems.add(file, format!("{at}.where"), format!("`{sql}`: {message}"), format!("a condition over {}", fields.listed()));
            None
        }
    }
}

/// `Some(None)`: no window.
fn compile_window(raw: &RawWindow, (file, at): (&str, &str), problems: &mut Problems) -> Option<Option<Window>> {
    let mut problem = |found: String, expected: String| {
        problems.add(file, format!("{at}.window"), found, expected);
        None
    };
    match raw {
        RawWindow::None(_) => Some(None),
        RawWindow::Tumbling(Tumbling { tumbling: size }) | RawWindow::Sliding(Sliding { sliding: size, .. }) => {
            let hop = if let RawWindow::Sliding(Sliding { every, .. }) = raw { *every } else { *size };
            let (whole, part) = (size.as_millis(), hop.as_millis());
            if part > 0 && whole > 0 && whole % part == 0 && whole / part <= MOST_PANES {
                Some(Some(Window::Hops { size: *size, hop }))
            } else {
                problem(format!("{size} every {hop}"), format!("a whole number of `every`, 1 to {MOST_PANES}"))
            }
        }
        RawWindow::Session(Session { session, most }) => {
            if *session > Span::ZERO && most >= session {
                Some(Some(Window::Session { gap: *session, most: *most }))
            } else {
                problem(format!("sessions of {session}, at most {most}"), "a gap longer than nothing, and `most` no shorter".to_owned())
            }
        }
        RawWindow::Count(Count { count, every }) => {
            let every = every.unwrap_or(*count);
            if (1..=MOST_COUNT).contains(count) && (1..=*count).contains(&every) {
                Some(Some(Window::Count { size: *count, every }))
            } else {
                problem(format!("{count} readings every {every}"), format!("1 to {MOST_COUNT} readings, `every` no larger"))
            }
        }
    }
}

/// What only some windows can compute.
pub(crate) fn check_calls(calls: &[Call], window: Window, (file, at): (&str, &str), problems: &mut Problems) {
    let hourly = matches!(window, Window::Hops { size, hop } if hop == Span::from_mins(60) && size >= Span::from_mins(12 * 60));
    if calls.iter().any(|call| call.kind == Aggregate::Nowcast) && !hourly {
        problems.add(
            file,
            format!("{at}.window"),
            "`nowcast` over this window",
            "{ sliding = \"12h\", every = \"1h\" }, as its formula has it",
        );
    }
}

/// The stream's own columns beside the facts, and no extras.
pub(crate) fn fields_schema(shop: &Shop<'_>, columns: &Arc<[(Name, Kind)]>) -> Result<Schema, String> {
    Schema::new(columns.to_vec(), Arc::clone(shop.facts.names()), Vec::new())
}
