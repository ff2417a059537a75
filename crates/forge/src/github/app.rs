//! Calls of a GitHub App, authenticated with a JWT; the caller chooses permissions and caches tokens.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    app_key::AppKey,
    client::{Client, RetryPolicy},
    credential::unix_secs_now,
};
use crate::{Account, Endpoint, Error, Token, names::RepositoryName};

/// Permission names with the level `read`, `write` or `admin`.
pub type Permissions = BTreeMap<String, String>;

/// GitHub's lifetime limit for an installation token.
const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug)]
pub struct GitHubApp {
    endpoint: Endpoint,
    issuer: String,
    key: AppKey,
}

#[derive(Clone, Copy, Debug)]
pub enum RepositorySelector<'a> {
    Id(u64),
    Name(&'a str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub id: u64,
    /// Issuer of the JWTs; older servers do not return it.
    pub client_id: Option<String>,
    /// The App's bot is `SLUG[bot]`.
    pub slug: String,
    pub html_url: String,
    /// Permissions that the App requests; an installation may have accepted fewer.
    pub permissions: Permissions,
    /// Subscribed events, without those that GitHub sends to every App.
    pub events: Vec<String>,
    /// The settings page, for changes that the API does not support.
    pub settings_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub id: u64,
    pub permissions: Permissions,
    pub suspended: bool,
    pub html_url: String,
}

#[derive(Clone, Debug)]
pub struct InstallationToken {
    pub token: Token,
    /// Counted from before the request.
    pub expires_in: Duration,
}

/// A new App. GitHub returns its secrets once, and a parse error would lose them, so few fields are required.
#[derive(Deserialize)]
pub struct CreatedApp {
    pub id: u64,
    #[serde(default)]
    pub html_url: String,
    pub pem: String,
    pub webhook_secret: Option<String>,
}

impl std::fmt::Debug for CreatedApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApp").field("id", &self.id).finish_non_exhaustive()
    }
}

impl GitHubApp {
    /// Makes no call. `issuer` is the client id or the App's id. Errors: `Settings` for a malformed key.
    pub fn new(endpoint: Endpoint, issuer: impl Into<String>, pem: &str) -> Result<Self, Error> {
        Ok(Self { endpoint, issuer: issuer.into(), key: AppKey::from_pem(pem)? })
    }

    /// Source: `GET /app`. Errors: `Denied` if the key does not belong to the App.
    pub async fn app(&self) -> Result<App, Error> {
        let client = self.client()?;
        let answer: AppResponse = client.get(client.url(&["app"]), "the App", RetryPolicy::Retry).await?;
        let AppResponse { id, client_id, slug, html_url, owner, permissions, events } = answer;
        // GitHub's schema allows a missing slug.
        let slug = slug.filter(|slug| !slug.is_empty());
        let slug = slug.ok_or_else(|| client.unexpected_response("the App has no slug"))?;
        let settings_url = settings_url(&html_url, &slug, owner);
        Ok(App { id, client_id, slug, html_url, permissions, events, settings_url })
    }

    /// Source: `GET /repos/{o}/{r}/installation`. Errors: `NotFound` if the App is not installed there.
    pub async fn get_installation(&self, full_name: &str) -> Result<Installation, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let client = self.client()?;
        let address = client.url(&["repos", owner, name, "installation"]);
        let subject = format!("an installation of the App on {full_name}");
        let InstallationResponse { id, permissions, suspended_at, html_url } =
            client.get(address, &subject, RetryPolicy::Retry).await?;
        Ok(Installation { id, permissions, suspended: suspended_at.is_some(), html_url })
    }

    /// Source: `POST /app/installations/{id}/access_tokens`. Errors: `Refused` if the installation lacks a permission.
    pub async fn installation_token(
        &self,
        installation: u64,
        only: RepositorySelector<'_>,
        permissions: &Permissions,
    ) -> Result<InstallationToken, Error> {
        let client = self.client()?;
        let address = client.url(&["app", "installations", &installation.to_string(), "access_tokens"]);
        let requested_at = unix_secs_now();
        let body = match only {
            RepositorySelector::Id(id) => json!({ "repository_ids": [id], "permissions": permissions }),
            // GitHub expects the name without its owner.
            RepositorySelector::Name(name) => {
                json!({ "repositories": [RepositoryName::parse(name)?.name], "permissions": permissions })
            }
        };
        // No retry here: a token whose response was lost expires by itself.
        let answer: TokenResponse = client.post(address, "a token of the App's installation", &body).await?;
        Ok(InstallationToken {
            expires_in: token_lifetime(&answer.expires_at, requested_at)?,
            token: Token::new(answer.token),
        })
    }

    /// The App's account, `SLUG[bot]`. Source: `GET /users/{username}`.
    pub async fn bot_account(&self, slug: &str) -> Result<Account, Error> {
        let login = format!("{slug}[bot]");
        let get_account = async |client: Client| -> Result<Account, Error> {
            let address = client.url(&["users", &login]);
            client.get(address, &login, RetryPolicy::Retry).await
        };
        // Try anonymously first. github.com limits anonymous calls by IP address, and private servers refuse them.
        match get_account(Client::anonymous(&self.endpoint)?).await {
            Err(
                Error::Denied { .. } | Error::Forbidden { .. } | Error::NotFound { .. } | Error::RateLimited { .. },
            ) => get_account(self.client()?).await,
            other => other,
        }
    }

    pub(super) fn client(&self) -> Result<Client, Error> {
        Client::for_app(&self.endpoint, &self.issuer, &self.key)
    }
}

