//! Checks whether a job of a project would find its agent and a key for it.

use crate::runner::list_runners;
use crate::{Context, Error};
use pullyard_domain::agent::Agent;
use pullyard_domain::job::agent_check::{self, AgentCheck, LocalAgent};
use pullyard_domain::project::{Project, Repository};

pub async fn check_agent(
    ctx: &Context,
    project: &Project,
    repository: Option<&Repository>,
    local: Option<&[LocalAgent]>,
) -> Result<(Agent, AgentCheck), Error> {
    let agent = repository.map_or_else(Agent::project_default, |repository| repository.agent.clone());
    let agent = agent.resolve(&project.settings);
    let members = match project.settings.compute.uses_runners() {
        true => list_runners(ctx).await?,
        false => Vec::new(),
    };
    let check = agent_check::check_agent(project, &agent, &members, local, ctx.clock.now());
    Ok((agent, check))
}
