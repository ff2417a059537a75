//! Runs the functions' libraries inside this process, from event to response.

use crate::Options;
use pullyard_emulator::lambda::Function;
use pullyard_emulator::lambda::gateway::{Method, Route};
use pullyard_emulator::sqs::Sqs;
use pullyard_emulator::{Credentials, REGION};
use pullyard_entry::{Config, Context, config, http, invocation};
use pullyard_function_pages::LocalMachine;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) struct Functions {
    pub(crate) dispatcher: Function,
    pub(crate) effects: Function,
    pub(crate) tasks: Function,
    pub(crate) sweeper: Function,
    api: Function,
    tickets: Function,
    webhook: Function,
    pages: Function,
}

impl Functions {
    pub(crate) async fn start(
        options: &Options,
        config: &Config,
        sweeper_config: &Config,
        machine: LocalMachine,
    ) -> Self {
        Self {
            sweeper: start(options, "sweeper", sweeper_config, |ctx| event_function(ctx, sweep)).await,
            dispatcher: start(options, "dispatcher", config, |ctx| dispatcher(ctx, options)).await,
            effects: start(options, "effects", config, |ctx| event_function(ctx, process_effects)).await,
            tasks: start(options, "tasks", config, |ctx| event_function(ctx, record_task_stop)).await,
            api: start(options, "api", config, |ctx| api(ctx, options, machine)).await,
            tickets: start(options, "tickets", config, |ctx| to_function(pullyard_function_tickets::router(ctx))).await,
            webhook: start(options, "webhook", config, |ctx| to_function(pullyard_function_webhook::router(ctx))).await,
            pages: start(options, "pages", config, |ctx| to_function(pullyard_function_pages::router(ctx))).await,
        }
    }

    pub(crate) fn routes(self, sqs: Sqs) -> Vec<Route> {
        let exactly =
            |method, path: &str, function| Route { method, prefix: path.into(), exact: true, function, waits: false };
        let under = |prefix: &str, function| Route { exact: false, ..exactly(None, prefix, function) };
        let waiting = |method, path: &str, function| Route { waits: true, ..exactly(method, path, function) };
        let wake: Function = Arc::new(move |event| Box::pin(receive_hints(sqs.clone(), event)));
        let Self { api, tickets, webhook, pages, .. } = self;
        vec![
            exactly(Some(Method::POST), "/v1/tickets/events", tickets),
            waiting(Some(Method::GET), "/v1/wake", wake),
            under("/webhooks", webhook),
            under("/v1", api.clone()),
            under("/setup", api.clone()),
            exactly(None, "/healthz", api.clone()),
            exactly(None, "/readyz", api.clone()),
            exactly(None, "/metrics", api.clone()),
            exactly(None, "/openapi.json", api.clone()),
            exactly(None, "/plan.schema.json", api),
            under("/", pages),
        ]
    }
}

/// Dispatches the job of each stopped task at once, so that the next waiting job gets its place: a message would wait
/// behind those of other jobs.
pub(crate) fn with_place_hints(tasks: Function, dispatcher: Function) -> Function {
    Arc::new(move |event| Box::pin(record_and_dispatch(tasks.clone(), dispatcher.clone(), event)))
}

async fn record_and_dispatch(tasks: Function, dispatcher: Function, event: Value) -> Result<Value, String> {
    let (job, status) = (event["detail"]["startedBy"].clone(), event["detail"]["lastStatus"].clone());
    let recorded = tasks(event).await?;
    if job.is_string() && status == "STOPPED" {
        let record = json!({ "messageId": job, "body": json!({ "job": job }).to_string(), "attributes": {} });
        // The function logs its failures. The first waiting job is also tried when it is due.
        dispatcher(json!({ "Records": [record] })).await?;
    }
    Ok(recorded)
}

