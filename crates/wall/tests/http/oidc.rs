//! Signing in with the city's own accounts, before a provider that others' cryptography signs for: `tests/peers/oidc.py`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use huong_types::{Order, Problems, Span};
use huong_wall::{OidcConfig, OidcRole, Role, WallConfig, user_line};
use ureq::Body;
use ureq::http::Response;

use crate::roles::{call, json, try_call};
use crate::support::{Served, wait_for};

const SECRET: &str = "a secret: of/the client";

struct Provider {
    port: u16,
    child: Child,
}

impl Provider {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = root.join("../../vendor/pytest");
        assert!(packages.is_dir(), "{} is missing: `make test` fetches it", packages.display());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut command = Command::new("python3");
        command.arg(root.join("tests/peers/oidc.py")).arg(port.to_string()).env("PYTHONPATH", packages);
        let provider = Self { port, child: command.spawn().expect("python starts") };
        wait_for("the provider", || try_call(&provider.issuer(), "GET", &[], "").is_ok());
        provider
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was running");
    }
}

fn config(provider: &Provider, dir: &Path) -> WallConfig {
    let (secret, users) = (dir.join("secret"), dir.join("users"));
    std::fs::write(&secret, format!("{SECRET}\n")).expect("writable");
    std::fs::write(&users, user_line(Role::Viewer, "minh", "sông Hương 1999").expect("a good password")).expect("writable");
    let roles = [("huong-admins", Role::Admin), ("huong-operators", Role::Operator)];
    let oidc = OidcConfig {
        issuer: provider.issuer(),
        client_id: "huong".to_owned(),
        secret_file: Some(secret),
        secret_env: None,
        // Where browsers would reach it: the tests go to the port that it has.
        redirect: "https://huong.hue.invalid/api/oidc/callback".to_owned(),
        scopes: vec!["profile".to_owned()],
        name: "preferred_username".to_owned(),
        claim: "realm.groups".to_owned(),
        roles: roles.map(|(value, role)| OidcRole { value: value.to_owned(), role }).into(),
        timeout: Span::from_secs(10),
    };
    WallConfig { users_file: Some(users), oidc: Some(oidc), dir: Some(PathBuf::from(dir).join("wall")), ..WallConfig::default() }
}

fn location(answer: &Response<Body>) -> String {
    answer.headers()["location"].to_str().expect("plain text").to_owned()
}

fn cookies(answer: &Response<Body>) -> Vec<String> {
    let all = answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("plain text"));
    all.map(|cookie| cookie.split(';').next().expect("a pair").to_owned()).collect()
}

/// Begins at the wall and goes to the provider, `more` behind the address; gives the browser's cookie and the way back.
fn away(served: &Served, more: &str) -> (String, String) {
    let begun = call(&served.url("/api/oidc/login?page=staff"), "GET", &[], "");
    assert_eq!(begun.status(), 303);
    let set = begun.headers()["set-cookie"].to_str().expect("plain text");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Max-Age=600"), "{set}");
    let at_provider = call(&format!("{}{more}", location(&begun)), "GET", &[], "");
    assert_eq!(at_provider.status(), 302, "the provider has no complaint");
    let back = location(&at_provider).replace("https://huong.hue.invalid", "");
    (cookies(&begun).remove(0), back)
}

fn come_back(served: &Served, cookie: &str, back: &str) -> Response<Body> {
    call(&served.url(back), "GET", &[("cookie", cookie)], "")
}

fn session(answer: &Response<Body>) -> Option<String> {
    cookies(answer).into_iter().find(|cookie| cookie.starts_with("huong_session="))
}

