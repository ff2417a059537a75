//! Where every call to AWS or to the forge, and every pause, waits until the simulation lets it go on.
//!
//! It stands below the SDK's retry loop, so that a repeat of the SDK's own is a call of its own.

use crate::cloud::{Answer, Call, Cloud};
use crate::forge::FORGE;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use pullyard_entry::Clock;
use pullyard_forge::{Connections, Exchange, Exchanged};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;

/// Clones are the same gate.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// Which invocation runs now; none outside of them.
    running: Option<u32>,
    waiting: Vec<Waiting>,
    cloud: Cloud,
}

/// What an invocation waits for.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) by: u32,
    /// None: a pause.
    pub(crate) call: Option<Call>,
    reply: oneshot::Sender<Reply>,
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A call was answered.
    Answered(Answer),
    /// Its connection broke.
    Lost,
    /// A pause is over.
    Over,
}

impl Waiting {
    pub(crate) fn reply(self, reply: Reply) {
        // Whoever asked may not wait any more.
        let _ = self.reply.send(reply);
    }
}

impl Gate {
    pub(crate) fn new(cloud: Cloud) -> Self {
        Self(Arc::new(Mutex::new(Inner { running: None, waiting: vec![], cloud })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Looks at the cloud, or changes it.
    pub(crate) fn cloud<T>(&self, act: impl FnOnce(&mut Cloud) -> T) -> T {
        act(&mut self.lock().cloud)
    }

    /// Whatever asks from now on asks for this invocation.
    pub(crate) fn run(&self, invocation: Option<u32>) {
        self.lock().running = invocation;
    }

    /// What an invocation waits for first, taken out. Pauses come last, so that a limit on time never ends what
    /// could go on.
    pub(crate) fn next_of(&self, invocation: u32) -> Option<Waiting> {
        let mut inner = self.lock();
        inner.waiting.retain(|waiting| !waiting.reply.is_closed());
        let mine = |waiting: &Waiting| waiting.by == invocation;
        let call = inner.waiting.iter().position(|waiting| mine(waiting) && waiting.call.is_some());
        let at = call.or_else(|| inner.waiting.iter().position(mine))?;
        Some(inner.waiting.remove(at))
    }

    /// What an invocation waits for is nothing but reads.
    pub(crate) fn reads_next(&self, invocation: u32) -> bool {
        let inner = self.lock();
        let mut mine = inner.waiting.iter().filter(|waiting| waiting.by == invocation).peekable();
        mine.peek().is_some() && mine.all(|waiting| waiting.call.as_ref().is_some_and(|call| !call.writes()))
    }

    /// What an invocation waits for is a look at an index.
    pub(crate) fn queries_next(&self, invocation: u32) -> bool {
        let inner = self.lock();
        let next = inner.waiting.iter().find(|waiting| waiting.by == invocation);
        next.and_then(|waiting| waiting.call.as_ref()).is_some_and(|call| call.operation == "Query")
    }

    /// The invocation is dead.
    pub(crate) fn forget(&self, invocation: u32) {
        self.lock().waiting.retain(|waiting| waiting.by != invocation);
    }

    /// None: nobody runs, and nothing has to wait.
    fn wait(&self, call: Option<Call>) -> Option<oneshot::Receiver<Reply>> {
        let mut inner = self.lock();
        let by = inner.running?;
        let (reply, receiver) = oneshot::channel();
        inner.waiting.push(Waiting { by, call, reply });
        Some(receiver)
    }

    async fn pause(self) {
        if let Some(over) = self.wait(None)
            && over.await.is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// What is asked of the forge.
    async fn exchange(self, asked: Exchange) -> Exchanged {
        let operation = format!("{} {}", asked.method, asked.address);
        let call = Call { service: FORGE.to_owned(), operation, body: asked.body };
        let answer = match self.wait(Some(call.clone())) {
            None => self.lock().cloud.answer(&call),
            Some(receiver) => match receiver.await {
                Ok(Reply::Answered(answer)) => answer,
                Ok(_) => return None,
                // It was killed, and never hears of it.
                Err(_) => std::future::pending().await,
            },
        };
        Some((answer.0, answer.1.into_bytes()))
    }

    /// The connections to the forge of whatever is behind this gate.
    pub(crate) fn connections(&self) -> Connections {
        let (asks, pauses) = (self.clone(), self.clone());
        Connections::standing_in(
            move |asked| Box::pin(asks.clone().exchange(asked)),
            move |_| Box::pin(pauses.clone().pause()),
        )
    }

    /// The clock of everything behind this gate.
    pub(crate) fn clock(&self) -> Clock {
        let gate = self.clone();
        let start = self.lock().cloud.now;
        Clock::standing(start, move |_| Box::pin(gate.clone().pause()))
    }
}

impl AsyncSleep for Gate {
    fn sleep(&self, _: Duration) -> Sleep {
        // Nothing is asked for before somebody waits.
        Sleep::new(self.clone().pause())
    }
}

impl HttpClient for Gate {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Gate {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let (service, operation) = target.split_once('.').unwrap_or_default();
        let call = Call {
            service: service.to_owned(),
            operation: operation.to_owned(),
            body: request.body().bytes().unwrap_or_default().to_owned(),
        };
        let Some(receiver) = self.wait(Some(call.clone())) else {
            let answer = self.lock().cloud.answer(&call);
            return HttpConnectorFuture::ready(response(answer));
        };
        HttpConnectorFuture::new(async move {
            match receiver.await {
                Ok(Reply::Answered(answer)) => response(answer),
                Ok(_) => Err(ConnectorError::io("the connection broke".into())),
                // It was killed, and never hears of it.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

fn response((status, body): Answer) -> Result<HttpResponse, ConnectorError> {
    let status = status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
