//! A proxy before the local forge that knows expiring tokens.
//! It admits registered tokens, revokes them at `DELETE /installation/token`, and uses one account behind it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) url: String,
    inner: Arc<GateState>,
}

struct GateState {
    forge_url: String,
    token: String,
    http: reqwest::Client,
    valid_tokens: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<(String, String)>>,
}

/// A token in GitHub's current form: about 520 characters, with dots and dashes.
pub(crate) fn long_token(number: usize) -> String {
    let part = "eyJ0-AbC_".repeat(28);
    format!("ghs_{number:05}_{}.{}.{}", &part[..200], &part[..200], &part[..108])
}

impl Gate {
    /// `behind` is the local forge's URL, `token` our token there. Routes of `more` precede the gate.
    pub(crate) async fn start(behind: &str, token: &str, more: impl FnOnce(&Self) -> Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = GateState {
            forge_url: behind.to_owned(),
            token: token.to_owned(),
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            valid_tokens: Mutex::default(),
            calls: Mutex::default(),
        };
        let gate = Self { url: format!("http://{}", listener.local_addr().unwrap()), inner: Arc::new(inner) };
        let routes = more(&gate).fallback(axum::routing::any(handle).with_state(gate.clone()));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        gate
    }

    pub(crate) fn admit(&self, token: &str) {
        self.inner.valid_tokens.lock().unwrap().insert(token.to_owned());
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.inner.valid_tokens.lock().unwrap().remove(token);
    }

    pub(crate) fn valid_tokens(&self) -> Vec<String> {
        self.inner.valid_tokens.lock().unwrap().iter().cloned().collect()
    }

    /// Every admitted call: method and path, and its token.
    pub(crate) fn calls(&self) -> Vec<(String, String)> {
        self.inner.calls.lock().unwrap().clone()
    }
}

fn token_of(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme == "Bearer" {
        return Some(value.to_owned());
    }
    let basic = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    Some(basic.split_once(':')?.1.to_owned())
}

async fn handle(State(gate): State<Gate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let token = token_of(&parts.headers).filter(|token| gate.inner.valid_tokens.lock().unwrap().contains(token));
    let Some(token) = token else {
        let message = r#"{"message":"Bad credentials"}"#;
        return (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], message).into_response();
    };
    let call = format!("{} {}", parts.method, parts.uri.path());
    gate.inner.calls.lock().unwrap().push((call, token.clone()));
    if parts.method == Method::DELETE && parts.uri.path() == "/api/v3/installation/token" {
        gate.revoke(&token);
        return StatusCode::NO_CONTENT.into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    forward(&gate.inner, &gate.url, parts, body).await
}

async fn forward(inner: &GateState, url: &str, parts: axum::http::request::Parts, body: Bytes) -> Response {
    let target = format!("{}{}", inner.forge_url, parts.uri);
    let mut headers = parts.headers;
    for hop in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        headers.remove(hop);
    }
    let basic = headers.get(header::AUTHORIZATION).is_some_and(|value| value.to_str().unwrap().starts_with("Basic"));
    let credential = match basic {
        true => format!("Basic {}", BASE64_STANDARD.encode(format!("x-access-token:{}", inner.token))),
        false => format!("Bearer {}", inner.token),
    };
    headers.insert(header::AUTHORIZATION, credential.parse().unwrap());
    let answer = inner.http.request(parts.method, target).headers(headers).body(body).send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for hop in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        headers.remove(hop);
    }
    let mut body = answer.bytes().await.unwrap();
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.to_str().unwrap().starts_with("application/json")) {
        // Clients know the forge by the gate's URL.
        body = String::from_utf8_lossy(&body).replace(&inner.forge_url, url).into();
    }
    let mut response = Response::new(Body::from(body));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}
