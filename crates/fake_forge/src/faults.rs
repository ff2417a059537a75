//! Ordered faults: refused calls, lost responses, lost deliveries.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Json;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::{DeliveryFault, bitbucket};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Responds with this status and these headers; the call has no effect.
    Status {
        status: u16,
        headers: Vec<(String, String)>,
        /// The message of the error body, in the format of GitHub or Bitbucket.
        message: String,
    },
    HangUpBefore,
    HangUpAfter,
}

impl Fault {
    /// 429 with `retry-after`: the secondary rate limit.
    pub fn secondary_rate_limit(retry_after_secs: u64) -> Self {
        Self::Status {
            status: 429,
            headers: vec![("retry-after".to_owned(), retry_after_secs.to_string())],
            message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
                .to_owned(),
        }
    }

    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), message: "Server Error".to_owned() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// `None` matches every method.
    pub method: Option<String>,
    pub path: String,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    calls: Mutex<Vec<(CallFilter, Fault, usize)>>,
    deliveries: Mutex<VecDeque<DeliveryFault>>,
}

impl Faults {
    pub(crate) fn add(&self, calls: CallFilter, times: usize, fault: Fault) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push((calls, fault, times));
    }

    pub(crate) fn add_delivery_fault(&self, times: usize, fault: DeliveryFault) {
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        deliveries.extend(std::iter::repeat_n(fault, times));
    }

    pub(crate) fn clear(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn next_delivery(&self) -> Option<DeliveryFault> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn next_call(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut ordered = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |calls: &CallFilter| {
            let method_fits = calls.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()));
            method_fits && path.contains(&calls.path)
        };
        let (_, fault, remaining) = ordered.iter_mut().find(|(calls, _, remaining)| *remaining > 0 && fits(calls))?;
        *remaining -= 1;
        let fault = fault.clone();
        ordered.retain(|(_, _, remaining)| *remaining > 0);
        Some(fault)
    }
}

pub(crate) async fn inject(
    State(faults): State<Arc<Faults>>,
    ConnectInfo(line): ConnectInfo<ConnectionHandle>,
    request: Request,
    next: Next,
) -> Response {
    match faults.next_call(request.method(), request.uri().path()) {
        None => next.run(request).await,
        Some(Fault::Status { status, headers, message }) => {
            let body = error_body(request.uri().path(), &message);
            answer(status, &headers, body)
        }
        Some(Fault::HangUpBefore) => line.disconnect(),
        Some(Fault::HangUpAfter) => {
            let _lost = next.run(request).await;
            line.disconnect()
        }
    }
}

fn error_body(path: &str, message: &str) -> Value {
    if path.strip_prefix(bitbucket::API_PATH).is_some_and(|rest| rest.starts_with('/')) {
        return bitbucket::error(message);
    }
    json!({ "message": message, "documentation_url": "https://docs.github.com/rest" })
}

fn answer(status: u16, headers: &[(String, String)], body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            sent.append(name, value);
        }
    }
    (status, sent, Json(body)).into_response()
}

#[derive(Clone, Debug)]
pub(crate) struct ConnectionHandle(Arc<AtomicBool>);

impl ConnectionHandle {
    fn disconnect(&self) -> Response {
        self.0.store(true, Ordering::SeqCst);
        // Writing the first byte of this response fails.
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        Self(stream.io().is_cut.clone())
    }
}

pub(crate) struct CuttableListener(pub(crate) TcpListener);

#[derive(Debug)]
pub(crate) struct CuttableStream {
    stream: TcpStream,
    is_cut: Arc<AtomicBool>,
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (CuttableStream { stream, is_cut: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        if self.is_cut.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
