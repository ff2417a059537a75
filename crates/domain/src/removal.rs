//! Decides whether a repository may be removed, whether a forge may be disconnected, and whether its name may be
//! reused.
//!
//! The caller finds the jobs, pull requests and hooks; each function judges a single item.

use crate::denial::Denial;
use crate::hook::{Hook, HookKind};
use crate::id::{IntegrationId, RepositoryName};
use crate::job::Job;
use crate::project::{Repository, Settings};
use crate::pull_request::{PullRequest, PullRequestState, label};

/// Refuses to remove a repository with an active job.
pub fn kept_by_job(repository: &Repository, job: &Job) -> Option<Denial> {
    let is_its = job.project == repository.project
        && job.integration == repository.integration
        && job.repository == repository.id;
    let keeps = is_its && !job.status.is_terminal();
    keeps.then(|| Denial::JobInRepository { job: job.id.clone(), repo: repository.name.clone() })
}

/// Refuses to remove a repository with an open, linked pull request. Its reviews may start jobs for the ticket, and the
/// link could not be removed without the repository.
pub fn kept_by_pull_request(repository: &Repository, linked: &PullRequest) -> Option<Denial> {
    let is_its = linked.project == repository.project
        && linked.id.integration == repository.integration
        && linked.id.repository == repository.id;
    let ticket = linked.ticket.as_ref().filter(|_| is_its && linked.state == PullRequestState::Open)?;
    let pr = label(Some(&repository.name), linked.id.number);
    Some(Denial::PullRequestOpen { pr, ticket: ticket.clone() })
}

/// Refuses to remove a repository with a hook that serves only this repository and project. A hook of other projects
/// remains useful.
pub fn kept_by_hook(repository: &Repository, hook: &Hook) -> Option<Denial> {
    let is_its = hook.integration == repository.integration
        && matches!(&hook.kind, HookKind::Repository { id, .. } if *id == repository.id);
    let keeps = is_its && hook.projects().all(|project| *project == repository.project);
    keeps.then(|| Denial::HookOfRepository { hook: hook.name.to_string(), repo: repository.name.clone() })
}

/// Refuses to disconnect a forge with a connected repository, whose jobs need the forge's credentials.
pub fn forge_kept_by_repository(forge: &IntegrationId, repository: &Repository) -> Option<Denial> {
    (repository.integration == *forge).then(|| Denial::RepositoryOfIntegration {
        repo: repository.name.clone(),
        project: repository.project.clone(),
        forge: forge.clone(),
    })
}

/// Refuses to disconnect a forge with a hook. Its credentials maintain the hook and delete it at the forge.
pub fn forge_kept_by_hook(forge: &IntegrationId, hook: &Hook) -> Option<Denial> {
    (hook.integration == *forge)
        .then(|| Denial::HookOfIntegration { hook: hook.name.to_string(), forge: forge.clone() })
}

/// Refuses to disconnect a forge where an active job pushes, even if the job's repository was removed.
pub fn forge_kept_by_job(forge: &IntegrationId, job: &Job) -> Option<Denial> {
    let keeps = job.integration == *forge && !job.status.is_terminal();
    keeps.then(|| Denial::JobAtIntegration { job: job.id.clone(), forge: forge.clone() })
}

/// Refuses a name that a forge with another address had before; `former` is that address. Stored links and records use
/// the name with the forge's ids, which mean other repositories at another forge.
pub fn name_of_another(name: &IntegrationId, former: Option<&str>, api_url: &str) -> Option<String> {
    let former = former.filter(|former| *former != api_url)?;
    Some(format!("{name} was the name of {former}, and stored records still refer to it; choose another name"))
}

