//! Rules for deleting a project, a ticket or a secret, removing a repository, disconnecting a forge, and reusing the
//! name of a disconnected forge.
//! The caller lists jobs, pull requests and hooks first. Each `deny_*` function checks one; `None` permits the removal.

use crate::job::Job;
use crate::project::hook::{Webhook, WebhookScope};
use crate::project::secret::SecretUser;
use crate::project::{Repository, Settings};
use crate::review::pull_request::{PullRequest, PullRequestState, pull_request_label};
use crate::text::denial::Denial;
use crate::text::id::{IntegrationId, ProjectId, RepositoryName, SecretName};
use crate::text::time::Timestamp;
use crate::ticket::Ticket;
use std::time::Duration;

pub fn deny_for_active_job(repository: &Repository, job: &Job) -> Option<Denial> {
    let is_same_repository = job.project == repository.project
        && job.integration == repository.integration
        && job.repository == repository.id;
    let blocks = is_same_repository && !job.status.is_terminal();
    blocks.then(|| Denial::JobInRepository { job: job.id.clone(), repo: repository.name.clone() })
}

/// Refuses to remove a repository with an open pull request that is linked to a ticket. Reviews of the pull request may
/// start jobs for the ticket, and a user can unlink it only while the repository exists.
pub fn deny_for_open_pull_request(repository: &Repository, pull: &PullRequest) -> Option<Denial> {
    let is_same_repository = pull.project == repository.project
        && pull.id.integration == repository.integration
        && pull.id.repository == repository.id;
    let ticket = pull.ticket.as_ref().filter(|_| is_same_repository && pull.state == PullRequestState::Open)?;
    let pr = pull_request_label(Some(&repository.name), pull.id.number);
    Some(Denial::PullRequestOpen { pr, ticket: ticket.clone() })
}

/// Refuses to delete a ticket that a job or a review may still change: a new ticket of its key would get the change.
pub fn deny_ticket_removal(ticket: &Ticket, pull: Option<&PullRequest>) -> Option<Denial> {
    if let Some(job) = &ticket.active_job {
        return Some(Denial::JobOfTicket { job: job.clone(), ticket: ticket.key.clone() });
    }
    let is_linked = |pull: &&PullRequest| pull.project == ticket.project && pull.ticket.as_ref() == Some(&ticket.key);
    let open = pull.filter(is_linked).filter(|pull| pull.state == PullRequestState::Open)?;
    let pr = pull_request_label(open.repository_name.as_ref(), open.id.number);
    Some(Denial::PullRequestOpen { pr, ticket: ticket.key.clone() })
}

/// Refuses to remove a repository with a hook that serves only this repository and project.
pub fn deny_for_hook(repository: &Repository, hook: &Webhook) -> Option<Denial> {
    let is_same_repository = hook.integration == repository.integration
        && matches!(&hook.kind, WebhookScope::Repository { id, .. } if *id == repository.id);
    let blocks = is_same_repository && hook.home == repository.project;
    blocks.then(|| Denial::HookOfRepository { hook: hook.name.to_string(), repo: repository.name.clone() })
}

/// Refuses to disconnect a forge with a connected repository, whose jobs need the forge's credentials.
pub fn deny_disconnect_for_repository(forge: &IntegrationId, repository: &Repository) -> Option<Denial> {
    (repository.integration == *forge).then(|| Denial::RepositoryOfIntegration {
        repo: repository.name.clone(),
        project: repository.project.clone(),
        forge: forge.clone(),
    })
}

/// Refuses to disconnect a forge with a hook, because only the forge's credentials can update or delete the hook.
pub fn deny_disconnect_for_hook(forge: &IntegrationId, hook: &Webhook) -> Option<Denial> {
    (hook.integration == *forge)
        .then(|| Denial::HookOfIntegration { hook: hook.name.to_string(), forge: forge.clone() })
}

/// Refuses to disconnect a forge where an active job pushes, even if the job's repository was removed.
pub fn deny_disconnect_for_job(forge: &IntegrationId, job: &Job) -> Option<Denial> {
    let blocks = job.integration == *forge && !job.status.is_terminal();
    blocks.then(|| Denial::JobAtIntegration { job: job.id.clone(), forge: forge.clone() })
}

