//! Pull requests as Bitbucket's JSON.

use serde_json::{Value, json};

use super::answers::{account, content, link, short_hash, short_repository, time};
use super::{comments, participants, pull_request_filter, uuid};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record::{Pull, PullRecord};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::users::{Account, AccountKind};

fn author(pull: &PullRecord) -> Account {
    Account { id: pull.author_id, login: pull.author.clone(), kind: AccountKind::User }
}

/// A pull request in a list: without reviewers and participants.
pub(super) fn short_pull(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let record = &pull.record;
    let html = comments::page_url(shared, entry, record);
    let description = record.body.as_deref().unwrap_or_default();
    let end = |branch: &str, sha: &str| {
        json!({
            "branch": { "name": branch },
            "commit": { "type": "commit", "hash": short_hash(sha) },
            "repository": short_repository(entry),
        })
    };
    let mut source = end(&record.head, &pull.head_sha);
    if let Some(fork) = record.fork {
        source["repository"]["uuid"] = json!(uuid::of_repository(fork));
        source["repository"]["full_name"] = json!(format!("fork/{}", entry.name));
    }
    json!({
        "type": "pullrequest",
        "id": record.number,
        "title": record.title,
        "description": description,
        "summary": content(description),
        "state": pull_request_filter::state(record),
        "draft": record.draft,
        "author": account(shared, &author(record)),
        "source": source,
        "destination": end(&record.base, &pull.base_sha),
        "close_source_branch": false,
        "created_on": time(&record.created_at),
        "updated_on": time(&record.updated_at),
        "links": { "html": link(&html) },
    })
}

/// A pull request as its own route returns it.
pub(super) fn pull(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let reviewers = participants::reviewers(shared, &pull.record);
    let mut response = short_pull(shared, entry, pull);
    response["reviewers"] = reviewers.iter().map(|reviewer| account(shared, reviewer)).collect();
    response["participants"] = json!(participants::list_participants(shared, &pull.record));
    response
}
