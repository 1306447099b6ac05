//! Configuration with *all* its mistakes at once: each with file, path, what was found and what was expected.
//!
//! serde stops at the first mistake. [`load_toml`] notes it, takes the offending entry out and tries again until the rest
//! is valid, so one run of `huong check` lists everything that must be mended.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::de::DeTable;

use crate::place::{Place, Places, place_at};

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// E.g. `ingest.port`, `station[3].lat` or ``rule `river-bd3`.when``.
    pub path: String,
    pub found: String,
    pub expected: String,
    /// Known where the file cannot be parsed; otherwise the path tells it.
    place: Option<Place>,
}

/// Mistakes gathered over a whole configuration. Empty means valid.
///
/// Who finds a mistake names its path; the line and column are looked up when the list is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    pub list: Vec<Problem>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
    /// The files read so far, by name.
    texts: BTreeMap<String, String>,
}

impl Problems {
    pub fn add(&mut self, file: &str, path: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) {
        self.list.push(Problem::new(file, path.into(), found.into(), expected.into()));
    }

    /// Notes what is allowed and probably not meant.
    pub fn warn(&mut self, file: &str, path: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) {
        self.warnings.push(Problem::new(file, path.into(), found.into(), expected.into()));
    }

    /// Whether there are no mistakes, warnings aside.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The warnings as [`fmt::Display`] gives the mistakes.
    pub fn warnings_text(&self) -> String {
        self.lines(&self.warnings).join("\n")
    }

    /// Each with its place, by file and place.
    fn lines(&self, problems: &[Problem]) -> Vec<String> {
        let mut files: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
        for problem in problems {
            files.entry(&problem.file).or_default().push(problem);
        }
        let mut lines = Vec::with_capacity(problems.len());
        for (file, problems) in files {
            let places = self.texts.get(file).map(|text| Places::of(text));
            let find = |problem: &Problem| places.as_ref()?.find(&problem.path, &problem.found);
            let mut placed: Vec<(Option<Place>, &Problem)> = problems.into_iter().map(|p| (p.place.or_else(|| find(p)), p)).collect();
            placed.sort_by_key(|(place, _)| *place);
            lines.extend(placed.into_iter().map(|(place, problem)| problem.line(place)));
        }
        lines
    }
}

impl Problem {
    fn new(file: &str, path: String, found: String, expected: String) -> Self {
        Self { file: file.to_owned(), path, found, expected, place: None }
    }

