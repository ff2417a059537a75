//! The web pages, rendered on the server. Every page works with plain HTML forms and links; a small script adds live
//! text and dragging. Pages use the API's use cases.
//! Templates display foreign text only as [`text::SafeText`] or [`markdown::SafeHtml`]; raw values are only in form
//! fields.

mod analyses;
mod artifacts;
mod assets;
mod board;
pub mod charts;
mod compress;
mod decisions;
mod diff;
mod fault;
mod form;
mod frame;
mod guard;
pub mod hints;
mod hold;
mod job;
mod jobs;
mod labels;
mod log;
pub mod markdown;
mod overview;
mod params;
mod prelude;
mod pulls;
mod revise_request;
mod runs;
mod search;
mod setup;
mod sign_in;
mod templates;
pub mod text;
mod theme;
mod tickets;
mod verdict;
mod visit;

use axum::Router;
use axum::routing::{any, get, post};
use pullyard_control::Context;
use pullyard_entry::http;
pub use setup::{CheckRepository, FindFolder, LinkFolder, ListRepositories, LocalMachine, RepositoryProblem};

pub fn router(ctx: Context) -> Router {
    let routes = Router::new()
        .route("/", get(overview::show))
        .route("/board", get(board::show))
        .route("/hold", post(hold::hold))
        .route("/release", post(hold::release))
        .route("/tickets", post(tickets::create))
        .route("/tickets/new", get(tickets::show_form))
        .route("/tickets/{key}", get(tickets::show))
        .route("/tickets/{key}/edit", post(tickets::edit))
        .route("/tickets/{key}/move", post(tickets::move_ticket))
        .route("/tickets/{key}/raise", post(tickets::raise))
        .route("/tickets/{key}/comments", post(tickets::add_comment))
        .route("/tickets/{key}/comments/{comment}/edit", post(tickets::edit_comment))
        .route("/jobs/{job}", get(job::log_tab::show_job))
        .route("/jobs/{job}/log", get(job::log_tab::show))
        .route("/jobs/{job}/changes", get(job::changes::show))
        .route("/jobs/{job}/output", get(job::output::show))
        .route("/jobs/{job}/attempts", get(job::attempts::show))
        .route("/jobs/{job}/artifacts", get(artifacts::show))
        .route("/jobs", get(jobs::list).post(jobs::create::create))
        .route("/jobs/new", get(jobs::create::show_form))
        .route("/jobs/bulk", post(jobs::bulk::run))
        .route("/jobs/{job}/artifacts/{artifact}", get(artifacts::redirect_to_artifact))
        .route("/jobs/{job}/cancel", post(job::commands::cancel))
        .route("/jobs/{job}/pause", post(job::commands::pause))
        .route("/jobs/{job}/continue", post(job::commands::continue_job))
        .route("/jobs/{job}/answer", post(job::commands::answer))
        .route("/jobs/{job}/retry", post(job::commands::retry))
        .route("/runs", get(runs::list).post(runs::start))
        .route("/runs/{run}", get(runs::page::show))
        .route("/runs/{run}/waterfall", get(runs::page::show_waterfall))
        .route("/runs/{run}/checks", get(runs::page::show_checks))
        .route("/runs/{run}/cancel", post(runs::orders::cancel))
        .route("/runs/{run}/resume", post(runs::orders::resume))
        .route("/runs/{run}/answer", post(runs::orders::answer))
        .route("/pulls", get(pulls::list::show))
        .route("/pulls/review", post(pulls::request::request))
        .route("/pulls/revise", post(pulls::revise))
        .route("/pulls/{integration}/{repository}/{number}", get(pulls::page::show))
        .route("/pulls/{integration}/{repository}/{number}/review", post(pulls::form::review))
        .route("/pulls/{integration}/{repository}/{number}/state", post(pulls::form::set_state))
        .route("/pulls/{integration}/{repository}/{number}/raise", post(pulls::form::raise))
        .route("/analyses", get(analyses::list).post(analyses::start))
        .route("/analyses/items", get(analyses::show))
        .route("/decisions", get(decisions::list))
        .route("/decisions/{delivery}", get(decisions::detail::show))
        .route("/runs/templates", get(templates::list).post(templates::start))
        .route("/search", get(search::show))
        .route("/theme", post(theme::set))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/assets/{name}", get(assets::serve))
        .fallback(visit::unknown_page)
        .method_not_allowed_fallback(fault::unknown_method);
    http::with_logging("pages", &ctx, guard::protect(routes, &ctx))
}

/// Routes below `/setup` of the API function. These pages change connections, secrets, tokens or runners, and only the
/// API's role may do that. `machine`: the machine of `pullyard up`; `None` on AWS.
pub fn setup_router(ctx: Context, machine: Option<LocalMachine>, releases: &'static str) -> Router {
    let routes = setup::routes(machine, releases).route("/setup/{*page}", any(visit::unknown_page));
    http::with_logging("api", &ctx, guard::protect(routes, &ctx))
}
