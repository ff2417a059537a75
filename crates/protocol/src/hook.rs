//! Pullyard's webhooks: `/v1/hooks…`.

use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::{Ingress, WebhookScope};
use pullyard_domain::text::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName, TemplateName};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/hooks`: creates or repairs a webhook. Set one of `repository`, `organisation` and `app`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallHook {
    /// Last part of its URL.
    pub name: HookName,
    /// Forge of the webhook.
    pub integration: IntegrationId,
    /// Project for events of repositories that are not connected.
    pub project: ProjectId,
    /// Scope: this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Scope: all repositories of this organization or workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Scope: the integration's App, for a forge with Apps.
    #[serde(default)]
    pub app: bool,
    /// Base URL of this server, as the forge reaches it.
    pub base_url: String,
    /// A person creates the webhook at the forge.
    #[serde(default)]
    pub by_hand: bool,
    /// Template of the project that its deliveries start, for the webhook of a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateName>,
}

/// A webhook of Pullyard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Hook {
    /// Last part of its URL.
    pub name: HookName,
    /// Forge of the webhook.
    pub integration: IntegrationId,
    /// Kind of forge; absent from an older server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<ForgeKind>,
    /// Project for events of repositories that are not connected.
    pub project: ProjectId,
    /// Scope of the webhook.
    pub kind: WebhookScope,
    /// Name of its secret, for `PUT /v1/secrets/{name}`.
    pub secret: SecretName,
    /// URL that the forge calls.
    pub url: Option<String>,
    /// Id at the forge.
    pub forge_id: Option<u64>,
    /// Last verified delivery, noted at most once a minute.
    #[serde(with = "OptionalWireTime")]
    pub verified_at: Option<Timestamp>,
    /// Last refused delivery.
    #[serde(with = "OptionalWireTime")]
    pub refused_at: Option<Timestamp>,
    /// Number of refused deliveries.
    pub refused: u64,
    /// Until when the previous value of the secret is accepted.
    #[serde(with = "OptionalWireTime")]
    pub old_secret_until: Option<Timestamp>,
    /// Template that its deliveries start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateName>,
}

/// Answer to `GET /v1/hooks?after=CURSOR`, by name. Omits webhooks of projects that the token may not access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HookPage {
    /// At most 50; a page may be empty without being the last.
    pub hooks: Vec<Hook>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Answer to `POST /v1/hooks/{name}/verify` and `…/repair`: the webhook and its drifts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HookCheck {
    /// The webhook.
    pub hook: Hook,
    /// Empty if the webhook is configured correctly.
    pub drifts: Vec<Drift>,
}

/// A difference between a webhook and its configuration at the forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Drift {
    /// Stable code: `missing`, `url`, `disabled`, `events`, `no_secret`, `secret`, `content_type`, `insecure_ssl`,
    /// `failing`, `deliveries`, `unreadable`; for an App's webhook also `permissions` and `silent`. A forge
    /// without a list of deliveries has neither `failing` nor `deliveries`.
    pub code: String,
    /// Description for users.
    pub sentence: String,
    /// `repair` can fix it.
    pub repairable: bool,
}

/// Answer to `DELETE /v1/hooks/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemovedHook {
    /// Name of the webhook.
    pub name: HookName,
}

/// Body of `PUT /v1/projects/{project}/ingress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetIngress {
    /// Repository.
    pub repository: RepositoryName,
    /// Webhook, polling or both.
    pub ingress: Ingress,
}

/// Ingress of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RepositoryIngress {
    /// Repository.
    pub repository: RepositoryName,
    /// Webhook, polling or both.
    pub ingress: Ingress,
    /// All events before this time were seen by polling.
    #[serde(with = "OptionalWireTime")]
    pub seen_until: Option<Timestamp>,
    /// When the forge reported the repository as missing.
    #[serde(with = "OptionalWireTime")]
    pub gone_at: Option<Timestamp>,
    /// Error of the last poll.
    pub problem: Option<String>,
    /// The repository is archived at the forge, as of the last poll.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// Name before the last rename that a poll saw. Tickets may still use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<RepositoryName>,
}

/// Answer to `GET /v1/projects/{project}/ingress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ingresses {
    /// By forge.
    pub repositories: Vec<RepositoryIngress>,
}
