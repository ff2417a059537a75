//! Holds every call to AWS or the forge, and every pause, until the simulation releases it.
//!
//! It sits below the SDK's retry loop, so that each retry is a separate call.

use crate::cloud::{Answer, Call, Cloud};
use crate::forge::FORGE;
use crate::prelude::*;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use pullyard_entry::Clock;
use pullyard_forge::{Connections, Exchange, ExchangeResult};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    current: Option<u32>,
    waiting: Vec<HeldCall>,
    cloud: Cloud,
}

#[derive(Debug)]
pub(crate) struct HeldCall {
    pub(crate) invocation: u32,
    /// `None`: a pause.
    pub(crate) call: Option<Call>,
    reply: oneshot::Sender<Reply>,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Answered(Answer),
    Lost,
    PauseEnded,
}

impl HeldCall {
    pub(crate) fn reply(self, reply: Reply) {
        // The caller may have stopped waiting.
        let _ = self.reply.send(reply);
    }
}

impl Gate {
    pub(crate) fn new(cloud: Cloud) -> Self {
        Self(Arc::new(Mutex::new(Inner { current: None, waiting: vec![], cloud })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn cloud<T>(&self, act: impl FnOnce(&mut Cloud) -> T) -> T {
        act(&mut self.lock().cloud)
    }

    /// Attributes the following calls to this invocation.
    pub(crate) fn set_current(&self, invocation: Option<u32>) {
        self.lock().current = invocation;
    }

    /// Takes a held call of the invocation. Pauses come last, so that a timeout never ends an invocation that can
    /// continue.
    pub(crate) fn take_next(&self, invocation: u32) -> Option<HeldCall> {
        let mut inner = self.lock();
        inner.waiting.retain(|waiting| !waiting.reply.is_closed());
        let mine = |waiting: &HeldCall| waiting.invocation == invocation;
        let call = inner.waiting.iter().position(|waiting| mine(waiting) && waiting.call.is_some());
        let at = call.or_else(|| inner.waiting.iter().position(mine))?;
        Some(inner.waiting.remove(at))
    }

    pub(crate) fn waits_for_reads(&self, invocation: u32) -> bool {
        let inner = self.lock();
        let mut mine = inner.waiting.iter().filter(|waiting| waiting.invocation == invocation).peekable();
        mine.peek().is_some() && mine.all(|waiting| waiting.call.as_ref().is_some_and(|call| !call.writes()))
    }

    pub(crate) fn waits_for_query(&self, invocation: u32) -> bool {
        let inner = self.lock();
        let next = inner.waiting.iter().find(|waiting| waiting.invocation == invocation);
        next.and_then(|waiting| waiting.call.as_ref()).is_some_and(|call| call.operation == "Query")
    }

    pub(crate) fn drop_invocation(&self, invocation: u32) {
        self.lock().waiting.retain(|waiting| waiting.invocation != invocation);
    }

    /// `None`: no invocation runs, so the call need not wait.
    fn hold(&self, call: Option<Call>) -> Option<oneshot::Receiver<Reply>> {
        let mut inner = self.lock();
        let by = inner.current?;
        let (reply, receiver) = oneshot::channel();
        inner.waiting.push(HeldCall { invocation: by, call, reply });
        Some(receiver)
    }

    async fn pause(self) {
        if let Some(over) = self.hold(None)
            && over.await.is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    async fn exchange(self, request: Exchange) -> ExchangeResult {
        let operation = format!("{} {}", request.method, request.url);
        let call = Call { service: FORGE.to_owned(), operation, body: request.body };
        let answer = match self.hold(Some(call.clone())) {
            None => self.lock().cloud.answer(&call),
            Some(receiver) => match receiver.await {
                Ok(Reply::Answered(answer)) => answer,
                Ok(_) => return None,
                // The invocation was killed and never receives an answer.
                Err(_) => std::future::pending().await,
            },
        };
        Some((answer.0, answer.1.into_bytes()))
    }

    pub(crate) fn connections(&self) -> Connections {
        let (asks, pauses) = (self.clone(), self.clone());
        Connections::with_stand_in(
            move |request| Box::pin(asks.clone().exchange(request)),
            move |_| Box::pin(pauses.clone().pause()),
        )
    }

    pub(crate) fn clock(&self) -> Clock {
        let gate = self.clone();
        let start = self.lock().cloud.now;
        Clock::new_simulated(start, move |_| Box::pin(gate.clone().pause()))
    }
}

impl AsyncSleep for Gate {
    fn sleep(&self, _: Duration) -> Sleep {
        // The pause is registered at the first poll of the future.
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
        let Some(receiver) = self.hold(Some(call.clone())) else {
            let answer = self.lock().cloud.answer(&call);
            return HttpConnectorFuture::ready(response(answer));
        };
        HttpConnectorFuture::new(async move {
            match receiver.await {
                Ok(Reply::Answered(answer)) => response(answer),
                Ok(_) => Err(ConnectorError::io("the connection broke".into())),
                Err(_) => std::future::pending().await,
            }
        })
    }
}

fn response((status, body): Answer) -> Result<HttpResponse, ConnectorError> {
    let status = status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
