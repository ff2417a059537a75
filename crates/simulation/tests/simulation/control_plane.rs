//! The simulated control plane: each function with its own context, and its running invocations.

use crate::cloud::queue::{Message, Queue, Queues};
use crate::forge::Webhook;
use crate::gate::Gate;
use crate::prelude::*;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use pullyard_entry::config::{Endpoints, TaskDefinitions};
use pullyard_entry::{Clock, Config, Context, ModelUrls};
use pullyard_forge::webhook::Secret;
use std::pin::Pin;
use std::task::{Poll, Waker};
use tower::ServiceExt;

pub(crate) const TABLE: &str = "pullyard";
pub(crate) const KEY_SECRET: &str = "pullyard/signing-key";

/// The webhook's name and secret.
pub(crate) const HOOK: &str = "app";
pub(crate) const HOOK_VALUE: &str = "simulated-hook-secret";

#[derive(Clone, Debug)]
pub(crate) struct ApiCall {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) token: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

impl ApiCall {
    pub(crate) fn post(path: impl Into<String>, token: &str, body: Value) -> Self {
        Self { method: "POST", path: path.into(), token: token.to_owned(), key: None, body }
    }
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// Status and body.
    Answer(u16, Value),
    /// Whether each message was handled.
    Batch(Vec<bool>),
    Completed(bool),
}

type Running = Pin<Box<dyn Future<Output = Outcome>>>;

pub(crate) struct Invocation {
    pub(crate) id: u32,
    future: Running,
}

impl Invocation {
    /// Runs until the invocation waits at the gate or ends.
    pub(crate) fn poll(&mut self, gate: &Gate) -> Option<Outcome> {
        gate.set_current(Some(self.id));
        let polled = self.future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()));
        gate.set_current(None);
        match polled {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }
}

pub(crate) struct ControlPlane {
    pub(crate) clock: Clock,
    api: Router,
    tickets: Router,
    webhook: Router,
    dispatcher: Context,
    effects: Context,
    tasks: Context,
    sweeper: Context,
    invocations: u32,
}

impl ControlPlane {
    pub(crate) fn new(gate: &Gate) -> Self {
        let clock = gate.clock();
        // As on AWS, each function has its own connections and caches of secrets.
        let own = || config().context_with(&sdk(gate), clock.clone(), gate.connections());
        Self {
            api: pullyard_function_api::router(own(), "unknown", ModelUrls::default()),
            tickets: pullyard_function_tickets::router(own()),
            webhook: pullyard_function_webhook::router(own()),
            dispatcher: own(),
            effects: own(),
            tasks: own(),
            sweeper: own(),
            invocations: 0,
            clock,
        }
    }

    fn invoke(&mut self, future: impl Future<Output = Outcome> + 'static) -> Invocation {
        self.invocations += 1;
        // The simulation polls, not the runtime, whose budget would interrupt after a while.
        Invocation { id: self.invocations, future: Box::pin(tokio::task::unconstrained(future)) }
    }

    pub(crate) fn call_api(&mut self, ask: &ApiCall) -> Invocation {
        let router = if ask.path == "/v1/tickets/events" { self.tickets.clone() } else { self.api.clone() };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(&ask.path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", ask.token));
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        self.answer(router, request.body(Body::from(ask.body.to_string())).unwrap())
    }

    pub(crate) fn deliver(&mut self, Webhook { name, event, body }: Webhook) -> Invocation {
        let request = Request::builder()
            .method("POST")
            .uri(format!("/webhooks/github/{HOOK}"))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", name)
            .header("x-hub-signature-256", Secret::new(HOOK_VALUE).sign(body.as_bytes()));
        self.answer(self.webhook.clone(), request.body(Body::from(body)).unwrap())
    }

    fn answer(&mut self, router: Router, request: Request<Body>) -> Invocation {
        self.invoke(async move {
            let Ok(response) = router.oneshot(request).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            Outcome::Answer(status, serde_json::from_slice(&body).unwrap_or(Value::Null))
        })
    }

    pub(crate) fn batch(&mut self, queue: Queue, messages: &[Message]) -> Invocation {
        let record = |message: &Message| {
            let mut attributes = json!({ "ApproximateReceiveCount": message.received.to_string() });
            if let Some(group) = &message.group {
                attributes["MessageGroupId"] = json!(group);
            }
            let source = Queues::url(queue).replace("http://sqs.simulated/1/", "arn:aws:sqs:us-east-1:1:");
            let id = message.id.to_string();
            json!({ "messageId": id, "body": message.body, "attributes": attributes, "eventSourceARN": source })
        };
        let records: Vec<_> = messages.iter().map(record).collect();
        let event = serde_json::from_value(json!({ "Records": records })).unwrap();
        let ids: Vec<_> = messages.iter().map(|message| message.id.to_string()).collect();
        let ctx = if queue == Queue::Dispatch { self.dispatcher.clone() } else { self.effects.clone() };
        self.invoke(async move {
            let answer = match queue {
                Queue::Dispatch => pullyard_function_dispatcher::handle(&ctx, event).await,
                Queue::Effects | Queue::Calls => pullyard_function_effects::handle(&ctx, event).await,
            };
            let failed = |id: &String| answer.batch_item_failures.iter().any(|failure| failure.item_identifier == *id);
            Outcome::Batch(ids.iter().map(|id| !failed(id)).collect())
        })
    }

    pub(crate) fn task_event(&mut self, event: &Value) -> Invocation {
        let (ctx, event) = (self.tasks.clone(), serde_json::from_value(event.clone()).unwrap());
        self.invoke(async move { Outcome::Completed(pullyard_function_tasks::handle(&ctx, event).await.is_ok()) })
    }

    pub(crate) fn sweep(&mut self) -> Invocation {
        let ctx = self.sweeper.clone();
        self.invoke(async move { Outcome::Completed(pullyard_function_sweeper::handle(&ctx).await.is_ok()) })
    }
}

fn config() -> Config {
    Config {
        table: TABLE.into(),
        dispatch_queue_url: Queues::url(Queue::Dispatch).into(),
        effects_queue_url: Queues::url(Queue::Effects).into(),
        calls_queue_url: Queues::url(Queue::Calls).into(),
        dispatch_dlq_url: "http://sqs.simulated/dead".into(),
        effects_dlq_url: "http://sqs.simulated/dead".into(),
        calls_dlq_url: "http://sqs.simulated/dead".into(),
        undelivered_dlq_url: "http://sqs.simulated/dead".into(),
        submissions: None,
        cluster: "pullyard".into(),
        task_definitions: TaskDefinitions { small: "small".into(), medium: "medium".into(), large: "large".into() },
        network: None,
        key_secret: KEY_SECRET.into(),
        api_url: "http://api.simulated".into(),
        public_url: None,
        task_isolation: "external".into(),
        on_one_machine: false,
        disk: Default::default(),
        artifacts_bucket: "artifacts".into(),
        kms_key: None,
        tags: Default::default(),
        outbound_allow: Default::default(),
        deployment: None,
        endpoints: Endpoints {
            dynamodb: Some("http://dynamodb.simulated".into()),
            sqs: Some("http://sqs.simulated".into()),
            ecs: Some("http://ecs.simulated".into()),
            secretsmanager: Some("http://secrets.simulated".into()),
            s3: Some("http://s3.simulated".into()),
        },
    }
}

/// As in production, but without timeouts: the simulation decides how long a call takes.
pub(crate) fn sdk(gate: &Gate) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys("simulated", "simulated", None)))
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(gate.clone())
        .http_client(gate.clone())
        .build()
}