    fn line(&self, place: Option<Place>) -> String {
        let Problem { file, path, found, expected, .. } = self;
        match place {
            Some(place) => format!("{file}:{place}: {path}: found {found}, expected {expected}"),
            None => format!("{file}: {path}: found {found}, expected {expected}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(self.place))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(&self.list).join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Reads `text` as `T`; every mistake goes to `problems`.
///
/// Returns what is left without the offending entries, so that later checks can still look at the rest, or `None` when
/// nothing usable remains. The caller must not run on a result when `problems` is not empty.
pub fn load_toml<T: DeserializeOwned>(file: &str, text: &str, problems: &mut Problems) -> Option<T> {
    problems.texts.insert(file.to_owned(), text.to_owned());
    let mut table = match text.parse::<toml::Table>() {
        Ok(table) => toml::Value::Table(table),
        Err(_) => {
            let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
            let mut errors = DeTable::parse_recoverable(text).1;
            errors.sort_by_key(start);
            problems.list.extend(errors.iter().map(|error| Problem {
                place: Some(place_at(text, start(error))),
                ..Problem::new(file, "(syntax)".to_owned(), error.message().to_owned(), "valid TOML".to_owned())
            }));
            return None;
        }
    };
    let mut removed: Vec<(String, usize)> = Vec::new();
    // Each turn removes one entry, so the number of entries bounds the turns; the limit keeps a hopeless file readable.
    for _ in 0..100 {
        let error = match serde_path_to_error::deserialize::<_, T>(table.clone()) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let segments: Vec<Segment> = error.path().iter().cloned().collect();
        let message = error.inner().message().to_owned();
        let as_in_file = undo_shifts(&segments, &removed);
        let (path, found, expected) = explain(&segments, &as_in_file, &message, &table);
        // A value taken out as ill-typed is not missing.
        let told = problems.list.iter().any(|problem| problem.file == file && problem.path == path);
        if !(told && message.starts_with("missing field")) {
            problems.add(file, path, found, expected);
        }
        if !remove(&mut table, &segments, &message) {
            return None;
        }
        if let (Some(Segment::Seq { index }), true) = (as_in_file.last(), !message.starts_with("unknown field")) {
            removed.push((path_text(&as_in_file[..as_in_file.len() - 1]), *index));
        }
    }
    None
}

/// `unknown field `prot`, expected one of ..` → the entry `prot` under the path; `missing field` → the table itself.
fn quoted(message: &str) -> Option<&str> {
    message.split('`').nth(1)
}

/// Removing an element shifts those behind it; what we print must be the index in the file.
fn undo_shifts(segments: &[Segment], removed: &[(String, usize)]) -> Vec<Segment> {
    let mut whole: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        let Segment::Seq { index } = segment else {
            whole.push(segment.clone());
            continue;
        };
        let base = path_text(&whole);
        let mut before: Vec<usize> = removed.iter().filter(|(path, _)| *path == base).map(|(_, i)| *i).collect();
        before.sort_unstable();
        let index = before.iter().fold(*index, |index, &gone| if gone <= index { index + 1 } else { index });
        whole.push(Segment::Seq { index });
    }
    whole
}

fn explain(segments: &[Segment], as_in_file: &[Segment], message: &str, table: &toml::Value) -> (String, String, String) {
    let base = path_text(as_in_file);
    let join = |name: &str| if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
    if message.starts_with("unknown field") {
        let name = quoted(message).unwrap_or("?");
        let expected = message.split_once("expected ").map_or("no such field", |(_, rest)| rest);
        let path = if as_in_file.last().is_some_and(|s| s.to_string() == name) { base } else { join(name) };
        return (path, format!("unknown field `{name}`"), expected.to_owned());
    }
    if message.starts_with("missing field") {
        let name = quoted(message).unwrap_or("?");
        return (join(name), "nothing".to_owned(), "a value: this field is required".to_owned());
    }
    let expected = message.split_once("expected ").map_or(message, |(_, rest)| rest).trim_end().to_owned();
    let found = get(table, segments).map_or_else(|| message.to_owned(), |value| format!("`{}`", value.to_string().trim()));
    let path = if base.is_empty() { "(file)".to_owned() } else { base };
    (path, found, expected)
}

fn path_text(segments: &[Segment]) -> String {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            other => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&other.to_string());
            }
        }
    }
    text
}

fn get<'a>(mut value: &'a toml::Value, segments: &[Segment]) -> Option<&'a toml::Value> {
    for segment in segments {
        value = match segment {
            Segment::Map { key } => value.get(key.as_str())?,
            Segment::Seq { index } => value.get(*index)?,
            Segment::Enum { .. } | Segment::Unknown => return Some(value),
        };
    }
    Some(value)
}

fn get_mut<'a>(mut value: &'a mut toml::Value, segments: &[Segment]) -> Option<&'a mut toml::Value> {
    for segment in segments {
        value = match segment {
            Segment::Map { key } => value.get_mut(key.as_str())?,
            Segment::Seq { index } => value.get_mut(*index)?,
            Segment::Enum { .. } | Segment::Unknown => return Some(value),
        };
    }
    Some(value)
}

