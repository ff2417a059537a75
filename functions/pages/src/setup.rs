//! Pages that change projects, connections, secrets, tokens and runners. The API function serves them, because only its
//! role may do that.

mod operations;
mod repositories;
mod runners;
mod secrets;
mod settings;
mod start;
mod tokens;

use crate::decisions::detail;
use axum::Router;
use axum::routing::post;
use pullyard_control::Context;

pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .merge(start::routes())
        .merge(repositories::routes())
        .merge(secrets::routes())
        .merge(settings::routes())
        .merge(runners::routes())
        .merge(tokens::routes())
        .merge(operations::routes())
        .route("/setup/decisions/{delivery}/replay", post(detail::replay))
}
