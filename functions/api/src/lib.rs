//! `/v1/…`: everything that people, programs and runners ask, but ticket events.

mod routes {
    pub(crate) mod attempts;
    pub(crate) mod dead_letters;
    pub(crate) mod deliveries;
    pub(crate) mod github_apps;
    pub(crate) mod hold;
    pub(crate) mod hooks;
    pub(crate) mod ingress;
    pub(crate) mod integrations;
    pub(crate) mod job_orders;
    pub(crate) mod jobs;
    pub(crate) mod meta;
    pub(crate) mod metrics;
    pub(crate) mod page;
    pub(crate) mod projects;
    pub(crate) mod pulls;
    pub(crate) mod repository_test;
    pub(crate) mod runners;
    pub(crate) mod secrets;
    pub(crate) mod sign_in;
    pub(crate) mod tickets;
    pub(crate) mod tokens;
}
mod description;
mod said;
mod wire;

pub use description::document;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete, get, post, put};
use axum::Router;
use pullyard_control::Context;
use pullyard_entry::http;
use routes::{
    attempts, dead_letters, deliveries, github_apps, hold, hooks, ingress, integrations, job_orders, jobs, meta,
    metrics, projects, pulls, repository_test, runners, secrets, sign_in, tickets, tokens,
};

/// The function's routes.
pub fn router(ctx: Context) -> Router {
    http::logged("api", &ctx, http::finished(routes().with_state(ctx.clone()).into()))
}

/// The routes with what their types say of them.
fn routes() -> ApiRouter<Context> {
    ApiRouter::new()
        .api_route("/healthz", get(meta::healthz))
        .api_route("/readyz", get(meta::readyz))
        .api_route("/metrics", get(metrics::show))
        .api_route("/openapi.json", get(description::show))
        .api_route("/v1/version", get(meta::version))
        .api_route("/v1/sweep", post(meta::sweep))
        .api_route("/v1/integrations", get(integrations::list).post(integrations::create))
        .api_route("/v1/sign-in-links", post(sign_in::link))
        .api_route("/v1/github-apps", post(github_apps::connect))
        .api_route("/v1/github-apps/conversions", post(github_apps::make))
        .api_route("/v1/integrations/{integration}", get(integrations::show))
        .api_route("/v1/integrations/{integration}/test", post(integrations::test))
        .api_route("/v1/projects", get(projects::list).post(projects::create))
        .api_route("/v1/projects/{project}", get(projects::show))
        .api_route("/v1/projects/{project}/settings", put(projects::set_settings))
        .api_route("/v1/projects/{project}/hold", post(hold::hold))
        .api_route("/v1/projects/{project}/release", post(hold::release))
        .api_route("/v1/projects/{project}/budget", get(hold::budget))
        .api_route("/v1/projects/{project}/repositories", get(projects::repositories).post(projects::add_repository))
        .api_route("/v1/projects/{project}/ingress", get(ingress::list).put(ingress::set))
        .api_route("/v1/hooks", get(hooks::list).post(hooks::install))
        .api_route("/v1/hooks/{hook}", get(hooks::show).delete(hooks::remove))
        .api_route("/v1/hooks/{hook}/verify", post(hooks::verify))
        .api_route("/v1/hooks/{hook}/repair", post(hooks::repair))
        .api_route("/v1/hooks/{hook}/recover", post(hooks::recover))
        .api_route("/v1/projects/{project}/repositories/{owner}/{name}/test", post(repository_test::test))
        .api_route("/v1/tickets", get(tickets::list).post(tickets::create))
        .api_route("/v1/tickets/{key}", get(tickets::show).patch(tickets::edit))
        .api_route("/v1/tickets/{key}/move", post(tickets::put))
        .api_route("/v1/jobs", get(jobs::list).post(jobs::create))
        .api_route("/v1/jobs/{job}", get(jobs::show))
        .api_route("/v1/jobs/{job}/cancel", post(job_orders::cancel))
        .api_route("/v1/jobs/{job}/retry", post(job_orders::retry))
        .api_route("/v1/jobs/{job}/why", get(jobs::why))
        .api_route("/v1/jobs/{job}/events", get(jobs::events))
        .api_route("/v1/jobs/{job}/attempts/{attempt}/start", post(attempts::start))
        .api_route("/v1/jobs/{job}/attempts/{attempt}/status", post(attempts::status))
        .api_route("/v1/jobs/{job}/attempts/{attempt}/events", post(attempts::events))
        .api_route("/v1/jobs/{job}/attempts/{attempt}/credentials", post(attempts::credentials))
        .api_route("/v1/jobs/{job}/attempts/{attempt}/finish", post(attempts::finish))
        .api_route("/v1/pulls", get(pulls::list))
        .api_route("/v1/pulls/why", get(pulls::why))
        .api_route("/v1/pulls/link", put(pulls::link).delete(pulls::unlink))
        .api_route("/v1/pulls/revise", post(pulls::revise))
        .api_route("/v1/runners", get(runners::list).post(runners::register))
        .api_route("/v1/runners/{runner}", get(runners::show).delete(runners::remove))
        .api_route("/v1/runners/{runner}/commands", post(runners::command))
        .api_route("/v1/runners/{runner}/heartbeat", post(runners::heartbeat))
        .api_route("/v1/runners/{runner}/claim", post(runners::claim))
        .api_route("/v1/deliveries", get(deliveries::list))
        .api_route("/v1/deliveries/{delivery}", get(deliveries::show))
        .api_route("/v1/deliveries/{delivery}/replay", post(deliveries::replay))
        .api_route("/v1/dlq", get(dead_letters::list))
        .api_route("/v1/dlq/redrive", post(dead_letters::redrive))
        .api_route("/v1/dlq/drop", post(dead_letters::drop))
        .api_route("/v1/dlq/{message}", get(dead_letters::show))
        .api_route("/v1/tokens", get(tokens::list).post(tokens::create))
        .api_route("/v1/tokens/self", get(tokens::own))
        .api_route("/v1/tokens/{token}", delete(tokens::revoke))
        .api_route("/v1/secrets", get(secrets::list))
        .api_route("/v1/secrets/{secret}", put(secrets::set))
        .api_route("/v1/secrets/{secret}/rotate", post(secrets::rotate))
}
