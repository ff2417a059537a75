//! The sweeper function in Lambda.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, invocation, telemetry};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let ctx = &Config::from_env()?.connect().await;
    let handler = service_fn(async |event: LambdaEvent<Value>| {
        let swept = pullyard_function_sweeper::handle(ctx);
        let report = invocation::run("sweeper", ctx, &event.context, swept).await?;
        Ok::<_, Error>(format!("{report:?}"))
    });
    lambda_runtime::run(handler).await
}
