//! Checks a project for `pullyard doctor`: whether its tickets become jobs, and whether runners claim them.

use crate::client::prelude::*;
use pullyard_admin::doctor::Finding;
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::job::JobStatus;
use pullyard_domain::job::agent_check::LocalAgent;
use pullyard_domain::job::diagnosis::{self, RunnerFacts};
use pullyard_domain::project::budget::{DailyUsage, Day};
use pullyard_domain::text::id::{ProjectId, SecretName};
use pullyard_domain::text::time::Timestamp;
use pullyard_local::{LocalSystem, check_linked_repository};
use pullyard_protocol::client::Error;
use pullyard_protocol::job::JobQuery;
use pullyard_protocol::project::{BudgetUse, Project, Repository};
use pullyard_protocol::runner_admin::Runner;
use pullyard_protocol::secret::TestSecret;
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
    let fault = repositories.into_iter().find_map(|repository| check_folder(session, project, repository));
    fault.unwrap_or_else(|| diagnosis::check_settings(id, settings))
}

pub(super) async fn check_budget(session: &Session, project: &Project) -> Option<Finding> {
    let BudgetUse { budget, until, jobs, reserved_usd_micros, spent_usd_micros, .. } =
        session.api.budget(&project.id).await.ok()?;
    let day = Day::containing(Timestamp::from_millis(until.millis() - 1));
    let taken_usd_micros = spent_usd_micros.saturating_add(reserved_usd_micros);
    diagnosis::check_budget(&project.id, &budget, &DailyUsage { day, jobs, taken_usd_micros, spent_usd_micros })
}

/// Reports repositories that polls found archived or renamed.
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

/// Why jobs can't work in a linked folder of this machine.
fn check_folder(session: &Session, project: &Project, repository: Repository) -> Option<Finding> {
    let folder = LocalSystem::forge_folder(session.data.as_deref()?);
    let Repository { name, default_branch, agent, .. } = repository;
    let link = folder.join(format!("{name}.git"));
    let id = &project.id;
    if link.is_symlink() && !link.exists() {
        return Some(Finding::wrong(
            "project",
            format!("{name} of {id} is no longer in its folder."),
            format!(
                "Move it back, or connect its new folder under another name and delete this one: \
                 `pullyard repos add local/NAME --path DIR --project {id}`; \
                 `pullyard repos delete {name} --project {id}`."
            ),
        ));
    }
    let command = agent.resolve(&project.settings).command;
    let fault = link.is_symlink().then(|| check_linked_repository(&folder, name.as_str(), &default_branch, &command));
    let fault = fault?.err()?;
    Some(Finding::wrong(
        "project",
        format!("{name} of {id} {fault}."),
        format!("{}.", fault.help().trim_end_matches('.')),
    ))
}

pub(super) fn check_runners(url: &str, project: &Project, runners: &Result<Vec<Runner>, Error>) -> Option<Finding> {
    match runners {
        Ok(all) => diagnosis::check_runners(url, &project.id, &project.settings, &list_facts(all, &project.id)),
        Err(error) if project.settings.compute.uses_runners() => {
            let sentence = format!("Failed to check the runners: {error}.");
            Some(Finding::wrong("runners", sentence, "See the server's log."))
        }
        Err(_) => None,
    }
}

fn list_facts<'a>(all: &'a [Runner], project: &ProjectId) -> Vec<RunnerFacts<'a>> {
    all.iter().filter(|runner| runner.serves(project)).map(RunnerFacts::from).collect()
}

fn list_installed_agents() -> Vec<LocalAgent> {
    let all = pullyard_runner::list_local_agents().into_iter();
    all.map(|(capability, has_key)| LocalAgent { capability, has_key }).collect()
}

/// Whether no program of this machine can work as this agent.
pub(in crate::client) fn is_missing_here(agent: &str) -> bool {
    diagnosis::is_agent_missing(agent, &list_installed_agents())
}

/// Checks that the agents of the repositories are installed where the jobs run. On AWS, the image has all agents.
pub(super) async fn check_agents(
    session: &Session,
    project: &Project,
    runners: &Result<Vec<Runner>, Error>,
) -> Vec<Finding> {
    let (id, settings) = (&project.id, &project.settings);
    // A failed request is a finding of `check_repositories`.
    let Ok(listed) = session.api.repositories(id).await else { return Vec::new() };
    let resolve = |repository: Repository| repository.agent.resolve(settings).capability;
    let agents: BTreeSet<String> = listed.repositories.into_iter().map(resolve).collect();
    let runners = runners.as_ref().ok().map(|all| list_facts(all, id));
    let installed = session.data.is_some().then(list_installed_agents);
    diagnosis::check_agent_places(id, settings, agents, runners.as_deref(), installed.as_deref())
}

/// Tests the project's model keys with their providers. None for a token that may not test them.
pub(super) async fn check_keys(session: &Session, project: &Project) -> Vec<Finding> {
    let id = &project.id;
    let mut findings = Vec::new();
    for (_, secret) in project.settings.model_secrets.iter() {
        let Some(Ok(name)) = secret.rsplit('/').next().map(SecretName::new) else { continue };
        let Ok(tested) = session.api.test_secret(&name, &TestSecret { project: id.clone() }).await else { continue };
        let sentence = format!("The key {name} of {id} was tested: {}", tested.sentence);
        findings.push(match tested.result {
            ModelKeyTest::Untestable => continue,
            ModelKeyTest::Accepted => Finding::good("key", sentence),
            ModelKeyTest::Refused => {
                let help = format!("{} Store it with `pullyard secrets set {name} --for-jobs`.", tested.help);
                Finding::wrong("key", sentence, help)
            }
            _ => Finding::warning("key", sentence, tested.help),
        });
    }
    findings
}

/// Warns if the newest ended job of a project failed.
pub(super) async fn check_last_job(session: &Session, project: &Project) -> Option<Finding> {
    let statuses = vec![JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];
    let query = JobQuery { statuses, limit: Some(1), ..JobQuery::default() };
    let job = session.api.list_jobs_matching(&project.id, &query).await.ok()?.jobs.into_iter().next()?;
    // The step of a run may allow that its job changes nothing.
    let failure = job.failure.filter(|failure| job.step.is_none() || failure.code != "no_changes")?;
    let help = format::with_job_id(&failure.help, &job.id);
    Some(diagnosis::failed_job(&project.id, &job.id, &failure.sentence, help))
}
