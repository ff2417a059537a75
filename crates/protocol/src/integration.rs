//! Connected forges: `/v1/integrations…`.

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
    /// The REST base: `https://api.github.com`, or `https://HOST/api/v3` of an Enterprise Server.
    pub api_url: String,
    /// The name of the secret in Secrets Manager that holds the token. Never the token.
    pub token_secret: String,
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
    /// The name of the secret that holds the token.
    pub token_secret: String,
    /// Who the token belongs to.
    pub account: Account,
}
