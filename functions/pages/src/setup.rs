//! Pages that change projects, connections, secrets, tokens and runners. Only the API function's role may do that.

mod machine;
mod notifications;
mod operations;
mod repositories;
mod runners;
mod schedules;
mod secrets;
mod settings;
mod start;
mod tickets;
mod tokens;
mod trackers;

use crate::decisions::detail;
use axum::routing::post;
use axum::{Extension, Router};
pub use machine::{CheckRepository, FindFolder, LinkFolder, ListRepositories, LocalMachine, RepositoryProblem};
use pullyard_control::Context;
pub(crate) use settings::has_row as has_setting_row;

/// The address of the releases of this program; empty without one.
#[derive(Clone, Copy)]
struct Releases(&'static str);

/// Every handler may extract the machine of `pullyard up` as `Extension<Option<LocalMachine>>`, and `Releases`.
pub(crate) fn routes(machine: Option<LocalMachine>, releases: &'static str) -> Router<Context> {
    Router::new()
        .merge(start::routes())
        .merge(tickets::routes())
        .merge(repositories::routes())
        .merge(secrets::routes())
        .merge(settings::routes())
        .merge(runners::routes())
        .merge(notifications::routes())
        .merge(schedules::routes())
        .merge(tokens::routes())
        .merge(trackers::routes())
        .merge(operations::routes())
        .route("/setup/decisions/{delivery}/replay", post(detail::replay))
        .layer(Extension(machine))
        .layer(Extension(Releases(releases)))
}