/// Repositories that a refusal names; it counts the others.
const MAX_NAMES: usize = 3;

/// Refuses to delete a project with connected repositories, whose tickets and reviews can start jobs.
pub fn deny_project_for_repositories(project: &ProjectId, repositories: &[Repository]) -> Option<Denial> {
    let names: Vec<_> = repositories.iter().take(MAX_NAMES).map(|repository| repository.name.as_str()).collect();
    let repos = match repositories.len().saturating_sub(MAX_NAMES) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    };
    (!repositories.is_empty()).then(|| Denial::RepositoriesOfProject { repos, project: project.clone() })
}

/// Refuses to delete a hook's project, because a new project of the same id would receive its events.
pub fn deny_project_for_hook(project: &ProjectId, hook: &Webhook) -> Option<Denial> {
    (hook.home == *project).then(|| Denial::HookOfProject { hook: hook.name.to_string(), project: project.clone() })
}

/// Refuses to delete a secret because of its first user.
pub fn deny_secret_removal(secret: &SecretName, users: &[SecretUser]) -> Option<Denial> {
    let secret = secret.clone();
    Some(match users.first()?.clone() {
        SecretUser::Integration { id } => Denial::SecretOfIntegration { secret, forge: id },
        SecretUser::Hook { name } => Denial::SecretOfHook { secret, hook: name },
        SecretUser::Setting { project, setting } => Denial::SecretOfSetting { secret, setting, project },
        SecretUser::Endpoint { project, endpoint } => Denial::SecretOfEndpoint { secret, endpoint, project },
        SecretUser::Tracker { id } => Denial::SecretOfTracker { secret, tracker: id },
        SecretUser::LocalForge {} => Denial::SecretOfLocalForge { secret },
    })
}

/// A connection stores its secret before the integration that names it, and indexes list a new user late.
pub const MIN_SECRET_AGE: Duration = Duration::from_secs(5 * 60);

/// Refuses to delete a secret that may have a user that no list shows yet.
pub fn deny_young_secret(secret: &SecretName, set_at: Timestamp, now: Timestamp) -> Option<Denial> {
    let at = set_at.plus(MIN_SECRET_AGE);
    (now < at).then(|| Denial::SecretJustSet { secret: secret.clone(), at: at.to_string() })
}

pub fn deny_project_for_job(job: &Job) -> Option<Denial> {
    let (id, project) = (job.id.clone(), job.project.clone());
    (!job.status.is_terminal()).then_some(Denial::JobOfProject { job: id, project })
}

/// Refuses to connect a forge at `api_url` under the name of a disconnected forge with another URL, `former`. Stored
/// links and records identify a repository by forge name and id, and another forge has another repository of that id.
pub fn reused_name_fault(name: &IntegrationId, former: Option<&str>, api_url: &str) -> Option<String> {
    let former = former.filter(|former| *former != api_url)?;
    Some(format!("{name} was the name of {former}, and stored records still refer to it; choose another name"))
}

