//! Bitbucket's JSON for accounts, repositories, commits and texts that several routes share.

use serde_json::{Value, json};

use super::uuid;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::users::{Account, AccountKind};

/// Characters of a commit's hash in a pull request.
const SHORT_HASH: usize = 12;

pub(super) fn link(href: impl Into<String>) -> Value {
    json!({ "href": href.into() })
}

/// Bitbucket's times have microseconds and an offset; some times of the forge have only seconds.
pub(super) fn time(at: &str) -> String {
    match at.strip_suffix('Z') {
        Some(moment) if moment.contains('.') => format!("{moment}+00:00"),
        Some(second) => format!("{second}.000000+00:00"),
        None => at.to_owned(),
    }
}

pub(super) fn short_hash(sha: &str) -> &str {
    sha.get(..SHORT_HASH).unwrap_or(sha)
}

pub(super) fn content(raw: &str) -> Value {
    json!({ "type": "rendered", "raw": raw, "markup": "markdown" })
}

/// An account. A bot is shown as Bitbucket's access token, which has no nickname.
pub(super) fn account(shared: &Shared, account: &Account) -> Value {
    let known = shared.users.by_id(account.id).map(|member| member.account());
    let Account { id, login, kind } = known.as_ref().unwrap_or(account);
    let mut response = json!({ "type": "user", "uuid": uuid::of_account(*id), "display_name": login });
    match kind {
        AccountKind::Bot => response["type"] = json!("app_user"),
        AccountKind::Organization => response["type"] = json!("team"),
        AccountKind::User => response["nickname"] = json!(login),
    }
    response
}

pub(super) fn short_repository(entry: &RepositoryEntry) -> Value {
    json!({
        "type": "repository",
        "uuid": uuid::of_repository(entry.id),
        "full_name": entry.full_name(),
        "name": entry.name,
    })
}

pub(super) fn repository(shared: &Shared, entry: &RepositoryEntry, asked_by: &Account) -> Value {
    let full_name = entry.full_name();
    let host = shared.url.strip_prefix("http://").unwrap_or(&shared.url);
    // App accounts contain `[` and `]`.
    let user = asked_by.login.replace('[', "%5B").replace(']', "%5D");
    let mut response = short_repository(entry);
    response["slug"] = json!(entry.name);
    response["is_private"] = json!(true);
    response["mainbranch"] = json!({ "type": "branch", "name": entry.default_branch });
    response["links"] = json!({
        "html": link(format!("{}/{full_name}", shared.url)),
        // Bitbucket puts the caller into the HTTPS URL. The local forge does not serve SSH.
        "clone": [
            { "name": "https", "href": format!("http://{user}@{host}/{full_name}.git") },
            { "name": "ssh", "href": format!("git@{host}:{full_name}.git") },
        ],
    });
    response
}

pub(super) struct Commit {
    pub(super) sha: String,
    pub(super) message: String,
}

pub(super) fn commit(commit: &Commit) -> Value {
    json!({ "type": "commit", "hash": commit.sha, "message": commit.message })
}
