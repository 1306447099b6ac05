//! Signing in and out, and who one is.
//!
//! Invariant: no answer tells whether a name exists.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::asked::Asked;
use crate::auth::{Caller, Role};
use crate::gate::{DEVICE, Presented, SESSION, csrf, presented};
use crate::orders::{Body, line, parse};
use crate::server::{Shared, refusal};

const LONGEST: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    user: String,
    password: String,
}

/// Who one is and what one may; with the token that changes need beside a cookie.
pub(crate) async fn session(State(shared): State<Arc<Shared>>, asked: Asked, headers: HeaderMap) -> Response {
    let csrf = match presented(&headers) {
        Presented::Device(secret) | Presented::Session(secret) => Some(csrf(secret)),
        Presented::Nothing | Presented::Bearer(_) => None,
    };
    told(&shared, &asked.caller, csrf.as_deref()).into_response()
}

fn told(shared: &Shared, caller: &Caller, csrf: Option<&str>) -> Json<serde_json::Value> {
    // Without users and tokens whoever can reach the page may look; what needs a name is not offered.
    let login = !shared.gate.users.is_empty() || shared.gate.oidc.is_some();
    Json(json!({ "role": caller.role.as_str(), "name": caller.name, "rights": caller.role.rights(), "csrf": csrf, "login": login }))
}

/// Turns the bearer token of this request into a cookie, because a screen's event stream and pictures carry no header.
pub(crate) async fn open_session(State(shared): State<Arc<Shared>>, asked: Asked, headers: HeaderMap) -> Response {
    let Presented::Bearer(token) = presented(&headers) else { return session(State(shared), asked, headers).await };
    // Tokens are letters, digits and -_.~ only, so they need no quoting; a screen on a wall is not asked to sign in again.
    let cookie = format!("{DEVICE}={token}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict{}", secure(&shared));
    with_cookie(told(&shared, &asked.caller, Some(&csrf(token))).into_response(), &cookie)
}

pub(crate) async fn login(State(shared): State<Arc<Shared>>, mut asked: Asked, body: Body<Login>) -> Response {
    let Login { user, password } = match parse(body) {
        Ok(login) => login,
        Err(refused) => return *refused,
    };
    let user = match line("user", &user, LONGEST) {
        Ok(user) => user,
        Err(refused) => return *refused,
    };
    asked.caller = Caller { role: Role::Viewer, name: Some(user.clone()), person: false };
    if let Some(wait) = shared.gate.wait(asked.address, Some(&user)) {
        let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords: wait");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let gate = Arc::clone(&shared.gate);
    let name = user.clone();
    // Argon2 takes a while, on purpose.
    let role = tokio::task::spawn_blocking(move || gate.users.check(&name, &password)).await.ok().flatten();
    let Some(role) = role else {
        shared.gate.mistaken(asked.address, Some(&user));
        // A password typed into the wrong field must not stand in a log.
        if shared.gate.users.role(&user).is_none() {
            asked.caller.name = None;
        }
        return match asked.note(&shared, "login", "", "refused").await {
            Ok(()) => refusal(StatusCode::UNAUTHORIZED, "the name or the password is wrong"),
            Err(refused) => *refused,
        };
    };
    shared.gate.right(asked.address, &user);
    asked.caller = Caller { role, name: Some(user.clone()), person: true };
    if let Err(refused) = asked.note(&shared, "login", "", "done").await {
        return *refused;
    }
    signed_in(&shared, &asked.caller, None, |secret| told(&shared, &asked.caller, Some(&csrf(secret))).into_response())
}

/// Begins a session of `caller` and adds its cookie to what `answer` makes; `given` is the role that a provider gave.
pub(crate) fn signed_in(shared: &Shared, caller: &Caller, given: Option<Role>, answer: impl FnOnce(&str) -> Response) -> Response {
    match shared.gate.sessions.begin(caller.name.as_deref().unwrap_or_default(), given) {
        Ok(secret) => {
            let age = shared.config.session.to_std().as_secs();
            let cookie = format!("{SESSION}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{}", secure(shared));
            with_cookie(answer(&secret), &cookie)
        }
        Err(why) => {
            tracing::error!(why, "a session cannot be kept");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the session cannot be kept")
        }
    }
}

pub(crate) async fn logout(State(shared): State<Arc<Shared>>, asked: Asked, headers: HeaderMap) -> Response {
    if let Presented::Session(secret) = presented(&headers)
        && let Err(why) = shared.gate.sessions.end(secret)
    {
        tracing::error!(why, "the end of a session cannot be kept");
    }
    if let Err(refused) = asked.note(&shared, "logout", "", "done").await {
        return *refused;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for name in [SESSION, DEVICE] {
        response = with_cookie(response, &format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{}", secure(&shared)));
    }
    response
}

pub(crate) fn secure(shared: &Shared) -> &'static str {
    if shared.config.tls.is_some() { "; Secure" } else { "" }
}

pub(crate) fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
