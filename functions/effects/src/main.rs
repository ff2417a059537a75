//! The effects function in Lambda.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use pullyard_entry::{Config, invocation, telemetry};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let ctx = &Config::from_env()?.connect().await;
    let handler = service_fn(async |event: LambdaEvent<SqsEvent>| {
        let done = pullyard_function_effects::handle(ctx, event.payload);
        Ok::<_, Error>(invocation::run("effects", ctx, &event.context, done).await)
    });
    lambda_runtime::run(handler).await
}
