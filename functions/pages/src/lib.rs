//! The web pages, rendered on the server. Every page works with plain HTML forms and links; a small script adds live
//! text and dragging. Pages have no rules: they use the API's use cases. Foreign text reaches a template only as
//! [`text::Text`].

mod asked;
mod assets;
mod board;
mod deliveries;
mod fault;
mod form;
mod frame;
mod guard;
mod hold;
mod job;
mod jobs;
mod kept;
mod log;
mod pulls;
mod sign_in;
pub mod text;
mod tickets;
mod verdict;
mod visit;
mod words;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use pullyard_control::Context;
use pullyard_entry::http;

pub fn router(ctx: Context) -> Router {
    let routes = Router::new()
        .route("/", get(board::home))
        .route("/board", get(board::show))
        .route("/hold", post(hold::hold))
        .route("/release", post(hold::release))
        .route("/tickets", post(tickets::create))
        .route("/tickets/new", get(tickets::blank))
        .route("/tickets/{key}", get(tickets::show))
        .route("/tickets/{key}/move", post(tickets::put))
        .route("/jobs", get(jobs::list).post(jobs::create))
        .route("/jobs/new", get(jobs::blank))
        .route("/jobs/{job}", get(job::show))
        .route("/jobs/{job}/artifacts/{artifact}", get(kept::show))
        .route("/jobs/{job}/cancel", post(job::orders::cancel))
        .route("/jobs/{job}/pause", post(job::orders::pause))
        .route("/jobs/{job}/continue", post(job::orders::go_on))
        .route("/jobs/{job}/answer", post(job::orders::answer))
        .route("/jobs/{job}/retry", post(job::orders::retry))
        .route("/pulls/revise", post(pulls::revise))
        .route("/deliveries", get(deliveries::list))
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/assets/{name}", get(assets::serve))
        .fallback(fault::no_page)
        .method_not_allowed_fallback(fault::no_method)
        .layer(from_fn_with_state(ctx.clone(), guard::refuse_foreign_forms))
        .layer(from_fn(guard::add_headers));
    http::logged("pages", &ctx, routes.with_state(ctx.clone()))
}
