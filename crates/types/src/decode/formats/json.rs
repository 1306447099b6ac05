//! JSON of any shape: an object is one item, a list as many as it has.

use super::{Document, Format};
use crate::decode::json;
use crate::{Reject, Timestamp};

pub(super) struct Plain;

impl Format for Plain {
    fn read<'p>(&mut self, _topic: &str, payload: &'p [u8], _now: Timestamp) -> Result<Document<'p>, Reject> {
        json::parse(payload).map(Document::of)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::decode::tests::decode;

    pub(in crate::decode) const EXAMPLES: [(&str, &str, &str, &str); 4] = [
        (
            "hue/feeds/water_level/x",
            r#"{"station_id":"74647403","time_point":"2025-11-18 06:40:00","depth":1378}"#,
            "2025-11-17T23:41:00Z",
            "water_level 74647403? 2025-11-17T23:40:00Z value=1.378",
        ),
        (
            "hue/feeds/flood/x",
            r#"{"ts":1763422800000,"device":"flood-07","values":{"level_cm":23,"batt_v":3.61}}"#,
            "2025-11-17T23:41:00Z",
            "street_flood flood-07? 2025-11-17T23:40:00Z value=23",
        ),
        (
            "hue/feeds/reservoir/x",
            r#"[{"id":"TT","ngaylaysolieu":"2025-10-27T16:00:00","htl":42.18,"hhl":null,"qden":6921,"qdi":423,"socuamo":0}]"#,
            "2025-10-27T09:01:00Z",
            "reservoir TT? 2025-10-27T09:00:00Z gates_open=0 level=42.18 q_in=6921 q_out=423",
        ),
        (
            "hue/feeds/reservoir/x",
            r#"[{"id":"TT","ngaylaysolieu":"2025-10-27T16:00:00","htl":"42,18","hhl":"NaN","qden":"6921","qdi":NaN,"socuamo":"---"}]"#,
            "2025-10-27T09:01:00Z",
            "reservoir TT? 2025-10-27T09:00:00Z level=42.18 q_in=6921",
        ),
    ];

    #[test]
    fn the_feeds_as_they_are_written_down() {
        for (topic, payload, now, expected) in EXAMPLES {
            assert_eq!(decode("", topic, payload.as_bytes(), now), [expected], "{payload}");
        }
    }

    #[test]
    fn a_list_within_shares_what_stands_beside_it() {
        let source = r#"
            [[source]]
            name = "batches"
            topic = "batch/+"
            items = "data.rows"
            stream = "rain"
            key = ["station"]
            time = ["t", "day"]
            time_format = "day_month"
            zone = "+07:00"
            fields.value = [{ path = "v", unit_path = "unit" }]
        "#;
        let shown = |payload: &str| decode(source, "batch/x", payload.as_bytes(), "2025-11-18T00:00:00Z");
        assert_eq!(
            shown(
                r#"{"station":"r1","unit":"cm","data":{"rows":[{"t":"18/11/2025 06:40","v":0.1},{"t":"18/11/2025 06:50","v":"x"},{"t":"18/11/2025 06:50","v":3,"unit":"mm","station":"r2"}]}}"#
            ),
            [
                "rain r1? 2025-11-17T23:40:00Z value=1",
                "rain r2? 2025-11-17T23:50:00Z value=3",
                "bad_value: element 1: field `value`: found \"x\" in `v`, expected a number",
            ]
        );
        assert_eq!(shown(r#"{"data":{"rows":7}}"#), ["bad_value: `data.rows`: found 7, expected a list"]);
        assert_eq!(shown(r#"{"data":[]}"#), ["bad_value: `data.rows`: found nothing, expected a list"]);
        assert_eq!(shown(r#"{"data":{"rows":[]}}"#), ["bad_value: payload: found a list of 0, expected 1 to 20000"]);
    }
}
