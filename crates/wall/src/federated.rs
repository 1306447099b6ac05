//! Signing in with the city's own accounts: to the provider and back.
//!
//! Invariant: who comes back is the browser that was sent, with an ID token for that very sign-in; who is refused stands in the log and learns no more
//! than that.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::asked::Asked;
use crate::auth::{Caller, Role, same};
use crate::gate::cookie;
use crate::login::{secure, signed_in, with_cookie};
use crate::oidc::{Attempt, Person};
use crate::orders::{LONGEST_NAME, line};
use crate::server::{Shared, refusal};
use crate::users::new_token;

/// The cookie that holds an attempt on its way: `state.nonce.verifier.page`.
const ATTEMPT: &str = "huong_signing_in";
/// Seconds that a person may take at the provider.
const PATIENCE: u32 = 600;
/// Where one may come from and go back to.
const PAGES: [&str; 2] = ["console", "staff"];

type Here = State<Arc<Shared>>;

#[derive(Deserialize)]
pub(crate) struct Begin {
    page: Option<String>,
}

/// What the provider sends a browser back with; it may say more.
#[derive(Deserialize)]
pub(crate) struct Back {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Whether there is such a sign-in, and where it begins.
pub(crate) async fn offered(State(shared): Here) -> Response {
    match &shared.gate.oidc {
        Some(_) => Json(json!({ "begin": "/api/oidc/login" })).into_response(),
        None => none(),
    }
}

fn none() -> Response {
    refusal(StatusCode::NOT_FOUND, "no provider is configured: set [wall.oidc]")
}

/// Sends the browser to the provider.
pub(crate) async fn begin(State(shared): Here, from: Result<Query<Begin>, QueryRejection>) -> Response {
    let Some(oidc) = shared.gate.oidc.clone() else { return none() };
    let page = from.ok().and_then(|Query(from)| from.page);
    let page = PAGES.into_iter().find(|known| page.as_deref() == Some(known)).unwrap_or(PAGES[0]);
    let attempt = match (new_token(), new_token(), new_token()) {
        (Ok(state), Ok(nonce), Ok(verifier)) => Attempt { state, nonce, verifier },
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
            tracing::error!(why, "nobody can sign in");
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers");
        }
    };
    let Attempt { state, nonce, verifier } = attempt.clone();
    let address = tokio::task::spawn_blocking(move || oidc.address(&attempt).map_err(|error| error.to_string())).await;
    match address.map_err(|error| error.to_string()).and_then(|address| address) {
        // Lax: the way back begins at the provider's site.
        Ok(address) => {
            let kept = format!("{ATTEMPT}={state}.{nonce}.{verifier}.{page}; Path=/api/oidc; Max-Age={PATIENCE}; HttpOnly; SameSite=Lax");
            with_cookie(to(&address), &format!("{kept}{}", secure(&shared)))
        }
        Err(why) => {
            tracing::error!(why, "the provider of sign-ins cannot be used");
            to(&format!("/{page}#away"))
        }
    }
}

/// Takes in who comes back from the provider.
pub(crate) async fn back(State(shared): Here, mut asked: Asked, headers: HeaderMap, back: Result<Query<Back>, QueryRejection>) -> Response {
    let Some(oidc) = shared.gate.oidc.clone() else { return none() };
    asked.caller = Caller { role: Role::Viewer, name: None, person: false };
    if let Some(wait) = shared.gate.wait(asked.address, None) {
        let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "too many sign-ins that failed: wait");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let kept: Vec<&str> = cookie(&headers, ATTEMPT).map(|kept| kept.split('.').collect()).unwrap_or_default();
    let page = PAGES.into_iter().find(|known| kept.get(3) == Some(known)).unwrap_or(PAGES[0]);
    let person = match (&kept[..], back) {
        ([state, nonce, verifier, _], Ok(Query(Back { state: Some(given), code: Some(code), error: None })))
            if same(given.as_bytes(), state.as_bytes()) =>
        {
            let attempt = Attempt { state: (*state).to_owned(), nonce: (*nonce).to_owned(), verifier: (*verifier).to_owned() };
            let person = tokio::task::spawn_blocking(move || oidc.person(&code, &attempt).map_err(|error| error.to_string())).await;
            person.map_err(|error| error.to_string()).and_then(|person| person)
        }
        ([state, ..], Ok(Query(Back { state: Some(given), error: Some(error), .. }))) if same(given.as_bytes(), state.as_bytes()) => {
            Err(format!("the provider said {}", error.chars().take(64).collect::<String>().escape_debug()))
        }
        _ => Err("it is not this browser's sign-in".to_owned()),
    };
    let accepted = person.and_then(|person| accept(&shared, person, &mut asked));
    let (outcome, role) = match &accepted {
        Ok(role) => ("done".to_owned(), Some(*role)),
        Err(why) => (format!("refused: {why}"), None),
    };
    if let Err(refused) = asked.note(&shared, "login", "oidc", &outcome).await {
        return *refused;
    }
    let response = match role {
        Some(role) => signed_in(&shared, &asked.caller, Some(role), |_| to(&format!("/{page}"))),
        None => {
            tracing::warn!(outcome, "a sign-in by the provider failed");
            shared.gate.mistaken(asked.address, None);
            to(&format!("/{page}#refused"))
        }
    };
    with_cookie(response, &format!("{ATTEMPT}=; Path=/api/oidc; Max-Age=0; HttpOnly; SameSite=Lax{}", secure(&shared)))
}

/// The role of a person, or why they are not let in; their name is noted either way.
fn accept(shared: &Shared, person: Person, asked: &mut Asked) -> Result<Role, String> {
    let name = line("name", &person.name, LONGEST_NAME).map_err(|_| format!("a name is at most {LONGEST_NAME} characters in a line"))?;
    // Two people of one name would be one in the log.
    if shared.gate.users.role(&name).is_some() {
        return Err("somebody in users_file has this name".to_owned());
    }
    asked.caller.name = Some(name);
    let role = person.role.ok_or_else(|| "no configured role is theirs".to_owned())?;
    (asked.caller.role, asked.caller.person) = (role, true);
    Ok(role)
}

fn to(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(_) => refusal(StatusCode::BAD_GATEWAY, "the provider's address cannot be followed"),
    }
}
