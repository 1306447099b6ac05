//! Where in a TOML file a path such as ``rule `river-bd3`.when`` stands, by line and column.
//!
//! Invariant: a path is never needed to be exact. What the file does not hold (a field that is missing, say) is shown at the innermost
//! table or value around it that the file does hold.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// One place in a text, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A file, read once to find many places in it.
pub(crate) struct Places<'a> {
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Places<'a> {
    /// Of a broken file as much as can be read.
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, root: DeTable::parse_recoverable(text).0.into_inner() }
    }

    /// Where `path` stands, or the innermost thing around it; of what only the file itself is around there is no place.
    /// `found` is what the problem found there: it tells a key from its value and may hold a place of its own within the value.
    pub(crate) fn find(&self, path: &str, found: &str) -> Option<Place> {
        let (key, value) = self.walk(path)?;
        if found.starts_with("unknown field") {
            return Some(place_at(self.text, key.start));
        }
        let inner = inside(&self.text[value.clone()], found).unwrap_or(0);
        Some(place_at(self.text, value.start + inner))
    }

    /// The spans of the key and the value.
    fn walk(&self, path: &str) -> Option<(Range<usize>, Range<usize>)> {
        let mut found: Option<(Range<usize>, Range<usize>)> = None;
        let mut table = Some(&self.root);
        let mut rest = path;
        while let Some((key, value, tail)) = table.and_then(|table| step(table, rest)) {
            found = Some((key.span(), value.span()));
            (table, rest) = (value.get_ref().as_table(), tail);
            let mut value = value;
            while let Some((element, tail)) = value.get_ref().as_array().and_then(|array| element(array, rest)) {
                found = Some((element.span(), element.span()));
                (value, table, rest) = (element, element.get_ref().as_table(), tail);
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        found
    }
}

/// A key, its value and the rest of the path behind them.
type Step<'t, 'a, 'p> = (&'t Spanned<DeString<'a>>, &'t Spanned<DeValue<'a>>, &'p str);

/// The entry of `table` that `path` begins with, and the rest of the path. Names may hold dots: the longest one that fits is meant.
fn step<'t, 'a, 'p>(table: &'t DeTable<'a>, path: &'p str) -> Option<Step<'t, 'a, 'p>> {
    let fitting = table.iter().filter_map(|(key, value)| {
        let rest = path.strip_prefix(key.get_ref().as_ref())?;
        (rest.is_empty() || rest.starts_with(['.', '[', ' '])).then_some((key, value, rest))
    });
    fitting.min_by_key(|(_, _, rest)| rest.len())
}

/// The element of `array` that `path` begins with, as `[3]` or `` `id` ``, and the rest of the path. Of several with one id the last is
/// meant: it is the one that repeats.
fn element<'t, 'a, 'p>(array: &'t [Spanned<DeValue<'a>>], path: &'p str) -> Option<(&'t Spanned<DeValue<'a>>, &'p str)> {
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        return Some((array.get(index.parse::<usize>().ok()?)?, rest));
    }
    let (id, rest) = path.strip_prefix(" `")?.split_once('`')?;
    let named = |element: &&Spanned<DeValue<'_>>| {
        let of = |field: &str| element.get_ref().as_table().and_then(|table| table.get(field)).and_then(|value| value.get_ref().as_str());
        of("id").or_else(|| of("name")) == Some(id)
    };
    Some((array.iter().rfind(named)?, rest))
}

/// How many bytes behind the start of `written`, a string as the file has it, a problem stands that was found in an expression there:
/// `` `level >=`: ... at Line: 1, Column: 9 ``, as the SQL parser says it, or `` `levl > 1`: no column `levl` ``.
fn inside(written: &str, found: &str) -> Option<usize> {
    let (quoted, message) = found.strip_prefix('`')?.split_once("`: ")?;
    let start = written.find(quoted)?;
    // A figure in a text stands in braces; the parser was given what is between them.
    let brace = usize::from(quoted.starts_with('{'));
    let sql = &quoted[brace..];
    let offset = match (parsers_place(message), message.split('`').nth(1)) {
        (Some(place), _) => offset_of(sql, place),
        (None, Some(name)) => sql.find(name),
        (None, None) if message.ends_with("found: the end") => Some(sql.len()),
        (None, None) => None,
    };
    // The opening quote stands for the expression as a whole.
    offset.map(|offset| start + brace + offset).or((start > 1).then_some(start))
}

