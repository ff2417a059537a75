//! Ids derived from a hash of their trigger. The same trigger gives the same id, so a repeat finds the first job.

use super::{ArtifactId, ArtifactName, ClassId, DeliveryId, EndpointId, EventId, HookName, IntegrationId, JobId};
use super::{InProject, NoticeId, ProjectId, ReviewId, RunId, RunnerId, ScheduleName, TicketKey, TokenId};
use crate::text::key_of::KeyOwner;
use crate::text::pull_request_id::PullRequestId;
use crate::text::time::{Day, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

impl ArtifactId {
    pub fn for_artifact(job: &JobId, attempt: u32, kind: &str, name: &ArtifactName) -> Self {
        let attempt = attempt.to_string();
        Self(hash_id("art_", "artifact", &[job.as_str(), &attempt, kind, name.as_str()]))
    }
}

impl TokenId {
    pub fn from_hash(hash: &str) -> Self {
        Self(hash.chars().take(16).collect())
    }
}

impl JobId {
    /// The job of the entry by this event into the trigger status.
    pub fn for_entry(project: &ProjectId, ticket: &TicketKey, at: Timestamp, event: &EventId) -> Self {
        let at = at.millis().to_string();
        Self(hash_id("job_", "ticket-entry", &[project.as_str(), ticket.as_str(), &at, event.as_str()]))
    }

    pub fn for_request(project: &ProjectId, caller: &str, key: &str) -> Self {
        Self(hash_id("job_", "request", &[project.as_str(), caller, key]))
    }

    pub fn for_review(pull_request: &PullRequestId, review: &ReviewId) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [pull_request.integration.as_str(), &repository, &number, review.as_str()];
        Self(hash_id("job_", "review", &parts))
    }

    /// The next job of a review whose earlier job `had` did not answer it.
    pub fn for_review_after(pull_request: &PullRequestId, review: &ReviewId, had: &Self) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [pull_request.integration.as_str(), &repository, &number, review.as_str(), had.as_str()];
        Self(hash_id("job_", "review-after", &parts))
    }

    /// The job of an analysis: the same request never starts a second one.
    pub fn for_analysis(project: &ProjectId, integration: &IntegrationId, repository: u64, request: &str) -> Self {
        let repository = repository.to_string();
        let parts = [project.as_str(), integration.as_str(), &repository, request];
        Self(hash_id("job_", "analysis", &parts))
    }

    /// A step's jobs are numbered from 1, so that a repeated release creates no second job. `runs trace` derives them
    /// too: a change hides jobs from older programs.
    pub fn for_step(run: &RunId, step: &str, number: u32) -> Self {
        Self(hash_id("job_", "step", &[run.as_str(), step, &number.to_string()]))
    }

    /// The last four characters in capitals, for display: `7F2K`.
    pub fn short(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect::<String>().to_uppercase()
    }
}

impl RunId {
    pub fn for_request(project: &ProjectId, caller: &str, key: &str) -> Self {
        Self(hash_id("run_", "request", &[project.as_str(), caller, key]))
    }

    /// The last four characters in capitals, for display: `K3TZ`.
    pub fn short(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect::<String>().to_uppercase()
    }
}

impl ReviewId {
    pub fn for_forge_review(id: u64) -> Self {
        Self(id.to_string())
    }

    pub fn for_comment(id: u64) -> Self {
        Self(format!("comment-{id}"))
    }

    /// A webhook has no id for an added label, so its time and author identify it.
    pub fn for_label(pull_request: &PullRequestId, author: u64, at: Timestamp) -> Self {
        let (author, at) = (author.to_string(), at.millis().to_string());
        Self(hash_id("label-", "label", &[&pull_request.to_string(), &author, &at]))
    }

    pub fn for_request(caller: &str, key: &str) -> Self {
        Self(hash_id("request-", "revision", &[caller, key]))
    }

    /// The forge's id of the comment that requests this revision.
    pub fn comment(&self) -> Option<u64> {
        self.0.strip_prefix("comment-")?.parse().ok()
    }
}

impl EventId {
    pub fn for_move(caller: &str, key: &str) -> Self {
        Self(hash_id("board-", "move", &[caller, key]))
    }

    /// The idempotency key of one button of a page. All buttons send the page's key, but each is a different request.
    pub fn for_button(page: &str, ticket: &TicketKey, status: &str, before: &str) -> Self {
        Self(hash_id("page-", "button", &[page, ticket.as_str(), status, before]))
    }
}

