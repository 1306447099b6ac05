//! The routes, and the right that each needs.
//!
//! Invariant: every route is a row of [`ROUTES`], and no handler runs before its row's right was checked.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use huong_flow::Stop;
use huong_types::Problems;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::asked::Asked;
use crate::assets;
use crate::auth::{Mistake, Right, Tokens};
use crate::config::{Tiles, WallConfig, read_map};
use crate::connection::accept;
use crate::gate::Gate;
use crate::hub::{Desk, Hub};
use crate::kept;
use crate::model::Backend;
use crate::oidc::{CALLBACK, Oidc};
use crate::sessions::Sessions;
use crate::users::Users;
use crate::view::{Scene, SceneName};
use crate::{federated, live, login, lookups, metrics, orders, query, tls};

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

#[derive(Debug, thiserror::Error)]
pub enum WallError {
    #[error("the wall cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("the wall cannot start: {0}")]
    Config(String),
}

/// A bound server, not yet serving.
pub struct Wall {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<tokio_rustls::TlsAcceptor>,
    gate: Gate,
    map: Option<Bytes>,
    scene: Scene,
    config: WallConfig,
}

pub(crate) struct Shared {
    pub(crate) gate: Arc<Gate>,
    pub(crate) desk: Desk,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) config: WallConfig,
    map: Option<Bytes>,
    policy: HeaderValue,
    /// Held while a scene is kept and told, so that the file and the screens say the same.
    pinning: Mutex<()>,
}

impl Wall {
    /// Binds the configured address; port 0 takes a free one, see [`Wall::address`].
    ///
    /// # Errors
    /// When the address is taken, or the configuration would not pass [`WallConfig::check`].
    pub async fn bind(config: WallConfig) -> Result<Wall, WallError> {
        let mut problems = Problems::default();
        config.check("huong.toml", "wall", &mut problems);
        if !problems.is_empty() {
            return Err(WallError::Config(problems.to_string()));
        }
        let mistaken = |mistakes: Vec<Mistake>| {
            WallError::Config(mistakes.iter().map(|m| format!("{}: {}", m.field, m.found)).collect::<Vec<_>>().join("; "))
        };
        let (tokens, users) = (Tokens::load(&config).map_err(mistaken)?, Users::load(&config).map_err(mistaken)?);
        let sessions = match &config.dir {
            Some(dir) => Sessions::load(dir, config.session).map_err(WallError::Config)?,
            None => Sessions::forgetful(config.session),
        };
        let oidc = config.oidc.as_ref().map(Oidc::new).transpose().map_err(WallError::Config)?.map(Arc::new);
        let scene = scene_file(&config).map_or_else(|| Ok(Scene::default()), |file| kept::load(&file)).unwrap_or_else(|why| {
            tracing::error!(why, "no scene is pinned: what was kept cannot be read");
            Scene::default()
        });
        let tls = config.tls.as_ref().map(tls::acceptor).transpose().map_err(WallError::Config)?;
        let map = config.map.as_deref().map(read_map).transpose().map_err(WallError::Config)?.map(Bytes::from);
        let failed = |error| WallError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Wall { listener, address, tls, gate: Gate::new(tokens, users, sessions, oidc, config.open), map, scene, config })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The tokens that this wall goes by, for others who let people in.
    pub fn tokens(&self) -> Tokens {
        self.gate.tokens.clone()
    }

    /// Serves until `stop` is set, then lets open requests end.
    pub async fn run(self, hub: Hub, backend: Arc<dyn Backend>, stop: Stop) {
        let (limit, policy) = (self.config.max_connections, policy(self.config.tiles.as_ref()));
        let shared = Shared {
            gate: Arc::new(self.gate),
            desk: hub.desk(),
            backend: Arc::clone(&backend),
            config: self.config,
            map: self.map,
            policy,
            pinning: Mutex::default(),
        };
        let mut fan_out = tokio::spawn(hub.showing(self.scene).run(backend, stop.clone()));
        let ended = tokio::select! {
            () = accept(self.listener, self.tls, router(Arc::new(shared)), limit, stop) => fan_out.await,
            // Without the hub no screen has data: the wall ends, and whoever runs it sees that.
            ended = &mut fan_out => ended,
        };
        if let Err(error) = ended {
            tracing::error!(%error, "the wall's hub ended early: screens were without data");
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
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
fn policy(tiles: Option<&Tiles>) -> HeaderValue {
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

async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok", "build": assets::build() }))
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> Response {
    let mut families = shared.backend.metrics();
    families.extend(metrics::of_hub(&shared.desk.stats));
    let text = metrics::render(&families);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The schematic map, as GeoJSON.
async fn map(State(shared): State<Arc<Shared>>) -> Response {
    match shared.map.clone() {
        Some(map) => ([(header::CONTENT_TYPE, "application/geo+json"), (header::CACHE_CONTROL, "no-cache")], map).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no map is configured: set map in [wall]"),
    }
}

/// What to draw the map from.
async fn map_source(State(shared): State<Arc<Shared>>) -> Json<serde_json::Value> {
    Json(shared.config.tiles.as_ref().map_or_else(|| json!({ "kind": "geojson" }), |tiles| json!(tiles)))
}

/// The scene that all screens stay on; none: they take turns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    pinned: Option<SceneName>,
}

/// Where it is kept over a restart.
fn scene_file(config: &WallConfig) -> Option<PathBuf> {
    config.dir.as_ref().map(|dir| dir.join("scene.json"))
}

async fn scene(State(shared): State<Arc<Shared>>, asked: Asked, body: orders::Body<Pinned>) -> Response {
    let pinned = match orders::parse(body) {
        Ok(Pinned { pinned }) => pinned,
        Err(refused) => return *refused,
    };
    let scene = Scene { pinned, by: asked.caller.name.clone(), at: shared.backend.clock().now };
    if let Err(refused) = asked.note(&shared, "scene", pinned.map_or("", SceneName::as_str), "done").await {
        return *refused;
    }
    let _one_at_a_time = shared.pinning.lock().await;
    if let Some(Err(why)) = scene_file(&shared.config).map(|file| kept::save(&file, &scene)) {
        tracing::error!(why, "the scene cannot be kept over a restart");
    }
    shared.desk.pin(scene.clone()).await;
    Json(scene).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../assets/openapi.json")).into_response()
}

pub(crate) fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
