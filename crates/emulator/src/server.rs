//! Background tasks that stop within a time limit: loopback HTTP servers and periodic work.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use http_body_util::{Full, Limited};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, timestamp};

const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Binds the preferred loopback port, or a free one if it is in use.
pub(crate) async fn bind(service: &'static str, preferred: Option<u16>) -> Result<(TcpListener, SocketAddr), Error> {
    let binding = async {
        let listener = match TcpListener::bind(("127.0.0.1", preferred.unwrap_or(0))).await {
            Err(error) if preferred.is_some() && error.kind() == ErrorKind::AddrInUse => {
                TcpListener::bind(("127.0.0.1", 0)).await?
            }
            listener => listener?,
        };
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    binding.await.map_err(|source| Error::Bind { service, source })
}

/// The operation in `X-Amz-Target`, empty without this header.
pub(crate) fn operation(headers: &HeaderMap) -> &str {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

pub(crate) fn json_response(status: StatusCode, json: String) -> Response {
    let headers =
        [("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amzn-requestid", timestamp::random_uuid())];
    (status, headers, json).into_response()
}

/// Simulates a lost response: the body exceeds its limit at the first frame, so hyper closes the connection without a
/// head.
pub(crate) fn broken_response() -> Response {
    Response::new(Body::new(Limited::new(Full::new(Bytes::from_static(b"lost")), 1)))
}

#[derive(Debug)]
pub(crate) struct Server {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn serve_router(listener: TcpListener, router: Router) -> Self {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        Self::spawn(|stop| async move {
            let result = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = result {
                tracing::error!(%error, "embedded AWS server stopped unexpectedly");
            }
        })
    }

    /// Like `serve_router`, with limits for unknown clients: the number of connections, and the time for the head of a
    /// request, which also ends idle connections.
    pub(crate) fn serve_limited(
        listener: TcpListener,
        router: Router,
        max_connections: usize,
        head_timeout: Duration,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_timeout);
        let slots = Arc::new(Semaphore::new(max_connections));
        Self::spawn(|stop| async move {
            let connections = GracefulShutdown::new();
            loop {
                let accepted = async { (Arc::clone(&slots).acquire_owned().await, listener.accept().await) };
                let (slot, accepted) = tokio::select! {
                    () = stop.cancelled() => break,
                    accepted = accepted => accepted,
                };
                match accepted {
                    Ok((stream, client)) => {
                        let router = router.clone().layer(Extension(ConnectInfo(client)));
                        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
                        let connection = connections.watch(connection);
                        tokio::spawn(async move {
                            // An error ends only this connection.
                            let _ = connection.await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the gateway cannot accept a connection");
                        tokio::time::sleep(ACCEPT_BACKOFF).await;
                    }
                }
            }
            drop(listener);
            connections.shutdown().await;
        })
    }

    /// Runs `work` at once and after each period.
    pub(crate) fn repeat(period: Duration, work: impl Fn() + Clone + Send + 'static) -> Self {
        Self::spawn(|stop| async move {
            loop {
                // An error means that this run panicked; the next one follows.
                let _ = tokio::task::spawn_blocking(work.clone()).await;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(period) => {}
                }
            }
        })
    }

    fn spawn<F>(serve: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(serve(cancel.clone()));
        Self { cancel, task }
    }

    pub(crate) async fn stop(&mut self) {
        self.cancel.cancel();
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
