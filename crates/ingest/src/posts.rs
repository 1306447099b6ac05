//! Events that cameras post over HTTP, made files of a watched folder.
//!
//! Invariant: 200 means that the event is on disk. Cameras do not send again, so what can be kept is kept: a body that is not
//! understood becomes a file, too, and the folder's quarantine says what is wrong with it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use huong_flow::Stop;
use huong_types::Problems;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::folder::PICTURES;
use crate::multipart::{boundary, parts};
use crate::{Clock, IngestError, IngestStats};

/// Where cameras post to: the section `[posts]`; without it nothing listens.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostsConfig {
    /// Loopback unless told otherwise: cameras say nothing that would prove who they are.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// The only path that is served, such as `/anpr`.
    pub path: String,
    /// The `dir` of a `[[folder]]`.
    pub dir: PathBuf,
    /// Bytes of a post with its pictures.
    #[serde(default = "max_body")]
    pub max_body: usize,
    /// Keeps the pictures, in `pictures` of `dir`, as long as the folder's files are kept.
    #[serde(default)]
    pub pictures: bool,
    /// Cameras served at once.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
}

fn listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))
}

fn max_body() -> usize {
    8 << 20
}

fn max_connections() -> usize {
    16
}

impl PostsConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let mut add = |field: &str, found: String, expected: &str| problems.add(file, format!("{path}.{field}"), found, expected);
        if !self.path.starts_with('/') {
            add("path", format!("`{}`", self.path), "a path such as `/anpr`");
        }
        if !self.dir.is_dir() {
            add("dir", format!("no folder `{}`", self.dir.display()), "the dir of a [[folder]]");
        }
        for (field, found, least) in [("max_body", self.max_body, 1024), ("max_connections", self.max_connections, 1)] {
            if found < least {
                add(field, format!("`{found}`"), &format!("at least {least}"));
            }
        }
    }
}

/// A request that takes longer is not a camera's.
const WITHIN: Duration = Duration::from_secs(30);
/// How long open requests may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(50);

/// A bound receiver, not yet serving.
#[derive(Debug)]
pub struct Posts {
    listener: TcpListener,
    address: SocketAddr,
    config: PostsConfig,
}

/// What every request needs.
struct Desk {
    config: PostsConfig,
    clock: Clock,
    stats: Arc<IngestStats>,
    count: AtomicU64,
}

impl Posts {
    /// Binds the address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(config: PostsConfig) -> Result<Self, IngestError> {
        let failed = |error: io::Error| IngestError::Posts { listen: config.listen, reason: error.to_string() };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, config })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is set, then lets open requests end.
    pub async fn run(self, clock: Clock, stats: Arc<IngestStats>, stop: Stop) {
        let slots = Arc::new(Semaphore::new(self.config.max_connections));
        let desk = Arc::new(Desk { config: self.config, clock, stats, count: AtomicU64::new(0) });
        let mut connections = JoinSet::new();
        while !stop.is_set() {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, self.listener.accept().await)
            };
            tokio::select! {
                () = sleep(TICK) => {}
                (slot, accepted) = next => match accepted {
                    Ok((stream, _)) => {
                        let desk = Arc::clone(&desk);
                        connections.spawn(async move {
                            let service = service_fn(|request| answer(Arc::clone(&desk), request));
                            let mut server = http1::Builder::new();
                            server.timer(TokioTimer::new()).header_read_timeout(WITHIN).max_buf_size(64 << 10);
                            // A camera that goes away mid-request has lost its event itself; hyper's error says nothing more.
                            let _ended = server.serve_connection(TokioIo::new(stream), service).await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a camera's connection could not be accepted");
                        sleep(TICK).await;
                    }
                },
            }
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        let ended = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            connections.abort_all();
        }
    }
}

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, says) = if request.uri().path() != desk.config.path {
        (StatusCode::NOT_FOUND, String::new())
    } else if request.method() != Method::POST {
        (StatusCode::METHOD_NOT_ALLOWED, String::new())
    } else {
        let outcome = desk.take(request).await;
        match &outcome {
            Ok(()) => desk.stats.posts.add(1),
            Err((status, reason)) => {
                desk.stats.posts_lost.add(1);
                tracing::error!("a camera's post is lost: {status}: {reason}");
            }
        }
        outcome.err().unwrap_or((StatusCode::OK, String::new()))
    };
    let mut response = Response::new(Full::from(says));
    *response.status_mut() = status;
    Ok(response)
}

impl Desk {
    async fn take(&self, request: Request<Incoming>) -> Result<(), (StatusCode, String)> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let body = timeout(WITHIN, Limited::new(request.into_body(), self.config.max_body).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                let reason = format!("found more than {} bytes, expected at most that", self.config.max_body);
                return Err((StatusCode::PAYLOAD_TOO_LARGE, reason));
            }
            Ok(Err(error)) => return Err((StatusCode::BAD_REQUEST, error.to_string())),
            Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, format!("no whole body within {WITHIN:?}"))),
        };
        self.spool(&kind, &body).await.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
    }

    /// The event as a file of the folder, the pictures beside it. Returns once they are on disk.
    async fn spool(&self, kind: &str, body: &[u8]) -> io::Result<()> {
        let parts = boundary(kind).map(|boundary| parts(body, boundary)).unwrap_or_default();
        let event = parts.iter().find(|part| part.is("xml")).map_or(body, |part| part.body);
        // Two posts of one moment, and one after a restart within it, get names of their own.
        let name = format!("{}-{}-{:04}", (self.clock)().as_millis(), std::process::id(), self.count.fetch_add(1, Ordering::Relaxed));
        if self.config.pictures {
            let to = self.config.dir.join(PICTURES);
            // Only this one: where the spool itself is gone nobody watches.
            if let Err(error) = fs::create_dir(&to).await
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(error);
            }
            for (i, part) in parts.iter().filter(|part| part.is("image")).enumerate() {
                keep(&to, &format!("{name}-{i}.jpg"), part.body).await?;
            }
        }
        keep(&self.config.dir, &format!("{name}.xml"), event).await
    }
}

/// Writes a file so that it is there whole or not at all, and stays.
async fn keep(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = dir.join(format!(".{name}"));
    let mut file = fs::File::create(&unfinished).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    fs::rename(&unfinished, dir.join(name)).await?;
    fs::File::open(dir).await?.sync_all().await
}
