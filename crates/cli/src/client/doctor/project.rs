//! Checks a project for `pullyard doctor`: whether its tickets become jobs, and whether runners claim them.

use crate::client::prelude::*;
use pullyard_admin::doctor::Finding;
use pullyard_domain::diagnosis::{self, AgentPlace, RunnerFacts};
use pullyard_domain::id::{ProjectId, RepositoryName};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Compute;
use pullyard_local::LocalSystem;
use pullyard_protocol::client::Error;
use pullyard_protocol::job::JobQuery;
use pullyard_protocol::project::{Project, Repository};
use pullyard_protocol::runner_admin::Runner;
use std::collections::BTreeSet;

pub(super) async fn check_repositories(session: &Session, project: &Project) -> Finding {
    let (id, settings) = (&project.id, &project.settings);
    let repositories = match session.api.repositories(id).await {
        Ok(answer) => answer.repositories,
        Err(error) => {
            let sentence = format!("Failed to check {id}: {}.", CliError::from(error).message());
            return Finding::wrong("project", sentence, "See the server's log.");
        }
    };
    if repositories.is_empty() {
        let source = if session.data.is_some() { "--path DIR" } else { "OWNER/NAME --integration ID" };
        return diagnosis::no_repository(id, source);
    }
    if let Some(name) = repositories.iter().find_map(|repository| find_missing_repository(session, repository)) {
        return Finding::wrong(
            "project",
            format!("{name} of {id} is no longer in its folder."),
            format!(
                "Move it back, or connect its new folder under another name and delete this one: \
                 `pullyard repos add local/NAME --path DIR --project {id}`; \
                 `pullyard repos delete {name} --project {id}`."
            ),
        );
    }
    diagnosis::check_settings(id, settings)
}

/// What polls have seen of the project's repositories: archived ones, and renamed ones.
pub(super) async fn check_polls(session: &Session, project: &Project) -> Vec<Finding> {
    let id = &project.id;
    // A failure shows at the check of the repositories, too.
    let Ok(listed) = session.api.ingresses(id).await else { return Vec::new() };
    let mut findings = Vec::new();
    for state in listed.repositories {
        let name = &state.repository;
        if state.archived {
            findings.push(Finding::warning(
                "repository",
                format!("{name} of {id} is archived at the forge: its jobs can't push."),
                format!("Unarchive it there, or delete it here: `pullyard repos delete {name} --project {id}`."),
            ));
        }
        if let Some(old) = &state.renamed_from {
            let sentence = format!("{old} of {id} was renamed to {name}; tickets may name either.");
            findings.push(Finding::good("repository", sentence));
        }
    }
    findings
}

fn find_missing_repository<'a>(session: &Session, repository: &'a Repository) -> Option<&'a RepositoryName> {
    let folder = LocalSystem::forge_folder(session.data.as_deref()?);
    let link = folder.join(format!("{}.git", repository.name));
    (link.is_symlink() && !link.exists()).then_some(&repository.name)
}

pub(super) fn check_runners(url: &str, project: &Project, runners: &Result<Vec<Runner>, Error>) -> Option<Finding> {
    match runners {
        Ok(all) => diagnosis::check_runners(url, &project.id, &project.settings, &list_facts(all, &project.id)),
        Err(error) if project.settings.compute == Compute::Runners => {
            let sentence = format!("Failed to check the runners: {error}.");
            Some(Finding::wrong("runners", sentence, "See the server's log."))
        }
        Err(_) => None,
    }
}

fn list_facts<'a>(all: &'a [Runner], project: &ProjectId) -> Vec<RunnerFacts<'a>> {
    all.iter().filter(|runner| runner.serves(project)).map(RunnerFacts::from).collect()
}

fn list_installed_agents() -> Vec<&'static str> {
    pullyard_runner::list_local_agents().into_iter().map(|(name, _)| name).collect()
}

/// Whether no program of this machine can work as this agent.
pub(in crate::client) fn is_missing_here(agent: &str) -> bool {
    diagnosis::is_agent_missing(agent, &list_installed_agents())
}

/// Checks that the agents of a project's repositories are where its jobs run. On AWS, the image has all of them.
pub(super) async fn check_agents(
    session: &Session,
    project: &Project,
    runners: &Result<Vec<Runner>, Error>,
) -> Vec<Finding> {
    let id = &project.id;
    // A failed request is a finding of `check_repositories`.
    let Ok(listed) = session.api.repositories(id).await else { return Vec::new() };
    let resolve = |repository: Repository| repository.agent.resolve(&project.settings).capability;
    let agents: BTreeSet<String> = listed.repositories.into_iter().map(resolve).collect();
    match (project.settings.compute, runners) {
        (Compute::Runners, Ok(all)) => diagnosis::check_agents(id, agents, AgentPlace::Runners(&list_facts(all, id))),
        (Compute::Fargate, _) if session.data.is_some() => {
            diagnosis::check_agents(id, agents, AgentPlace::Machine(&list_installed_agents()))
        }
        _ => Vec::new(),
    }
}

/// Warns if the newest ended job of a project failed.
pub(super) async fn check_last_job(session: &Session, project: &Project) -> Option<Finding> {
    let statuses = vec![JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];
    let query = JobQuery { statuses, limit: Some(1), ..JobQuery::default() };
    let job = session.api.list_jobs_matching(&project.id, &query).await.ok()?.jobs.into_iter().next()?;
    let failure = job.failure?;
    let help = format::with_job_id(&failure.help, &job.id);
    Some(diagnosis::failed_job(&project.id, &job.id, &failure.sentence, help))
}
