//! Renders accounts, organisations and installations.

use serde_json::{Value, json};

use super::merge_json;
use crate::{
    forge_state::Shared,
    repositories::FIRST_ID,
    role::Role,
    users::{Account, AccountKind, Member},
};

/// Renders a simple user; a deleted account retains its last login.
pub fn account(shared: &Shared, account: &Account) -> Value {
    let current = shared.users.by_id(account.id).map(|member| member.account());
    let Account { id, login, kind } = current.as_ref().unwrap_or(account);
    // An App's login contains `[` and `]`.
    let path = login.replace('[', "%5B").replace(']', "%5D");
    let url = format!("{}/api/v3/users/{path}", shared.url);
    let under = |rest: &str| format!("{url}/{rest}");
    json!({
        "login": login,
        "id": id,
        "node_id": format!("U_{id}"),
        "avatar_url": format!("{}/avatars/{path}", shared.url),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{}/{path}", shared.url),
        "followers_url": under("followers"),
        "following_url": under("following{/other_user}"),
        "gists_url": under("gists{/gist_id}"),
        "starred_url": under("starred{/owner}{/repo}"),
        "subscriptions_url": under("subscriptions"),
        "organizations_url": under("orgs"),
        "repos_url": under("repos"),
        "events_url": under("events{/privacy}"),
        "received_events_url": under("received_events"),
        "type": kind.name(),
        "user_view_type": "public",
        "site_admin": false,
    })
}

pub fn public_user(shared: &Shared, member: &Account) -> Value {
    let more = json!({
        "name": null, "company": null, "blog": "", "location": null, "email": null, "hireable": null, "bio": null,
        "twitter_username": null, "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    merge_json(account(shared, member), more)
}

pub fn permissions(role: Role) -> Value {
    json!({
        "pull": role >= Role::Read, "triage": role >= Role::Triage, "push": role >= Role::Write,
        "maintain": role >= Role::Maintain, "admin": role >= Role::Admin,
    })
}

pub fn collaborator_permission(shared: &Shared, member: &Member, role: Role) -> Value {
    let more = json!({ "permissions": permissions(role), "role_name": role.name() });
    let user = merge_json(account(shared, &member.account()), more);
    json!({ "permission": role.permission(), "role_name": role.name(), "user": user })
}

pub fn owner(shared: &Shared, login: &str) -> Account {
    if let Some(member) = shared.users.by_login(login) {
        return member.account();
    }
    Account { id: organization_id(login), login: login.to_owned(), kind: AccountKind::Organization }
}

/// Hashes the name (FNV-1a), because organisations are not stored.
fn organization_id(login: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    FIRST_ID + (login.to_ascii_lowercase().bytes().fold(start, step) >> 12)
}

pub fn organization(shared: &Shared, owner: &Account) -> Value {
    let Account { id, login, .. } = owner;
    let url = format!("{}/api/v3/orgs/{login}", shared.url);
    let under = |rest: &str| format!("{url}/{rest}");
    json!({
        "login": login,
        "id": id,
        "node_id": format!("O_{id}"),
        "url": url,
        "repos_url": under("repos"),
        "events_url": under("events"),
        "hooks_url": under("hooks"),
        "issues_url": under("issues"),
        "members_url": under("members{/member}"),
        "public_members_url": under("public_members{/member}"),
        "avatar_url": format!("{}/avatars/{login}", shared.url),
        "description": null,
    })
}

pub fn installation_stub(id: u64) -> Value {
    json!({ "id": id, "node_id": format!("MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u{id}") })
}
