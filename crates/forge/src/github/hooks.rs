//! Lists, creates, edits and deletes webhooks.

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHub, client::Tries};
use crate::{
    Error, Hook, HookScope, HookSettings, Listed,
    names::{RepositoryName, account_name},
};

#[derive(Deserialize)]
struct HookAnswer {
    id: u64,
    active: bool,
    events: Vec<String>,
    config: ConfigAnswer,
    last_response: Option<LastAnswer>,
}

#[derive(Deserialize)]
struct ConfigAnswer {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
    secret: Option<String>,
    insecure_ssl: Option<Value>,
}

#[derive(Deserialize)]
struct LastAnswer {
    code: Option<u16>,
}

impl From<HookAnswer> for Hook {
    fn from(answer: HookAnswer) -> Self {
        let last_code = answer.last_response.and_then(|last| last.code);
        Self { id: answer.id, active: answer.active, events: answer.events, last_code, ..answer.config.into() }
    }
}

impl From<ConfigAnswer> for Hook {
    fn from(config: ConfigAnswer) -> Self {
        Self {
            id: 0,
            events: Vec::new(),
            active: true,
            json: config.content_type == "json",
            // GitHub returns asterisks for a secret.
            has_secret: config.secret.is_some_and(|secret| !secret.is_empty()),
            // GitHub returns a number or a string.
            verifies_tls: !matches!(&config.insecure_ssl, Some(word) if *word == json!("1") || *word == json!(1)),
            last_code: None,
            url: config.url,
        }
    }
}

pub(super) enum Place<'a> {
    Repository(RepositoryName<'a>),
    Organisation(&'a str),
    App,
}

impl<'a> Place<'a> {
    pub(super) fn of(scope: &'a HookScope) -> Result<Self, Error> {
        Ok(match scope {
            HookScope::Repository(full_name) => Self::Repository(RepositoryName::parse(full_name)?),
            HookScope::Organisation(name) => Self::Organisation(account_name(name)?),
            HookScope::App => Self::App,
        })
    }

    pub(super) fn what(&self) -> String {
        match self {
            Self::Repository(RepositoryName { owner, name }) => format!("the hooks of {owner}/{name}"),
            Self::Organisation(name) => format!("the hooks of {name}"),
            Self::App => "the hook of the App".to_owned(),
        }
    }
}

impl GitHub {
    pub(super) fn hook_address(&self, place: &Place<'_>, hook: Option<u64>, rest: &[&str]) -> Url {
        let id = hook.map(|hook| hook.to_string());
        let mut segments = match place {
            Place::Repository(RepositoryName { owner, name }) => vec!["repos", owner, name, "hooks"],
            Place::Organisation(name) => vec!["orgs", name, "hooks"],
            Place::App => vec!["app", "hook"],
        };
        segments.extend(id.as_deref().filter(|_| !matches!(place, Place::App)));
        segments.extend(rest);
        self.client.address(&segments)
    }

    /// Source: `GET /repos/{owner}/{repo}/hooks`, `GET /orgs/{org}/hooks`, `GET /app/hook/config`.
    pub async fn hooks(&self, scope: &HookScope) -> Result<Listed<Hook>, Error> {
        let place = Place::of(scope)?;
        if let Place::App = place {
            let address = self.hook_address(&place, None, &["config"]);
            let found = match self.client.get::<ConfigAnswer>(address, &place.what(), Tries::Three).await {
                Ok(config) => vec![config.into()],
                // The App was created without a webhook.
                Err(Error::NotFound { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            return Ok(Listed { found, more: false });
        }
        let answers: Listed<HookAnswer> = self.client.list(self.hook_address(&place, None, &[]), &place.what()).await?;
        Ok(answers.filter_map(|answer| Some(answer.into())))
    }

    /// Source: `POST /repos/{owner}/{repo}/hooks`, `POST /orgs/{org}/hooks`.
    pub async fn create_hook(&self, scope: &HookScope, settings: &HookSettings) -> Result<Hook, Error> {
        let place = made_by_us(scope, "made")?;
        let mut body = whole(settings)?;
        body["name"] = "web".into();
        let answer: HookAnswer = self.client.post(self.hook_address(&place, None, &[]), &place.what(), &body).await?;
        Ok(answer.into())
    }

    /// Source: `PATCH /repos/{owner}/{repo}/hooks/{hook_id}`, `PATCH /orgs/{org}/hooks/{hook_id}`,
    /// `PATCH /app/hook/config`.
    pub async fn edit_hook(&self, scope: &HookScope, hook: u64, settings: &HookSettings) -> Result<Hook, Error> {
        let place = Place::of(scope)?;
        let what = place.what();
        if let Place::App = place {
            let address = self.hook_address(&place, None, &["config"]);
            let body = config(settings)?;
            let answer: ConfigAnswer = self.client.send(Method::PATCH, address, &what, &body, Tries::Three).await?;
            return Ok(answer.into());
        }
        let address = self.hook_address(&place, Some(hook), &[]);
        let body = whole(settings)?;
        let answer: HookAnswer = self.client.send(Method::PATCH, address, &what, &body, Tries::Three).await?;
        Ok(answer.into())
    }

    /// Source: `DELETE /repos/{owner}/{repo}/hooks/{hook_id}`, `DELETE /orgs/{org}/hooks/{hook_id}`.
    pub async fn delete_hook(&self, scope: &HookScope, hook: u64) -> Result<(), Error> {
        let place = made_by_us(scope, "deleted")?;
        let address = self.hook_address(&place, Some(hook), &[]);
        match self.client.order(Method::DELETE, address, &place.what(), Tries::Three).await {
            Err(Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// GitHub's API cannot create or delete an App's webhook.
fn made_by_us<'a>(scope: &'a HookScope, done: &str) -> Result<Place<'a>, Error> {
    match Place::of(scope)? {
        Place::App => Err(Error::Refused { reason: format!("the webhook of an App can't be {done} through the API") }),
        place => Ok(place),
    }
}

fn config(settings: &HookSettings) -> Result<Value, Error> {
    let secret = settings
        .secret
        .text()
        .ok_or_else(|| Error::Settings { reason: "the webhook's secret is empty or not text".to_owned() })?;
    Ok(json!({ "url": settings.url, "content_type": "json", "insecure_ssl": "0", "secret": secret }))
}

fn whole(settings: &HookSettings) -> Result<Value, Error> {
    Ok(json!({ "config": config(settings)?, "events": settings.events, "active": settings.active }))
}
