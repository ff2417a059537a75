//! Reads an account's permission.

use serde::Deserialize;

use super::{Bitbucket, is_token_kind_refused, quote, responses::AccountResponse};
use crate::{Access, Actor, Error, Listing, Permission, http_client::RetryPolicy, names::RepositoryName};

#[derive(Deserialize)]
struct PermissionResponse {
    permission: String,
    user: Option<AccountResponse>,
}

impl Bitbucket {
    /// Reads the UUID from the pull request, then the permission, which only administrators can read.
    /// Source: `GET /workspaces/{workspace}/permissions/repositories/{repo_slug}`.
    pub async fn permission(&self, full_name: &str, number: u64, account: &Actor) -> Result<Access, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let subject = format!("what {} may do in {full_name}", account.login);
        let participants = self.get_participants(full_name, number, &subject, RetryPolicy::Short).await?;
        // A deleted account, or one without a part in the pull request.
        let Some(uuid) = participants.uuid_of(account.id) else { return Ok(Access::none()) };
        let segments = ["workspaces", repository.owner, "permissions", "repositories", repository.name];
        let mut address = self.client.url(&segments);
        address.query_pairs_mut().append_pair("q", &format!("user.uuid={}", quote(uuid)));
        let result: Result<Listing<PermissionResponse>, Error> =
            self.client.pages(address, &subject, RetryPolicy::Short).await;
        let (permission, role) = match result {
            Ok(all) => match strongest_permission(&all.items, account.id) {
                // Unread pages may grant more.
                (permission, _) if all.truncated && permission < Permission::Write => {
                    return Err(self.client.unexpected_response("the list of permissions does not end"));
                }
                strongest => strongest,
            },
            Err(error) if needs_administrator(&error) => match participants.is_reviewer(account.id) {
                // Only accounts with write permission can add reviewers.
                true => (Permission::Write, "reviewer".to_owned()),
                false => (Permission::Read, "participant".to_owned()),
            },
            Err(error) => return Err(error),
        };
        Ok(Access { permission, role, account: Some(account.id) })
    }
}

fn needs_administrator(error: &Error) -> bool {
    match error {
        Error::Forbidden { .. } | Error::NotFound { .. } => true,
        Error::Denied { message, .. } => is_token_kind_refused(message),
        _ => false,
    }
}

/// Returns the strongest permission; the list omits accounts without one.
fn strongest_permission(all: &[PermissionResponse], account: u64) -> (Permission, String) {
    let has_account = |entry: &&PermissionResponse| entry.user.as_ref().and_then(AccountResponse::id) == Some(account);
    let parse = |entry: &PermissionResponse| (Permission::parse(&entry.permission), entry.permission.clone());
    let permissions = all.iter().filter(has_account).map(parse);
    permissions.max_by_key(|(permission, _)| *permission).unwrap_or((Permission::None, "none".to_owned()))
}
