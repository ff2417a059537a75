//! Setup page: repositories.

use axum::Router;
use pullyard_control::Context;

pub(super) fn routes() -> Router<Context> {
    Router::new()
}
