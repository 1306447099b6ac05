//! Points as line protocol (<https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>), times in milliseconds.
//!
//! Invariant: whatever the texts hold, a line stays one line with the tags and fields that were given. What the protocol cannot carry
//! is shown by a character that looks like it: line breaks and other controls by their pictures (U+2400 on), and where a backslash of a
//! name would escape what follows it, the full-width one.

use std::fmt::Write as _;
use std::ops::Range;

use huong_types::Timestamp;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Number(f64),
    Text(&'a str),
    Truth(bool),
}

/// Lines in the order in which they were pushed, apart from each other.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: String,
    ends: Vec<usize>,
}

impl Lines {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Whole lines with their breaks.
    pub(crate) fn text(&self, lines: Range<usize>) -> &str {
        let before = |line: usize| line.checked_sub(1).map_or(0, |line| self.ends[line]);
        &self.text[before(lines.start)..before(lines.end)]
    }

    /// Adds a point; nothing when no field can be sent. Tags are given in the order of their keys, as the server would sort them; empty ones
    /// are left out, as the protocol demands. Returns how many numbers were left out because they are not finite.
    pub(crate) fn push<'a>(
        &mut self,
        measurement: &str,
        tags: &[(&str, &str)],
        fields: impl Iterator<Item = (&'a str, Value<'a>)>,
        at: Timestamp,
    ) -> u64 {
        let start = self.text.len();
        let text = &mut self.text;
        // A line that begins with # is a comment.
        match measurement.strip_prefix('#') {
            Some(rest) => {
                text.push('＃');
                name(text, rest, &[',', ' ']);
            }
            None => name(text, measurement, &[',', ' ']),
        }
        for (key, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
            text.push(',');
            name(text, key, &[',', '=', ' ']);
            text.push('=');
            name(text, value, &[',', '=', ' ']);
        }
        let (mut separator, mut left_out) = (' ', 0);
        for (key, value) in fields.filter(|(key, _)| !key.is_empty()) {
            if matches!(value, Value::Number(number) if !number.is_finite()) {
                left_out += 1;
                continue;
            }
            text.push(separator);
            separator = ',';
            name(text, key, &[',', '=', ' ']);
            text.push('=');
            match value {
                Value::Number(number) => write!(text, "{number}").expect("a String takes all text"),
                Value::Truth(truth) => write!(text, "{truth}").expect("a String takes all text"),
                Value::Text(content) => string(text, content),
            }
        }
        if separator == ' ' {
            text.truncate(start);
        } else {
            writeln!(text, " {}", at.as_millis()).expect("a String takes all text");
            self.ends.push(text.len());
        }
        left_out
    }
}

/// A measurement, key or tag value, in which `special` characters are escaped.
fn name(out: &mut String, text: &str, special: &[char]) {
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek().is_none_or(|next| *next == '\\' || special.contains(next)) => out.push('＼'),
            c if special.contains(&c) => out.extend(['\\', c]),
            c => out.push(picture(c)),
        }
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(picture(c));
    }
    out.push('"');
}

