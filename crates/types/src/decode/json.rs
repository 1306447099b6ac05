//! A JSON value that borrows its texts from the payload, and paths into it.
//!
//! Invariant: parsing any bytes ends without a panic; nesting is limited by serde_json (128 levels).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::{Reject, RejectReason, Timestamp};

/// Objects keep their entries in order; of a repeated name the last counts, as in most parsers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// `values.level_cm`, `data.0.v`: names or array indices joined by dots; a dot within a name is written `\\.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    text: String,
    steps: Vec<String>,
}

/// Parses a payload. Python's and C's bare `NaN` and `Infinity`, which JSON forbids, count as null.
pub(super) fn parse(payload: &[u8]) -> Result<Json<'_>, Reject> {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    serde_json::from_slice(payload).or_else(|error| {
        let mended = std::str::from_utf8(payload).ok().and_then(without_nan);
        let again = mended.and_then(|text| serde_json::from_str::<Json<'_>>(&text).map(Json::into_owned).ok());
        again.ok_or_else(|| Reject::new(RejectReason::Malformed, format!("payload: found {error}, expected JSON")))
    })
}

impl Path {
    /// `None` when empty or with an empty step.
    pub(super) fn parse(text: &str) -> Option<Path> {
        let (mut steps, mut step) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '.' => steps.push(std::mem::take(&mut step)),
                '\\' if rest.peek() == Some(&'.') => step.extend(rest.next()),
                c => step.push(c),
            }
        }
        steps.push(step);
        steps.iter().all(|s| !s.is_empty()).then(|| Path { text: text.to_owned(), steps })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// True for what a format that groups measurements puts under `values`.
    pub(super) fn is_value(&self) -> bool {
        self.steps[0] == "values"
    }

    /// The value there; `None` when absent or null.
    pub(super) fn get<'j, 'a>(&self, json: &'j Json<'a>) -> Option<&'j Json<'a>> {
        let mut at = json;
        for step in &self.steps {
            at = match at {
                Json::Object(entries) => &entries.iter().rev().find(|(name, _)| name == step)?.1,
                Json::List(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        (*at != Json::Null).then_some(at)
    }

    /// Takes the value there out of the document; `None` when absent.
    pub(super) fn take<'a>(&self, json: &mut Json<'a>) -> Option<Json<'a>> {
        let mut at = json;
        for step in &self.steps {
            at = match at {
                Json::Object(entries) => &mut entries.iter_mut().rev().find(|(name, _)| name == step)?.1,
                Json::List(items) => items.get_mut(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(std::mem::replace(at, Json::Null))
    }
}

impl<'a> Json<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Json::Text(text.into())
    }

    /// What is not finite counts as null.
    pub(super) fn number(value: f64) -> Self {
        Number::from_f64(value).map_or(Json::Null, Json::Number)
    }

    /// ISO, which says its zone and its unit, whatever the sender wrote.
    pub(super) fn time(at: Timestamp) -> Self {
        Json::Text(Cow::Owned(at.to_string()))
    }

    pub(super) fn object<const N: usize>(entries: [(&'static str, Json<'a>); N]) -> Self {
        Json::Object(entries.into_iter().map(|(name, json)| (Cow::Borrowed(name), json)).collect())
    }

    /// The value that these names lead to; `None` when absent or null.
    pub(super) fn at(&self, names: &[&str]) -> Option<&Json<'a>> {
        let mut at = self;
        for name in names {
            let Json::Object(entries) = at else { return None };
            at = &entries.iter().rev().find(|(n, _)| n == name)?.1;
        }
        (*at != Json::Null).then_some(at)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    /// The text, or what it is instead.
    pub(super) fn into_text(self) -> Result<Cow<'a, str>, Self> {
        if let Json::Text(text) = self { Ok(text) } else { Err(self) }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        if let Json::Number(number) = self { number.as_f64() } else { None }
    }

    /// Shortened, for error messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Json::Null => "null".to_owned(),
            Json::Bool(value) => value.to_string(),
            Json::Number(number) => number.to_string(),
            Json::Text(text) if text.chars().count() > 40 => format!("\"{}…\"", text.chars().take(40).collect::<String>().escape_debug()),
            Json::Text(text) => format!("\"{}\"", text.escape_debug()),
            Json::List(items) => format!("a list of {}", items.len()),
            Json::Object(entries) => format!("an object of {}", entries.len()),
        }
    }

    fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Number(number) => Json::Number(number),
            Json::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Json::List(items) => Json::List(items.into_iter().map(Json::into_owned).collect()),
            Json::Object(entries) => {
                Json::Object(entries.into_iter().map(|(name, json)| (Cow::Owned(name.into_owned()), json.into_owned())).collect())
            }
        }
    }
}

/// The text with bare `NaN`, `Infinity` and `-Infinity` outside of strings replaced by `null`; `None` when there are none.
fn without_nan(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut in_text, mut found) = (text, false, false);
    while let Some(c) = rest.chars().next() {
        let bare = if in_text { None } else { ["NaN", "nan", "-Infinity", "Infinity"].iter().find(|word| rest.starts_with(**word)) };
        let taken = match (c, bare) {
            (_, Some(word)) => {
                found = true;
                mended.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            ('\\', _) if in_text => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            ('"', _) => {
                in_text = !in_text;
                1
            }
            _ => c.len_utf8(),
        };
        mended.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    found.then_some(mended)
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Json<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Json<'de>, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
                Ok(Json::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
                Ok(Json::Number(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
                Ok(Json::Number(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
                Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
                // As many as most messages have: it does not grow on the way.
                let mut entries = Vec::with_capacity(8);
                while let Some((Json::Text(name), value)) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Json::Object(entries))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_reach_into_objects_and_lists() {
        let json = parse(br#"{"values":{"level_cm":23,"list":[1,{"v":"x"}]},"none":null,"a":1,"a":2,"PM2.5":{"v":7}}"#).expect("valid");
        let at = |text: &str| Path::parse(text).expect("a path").get(&json).map(Json::shown);
        assert_eq!(at("values.level_cm").as_deref(), Some("23"));
        assert_eq!(at("values.list.1.v").as_deref(), Some("\"x\""));
        assert_eq!(at("a").as_deref(), Some("2"));
        assert_eq!(at(r"PM2\.5.v").as_deref(), Some("7"));
        for absent in ["none", "values.nothing", "values.list.9", "values.list.x", "a.b"] {
            assert_eq!(at(absent), None, "{absent}");
        }
        assert_eq!(Path::parse("a..b"), None);
    }

    #[test]
    fn bare_nan_counts_as_null_outside_of_texts() {
        let json = parse(br#"{"a": NaN, "b": "NaN \" NaN", "c": -Infinity, "d": 1}"#).expect("mended");
        let Json::Object(entries) = &json else { panic!("an object") };
        let shown: Vec<String> = entries.iter().map(|(_, json)| json.shown()).collect();
        assert_eq!(shown, ["null", r#""NaN \" NaN""#, "null", "1"]);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse(format!("{}{}", "[".repeat(1000), "]".repeat(1000)).as_bytes()).is_err());
    }
}
