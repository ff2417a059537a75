//! Merges the forge's state of a pull request into the stored one.

use pullyard_domain::review::PullRequestSnapshot;
use pullyard_domain::review::pull_request::PullRequest;

/// The pull request with the snapshot's newer state, and with its name and page.
pub(super) fn with_snapshot(stored: &PullRequest, snapshot: &PullRequestSnapshot) -> PullRequest {
    let merged = stored.merge_forge_state(snapshot.state, &snapshot.head, snapshot.updated_at);
    let mut linked = merged.unwrap_or_else(|| stored.clone());
    linked.repository_name = Some(snapshot.repository.clone());
    if linked.url.is_empty() {
        linked.url.clone_from(&snapshot.url);
    }
    if linked.branch.is_empty() {
        linked.branch.clone_from(&snapshot.branch);
    }
    linked
}
