//! Texts for people: `"{station.name} {level:.2} m"`, where braces hold an SQL expression over the rule's columns, number or text.
//!
//! `{station.name}`, `{key}`, `{at}` (local time) and `{flags}` (which checks failed) are text. A NULL figure reads "–".
//! `{{` and `}}` are braces.

use huong_types::{Check, Timestamp, format_number, local_date_time};

use crate::expr::{Cell, Compiler, Output, Place, Row, Schema};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Vietnamese,
    English,
}

#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    language: Language,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Name,
    Key,
    At,
    Flags,
    Figure { figure: Output, decimals: Option<usize> },
}

/// What a text may speak of beside its columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// The registry's names, Vietnamese and English; the key itself for one it does not know.
    pub(crate) name: (&'a str, &'a str),
    pub(crate) key: &'a str,
    pub(crate) at: Timestamp,
    /// Field, value and failed check.
    pub(crate) flags: &'a [(&'a str, f64, Check)],
}

impl Template {
    /// Parses and compiles; the message says what is wrong with which placeholder.
    pub(crate) fn compile(text: &str, language: Language, schema: &Schema, compiler: &Compiler) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((start, c)) = chars.next() {
            match c {
                '{' | '}' if chars.peek().is_some_and(|(_, next)| *next == c) => {
                    chars.next();
                    literal.push(c);
                }
                '{' => {
                    let inside = &text[start + 1..];
                    let length = inside.find('}').ok_or_else(|| format!("`{{{inside}` without `}}`"))?;
                    while chars.next_if(|(i, _)| *i <= start + 1 + length).is_some() {}
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::compile(inside[..length].trim(), schema, compiler)?);
                }
                '}' => return Err("`}` without `{`".to_owned()),
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts, language })
    }

    /// What its figures read.
    pub(crate) fn columns(&self) -> Vec<Place> {
        let figures = self.parts.iter().filter_map(|part| if let Part::Figure { figure, .. } = part { Some(figure) } else { None });
        figures.flat_map(Output::columns).collect()
    }

    /// `row` is one row of the rule's columns.
    pub(crate) fn render(&self, row: Row<'_>, shown: &Shown<'_>) -> String {
        let vietnamese = self.language == Language::Vietnamese;
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Name => text.push_str(if vietnamese { shown.name.0 } else { shown.name.1 }),
                Part::Key => text.push_str(shown.key),
                Part::At => text.push_str(&local_date_time(shown.at)),
                Part::Flags => text.push_str(&flags(shown.flags, vietnamese)),
                Part::Figure { figure, decimals } => match figure.eval(row) {
                    Cell::Null => text.push('–'),
                    Cell::Text(words) => text.push_str(&words),
                    Cell::Number(value) => {
                        let decimals = decimals.unwrap_or(if value.fract() == 0.0 { 0 } else { 2 });
                        text.push_str(&format_number(value, decimals, vietnamese));
                    }
                },
            }
        }
        text
    }
}

impl Part {
    fn compile(inside: &str, schema: &Schema, compiler: &Compiler) -> Result<Self, String> {
        let (expression, decimals) = match inside.rsplit_once(":.") {
            Some((expression, digits)) => {
                let decimals = digits.parse().ok().filter(|d| *d <= 9);
                (
                    expression.trim(),
                    Some(decimals.ok_or_else(|| format!("`{{{inside}}}`: `.{digits}` is not a number of decimals, 0 to 9"))?),
                )
            }
            None => (inside, None),
        };
        Ok(match expression {
            "station.name" => Part::Name,
            "key" => Part::Key,
            "at" => Part::At,
            "flags" => Part::Flags,
            sql => Part::Figure { figure: compiler.value(sql, schema).map_err(|e| format!("`{{{inside}}}`: {e}"))?, decimals },
        })
    }
}

fn flags(flags: &[(&str, f64, Check)], vietnamese: bool) -> String {
    let each = flags.iter().map(|(field, value, check)| {
        let reason = match (check, vietnamese) {
            (Check::Range, true) => "ngoài khoảng hợp lý",
            (Check::Range, false) => "out of range",
            (Check::Step, true) => "thay đổi quá nhanh",
            (Check::Step, false) => "changed too fast",
            (Check::Conflict, true) => "hai giá trị khác nhau cùng lúc",
            (Check::Conflict, false) => "two values for one moment",
            (Check::Gap, true) => "sau khoảng trống",
            (Check::Gap, false) => "after a gap",
            (Check::Late, true) => "đến muộn",
            (Check::Late, false) => "late",
            (Check::UnitSlip, true) => "nhầm đơn vị đo",
            (Check::UnitSlip, false) => "in another unit",
            (Check::Flat, true) => "đứng yên quá lâu",
            (Check::Flat, false) => "unchanged for too long",
            (Check::Status, true) => "thiết bị báo không đo bình thường",
            (Check::Status, false) => "the source says it is not measuring",
        };
        format!("{field} = {} ({reason})", format_number(*value, 2, vietnamese))
    });
    each.collect::<Vec<_>>().join("; ")
}
