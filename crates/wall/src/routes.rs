//! The routes, the right that each needs, and what every answer carries.
//!
//! Invariant: every route is a row of [`ROUTES`], and no handler runs before its row's right was checked.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::auth::Right;
use crate::config::Tiles;
use crate::oidc::CALLBACK;
use crate::server::{Shared, health, map, map_source, metrics_text, openapi, refusal, scene};
use crate::{assets, federated, live, login, lookups, orders, query};

/// A path, its method and what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub right: Right,
}

/// All routes. A path that is not here does not exist.
pub const ROUTES: &[Route] = &[
    get("/", Right::Public),
    get("/wall", Right::Public),
    get("/console", Right::Public),
    get("/staff", Right::Public),
    get("/assets/{file}", Right::Public),
    get("/sw.js", Right::Public),
    get("/staff.webmanifest", Right::Public),
    get("/icon.svg", Right::Public),
    get("/healthz", Right::Public),
    get("/metrics", Right::View),
    post("/api/login", Right::Public),
    get("/api/oidc", Right::Public),
    get("/api/oidc/login", Right::Public),
    get(CALLBACK, Right::Public),
    get("/api/session", Right::View),
    post("/api/session", Right::View),
    post("/api/logout", Right::View),
    get("/api/events", Right::View),
    get("/api/snapshot", Right::View),
    get("/api/latest", Right::View),
    get("/api/map", Right::View),
    get("/api/map/source", Right::View),
    get("/api/series", Right::View),
    get("/api/past", Right::View),
    get("/api/handover", Right::View),
    get("/api/handover.pdf", Right::View),
    get("/api/cameras/{id}/frame", Right::View),
    get("/api/cameras/{id}/boxes", Right::View),
    // Plates and calls are in the tables: the same right as for orders, and every query is noted by whoever answers it.
    get("/api/query", Right::Operate),
    post("/api/query", Right::Operate),
    get("/api/alerts", Right::View),
    get("/api/alerts/{id}", Right::View),
    post("/api/alerts/{id}/acknowledge", Right::Acknowledge),
    post("/api/alerts/{id}/comment", Right::Acknowledge),
    post("/api/alerts/{id}/coming", Right::Acknowledge),
    post("/api/alerts/{id}/assign", Right::Operate),
    post("/api/alerts/{id}/shelve", Right::Operate),
    post("/api/alerts/{id}/unshelve", Right::Operate),
    post("/api/exercise", Right::Operate),
    post("/api/scene", Right::Operate),
    get("/api/records", Right::Review),
    get("/api/records/words", Right::Review),
    get("/api/records/{id}", Right::Review),
    get("/api/records/{id}/files/{name}", Right::Review),
    post("/api/records/{id}/decide", Right::Review),
    post("/api/records/search", Right::Review),
    post("/api/records/export", Right::Review),
    get("/api/handovers", Right::Review),
    get("/api/openapi.json", Right::Review),
    get("/api/audit", Right::Audit),
    get("/api/push/key", Right::View),
    post("/api/push/subscribe", Right::View),
    post("/api/push/unsubscribe", Right::View),
    get("/api/cap", Right::View),
    post("/api/cap/{id}/release", Right::Release),
    post("/api/cap/{id}/reject", Right::Release),
    // What was released to the public is public.
    get("/cap/{file}", Right::Public),
    get("/feed.atom", Right::Public),
    // The token in the path is the right.
    get("/api/link/{token}", Right::Public),
    post("/api/link/{token}", Right::Public),
];

const fn get(path: &'static str, right: Right) -> Route {
    Route { method: "GET", path, right }
}

const fn post(path: &'static str, right: Right) -> Route {
    Route { method: "POST", path, right }
}

