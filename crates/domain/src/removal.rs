//! Decides whether a repository may be removed, whether a forge may be disconnected, and whether its name may be
//! reused.
//!
//! The caller finds the jobs, pull requests and hooks; each function judges a single item.

use crate::denial::Denial;
use crate::hook::{Webhook, WebhookScope};
use crate::id::{IntegrationId, RepositoryName};
use crate::job::Job;
use crate::project::{Repository, Settings};
use crate::pull_request::{PullRequest, PullRequestState, pull_request_label};

/// Refuses to remove a repository with an active job.
pub fn deny_for_active_job(repository: &Repository, job: &Job) -> Option<Denial> {
    let is_its = job.project == repository.project
        && job.integration == repository.integration
        && job.repository == repository.id;
    let keeps = is_its && !job.status.is_terminal();
    keeps.then(|| Denial::JobInRepository { job: job.id.clone(), repo: repository.name.clone() })
}

/// Refuses to remove a repository with an open, linked pull request. Its reviews may start jobs for the ticket, and the
/// link could not be removed without the repository.
pub fn deny_for_open_pull_request(repository: &Repository, linked: &PullRequest) -> Option<Denial> {
    let is_its = linked.project == repository.project
        && linked.id.integration == repository.integration
        && linked.id.repository == repository.id;
    let ticket = linked.ticket.as_ref().filter(|_| is_its && linked.state == PullRequestState::Open)?;
    let pr = pull_request_label(Some(&repository.name), linked.id.number);
    Some(Denial::PullRequestOpen { pr, ticket: ticket.clone() })
}

/// Refuses to remove a repository with a hook that serves only this repository and project. A hook of other projects
/// remains useful.
pub fn deny_for_hook(repository: &Repository, hook: &Webhook) -> Option<Denial> {
    let is_its = hook.integration == repository.integration
        && matches!(&hook.kind, WebhookScope::Repository { id, .. } if *id == repository.id);
    let keeps = is_its && hook.projects().all(|project| *project == repository.project);
    keeps.then(|| Denial::HookOfRepository { hook: hook.name.to_string(), repo: repository.name.clone() })
}

/// Refuses to disconnect a forge with a connected repository, whose jobs need the forge's credentials.
pub fn deny_disconnect_for_repository(forge: &IntegrationId, repository: &Repository) -> Option<Denial> {
    (repository.integration == *forge).then(|| Denial::RepositoryOfIntegration {
        repo: repository.name.clone(),
        project: repository.project.clone(),
        forge: forge.clone(),
    })
}

/// Refuses to disconnect a forge with a hook. Its credentials maintain the hook and delete it at the forge.
pub fn deny_disconnect_for_hook(forge: &IntegrationId, hook: &Webhook) -> Option<Denial> {
    (hook.integration == *forge)
        .then(|| Denial::HookOfIntegration { hook: hook.name.to_string(), forge: forge.clone() })
}

/// Refuses to disconnect a forge where an active job pushes, even if the job's repository was removed.
pub fn deny_disconnect_for_job(forge: &IntegrationId, job: &Job) -> Option<Denial> {
    let keeps = job.integration == *forge && !job.status.is_terminal();
    keeps.then(|| Denial::JobAtIntegration { job: job.id.clone(), forge: forge.clone() })
}

/// Refuses a name that a forge with another address had before; `former` is that address. Stored links and records use
/// the name with the forge's ids, which mean other repositories at another forge.
pub fn reused_name_fault(name: &IntegrationId, former: Option<&str>, api_url: &str) -> Option<String> {
    let former = former.filter(|former| *former != api_url)?;
    Some(format!("{name} was the name of {former}, and stored records still refer to it; choose another name"))
}

