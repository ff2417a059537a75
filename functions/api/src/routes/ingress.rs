//! Lists and sets the ingress of a project's repositories: webhook, polling or both.

use crate::routes::prelude::*;
use pullyard_control::set_ingress;
use pullyard_domain::hook::Poll;
use pullyard_domain::id::RepositoryName;
use pullyard_protocol::hook::{Ingresses, RepositoryIngress, SetIngress};

/// A repository without polling state has the default ingress, `Webhook`.
fn to_wire(repository: RepositoryName, poll: Option<Poll>) -> RepositoryIngress {
    RepositoryIngress {
        repository,
        ingress: poll.as_ref().map(|poll| poll.ingress).unwrap_or_default(),
        seen_until: poll.as_ref().and_then(|poll| poll.look.complete_until()),
        gone_at: poll.as_ref().and_then(|poll| poll.gone_at),
        problem: poll.and_then(|poll| poll.look.problem),
    }
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Path(project): Path<ProjectId>,
) -> Result<Json<Ingresses>, Problem> {
    caller.authorize_project(&project)?;
    // The list of an unknown project would be empty.
    if caller.ctx.store.load_project(&project).await.map_err(Error::from)?.is_none() {
        return Err(Problem::not_found(format!("There is no project {project}.")));
    }
    let mut repositories = Vec::new();
    for repository in caller.ctx.store.list_repositories(&project).await.map_err(Error::from)? {
        let poll =
            caller.ctx.store.load_poll(&project, &repository.integration, repository.id).await.map_err(Error::from)?;
        repositories.push(to_wire(repository.name, poll));
    }
    Ok(Json(Ingresses { repositories }))
}

pub(crate) async fn set(
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    StrictJson(request): StrictJson<SetIngress>,
) -> Result<Json<RepositoryIngress>, Problem> {
    caller.authorize_project(&project)?;
    let repository =
        caller.ctx.store.load_repository_by_name(&project, &request.repository).await.map_err(Error::from)?;
    let repository =
        repository.ok_or_else(|| Problem::not_found(format!("{project} has no repository {}.", request.repository)))?;
    let poll = set_ingress(&caller.ctx, &repository, request.ingress).await?;
    Ok(Json(to_wire(repository.name, Some(poll))))
}
