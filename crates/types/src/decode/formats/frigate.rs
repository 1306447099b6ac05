//! Frigate's `events` and plate messages in JSON: one item; of an event, what holds after it (`after`), which has the names that the plate
//! message has: `camera`, `plate`, `score`, `time`.
//!
//! An event is told again with every change of its track. It counts when its plate is new or another than was last told of it.

use super::seen::Seen;
use super::{Document, Format};
use crate::decode::MAX_KEY;
use crate::decode::json::{self, Json, Path};
use crate::{Reject, RejectReason, Timestamp};

#[derive(Default)]
pub(super) struct Frigate {
    /// By track, the plate last told.
    plates: Seen<String>,
}

/// What an event calls the entries of a plate message.
const SAME: [(&str, &str); 3] =
    [("recognized_license_plate", "plate"), ("recognized_license_plate_score", "score"), ("frame_time", "timestamp")];

impl Format for Frigate {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], _now: Timestamp) -> Result<Document<'p>, Reject> {
        let mut message = json::parse(payload)?;
        let kind = message.at(&["type"]).map_or_else(|| "nothing".to_owned(), Json::shown);
        if let Some(after) = Path::parse("after").and_then(|path| path.take(&mut message)) {
            message = after;
            if let Json::Object(entries) = &mut message {
                for (name, _) in entries {
                    if let Some((_, same)) = SAME.iter().find(|(theirs, _)| name == theirs) {
                        *name = (*same).into();
                    }
                }
            }
        } else if kind != "\"lpr\"" {
            return Err(Reject::new(RejectReason::Unused, format!("`type`: found {kind}, expected \"lpr\" or an event with `after`")));
        }
        let unused = |what: &str, expected: &str| Err(Reject::new(RejectReason::Unused, format!("{what}, expected {expected}")));
        if message.at(&["false_positive"]) == Some(&Json::Bool(true)) {
            return unused("`false_positive`: found true", "false");
        }
        let short = |name: &str| message.at(&[name]).and_then(Json::as_text).filter(|text| !text.is_empty() && text.len() <= MAX_KEY);
        let Some(plate) = short("plate") else { return unused("`plate`: found none", "a recognized licence plate") };
        if let Some(track) = short("id") {
            if self.plates.last(track).is_some_and(|last| last == plate) {
                let detail = format!("`plate`: found that of {} again, expected another", Json::text(track).shown());
                return Err(Reject::new(RejectReason::Duplicate, detail));
            }
            self.plates.tell(track, plate.to_owned());
        }
        Ok(Document::of(message))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::{decoder, instant, shipped_off, show};

    pub(in crate::decode) const EVENT: &str = r#"{"type":"update","before":{"id":"1763425800.12-ab1","label":"car"},"after":{"id":"1763425800.12-ab1","camera":"hung-vuong","frame_time":1763425803.4,"label":"car","sub_label":null,"top_score":0.91,"false_positive":false,"start_time":1763425800.1,"end_time":null,"box":[410,300,640,480],"current_zones":["stop_line"],"entered_zones":["approach","stop_line"],"stationary":false,"current_estimated_speed":21.4,"recognized_license_plate":"75A12345","recognized_license_plate_score":0.88}}"#;
    pub(in crate::decode) const PLATE: &str =
        r#"{"type":"lpr","id":"1763425800.12-ab1","camera":"hung-vuong","plate":"75A12345","score":0.88,"timestamp":1763425803.6}"#;

    fn shown(messages: &[&str]) -> Vec<String> {
        let mut decoder = decoder(&shipped_off("frigate-plates"));
        let mut one =
            |payload: &&str| show(&decoder.decode("frigate/events", payload.as_bytes(), instant("2025-11-18T00:30:05Z"))).remove(0);
        messages.iter().map(&mut one).collect()
    }

    #[test]
    fn a_track_is_told_once_per_plate() {
        let event = "plates hung-vuong? 2025-11-18T00:30:03.4Z confidence=88 plate=75A12345 speed=21.4 vehicle=car";
        let again = "duplicate: `plate`: found that of \"1763425800.12-ab1\" again, expected another";
        let (other, next) = (EVENT.replace("75A12345", "75A12346"), EVENT.replace("12-ab1", "13-ab2"));
        assert_eq!(shown(&[EVENT, PLATE, EVENT, &other, &next]), [event, again, again, &event.replace("12345", "12346"), event]);
        assert_eq!(shown(&[PLATE]), ["plates hung-vuong? 2025-11-18T00:30:03.6Z confidence=88 plate=75A12345"]);
    }

    #[test]
    fn what_has_no_plate_is_set_aside() {
        let plain = EVENT.replace("\"75A12345\"", "null");
        let wrong = EVENT.replace("\"false_positive\":false", "\"false_positive\":true");
        assert_eq!(
            shown(&[&plain, &wrong, r#"{"type":"description","id":"x"}"#, "7"]),
            [
                "unused: `plate`: found none, expected a recognized licence plate",
                "unused: `false_positive`: found true, expected false",
                "unused: `type`: found \"description\", expected \"lpr\" or an event with `after`",
                "unused: `type`: found nothing, expected \"lpr\" or an event with `after`",
            ]
        );
    }
}
