//! Whom a step reaches: routes, weekly shifts in local time, people and their quiet hours.
//!
//! Invariant: a step that some route takes reaches somebody. When nobody is on duty for the route, all its people hear of it.

use std::collections::{BTreeMap, BTreeSet};

use huong_types::{Alert, LocalDay, Name, Problems, Registry, Severity, Span, Timestamp, Transition};
use serde::Deserialize;

use crate::clock_face::{Hours, Weekday};

/// Somebody who can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// The user's name on the wall, where the person has one: subscriptions of web push are found by it.
    pub id: Name,
    pub name: String,
    #[serde(default)]
    pub language: Language,
    /// Addresses by the name of the sink that uses them.
    #[serde(default)]
    pub to: BTreeMap<Name, String>,
    /// What is less than severe waits until they are over.
    #[serde(default)]
    pub quiet: Option<Hours>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Vi,
    En,
    /// Vietnamese first.
    #[default]
    Both,
}

/// Which alerts go to the people of some shifts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub id: Name,
    /// Names that rules notify or escalate to; its own id when none is given.
    #[serde(default)]
    of: Vec<Name>,
    /// Rules, with `*` at the end for any further letters; none means all.
    #[serde(default)]
    rules: Vec<Name>,
    #[serde(default = "minor")]
    min_severity: Severity,
    /// Wards of the key; none means all. A key whose ward is not known is everybody's business.
    #[serde(default)]
    wards: Vec<Name>,
    /// Labels of the key that must be so; the same holds for a key that is not known.
    #[serde(default)]
    labels: BTreeMap<Name, String>,
}

/// Who is on duty for a route, week after week.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shift {
    route: Name,
    /// The days on which it begins; none means all.
    #[serde(default)]
    days: Vec<Weekday>,
    /// From the first moment to before the second; over midnight when the second is not later.
    #[serde(default)]
    hours: Hours,
    people: Vec<Name>,
}

/// Many messages to one person become one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DigestConfig {
    /// So many within `within` are told singly.
    pub after: usize,
    /// How often a digest comes.
    pub within: Span,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    pub(crate) people: Vec<Person>,
    pub(crate) routes: Vec<Route>,
    pub(crate) shifts: Vec<Shift>,
}

impl Default for DigestConfig {
    fn default() -> Self {
        Self { after: 5, within: Span::from_mins(10) }
    }
}

fn minor() -> Severity {
    Severity::Minor
}

/// `pattern` is the text itself, or a beginning of it and `*`.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |start| text.starts_with(start))
}

impl Route {
    pub(crate) fn named(&self, name: &Name) -> bool {
        if self.of.is_empty() { *name == self.id } else { self.of.contains(name) }
    }

    fn takes(&self, transition: &Transition, registry: &Registry) -> bool {
        transition.recipients.iter().any(|name| self.named(name)) && self.concerns(&transition.alert, registry)
    }

    fn concerns(&self, alert: &Alert, registry: &Registry) -> bool {
        let row = registry.row(&alert.key);
        let ward = row.and_then(|row| row.ward);
        let labelled = |(name, text): (&Name, &String)| row.is_none_or(|row| row.labels.get(name) == Some(text));
        alert.severity >= self.min_severity
            && (self.rules.is_empty() || self.rules.iter().any(|rule| fits(rule, &alert.rule)))
            && (self.wards.is_empty() || ward.is_none_or(|ward| self.wards.contains(ward)))
            && self.labels.iter().all(labelled)
    }
}

impl Shift {
    fn covers(&self, at: Timestamp) -> bool {
        let today = LocalDay::of(at);
        [today, today.plus(-1)].into_iter().any(|day| {
            let on = self.days.is_empty() || self.days.iter().any(|weekday| weekday.0 == day.weekday());
            on && self.hours.on(day).contains(&at)
        })
    }
}

