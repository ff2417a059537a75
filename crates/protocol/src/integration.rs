//! Connected forges: `/v1/integrations…`.

use pullyard_domain::project::forge::ForgeKind;
pub use pullyard_domain::project::forge::Integration;
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Body of `POST /v1/integrations`, which connects a forge and reads the account of the token from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIntegration {
    /// Short name.
    pub id: IntegrationId,
    /// Kind of forge.
    pub kind: ForgeKind,
    /// REST base, such as `https://api.github.com`; docs/forges.md lists the forms.
    pub api_url: String,
    /// Name of the token's secret, never the token. docs/forges.md states the form of its value.
    pub token_secret: String,
}

/// Body of `POST /v1/github-apps`, which connects an existing App.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectGitHubApp {
    /// Short name of the integration.
    pub id: IntegrationId,
    /// REST base, as for a token.
    pub api_url: String,
    /// GitHub's id of the App.
    pub app_id: u64,
    /// Name of the secret in Secrets Manager that holds the App's private key as PEM, never the key.
    pub key_secret: String,
    /// Name of the secret that signs the App's deliveries.
    pub webhook_secret: String,
}

/// Body of `PUT /v1/integrations/{id}/projects`, which replaces the list of the projects that may use an integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetIntegrationProjects {
    /// The projects; null removes the list. Then only tokens for all projects may name the integration.
    #[serde(deserialize_with = "Option::deserialize")]
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// Answer to `GET /v1/integrations?after=CURSOR`, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IntegrationPage {
    /// At most 50.
    pub integrations: Vec<Integration>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Answer to `POST /v1/integrations/{id}/test`: whether the forge accepts our token now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IntegrationTest {
    /// Whether the token works and belongs to the account that was connected.
    pub works: bool,
    /// Result as a sentence.
    pub sentence: String,
    /// Advice.
    pub help: String,
}

/// Answer to `DELETE /v1/integrations/{id}`, which disconnects a forge. The forge and the secrets stay unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemovedIntegration {
    /// Short name. It stays reserved for this forge's REST base.
    pub id: IntegrationId,
    /// Names of the secrets that it used, which stay in Secrets Manager.
    pub secrets: Vec<String>,
}
