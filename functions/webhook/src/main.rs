//! The webhook function in Lambda.

use pullyard_entry::{Config, http, telemetry};
use pullyard_function_webhook::router;

#[tokio::main]
async fn main() -> Result<(), http::Error> {
    telemetry::start();
    let ctx = Config::from_env()?.connect().await;
    http::run(router(ctx)).await
}
