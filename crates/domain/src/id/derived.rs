//! Ids that are hashes of what triggered: the same trigger always names the same job, so a repeat finds the first.

use super::{ArtifactId, ArtifactName, ClassId, DeliveryId, EventId, HookName, JobId, ProjectId, ReviewId, RunnerId};
use super::{TicketKey, TokenId};
use crate::artifact::Kind;
use crate::key_of::KeyOf;
use crate::pull_request_id::PullRequestId;
use crate::ticket::Entry;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

impl ArtifactId {
    /// What an attempt keeps under this kind and name: keeping it again finds the first.
    pub fn of(job: &JobId, attempt: u32, kind: Kind, name: &ArtifactName) -> Self {
        let attempt = attempt.to_string();
        Self(derived("art_", "artifact", &[job.as_str(), &attempt, kind.as_str(), name.as_str()]))
    }
}

impl TokenId {
    /// The id of the token with this hash.
    pub fn of_hash(hash: &str) -> Self {
        Self(hash.chars().take(16).collect())
    }
}

impl JobId {
    /// The job of one entry of a ticket into the trigger status.
    pub fn of_entry(project: &ProjectId, ticket: &TicketKey, entry: &Entry) -> Self {
        let at = entry.at.millis().to_string();
        Self(derived("job_", "ticket-entry", &[project.as_str(), ticket.as_str(), &at, entry.event.as_str()]))
    }

    /// The job of one request by a person or program that brought its own idempotency key.
    pub fn of_request(project: &ProjectId, caller: &str, key: &str) -> Self {
        Self(derived("job_", "request", &[project.as_str(), caller, key]))
    }

    /// The job that revises a pull request for one review: the same review never makes two.
    pub fn of_review(pull_request: &PullRequestId, review: &ReviewId) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [pull_request.integration.as_str(), &repository, &number, review.as_str()];
        Self(derived("job_", "review", &parts))
    }

    /// The job of the same review after that one, which had it and did not answer it: again never two.
    pub fn of_review_after(pull_request: &PullRequestId, review: &ReviewId, had: &Self) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [pull_request.integration.as_str(), &repository, &number, review.as_str(), had.as_str()];
        Self(derived("job_", "review-after", &parts))
    }

    /// The last four characters in capitals, as sentences and tables show it: `7F2K`.
    pub fn short(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect::<String>().to_uppercase()
    }
}

impl EventId {
    /// One move on the board by a caller that brought its own idempotency key.
    pub fn of_move(caller: &str, key: &str) -> Self {
        Self(derived("board-", "move", &[caller, key]))
    }

    /// The key of one button of a page: all buttons of a page bring what names that page, and each is another wish.
    pub fn of_button(page: &str, ticket: &TicketKey, status: &str) -> Self {
        Self(derived("page-", "button", &[page, ticket.as_str(), status]))
    }
}

impl DeliveryId {
    /// The ledger entry of one ticket event of a project.
    pub fn of_ticket_event(project: &ProjectId, event: &EventId) -> Self {
        Self(derived("dlv_", "ticket-event", &[project.as_str(), event.as_str()]))
    }

    /// The ledger entry of one review of a project, however often and by whichever of its hooks it is told: only
    /// what the signed body says names it. Projects that share a repository have an entry each, since what one of
    /// them answers is nothing that another one may read or write over.
    pub fn of_review(project: &ProjectId, pull_request: &PullRequestId, review: &ReviewId) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [project.as_str(), pull_request.integration.as_str(), &repository, &number, review.as_str()];
        Self(derived("dlv_", "review", &parts))
    }

    /// The ledger entry of any other webhook delivery, by a hash of its body.
    pub fn of_webhook(hook: &HookName, hash: &str) -> Self {
        Self(derived("dlv_", "webhook", &[hook.as_str(), hash]))
    }

    /// The ledger entry of the request that made a job.
    pub fn of_request(job: &JobId) -> Self {
        Self(derived("dlv_", "request", &[job.as_str()]))
    }

    /// The ledger entry of a call that could not be read, by a hash of its bytes.
    pub fn of_unreadable(caller: &str, hash: &str) -> Self {
        Self(derived("dlv_", "unreadable", &[caller, hash]))
    }
}

/// A ticket as the name of a message group: fixed length and plain characters, whatever its key holds.
pub fn ticket_group(project: &ProjectId, ticket: &TicketKey) -> String {
    derived("ticket-", "group", &[project.as_str(), ticket.as_str()])
}

/// A pull request as the name of a message group.
pub fn pull_request_group(pull_request: &PullRequestId) -> String {
    let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
    derived("pr-", "group", &[pull_request.integration.as_str(), &repository, &number])
}

impl RunnerId {
    /// The runner of one token and name: registering again finds the same one.
    pub fn of(token: &str, name: &str) -> Self {
        Self(derived("rnr_", "runner", &[token, name]))
    }
}

impl ClassId {
    /// The class of jobs that ask for exactly this, with a key of the runner's own.
    pub fn of(pool: &str, capability: &str, labels: &BTreeSet<String>) -> Self {
        Self::of_key(pool, capability, labels, KeyOf::Runner)
    }

    /// The same with whoever's key it is: jobs of one class wait for one account.
    pub fn of_key(pool: &str, capability: &str, labels: &BTreeSet<String>, key: KeyOf) -> Self {
        let mut parts = vec![pool, capability];
        parts.extend(labels.iter().map(String::as_str));
        let domain = match key {
            KeyOf::Runner => "class",
            KeyOf::Project => "class-project-key",
        };
        Self(derived("", domain, &parts).chars().take(16).collect())
    }
}

/// Prefix and 26 base32 characters of SHA-256 over a domain and length-prefixed parts.
///
/// The lengths keep `("ab", "c")` and `("a", "bc")` apart; the domain keeps a person's chosen key from
/// ever naming a ticket's job.
pub(super) fn derived(prefix: &str, domain: &str, parts: &[&str]) -> String {
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
