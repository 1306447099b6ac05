//! Accepting connections with the limits that keep a server up for months: so many at once, headers within a time, and a
//! screen that does not read is closed, not waited for.
//!
//! Invariant: a connection ends by itself, by its [`Cut`], or with the server; none is left behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use huong_flow::Stop;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// A request whose headers take longer is not one of ours.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How long open requests may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Ends the connection that carries it, even while that is stuck in a write.
#[derive(Clone, Default)]
pub(crate) struct Cut(pub(crate) Arc<Notify>);

/// Who is at the other end.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves until `stop`.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, limit: usize, stop: Stop) {
    let slots = Arc::new(Semaphore::new(limit));
    let mut connections = JoinSet::new();
    let end = stopped(stop.clone());
    tokio::pin!(end);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = &mut end => break,
            (slot, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let (router, stop, tls) = (router.clone().layer(Extension(Peer(peer))), stop.clone(), tls.clone());
                    connections.spawn(async move {
                        // Small events must not wait for more: a lost option costs milliseconds, nothing else.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%error, "no TCP_NODELAY");
                        }
                        match tls {
                            None => serve(stream, router, stop).await,
                            Some(tls) => match timeout(HEADERS_WITHIN, tls.accept(stream)).await {
                                Ok(Ok(stream)) => serve(stream, router, stop).await,
                                Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS"),
                                Err(_) => tracing::debug!(%peer, "TLS took too long"),
                            },
                        }
                        drop(slot);
                    });
                }
                // Out of file handles, or the peer left before we looked: not to be answered by a busy loop.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let ended = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        connections.abort_all();
    }
}

/// Resolves when `stop` is set.
pub async fn stopped(stop: Stop) {
    while !stop.is_set() {
        sleep(Duration::from_millis(100)).await;
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, stop: Stop) {
    let cut = Cut::default();
    let service = TowerToHyperService::new(router.layer(Extension(cut.clone())));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).serve_connection(TokioIo::new(stream), service);
    let end = stopped(stop);
    tokio::pin!(connection, end);
    let mut ending = false;
    loop {
        tokio::select! {
            // A browser that goes away mid-answer is an error to hyper and daily life to us.
            _ended = &mut connection => return,
            () = cut.0.notified() => return,
            () = &mut end, if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
