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

const DESCRIPTION: &str = "Pullyard";

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

enum BitbucketHookOwner<'a> {
    Repository(RepositoryName<'a>),
    Workspace(&'a str),
}

impl<'a> BitbucketHookOwner<'a> {
    fn from_scope(scope: &'a HookScope) -> Result<Self, Error> {
        match scope {
            HookScope::Repository(full_name) => Ok(Self::Repository(RepositoryName::parse(full_name)?)),
            HookScope::Organisation(name) => Ok(Self::Workspace(account_name(name)?)),
            HookScope::App => Err(Error::Unsupported { what: "read the webhook of an App".to_owned() }),
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Repository(RepositoryName { owner, name }) => format!("the hooks of {owner}/{name}"),
            Self::Workspace(name) => format!("the hooks of {name}"),
        }
    }
}

impl Bitbucket {
    fn hook_url(&self, place: &BitbucketHookOwner<'_>, uuid: Option<&str>) -> Url {
        let mut segments = match place {
            BitbucketHookOwner::Repository(RepositoryName { owner, name }) => {
                vec!["repositories", owner, name, "hooks"]
            }
            BitbucketHookOwner::Workspace(name) => vec!["workspaces", name, "hooks"],
        };
        segments.extend(uuid);
        self.client.url(&segments)
    }

    async fn all_hooks(&self, place: &BitbucketHookOwner<'_>) -> Result<Listing<HookResponse>, Error> {
        self.client.list(self.hook_url(place, None), &place.description(), PER_PAGE).await
    }

    /// Searches the list, because the API requires the UUID and we store its hash.
    async fn find_hook(&self, place: &BitbucketHookOwner<'_>, hook: u64) -> Result<HookResponse, Error> {
        let all = self.all_hooks(place).await?.items;
        all.into_iter().find(|one| uuid_to_id(&one.uuid) == hook).ok_or_else(|| Error::NotFound {
            what: place.description(),
            message: format!("no webhook has the id {hook}"),
        })
    }

    pub async fn hooks(&self, scope: &HookScope) -> Result<Listing<Hook>, Error> {
        let all = self.all_hooks(&BitbucketHookOwner::from_scope(scope)?).await?;
        Ok(all.filter_map(|answer| Some(answer.into())))
    }

    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        let place = BitbucketHookOwner::from_scope(scope)?;
        let body = to_body(settings)?;
        let answer: HookResponse = self.client.post(self.hook_url(&place, None), &place.description(), &body).await?;
        Ok(answer.into())
    }

    /// Preserves the description of the webhook.
    /// Source: `PUT /repositories/{workspace}/{repo_slug}/hooks/{uid}`, `PUT /workspaces/{workspace}/hooks/{uid}`.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        let place = BitbucketHookOwner::from_scope(scope)?;
        // Validate the secret before the first call.
        let mut body = to_body(settings)?;
        let existing = self.find_hook(&place, hook).await?;
        if let Some(description) = existing.description.filter(|description| !description.trim().is_empty()) {
            body["description"] = description.into();
        }
        // The API reference omits this field, so send it only if the response has it.
        if existing.skip_cert_verification.is_some() {
            body["skip_cert_verification"] = false.into();
        }
        let address = self.hook_url(&place, Some(&existing.uuid));
        let answer: HookResponse =
            self.client.send(Method::PUT, address, &place.description(), &body, RetryPolicy::Retry).await?;
        Ok(answer.into())
    }

    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        let place = BitbucketHookOwner::from_scope(scope)?;
        let existing = match self.find_hook(&place, hook).await {
            Ok(existing) => existing,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let address = self.hook_url(&place, Some(&existing.uuid));
        match self
            .client
            .send_ignoring_response(Method::DELETE, address, &place.description(), RetryPolicy::Retry)
            .await
        {
            Err(Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn to_body(settings: &HookSettings) -> Result<Value, Error> {
    let refused = || Error::Settings { reason: "the webhook's secret is empty or not text".to_owned() };
    let secret = settings.secret.as_str().ok_or_else(refused)?;
    Ok(json!({
        "description": DESCRIPTION,
        "url": settings.url,
        "active": settings.active,
        "secret": secret,
        "events": settings.events,
    }))
}
