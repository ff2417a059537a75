//! Reads an account's permission.

use serde::Deserialize;

use super::{GitHub, client::RetryPolicy};
use crate::{Access, Error, Permission, names::account_name};

#[derive(Deserialize)]
struct AccessResponse {
    permission: String,
    #[serde(default)]
    role_name: String,
    user: Option<IdResponse>,
}

#[derive(Deserialize)]
struct IdResponse {
    id: u64,
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/collaborators/{username}/permission`.
    pub async fn permission(&self, full_name: &str, login: &str) -> Result<Access, Error> {
        let address = self.url(full_name, &["collaborators", account_name(login)?, "permission"])?;
        let subject = format!("what {login} may do in {full_name}");
        let answer: AccessResponse = self.client.get(address, &subject, RetryPolicy::Short).await?;
        Ok(Access {
            permission: Permission::parse(&answer.permission),
            role: answer.role_name,
            account: answer.user.map(|user| user.id),
        })
    }
}
