//! `/v1/…`: everything that people, programs and runners ask, but ticket events.

mod routes {
    pub(crate) mod attempts;
    pub(crate) mod deliveries;
    pub(crate) mod integrations;
    pub(crate) mod job_orders;
    pub(crate) mod jobs;
    pub(crate) mod meta;
    pub(crate) mod projects;
    pub(crate) mod runners;
    pub(crate) mod secrets;
    pub(crate) mod sign_in;
    pub(crate) mod tickets;
    pub(crate) mod tokens;
}
mod wire;

use axum::Router;
use axum::routing::{delete, get, post, put};
use pullyard_control::Context;
use pullyard_entry::http;
use routes::{
    attempts, deliveries, integrations, job_orders, jobs, meta, projects, runners, secrets, sign_in, tickets, tokens,
};

/// The function's routes.
pub fn router(ctx: Context) -> Router {
    let routes = Router::new()
        .route("/healthz", get(meta::healthz))
        .route("/v1/version", get(meta::version))
        .route("/v1/sweep", post(meta::sweep))
        .route("/v1/integrations", get(integrations::list).post(integrations::create))
        .route("/v1/sign-in-links", post(sign_in::link))
        .route("/v1/integrations/{integration}", get(integrations::show))
        .route("/v1/integrations/{integration}/test", post(integrations::test))
        .route("/v1/projects", get(projects::list).post(projects::create))
        .route("/v1/projects/{project}", get(projects::show))
        .route("/v1/projects/{project}/settings", put(projects::set_settings))
        .route("/v1/projects/{project}/repositories", get(projects::repositories).post(projects::add_repository))
        .route("/v1/tickets", get(tickets::list).post(tickets::create))
        .route("/v1/tickets/{key}", get(tickets::show).patch(tickets::edit))
        .route("/v1/tickets/{key}/move", post(tickets::put))
        .route("/v1/jobs", get(jobs::list).post(jobs::create))
        .route("/v1/jobs/{job}", get(jobs::show))
        .route("/v1/jobs/{job}/cancel", post(job_orders::cancel))
        .route("/v1/jobs/{job}/retry", post(job_orders::retry))
        .route("/v1/jobs/{job}/why", get(jobs::why))
        .route("/v1/jobs/{job}/events", get(jobs::events))
        .route("/v1/jobs/{job}/attempts/{attempt}/start", post(attempts::start))
        .route("/v1/jobs/{job}/attempts/{attempt}/status", post(attempts::status))
        .route("/v1/jobs/{job}/attempts/{attempt}/events", post(attempts::events))
        .route("/v1/jobs/{job}/attempts/{attempt}/credentials", post(attempts::credentials))
        .route("/v1/jobs/{job}/attempts/{attempt}/finish", post(attempts::finish))
        .route("/v1/runners", get(runners::list).post(runners::register))
        .route("/v1/runners/{runner}", get(runners::show).delete(runners::remove))
        .route("/v1/runners/{runner}/commands", post(runners::command))
        .route("/v1/runners/{runner}/heartbeat", post(runners::heartbeat))
        .route("/v1/runners/{runner}/claim", post(runners::claim))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{delivery}", get(deliveries::show))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/self", get(tokens::own))
        .route("/v1/tokens/{token}", delete(tokens::revoke))
        .route("/v1/secrets", get(secrets::list))
        .route("/v1/secrets/{secret}", put(secrets::set));
    http::finished(routes.with_state(ctx))
}
