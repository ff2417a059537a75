//! All functions in one program, selected by the handler's name, with their logs, configuration, context and loop.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, Context, ModelUrls, config, http, invocation, telemetry};
use pullyard_function_tasks::TaskStateChange;
use pullyard_version::{COMMIT, RELEASES};
use serde_json::{Value, json};

const HANDLERS: &str = "use api, pages, tickets, webhook, dispatcher, effects, tasks or sweeper";

pub async fn run() -> Result<(), Error> {
    let handler =
        config::handler_name().ok_or_else(|| format!("the environment variable _HANDLER is not set; {HANDLERS}"))?;
    match handler.as_str() {
        "api" => {
            let ctx = connect().await?;
            let api = pullyard_function_api::router(ctx.clone(), COMMIT, ModelUrls::default());
            Box::pin(http::run(api.merge(pullyard_function_pages::setup_router(ctx, None, RELEASES)))).await
        }
        "pages" => Box::pin(http::run(pullyard_function_pages::router(connect().await?))).await,
        "tickets" => Box::pin(http::run(pullyard_function_tickets::router(connect().await?))).await,
        "webhook" => Box::pin(http::run(pullyard_function_webhook::router(connect().await?))).await,
        "dispatcher" => {
            let ctx = &connect().await?;
            let handler = service_fn(async |event: LambdaEvent<SqsEvent>| {
                let work = pullyard_function_dispatcher::handle(ctx, event.payload);
                Ok::<_, Error>(invocation::run("dispatcher", ctx, &event.context, work).await)
            });
            Box::pin(lambda_runtime::run(handler)).await
        }
        "effects" => {
            let ctx = &connect().await?;
            let handler = service_fn(async |event: LambdaEvent<SqsEvent>| {
                let work = pullyard_function_effects::handle(ctx, event.payload);
                Ok::<_, Error>(invocation::run("effects", ctx, &event.context, work).await)
            });
            Box::pin(lambda_runtime::run(handler)).await
        }
        "tasks" => {
            let ctx = &connect().await?;
            let handler = service_fn(async |event: LambdaEvent<TaskStateChange>| {
                let work = pullyard_function_tasks::handle(ctx, event.payload);
                invocation::run("tasks", ctx, &event.context, work).await?;
                Ok::<_, Error>(())
            });
            Box::pin(lambda_runtime::run(handler)).await
        }
        "sweeper" => {
            let ctx = &connect().await?;
            let handler = service_fn(async |event: LambdaEvent<Value>| {
                let work = pullyard_function_sweeper::handle(ctx);
                let report = invocation::run("sweeper", ctx, &event.context, work).await?;
                Ok::<_, Error>(json!({ "failed": report.failed }))
            });
            Box::pin(lambda_runtime::run(handler)).await
        }
        unknown => Err(format!("there is no handler {unknown:?}; {HANDLERS}").into()),
    }
}

async fn connect() -> Result<Context, Error> {
    telemetry::init_logging();
    // Boxed, like the loops above: large futures are slow to compile.
    Ok(Box::pin(Config::from_env()?.connect()).await)
}
