//! The routes, and the role that each needs.
//!
//! Invariant: every route is a row of [`ROUTES`], and no handler runs before its row's role was checked.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use huong_flow::Stop;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;

use crate::assets;
use crate::auth::{COOKIE, Caller, Role, Tokens, presented};
use crate::config::WallConfig;
use crate::connection::{Cut, accept};
use crate::hub::{Desk, Hub};
use crate::metrics;
use crate::model::Backend;
use crate::orders;
use crate::query;

/// A path, its method and who may use it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub role: Role,
}

/// All routes. A path that is not here does not exist.
pub const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/", role: Role::Public },
    Route { method: "GET", path: "/wall", role: Role::Public },
    Route { method: "GET", path: "/assets/{file}", role: Role::Public },
    Route { method: "GET", path: "/healthz", role: Role::Public },
    Route { method: "GET", path: "/metrics", role: Role::Viewer },
    Route { method: "GET", path: "/api/session", role: Role::Viewer },
    Route { method: "POST", path: "/api/session", role: Role::Viewer },
    Route { method: "GET", path: "/api/events", role: Role::Viewer },
    Route { method: "GET", path: "/api/snapshot", role: Role::Viewer },
    Route { method: "GET", path: "/api/latest", role: Role::Viewer },
    Route { method: "GET", path: "/api/cameras/{id}/frame", role: Role::Viewer },
    // Plates and calls are in the tables: the same role as for orders, and every query is noted by whoever answers it.
    Route { method: "GET", path: "/api/query", role: Role::Operator },
    Route { method: "POST", path: "/api/query", role: Role::Operator },
    Route { method: "POST", path: "/api/alerts/{id}/acknowledge", role: Role::Operator },
    Route { method: "POST", path: "/api/alerts/{id}/shelve", role: Role::Operator },
    Route { method: "POST", path: "/api/alerts/{id}/unshelve", role: Role::Operator },
    Route { method: "POST", path: "/api/exercise", role: Role::Operator },
];

/// A request's body is one small JSON object.
const BODY_LIMIT: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum WallError {
    #[error("the wall cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("the wall's tokens cannot be read: {0}")]
    Tokens(String),
    #[error("the wall may not listen on {0} without tokens")]
    Open(SocketAddr),
}

/// A bound server, not yet serving.
pub struct Wall {
    listener: TcpListener,
    address: SocketAddr,
    tokens: Tokens,
    config: WallConfig,
}

pub(crate) struct Shared {
    tokens: Tokens,
    desk: Desk,
    pub(crate) backend: Arc<dyn Backend>,
    config: WallConfig,
}

impl Wall {
    /// Binds the configured address; port 0 takes a free one, see [`Wall::address`].
    ///
    /// # Errors
    /// When the address is taken, or the configuration would not pass [`WallConfig::check`].
    pub async fn bind(config: WallConfig) -> Result<Wall, WallError> {
        let tokens = Tokens::load(&config).map_err(|mistakes| {
            WallError::Tokens(mistakes.iter().map(|m| format!("{}: {}", m.field, m.found)).collect::<Vec<_>>().join("; "))
        })?;
        if tokens.is_empty() && !config.listen.ip().is_loopback() {
            return Err(WallError::Open(config.listen));
        }
        let failed = |error| WallError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Wall { listener, address, tokens, config })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The tokens that this wall goes by, for others who let people in.
    pub fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }

    /// Serves until `stop` is set, then lets open requests end.
    pub async fn run(self, hub: Hub, backend: Arc<dyn Backend>, stop: Stop) {
        let limit = self.config.max_connections;
        let shared = Arc::new(Shared { tokens: self.tokens, desk: hub.desk(), backend: Arc::clone(&backend), config: self.config });
        let mut fan_out = tokio::spawn(hub.run(backend, stop.clone()));
        let ended = tokio::select! {
            () = accept(self.listener, router(shared), limit, stop) => fan_out.await,
            // Without the hub no screen has data: the wall ends, and whoever runs it sees that.
            ended = &mut fan_out => ended,
        };
        if let Err(error) = ended {
            tracing::error!(%error, "the wall's hub ended early: screens were without data");
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/wall", get(page))
        .route("/assets/{file}", get(asset))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics_text))
        .route("/api/session", get(session).post(open_session))
        .route("/api/events", get(events))
        .route("/api/snapshot", get(snapshot))
        .route("/api/latest", get(latest))
        .route("/api/cameras/{id}/frame", get(frame))
        .route("/api/query", get(query::query).post(query::query).layer(DefaultBodyLimit::max(query::LONGEST_SQL)))
        .route("/api/alerts/{id}/acknowledge", post(orders::acknowledge))
        .route("/api/alerts/{id}/shelve", post(orders::shelve))
        .route("/api/alerts/{id}/unshelve", post(orders::unshelve))
        .route("/api/exercise", post(orders::exercise))
        .route_layer(from_fn_with_state(Arc::clone(&shared), admit))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "no such page") })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(harden))
        .with_state(shared)
}

