//! Our webhooks: `/v1/hooks…`.

use pullyard_domain::hook::{HookKind, Ingress};
use pullyard_domain::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_domain::project::ForgeKind;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

/// `POST /v1/hooks`: makes a hook here and at its forge, or mends the one that is there. Exactly one of
/// `repository`, `organisation` and `app`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallHook {
    /// The last part of its address.
    pub name: HookName,
    /// At which forge.
    pub integration: IntegrationId,
    /// The project that is told of what belongs to none.
    pub project: ProjectId,
    /// Further projects that it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ProjectId>,
    /// Of this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Of all repositories of this organisation, or of this workspace on Bitbucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Of the integration's App; GitHub alone has them.
    #[serde(default)]
    pub app: bool,
    /// This server's address, as the forge reaches it.
    pub base_url: String,
    /// A person makes it at the forge.
    #[serde(default)]
    pub by_hand: bool,
}

/// A webhook of ours.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The last part of its address.
    pub name: HookName,
    /// At which forge.
    pub integration: IntegrationId,
    /// Of which kind that is; none from an older server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<ForgeKind>,
    /// The project that is told of what belongs to none.
    pub project: ProjectId,
    /// Further projects that it serves.
    pub others: Vec<ProjectId>,
    /// What it is of.
    pub kind: HookKind,
    /// The name of its secret, for `PUT /v1/secrets/{name}`.
    pub secret: SecretName,
    /// Where the forge calls it.
    pub url: Option<String>,
    /// The forge's id of it.
    pub forge_id: Option<u64>,
    /// When a delivery was verified last; noted once a minute.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub verified_at: Option<Timestamp>,
    /// When one was not let in last.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub refused_at: Option<Timestamp>,
    /// How many were not let in so far.
    pub refused: u64,
    /// Until when the value that its secret had before counts, too.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub old_secret_until: Option<Timestamp>,
}

/// `GET /v1/hooks?after=CURSOR`: by name, without those of other projects.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPage {
    /// At most 50; a page may be empty and not the last.
    pub hooks: Vec<Hook>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// `POST /v1/hooks/{name}/verify` and `…/repair`: the hook as it is, and in which ways it is not what it should be.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCheck {
    /// The hook.
    pub hook: Hook,
    /// None: it is what it should be.
    pub drifts: Vec<Drift>,
}

/// One way in which a hook is not what it should be.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// For programs: `missing`, `url`, `disabled`, `events`, `no_secret`, `secret`, `content_type`, `insecure_ssl`,
    /// `failing`, `deliveries`, `unreadable`; of an App's hook also `permissions` and `silent`. Bitbucket has no
    /// `failing` and no `deliveries`.
    pub code: String,
    /// In words.
    pub sentence: String,
    /// Repairing mends it.
    pub repairable: bool,
}

/// `POST /v1/hooks/{name}/recover`: asks the forge now what the hook missed, for each repository that it tells of.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecoverHook {
    /// Looks at everything again that was submitted since then. If absent, only at what is new since the last look.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub since: Option<Timestamp>,
}

/// What a look found.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Repositories that were looked at.
    pub repositories: usize,
    /// Further repositories, which are looked at within minutes.
    pub waiting: usize,
    /// Pull requests that were compared with the forge.
    pub pull_requests: usize,
    /// Reviews and comments that no webhook had told.
    pub reviews: usize,
    /// Why something could not be compared.
    pub problems: Vec<String>,
}

/// `DELETE /v1/hooks/{name}`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedHook {
    /// Which.
    pub name: HookName,
}

/// `PUT /v1/projects/{project}/ingress`: how what happens in a repository is heard of.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetIngress {
    /// Which repository.
    pub repository: RepositoryName,
    /// How.
    pub ingress: Ingress,
}

/// How what happens in a repository is heard of.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryIngress {
    /// Which repository.
    pub repository: RepositoryName,
    /// How.
    pub ingress: Ingress,
    /// Until when everything was seen by looking.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub seen_until: Option<Timestamp>,
    /// When its forge said that it is gone.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub gone_at: Option<Timestamp>,
    /// Why it could not be looked at the last time.
    pub problem: Option<String>,
}

/// `GET /v1/projects/{project}/ingress`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingresses {
    /// By forge.
    pub repositories: Vec<RepositoryIngress>,
}
