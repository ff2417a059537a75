//! Pull requests as Bitbucket's JSON. Whoever gave a verdict on GitHub's face is asked no more there; here they stay
//! among the reviewers, and the newest verdict is their state.

use serde_json::{Value, json};

use super::{
    answers::{self, account, content, link, short_hash, short_repository, time},
    comments, listed, uuid,
};
use crate::{
    forge::Shared,
    pulls::Pull,
    record::{PullRecord, ReviewState},
    repositories::Entry,
    users::{Account, AccountKind},
};

fn author(pull: &PullRecord) -> Account {
    Account { id: pull.author_id, login: pull.author.clone(), kind: AccountKind::User }
}

/// As lists have it: without reviewers and participants.
pub(super) fn short_pull(shared: &Shared, entry: &Entry, pull: &Pull) -> Value {
    let record = &pull.record;
    let api = format!("{}/pullrequests/{}", answers::api(shared, entry), record.number);
    let html = format!("{}/{}/pull-requests/{}", shared.url, entry.full_name(), record.number);
    let description = record.body.as_deref().unwrap_or_default();
    let end = |branch: &str, sha: &str| {
        let hash = short_hash(sha);
        let commit = link(format!("{}/commit/{hash}", answers::api(shared, entry)));
        json!({
            "branch": { "name": branch },
            "commit": { "type": "commit", "hash": hash, "links": { "self": commit } },
            "repository": short_repository(shared, entry),
        })
    };
    let mut source = end(&record.head, &pull.head_sha);
    if let Some(fork) = record.fork {
        source["repository"]["uuid"] = json!(uuid::of_repository(fork));
        source["repository"]["full_name"] = json!(format!("fork/{}", entry.name()));
    }
    let merged = record.merged.as_ref();
    json!({
        "type": "pullrequest",
        "id": record.number,
        "title": record.title,
        "description": description,
        "summary": content(description),
        "state": listed::state(record),
        "draft": record.draft,
        "author": account(shared, &author(record)),
        "source": source,
        "destination": end(&record.base, &pull.base_sha),
        "merge_commit": merged.map(|merge| json!({ "type": "commit", "hash": short_hash(&merge.sha) })),
        "closed_by": merged.map(|merge| account(shared, &merge.by)),
        "close_source_branch": false,
        "reason": "",
        "comment_count": comments::of(record, None).len(),
        "task_count": 0,
        "created_on": time(&record.created_at),
        "updated_on": time(&record.updated_at),
        "links": {
            "self": link(&api),
            "html": link(&html),
            "comments": link(format!("{api}/comments")),
            "commits": link(format!("{api}/commits")),
            "diff": link(format!("{api}/diff")),
            "merge": link(format!("{api}/merge")),
            "decline": link(format!("{api}/decline")),
            "statuses": link(format!("{api}/statuses")),
        },
    })
}

/// As its own address has it.
pub(super) fn pull(shared: &Shared, entry: &Entry, pull: &Pull) -> Value {
    let people = people(shared, &pull.record);
    let mut shown = short_pull(shared, entry, pull);
    let reviewers: Vec<Value> =
        people.iter().filter(|person| person.asked).map(|person| account(shared, &person.account)).collect();
    let participants: Vec<Value> = people.iter().map(|person| participant(shared, person)).collect();
    shown["reviewers"] = json!(reviewers);
    shown["participants"] = json!(participants);
    shown
}

/// Whoever gave a verdict on a pull request.
pub(super) fn has_verdict(pull: &PullRecord, id: u64) -> bool {
    pull.reviews.iter().any(|review| review.author.id == id && is_verdict(review.state))
}

fn is_verdict(state: ReviewState) -> bool {
    matches!(state, ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Dismissed)
}

struct Person {
    account: Account,
    /// They are a reviewer, and not only somebody who spoke.
    asked: bool,
    state: Option<ReviewState>,
    at: Option<String>,
}

fn people(shared: &Shared, pull: &PullRecord) -> Vec<Person> {
    let requested = pull.requested.iter().filter_map(|id| shared.users.by_id(*id)).map(|member| member.account());
    let mut people: Vec<Person> =
        requested.map(|account| Person { account, asked: true, state: None, at: None }).collect();
    // Oldest first: what is said last counts.
    for review in pull.reviews.iter().filter(|review| review.state != ReviewState::Pending) {
        let id = review.author.id;
        if id == pull.author_id {
            continue;
        }
        let known = people.iter().position(|person| person.account.id == id);
        let index = known.unwrap_or_else(|| {
            people.push(Person { account: review.author.clone(), asked: false, state: None, at: None });
            people.len() - 1
        });
        let Some(person) = people.get_mut(index) else { continue };
        person.asked = person.asked || is_verdict(review.state);
        person.at.clone_from(&review.submitted_at);
        match review.state {
            ReviewState::Approved | ReviewState::ChangesRequested => person.state = Some(review.state),
            ReviewState::Dismissed => person.state = None,
            ReviewState::Pending | ReviewState::Commented => {}
        }
    }
    people
}

fn participant(shared: &Shared, person: &Person) -> Value {
    let state = match person.state {
        Some(ReviewState::Approved) => Some("approved"),
        Some(ReviewState::ChangesRequested) => Some("changes_requested"),
        _ => None,
    };
    json!({
        "type": "participant",
        "user": account(shared, &person.account),
        "role": if person.asked { "REVIEWER" } else { "PARTICIPANT" },
        "approved": state == Some("approved"),
        "state": state,
        "participated_on": person.at.as_deref().map(time),
    })
}
