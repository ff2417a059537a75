//! Fakes of Jira Cloud and Linear for tests. Like the tools, they refuse unknown fields, impossible transitions, labels
//! with spaces, malformed documents, and GraphQL that the schema does not allow.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]

mod deliveries;
mod jira;
mod linear;
mod state;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Extension};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use state::{BACKLOG, BOT, CREDENTIAL, DONE, IN_REVIEW, PERSON, PROCESSING, State, Ticket, TicketBody};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Jira,
    Linear,
}

/// Runs before a call. An answer replaces the call.
type Action = Box<dyn FnOnce(&mut State) -> Option<Answer> + Send>;

/// Status, headers and body.
pub type Answer = (u16, Vec<(&'static str, String)>, Value);

struct Plan {
    /// Part of `METHOD /path` or of the name of a GraphQL operation.
    call: String,
    action: Action,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    /// The call is executed, and its answer is replaced by status 502.
    Lost,
    /// The call has no end.
    Pending,
}

#[derive(Clone)]
pub struct FakeTracker(Arc<Shared>);

struct Shared {
    kind: Kind,
    url: String,
    state: Mutex<State>,
    plans: Mutex<Vec<Plan>>,
    calls: Mutex<Vec<String>>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl FakeTracker {
    /// Listens on a port of 127.0.0.1 until it is dropped.
    pub async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Mutex::new(State::new(kind, &url));
        let fake = Self(Arc::new(Shared {
            kind,
            url,
            state,
            plans: Mutex::default(),
            calls: Mutex::default(),
            server: Mutex::default(),
        }));
        let routes = match kind {
            Kind::Jira => jira::routes(),
            Kind::Linear => linear::routes(),
        };
        let routes = routes.with_state(fake.clone()).layer(middleware::from_fn_with_state(fake.clone(), intercept));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.expect("a server") });
        *lock(&fake.0.server) = Some(server);
        fake
    }

    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Stops the server, so that calls fail to connect.
    pub fn stop(&self) {
        if let Some(server) = lock(&self.0.server).take() {
            server.abort();
        }
    }

    /// Changes the state just before the next call whose `METHOD /path`, or GraphQL operation, contains `call`.
    pub fn before(&self, call: &str, action: impl FnOnce(&mut State) + Send + 'static) {
        let action = Box::new(|state: &mut State| {
            action(state);
            None
        });
        lock(&self.0.plans).push(Plan { call: call.to_owned(), action, end: End::Answered });
    }

    /// Answers the next such call without executing it.
    pub fn answer(&self, call: &str, answer: Answer) {
        let action = Box::new(|_: &mut State| Some(answer));
        lock(&self.0.plans).push(Plan { call: call.to_owned(), action, end: End::Answered });
    }

    /// Executes the next such call, but answers with status 502.
    pub fn lose_answer(&self, call: &str) {
        lock(&self.0.plans).push(Plan { call: call.to_owned(), action: Box::new(|_| None), end: End::Lost });
    }

    /// Never answers the next such call.
    pub fn hang(&self, call: &str) {
        lock(&self.0.plans).push(Plan { call: call.to_owned(), action: Box::new(|_| None), end: End::Pending });
    }

    /// The calls since the last time: `METHOD /path`, or `POST /graphql query Name`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0.calls))
    }

    fn take_plan(&self, call: &str) -> Option<Plan> {
        let mut plans = lock(&self.0.plans);
        let at = plans.iter().position(|plan| call.contains(&plan.call))?;
        Some(plans.remove(at))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn intercept(Extension(fake): Extension<FakeTracker>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let json = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let document = json["query"].as_str().unwrap_or_default();
    let operation = document.split(['{', '(']).next().unwrap_or_default();
    let call = format!("{} {} {operation}", head.method, head.uri.path()).trim_end().to_owned();
    let plan = fake.take_plan(&call);
    lock(&fake.0.calls).push(call);
    let end = plan.as_ref().map_or(End::Answered, |plan| plan.end);
    if let Some(answer) = plan.and_then(|plan| (plan.action)(&mut fake.state())) {
        return to_response(answer);
    }
    if end == End::Pending {
        std::future::pending::<()>().await;
    }
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap_or_default();
    record(fake.kind(), &method, &uri, &json, head.status.as_u16(), &body);
    if end == End::Lost {
        return to_response((502, Vec::new(), json!("Bad Gateway")));
    }
    Response::from_parts(head, Body::from(body))
}

fn to_response((status, headers, body): Answer) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).expect("a valid answer").into_response()
}

fn record(kind: Kind, method: &Method, uri: &Uri, body: &Value, status: u16, answer: &[u8]) {
    let answer = serde_json::from_slice::<Value>(answer).unwrap_or_default();
    append(&json!({
        "tool": format!("{kind:?}"), "method": method.as_str(), "path": uri.path(), "query": uri.query(),
        "body": body, "status": status, "answer": answer,
    }));
}

static EXCHANGES: OnceLock<Mutex<File>> = OnceLock::new();

/// Appends each later exchange of this process to the file, which `.ci/trackers` compares with the descriptions that the
/// tools publish.
pub fn record_exchanges(path: &Path) {
    EXCHANGES.get_or_init(|| {
        let file = File::options().create(true).append(true).open(path);
        Mutex::new(file.expect("the file of exchanges"))
    });
}

fn append(exchange: &Value) {
    if let Some(file) = EXCHANGES.get() {
        lock(file).write_all(format!("{exchange}\n").as_bytes()).expect("the file of exchanges");
    }
}
