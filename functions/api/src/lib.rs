//! `/v1/…`: all API routes except ticket events.

mod routes {
    pub(crate) mod analyses;
    pub(crate) mod artifacts;
    pub(crate) mod attempts;
    pub(crate) mod breakers;
    pub(crate) mod comments;
    pub(crate) mod dead_letters;
    pub(crate) mod deliveries;
    pub(crate) mod github_apps;
    pub(crate) mod hold;
    pub(crate) mod hooks;
    pub(crate) mod ingress;
    pub(crate) mod integrations;
    pub(crate) mod job_commands;
    pub(crate) mod jobs;
    pub(crate) mod meta;
    pub(crate) mod metrics;
    pub(crate) mod notifications;
    pub(crate) mod page;
    pub(crate) mod prelude;
    pub(crate) mod projects;
    pub(crate) mod pulls;
    pub(crate) mod repository_test;
    pub(crate) mod runners;
    pub(crate) mod runs;
    pub(crate) mod schedules;
    pub(crate) mod secrets;
    pub(crate) mod sign_in;
    pub(crate) mod templates;
    pub(crate) mod tickets;
    pub(crate) mod tokens;
    pub(crate) mod trackers;
}
mod openapi_document;
mod route_docs;
mod wire;

pub use openapi_document::document;

use aide::axum::ApiRouter;
use axum::{Extension, Router};
use openapi_document::DocumentCache;
use pullyard_control::{Context, ModelUrls};
use pullyard_entry::http;
use routes::{
    analyses, artifacts, attempts, breakers, comments, dead_letters, deliveries, github_apps, hold, hooks, ingress,
    integrations, job_commands, jobs, meta, metrics, notifications, projects, pulls, repository_test, runners, runs,
    schedules, secrets, sign_in, templates, tickets, tokens, trackers,
};

/// The git commit for `/v1/version`. The program passes it in, so that a new commit does not rebuild this crate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit(pub(crate) &'static str);

pub fn router(ctx: Context, commit: &'static str, model_urls: ModelUrls) -> Router {
    let routes = routes().layer(Extension(Commit(commit))).layer(Extension(DocumentCache::default()));
    let routes = routes.layer(Extension(model_urls));
    http::with_logging("api", &ctx, http::with_fallbacks(routes.with_state(ctx.clone())))
}

