//! A webhook receiver with a configurable response status.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<ReceivedDelivery>>>,
    status: Arc<Mutex<u16>>,
}

#[derive(Clone)]
pub(crate) struct ReceivedDelivery {
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
}

impl ReceivedDelivery {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(&self.raw);
        let hex = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        self.header("x-hub-signature-256") == format!("sha256={hex}")
    }

    pub(crate) fn event(&self) -> String {
        format!("{} {}", self.header("x-github-event"), self.body["action"].as_str().unwrap_or("-"))
    }
}

impl Listener {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let own = Self { url, received: Arc::default(), status: Arc::new(Mutex::new(200)) };
        let routes = Router::new().fallback(receive).with_state(own.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        own
    }

    pub(crate) fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    pub(crate) fn take_received(&self) -> Vec<ReceivedDelivery> {
        let mut deliveries = std::mem::take(&mut *self.received.lock().unwrap());
        deliveries.sort_by_key(ReceivedDelivery::event);
        deliveries
    }
}

async fn receive(State(own): State<Listener>, headers: HeaderMap, raw: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    own.received.lock().unwrap().push(ReceivedDelivery { headers, raw, body });
    StatusCode::from_u16(*own.status.lock().unwrap()).unwrap()
}
