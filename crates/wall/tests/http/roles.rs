//! Who may do what, and what every answer carries.

use huong_types::{Order, Span, TransitionKind};
use huong_wall::{ROUTES, Role, WallConfig};
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use crate::support::{NOW, Served, acknowledged, alert_of};

const VIEWER: &str = "viewer-token-0123456789";
const OPERATOR: &str = "operator-token-0123456789";

fn call(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    agent.run(request.body(body.to_owned()).expect("a request")).expect("an answer")
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
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let body = match (method, path.rsplit('/').next()) {
        ("POST", Some("shelve")) => r#"{"by": "Anh Sơn", "why": "đang sửa", "for": "2h"}"#,
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
