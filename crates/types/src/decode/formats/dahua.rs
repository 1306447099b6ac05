//! Dahua's `TrafficJunction` events in JSON: one item, the event with `time` added.
//!
//! `UTC` may be the camera's local time (25,200 s ahead in Huế): where `RealUTC` is given it alone is believed, and milliseconds come
//! from `UTCMS`. One vehicle makes a group of `CountInGroup` events, of which the first counts.

use super::seen::Seen;
use super::{Document, Format};
use crate::decode::MAX_KEY;
use crate::decode::json::{self, Json};
use crate::{Reject, RejectReason, Timestamp};

#[derive(Default)]
pub(super) struct Dahua {
    /// By camera and plate, the group last told.
    groups: Seen<f64>,
}

impl Format for Dahua {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], _now: Timestamp) -> Result<Document<'p>, Reject> {
        let mut event = json::parse(payload)?;
        let code = event.at(&["Code"]).map_or_else(|| "nothing".to_owned(), Json::shown);
        if event.at(&["Code"]).and_then(Json::as_text) != Some("TrafficJunction") {
            return Err(Reject::new(RejectReason::Unused, format!("`Code`: found {code}, expected \"TrafficJunction\"")));
        }
        let number = |names: &[&str]| event.at(names).and_then(Json::as_number);
        let text = |names: &[&str]| event.at(names).and_then(Json::as_text).filter(|text| text.len() <= MAX_KEY).unwrap_or_default();
        let seconds = number(&["Data", "RealUTC"]).or_else(|| number(&["Data", "UTC"]));
        let millis = number(&["Data", "UTCMS"]).filter(|ms| (0.0..1000.0).contains(ms)).unwrap_or(0.0);
        // `as` saturates: what is that far off is refused as future or too old.
        let time = seconds.map(|seconds| Timestamp::from_millis((seconds * 1000.0 + millis) as i64));
        if let Some(group) = number(&["Data", "GroupID"]) {
            let (camera, plate) = (text(&["Data", "TrafficCar", "MachineName"]), text(&["Data", "TrafficCar", "PlateNumber"]));
            let vehicle = format!("{camera}/{plate}");
            if self.groups.last(&vehicle) == Some(&group) {
                let detail = format!("`GroupID`: found {group} of {} again, expected a new group", Json::text(vehicle).shown());
                return Err(Reject::new(RejectReason::Duplicate, detail));
            }
            self.groups.tell(&vehicle, group);
        }
        if let (Json::Object(entries), Some(time)) = (&mut event, time) {
            entries.push(("time".into(), Json::time(time)));
        }
        Ok(Document::of(event))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::{decoder, instant, shipped_off, show};

    pub(in crate::decode) const EXAMPLE: &str = r#"{"Code":"TrafficJunction","Action":"Pulse","Index":0,"Data":{"EventID":991,"GroupID":77,"CountInGroup":3,"IndexInGroup":1,"Lane":2,"UTC":1763451000,"RealUTC":1763425800,"UTCMS":512,"Object":{"ObjectType":"Plate","Text":"75A12345","Confidence":92,"BoundingBox":[3000,5200,3600,5480]},"TrafficCar":{"PlateNumber":"75A12345","PlateColor":"White","PlateType":"Normal","Lane":2,"Speed":47,"UpperSpeedLimit":50,"ViolationCode":"","MachineName":"hung-vuong-n"},"NonMotor":null}}"#;

    #[test]
    fn real_time_is_believed_and_a_group_counts_once() {
        let mut decoder = decoder(&shipped_off("dahua-plates"));
        let mut shown =
            |payload: &str| show(&decoder.decode("hue/plates/dahua", payload.as_bytes(), instant("2025-11-18T00:30:05Z"))).remove(0);
        let passed = "plates hung-vuong-n? 2025-11-18T00:30:00.512Z colour=White confidence=92 lane=2 plate=75A12345 speed=47";
        assert_eq!(shown(EXAMPLE), passed);
        assert_eq!(
            shown(&EXAMPLE.replace("\"IndexInGroup\":1", "\"IndexInGroup\":2")),
            "duplicate: `GroupID`: found 77 of \"hung-vuong-n/75A12345\" again, expected a new group"
        );
        assert_eq!(shown(&EXAMPLE.replace("\"GroupID\":77", "\"GroupID\":78")), passed);
        let local = EXAMPLE.replace("\"RealUTC\":1763425800,", "").replace("\"GroupID\":77", "\"GroupID\":79");
        assert!(shown(&local).starts_with("future: time: found 2025-11-18T07:30:00.512Z"), "seven hours ahead is not believed");
        let right = local.replace("1763451000", "1763425800").replace("\"GroupID\":79", "\"GroupID\":80");
        assert_eq!(shown(&right), passed, "a camera whose UTC is one");
    }

    #[test]
    fn other_events_are_set_aside_by_name() {
        let mut decoder = decoder(&shipped_off("dahua-plates"));
        let mut shown =
            |payload: &str| show(&decoder.decode("hue/plates/dahua", payload.as_bytes(), instant("2025-11-18T00:30:05Z"))).remove(0);
        assert_eq!(
            shown(r#"{"Code":"VideoMotion","Action":"Start"}"#),
            "unused: `Code`: found \"VideoMotion\", expected \"TrafficJunction\""
        );
        assert_eq!(shown("[]"), "unused: `Code`: found nothing, expected \"TrafficJunction\"");
        assert!(
            shown(r#"{"Code":"TrafficJunction"}"#).starts_with("missing_key: key: found none, expected one in Data.TrafficCar.MachineName")
        );
    }
}
