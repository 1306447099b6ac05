//! The server: what it is made of, and the pages' own small questions.
//!
//! Invariant: what the configuration gets wrong is told before anything listens; who serves is bounded by the number of connections.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use huong_flow::Stop;
use huong_types::Problems;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::asked::Asked;
use crate::assets;
use crate::auth::{Mistake, Tokens};
use crate::config::{WallConfig, read_map};
use crate::connection::accept;
use crate::gate::Gate;
use crate::hub::{Desk, Hub};
use crate::kept;
use crate::model::Backend;
use crate::oidc::Oidc;
use crate::routes::{policy, router};
use crate::sessions::Sessions;
use crate::users::Users;
use crate::view::{Scene, SceneName};
use crate::{metrics, orders, tls};

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
    pub(crate) policy: HeaderValue,
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

pub(crate) async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok", "build": assets::build() }))
}

pub(crate) async fn metrics_text(State(shared): State<Arc<Shared>>) -> Response {
    let mut families = shared.backend.metrics();
    families.extend(metrics::of_hub(&shared.desk.stats));
    let text = metrics::render(&families);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The schematic map, as GeoJSON.
pub(crate) async fn map(State(shared): State<Arc<Shared>>) -> Response {
    match shared.map.clone() {
        Some(map) => ([(header::CONTENT_TYPE, "application/geo+json"), (header::CACHE_CONTROL, "no-cache")], map).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no map is configured: set map in [wall]"),
    }
}

/// What to draw the map from.
pub(crate) async fn map_source(State(shared): State<Arc<Shared>>) -> Json<serde_json::Value> {
    Json(shared.config.tiles.as_ref().map_or_else(|| json!({ "kind": "geojson" }), |tiles| json!(tiles)))
}

/// The scene that all screens stay on; none: they take turns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    pinned: Option<SceneName>,
}

/// Where it is kept over a restart.
fn scene_file(config: &WallConfig) -> Option<PathBuf> {
    config.dir.as_ref().map(|dir| dir.join("scene.json"))
}

pub(crate) async fn scene(State(shared): State<Arc<Shared>>, asked: Asked, body: orders::Body<Pinned>) -> Response {
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

pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../assets/openapi.json")).into_response()
}

pub(crate) fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
