//! Receives the forge's webhook calls; each waits, like a message, until a step delivers it.
//!
//! The result of the step is the answer. It is 502 if the process died, and the forge lists a failed delivery.

use super::http;
use super::step::{Call, From};
use crate::prelude::*;
use std::collections::VecDeque;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

const BODY_LIMIT: usize = 1 << 20;

pub(super) struct Inbox {
    url: String,
    calls: Arc<Calls>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Calls {
    waiting: Mutex<VecDeque<(http::Request, oneshot::Sender<StatusCode>)>>,
    notify: Notify,
    /// Delivered calls that are not answered yet, by number.
    unanswered: Mutex<BTreeMap<u64, oneshot::Sender<StatusCode>>>,
}

impl Inbox {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let held = Arc::new(Calls::default());
        let to = Arc::clone(&held);
        let router = Router::new().fallback(move |request| receive(Arc::clone(&to), request));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, calls: held, serving }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn take(&self) -> Option<Call> {
        let (request, answer) = self.calls.waiting.lock().unwrap().pop_front()?;
        let mut open = self.calls.unanswered.lock().unwrap();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, answer);
        Some(Call { from: From::Forge(number), ..request.into() })
    }

    pub(super) async fn next(&self) -> Call {
        loop {
            if let Some(call) = self.take() {
                return call;
            }
            self.calls.notify.notified().await;
        }
    }

    /// Only the first answer to a call is sent.
    pub(super) fn answer(&self, number: u64, status: StatusCode) {
        if let Some(answer) = self.calls.unanswered.lock().unwrap().remove(&number) {
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

async fn receive(held: Arc<Calls>, request: Request) -> StatusCode {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.unwrap();
    let mut call = http::webhook_post(head.uri.path(), String::from_utf8(body.to_vec()).unwrap());
    for (name, value) in &head.headers {
        call = call.header(name.as_str(), value.to_str().unwrap());
    }
    let (answer, answered) = oneshot::channel();
    held.waiting.lock().unwrap().push_back((call, answer));
    held.notify.notify_one();
    answered.await.unwrap_or(StatusCode::BAD_GATEWAY)
}
