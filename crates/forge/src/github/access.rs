//! Reads an account's permission.

use serde::Deserialize;

use super::{GitHub, client::RetryPolicy};
use crate::{Access, Actor, Error, Permission, names::account_name};

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
    pub async fn permission(&self, full_name: &str, _number: u64, account: &Actor) -> Result<Access, Error> {
        // No account can have another name, so the forge needs no question.
        let Ok(login) = account_name(&account.login) else { return Ok(Access::none()) };
        let address = self.url(full_name, &["collaborators", login, "permission"])?;
        let subject = format!("what {login} may do in {full_name}");
        let answer = self.client.get::<AccessResponse>(address, &subject, RetryPolicy::Short).await;
        let answer = match answer {
            // A deleted account. A token that may not read permissions gets the message `Not Found`.
            Err(Error::NotFound { message, .. }) if message.contains("is not a user") => return Ok(Access::none()),
            other => other?,
        };
        Ok(Access {
            permission: Permission::parse(&answer.permission),
            role: answer.role_name,
            account: answer.user.map(|user| user.id),
        })
    }
}
