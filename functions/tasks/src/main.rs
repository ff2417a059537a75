//! The tasks function in Lambda.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, telemetry};
use pullyard_function_tasks::TaskStateChange;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let ctx = &Config::from_env()?.connect().await;
    let handler = service_fn(async |event: LambdaEvent<TaskStateChange>| {
        pullyard_function_tasks::handle(ctx, event.payload).await?;
        Ok::<_, Error>(())
    });
    lambda_runtime::run(handler).await
}
