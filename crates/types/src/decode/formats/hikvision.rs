//! Hikvision's number plate events in XML (ISAPI `EventNotificationAlert`): one item, the children of the root by their names without a
//! namespace, since both `www.isapi.org` and `www.hikvision.com` occur. `unknown` and empty elements count as absent; of elements
//! repeated within one the last counts; attributes say nothing that is used.

use std::borrow::Cow;

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::{Document, Format, MOST_PARTS};
use crate::decode::json::Json;
use crate::{Reject, RejectReason, Timestamp};

pub(super) struct Hikvision;

/// Elements within elements; an event has five.
const DEEPEST: usize = 32;
const ROOT: &str = "EventNotificationAlert";

impl Format for Hikvision {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], _now: Timestamp) -> Result<Document<'p>, Reject> {
        let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
        let text = std::str::from_utf8(payload).map_err(|error| malformed(format!("payload: found {error}, expected XML in UTF-8")))?;
        let (root, event) = tree(text)?;
        if root != ROOT {
            return Err(malformed(format!("payload: found the element {}, expected {ROOT}", Json::text(root).shown())));
        }
        match event.at(&["eventType"]) {
            Some(Json::Text(kind)) if kind == "ANPR" => Ok(Document::of(event)),
            other => {
                let found = other.map_or_else(|| "none".to_owned(), Json::shown);
                Err(Reject::new(RejectReason::Unused, format!("`eventType`: found {found}, expected \"ANPR\"")))
            }
        }
    }
}

/// An element that has begun: its name, its children so far, its text so far.
#[derive(Default)]
struct Open<'p> {
    name: String,
    children: Vec<(Cow<'p, str>, Json<'p>)>,
    text: Cow<'p, str>,
}

impl<'p> Open<'p> {
    fn close(self) -> (String, Json<'p>) {
        let absent = self.text.trim().is_empty() || self.text.trim().eq_ignore_ascii_case("unknown");
        let json = match (self.children.is_empty(), absent) {
            (false, _) => Json::Object(self.children),
            (true, true) => Json::Null,
            (true, false) => Json::Text(match self.text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            }),
        };
        (self.name, json)
    }

    fn add(&mut self, more: Cow<'p, str>) {
        if self.text.is_empty() {
            self.text = more;
        } else {
            self.text.to_mut().push_str(&more);
        }
    }
}

/// The root's name and content.
fn tree(text: &str) -> Result<(String, Json<'_>), Reject> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|error| malformed(format!("payload: found {error}, expected XML")))?;
        let ended = matches!(event, Event::End(_) | Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                open.push(Open { name: tag.local_name().as_ref().to_owned(), ..Open::default() });
                elements += 1;
            }
            Event::Text(text) => add(&mut open, text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => add(&mut open, text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(reference) => {
                let name = reference.xml_content(XmlVersion::Implicit1_0);
                let known = quick_xml::escape::resolve_predefined_entity(&name).map(Cow::Borrowed);
                let char_of = || reference.resolve_char_ref().ok().flatten().map(|c| Cow::Owned(c.to_string()));
                let unknown = || malformed(format!("payload: found the entity {}, expected a predefined one", Json::text(&*name).shown()));
                add(&mut open, known.or_else(char_of).ok_or_else(unknown)?);
            }
            Event::DocType(_) => return Err(malformed("payload: found a document type, expected none".to_owned())),
            Event::Eof => return Err(malformed("payload: found the end within an element or none, expected XML".to_owned())),
            Event::End(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        if open.len() > DEEPEST || elements > MOST_PARTS {
            let detail = format!("payload: found more than {DEEPEST} elements within each other or {MOST_PARTS} in all, expected fewer");
            return Err(Reject::new(RejectReason::TooLarge, detail));
        }
        if ended && let Some(closed) = open.pop() {
            let (name, json) = closed.close();
            match open.last_mut() {
                Some(parent) => parent.children.push((Cow::Owned(name), json)),
                None => return Ok((name, json)),
            }
        }
    }
}

/// Text outside of the root is white space at most; what else stands there, the reader's errors tell.
fn add<'p>(open: &mut [Open<'p>], text: Cow<'p, str>) {
    if let Some(last) = open.last_mut() {
        last.add(text);
    }
}

