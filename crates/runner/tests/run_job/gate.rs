//! A proxy before a server that numbers the runner's calls and breaks the requested one.
//!
//! A call's number counts the calls of its name, so that other calls do not change it.

use crate::api::broken;
use crate::prelude::*;
use axum::body::{Body, Bytes};
use axum::http::{Method, Uri};
use tokio::sync::watch;
use tokio::time::timeout;

const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// A call: its method and path without ids, and its number from 1.
pub(crate) type Point = (String, usize);

pub(crate) type Fault = (Point, Break);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The server never receives the call. The gate holds it while the test kills the runner.
    KilledBefore,
    /// The call takes effect without an answer. The gate holds it while the test kills the runner.
    KilledAfter,
    /// The call takes effect; its answer breaks off.
    AfterCall,
    /// The server is unavailable.
    Refused,
    /// The connection stays open without an answer, and the server never receives the call.
    Stalls,
    /// The server finds the request invalid.
    Invalid,
}

pub(crate) struct Gate {
    server_address: String,
    gate_address: String,
    http: reqwest::Client,
    fault: Option<Fault>,
    calls: Mutex<Vec<Point>>,
    /// Set at the arrival of the call at which the runner is killed. The call gets no answer.
    reached: watch::Sender<bool>,
}

impl Gate {
    pub(crate) async fn start(url: &str, fault: Option<Fault>) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = listener.local_addr().unwrap().to_string();
        let server = url.split('/').nth(2).unwrap().to_owned();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let (calls, reached) = (Mutex::default(), watch::Sender::new(false));
        let gate = Arc::new(Self { server_address: server, gate_address: ours, http, fault, calls, reached });
        let routes = Router::new().fallback(handle).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        gate
    }

    pub(crate) fn replace_address(&self, url: &str) -> String {
        url.replacen(&self.server_address, &self.gate_address, 1)
    }

    pub(crate) fn calls(&self) -> Vec<Point> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn stalls(&self) -> bool {
        matches!(self.fault, Some((_, Break::Stalls)))
    }

    pub(crate) async fn wait_for_fatal_call(&self) {
        let mut reached = self.reached.subscribe();
        let wait = timeout(WAIT_LIMIT, reached.wait_for(|reached| *reached));
        let came = wait.await.is_ok_and(|reached| reached.is_ok());
        assert!(came, "{:?} did not come among {:?}", self.fault, self.calls());
    }

    fn record_call(&self, name: String) -> Option<Break> {
        let mut calls = self.calls.lock().unwrap();
        let number = calls.iter().filter(|(other, _)| *other == name).count() + 1;
        calls.push((name, number));
        let (point, breaks) = self.fault.as_ref()?;
        (calls.last() == Some(point)).then_some(*breaks)
    }

    async fn forward(&self, method: Method, uri: &Uri, mut headers: HeaderMap, body: Bytes) -> Response {
        // These headers belong to one connection.
        for name in ["host", "content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        let call =
            self.http.request(method, format!("http://{}{uri}", self.server_address)).headers(headers).body(body);
        let answer = call.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in ["connection", "content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        (status, headers, Body::from(answer.bytes().await.unwrap())).into_response()
    }

    async fn hold(&self) -> Response {
        self.reached.send_replace(true);
        std::future::pending().await
    }
}

async fn handle(State(gate): State<Arc<Gate>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let breaks = gate.record_call(call_name(&method, uri.path()));
    match breaks {
        Some(Break::KilledBefore) => return gate.hold().await,
        Some(Break::Stalls) => return std::future::pending().await,
        Some(Break::Refused) => {
            return (StatusCode::SERVICE_UNAVAILABLE, r#"{"message":"Service Unavailable"}"#).into_response();
        }
        Some(Break::Invalid) => {
            let is_bitbucket = uri.path().starts_with("/2.0/");
            let status = if is_bitbucket { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
            return (status, r#"{"message":"Bad","error":{"message":"Bad"}}"#).into_response();
        }
        Some(Break::KilledAfter | Break::AfterCall) | None => {}
    }
    let answer = gate.forward(method, &uri, headers, body).await;
    match breaks {
        Some(Break::KilledAfter) => gate.hold().await,
        Some(Break::AfterCall) => broken(),
        Some(Break::KilledBefore | Break::Refused | Break::Stalls | Break::Invalid) | None => answer,
    }
}

fn call_name(method: &Method, path: &str) -> String {
    let is_number = |part: &str| {
        part.bytes().any(|byte| byte.is_ascii_digit()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_id = |part: &str| ["art_", "job_", "rnr_"].iter().any(|kind| part.starts_with(*kind)) || is_number(part);
    let parts: Vec<&str> = path.split('/').map(|part| if is_id(part) { "{id}" } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}