impl DeliveryId {
    pub fn for_ticket_event(project: &ProjectId, event: &EventId) -> Self {
        Self(hash_id("dlv_", "ticket-event", &[project.as_str(), event.as_str()]))
    }

    /// The ledger entry of a review, derived only from its signed body, so that repeats and all webhooks of a project
    /// share it. Projects that share a repository have separate entries: none may read or overwrite another's decision.
    pub fn for_review(project: &ProjectId, pull_request: &PullRequestId, review: &ReviewId) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [project.as_str(), pull_request.integration.as_str(), &repository, &number, review.as_str()];
        Self(hash_id("dlv_", "review", &parts))
    }

    /// The ledger entry of any other webhook delivery, by a hash of its body.
    pub fn for_webhook(hook: &HookName, hash: &str) -> Self {
        Self(hash_id("dlv_", "webhook", &[hook.as_str(), hash]))
    }

    pub fn for_request(job: &JobId) -> Self {
        Self(hash_id("dlv_", "request", &[job.as_str()]))
    }

    /// The ledger entry of a start of a template without a caller.
    pub fn for_start(project: &ProjectId, kind: &str, key: &str) -> Self {
        Self(hash_id("dlv_", "start", &[project.as_str(), kind, key]))
    }

    pub fn for_unreadable(caller: &str, hash: &str) -> Self {
        Self(hash_id("dlv_", "unreadable", &[caller, hash]))
    }
}

impl NoticeId {
    pub fn for_job(job: &JobId, attempt: u32, event: &str) -> Self {
        Self(hash_id("msg_", "notice", &[job.as_str(), &attempt.to_string(), event]))
    }

    /// A notice of the move of a run with this revision.
    pub fn for_run(run: &RunId, rev: u64, event: &str) -> Self {
        Self(hash_id("msg_", "run-notice", &[run.as_str(), &rev.to_string(), event]))
    }

    /// A notice of the write that stores the next revision of a schedule. `created` distinguishes a schedule that was
    /// deleted and created again.
    pub fn for_schedule(id: &InProject<ScheduleName>, created: Timestamp, rev: u64) -> Self {
        let (created, rev) = (created.millis().to_string(), rev.to_string());
        Self(hash_id("msg_", "schedule-notice", &[id.project.as_str(), id.name.as_str(), &created, &rev]))
    }

    /// A notice for or about an endpoint.
    pub fn for_endpoint(project: &ProjectId, endpoint: &EndpointId, event: &str, at: Timestamp) -> Self {
        let at = at.millis().to_string();
        Self(hash_id("msg_", "endpoint-notice", &[project.as_str(), endpoint.as_str(), event, &at]))
    }

    /// A notice about a ticket tool that fails; one for each day.
    pub fn for_tool(project: &ProjectId, tool: &IntegrationId, at: Timestamp) -> Self {
        let day = Day::containing(at).to_string();
        Self(hash_id("msg_", "tool-notice", &[project.as_str(), tool.as_str(), &day]))
    }
}

/// The message group of a ticket: fixed length and plain characters for any key.
pub fn ticket_group(project: &ProjectId, ticket: &TicketKey) -> String {
    hash_id("ticket-", "group", &[project.as_str(), ticket.as_str()])
}

pub fn pull_request_group(pull_request: &PullRequestId) -> String {
    let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
    hash_id("pr-", "group", &[pull_request.integration.as_str(), &repository, &number])
}

impl RunnerId {
    /// The runner with this token and name. Registering again gives the same id.
    pub fn for_registration(token: &str, name: &str) -> Self {
        Self(hash_id("rnr_", "runner", &[token, name]))
    }
}

impl ClassId {
    /// The class of jobs with these requirements and this model key, because jobs of one class wait for one account.
    pub fn for_key(pool: &str, capability: &str, labels: &BTreeSet<String>, key: KeyOwner) -> Self {
        let mut parts = vec![pool, capability];
        parts.extend(labels.iter().map(String::as_str));
        let domain = match key {
            KeyOwner::Runner => "class",
            KeyOwner::Project => "class-project-key",
        };
        Self(hash_id("", domain, &parts).chars().take(16).collect())
    }
}

/// Prefix and 26 base32 characters of SHA-256 over a domain and length-prefixed parts.
/// Lengths distinguish `("ab", "c")` from `("a", "bc")`; the domain keeps a chosen key from naming a ticket's job.
pub(super) fn hash_id(prefix: &str, domain: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&domain).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let text = data_encoding::BASE32_NOPAD.encode(&digest).to_lowercase();
    let body: String = text.chars().take(26).collect();
    format!("{prefix}{body}")
}
