//! Who may do what, and what every answer carries.

use huong_types::{Order, Span, Timestamp, TransitionKind};
use huong_wall::{ROUTES, Right, Role, Route, WallConfig};
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use crate::support::{NOW, Served, acknowledged, alert_of, reading};

const VIEWER: &str = "viewer-token-0123456789";
const OPERATOR: &str = "operator-token-0123456789";

pub(crate) fn call(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    try_call(url, method, headers, body).expect("an answer")
}

pub(crate) fn try_call(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Result<Response<Body>, ureq::Error> {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    agent.run(request.body(body.to_owned()).expect("a request"))
}

pub(crate) fn json(response: &mut Response<Body>) -> Value {
    serde_json::from_str(&response.body_mut().read_to_string().expect("a body")).expect("JSON")
}

const FLOOD: &str = "flood-token-0123456789";
const POLICE: &str = "police-token-0123456789";
const ADMIN: &str = "admin-token-0123456789";

fn with_tokens() -> (tempfile::TempDir, WallConfig) {
    let dir = tempfile::tempdir().expect("a directory for the tokens");
    let file = dir.path().join("tokens");
    let lines = [("viewer", VIEWER), ("operator", OPERATOR), ("flood", FLOOD), ("police", POLICE), ("admin", ADMIN)];
    let lines: Vec<String> = lines.map(|(role, token)| format!("{role} {role}-1 {token}\n")).into();
    std::fs::write(&file, lines.concat()).expect("write the tokens");
    (dir, WallConfig { tokens_file: Some(file), map: Some(map()), ..WallConfig::default() })
}

/// The map of the repository.
fn map() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/map.geojson")
}

/// A request that each route takes, so that only who asks decides.
fn request(route: &Route) -> (String, &'static str) {
    const BETWEEN: &str = "from=1761490000000&to=1761490600000";
    let path = match route.path {
        "/api/cameras/{id}/frame" | "/api/cameras/{id}/boxes" => route.path.replace("{id}", "cam-1"),
        "/cap/{file}" => "/cap/1.xml".to_owned(),
        path => path
            .replace("{id}", "river-bd3.kimlong")
            .replace("{name}", "picture-1.jpg")
            .replace("{token}", "abc")
            .replace("{file}", "none.js"),
    };
    let path = match (route.method, route.path) {
        ("GET", "/api/query") => format!("{path}?sql=SELECT+1"),
        (_, "/api/series") => format!("{path}?stream=water_level&key=kimlong&field=value&{BETWEEN}"),
        (_, "/api/alerts" | "/api/handover" | "/api/handover.pdf" | "/api/past") => format!("{path}?{BETWEEN}"),
        (_, "/api/records/{id}") => format!("{path}?why=complaint+12"),
        _ => path,
    };
    let body = match route.path.rsplit('/').next() {
        _ if route.method == "GET" => "",
        Some("shelve") => r#"{"by": "Anh Sơn", "why": "đang sửa", "for": "2h"}"#,
        Some("query") => "SELECT 1",
        Some("exercise") => r#"{"by": "Anh Sơn", "on": true}"#,
        Some("comment") => r#"{"by": "Anh Sơn", "text": "đã gọi trạm"}"#,
        Some("assign") => r#"{"by": "Anh Sơn", "to": "Chị Lan"}"#,
        Some("scene") => r#"{"pinned": "flood"}"#,
        Some("decide") => r#"{"decision": "accept"}"#,
        Some("search") => r#"{"plate": "75A-123.45", "why": "complaint 12"}"#,
        Some("export") => r#"{"filter": {}, "to": "CSGT", "purpose": "xử lý"}"#,
        Some("subscribe") => r#"{"endpoint": "x"}"#,
        Some("unsubscribe") => r#"{"endpoint": "x"}"#,
        Some("login") => r#"{"user": "nobody", "password": "nothing"}"#,
        _ => r#"{"by": "Anh Sơn"}"#,
    };
    (path, body)
}

fn status(served: &Served, route: &Route, token: Option<&str>) -> u16 {
    let (path, body) = request(route);
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    call(&served.url(&path), route.method, &headers, body).status().as_u16()
}