/// The settings without a default repository that has one of these names. `None` if the default is another one.
pub fn without_default(settings: &Settings, names: &[RepositoryName]) -> Option<Settings> {
    let default = settings.default_repository.as_ref()?;
    let is_gone = names.iter().any(|name| name.as_str().eq_ignore_ascii_case(default.as_str()));
    is_gone.then(|| Settings { default_repository: None, ..settings.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{HookName, ProjectId, SecretName};
    use crate::job::{End, Status};
    use crate::project::ForgeKind;
    use crate::story::{active, at, finished, linked, pending, project, repository, result};

    /// The repository with another project, another forge, or another id.
    fn others() -> [Repository; 3] {
        let (mut elsewhere, mut foreign, mut other) = (repository(), repository(), repository());
        elsewhere.project = ProjectId::new("other").unwrap();
        foreign.integration = IntegrationId::new("gh2").unwrap();
        other.id = 100;
        [elsewhere, foreign, other]
    }

    fn code(denial: Option<Denial>) -> Option<&'static str> {
        denial.map(|denial| denial.code())
    }

    #[test]
    fn unfinished_job_blocks_removal_of_its_repository() {
        for unfinished in [pending(), active(Status::Claimed), active(Status::Syncing)] {
            assert_eq!(code(kept_by_job(&repository(), &unfinished)), Some("job_in_repository"));
            for other in others() {
                assert_eq!(kept_by_job(&other, &unfinished), None, "{other:?}");
            }
        }
        for end in [End::Completed(result()), End::Cancelled] {
            assert_eq!(kept_by_job(&repository(), &finished(&active(Status::Syncing), end)), None);
        }
    }

    #[test]
    fn open_linked_pull_request_blocks_removal() {
        let denial = kept_by_pull_request(&repository(), &linked()).unwrap();
        assert_eq!(denial.sentence(), "acme/app#231 is open and linked to APP-17.");
        for other in others() {
            assert_eq!(kept_by_pull_request(&other, &linked()), None, "{other:?}");
        }
        for state in [PullRequestState::Closed, PullRequestState::Merged] {
            assert_eq!(kept_by_pull_request(&repository(), &PullRequest { state, ..linked() }), None, "{state:?}");
        }
        assert_eq!(kept_by_pull_request(&repository(), &PullRequest { ticket: None, ..linked() }), None);
    }

    fn hook() -> Hook {
        Hook {
            name: HookName::new("acme-app").unwrap(),
            integration: repository().integration,
            forge: ForgeKind::GitHub,
            home: repository().project,
            others: Vec::new(),
            kind: HookKind::Repository { name: repository().name, id: repository().id },
            secret: SecretName::new("hook-acme-app").unwrap(),
            base_url: None,
            forge_id: None,
            created: at(0),
            rev: 1,
        }
    }

    #[test]
    fn own_repositories_hooks_and_jobs_block_forge_removal() {
        let (own, other) = (repository().integration, IntegrationId::new("gh2").unwrap());
        let ended = finished(&active(Status::Syncing), End::Cancelled);
        for (forge, keeps) in [(&own, true), (&other, false)] {
            let kept = |code: &'static str| keeps.then_some(code);
            assert_eq!(code(forge_kept_by_repository(forge, &repository())), kept("repository_of_integration"));
            assert_eq!(code(forge_kept_by_hook(forge, &hook())), kept("hook_of_integration"));
            for unfinished in [pending(), active(Status::Claimed), active(Status::Syncing)] {
                assert_eq!(code(forge_kept_by_job(forge, &unfinished)), kept("job_at_integration"));
            }
            assert_eq!(forge_kept_by_job(forge, &ended), None);
        }
    }

    #[test]
    fn former_name_of_a_forge_is_reserved_for_it() {
        let name = repository().integration;
        let check = |former: Option<&str>, is_refused: bool| {
            let fault = name_of_another(&name, former, "https://git.acme.example/api/v3");
            assert_eq!(fault.is_some(), is_refused, "{former:?}");
            assert!(fault.is_none_or(|fault| former.is_some_and(|former| fault.contains(former))), "{former:?}");
        };
        check(None, false);
        check(Some("https://git.acme.example/api/v3"), false);
        check(Some("https://api.github.com"), true);
    }

    #[test]
    fn unshared_hook_blocks_removal_of_its_repository() {
        let hook = hook();
        assert_eq!(code(kept_by_hook(&repository(), &hook)), Some("hook_of_repository"));
        for other in others() {
            assert_eq!(kept_by_hook(&other, &hook), None, "{other:?}");
        }
        let shared = Hook { others: vec![ProjectId::new("other").unwrap()], ..hook.clone() };
        assert_eq!(kept_by_hook(&repository(), &shared), None);
        for kind in [HookKind::App {}, HookKind::Organisation { login: "acme".into() }] {
            assert_eq!(kept_by_hook(&repository(), &Hook { kind, ..hook.clone() }), None);
        }
    }

    #[test]
    fn default_repository_is_cleared_under_any_name() {
        let name = |name: &str| RepositoryName::new(name).unwrap();
        let with = |default: Option<&str>| Settings { default_repository: default.map(name), ..project().settings };
        let names = [name("acme/app"), name("acme/old")];
        assert_eq!(without_default(&with(Some("Acme/App")), &names), Some(with(None)));
        assert_eq!(without_default(&with(Some("acme/old")), &names), Some(with(None)));
        assert_eq!(without_default(&with(Some("acme/web")), &names), None);
        assert_eq!(without_default(&with(None), &names), None);
    }
}
