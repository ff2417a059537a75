//! All functions in one program, selected by the handler's name, with their logs, configuration, context and loop.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, Context, ModelUrls, config, http, invocation, self_check, telemetry};
use pullyard_version::{COMMIT, RELEASES};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const HANDLERS: &str = "use api, pages, tickets, webhook, dispatcher, effects, tasks or sweeper";

pub async fn run() -> Result<(), Error> {
    let handler =
        config::handler_name().ok_or_else(|| format!("the environment variable _HANDLER is not set; {HANDLERS}"))?;
    match handler.as_str() {
        "api" => {
            let ctx = connect().await?;
            let api = pullyard_function_api::router(ctx.clone(), COMMIT, ModelUrls::default());
            serve_http("api", api.merge(pullyard_function_pages::setup_router(ctx, None, RELEASES))).await
        }
        "pages" => serve_http("pages", pullyard_function_pages::router(connect().await?)).await,
        "tickets" => serve_http("tickets", pullyard_function_tickets::router(connect().await?)).await,
        "webhook" => serve_http("webhook", pullyard_function_webhook::router(connect().await?)).await,
        "dispatcher" => {
            let ctx = &connect().await?;
            let handle = async |LambdaEvent { payload, context }| {
                let work = pullyard_function_dispatcher::handle(ctx, payload);
                Ok(serde_json::to_value(invocation::run("dispatcher", ctx, &context, work).await)?)
            };
            serve("dispatcher", handle).await
        }
        "effects" => {
            let ctx = &connect().await?;
            let handle = async |LambdaEvent { payload, context }| {
                let work = pullyard_function_effects::handle(ctx, payload);
                Ok(serde_json::to_value(invocation::run("effects", ctx, &context, work).await)?)
            };
            serve("effects", handle).await
        }
        "tasks" => {
            let ctx = &connect().await?;
            let handle = async |LambdaEvent { payload, context }| {
                let work = pullyard_function_tasks::handle(ctx, payload);
                invocation::run("tasks", ctx, &context, work).await?;
                Ok(Value::Null)
            };
            serve("tasks", handle).await
        }
        "sweeper" => {
            let ctx = &connect().await?;
            let handle = async |LambdaEvent::<Value> { context, .. }| {
                let report = invocation::run("sweeper", ctx, &context, pullyard_function_sweeper::handle(ctx)).await?;
                Ok(json!({ "failed": report.failed }))
            };
            serve("sweeper", handle).await
        }
        unknown => Err(format!("there is no handler {unknown:?}; {HANDLERS}").into()),
    }
}

async fn serve_http(function: &'static str, router: http::Router) -> Result<(), Error> {
    serve(function, async |event: LambdaEvent<http::LambdaRequest>| http::respond(router.clone(), event).await).await
}

/// Handles invocations until the environment ends. Answers the event of a self-check for each function.
async fn serve<E: DeserializeOwned>(
    function: &'static str,
    handle: impl AsyncFn(LambdaEvent<E>) -> Result<Value, Error>,
) -> Result<(), Error> {
    let handle = &handle;
    let handler = service_fn(async |LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>| {
        if self_check::is_requested(payload.get()) {
            let report = Box::pin(self_check::run(function, &context.invoked_function_arn)).await?;
            return Ok::<_, Error>(serde_json::to_value(report)?);
        }
        // Boxed: large futures are slow to compile.
        Box::pin(handle(LambdaEvent::new(serde_json::from_str(payload.get())?, context))).await
    });
    Box::pin(lambda_runtime::run(handler)).await
}

async fn connect() -> Result<Context, Error> {
    telemetry::init_logging();
    // Boxed, because large futures are slow to compile.
    Ok(Box::pin(Config::from_env()?.connect()).await)
}