fn malformed(detail: String) -> Reject {
    Reject::new(RejectReason::Malformed, detail)
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::{decode, shipped_off};

    pub(in crate::decode) const EXAMPLE: &str = r#"<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"><ipAddress>10.1.2.3</ipAddress><channelID>1</channelID><dateTime>2026-11-22T08:30:00.512+07:00</dateTime><eventType>ANPR</eventType><eventState>active</eventState><ANPR><country>VN</country><licensePlate>75A12345</licensePlate><line>2</line><direction>forward</direction><confidenceLevel>93</confidenceLevel><plateColor>white</plateColor><vehicleType>vehicle</vehicleType><helmet>unknown</helmet><vehicleInfo><color>white</color><speed>47</speed></vehicleInfo><pictureInfoList><pictureInfo><fileName>licensePlatePicture.jpg</fileName><plateRect><X>512</X><Y>610</Y><width>96</width><height>44</height></plateRect></pictureInfo></pictureInfoList></ANPR><UUID>a1b2</UUID></EventNotificationAlert>"#;
    const SEEN: &str = "plates 10.1.2.3? 2026-11-22T01:30:00.512Z colour=white confidence=93 direction=forward lane=2 plate=75A12345 speed=47 vehicle=vehicle";

    fn shown(payload: &str) -> Vec<String> {
        decode(&shipped_off("hikvision-plates"), "hue/plates/hikvision/anpr.xml", payload.as_bytes(), "2026-11-22T01:30:05Z")
    }

    #[test]
    fn both_name_spaces_and_both_spellings_are_read() {
        assert_eq!(shown(EXAMPLE), [SEEN]);
        let other = EXAMPLE.replace("www.isapi.org/ver20", "www.hikvision.com/ver20").replace("plateRect", "vehicelRect");
        let declared = format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!-- event -->\r\n{other}\r\n");
        assert_eq!(shown(&declared), [SEEN]);
        let prefixed = EXAMPLE.replace("<ANPR>", "<h:ANPR xmlns:h=\"x\">").replace("</ANPR>", "</h:ANPR>");
        assert_eq!(shown(&prefixed), [SEEN]);
    }

    #[test]
    fn an_unread_plate_is_a_vehicle_without_one() {
        let unread =
            EXAMPLE.replace("75A12345", "unknown").replace("<plateColor>white", "<plateColor>UNKNOWN").replace("<line>2</line>", "<line/>");
        let seen = SEEN.replace(" plate=75A12345", "").replace(" colour=white", "").replace(" lane=2", "");
        assert_eq!(shown(&unread), [seen]);
    }

    #[test]
    fn entities_are_the_predefined_ones_and_characters() {
        let escaped = EXAMPLE.replace("75A12345", "75A&amp;<![CDATA[<1>]]>&#50;3");
        assert_eq!(shown(&escaped), [SEEN.replace("75A12345", "75A&<1>23")]);
    }

    #[test]
    fn what_is_no_plate_says_what_it_is() {
        let deep = "<a>".repeat(40);
        let bomb = format!("<!DOCTYPE a [<!ENTITY b \"bbbb\">]>{EXAMPLE}");
        for (payload, expected) in [
            (EXAMPLE.replace(">ANPR<", ">videoloss<"), "unused: `eventType`: found \"videoloss\", expected \"ANPR\""),
            (EXAMPLE.replace("EventNotificationAlert", "ResponseStatus"), "malformed: payload: found the element \"ResponseStatus\""),
            (EXAMPLE[..EXAMPLE.len() - 30].to_owned(), "malformed: payload: found"),
            (EXAMPLE.replace("</ANPR>", "</ANPRS>"), "malformed: payload: found"),
            (EXAMPLE.replace("75A12345", "&plate;"), "malformed: payload: found the entity \"plate\", expected a predefined one"),
            (bomb, "malformed: payload: found a document type, expected none"),
            (deep, "too_large: payload: found more than 32 elements within each other"),
            ("{}".to_owned(), "malformed: payload: found the end within an element or none"),
            (String::new(), "malformed: payload: found the end within an element or none"),
            (
                EXAMPLE.replace("2026-11-22T", "22/11/2026 "),
                "bad_time: `dateTime`: found \"22/11/2026 08:30:00.512+07:00\", expected ISO 8601",
            ),
        ] {
            let found = shown(&payload);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{payload}:\n found {found:?}\n expected {expected}");
        }
    }
}