/// The table of routes, for the router and the OpenAPI document, which have functions of the same names. The router
/// does not build the document, because that would cost milliseconds in each cold start.
macro_rules! routes {
    ($router:expr, $route:ident, $kind:ident $(:: $inner:ident)?) => {{
        use $kind $(:: $inner)? ::routing::{delete, get, patch, post, put};
        $router
            .$route("/healthz", get(meta::healthz))
            .$route("/readyz", get(meta::readyz))
            .$route("/metrics", get(metrics::show))
            .$route("/openapi.json", get(openapi_document::show))
            .$route("/plan.schema.json", get(openapi_document::show_plan_schema))
            .$route("/v1/version", get(meta::version))
            .$route("/v1/integrations", get(integrations::list).post(integrations::create))
            .$route("/v1/sign-in-links", post(sign_in::link))
            .$route("/v1/github-apps", post(github_apps::connect))
            .$route("/v1/integrations/{integration}", get(integrations::show).delete(integrations::remove))
            .$route("/v1/integrations/{integration}/test", post(integrations::test))
            .$route("/v1/integrations/{integration}/projects", put(integrations::set_projects))
            .$route("/v1/projects", get(projects::list).post(projects::create))
            .$route("/v1/projects/{project}", get(projects::show).patch(projects::rename).delete(projects::delete))
            .$route("/v1/projects/{project}/settings", put(projects::set_settings))
            .$route("/v1/projects/{project}/columns/rename", post(projects::rename_column))
            .$route("/v1/projects/{project}/hold", post(hold::hold))
            .$route("/v1/projects/{project}/release", post(hold::release))
            .$route("/v1/projects/{project}/budget", get(hold::budget))
            .$route("/v1/projects/{project}/repositories", get(projects::repositories).post(projects::add_repository))
            .$route("/v1/projects/{project}/repositories/{owner}/{name}", delete(projects::remove_repository))
            .$route("/v1/projects/{project}/ingress", get(ingress::list).put(ingress::set))
            .$route("/v1/projects/{project}/notifications", get(notifications::list))
            .$route("/v1/projects/{project}/notifications/{endpoint}", put(notifications::put).delete(notifications::delete))
            .$route("/v1/projects/{project}/notifications/{endpoint}/test", post(notifications::test))
            .$route("/v1/projects/{project}/notifications/{endpoint}/enable", post(notifications::enable))
            .$route("/v1/notices", get(notifications::notices))
            .$route("/v1/notices/redeliver", post(notifications::redeliver))
            .$route("/v1/projects/{project}/tracker", put(trackers::choose).delete(trackers::choose_none))
            .$route("/v1/trackers", get(trackers::list).post(trackers::create))
            .$route("/v1/trackers/{tracker}", get(trackers::show).delete(trackers::delete))
            .$route("/v1/trackers/{tracker}/statuses", get(trackers::statuses))
            .$route("/v1/trackers/{tracker}/test", post(trackers::test))
            .$route("/v1/hooks", get(hooks::list).post(hooks::install))
            .$route("/v1/hooks/{hook}", get(hooks::show).delete(hooks::remove))
            .$route("/v1/hooks/{hook}/verify", post(hooks::verify))
            .$route("/v1/hooks/{hook}/repair", post(hooks::repair))
            .$route("/v1/projects/{project}/repositories/{owner}/{name}/test", post(repository_test::test))
            .$route("/v1/tickets", get(tickets::list).post(tickets::create))
            .$route("/v1/tickets/{key}", get(tickets::show).patch(tickets::edit).delete(tickets::delete))
            .$route("/v1/tickets/{key}/move", post(tickets::move_ticket))
            .$route("/v1/tickets/{key}/raises", post(tickets::raise))
            .$route("/v1/tickets/{key}/sync", post(trackers::sync))
            .$route("/v1/tickets/{key}/comments", get(comments::list).post(comments::add))
            .$route("/v1/tickets/{key}/comments/{comment}", patch(comments::edit).delete(comments::delete))
            .$route("/v1/jobs", get(jobs::list).post(jobs::create))
            .$route("/v1/jobs/{job}", get(jobs::show))
            .$route("/v1/jobs/{job}/cancel", post(job_commands::cancel))
            .$route("/v1/jobs/{job}/pause", post(job_commands::pause))
            .$route("/v1/jobs/{job}/continue", post(job_commands::continue_job))
            .$route("/v1/jobs/{job}/answer", post(job_commands::answer))
            .$route("/v1/jobs/{job}/retry", post(job_commands::retry))
            .$route("/v1/jobs/{job}/why", get(jobs::explain_job))
            .$route("/v1/jobs/{job}/events", get(jobs::events))
            .$route("/v1/jobs/{job}/output", get(jobs::output))
            .$route("/v1/jobs/{job}/artifacts", get(artifacts::list))
            .$route("/v1/jobs/{job}/artifacts/{artifact}", get(artifacts::show))
            .$route("/v1/jobs/{job}/attempts", get(artifacts::attempts))
            .$route("/v1/jobs/{job}/context", get(artifacts::context))
            .$route("/v1/jobs/{job}/attempts/{attempt}/artifacts", post(artifacts::reserve))
            .$route("/v1/jobs/{job}/attempts/{attempt}/artifacts/{artifact}/stored", post(artifacts::mark_stored))
            .$route("/v1/jobs/{job}/attempts/{attempt}/start", post(attempts::start))
            .$route("/v1/jobs/{job}/attempts/{attempt}/status", post(attempts::status))
            .$route("/v1/jobs/{job}/attempts/{attempt}/events", post(attempts::events))
            .$route("/v1/jobs/{job}/attempts/{attempt}/credentials", post(attempts::credentials))
            .$route("/v1/jobs/{job}/attempts/{attempt}/inputs", get(attempts::inputs))
            .$route("/v1/jobs/{job}/attempts/{attempt}/checkpoint", get(attempts::checkpoint))
            .$route("/v1/jobs/{job}/attempts/{attempt}/yield", post(attempts::yield_job))
            .$route("/v1/jobs/{job}/attempts/{attempt}/finish", post(attempts::finish))
            .$route("/v1/analyses", get(analyses::list).post(analyses::request))
            .$route("/v1/analyses/items", get(analyses::items))
            .$route("/v1/pulls", get(pulls::list))
            .$route("/v1/pulls/why", get(pulls::explain_pull_request))
            .$route("/v1/pulls/link", put(pulls::link).delete(pulls::unlink))
            .$route("/v1/pulls/raise", post(pulls::raise))
            .$route("/v1/pulls/revise", post(pulls::revise))
            .$route("/v1/pulls/review", post(pulls::review::<false>))
            .$route("/v1/pulls/resolve", post(pulls::review::<true>))
            .$route("/v1/plans/check", post(runs::check))
            .$route("/v1/runs", get(runs::list).post(runs::start))
            .$route("/v1/runs/{run}", get(runs::show))
            .$route("/v1/runs/{run}/cancel", post(runs::cancel))
            .$route("/v1/runs/{run}/resume", post(runs::resume))
            .$route("/v1/runs/{run}/pull-request", post(runs::open_pull_request))
            .$route("/v1/runs/{run}/pull-request/merge", post(runs::merge))
            .$route("/v1/runs/{run}/steps/{step}/approve", post(runs::answer::<true>))
            .$route("/v1/runs/{run}/steps/{step}/refuse", post(runs::answer::<false>))
            .$route("/v1/submissions", post(templates::submit))
            .$route("/v1/templates/{project}", get(templates::list))
            .$route("/v1/templates/{project}/{name}", get(templates::show).put(templates::put).delete(templates::delete))
            .$route("/v1/templates/{project}/{name}/runs", post(templates::start))
            .$route("/v1/runners", get(runners::list).post(runners::register))
            .$route("/v1/runners/{runner}", get(runners::show).delete(runners::remove))
            .$route("/v1/runners/{runner}/commands", post(runners::command))
            .$route("/v1/runners/{runner}/heartbeat", post(runners::heartbeat))
            .$route("/v1/runners/{runner}/claim", post(runners::claim))
            .$route("/v1/deliveries", get(deliveries::list))
            .$route("/v1/deliveries/{delivery}", get(deliveries::show))
            .$route("/v1/deliveries/{delivery}/replay", post(deliveries::replay))
            .$route("/v1/due-schedules/run", post(schedules::run_due))
            .$route("/v1/schedules/{project}", get(schedules::list))
            .$route("/v1/schedules/{project}/{name}", get(schedules::show).put(schedules::put).delete(schedules::delete))
            .$route("/v1/schedules/{project}/{name}/{command}", post(schedules::command))
            .$route("/v1/breakers", get(breakers::list))
            .$route("/v1/breakers/close", post(breakers::close))
            .$route("/v1/dlq", get(dead_letters::list))
            .$route("/v1/dlq/redrive", post(dead_letters::redrive))
            .$route("/v1/dlq/drop", post(dead_letters::drop))
            .$route("/v1/dlq/{message}", get(dead_letters::show))
            .$route("/v1/tokens", get(tokens::list).post(tokens::create))
            .$route("/v1/tokens/self", get(tokens::show_own))
            .$route("/v1/tokens/{token}", delete(tokens::revoke))
            .$route("/v1/secrets", get(secrets::list))
            .$route("/v1/secrets/{secret}", put(secrets::set).delete(secrets::delete))
            .$route("/v1/secrets/{secret}/projects", put(secrets::set_projects))
            .$route("/v1/secrets/{secret}/rotate", post(secrets::rotate))
            .$route("/v1/secrets/{secret}/test", post(secrets::test))
    }};
}

fn routes() -> Router<Context> {
    routes!(Router::new(), route, axum)
}

fn documented_routes() -> ApiRouter<Context> {
    routes!(ApiRouter::new(), api_route, aide::axum)
}