/// The settings without a default repository that has one of these names. `None` if the default is another one.
pub fn clear_default_repository(settings: &Settings, names: &[RepositoryName]) -> Option<Settings> {
    let default = settings.default_repository.as_ref()?;
    let is_gone = names.iter().any(|name| name.as_str().eq_ignore_ascii_case(default.as_str()));
    is_gone.then(|| Settings { default_repository: None, ..settings.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ProjectId;
    use crate::job::{End, JobStatus};
    use crate::story::{active, finish, hook, linked_pull_request, pending, project, repository, result};

    /// The repository with another project, another forge, or another id.
    fn other_repositories() -> [Repository; 3] {
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
        for unfinished in [pending(), active(JobStatus::Claimed), active(JobStatus::Syncing)] {
            assert_eq!(code(deny_for_active_job(&repository(), &unfinished)), Some("job_in_repository"));
            for other in other_repositories() {
                assert_eq!(deny_for_active_job(&other, &unfinished), None, "{other:?}");
            }
        }
        for end in [End::Completed(result()), End::Cancelled] {
            assert_eq!(deny_for_active_job(&repository(), &finish(&active(JobStatus::Syncing), end)), None);
        }
    }

    #[test]
    fn open_linked_pull_request_blocks_removal() {
        let denial = deny_for_open_pull_request(&repository(), &linked_pull_request()).unwrap();
        assert_eq!(denial.sentence(), "acme/app#231 is open and linked to APP-17.");
        for other in other_repositories() {
            assert_eq!(deny_for_open_pull_request(&other, &linked_pull_request()), None, "{other:?}");
        }
        for state in [PullRequestState::Closed, PullRequestState::Merged] {
            assert_eq!(
                deny_for_open_pull_request(&repository(), &PullRequest { state, ..linked_pull_request() }),
                None,
                "{state:?}"
            );
        }
        assert_eq!(
            deny_for_open_pull_request(&repository(), &PullRequest { ticket: None, ..linked_pull_request() }),
            None
        );
    }

    #[test]
    fn own_repositories_hooks_and_jobs_block_forge_removal() {
        let (own, other) = (repository().integration, IntegrationId::new("gh2").unwrap());
        let ended = finish(&active(JobStatus::Syncing), End::Cancelled);
        for (forge, keeps) in [(&own, true), (&other, false)] {
            let kept = |code: &'static str| keeps.then_some(code);
            assert_eq!(code(deny_disconnect_for_repository(forge, &repository())), kept("repository_of_integration"));
            assert_eq!(code(deny_disconnect_for_hook(forge, &hook())), kept("hook_of_integration"));
            for unfinished in [pending(), active(JobStatus::Claimed), active(JobStatus::Syncing)] {
                assert_eq!(code(deny_disconnect_for_job(forge, &unfinished)), kept("job_at_integration"));
            }
            assert_eq!(deny_disconnect_for_job(forge, &ended), None);
        }
    }

    #[test]
    fn former_name_of_a_forge_is_reserved_for_it() {
        let name = repository().integration;
        let check = |former: Option<&str>, is_refused: bool| {
            let fault = reused_name_fault(&name, former, "https://git.acme.example/api/v3");
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
        assert_eq!(code(deny_for_hook(&repository(), &hook)), Some("hook_of_repository"));
        for other in other_repositories() {
            assert_eq!(deny_for_hook(&other, &hook), None, "{other:?}");
        }
        let shared = Webhook { others: vec![ProjectId::new("other").unwrap()], ..hook.clone() };
        assert_eq!(deny_for_hook(&repository(), &shared), None);
        for kind in [WebhookScope::App {}, WebhookScope::Organisation { login: "acme".into() }] {
            assert_eq!(deny_for_hook(&repository(), &Webhook { kind, ..hook.clone() }), None);
        }
    }

    #[test]
    fn default_repository_is_cleared_under_any_name() {
        let name = |name: &str| RepositoryName::new(name).unwrap();
        let with = |default: Option<&str>| Settings { default_repository: default.map(name), ..project().settings };
        let names = [name("acme/app"), name("acme/old")];
        assert_eq!(clear_default_repository(&with(Some("Acme/App")), &names), Some(with(None)));
        assert_eq!(clear_default_repository(&with(Some("acme/old")), &names), Some(with(None)));
        assert_eq!(clear_default_repository(&with(Some("acme/web")), &names), None);
        assert_eq!(clear_default_repository(&with(None), &names), None);
    }
}