fn parsers_place(message: &str) -> Option<Place> {
    let (line, rest) = message.rsplit_once("Line: ")?.1.split_once(", Column: ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(Place { line: line.parse().ok()?, column: rest[..digits].parse().ok()? })
}

fn offset_of(text: &str, place: Place) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(place.line.checked_sub(1)?).map(str::len).sum();
    Some(before + text[before..].char_indices().nth(place.column.checked_sub(1)?)?.0)
}

pub(crate) fn place_at(text: &str, offset: usize) -> Place {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"prefix = "x"
[a.b]
"c.d" = 1

[[rule]]
id = "one"
text.vi = "Mực nước {levl:.2} m"
select = { level = "max(value)", rise = "rate(value)" }
when = """
level >= 1
  AND levl < 2"""
[rule.join.up]
from = 3
[[rule]]
id = "two"
[[rule.test]]
given = [[1,
 2]]
[[rule]]
id = "one"
when = 'level >=  > 2'
[[source]]
name = "kttv"
[source.fields]
bold = ["x"]
"#;

    #[test]
    fn paths_are_found_by_line_and_column() {
        let places = Places::of(TEXT);
        let line = |part: &str| TEXT.lines().position(|line| line.contains(part)).expect(part) + 1;
        let two = line("\"two\"") - 1;
        for (path, place) in [
            ("prefix", Some((1, 10))),
            ("a.b", Some((2, 1))),
            ("a.b.c.d", Some((3, 9))),
            // What is missing: the header of the table that lacks it.
            ("a.b.e", Some((2, 1))),
            ("rule[0].severity", Some((5, 1))),
            ("rule[0].text.vi", Some((7, 11))),
            ("rule[0].text.en", Some((7, 1))),
            ("rule[0].select.rise", Some((8, 41))),
            ("rule[0].join.up.from", Some((13, 8))),
            ("rule[0].join.up.max_age", Some((12, 1))),
            ("rule `two`", Some((two, 1))),
            ("rule `two`.when", Some((two, 1))),
            ("rule `two`.test[0].given[0][1]", Some((two + 4, 2))),
            ("rule[9].when", Some((5, 1))),
            // Of two with one id the second.
            ("rule `one`.id", Some((line("AND") + 9, 6))),
            ("source `kttv`.fields.bold", Some((line("bold"), 8))),
            ("nothing", None),
            ("(file)", None),
            ("", None),
        ] {
            let found = places.find(path, "`x`");
            assert_eq!(found, place.map(|(line, column)| Place { line, column }), "{path}");
        }
        let key = places.find("source `kttv`.fields.bold", "unknown field `bold`");
        assert_eq!(key, Some(Place { line: line("bold"), column: 1 }));
    }

    #[test]
    fn a_mistake_in_an_expression_is_shown_inside_of_it() {
        let places = Places::of(TEXT);
        for (path, found, line, column) in [
            ("rule[2].when", "`level >=  > 2`: Expected: an expression, found: > at Line: 1, Column: 11", 21, 19),
            ("rule[0].when", "`level >= 1\n  AND levl < 2`: no column `levl`. Did you mean `level`?", 11, 7),
            ("rule[0].when", "`level >= 1\n  AND levl < 2`: something at Line: 2, Column: 3", 11, 3),
            ("rule[2].when", "`level >=  > 2`: Expected: an expression, found: the end", 21, 22),
            ("rule[0].text.vi", "`{levl:.2}`: no column `levl`. Did you mean `level`?", 7, 22),
            ("rule[0].text.vi", "`{levl:.2}`: a Utf8, not a number", 7, 21),
            ("rule[0].select.rise", "`rate(value)`: no function `rat`", 8, 42),
            // What cannot be found inside is shown at the value.
            ("rule[0].select.rise", "`rate(value)`: at Line: 7, Column: 900", 8, 41),
            ("rule[0].select.rise", "`rate(deep)`: no column `deep`", 8, 41),
        ] {
            assert_eq!(places.find(path, found), Some(Place { line, column }), "{path}: {found}");
        }
    }

    #[test]
    fn a_broken_file_still_shows_what_can_be_read() {
        let places = Places::of("[a]\nb = 1\nc = \n[d]\ne = 2\n");
        assert_eq!(places.find("a.b", "`1`"), Some(Place { line: 2, column: 5 }));
    }
}
