//! People who sign in: in their own name, over a restart, over TLS, and who guesses.

use huong_types::Order;
use huong_wall::{Role, WallConfig, WallTls, user_line};
use ureq::Agent;

use crate::roles::{call, json, try_call};
use crate::support::Served;

const PASSWORD: &str = "sông Hương 1999";

fn with_users() -> (tempfile::TempDir, WallConfig) {
    let dir = tempfile::tempdir().expect("a directory for the users");
    let file = dir.path().join("users");
    let line = |role, name| user_line(role, name, PASSWORD).expect("a good password");
    std::fs::write(&file, format!("{}\n{}\n", line(Role::Operator, "lan"), line(Role::Police, "minh"))).expect("write the users");
    let kept = dir.path().join("wall");
    (dir, WallConfig { users_file: Some(file), dir: Some(kept), ..WallConfig::default() })
}

/// The session's cookie and what a change needs beside it.
fn login(served: &Served, user: &str) -> (String, String) {
    let body = serde_json::json!({ "user": user, "password": PASSWORD }).to_string();
    let mut answer = call(&served.url("/api/login"), "POST", &[("content-type", "application/json")], &body);
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().expect("plain text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let told = json(&mut answer);
    (cookie.split(';').next().expect("a pair").to_owned(), told["csrf"].as_str().expect("a token").to_owned())
}

#[test]
fn a_person_signs_in_acts_in_their_own_name_and_is_signed_in_after_a_restart() {
    let (_dir, config) = with_users();
    let served = Served::start(config.clone());
    let (cookie, csrf) = login(&served, "lan");
    drop(served);
    let served = Served::start(config);
    let kind = ("content-type", "application/json");
    let post = |headers: &[(&str, &str)]| {
        let body = r#"{"by": "somebody else"}"#;
        call(&served.url("/api/alerts/river-bd3.kimlong/acknowledge"), "POST", headers, body).status().as_u16()
    };
    assert_eq!(post(&[kind]), 401);
    assert_eq!(post(&[kind, ("cookie", &cookie)]), 403, "another site can send the cookie, not the header");
    assert_eq!(post(&[kind, ("cookie", &cookie), ("x-csrf-token", &csrf.replace(['1', '2', '3'], "0"))]), 403);
    assert_eq!(post(&[kind, ("cookie", &cookie), ("x-csrf-token", &csrf)]), 200);
    assert_eq!(served.city.asked(), [Order::Acknowledge { alert: "river-bd3.kimlong".to_owned(), by: "lan".to_owned() }]);
    let mut session = call(&served.url("/api/session"), "GET", &[("cookie", &cookie)], "");
    let rights = serde_json::json!(["view", "acknowledge", "operate"]);
    assert_eq!(json(&mut session), serde_json::json!({ "role": "operator", "name": "lan", "rights": rights, "csrf": csrf, "login": true }));
    assert_eq!(call(&served.url("/api/records"), "GET", &[("cookie", &cookie)], "").status(), 403);
    let out = call(&served.url("/api/logout"), "POST", &[("cookie", &cookie), ("x-csrf-token", &csrf)], "");
    assert_eq!(out.status(), 204);
    assert_eq!(call(&served.url("/api/snapshot"), "GET", &[("cookie", &cookie)], "").status(), 401);
    assert_eq!(served.city.noted(), ["lan operator acknowledge river-bd3.kimlong done", "lan operator logout  done"]);
}

#[test]
fn who_guesses_a_password_is_made_to_wait_and_stands_in_the_log() {
    let (_dir, config) = with_users();
    let served = Served::start(config);
    let attempt = |user: &str, password: &str| {
        let body = serde_json::json!({ "user": user, "password": password }).to_string();
        call(&served.url("/api/login"), "POST", &[("content-type", "application/json")], &body)
    };
    let mut unknown = attempt("nobody", "x");
    let mut wrong = attempt("lan", "x");
    assert_eq!((unknown.status().as_u16(), wrong.status().as_u16()), (401, 401));
    assert_eq!(json(&mut unknown), json(&mut wrong), "no answer tells whether a name exists");
    (0..4).for_each(|_| assert_eq!(attempt("lan", "y").status(), 401));
    let refused = attempt("lan", PASSWORD);
    assert_eq!(refused.status(), 429, "not even with the right one");
    assert!(refused.headers()["retry-after"].to_str().is_ok_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait > 800)));
    assert_eq!(attempt("minh", PASSWORD).status(), 200);
    let noted = served.city.noted();
    assert_eq!((noted.len(), noted[1].as_str(), noted[6].as_str()), (7, "lan viewer login  refused", "minh police login  done"));
}

#[test]
fn over_tls_nothing_goes_in_the_clear_and_cookies_stay_there() {
    let dir = tempfile::tempdir().expect("a directory for the key");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("writable");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writable");
    let (_users, config) = with_users();
    let served = Served::start(WallConfig { tls: Some(WallTls { cert, key }), ..config });
    let root = ureq::tls::Certificate::from_pem(made.cert.pem().as_bytes()).expect("PEM").to_owned();
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
    let agent: Agent = Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into();
    let url = format!("https://127.0.0.1:{}/api/login", served.address.port());
    let body = serde_json::json!({ "user": "lan", "password": PASSWORD }).to_string();
    let answer = agent.post(&url).content_type("application/json").send(&body).expect("an answer over TLS");
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["set-cookie"].to_str().is_ok_and(|cookie| cookie.ends_with("; Secure")));
    assert!(answer.headers().contains_key("strict-transport-security"));
    assert!(try_call(&served.url("/healthz"), "GET", &[], "").is_err(), "not in the clear");
}
