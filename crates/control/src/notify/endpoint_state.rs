//! Loads the state of an endpoint, which is new if none is stored.

use crate::{Context, Error};
use pullyard_domain::run::notice::EndpointState;
use pullyard_domain::text::id::{EndpointId, ProjectId};

pub(super) async fn load_state(
    ctx: &Context,
    project: &ProjectId,
    endpoint: &EndpointId,
) -> Result<EndpointState, Error> {
    let stored = ctx.store.load_endpoint_state(project, endpoint).await?;
    Ok(stored.unwrap_or_else(|| EndpointState::new(project.clone(), endpoint.clone())))
}
