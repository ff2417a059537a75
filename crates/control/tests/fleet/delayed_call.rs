//! An HTTP client that delays one AWS call until another future has run.

use crate::prelude::*;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Delays the first call of one operation during [`Held::meanwhile`].
#[derive(Clone, Debug)]
pub(crate) struct DelayedCall {
    pub(crate) wire: Wire,
    operation: &'static str,
    armed: Arc<AtomicBool>,
    reached: Arc<Notify>,
    resume: Arc<Notify>,
}

impl DelayedCall {
    /// `operation` is an AWS name such as `RunTask`.
    pub(crate) fn before(operation: &'static str) -> Self {
        let (reached, resume) = Default::default();
        Self { wire: Wire::default(), operation, armed: Arc::default(), reached, resume }
    }

    pub(crate) async fn run_before_call<T: Debug>(&self, of: impl Future<Output = T>, meanwhile: impl Future) -> T {
        self.armed.store(true, Ordering::SeqCst);
        let mut of = Box::pin(of);
        tokio::select! {
            done = &mut of => panic!("no call of {}: {done:?}", self.operation),
            () = self.reached.notified() => {}
        }
        meanwhile.await;
        self.resume.notify_one();
        of.await
    }
}

impl HttpClient for DelayedCall {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.wire.http_connector(settings, components);
        SharedHttpConnector::new(DelayingConnector { held: self.clone(), inner })
    }
}

#[derive(Debug)]
struct DelayingConnector {
    held: DelayedCall,
    inner: SharedHttpConnector,
}

impl HttpConnector for DelayingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let is_meant = target.rsplit('.').next() == Some(self.held.operation);
        if !is_meant || !self.held.armed.swap(false, Ordering::SeqCst) {
            return self.inner.call(request);
        }
        let (held, inner) = (self.held.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            held.reached.notify_one();
            held.resume.notified().await;
            inner.call(request).await
        })
    }
}
