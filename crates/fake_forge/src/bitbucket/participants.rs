//! Participants of a pull request: reviewers, and other accounts that commented or gave a verdict.
//! On GitHub a review ends the review request; on Bitbucket the account stays a reviewer.

use serde_json::{Value, json};

use super::answers::{account, time};
use super::comments;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record::{PullRecord, ReviewRecord, ReviewState};
use pullyard_local_forge::users::Account;

/// The last approval or change request, unless dismissed.
pub(super) fn current_verdict(pull: &PullRecord, account: u64) -> Option<&ReviewRecord> {
    let verdicts = pull.reviews.iter().filter(|review| review.author.id == account && review.verdict().is_some());
    let last = verdicts.max_by(|verdict, other| verdict.submitted_at.cmp(&other.submitted_at));
    last.filter(|review| review.state != ReviewState::Dismissed)
}

pub(super) fn reviewers(shared: &Shared, pull: &PullRecord) -> Vec<Account> {
    let mut reviewers: Vec<Account> = Vec::new();
    for id in pull.answered.iter().chain(&pull.requested) {
        let known = reviewers.iter().any(|reviewer| reviewer.id == *id);
        reviewers.extend(shared.users.by_id(*id).filter(|_| !known).map(|member| member.account()));
    }
    reviewers
}

/// The reviewers, then the other participants by their first activity.
pub(super) fn list_participants(shared: &Shared, pull: &PullRecord) -> Vec<Value> {
    let mut people = reviewers(shared, pull);
    let commenters = comments::comments_of(pull).into_iter().map(|comment| (time(comment.created_at), comment.author));
    let reviewed = pull.reviews.iter().map(|review| (time(&review.submitted_at), &review.author));
    let mut others: Vec<(String, &Account)> = commenters.chain(reviewed).collect();
    // Times of one format sort as text.
    others.sort_by_cached_key(|(at, _)| at.clone());
    for (_, other) in others {
        if people.iter().all(|known| known.id != other.id) {
            people.push(other.clone());
        }
    }
    people.iter().map(|person| render_participant(shared, pull, person)).collect()
}

pub(super) fn render_participant(shared: &Shared, pull: &PullRecord, person: &Account) -> Value {
    let is_reviewer = pull.answered.contains(&person.id) || pull.requested.contains(&person.id);
    let state = match current_verdict(pull, person.id).map(|review| review.state) {
        Some(ReviewState::Approved) => Some("approved"),
        Some(ReviewState::ChangesRequested) => Some("changes_requested"),
        _ => None,
    };
    json!({
        "type": "participant",
        "user": account(shared, person),
        "role": if is_reviewer { "REVIEWER" } else { "PARTICIPANT" },
        "approved": state == Some("approved"),
        "state": state,
    })
}
