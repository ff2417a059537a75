//! The tasks function in Lambda.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, invocation, telemetry};
use pullyard_function_tasks::TaskStateChange;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let ctx = &Config::from_env()?.connect().await;
    let handler = service_fn(async |event: LambdaEvent<TaskStateChange>| {
        let handled = pullyard_function_tasks::handle(ctx, event.payload);
        invocation::run("tasks", ctx, &event.context, handled).await?;
        Ok::<_, Error>(())
    });
    lambda_runtime::run(handler).await
}