/// The settings without their default repository, if it is the removed one; otherwise `None`. `names` are all names of
/// the removed repository in lower case, because an old name remains if no event reported the rename.
pub fn clear_default_repository(settings: &Settings, names: &[RepositoryName]) -> Option<Settings> {
    let default = settings.default_repository.as_ref()?;
    let is_removed = names.iter().any(|name| name.as_str().eq_ignore_ascii_case(default.as_str()));
    is_removed.then(|| Settings { default_repository: None, ..settings.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, finish, hook, linked_pull_request, pending, project, repository, result};
    use crate::job::{End, JobStatus};
    use crate::text::id::EndpointId;

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
    fn ticket_with_active_job_or_open_pull_request_stays() {
        let open = linked_pull_request();
        let key = open.ticket.clone().unwrap();
        let idle = Ticket::new(open.project.clone(), key, "Todo".into(), Default::default(), None);
        let busy = Ticket { active_job: Some(pending().id), ..idle.clone() };
        let closed = PullRequest { state: PullRequestState::Closed, ..open.clone() };
        let unlinked = PullRequest { ticket: None, ..open.clone() };
        let code = |ticket: &Ticket, pull: Option<&PullRequest>| deny_ticket_removal(ticket, pull).map(|it| it.code());
        assert_eq!(code(&busy, None), Some("job_of_ticket"));
        assert_eq!(code(&idle, Some(&open)), Some("pull_request_open"));
        for pull in [None, Some(&closed), Some(&unlinked)] {
            assert_eq!(code(&idle, pull), None);
        }
    }

    #[test]
    fn repositories_hooks_and_active_jobs_block_project_deletion() {
        let (own, other) = (repository().project, ProjectId::new("other").unwrap());
        let named = |count: usize| deny_project_for_repositories(&own, &vec![repository(); count]);
        assert_eq!(named(0), None);
        assert_eq!(named(1).unwrap().sentence(), "Connected to acme: acme/app.");
        assert_eq!(named(5).unwrap().sentence(), "Connected to acme: acme/app, acme/app, acme/app and 2 more.");
        assert_eq!(code(deny_project_for_hook(&own, &hook())), Some("hook_of_project"));
        assert_eq!(deny_project_for_hook(&other, &hook()), None);
        assert_eq!(code(deny_project_for_job(&pending())), Some("job_of_project"));
        assert_eq!(deny_project_for_job(&finish(&active(JobStatus::Syncing), End::Cancelled)), None);
    }

    #[test]
    fn used_secret_stays() {
        let mut project = project();
        project.settings.model_secrets.claude_token = Some("pullyard/job/key".into());
        project.settings.commits.signing_secret = Some("pullyard/job/ssh".into());
        let [(key, setting), (ssh, _)] = SecretUser::in_settings(&project).try_into().unwrap();
        assert_eq!((key, ssh), ("pullyard/job/key", "pullyard/job/ssh"));
        let name = SecretName::new("key").unwrap();
        let denial = deny_secret_removal(&name, &[setting]).unwrap();
        assert_eq!(denial.sentence(), "The setting model_secrets.claude_token of acme names the secret key.");
        let help = "Empty it first: `pullyard settings set model_secrets.claude_token=null --project acme`.";
        assert_eq!(denial.help(), help);
        let integration = SecretUser::Integration { id: repository().integration };
        for (user, expected) in [
            (integration, "secret_of_integration"),
            (SecretUser::Hook { name: hook().name }, "secret_of_hook"),
            (
                SecretUser::Endpoint { project: project.id, endpoint: EndpointId::new("ops").unwrap() },
                "secret_of_endpoint",
            ),
            (SecretUser::Tracker { id: repository().integration }, "secret_of_tracker"),
            (SecretUser::LocalForge {}, "secret_of_local_forge"),
        ] {
            assert_eq!(code(deny_secret_removal(&name, &[user])), Some(expected));
        }
        assert_eq!(deny_secret_removal(&name, &[]), None);
    }

    #[test]
    fn unfinished_job_blocks_removal_of_its_repository() {
        for unfinished in [pending(), active(JobStatus::Claimed), active(JobStatus::Syncing)] {
            assert_eq!(code(deny_for_active_job(&repository(), &unfinished)), Some("job_in_repository"));
            for other in other_repositories() {
                assert_eq!(deny_for_active_job(&other, &unfinished), None, "{other:?}");
            }
        }
        for end in [End::Completed(Some(result())), End::Cancelled] {
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
        for (forge, blocks) in [(&own, true), (&other, false)] {
            let expected = |code: &'static str| blocks.then_some(code);
            assert_eq!(
                code(deny_disconnect_for_repository(forge, &repository())),
                expected("repository_of_integration")
            );
            assert_eq!(code(deny_disconnect_for_hook(forge, &hook())), expected("hook_of_integration"));
            for unfinished in [pending(), active(JobStatus::Claimed), active(JobStatus::Syncing)] {
                assert_eq!(code(deny_disconnect_for_job(forge, &unfinished)), expected("job_at_integration"));
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
        let of_other = Webhook { home: ProjectId::new("other").unwrap(), ..hook.clone() };
        assert_eq!(deny_for_hook(&repository(), &of_other), None);
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