/// Checks the role that [`ROUTES`] asks for; a route without a row is refused.
async fn admit(State(shared): State<Arc<Shared>>, path: MatchedPath, mut request: Request, next: Next) -> Response {
    let method = if request.method() == axum::http::Method::HEAD { "GET" } else { request.method().as_str() };
    let Some(route) = ROUTES.iter().find(|route| route.path == path.as_str() && route.method == method) else {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "no such method here");
    };
    match shared.tokens.admit(presented(request.headers()), route.role) {
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

/// On every answer: nothing but our own files may run or load in the page, and nothing is kept but the page's files.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn page() -> Html<&'static str> {
    Html(assets::PAGE)
}

async fn asset(Path(file): Path<String>) -> Response {
    match assets::find(&file) {
        Some(asset) => ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "no-cache")], asset.body).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no such file"),
    }
}

async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok", "build": assets::build() }))
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> Response {
    let mut families = shared.backend.metrics();
    families.extend(metrics::of_hub(&shared.desk.stats));
    let text = metrics::render(&families);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn session(Extension(caller): Extension<Caller>) -> Json<serde_json::Value> {
    Json(json!({ "role": caller.role.as_str(), "name": caller.name }))
}

/// Turns the bearer token of this request into a cookie, because a screen's event stream and pictures carry no header.
async fn open_session(Extension(caller): Extension<Caller>, headers: HeaderMap) -> Response {
    let mut response = session(Extension(caller)).await.into_response();
    // Tokens are letters, digits and -_.~ only, so they need no quoting; a screen on a wall is not asked to sign in again.
    let cookie = presented(&headers).map(|token| format!("{COOKIE}={token}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict"));
    if let Some(cookie) = cookie.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn events(State(shared): State<Arc<Shared>>, Extension(cut): Extension<Cut>) -> Response {
    let Some(seat) = shared.desk.seat(shared.config.screen_queue, shared.config.max_screens, cut.0).await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "no room for another screen");
    };
    let first = stream::once(async { seat.snapshot });
    let body = Body::from_stream(first.chain(ReceiverStream::new(seat.events)).map(Ok::<Bytes, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    json_or_stopping(shared.desk.snapshot().await)
}

fn json_or_stopping(json: Option<Bytes>) -> Response {
    match json {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "the processor is stopping"),
    }
}

/// The newest readings, of one stream, one key, or all; with their age by the processor's clock, in milliseconds.
/// Of these only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    stream: Option<String>,
    key: Option<String>,
}

async fn latest(State(shared): State<Arc<Shared>>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    match wanted {
        Ok(Query(Wanted { stream, key })) => json_or_stopping(shared.desk.latest(stream, key).await),
        Err(rejection) => refusal(rejection.status(), &rejection.body_text()),
    }
}

async fn frame(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.backend.frame(&id) {
        Some(picture) => {
            let captured = (HeaderName::from_static("x-captured-at"), HeaderValue::from(picture.at.as_millis()));
            ([captured, (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))], picture.jpeg).into_response()
        }
        None => refusal(StatusCode::NOT_FOUND, "no frame of this camera"),
    }
}

pub(crate) fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