/// What a route answers once one is let in; the files of the pages are there only when they were built.
fn let_in(route: &Route) -> &'static [u16] {
    match (route.method, route.path) {
        (_, "/assets/{file}" | "/sw.js" | "/staff.webmanifest" | "/icon.svg") => &[200, 404],
        (_, "/api/login") => &[401, 429],
        (_, "/api/logout") => &[204],
        (_, "/api/oidc" | "/api/oidc/login" | "/api/oidc/callback") => &[404],
        _ => &[200],
    }
}

#[test]
fn every_route_asks_for_its_right() {
    let (_dir, config) = with_tokens();
    let served = Served::start(config);
    let people = [(Role::Viewer, VIEWER), (Role::Operator, OPERATOR), (Role::Flood, FLOOD), (Role::Police, POLICE), (Role::Admin, ADMIN)];
    for route in ROUTES {
        let public = route.right == Right::Public;
        for stranger in [None, Some("viewer-token-9876543210")] {
            let found = status(&served, route, stranger);
            let expected = if public { let_in(route) } else { &[401] };
            assert!(expected.contains(&found), "{} {} by a stranger: {found}", route.method, route.path);
        }
        for (role, token) in people {
            let found = status(&served, route, Some(token));
            let expected = if role.may(route.right) { let_in(route) } else { &[403] };
            assert!(expected.contains(&found), "{} {} by {}: {found}, expected {expected:?}", route.method, route.path, role.as_str());
        }
    }
}

#[test]
fn rights_are_what_each_role_needs_and_nobody_reads_plates_but_the_police() {
    let may = |right| Role::ALL.into_iter().filter(|role| role.may(right)).collect::<Vec<_>>();
    assert_eq!(may(Right::View), Role::ALL);
    assert_eq!(may(Right::Acknowledge), [Role::Operator, Role::Flood, Role::Admin]);
    assert_eq!(may(Right::Operate), [Role::Operator, Role::Admin]);
    assert_eq!(may(Right::Release), [Role::Flood, Role::Admin]);
    assert_eq!(may(Right::Review), [Role::Police]);
    assert_eq!(may(Right::Audit), [Role::Admin]);
}

#[test]
fn without_users_and_tokens_all_may_look_and_nobody_may_do_anything() {
    let served = Served::start(WallConfig { map: Some(map()), ..WallConfig::default() });
    for route in ROUTES {
        let look = matches!(route.right, Right::Public | Right::View);
        let found = status(&served, route, None);
        let expected = if look { let_in(route) } else { &[403] };
        assert!(expected.contains(&found), "{} {}: {found}", route.method, route.path);
    }
    let mut refused = call(&served.url("/api/alerts/x/acknowledge"), "POST", &[], "");
    assert!(json(&mut refused)["error"].as_str().is_some_and(|why| why.contains("tokens_file")));
    assert!(served.city.asked().is_empty());
}

