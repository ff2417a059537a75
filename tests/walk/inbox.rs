//! Receives the forge's webhook calls; each waits, like a message, until a step delivers it.
//!
//! The result of the step is the answer. It is 502 if the process died, and the forge lists a failed delivery.

use super::http;
use super::step::{Call, From};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

const LIMIT: usize = 1 << 20;

/// A listener on localhost, closed on drop.
pub(super) struct Inbox {
    url: String,
    held: Arc<Held>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Held {
    arrived: Mutex<VecDeque<(http::Request, oneshot::Sender<StatusCode>)>>,
    news: Notify,
    /// Delivered calls that are not answered yet, by number.
    open: Mutex<BTreeMap<u64, oneshot::Sender<StatusCode>>>,
}

impl Inbox {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let held = Arc::new(Held::default());
        let to = Arc::clone(&held);
        let router = Router::new().fallback(move |request| hold(Arc::clone(&to), request));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, held, serving }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The oldest waiting call.
    pub(super) fn take(&self) -> Option<Call> {
        let (request, answer) = self.held.arrived.lock().unwrap().pop_front()?;
        let mut open = self.held.open.lock().unwrap();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, answer);
        Some(Call { from: From::Forge(number), ..request.into() })
    }

    /// Waits for a call.
    pub(super) async fn next(&self) -> Call {
        loop {
            if let Some(call) = self.take() {
                return call;
            }
            self.held.news.notified().await;
        }
    }

    /// Only the first answer to a call is sent.
    pub(super) fn answer(&self, number: u64, status: StatusCode) {
        if let Some(answer) = self.held.open.lock().unwrap().remove(&number) {
            // The forge may have closed the connection.
            answer.send(status).ok();
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn hold(held: Arc<Held>, request: Request) -> StatusCode {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap();
    let mut call = http::signed(head.uri.path(), String::from_utf8(body.to_vec()).unwrap());
    for (name, value) in &head.headers {
        call = call.with(name.as_str(), value.to_str().unwrap());
    }
    let (answer, answered) = oneshot::channel();
    held.arrived.lock().unwrap().push_back((call, answer));
    held.news.notify_one();
    answered.await.unwrap_or(StatusCode::BAD_GATEWAY)
}