/// Takes the offending entry out: the unknown or ill-typed one, or, when a required field is missing, the table that lacks it.
fn remove(table: &mut toml::Value, segments: &[Segment], message: &str) -> bool {
    let mut segments: Vec<Segment> =
        segments.iter().take_while(|s| !matches!(s, Segment::Enum { .. } | Segment::Unknown)).cloned().collect();
    if message.starts_with("unknown field") {
        let name = quoted(message).unwrap_or_default().to_owned();
        if segments.last().is_none_or(|s| s.to_string() != name) {
            segments.push(Segment::Map { key: name });
        }
    }
    let Some(last) = segments.pop() else { return false };
    match (get_mut(table, &segments), last) {
        (Some(toml::Value::Table(parent)), Segment::Map { key }) => parent.remove(&key).is_some(),
        (Some(toml::Value::Array(parent)), Segment::Seq { index }) if index < parent.len() => {
            parent.remove(index);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(default)]
        port: u16,
        #[serde(default)]
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        broker: Option<Inner>,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        wait: crate::Span,
    }

    #[test]
    fn every_mistake_is_listed_with_path_found_and_expected() {
        let text = "wait = \"soon\"\nspeed = 3\n[broker]\nport = 99999\nname = 7\n[[list]]\nport = 1\n[[list]]\nprot = 2\n";
        let mut problems = Problems::default();
        let value: Option<Outer> = load_toml("a.toml", text, &mut problems);
        let mut lines: Vec<String> = problems.list.iter().map(ToString::to_string).collect();
        lines.sort();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines[0].starts_with("a.toml: broker.name: found `7`, expected a string"), "{}", lines[0]);
        assert!(lines[1].starts_with("a.toml: broker.port: found `99999`, expected u16"), "{}", lines[1]);
        assert!(lines[2].starts_with("a.toml: list[1].prot: found unknown field `prot`, expected `port` or `name`"), "{}", lines[2]);
        assert!(lines[3].starts_with("a.toml: speed: found unknown field `speed`"), "{}", lines[3]);
        assert!(lines[4].starts_with("a.toml: wait: found `\"soon\"`, expected a duration"), "{}", lines[4]);
        let value = value.expect("the rest is usable");
        assert_eq!(value.list.len(), 2);
        assert_eq!(value.broker.map(|b| b.port), Some(0));
        assert_eq!(value.wait, crate::Span::ZERO);
        assert_eq!(value.list[0].name, "");
    }

    #[test]
    fn a_required_value_of_the_wrong_type_is_one_mistake() {
        #[derive(Debug, Deserialize)]
        struct Strict {
            #[expect(dead_code, reason = "only read")]
            port: u16,
        }
        let mut problems = Problems::default();
        assert!(load_toml::<Strict>("a.toml", "port = \"x\"\n", &mut problems).is_none());
        assert_eq!(problems.to_string(), "a.toml:1:8: port: found `\"x\"`, expected u16");
    }

    #[test]
    fn broken_toml_is_shown_where_it_breaks() {
        let mut problems = Problems::default();
        assert!(load_toml::<Outer>("a.toml", "wait = \n[broker]\nport = 1 2\n[list\n", &mut problems).is_none());
        let places: Vec<String> = problems.list.iter().map(|p| p.to_string().split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
        assert_eq!(places, ["a.toml:1:8: (syntax)", "a.toml:3:8: (syntax)", "a.toml:4:6: (syntax)"], "{problems}");
    }

    #[test]
    fn the_list_is_printed_with_places_and_warnings_apart() {
        let text = "wait = \"soon\"\n[broker]\nport = 99999\n[[list]]\nname = \"a\"\n[[list]]\nprot = 2\nname = \"b\"\n";
        let mut problems = Problems::default();
        load_toml::<Outer>("a.toml", text, &mut problems);
        problems.add("a.toml", "list `b`.port", "nothing", "a port");
        problems.add("b.toml", "wait", "nothing", "a file that was read");
        problems.warn("a.toml", "list `a`", "no port", "one");
        let printed = problems.to_string();
        let starts: Vec<&str> = printed.lines().map(|line| line.split(" found").next().unwrap_or_default()).collect();
        assert_eq!(
            starts,
            ["a.toml:1:8: wait:", "a.toml:3:8: broker.port:", "a.toml:6:1: list `b`.port:", "a.toml:7:1: list[1].prot:", "b.toml: wait:"],
            "{printed}"
        );
        assert_eq!(problems.warnings_text(), "a.toml:4:1: list `a`: found no port, expected one");
        problems.list.clear();
        assert!(problems.is_empty(), "warnings are no mistakes");
    }
}
