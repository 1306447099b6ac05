//! CAP 1.2 messages (OASIS, 1 July 2010) and the Atom feed that lists them, as XML.
//!
//! Invariant: the order of elements is the schema's, texts are escaped, times are local with their offset and without fractions.

use std::io;

use huong_types::{Severity, Span, Text, Timestamp};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde::{Deserialize, Serialize};

use crate::cap::{CapSettings, Released};

/// Some readers cut headlines there (CAP 1.2, 3.2.2).
const HEADLINE: usize = 160;

/// CAP's `msgType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageType {
    Alert,
    Update,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    Restricted,
}

/// What a message says, beside who sends it when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    pub category: String,
    pub event: Text,
    pub severity: Severity,
    /// It is to come: `Expected` and `Likely`, not `Immediate` and `Observed`.
    pub ahead: bool,
    pub exercise: bool,
    pub onset: Timestamp,
    pub headline: Text,
    pub text: Text,
    pub instruction: Text,
    /// Where it is shown; empty for none.
    pub web: String,
    /// The alert's figures by name.
    pub figures: Vec<(String, f64)>,
    pub area: Text,
    /// Latitude and longitude, WGS84 degrees.
    pub place: Option<(f64, f64)>,
}

/// `2026-11-22T08:30:05+07:00`.
fn local(at: Timestamp) -> String {
    // The calendar of a moment seven hours later in UTC is the local one: no daylight saving time since 1975.
    let shifted = (at + Span::from_mins(7 * 60)).floor(Span::from_secs(1)).to_string();
    format!("{}+07:00", shifted.trim_end_matches('Z'))
}

type Xml = Writer<Vec<u8>>;

fn leaf(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    // XML 1.0 has no other control characters.
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    xml.create_element(name).write_text_content(BytesText::new(&text)).map(|_| ())
}

fn document() -> io::Result<Xml> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    Ok(xml)
}

/// `before` are the messages that it follows: id and time.
pub(crate) fn message(
    id: &str,
    sent: Timestamp,
    kind: MessageType,
    scope: Scope,
    before: &[(String, Timestamp)],
    info: &Info,
    settings: &CapSettings,
) -> io::Result<Vec<u8>> {
    let mut xml = document()?;
    xml.create_element("alert").with_attribute(("xmlns", "urn:oasis:names:tc:emergency:cap:1.2")).write_inner_content(|xml| {
        leaf(xml, "identifier", id)?;
        leaf(xml, "sender", &settings.sender)?;
        leaf(xml, "sent", &local(sent))?;
        leaf(xml, "status", if info.exercise { "Exercise" } else { "Actual" })?;
        leaf(xml, "msgType", &format!("{kind:?}"))?;
        leaf(xml, "scope", &format!("{scope:?}"))?;
        if scope == Scope::Restricted {
            leaf(xml, "restriction", &settings.restriction)?;
        }
        if info.exercise {
            leaf(xml, "note", "Diễn tập / Exercise")?;
        }
        let references: Vec<String> = before.iter().map(|(id, sent)| format!("{},{id},{}", settings.sender, local(*sent))).collect();
        if !references.is_empty() {
            leaf(xml, "references", &references.join(" "))?;
        }
        of_language(xml, "vi-VN", |text| &text.vi, sent, kind, info, settings)?;
        of_language(xml, "en", |text| &text.en, sent, kind, info, settings)
    })?;
    Ok(xml.into_inner())
}

fn of_language(
    xml: &mut Xml,
    language: &str,
    say: impl Fn(&Text) -> &str,
    sent: Timestamp,
    kind: MessageType,
    info: &Info,
    settings: &CapSettings,
) -> io::Result<()> {
    let over = kind == MessageType::Cancel;
    xml.create_element("info").write_inner_content(|xml| {
        leaf(xml, "language", language)?;
        leaf(xml, "category", &info.category)?;
        leaf(xml, "event", say(&info.event))?;
        leaf(xml, "responseType", if over { "AllClear" } else { "Monitor" })?;
        let (urgency, certainty) = match (over, info.ahead) {
            (true, _) => ("Past", "Observed"),
            (false, true) => ("Expected", "Likely"),
            (false, false) => ("Immediate", "Observed"),
        };
        leaf(xml, "urgency", urgency)?;
        let mut severity = info.severity.to_string();
        severity[..1].make_ascii_uppercase();
        leaf(xml, "severity", &severity)?;
        leaf(xml, "certainty", certainty)?;
        leaf(xml, "effective", &local(sent))?;
        leaf(xml, "onset", &local(info.onset))?;
        leaf(xml, "expires", &local(sent + settings.valid))?;
        leaf(xml, "senderName", say(&settings.sender_name))?;
        leaf(xml, "headline", &say(&info.headline).chars().take(HEADLINE).collect::<String>())?;
        leaf(xml, "description", say(&info.text))?;
        if !over && !say(&info.instruction).is_empty() {
            leaf(xml, "instruction", say(&info.instruction))?;
        }
        if !info.web.is_empty() {
            leaf(xml, "web", &info.web)?;
        }
        if let Some(contact) = &settings.contact {
            leaf(xml, "contact", contact)?;
        }
        for (name, value) in &info.figures {
            xml.create_element("parameter").write_inner_content(|xml| {
                leaf(xml, "valueName", name)?;
                leaf(xml, "value", &value.to_string())
            })?;
        }
        xml.create_element("area").write_inner_content(|xml| {
            leaf(xml, "areaDesc", say(&info.area))?;
            match info.place {
                Some((lat, lon)) => leaf(xml, "circle", &format!("{lat},{lon} {}", settings.radius_km)),
                None => Ok(()),
            }
        })?;
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn feed(released: &[Released], base: &str, settings: &CapSettings) -> io::Result<Vec<u8>> {
    let mut xml = document()?;
    let link = |xml: &mut Xml, rel: &str, kind: &str, href: &str| {
        xml.create_element("link").with_attributes([("rel", rel), ("type", kind), ("href", href)]).write_empty().map(|_| ())
    };
    let address = format!("{base}/feed.atom");
    let newest = released.last().map_or(Timestamp::from_millis(0), |last| last.sent);
    xml.create_element("feed").with_attribute(("xmlns", "http://www.w3.org/2005/Atom")).write_inner_content(|xml| {
        leaf(xml, "id", &address)?;
        leaf(xml, "title", &settings.sender_name.vi)?;
        leaf(xml, "subtitle", &settings.sender_name.en)?;
        leaf(xml, "updated", &local(newest))?;
        xml.create_element("author").write_inner_content(|xml| leaf(xml, "name", &settings.sender_name.vi))?;
        link(xml, "self", "application/atom+xml", &address)?;
        for message in released.iter().rev() {
            let href = format!("{base}/cap/{}.xml", message.id);
            xml.create_element("entry").write_inner_content(|xml| {
                leaf(xml, "id", &href)?;
                leaf(xml, "title", &message.headline.vi)?;
                leaf(xml, "updated", &local(message.sent))?;
                leaf(xml, "summary", &format!("{} / {}", message.headline.en, message.area.en))?;
                link(xml, "alternate", "application/cap+xml", &href)
            })?;
        }
        Ok(())
    })?;
    Ok(xml.into_inner())
}
