//! Reports health and version.

use crate::Commit;
use crate::routes::prelude::*;
use axum::Extension;
use axum::http::StatusCode;
use pullyard_control::SweeperGauges;
use pullyard_domain::text::Span;
use pullyard_protocol::version::{Health, PROTOCOL, Readiness, Version};

pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".into() })
}

/// Checks the disk, the table and the sweeper's last run. The reason for a failed read is only logged.
pub(crate) async fn readyz(State(ctx): State<Context>) -> Result<Json<Readiness>, Problem> {
    let fault = match control::check_readiness(&ctx).await {
        _ if ctx.disk.is_full() => "the disk is full".to_owned(),
        Ok(SweeperGauges::OnTime) => {
            let ok = || "ok".to_owned();
            return Ok(Json(Readiness { status: ok(), table: ok(), sweeper: ok() }));
        }
        Ok(SweeperGauges::NeverRan) => "the sweeper has not run yet".to_owned(),
        Ok(SweeperGauges::Delayed(age)) => {
            format!("the sweeper last ran {} ago; it should run every minute", Span::from(age))
        }
        Err(_) => "the table can't be read".to_owned(),
    };
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", format!("Not ready: {fault}."))
        .with_help("See docs/operations.md, \"Health endpoints\".")
        .with_retry_after(15))
}

pub(crate) async fn version(State(ctx): State<Context>, Extension(Commit(commit)): Extension<Commit>) -> Json<Version> {
    let version = env!("CARGO_PKG_VERSION").into();
    Json(Version { version, commit: commit.into(), protocol: PROTOCOL, time: Some(ctx.clock.now()) })
}