impl Person {
    /// When the quiet hours that hold `at` are over.
    pub(crate) fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        let hours = self.quiet?;
        let today = LocalDay::of(at);
        [today, today.plus(-1)].into_iter().map(|day| hours.on(day)).find(|quiet| quiet.contains(&at)).map(|quiet| quiet.end)
    }
}

impl Roster {
    pub(crate) fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.id == *id)
    }

    /// Who is on duty for a step when it is decided.
    pub(crate) fn reached(&self, transition: &Transition, registry: &Registry) -> BTreeSet<&Name> {
        let mut reached = BTreeSet::new();
        for route in self.routes.iter().filter(|route| route.takes(transition, registry)) {
            let shifts = || self.shifts.iter().filter(|shift| shift.route == route.id);
            let on_duty: Vec<&Name> = shifts().filter(|shift| shift.covers(transition.decided)).flat_map(|shift| &shift.people).collect();
            if on_duty.is_empty() {
                tracing::warn!(route = %route.id, alert = %transition.alert.id, "nobody is on duty: all people of the route are told");
                reached.extend(shifts().flat_map(|shift| &shift.people));
            }
            reached.extend(on_duty);
        }
        reached
    }

    pub(crate) fn check(&self, file: &str, problems: &mut Problems) {
        let mut ids = BTreeSet::new();
        for person in &self.people {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
            if person.id.is_empty() || !person.id.chars().all(plain) || !ids.insert(&person.id) {
                problems.add(
                    file,
                    format!("person `{}`.id", person.id),
                    format!("`{}`", person.id),
                    "letters, digits, -, _, . and @, once",
                );
            }
            for (sink, _) in person.to.iter().filter(|(_, address)| address.trim().is_empty() || address.contains(char::is_control)) {
                problems.add(file, format!("person `{}`.to.{sink}", person.id), "no address", "an address on one line");
            }
        }
        let routes: BTreeSet<&Name> = self.routes.iter().map(|route| &route.id).collect();
        if routes.len() < self.routes.len() {
            problems.add(file, "route", "an id twice", "an id of its own for each");
        }
        for (i, shift) in self.shifts.iter().enumerate() {
            if !routes.contains(&shift.route) {
                problems.add(file, format!("shift[{i}].route"), format!("`{}`", shift.route), "the id of a [[route]]");
            }
            for person in shift.people.iter().filter(|person| !ids.contains(person)) {
                problems.add(file, format!("shift[{i}].people"), format!("`{person}`"), "the id of a [[person]]");
            }
        }
        for route in &self.routes {
            if !self.shifts.iter().any(|shift| shift.route == route.id && !shift.people.is_empty()) {
                problems.add(file, format!("route `{}`", route.id), "no shift with people", "somebody whom it reaches");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huong_types::{About, Text, TransitionKind, load_toml};

    #[derive(Deserialize)]
    struct File {
        person: Vec<Person>,
        route: Vec<Route>,
        shift: Vec<Shift>,
    }

    fn roster(text: &str) -> (Roster, Problems) {
        let mut problems = Problems::default();
        let file: File = load_toml("notify.toml", text, &mut problems).expect("a roster");
        let roster = Roster { people: file.person, routes: file.route, shifts: file.shift };
        roster.check("notify.toml", &mut problems);
        (roster, problems)
    }

    const TEXT: &str = r#"
        person = [{ id = "an", name = "An", quiet = { from = "22:00", to = "06:00" } }, { id = "binh", name = "Bình" }, { id = "chi", name = "Chi" }]
        route = [{ id = "flood" }, { id = "west", of = ["flood"], rules = ["river-*"], min_severity = "severe", wards = ["kim-long"] }]
        shift = [
          { route = "flood", days = ["mon"], hours = { from = "07:00", to = "19:00" }, people = ["an"] },
          { route = "flood", days = ["mon"], hours = { from = "19:00", to = "07:00" }, people = ["binh"] },
          { route = "west", people = ["chi"] },
        ]"#;

    fn step(rule: &str, key: &str, severity: Severity, at: &str) -> Transition {
        let at = Timestamp::parse_rfc3339(at).expect("a moment");
        let alert = Alert::new(About::Rule, "a".into(), &rule.into(), &key.into(), severity, Text::default(), at);
        let recipients = vec!["flood".into()];
        Transition {
            seq: 1,
            kind: TransitionKind::Raised,
            at,
            decided: at,
            announced: true,
            recipients,
            by: None,
            alert,
            cause: Vec::new(),
        }
    }

    #[test]
    fn shifts_pass_midnight_and_an_empty_one_reaches_all() {
        let (roster, problems) = roster(TEXT);
        assert!(problems.is_empty(), "{problems}");
        let registry = Registry::default();
        let reached = |at: &str| {
            let step = step("rain-1h", "x", Severity::Minor, at);
            roster.reached(&step, &registry).into_iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        // 27 October 2025 is a Monday.
        assert_eq!(reached("2025-10-27T07:00:00+07:00"), ["an"]);
        assert_eq!(reached("2025-10-27T18:59:59+07:00"), ["an"]);
        assert_eq!(reached("2025-10-27T19:00:00+07:00"), ["binh"]);
        assert_eq!(reached("2025-10-28T06:59:59+07:00"), ["binh"], "Monday's night ends on Tuesday");
        assert_eq!(reached("2025-10-28T07:00:00+07:00"), ["an", "binh"], "nobody is on duty");
        assert_eq!(reached("2025-10-27T06:59:59+07:00"), ["an", "binh"], "Sunday has no night shift");
    }

    #[test]
    fn a_route_is_narrowed_by_rule_severity_and_ward() {
        let (roster, _) = roster(TEXT);
        let text = "ward = [{ id = \"kim-long\", name = \"K\", name_en = \"K\" }, { id = \"vy-da\", name = \"V\", name_en = \"V\" }]\n"
            .to_owned()
            + &[("kimlong", "kim-long"), ("vyda", "vy-da")].map(|(id, ward)| {
                format!(
                    "[[station]]\nid = \"{id}\"\nname = \"x\"\nname_en = \"x\"\nkind = \"river\"\nstreams = []\nlat = 16.457\nlon = 107.561\n\
                     period = \"10m\"\nward = \"{ward}\"\n"
                )
            })
            .concat();
        let mut problems = Problems::default();
        let registry = Registry::parse("registry.toml", &text, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let chi = |rule: &str, key: &str, severity| {
            roster.reached(&step(rule, key, severity, "2025-10-27T08:00:00+07:00"), &registry).contains(&Name::new("chi"))
        };
        assert!(chi("river-bd3", "kimlong", Severity::Extreme));
        assert!(!chi("river-bd3", "vyda", Severity::Extreme), "another ward");
        assert!(!chi("rain-1h", "kimlong", Severity::Extreme), "another rule");
        assert!(!chi("river-bd1", "kimlong", Severity::Moderate), "not grave enough");
        assert!(chi("river-bd3", "*", Severity::Extreme), "a group's place is not known");
    }

    #[test]
    fn quiet_hours_end_in_the_morning() {
        let (roster, _) = roster(TEXT);
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a moment");
        let an = roster.person("an").expect("listed");
        for inside in ["2025-10-27T22:00:00+07:00", "2025-10-28T00:00:00+07:00", "2025-10-28T05:59:59+07:00"] {
            assert_eq!(an.quiet_until(at(inside)), Some(at("2025-10-28T06:00:00+07:00")), "{inside}");
        }
        assert_eq!(an.quiet_until(at("2025-10-28T06:00:00+07:00")), None);
    }

    #[test]
    fn mistakes_are_named() {
        let text = TEXT.replace("people = [\"chi\"]", "people = [\"dung\"]").replace("route = \"west\"", "route = \"east\"");
        let lines: Vec<String> = roster(&text).1.list.iter().map(|problem| problem.path.clone()).collect();
        assert_eq!(lines, ["shift[2].route", "shift[2].people", "route `west`"]);
    }
}
