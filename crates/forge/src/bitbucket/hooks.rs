//! Manages webhooks of a repository or workspace; Bitbucket sends no ping, and its API lists no deliveries.

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bitbucket, uuid_to_id};
use crate::{
    Error, Hook, HookScope, HookSettings, Listing,
    http_client::RetryPolicy,
    names::{RepositoryName, account_name},
};

const PER_PAGE: &str = "100";

#[derive(Deserialize)]
struct HookResponse {
    uuid: String,
    url: Option<String>,
    description: Option<String>,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    secret_set: bool,
    skip_cert_verification: Option<bool>,
}

impl From<HookResponse> for Hook {
    fn from(answer: HookResponse) -> Self {
        Self {
            id: uuid_to_id(&answer.uuid),
            url: answer.url.unwrap_or_default(),
            events: answer.events,
            active: answer.active,
            json: true,
            has_secret: answer.secret_set,
            verifies_tls: answer.skip_cert_verification != Some(true),
        }
    }
}

impl Bitbucket {
    fn hook_url(&self, scope: &HookScope, uuid: Option<&str>) -> Result<Url, Error> {
        let mut segments = match scope {
            HookScope::Repository(full_name) => {
                let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
                vec!["repositories", owner, name, "hooks"]
            }
            HookScope::Organisation(name) => vec!["workspaces", account_name(name)?, "hooks"],
            HookScope::App => return Err(Error::Unsupported { operation: "read the webhook of an App".to_owned() }),
        };
        segments.extend(uuid);
        Ok(self.client.url(&segments))
    }

    async fn all_hooks(&self, scope: &HookScope) -> Result<Listing<HookResponse>, Error> {
        self.client.list(self.hook_url(scope, None)?, &scope.description(), PER_PAGE).await
    }

    /// Searches the list, because the API requires the UUID and we store its hash.
    async fn find_hook(&self, scope: &HookScope, hook: u64) -> Result<HookResponse, Error> {
        let all = self.all_hooks(scope).await?.items;
        all.into_iter().find(|entry| uuid_to_id(&entry.uuid) == hook).ok_or_else(|| Error::NotFound {
            resource: scope.description(),
            message: format!("no webhook has the id {hook}"),
        })
    }

    pub async fn hooks(&self, scope: &HookScope) -> Result<Listing<Hook>, Error> {
        let all = self.all_hooks(scope).await?;
        Ok(all.filter_map(|answer| Some(answer.into())))
    }

    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        let body = to_body(settings)?;
        let answer: HookResponse = self.client.post(self.hook_url(scope, None)?, &scope.description(), &body).await?;
        Ok(answer.into())
    }

    /// Preserves the description of the webhook.
    /// Source: `PUT /repositories/{workspace}/{repo_slug}/hooks/{uid}`, `PUT /workspaces/{workspace}/hooks/{uid}`.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        // Validate the secret before the first call.
        let mut body = to_body(settings)?;
        let existing = self.find_hook(scope, hook).await?;
        if let Some(description) = existing.description.filter(|description| !description.trim().is_empty()) {
            body["description"] = description.into();
        }
        // The API reference omits this field, so send it only if the response has it.
        if existing.skip_cert_verification.is_some() {
            body["skip_cert_verification"] = false.into();
        }
        let address = self.hook_url(scope, Some(&existing.uuid))?;
        let answer: HookResponse =
            self.client.send(Method::PUT, address, &scope.description(), &body, RetryPolicy::Retry).await?;
        Ok(answer.into())
    }

    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        let existing = match self.find_hook(scope, hook).await {
            Ok(existing) => existing,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let address = self.hook_url(scope, Some(&existing.uuid))?;
        self.client.delete(address, &scope.description()).await
    }
}

fn to_body(settings: &HookSettings) -> Result<Value, Error> {
    Ok(json!({
        "description": "Pullyard",
        "url": settings.url,
        "active": settings.active,
        "secret": settings.secret_text()?,
        "events": settings.events,
    }))
}