/// Receives from a runner's mailbox, as the integration of `GET /v1/wake` in `infra/api.yaml` does.
async fn receive_hints(sqs: Sqs, event: Value) -> Result<Value, String> {
    let answer = |status: u16, body: String| {
        let (headers, cookies) = (json!({}), json!([]));
        Ok(json!({
            "statusCode": status, "headers": headers, "multiValueHeaders": headers, "body": body,
            "isBase64Encoded": false, "cookies": cookies,
        }))
    };
    let mailbox = event["headers"]["pullyard-mailbox"].as_str().unwrap_or_default();
    // On AWS, the role of the integration allows these names only.
    if !mailbox.rsplit('/').next().unwrap_or_default().starts_with("wake-") {
        return answer(403, "This is no mailbox.".into());
    }
    let request =
        json!({ "QueueUrl": mailbox, "WaitTimeSeconds": 20, "VisibilityTimeout": 10, "MaxNumberOfMessages": 10 });
    match sqs.call("ReceiveMessage", &request).await {
        Ok(messages) => answer(200, messages.to_string()),
        Err(error) => answer(400, error.to_string()),
    }
}

/// Gives each function its own context, as on AWS: functions share no connections and caches.
async fn start(
    options: &Options,
    name: &'static str,
    config: &Config,
    library: impl FnOnce(Context) -> Function,
) -> Function {
    if let Some(function) = options.function_overrides.as_ref().and_then(|replace| replace(name, config)) {
        return function;
    }
    let Credentials { access_key_id, secret_access_key } = &options.credentials;
    let mut sdk = config::local_sdk_config_for(name, REGION, access_key_id, secret_access_key).await;
    if let Some(limit) = options.answer_limit {
        sdk = config::with_call_limit(sdk, limit);
    }
    library(config.clone().context(&sdk, options.clock.clone()))
}

fn api(ctx: Context, options: &Options, machine: LocalMachine) -> Function {
    let model_urls = machine.model_urls.clone();
    let setup = pullyard_function_pages::setup_router(ctx.clone(), Some(machine), options.releases);
    to_function(pullyard_function_api::router(ctx, options.commit, model_urls).merge(setup))
}

fn to_function(router: http::Router) -> Function {
    Arc::new(move |event| Box::pin(http::invoke(router.clone(), event)))
}

fn event_function<F>(ctx: Context, handle: impl Fn(Context, Value) -> F + Send + Sync + 'static) -> Function
where
    F: Future<Output = Result<Value, String>> + Send + 'static,
{
    Arc::new(move |event| Box::pin(handle(ctx.clone(), event)))
}

fn dispatcher(ctx: Context, options: &Options) -> Function {
    if options.max_jobs.is_some() {
        tokio::spawn(start_waiting(ctx.clone()));
    }
    event_function(ctx, dispatch)
}

/// Best effort: the due times of the jobs repeat it.
async fn start_waiting(ctx: Context) {
    if let Err(error) = pullyard_function_dispatcher::start_waiting(&ctx).await {
        tracing::warn!(error = %error, "waiting jobs not started; their next due time repeats it");
    }
}

async fn dispatch(ctx: Context, event: Value) -> Result<Value, String> {
    let work = pullyard_function_dispatcher::handle(&ctx, parse_event(event)?);
    to_response(&invocation::run("dispatcher", &ctx, &Default::default(), work).await)
}

async fn process_effects(ctx: Context, event: Value) -> Result<Value, String> {
    let work = pullyard_function_effects::handle(&ctx, parse_event(event)?);
    to_response(&invocation::run("effects", &ctx, &Default::default(), work).await)
}

async fn record_task_stop(ctx: Context, event: Value) -> Result<Value, String> {
    let work = pullyard_function_tasks::handle(&ctx, parse_event(event)?);
    let result = invocation::run("tasks", &ctx, &Default::default(), work).await;
    result.map(|()| Value::Null).map_err(|error| error.to_string())
}

async fn sweep(ctx: Context, _: Value) -> Result<Value, String> {
    let work = pullyard_function_sweeper::handle(&ctx);
    let result = invocation::run("sweeper", &ctx, &Default::default(), work).await;
    result.map(|report| Value::String(format!("{report:?}"))).map_err(|error| error.to_string())
}

fn parse_event<E: DeserializeOwned>(event: Value) -> Result<E, String> {
    serde_json::from_value(event).map_err(|error| error.to_string())
}

fn to_response(answer: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