/// A request's body is one small JSON object.
const BODY_LIMIT: usize = 4096;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    use axum::routing::{get, post};
    Router::new()
        .route("/", get(assets::page))
        .route("/wall", get(assets::page))
        .route("/console", get(assets::page))
        .route("/staff", get(assets::page))
        .route("/assets/{file}", get(assets::asset))
        .route("/sw.js", get(assets::fixed))
        .route("/staff.webmanifest", get(assets::fixed))
        .route("/icon.svg", get(assets::fixed))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics_text))
        .route("/api/login", post(login::login))
        .route("/api/oidc", get(federated::offered))
        .route("/api/oidc/login", get(federated::begin))
        .route(CALLBACK, get(federated::back))
        .route("/api/session", get(login::session).post(login::open_session))
        .route("/api/logout", post(login::logout))
        .route("/api/events", get(live::events))
        .route("/api/snapshot", get(live::snapshot))
        .route("/api/latest", get(live::latest))
        .route("/api/map", get(map))
        .route("/api/map/source", get(map_source))
        .route("/api/series", get(lookups::series))
        .route("/api/past", get(lookups::past))
        .route("/api/handover", get(lookups::hand_over))
        .route("/api/handover.pdf", get(lookups::hand_over_sheet))
        .route("/api/cameras/{id}/frame", get(live::frame))
        .route("/api/cameras/{id}/boxes", get(lookups::boxes))
        .route("/api/query", get(query::query).post(query::query).layer(DefaultBodyLimit::max(query::LONGEST_SQL)))
        .route("/api/alerts", get(lookups::alerts))
        .route("/api/alerts/{id}", get(lookups::alert))
        .route("/api/alerts/{id}/acknowledge", post(orders::acknowledge))
        .route("/api/alerts/{id}/comment", post(orders::comment))
        .route("/api/alerts/{id}/coming", post(orders::coming))
        .route("/api/alerts/{id}/assign", post(orders::assign))
        .route("/api/alerts/{id}/shelve", post(orders::shelve))
        .route("/api/alerts/{id}/unshelve", post(orders::unshelve))
        .route("/api/exercise", post(orders::exercise))
        .route("/api/scene", post(scene))
        .route("/api/records", get(lookups::records))
        .route("/api/records/words", get(lookups::record_words))
        .route("/api/records/{id}", get(lookups::record))
        .route("/api/records/{id}/files/{name}", get(lookups::record_file))
        .route("/api/records/{id}/decide", post(lookups::decide))
        .route("/api/records/search", post(lookups::search))
        .route("/api/records/export", post(lookups::export))
        .route("/api/handovers", get(lookups::hand_overs))
        .route("/api/openapi.json", get(openapi))
        .route("/api/audit", get(lookups::actions))
        .route("/api/push/key", get(lookups::push_key))
        .route("/api/push/subscribe", post(lookups::subscribe))
        .route("/api/push/unsubscribe", post(lookups::unsubscribe))
        .route("/api/cap", get(lookups::warnings))
        .route("/api/cap/{id}/release", post(lookups::release))
        .route("/api/cap/{id}/reject", post(lookups::reject))
        .route("/cap/{file}", get(lookups::warning))
        .route("/feed.atom", get(lookups::atom))
        .route("/api/link/{token}", get(lookups::link).post(lookups::follow_link))
        .route_layer(from_fn_with_state(Arc::clone(&shared), admit))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "no such page") })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(Arc::clone(&shared), harden))
        .with_state(shared)
}

/// What a page may load and do: our own files; the map's tiles, where they are configured; pictures that it draws itself.
pub(crate) fn policy(tiles: Option<&Tiles>) -> HeaderValue {
    let map = tiles.and_then(Tiles::origin).map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy = format!(
        "default-src 'self'; img-src 'self' data: blob:{map}; connect-src 'self'{map}; worker-src 'self' blob:; object-src 'none'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'self'"))
}

/// Checks the right that [`ROUTES`] asks for; a route without a row is refused.
async fn admit(
    State(shared): State<Arc<Shared>>,
    path: MatchedPath,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    // Here rather than by each handler's extractor, which would answer in plain text.
    if let Err(rejection @ RawPathParamsRejection::InvalidUtf8InPathParam(_)) = params {
        return refusal(rejection.status(), &rejection.body_text());
    }
    let method = if request.method() == axum::http::Method::HEAD { "GET" } else { request.method().as_str() };
    let Some(route) = ROUTES.iter().find(|route| route.path == path.as_str() && route.method == method) else {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "no such method here");
    };
    match shared.gate.admit(request.headers(), request.method(), route.right) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) => {
            let status = if denied.unknown() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            let mut response = refusal(status, &denied.to_string());
            if denied.unknown() {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// On every answer: nothing but what the policy names may run or load in a page, and nothing is kept but the pages' files.
async fn harden(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, shared.policy.clone());
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if shared.config.tls.is_some() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
