//! What is sent: the JSON bodies and the MQTT topics.
//!
//! Invariant: a function of the transition and the registry alone, so what is sent again is the same bytes. Times are milliseconds
//! since the epoch, figures are in the stream's unit.

use huong_types::{About, Alert, Registry, Transition};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Up to 2⁵³ every whole number is a float of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The same for every attempt at one step of one alert; receivers drop what they have seen.
pub fn idempotency_key(transition: &Transition) -> String {
    format!("{}/{}", transition.alert.id, transition.seq)
}

/// `{seq, kind, at, decided, announced, by, idempotency_key, alert, station, cause}`; `station` is null for a key that the registry does not know.
pub(crate) fn webhook_body(transition: &Transition, registry: &Registry) -> Vec<u8> {
    to_bytes(&json!({
        "seq": transition.seq,
        "kind": transition.kind,
        "at": transition.at,
        "decided": transition.decided,
        "announced": transition.announced,
        "by": transition.by,
        "idempotency_key": idempotency_key(transition),
        "alert": transition.alert,
        "station": place(&transition.alert, registry),
        "cause": transition.cause,
    }))
}

/// The alert as it is now, with its place: a state topic's payload.
pub(crate) fn state_body(alert: &Alert, registry: &Registry) -> Vec<u8> {
    to_bytes(&json!({ "alert": alert, "station": place(alert, registry) }))
}

/// `{"sensor": key, "window_start": ms, "ts": ms, <figures>}`: one window's or reading's figures as a flat object. An alert
/// of a rule with `each = true` began (`since`) where its window did. A whole figure is written without a fraction: a count is a count.
pub(crate) fn values_body(transition: &Transition) -> Vec<u8> {
    let alert = &transition.alert;
    let figure = |value: f64| if value.fract() == 0.0 && value.abs() < EXACT { json!(value as i64) } else { json!(value) };
    let mut body: Map<String, Value> = alert.values.iter().map(|(name, value)| (name.to_string(), figure(*value))).collect();
    body.insert("sensor".to_owned(), json!(alert.key));
    body.insert("window_start".to_owned(), json!(alert.since));
    body.insert("ts".to_owned(), json!(transition.at));
    to_bytes(&body)
}

/// `<prefix>/alerts/<severity>/<rule>/<key>`; `<prefix>/alerts/group/<name>` for a group, whose severity changes while it stands.
/// Characters with a meaning in topics become `_`.
pub(crate) fn state_topic(prefix: &str, alert: &Alert) -> String {
    let level = |text: &str| text.replace(['/', '+', '#', '\0'], "_");
    if alert.about == About::Group {
        return format!("{prefix}/alerts/group/{}", level(&alert.rule));
    }
    format!("{prefix}/alerts/{}/{}/{}", alert.severity, level(&alert.rule), level(&alert.key))
}

fn place(alert: &Alert, registry: &Registry) -> Value {
    registry.row(&alert.key).map_or(Value::Null, |row| json!({ "id": row.id, "name": row.name, "name_en": row.name_en, "ward": row.ward }))
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a tree of JSON values always has a text")
}
