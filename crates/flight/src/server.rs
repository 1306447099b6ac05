//! A bound server and its end. Invariant: when it is to stop, open calls get a short time to end, and none outlives it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::service::Service;
use crate::{Database, FlightConfig};

/// How long open calls may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Calls at once of one connection: a tool that fetches several tables side by side.
const CALLS: usize = 16;
/// A client that says nothing for this long is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum FlightSqlError {
    #[error("Flight SQL cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("the Flight SQL server broke: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// Bound, not yet serving.
pub struct Flight {
    listener: TcpListener,
    address: SocketAddr,
}

impl Flight {
    /// Binds the configured address; port 0 takes a free one, see [`Flight::address`].
    pub async fn bind(config: &FlightConfig) -> Result<Flight, FlightSqlError> {
        let failed = |error| FlightSqlError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Flight { listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves.
    pub async fn run(self, database: Arc<dyn Database>, stop: impl Future<Output = ()>) -> Result<(), FlightSqlError> {
        let service = FlightServiceServer::new(Service::new(database));
        let (end, ended) = oneshot::channel::<()>();
        let server =
            Server::builder().concurrency_limit_per_connection(CALLS).http2_keepalive_interval(Some(KEEP_ALIVE)).add_service(service);
        let serve = server.serve_with_incoming_shutdown(TcpIncoming::from(self.listener), async {
            // Also when the other end is gone.
            let _asked = ended.await;
        });
        tokio::pin!(serve);
        tokio::select! {
            served = &mut serve => Ok(served?),
            () = stop => {
                drop(end);
                timeout(GRACE, serve).await.unwrap_or(Ok(()))?;
                Ok(())
            }
        }
    }
}
