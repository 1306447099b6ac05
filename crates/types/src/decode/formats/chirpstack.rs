//! Uplinks of ChirpStack v4 in JSON: one item, the event as it is; the codec's fields are under `object`.
//!
//! A network may deliver one uplink several times. It is the same when its `deduplicationId` is that of the device's last one, or
//! its frame counter within the same session (`devAddr`). A counter that falls is a device that joined again.

use super::seen::Seen;
use super::{Document, Format};
use crate::decode::MAX_KEY;
use crate::decode::json::{self, Json};
use crate::{Reject, RejectReason, Timestamp};

#[derive(Default)]
pub(super) struct ChirpStack {
    /// By device.
    uplinks: Seen<Uplink>,
}

#[derive(PartialEq)]
struct Uplink {
    id: Option<String>,
    session: Option<String>,
    count: Option<f64>,
}

impl Format for ChirpStack {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], _now: Timestamp) -> Result<Document<'p>, Reject> {
        let event = json::parse(payload)?;
        if event.at(&["devEUI"]).is_some() || event.at(&["objectJSON"]).is_some() {
            let detail = "payload: found an uplink of ChirpStack v3 (`devEUI`, `objectJSON`), expected one of v4 (`deviceInfo`, `object`)";
            return Err(Reject::new(RejectReason::Malformed, detail));
        }
        if let Some(device) = event.at(&["deviceInfo", "devEui"]).and_then(Json::as_text).filter(|device| device.len() <= MAX_KEY) {
            let short = |names: &[&str]| event.at(names).and_then(Json::as_text).filter(|text| text.len() <= MAX_KEY).map(str::to_owned);
            let count = event.at(&["fCnt"]).and_then(Json::as_number);
            let uplink = Uplink { id: short(&["deduplicationId"]), session: short(&["devAddr"]), count };
            if let Some(again) = self.uplinks.last(device).and_then(|last| uplink.again(last)) {
                let device = Json::text(device).shown();
                return Err(Reject::new(RejectReason::Duplicate, format!("{again} of {device} again, expected a new uplink")));
            }
            self.uplinks.tell(device, uplink);
        }
        Ok(Document::of(event))
    }
}

impl Uplink {
    /// By what it is the same as the one before.
    fn again(&self, last: &Uplink) -> Option<String> {
        let same_id = self.id.is_some() && self.id == last.id;
        let same_count = self.count.is_some() && (self.count, &self.session) == (last.count, &last.session);
        match (same_id, same_count, self.count) {
            (true, ..) => Some("`deduplicationId`: found that".to_owned()),
            (_, true, Some(count)) => Some(format!("`fCnt`: found {count}")),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::{decoder, instant, show};

    pub(in crate::decode) const EXAMPLE: &str = r#"{"deduplicationId":"3ac7-1","time":"2026-11-22T01:30:00.120Z","deviceInfo":{"tenantName":"hue","applicationId":"17c8","applicationName":"flood","deviceProfileName":"us-lvl","deviceName":"ngap-to-huu-01","devEui":"0101010101010102","tags":{"site":"to-huu"}},"devAddr":"00189440","adr":true,"dr":2,"fCnt":4211,"fPort":2,"confirmed":false,"data":"ABcBaA==","object":{"level_cm":23,"batt_v":3.6},"rxInfo":[{"gatewayId":"0016c001f1500812","rssi":-97,"snr":4.2}],"txInfo":{"frequency":922200000}}"#;

    #[test]
    fn an_uplink_counts_once() {
        let mut decoder = decoder("");
        let mut shown = |payload: &str| {
            let topic = "application/17c8/device/0101010101010102/event/up";
            show(&decoder.decode(topic, payload.as_bytes(), instant("2026-11-22T01:30:05Z"))).remove(0)
        };
        let level = "street_flood to-huu? 2026-11-22T01:30:00.12Z value=23";
        let other = |id: &str, session: &str, count: u32| {
            let event = EXAMPLE.replace("3ac7-1", id).replace("00189440", session);
            event.replace("\"fCnt\":4211", &format!("\"fCnt\":{count}"))
        };
        assert_eq!(shown(EXAMPLE), level);
        assert_eq!(
            shown(EXAMPLE),
            "duplicate: `deduplicationId`: found that of \"0101010101010102\" again, expected a new uplink",
            "sent again"
        );
        assert_eq!(
            shown(&other("b", "00189440", 4211)),
            "duplicate: `fCnt`: found 4211 of \"0101010101010102\" again, expected a new uplink"
        );
        assert_eq!(shown(&other("c", "00189440", 4212)), level);
        assert_eq!(shown(&other("d", "00189440", 0)), level, "a counter that falls is a device that joined again");
        assert_eq!(shown(&other("e", "00aabbcc", 0)), level, "a session of its own");
        assert_eq!(
            shown(&other("e", "00aabbcc", 1)),
            "duplicate: `deduplicationId`: found that of \"0101010101010102\" again, expected a new uplink"
        );
    }

    #[test]
    fn the_key_is_the_site_else_the_name_else_the_device() {
        let mut decoder = decoder("");
        let mut key = |payload: &str| {
            let topic = "application/17c8/device/0101010101010102/event/up";
            decoder.decode(topic, payload.as_bytes(), instant("2026-11-22T01:30:05Z")).readings[0].key.to_string()
        };
        assert_eq!(key(EXAMPLE), "to-huu");
        let next = EXAMPLE.replace(r#","tags":{"site":"to-huu"}"#, "").replace("3ac7-1", "2").replace("4211", "4212");
        assert_eq!(key(&next), "ngap-to-huu-01");
        assert_eq!(key(&next.replace("ngap-to-huu-01", "").replace(r#":"2""#, r#":"3""#).replace("4212", "4213")), "0101010101010102");
    }

    #[test]
    fn version_3_is_told_from_version_4() {
        let v3 = r#"{"applicationID":"1","deviceName":"x","devEUI":"AQEBAQEBAQE=","fCnt":1,"objectJSON":"{\"level_cm\":23}"}"#;
        let found =
            show(&decoder("").decode("application/1/device/0101010101010101/event/up", v3.as_bytes(), instant("2026-11-22T01:30:05Z")));
        assert_eq!(
            found,
            ["malformed: payload: found an uplink of ChirpStack v3 (`devEUI`, `objectJSON`), expected one of v4 (`deviceInfo`, `object`)"]
        );
    }
}
