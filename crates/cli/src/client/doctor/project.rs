//! Checks a project for `pullyard doctor`: whether its tickets become jobs, and whether runners claim them.

use crate::client::prelude::*;
use pullyard_admin::doctor::Finding;
use pullyard_domain::egress::warn_if_open;
use pullyard_domain::id::RepositoryName;
use pullyard_domain::project::Compute;
use pullyard_local::LocalSystem;
use pullyard_protocol::client::Error;
use pullyard_protocol::project::{Project, Repository};
use pullyard_protocol::runner_admin::{Runner, RunnerStatus};

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
        let help = format!("Connect one: `pullyard repos add {source} --project {id}`.");
        return Finding::warning("project", format!("{id} has no repository."), help);
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
    if let Some(holder) = &settings.held_by {
        let help = format!("Release it: `pullyard release --project {id}`.");
        return Finding::warning("project", format!("{id} is on hold ({holder}): no new jobs start."), help);
    }
    if let Some(warning) = warn_if_open(&settings.egress) {
        let help = format!("Example: `pullyard settings set 'egress=[\"forge\",\"npm\"]' --project {id}`.");
        return Finding::warning("project", format!("{id}: {warning}"), help);
    }
    if !settings.auto_create {
        return Finding::warning(
            "project",
            format!("Tickets of {id} that enter {} start nothing: auto-create is off.", settings.statuses.trigger),
            format!("Switch it on: `pullyard settings set auto_create=true --project {id}`, or create jobs by hand."),
        );
    }
    Finding::good("project", format!("Tickets of {id} that enter {} start jobs.", settings.statuses.trigger))
}

fn find_missing_repository<'a>(session: &Session, repository: &'a Repository) -> Option<&'a RepositoryName> {
    let folder = LocalSystem::forge_folder(session.data.as_deref()?);
    let link = folder.join(format!("{}.git", repository.name));
    (link.is_symlink() && !link.exists()).then_some(&repository.name)
}

pub(super) fn check_isolation(runner: &Runner) -> Option<Finding> {
    let is_online = matches!(runner.status, RunnerStatus::Online | RunnerStatus::Draining);
    runner.isolation.as_ref().filter(|isolation| is_online && isolation.is_none())?;
    let sentence = format!("Agents on the runner {} have all rights of its user: its isolation is none.", runner.name);
    Some(Finding::warning(
        "isolation",
        sentence,
        "Start it again with `--isolation auto`, which runs agents in a sandbox.",
    ))
}

pub(super) fn check_runners(url: &str, project: &Project, runners: &Result<Vec<Runner>, Error>) -> Option<Finding> {
    if project.settings.compute != Compute::Runners {
        return None;
    }
    let id = &project.id;
    let all = match runners {
        Ok(all) => all,
        Err(error) => {
            let sentence = format!("Failed to check the runners: {error}.");
            return Some(Finding::wrong("runners", sentence, "See the server's log."));
        }
    };
    let serves = |runner: &&Runner| runner.projects.as_ref().is_none_or(|projects| projects.contains(id));
    let online = all.iter().filter(serves).filter(|runner| runner.status == RunnerStatus::Online).count();
    if online > 0 {
        let verb = if online == 1 { "runner claims" } else { "runners claim" };
        return Some(Finding::good("runners", format!("{online} {verb} jobs of {id}.")));
    }
    let drained = all.iter().filter(serves).find(|runner| runner.drain.is_some());
    let last = all.iter().filter(serves).max_by_key(|runner| runner.last_heartbeat);
    let (sentence, help) = match (drained, last) {
        (Some(runner), _) => (
            format!("No runner claims jobs of {id}: {} is draining.", runner.name),
            format!("Resume it: `pullyard runners resume {}`.", runner.name),
        ),
        (None, Some(runner)) => (
            format!("No runner claims jobs of {id}; the last one was {}.", runner.name),
            format!("Start it again on its machine, with its token: `pullyard runner start --name {}`.", runner.name),
        ),
        (None, None) => (
            format!("Jobs of {id} need a runner, but none is registered for it."),
            format!(
                "`pullyard tokens create --name NAME --kind runner --projects {id} > FILE`, then \
                 `pullyard runner start --api-url {url} --token-file FILE`."
            ),
        ),
    };
    Some(Finding::wrong("runners", sentence, help))
}