/// Exchanges a manifest's code for the new App; a code works once, within an hour.
/// Source: `POST /app-manifests/{code}/conversions`. Errors: `NotFound` for a used or expired code.
pub async fn convert_manifest(endpoint: &Endpoint, code: &str) -> Result<CreatedApp, Error> {
    let client = Client::anonymous(endpoint)?;
    let address = client.url(&["app-manifests", code, "conversions"]);
    let read = |answer| client.parse(&answer);
    let app: CreatedApp =
        client.call(Method::POST, &address, None, "the new App by its code", RetryPolicy::Once, read).await?;
    Ok(CreatedApp { webhook_secret: app.webhook_secret.filter(|secret| !secret.is_empty()), ..app })
}

/// Source: `DELETE /installation/token`.
pub async fn revoke_installation_token(endpoint: &Endpoint, token: Token) -> Result<(), Error> {
    let client = Client::new(endpoint, token)?;
    client
        .send_ignoring_response(Method::DELETE, client.url(&["installation", "token"]), "the token", RetryPolicy::Once)
        .await
}

#[derive(Deserialize)]
struct AppResponse {
    id: u64,
    client_id: Option<String>,
    slug: Option<String>,
    html_url: String,
    owner: Option<OwnerResponse>,
    #[serde(default)]
    permissions: Permissions,
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Deserialize)]
struct OwnerResponse {
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

fn settings_url(html_url: &str, slug: &str, owner: Option<OwnerResponse>) -> String {
    let paths = [format!("/apps/{slug}"), format!("/github-apps/{slug}")];
    let Some(site) = paths.iter().find_map(|path| html_url.strip_suffix(path.as_str())) else {
        return html_url.to_owned();
    };
    match owner {
        Some(OwnerResponse { login: Some(login), kind: Some(kind) }) if kind == "Organization" => {
            format!("{site}/organizations/{login}/settings/apps/{slug}")
        }
        Some(OwnerResponse { login: Some(_), .. }) => format!("{site}/settings/apps/{slug}"),
        Some(OwnerResponse { login: None, .. }) | None => html_url.to_owned(),
    }
}

#[derive(Deserialize)]
struct InstallationResponse {
    id: u64,
    #[serde(default)]
    permissions: Permissions,
    suspended_at: Option<String>,
    #[serde(default)]
    html_url: String,
}

#[derive(Deserialize)]
struct TokenResponse {
    token: String,
    expires_at: String,
}

/// Returns the lifetime, clamped to GitHub's limit because clocks may differ.
fn token_lifetime(expires_at: &str, requested_at: u64) -> Result<Duration, Error> {
    let instant = time::OffsetDateTime::parse(expires_at, &time::format_description::well_known::Rfc3339);
    let instant = instant
        .map_err(|_| Error::Unexpected { status: 201, message: "the token's expiry is not a time".to_owned() })?;
    let expires_at_secs = u64::try_from(instant.unix_timestamp()).unwrap_or_default();
    Ok(Duration::from_secs(expires_at_secs.saturating_sub(requested_at)).min(MAX_TOKEN_LIFETIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_settings_url_depends_on_the_owner() {
        let check = |html_url: &str, owner: Option<(Option<&str>, Option<&str>)>, expected: &str| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let owner = owner.map(|(login, kind)| OwnerResponse { login: text(login), kind: text(kind) });
            assert_eq!(settings_url(html_url, "yard", owner), expected);
        };
        let organization = Some((Some("acme"), Some("Organization")));
        check("https://github.com/apps/yard", organization, "https://github.com/organizations/acme/settings/apps/yard");
        check(
            "https://g.example/github-apps/yard",
            organization,
            "https://g.example/organizations/acme/settings/apps/yard",
        );
        check(
            "https://github.com/apps/yard",
            Some((Some("ann"), Some("User"))),
            "https://github.com/settings/apps/yard",
        );
        check("https://github.com/apps/yard", Some((None, None)), "https://github.com/apps/yard");
        check("https://github.com/apps/yard", None, "https://github.com/apps/yard");
        check("https://github.com/elsewhere", organization, "https://github.com/elsewhere");
    }

    #[test]
    fn token_lifetime_is_at_most_one_hour() {
        let check = |text: &str, expected: u64| {
            assert_eq!(token_lifetime(text, 1_767_225_600).unwrap(), Duration::from_secs(expected), "{text}");
        };
        check("2026-01-01T01:00:00Z", 3_600);
        check("2026-01-01T00:50:00Z", 3_000);
        check("2026-01-01T02:30:00+01:00", 3_600);
        check("2025-12-31T23:00:00Z", 0);
        assert!(token_lifetime("tomorrow", 0).is_err());
    }
}