#[test]
fn a_person_of_the_city_signs_in_with_their_own_account_and_their_role() {
    let (provider, dir) = (Provider::start(), tempfile::tempdir().expect("a directory"));
    let config = config(&provider, dir.path());
    let mut problems = Problems::default();
    config.check("huong.toml", "wall", &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let served = Served::start(config.clone());
    assert_eq!(json(&mut call(&served.url("/api/oidc"), "GET", &[], ""))["begin"], "/api/oidc/login");
    assert_eq!(call(&served.url("/api/session"), "GET", &[], "").status(), 401, "a provider closes the door to who is nobody");
    let (cookie, back) = away(&served, "");
    let answer = come_back(&served, &cookie, &back);
    assert_eq!((answer.status().as_u16(), location(&answer).as_str()), (303, "/staff"));
    assert!(cookies(&answer).contains(&"huong_signing_in=".to_owned()), "the attempt is over");
    let cookie = session(&answer).expect("a session");
    let told = json(&mut call(&served.url("/api/session"), "GET", &[("cookie", &cookie)], ""));
    assert_eq!((&told["role"], &told["name"], &told["login"]), (&"operator".into(), &"Lan".into(), &true.into()), "{told}");
    drop(served);

    // A restart keeps the session and its role; they are believed only while there is a provider.
    let served = Served::start(config.clone());
    let headers =
        [("cookie", cookie.as_str()), ("x-csrf-token", told["csrf"].as_str().expect("a token")), ("content-type", "application/json")];
    assert_eq!(call(&served.url("/api/alerts/river-bd3.kimlong/acknowledge"), "POST", &headers, "{}").status(), 200);
    assert_eq!(served.city.asked(), [Order::Acknowledge { alert: "river-bd3.kimlong".to_owned(), by: "Lan".to_owned() }]);
    assert_eq!(call(&served.url("/api/audit"), "GET", &headers[..1], "").status(), 403);
    for (more, role) in [("&fault=es256", "operator"), ("&as=Hoa&groups=other,huong-operators,huong-admins", "admin")] {
        let (cookie, back) = away(&served, more);
        let cookie = session(&come_back(&served, &cookie, &back)).expect("a session");
        assert_eq!(json(&mut call(&served.url("/api/session"), "GET", &[("cookie", &cookie)], ""))["role"], role, "{more}");
    }
    assert_eq!(served.city.noted()[1..], ["Lan operator login oidc done", "Hoa admin login oidc done"]);
    drop(served);
    let served = Served::start(WallConfig { oidc: None, ..config });
    assert_eq!(call(&served.url("/api/session"), "GET", &headers[..1], "").status(), 401);
    assert_eq!(call(&served.url("/api/oidc/login"), "GET", &[], "").status(), 404);
}

#[test]
fn who_is_not_vouched_for_is_refused_and_stands_in_the_log() {
    let (provider, dir) = (Provider::start(), tempfile::tempdir().expect("a directory"));
    let served = Served::start(config(&provider, dir.path()));
    let refused = |answer: &Response<Body>, what: &str| {
        assert_eq!((answer.status().as_u16(), session(answer)), (303, None), "{what}");
        assert!(location(answer).ends_with("#refused"), "{what}: {}", location(answer));
    };
    let faults = [
        ("&fault=signature", " viewer login oidc refused: the ID token is refused: its signature is wrong"),
        ("&fault=audience", " viewer login oidc refused: the ID token is refused: it was made for another client"),
        ("&fault=nonce", " viewer login oidc refused: the ID token is refused: it answers another sign-in"),
        ("&fault=expired", " viewer login oidc refused: the ID token is refused: its time is over"),
        ("&fault=issuer", " viewer login oidc refused: the ID token is refused: another issuer made it"),
        ("&fault=none", " viewer login oidc refused: the ID token is refused: it is signed with another algorithm than RS256 and ES256"),
        ("&fault=hs256", " viewer login oidc refused: the ID token is refused: it is signed with another algorithm than RS256 and ES256"),
        ("&fault=kid", " viewer login oidc refused: the ID token is refused: none of the provider's keys is the one that it names"),
        ("&fault=denied", " viewer login oidc refused: the provider said access_denied"),
        ("&groups=other", "Lan viewer login oidc refused: no configured role is theirs"),
        ("&as=minh", " viewer login oidc refused: somebody in users_file has this name"),
    ];
    for (more, _) in faults {
        let (cookie, back) = away(&served, more);
        refused(&come_back(&served, &cookie, &back), more);
    }
    assert_eq!(served.city.noted(), faults.map(|(_, told)| told));

    // Another browser's way back, a changed state, a code that was used, and a verifier that is not the one that was hashed.
    let strange = " viewer login oidc refused: it is not this browser's sign-in";
    let (cookie, back) = away(&served, "");
    let (others, _) = away(&served, "");
    refused(&come_back(&served, &others, &back), "another browser");
    refused(&call(&served.url(&back), "GET", &[], ""), "no cookie");
    refused(&come_back(&served, &cookie, &back.replace("state=", "state=0")), "another state");
    refused(&come_back(&served, &cookie, "/api/oidc/callback"), "nothing");
    let mut parts: Vec<&str> = cookie.split('.').collect();
    parts[2] = "0123456789012345678901234567890123456789012345678901234567890123";
    refused(&come_back(&served, &parts.join("."), &back), "another verifier");
    let (cookie, back) = away(&served, "");
    assert!(session(&come_back(&served, &cookie, &back)).is_some());
    refused(&come_back(&served, &cookie, &back), "a code is for one use");
    let noted = &served.city.noted()[faults.len()..];
    assert_eq!(noted[..4], [strange; 4]);
    for (line, expected) in [(4, "400 Bad Request invalid_grant"), (6, "400 Bad Request invalid_grant")] {
        assert!(noted[line].contains("/token answered") && noted[line].contains(expected), "{}", noted[line]);
    }
    assert!(!noted.concat().contains("secret"));

    // Whoever goes on like that waits, and a provider that is away lets nobody in.
    wait_for("the limit", || call(&served.url("/api/oidc/callback"), "GET", &[], "").status() == 429);
    drop(provider);
    let fresh = Served::start(WallConfig { users_file: None, dir: None, ..config(&Provider::start(), dir.path()) });
    let answer = call(&fresh.url("/api/oidc/login"), "GET", &[], "");
    assert_eq!((answer.status().as_u16(), location(&answer).as_str()), (303, "/console#away"), "its provider has ended");
}

#[test]
fn mistakes_in_the_section_are_listed() {
    let text = "issuer = \"http://sso.invalid\"\nclient_id = \"huong\"\nredirect = \"https://huong.invalid/callback\"\nclaim = \"groups\"\nroles = []\nsecret_env = \"HUONG_NO_SUCH_VARIABLE\"";
    let mut problems = Problems::default();
    let oidc: OidcConfig = huong_types::load_toml("huong.toml", text, &mut problems).expect("well-formed");
    WallConfig { oidc: Some(oidc), ..WallConfig::default() }.check("huong.toml", "wall", &mut problems);
    let told = problems.to_string();
    assert_eq!(problems.list.len(), 4, "{told}");
    for part in ["wall.oidc.issuer: found `http://sso.invalid`", "wall.oidc.redirect", "wall.oidc.roles", "HUONG_NO_SUCH_VARIABLE"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}