#[test]
fn what_cannot_be_noted_is_not_shown() {
    let (_dir, config) = with_tokens();
    let served = Served::start(config);
    let bearer = format!("Bearer {POLICE}");
    let get = |path: &str| call(&served.url(path), "GET", &[("authorization", &bearer)], "").status().as_u16();
    assert_eq!(get("/api/records/abc"), 400, "a look needs a reason");
    assert_eq!(get("/api/records?plate=75A-123.45"), 400, "a plate does not go into an address");
    assert_eq!(get("/api/records/abc?why=complaint+12"), 200);
    assert_eq!(get("/api/records/abc/files/picture-1.jpg"), 200);
    let noted = ["police-1 police show-record abc asked", "police-1 police show-record-file abc/picture-1.jpg asked"];
    assert_eq!(served.city.noted(), noted);
    served.city.full.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(get("/api/records/abc?why=complaint+12"), 500);
    let mut package = {
        served.city.full.store(false, std::sync::atomic::Ordering::Relaxed);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        call(&served.url("/api/records/export"), "POST", &headers, r#"{"to": "CSGT", "purpose": "xử lý"}"#)
    };
    assert_eq!(package.headers()["content-disposition"], "attachment; filename=\"huong-1.zip\"");
    assert_eq!(package.body_mut().read_to_string().expect("a package"), "PK");
}

#[test]
fn the_past_is_played_in_the_words_of_the_present() {
    let served = Served::start(WallConfig::default());
    let from = NOW.as_millis() - 600_000;
    let mut answer = call(&served.url(&format!("/api/past?from={from}&to={}", NOW.as_millis())), "GET", &[], "");
    let past = json(&mut answer);
    assert_eq!(past["snapshot"]["alerts"][0]["id"], "river-bd3.phuoc");
    assert_eq!(past["snapshot"]["values"][0]["fields"][0]["number"], 3.4);
    assert_eq!(past["snapshot"]["clock"]["now"], from);
    let deltas = past["deltas"].as_array().expect("a list");
    assert_eq!(deltas.len(), 1, "what is pending reaches no screen: {deltas:?}");
    let at = (from + 12_345) / 10_000 * 10_000;
    assert_eq!((&deltas[0]["at"], &deltas[0]["alerts"][0]["kind"]), (&serde_json::json!(at), &serde_json::json!("raised")));
    assert_eq!(deltas[0]["values"][0]["fields"][0]["number"], 3.62);
    for wrong in [format!("from={from}&to={from}"), format!("from={from}&to={}", from + 7 * 3_600_000), "from=1".to_owned()] {
        assert_eq!(call(&served.url(&format!("/api/past?{wrong}")), "GET", &[], "").status(), 400, "{wrong}");
    }
}

#[test]
fn all_screens_stay_on_the_scene_that_is_pinned() {
    let (dir, config) = with_tokens();
    let config = WallConfig { open: true, dir: Some(dir.path().join("wall")), ..config };
    let served = Served::start(config.clone());
    let mut events = served.events();
    assert_eq!(events.snapshot()["scene"]["pinned"], Value::Null);
    let bearer = format!("Bearer {OPERATOR}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let pin = |body: &str| call(&served.url("/api/scene"), "POST", &headers, body).status().as_u16();
    assert_eq!((pin(r#"{"pinned": "flood"}"#), pin(r#"{"pinned": "party"}"#)), (200, 422));
    let told = events.until("the scene", |_, event| event["scene"]["pinned"] == "flood");
    assert_eq!(told["scene"]["by"], "operator-1");
    assert_eq!(served.events().snapshot()["scene"]["pinned"], "flood", "and who connects later");
    drop(served);
    let scene = Served::start(config.clone()).events().snapshot()["scene"].clone();
    assert_eq!((&scene["pinned"], &scene["by"]), (&"flood".into(), &"operator-1".into()), "a restart frees no screen");
    std::fs::write(dir.path().join("wall/scene.json"), "flood").expect("writable");
    assert_eq!(Served::start(config).events().snapshot()["scene"]["pinned"], Value::Null, "no damaged scene keeps alarms from the screens");
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
        ("GET", "/api/query?sql=SELECT+1%2B1", "*/*", "", "application/json", "operator-1 Json SELECT 1+1"),
        ("GET", "/api/query?sql=x&format=csv", "application/json", "", "text/csv; charset=utf-8", "operator-1 Csv x"),
        ("POST", "/api/query", "text/html, text/csv;q=0.5", "x & y", "text/csv; charset=utf-8", "operator-1 Csv x & y"),
        ("POST", "/api/query?format=arrow", "*/*", "x", "application/vnd.apache.arrow.stream", "operator-1 Arrow x"),
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
    let told = json(&mut opened);
    assert_eq!((&told["role"], &told["name"], &told["login"]), (&"viewer".into(), &"viewer-1".into(), &false.into()));
    let pair = cookie.split(';').next().expect("a name and a value");
    assert_eq!(call(&served.url("/api/snapshot"), "GET", &[("cookie", &format!("other=1; {pair}"))], "").status(), 200);
    assert_eq!(call(&served.url("/api/snapshot"), "GET", &[("cookie", "huong_token=x")], "").status(), 401);
}

#[test]
fn every_answer_is_hardened_and_frames_say_when_they_were_taken() {
    let served = Served::start(WallConfig::default());
    for path in ["/", "/wall", "/assets/none.js", "/api/snapshot", "/metrics", "/no/such/page", "/api/cameras/none/frame"] {
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
