//! Who may do what, and what every answer carries.

use huong_types::{Order, Span, Timestamp, TransitionKind};
use huong_wall::{ROUTES, Role, WallConfig};
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use crate::support::{NOW, Served, acknowledged, alert_of, reading};

const VIEWER: &str = "viewer-token-0123456789";
const OPERATOR: &str = "operator-token-0123456789";

fn call(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    try_call(url, method, headers, body).expect("an answer")
}

fn try_call(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Result<Response<Body>, ureq::Error> {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    agent.run(request.body(body.to_owned()).expect("a request"))
}

fn json(response: &mut Response<Body>) -> Value {
    serde_json::from_str(&response.body_mut().read_to_string().expect("a body")).expect("JSON")
}

fn with_tokens() -> (tempfile::TempDir, WallConfig) {
    let dir = tempfile::tempdir().expect("a directory for the tokens");
    let file = dir.path().join("tokens");
    std::fs::write(&file, format!("viewer tv {VIEWER}\noperator duty {OPERATOR}\n")).expect("write the tokens");
    (dir, WallConfig { tokens_file: Some(file), ..WallConfig::default() })
}

fn status(served: &Served, method: &str, path: &str, token: Option<&str>) -> u16 {
    let path = path.replace("{file}", "wall.css").replace("{id}", if path.contains("cameras") { "cam-1" } else { "river-bd3.kimlong" });
    let path = if (method, path.as_str()) == ("GET", "/api/query") { "/api/query?sql=SELECT+1".to_owned() } else { path };
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let body = match (method, path.rsplit('/').next()) {
        ("POST", Some("shelve")) => r#"{"by": "Anh Sơn", "why": "đang sửa", "for": "2h"}"#,
        ("POST", Some("query")) => "SELECT 1",
        ("POST", Some("exercise")) => r#"{"by": "Anh Sơn", "on": true}"#,
        ("POST", _) => r#"{"by": "Anh Sơn"}"#,
        _ => "",
    };
    call(&served.url(&path), method, &headers, body).status().as_u16()
}

#[test]
fn every_route_asks_for_its_role() {
    let (_dir, config) = with_tokens();
    let served = Served::start(config);
    for route in ROUTES {
        let expected = match route.role {
            Role::Public => [200, 200, 200, 200],
            Role::Viewer => [401, 401, 200, 200],
            Role::Operator => [401, 401, 403, 200],
        };
        let tokens = [None, Some("viewer-token-9876543210"), Some(VIEWER), Some(OPERATOR)];
        let found = tokens.map(|token| status(&served, route.method, route.path, token));
        assert_eq!(found, expected, "{} {}: nobody, a stranger, a viewer, an operator", route.method, route.path);
    }
}

#[test]
fn without_tokens_all_may_look_and_nobody_may_acknowledge() {
    let served = Served::start(WallConfig::default());
    for route in ROUTES {
        let expected = if route.role == Role::Operator { 403 } else { 200 };
        assert_eq!(status(&served, route.method, route.path, None), expected, "{} {}", route.method, route.path);
    }
    let mut refused = call(&served.url("/api/alerts/x/acknowledge"), "POST", &[], "");
    assert!(json(&mut refused)["error"].as_str().is_some_and(|why| why.contains("tokens_file")));
    assert!(served.city.asked().is_empty());
}

#[test]
fn an_operator_acknowledges_and_every_screen_sees_it() {
    let (_dir, config) = with_tokens();
    let mut served = Served::start(config);
    let bearer = format!("Bearer {OPERATOR}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let post = |path: &str, body: &str| call(&served.url(path), "POST", &headers, body).status().as_u16();
    assert_eq!(post("/api/alerts/river-bd3.kimlong/acknowledge", r#"{"by": "  Chị Hương "}"#), 200);
    assert_eq!(post("/api/alerts/none/acknowledge", r#"{"by": "Chị Hương"}"#), 404);
    let order = |alert: &str| Order::Acknowledge { alert: alert.to_owned(), by: "Chị Hương".to_owned() };
    assert_eq!(served.city.asked(), [order("river-bd3.kimlong"), order("none")]);
    for (body, expected) in [(r#"{"by": " "}"#, 400), (r#"{"by": 7}"#, 422), (r#"{"who": "x"}"#, 422), ("{", 400), ("", 400)] {
        assert_eq!(post("/api/alerts/river-bd3.kimlong/acknowledge", body), expected, "{body}");
    }
    let long = format!("{{\"by\": \"{}\"}}", "x".repeat(5000));
    assert_eq!(post("/api/alerts/river-bd3.kimlong/acknowledge", &long), 413);
    assert_eq!(served.city.asked().len(), 2, "what is malformed reaches nobody");

    served.step(1, TransitionKind::Acknowledged, acknowledged(alert_of("kimlong"), "Chị Hương"));
    let mut snapshot = None;
    crate::support::wait_for("the acknowledged alert", || {
        let now = json(&mut call(&served.url("/api/snapshot"), "GET", &headers, ""));
        let found = now["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(|a| a["state"] == "acknowledged"));
        snapshot = Some(now);
        found
    });
    assert_eq!(snapshot.expect("at least one look")["alerts"][0]["ack"]["by"], "Chị Hương");
}

#[test]
fn an_operator_shelves_for_a_time_and_begins_an_exercise() {
    let (_dir, config) = with_tokens();
    let served = Served::start(config);
    let bearer = format!("Bearer {OPERATOR}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let post = |path: &str, body: &str| call(&served.url(path), "POST", &headers, body).status().as_u16();
    let shelve = "/api/alerts/river-bd3.kimlong/shelve";
    assert_eq!(post(shelve, r#"{"by": "Anh Sơn", "why": " cảm biến đang sửa ", "for": "2h"}"#), 200);
    assert_eq!(post("/api/alerts/river-bd3.kimlong/unshelve", r#"{"by": "Anh Sơn"}"#), 200);
    assert_eq!(post("/api/exercise", r#"{"by": "Anh Sơn", "on": true}"#), 200);
    let (alert, by) = ("river-bd3.kimlong".to_owned(), "Anh Sơn".to_owned());
    let expected = [
        Order::Shelve {
            alert: alert.clone(), by: by.clone(), why: "cảm biến đang sửa".to_owned(), until: NOW + Span::from_mins(120)
        },
        Order::Unshelve { alert, by: by.clone() },
        Order::Exercise { on: true, by },
    ];
    assert_eq!(served.city.asked(), expected);
    let refused = [
        (r#"{"by": "Anh Sơn", "why": " ", "for": "2h"}"#, 400),
        (r#"{"by": "Anh Sơn", "why": "x\u0000", "for": "2h"}"#, 400),
        (r#"{"by": "", "why": "x", "for": "2h"}"#, 400),
        (r#"{"by": "Anh Sơn", "why": "x"}"#, 422),
        (r#"{"by": "Anh Sơn", "why": "x", "for": "two hours"}"#, 422),
    ];
    for (body, expected) in refused {
        assert_eq!(post(shelve, body), expected, "{body}");
    }
    assert_eq!(post("/api/exercise", r#"{"by": "Anh Sơn", "on": "yes"}"#), 422);
    assert_eq!(served.city.asked().len(), 3, "what is malformed reaches nobody");
}

#[test]
fn a_query_answers_in_the_format_asked_for_and_tells_what_is_wrong_by_status() {
    let (_dir, config) = with_tokens();
    let served = Served::start(config);
    let bearer = format!("Bearer {OPERATOR}");
    let ask = |method: &str, path: &str, accept: &str, body: &str| {
        let headers = [("authorization", bearer.as_str()), ("accept", accept)];
        call(&served.url(path), method, &headers, body)
    };
    let text = |mut answer: Response<Body>| {
        let kind = answer.headers()["content-type"].to_str().expect("plain text").to_owned();
        (kind, answer.body_mut().read_to_string().expect("text"))
    };
    for (method, path, accept, body, kind, expected) in [
        ("GET", "/api/query?sql=SELECT+1%2B1", "*/*", "", "application/json", "duty Json SELECT 1+1"),
        ("GET", "/api/query?sql=x&format=csv", "application/json", "", "text/csv; charset=utf-8", "duty Csv x"),
        ("POST", "/api/query", "text/html, text/csv;q=0.5", "x & y", "text/csv; charset=utf-8", "duty Csv x & y"),
        ("POST", "/api/query?format=arrow", "*/*", "x", "application/vnd.apache.arrow.stream", "duty Arrow x"),
    ] {
        assert_eq!(text(ask(method, path, accept, body)), (kind.to_owned(), expected.to_owned()), "{method} {path}");
    }
    for (sql, expected) in [("wrong", 400), ("large", 413), ("slow", 408), ("busy", 429), ("damaged", 500), (" ", 400)] {
        let mut answer = ask("POST", "/api/query", "*/*", sql);
        assert_eq!(answer.status().as_u16(), expected, "{sql}");
        assert_eq!(answer.headers().contains_key("retry-after"), expected == 429);
        let told = json(&mut answer);
        assert!(told["error"].as_str().is_some_and(|why| !why.is_empty()), "{told}");
        assert_eq!(told.get("line").and_then(Value::as_u64), (sql == "wrong").then_some(2), "{told}");
    }
    for path in ["/api/query", "/api/query?sql=x&speed=9", "/api/query?sql=x&format=xml"] {
        assert_eq!(ask("GET", path, "*/*", "").status(), 400, "{path}");
    }
    assert_eq!(ask("GET", "/api/query?sql=x", "text/html", "").status(), 406);
    let post = |sql: &str| try_call(&served.url("/api/query"), "POST", &[("authorization", bearer.as_str())], sql);
    // The server may close before it has read all of it.
    assert!(post(&"x".repeat(70_000)).map_or(true, |answer| answer.status() == 413));
    let cut = post("broken off").and_then(|mut answer| answer.body_mut().read_to_string());
    assert!(cut.is_err(), "a part is not taken for the whole: {cut:?}");
}

#[test]
fn the_latest_values_are_told_with_their_age_and_quality() {
    let mut served = Served::start(WallConfig::default());
    let old = Timestamp::from_millis(NOW.as_millis() - 90_000);
    served.feed.value(&reading("kimlong", old, 3.62));
    served.feed.value(&reading("phuoc", NOW, 4.5));
    let latest = |path: &str| json(&mut call(&served.url(path), "GET", &[], ""));
    crate::support::wait_for("both values", || latest("/api/latest")["values"].as_array().is_some_and(|values| values.len() == 2));
    let one = latest("/api/latest?stream=water_level&key=kimlong");
    assert_eq!(one["clock"]["now"], NOW.as_millis());
    let expected = serde_json::json!([{
        "stream": "water_level", "key": "kimlong", "at": old, "received": old, "orphan": false, "age": 90_000,
        "fields": [{ "name": "value", "number": 3.62, "flag": "ok" }],
    }]);
    assert_eq!(one["values"], expected);
    assert_eq!(latest("/api/latest?key=phuoc")["values"][0]["age"], 0);
    for nothing in ["/api/latest?stream=rain", "/api/latest?stream=water_level&key=none"] {
        assert_eq!(latest(nothing)["values"], serde_json::json!([]));
    }
    assert_eq!(call(&served.url("/api/latest?sensor=x"), "GET", &[], "").status(), 400);
}

#[test]
fn a_screen_gets_a_cookie_for_its_token() {
    let (_dir, config) = with_tokens();
    let served = Served::start(config);
    let bearer = format!("Bearer {VIEWER}");
    let mut opened = call(&served.url("/api/session"), "POST", &[("authorization", &bearer)], "");
    let cookie = opened.headers()["set-cookie"].to_str().expect("plain text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(json(&mut opened), serde_json::json!({ "role": "viewer", "name": "tv" }));
    let pair = cookie.split(';').next().expect("a name and a value");
    assert_eq!(call(&served.url("/api/snapshot"), "GET", &[("cookie", &format!("other=1; {pair}"))], "").status(), 200);
    assert_eq!(call(&served.url("/api/snapshot"), "GET", &[("cookie", "huong_token=x")], "").status(), 401);
}

#[test]
fn every_answer_is_hardened_and_frames_say_when_they_were_taken() {
    let served = Served::start(WallConfig::default());
    for path in ["/", "/wall", "/assets/main.js", "/api/snapshot", "/metrics", "/no/such/page", "/api/cameras/none/frame"] {
        let answer = call(&served.url(path), "GET", &[], "");
        let policy = answer.headers()["content-security-policy"].to_str().expect("plain text");
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
    let mut frame = call(&served.url("/api/cameras/cam-1/frame"), "GET", &[], "");
    assert_eq!(frame.headers()["x-captured-at"].to_str().ok(), Some(NOW.as_millis().to_string().as_str()));
    assert_eq!(frame.headers()["cache-control"], "no-store");
    assert_eq!(frame.headers()["content-type"], "image/jpeg");
    assert_eq!(frame.body_mut().read_to_vec().expect("a picture"), b"\xff\xd8\xff\xd9");
    let mut metrics = call(&served.url("/metrics"), "GET", &[], "");
    let text = metrics.body_mut().read_to_string().expect("text");
    assert!(text.contains("huong_readings_total{stream=\"water_level\",part=\"stored\"} 4\n"), "{text}");
    assert!(text.contains("# TYPE huong_screens gauge\nhuong_screens 0\n"), "{text}");
    assert_eq!(call(&served.url("/api/snapshot"), "DELETE", &[], "").status(), 405);
}