/// Unicode's picture of a control character; others are their own.
fn picture(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(' '),
        '\u{7f}' => '\u{2421}',
        c => c,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line read back.
    #[derive(Debug, PartialEq)]
    pub(crate) struct Parsed {
        pub(crate) measurement: String,
        pub(crate) tags: Vec<(String, String)>,
        pub(crate) fields: Vec<(String, String)>,
        pub(crate) at: i64,
    }

    /// By the syntax alone: scans for what is special and not escaped, and unescapes only what the protocol lists.
    pub(crate) fn parse(line: &str) -> Option<Parsed> {
        let chars: Vec<char> = line.chars().collect();
        let mut at = 0;
        // Up to an unescaped one of `stops`; a backslash is itself unless it escapes one of `special`.
        let take = |stops: &[char], special: &[char], at: &mut usize| {
            let mut text = String::new();
            while let Some(c) = chars.get(*at) {
                if *c == '\\' && chars.get(*at + 1).is_some_and(|next| special.contains(next)) {
                    text.push(chars[*at + 1]);
                    *at += 2;
                } else if stops.contains(c) {
                    break;
                } else {
                    text.push(*c);
                    *at += 1;
                }
            }
            text
        };
        let measurement = take(&[',', ' '], &[',', ' '], &mut at);
        let mut tags = Vec::new();
        while chars.get(at) == Some(&',') {
            at += 1;
            let key = take(&['='], &[',', '=', ' '], &mut at);
            at += 1;
            tags.push((key, take(&[',', ' '], &[',', '=', ' '], &mut at)));
        }
        let mut fields = Vec::new();
        while fields.is_empty() || chars.get(at) == Some(&',') {
            at += 1;
            let key = take(&['='], &[',', '=', ' '], &mut at);
            at += 1;
            let value = if chars.get(at) == Some(&'"') {
                at += 1;
                let text = take(&['"'], &['"', '\\'], &mut at);
                at += 1;
                text
            } else {
                take(&[',', ' '], &[], &mut at)
            };
            fields.push((key, value));
        }
        let rest: String = chars.get(at..)?.iter().collect();
        Some(Parsed { measurement, tags, fields, at: rest.strip_prefix(' ')?.parse().ok()? })
    }

    /// What of a name the protocol can carry.
    fn carried(text: &str, special: &[char]) -> String {
        let next = text.chars().skip(1).map(Some).chain([None]);
        let shown = text.chars().zip(next).map(|(c, next)| match c {
            '\\' if next.is_none_or(|next| next == '\\' || special.contains(&next)) => '＼',
            c => picture(c),
        });
        shown.collect()
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c,= \\\\\"#\n\r\t]{1,12}", any::<String>().prop_filter("a name", |text| !text.is_empty())]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            measurement in texts(),
            tags in prop::collection::vec((texts(), prop_oneof![texts(), Just(String::new())]), 0..4),
            key in texts(), text: String, number in any::<f64>(), other in texts(), truth: bool, at: i64,
        ) {
            let mut lines = Lines::default();
            let given: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let fields = [(&*key, Value::Text(&text)), (&*other, Value::Number(number)), ("t", Value::Truth(truth))];
            let left_out = lines.push(&measurement, &given, fields.into_iter(), Timestamp::from_millis(at));
            prop_assert_eq!(lines.len(), 1);
            let line = lines.text(0..1);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.starts_with('#'));
            let parsed = parse(line.trim_end_matches('\n')).expect("a line of the protocol");
            let named = |text: &str| carried(text, &[',', '=', ' ']);
            let head = if let Some(rest) = measurement.strip_prefix('#') { format!("＃{rest}") } else { measurement.clone() };
            prop_assert_eq!(parsed.measurement, carried(&head, &[',', ' ']));
            let sent: Vec<(String, String)> =
                tags.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (named(key), named(value))).collect();
            prop_assert_eq!(parsed.tags, sent);
            prop_assert_eq!(&parsed.fields[0], &(named(&key), text.chars().map(picture).collect::<String>()));
            prop_assert_eq!(left_out, u64::from(!number.is_finite()));
            if number.is_finite() {
                prop_assert_eq!(&parsed.fields[1].0, &named(&other));
                prop_assert_eq!(parsed.fields[1].1.parse::<f64>().map(f64::to_bits), Ok(number.to_bits()));
            }
            prop_assert_eq!(parsed.fields.last(), Some(&("t".to_owned(), truth.to_string())));
            prop_assert_eq!(parsed.at, at);
        }
    }

    #[test]
    fn the_examples_of_the_reference_hold() {
        let at = Timestamp::from_millis(1_556_813_561_098);
        let mut lines = Lines::default();
        lines.push(
            "my Measurement",
            &[("tag Key1", "tag Value1"), ("tag Key2", "tag=Value2,x")],
            [("f", Value::Number(100.0))].into_iter(),
            at,
        );
        lines.push("m", &[], [("fieldKey", Value::Text("string \"value\" \\ and\nmore"))].into_iter(), at);
        lines.push("m", &[], [("x", Value::Number(f64::NAN))].into_iter(), at);
        let expected = "my\\ Measurement,tag\\ Key1=tag\\ Value1,tag\\ Key2=tag\\=Value2\\,x f=100 1556813561098\n\
                        m fieldKey=\"string \\\"value\\\" \\\\ and␊more\" 1556813561098\n";
        assert_eq!(lines.text(0..2), expected);
        assert_eq!((lines.len(), lines.text(1..2)), (2, &expected[expected.find("m fieldKey").unwrap_or(0)..]));
    }
}
