//! Lists, creates, edits and deletes webhooks, and lists their latest deliveries.

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHub, client::RetryPolicy, pages};
use crate::{
    Delivery, Error, Hook, HookScope, HookSettings, Listing,
    names::{RepositoryName, account_name},
};

#[derive(Deserialize)]
struct HookResponse {
    id: u64,
    active: bool,
    events: Vec<String>,
    config: ConfigResponse,
}

#[derive(Deserialize)]
struct ConfigResponse {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
    secret: Option<String>,
    insecure_ssl: Option<Value>,
}

impl From<HookResponse> for Hook {
    fn from(answer: HookResponse) -> Self {
        Self { id: answer.id, active: answer.active, events: answer.events, ..answer.config.into() }
    }
}

impl From<ConfigResponse> for Hook {
    fn from(config: ConfigResponse) -> Self {
        Self {
            id: 0,
            events: Vec::new(),
            active: true,
            json: config.content_type == "json",
            // GitHub returns asterisks for a secret.
            has_secret: config.secret.is_some_and(|secret| !secret.is_empty()),
            // GitHub returns a number or a string.
            verifies_tls: !matches!(&config.insecure_ssl, Some(value) if *value == json!("1") || *value == json!(1)),
            url: config.url,
        }
    }
}

impl GitHub {
    /// The id is ignored for an App.
    fn hook_url(&self, scope: &HookScope, hook: Option<u64>, rest: &[&str]) -> Result<Url, Error> {
        let id = hook.filter(|_| *scope != HookScope::App).map(|hook| hook.to_string());
        let mut segments = match scope {
            HookScope::Repository(full_name) => {
                let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
                vec!["repos", owner, name, "hooks"]
            }
            HookScope::Organisation(name) => vec!["orgs", account_name(name)?, "hooks"],
            HookScope::App => vec!["app", "hook"],
        };
        segments.extend(id.as_deref());
        segments.extend(rest);
        Ok(self.client.url(&segments))
    }

    /// Source: `GET /repos/{owner}/{repo}/hooks`, `GET /orgs/{org}/hooks`, `GET /app/hook/config`.
    pub async fn hooks(&self, scope: &HookScope) -> Result<Listing<Hook>, Error> {
        if *scope == HookScope::App {
            let address = self.hook_url(scope, None, &["config"])?;
            let items = match self.client.get::<ConfigResponse>(address, &scope.description(), RetryPolicy::Retry).await
            {
                Ok(config) => vec![config.into()],
                // The App was created without a webhook.
                Err(Error::NotFound { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            return Ok(Listing { items, truncated: false });
        }
        let answers: Listing<HookResponse> =
            self.client.list(self.hook_url(scope, None, &[])?, &scope.description()).await?;
        Ok(answers.filter_map(|answer| Some(answer.into())))
    }

    /// Source: `POST /repos/{owner}/{repo}/hooks`, `POST /orgs/{org}/hooks`.
    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        reject_app(scope, "made")?;
        let mut body = to_body(settings)?;
        body["name"] = "web".into();
        let answer: HookResponse =
            self.client.post(self.hook_url(scope, None, &[])?, &scope.description(), &body).await?;
        Ok(answer.into())
    }

    /// Source: `PATCH /repos/{owner}/{repo}/hooks/{hook_id}`, `PATCH /orgs/{org}/hooks/{hook_id}`,
    /// `PATCH /app/hook/config`.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        let subject = scope.description();
        if *scope == HookScope::App {
            let address = self.hook_url(scope, None, &["config"])?;
            let body = to_config(settings)?;
            let answer: ConfigResponse =
                self.client.send(Method::PATCH, address, &subject, &body, RetryPolicy::Retry).await?;
            return Ok(answer.into());
        }
        let address = self.hook_url(scope, Some(hook), &[])?;
        let body = to_body(settings)?;
        let answer: HookResponse =
            self.client.send(Method::PATCH, address, &subject, &body, RetryPolicy::Retry).await?;
        Ok(answer.into())
    }

    /// Source: `DELETE /repos/{owner}/{repo}/hooks/{hook_id}`, `DELETE /orgs/{org}/hooks/{hook_id}`.
    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        reject_app(scope, "deleted")?;
        let address = self.hook_url(scope, Some(hook), &[])?;
        self.client.delete(address, &scope.description()).await
    }

    /// Source: `GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries`, `GET /orgs/{org}/hooks/{hook_id}/deliveries`,
    /// `GET /app/hook/deliveries`.
    pub async fn deliveries(&self, scope: &HookScope, hook: u64) -> Result<Vec<Delivery>, Error> {
        let mut address = self.hook_url(scope, Some(hook), &["deliveries"])?;
        // Do not use the failure filter: it omits deliveries without a response.
        address.query_pairs_mut().append_pair("per_page", pages::PER_PAGE);
        let (deliveries, _) = self.client.get_page(&address, &scope.description()).await?;
        Ok(deliveries)
    }
}

/// GitHub's API cannot create or delete an App's webhook.
fn reject_app(scope: &HookScope, participle: &str) -> Result<(), Error> {
    if *scope == HookScope::App {
        return Err(Error::Refused { reason: format!("the webhook of an App can't be {participle} through the API") });
    }
    Ok(())
}

fn to_config(settings: &HookSettings) -> Result<Value, Error> {
    let secret = settings.secret_text()?;
    Ok(json!({ "url": settings.url, "content_type": "json", "insecure_ssl": "0", "secret": secret }))
}

fn to_body(settings: &HookSettings) -> Result<Value, Error> {
    Ok(json!({ "config": to_config(settings)?, "events": settings.events, "active": settings.active }))
}
