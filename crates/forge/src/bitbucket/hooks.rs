//! Manages webhooks of a repository or workspace; Bitbucket sends no ping, and its API lists no deliveries.

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bitbucket, id_of};
use crate::{
    Error, Hook, HookScope, HookSettings, Listed,
    call::Tries,
    names::{RepositoryName, account_name},
};

const PER_PAGE: &str = "100";

const DESCRIPTION: &str = "Pullyard";

#[derive(Deserialize)]
struct HookAnswer {
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

impl From<HookAnswer> for Hook {
    fn from(answer: HookAnswer) -> Self {
        Self {
            id: id_of(&answer.uuid),
            url: answer.url.unwrap_or_default(),
            events: answer.events,
            active: answer.active,
            json: true,
            has_secret: answer.secret_set,
            verifies_tls: answer.skip_cert_verification != Some(true),
            last_code: None,
        }
    }
}

enum Place<'a> {
    Repository(RepositoryName<'a>),
    Workspace(&'a str),
}

impl<'a> Place<'a> {
    fn of(scope: &'a HookScope) -> Result<Self, Error> {
        match scope {
            HookScope::Repository(full_name) => Ok(Self::Repository(RepositoryName::parse(full_name)?)),
            HookScope::Organisation(name) => Ok(Self::Workspace(account_name(name)?)),
            HookScope::App => Err(Error::Unsupported { what: "read the webhook of an App".to_owned() }),
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Repository(RepositoryName { owner, name }) => format!("the hooks of {owner}/{name}"),
            Self::Workspace(name) => format!("the hooks of {name}"),
        }
    }
}

impl Bitbucket {
    fn hook_address(&self, place: &Place<'_>, uuid: Option<&str>) -> Url {
        let mut segments = match place {
            Place::Repository(RepositoryName { owner, name }) => vec!["repositories", owner, name, "hooks"],
            Place::Workspace(name) => vec!["workspaces", name, "hooks"],
        };
        segments.extend(uuid);
        self.client.address(&segments)
    }

    async fn all_hooks(&self, place: &Place<'_>) -> Result<Listed<HookAnswer>, Error> {
        self.client.list(self.hook_address(place, None), &place.what(), PER_PAGE).await
    }

    /// Searches the list, because the API requires the UUID and we store its hash.
    async fn hook(&self, place: &Place<'_>, hook: u64) -> Result<HookAnswer, Error> {
        let all = self.all_hooks(place).await?.found;
        all.into_iter()
            .find(|one| id_of(&one.uuid) == hook)
            .ok_or_else(|| Error::NotFound { what: place.what(), message: format!("no webhook has the id {hook}") })
    }

    pub async fn hooks(&self, scope: &HookScope) -> Result<Listed<Hook>, Error> {
        let all = self.all_hooks(&Place::of(scope)?).await?;
        Ok(all.filter_map(|answer| Some(answer.into())))
    }

    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        let place = Place::of(scope)?;
        let body = whole(settings)?;
        let answer: HookAnswer = self.client.post(self.hook_address(&place, None), &place.what(), &body).await?;
        Ok(answer.into())
    }

    /// Preserves the description of the webhook.
    /// Source: `PUT /repositories/{workspace}/{repo_slug}/hooks/{uid}`, `PUT /workspaces/{workspace}/hooks/{uid}`.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        let place = Place::of(scope)?;
        // Validate the secret before the first call.
        let mut body = whole(settings)?;
        let there = self.hook(&place, hook).await?;
        if let Some(description) = there.description.filter(|description| !description.trim().is_empty()) {
            body["description"] = description.into();
        }
        // The API reference omits this field, so send it only if the response has it.
        if there.skip_cert_verification.is_some() {
            body["skip_cert_verification"] = false.into();
        }
        let address = self.hook_address(&place, Some(&there.uuid));
        let answer: HookAnswer = self.client.send(Method::PUT, address, &place.what(), &body, Tries::Three).await?;
        Ok(answer.into())
    }

    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        let place = Place::of(scope)?;
        let there = match self.hook(&place, hook).await {
            Ok(there) => there,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let address = self.hook_address(&place, Some(&there.uuid));
        match self.client.order(Method::DELETE, address, &place.what(), Tries::Three).await {
            Err(Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn whole(settings: &HookSettings) -> Result<Value, Error> {
    let refused = || Error::Settings { reason: "the webhook's secret is empty or not text".to_owned() };
    let secret = settings.secret.text().ok_or_else(refused)?;
    Ok(json!({
        "description": DESCRIPTION,
        "url": settings.url,
        "active": settings.active,
        "secret": secret,
        "events": settings.events,
    }))
}
