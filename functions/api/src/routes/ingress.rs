//! Lists and sets the ingress of a project's repositories: webhook, polling or both.

use super::projects::load_project;
use crate::routes::prelude::*;
use pullyard_control::set_ingress;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::text::id::RepositoryName;
use pullyard_protocol::hook::{Ingresses, RepositoryIngress, SetIngress};

/// A repository without polling state has the default ingress, `Webhook`.
fn to_wire(repository: RepositoryName, poll: Option<Poll>) -> RepositoryIngress {
    RepositoryIngress {
        repository,
        ingress: poll.as_ref().map(|poll| poll.ingress).unwrap_or_default(),
        seen_until: poll.as_ref().and_then(|poll| poll.look.complete_until()),
        gone_at: poll.as_ref().and_then(|poll| poll.gone_at),
        archived: poll.as_ref().is_some_and(|poll| poll.look.archived),
        renamed_from: poll.as_ref().and_then(|poll| poll.look.renamed_from.clone()),
        problem: poll.and_then(|poll| poll.look.problem),
    }
}

pub(crate) async fn list(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<Ingresses>, Problem> {
    // The list of an unknown project would be empty.
    load_project(&caller.ctx, &project).await?;
    let mut repositories = Vec::new();
    for repository in caller.ctx.store.list_repositories(&project).await? {
        let poll = caller.ctx.store.load_poll(&project, &repository.integration, repository.id).await?;
        repositories.push(to_wire(repository.name, poll));
    }
    Ok(Json(Ingresses { repositories }))
}

pub(crate) async fn set(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(request): StrictJson<SetIngress>,
) -> Result<Json<RepositoryIngress>, Problem> {
    let repository = caller.ctx.store.load_repository_by_name(&project, &request.repository).await?;
    let repository =
        repository.ok_or_else(|| Problem::not_found(format!("{project} has no repository {}.", request.repository)))?;
    let poll = set_ingress(&caller.ctx, &repository, request.ingress).await?;
    Ok(Json(to_wire(repository.name, Some(poll))))
}
