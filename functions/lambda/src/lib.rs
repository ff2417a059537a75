//! All functions in one program, selected by the handler's name, with their logs, configuration, context and loop.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, ModelUrls, http, invocation, telemetry};
use pullyard_function_tasks::TaskStateChange;
use pullyard_version::COMMIT;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Api,
    Pages,
    Tickets,
    Webhook,
    Dispatcher,
    Effects,
    Tasks,
    Sweeper,
}

impl Function {
    pub const ALL: [Self; 8] = [
        Self::Api,
        Self::Pages,
        Self::Tickets,
        Self::Webhook,
        Self::Dispatcher,
        Self::Effects,
        Self::Tasks,
        Self::Sweeper,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Pages => "pages",
            Self::Tickets => "tickets",
            Self::Webhook => "webhook",
            Self::Dispatcher => "dispatcher",
            Self::Effects => "effects",
            Self::Tasks => "tasks",
            Self::Sweeper => "sweeper",
        }
    }

    pub async fn run(self) -> Result<(), Error> {
        telemetry::init_logging();
        // Boxed, like the loops below: large futures are slow to compile.
        let ctx = Box::pin(Config::from_env()?.connect()).await;
        let ctx = &ctx;
        match self {
            Self::Api => {
                let api = pullyard_function_api::router(ctx.clone(), COMMIT, ModelUrls::default());
                Box::pin(http::run(api.merge(pullyard_function_pages::setup_router(ctx.clone(), None)))).await
            }
            Self::Pages => Box::pin(http::run(pullyard_function_pages::router(ctx.clone()))).await,
            Self::Tickets => Box::pin(http::run(pullyard_function_tickets::router(ctx.clone()))).await,
            Self::Webhook => Box::pin(http::run(pullyard_function_webhook::router(ctx.clone()))).await,
            Self::Dispatcher => {
                let handler = service_fn(async |event: LambdaEvent<SqsEvent>| {
                    let done = pullyard_function_dispatcher::handle(ctx, event.payload);
                    Ok::<_, Error>(invocation::run(self.name(), ctx, &event.context, done).await)
                });
                Box::pin(lambda_runtime::run(handler)).await
            }
            Self::Effects => {
                let handler = service_fn(async |event: LambdaEvent<SqsEvent>| {
                    let done = pullyard_function_effects::handle(ctx, event.payload);
                    Ok::<_, Error>(invocation::run(self.name(), ctx, &event.context, done).await)
                });
                Box::pin(lambda_runtime::run(handler)).await
            }
            Self::Tasks => {
                let handler = service_fn(async |event: LambdaEvent<TaskStateChange>| {
                    let done = pullyard_function_tasks::handle(ctx, event.payload);
                    invocation::run(self.name(), ctx, &event.context, done).await?;
                    Ok::<_, Error>(())
                });
                Box::pin(lambda_runtime::run(handler)).await
            }
            Self::Sweeper => {
                let handler = service_fn(async |event: LambdaEvent<Value>| {
                    let swept = pullyard_function_sweeper::handle(ctx);
                    let report = invocation::run(self.name(), ctx, &event.context, swept).await?;
                    Ok::<_, Error>(json!({ "failed": report.failed }))
                });
                Box::pin(lambda_runtime::run(handler)).await
            }
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownHandler(Option<String>);

impl fmt::Display for UnknownHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "there is no handler {name:?}")?,
            None => f.write_str("the environment variable _HANDLER is not set")?,
        }
        let names = Function::ALL.map(Function::name).join(", ");
        write!(f, "; this program has the handlers {names}")
    }
}

impl std::error::Error for UnknownHandler {}

impl FromStr for Function {
    type Err = UnknownHandler;

    fn from_str(handler: &str) -> Result<Self, UnknownHandler> {
        let named = |function: &Self| function.name() == handler;
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownHandler(Some(handler.to_owned())))
    }
}

pub async fn run() -> Result<(), Error> {
    let handler = pullyard_entry::config::handler_name().ok_or(UnknownHandler(None))?;
    Box::pin(handler.parse::<Function>()?.run()).await
}
