//! Connected forges: `/v1/integrations…`.

use pullyard_domain::auth::Auth;
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::{Account, ForgeKind};
use serde::{Deserialize, Serialize};

/// `POST /v1/integrations`: connects a forge, and asks it who the token belongs to.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateIntegration {
    /// Its short name.
    pub id: IntegrationId,
    /// What it is.
    pub kind: ForgeKind,
    /// The REST base: `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise Server;
    /// `https://api.bitbucket.org/2.0` for Bitbucket.
    pub api_url: String,
    /// The name of the secret in Secrets Manager that holds the token. Never the token. For Bitbucket its value is an
    /// access token, or `E-MAIL:API-TOKEN`.
    pub token_secret: String,
}

/// `POST /v1/github-apps/conversions`: makes an App of the code that GitHub gave for its manifest, and connects
/// it. Not to be repeated: a code works once.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeGitHubApp {
    /// The integration's short name.
    pub id: IntegrationId,
    /// The REST base, as for a token.
    pub api_url: String,
    /// What GitHub gave, within the hour.
    pub code: String,
}

impl std::fmt::Debug for MakeGitHubApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The code never reaches a log.
        f.debug_struct("MakeGitHubApp").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `POST /v1/github-apps`: connects an App that is there.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectGitHubApp {
    /// The integration's short name.
    pub id: IntegrationId,
    /// The REST base, as for a token.
    pub api_url: String,
    /// GitHub's id of it.
    pub app_id: u64,
    /// The name of the secret in Secrets Manager that holds its private key, a PEM text. Never the key.
    pub key_secret: String,
    /// The name of the secret that it signs its deliveries with.
    pub webhook_secret: String,
}

/// `GET /v1/integrations?after=CURSOR`: by id.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationPage {
    /// At most 50.
    pub integrations: Vec<Integration>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// `POST /v1/integrations/{id}/test`: what the forge says of our token now.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationTest {
    /// The token works, and belongs to the account that was connected.
    pub works: bool,
    /// In words.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
}

/// `DELETE /v1/integrations/{id}`: the forge is connected no more. There, and of the secrets, nothing changes.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedIntegration {
    /// Its short name. A forge of another address is not connected under it.
    pub id: IntegrationId,
    /// The names of the secrets that it used: they stay in Secrets Manager.
    pub secrets: Vec<String>,
}

/// A connected forge.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Its short name.
    pub id: IntegrationId,
    /// What it is.
    pub kind: ForgeKind,
    /// The REST base.
    pub api_url: String,
    /// How we prove who we are: names of secrets, never a secret.
    pub auth: Auth,
    /// Who the token belongs to, or the App's bot.
    pub account: Account,
}
