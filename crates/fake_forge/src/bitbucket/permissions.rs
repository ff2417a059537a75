//! Permissions of accounts in a repository, for its administrators only.
//! Only the query of our client is supported; others are refused.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use super::answers::{account, short_repository};
use super::caller::Caller;
use super::paging::Paging;
use super::refusal::Refusal;
use super::repositories::RepositoryPath;
use super::uuid;
use pullyard_local_forge::access;
use pullyard_local_forge::access::{AccessDecision, Requirement};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::role::Role;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug)): RepositoryPath,
    Query(query): Query<Vec<(String, String)>>,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::METADATA).await?;
    if actor.check(&entry, Requirement::ADMINISTRATION).await != AccessDecision::Yes {
        return Err(Refusal::forbidden("Your account is not an administrator of this repository."));
    }
    let wanted = parse_account_filter(&query)?;
    let mut permissions = Vec::new();
    for member in shared.users.list() {
        let role = access::role_of(&entry, &member).await;
        let is_wanted = wanted.as_ref().is_none_or(|wanted| *wanted == uuid::of_account(member.user.id));
        if role != Role::None && is_wanted {
            permissions.push(json!({
                "type": "repository_permission",
                "permission": role.permission(),
                "user": account(&shared, &member.account()),
                "repository": short_repository(&entry),
            }));
        }
    }
    Ok(paging.answer(&shared, permissions))
}

fn parse_account_filter(query: &[(String, String)]) -> Result<Option<String>, Refusal> {
    let mut wanted = None;
    for (name, value) in query {
        match name.as_str() {
            "q" => {
                let uuid = value.strip_prefix("user.uuid=\"").and_then(|rest| rest.strip_suffix('"'));
                let uuid = uuid.filter(|uuid| !uuid.contains('"'));
                let uuid = uuid.ok_or_else(|| Refusal::bad_request(&format!("Invalid filter: {value}")))?;
                wanted = Some(uuid.to_ascii_lowercase());
            }
            "sort" => return Err(Refusal::bad_request(&format!("Invalid sort: {value}"))),
            _ => {}
        }
    }
    Ok(wanted)
}
