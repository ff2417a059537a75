//! Webhooks at forges, and polling of connected repositories for events that no webhook delivered.

mod ingress;
pub mod poll_progress;

use crate::project::Repository;
use crate::project::forge::ForgeKind;
use crate::text::decision::Reason;
use crate::text::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName, TemplateName};
use crate::text::time::Timestamp;
pub use ingress::Ingress;
use poll_progress::PollProgress;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub fn secret_fault(kind: ForgeKind, name: &SecretName, value: &str) -> Option<String> {
    let limit = kind.spec().hook.max_secret_chars;
    (value.chars().count() > limit).then(|| {
        format!(
            "the value of the secret {name} is longer than the {limit} characters that {} takes; set a shorter one with \
             `pullyard secrets rotate {name}`",
            kind.label()
        )
    })
}

/// Why this kind of forge has no webhooks of Apps, with an alternative; `None` if it has.
pub fn app_webhook_refusal(kind: ForgeKind, integration: &IntegrationId) -> Option<String> {
    (!kind.spec().hook.has_apps).then(|| {
        format!(
            "{integration} is on {}, which has no Apps; install the webhook of a repository (--repo) or of a workspace \
             (--org)",
            kind.label()
        )
    })
}

/// How often a repository with a webhook is polled.
pub const RECOVERY_INTERVAL: Duration = Duration::from_secs(300);

/// Minimum interval between two records of a webhook's deliveries or refusals.
pub const RECORD_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub name: HookName,
    pub integration: IntegrationId,
    pub forge: ForgeKind,
    /// Project for events of repositories that no served project connects.
    pub home: ProjectId,
    pub kind: WebhookScope,
    pub secret: SecretName,
    /// Pullyard's base URL as registered at the forge; `None` for a webhook that a user created.
    pub base_url: Option<String>,
    pub forge_id: Option<u64>,
    /// The template of the home project that its deliveries start. `None`: they are reviews and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateName>,
    pub created: Timestamp,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "HookKind")]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum WebhookScope {
    Repository {
        /// Its name when the webhook was created.
        name: RepositoryName,
        /// The forge's id of the repository.
        id: u64,
    },
    /// All repositories of an organization or workspace.
    Organisation {
        /// Its name at the forge.
        login: String,
    },
    /// All installations of an App, accessed with the integration's own credential.
    App {},
}

impl WebhookScope {
    pub fn label(&self) -> String {
        match self {
            Self::Repository { name, .. } => name.to_string(),
            Self::Organisation { login } => format!("all of {login}"),
            Self::App {} => "the App".into(),
        }
    }
}

impl Webhook {
    /// Whether it serves all projects that connect an event's repository, and not only its home.
    pub fn is_shared(&self) -> bool {
        !matches!(self.kind, WebhookScope::Repository { .. })
    }

    pub fn serves(&self, project: &ProjectId) -> bool {
        self.is_shared() || self.home == *project
    }

    /// Whether its deliveries may concern this repository. A repository's administrator knows the secret of its webhook
    /// and must not act for another repository.
    pub fn is_for_repository(&self, repository: u64) -> bool {
        match &self.kind {
            WebhookScope::Repository { id, .. } => *id == repository,
            WebhookScope::Organisation { .. } | WebhookScope::App {} => true,
        }
    }

    pub fn path(&self) -> String {
        format!("/webhooks/{}/{}", self.forge.as_str(), self.name)
    }

    pub fn url(&self) -> Option<String> {
        let base = self.base_url.as_ref()?;
        Some(format!("{}{}", base.trim_end_matches('/'), self.path()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    pub project: ProjectId,
    pub integration: IntegrationId,
    pub repository: u64,
    pub ingress: Ingress,
    pub gone_at: Option<Timestamp>,
    pub next: Timestamp,
    pub look: PollProgress,
    pub tries: u32,
    pub not_before: Option<Timestamp>,
    pub rev: u64,
}

impl Poll {
    pub fn new(repository: &Repository, now: Timestamp) -> Self {
        Self {
            repository: repository.id,
            ingress: Ingress::Webhook,
            next: now.plus(RECOVERY_INTERVAL),
            ..Self::of_tool(repository.project.clone(), repository.integration.clone(), now)
        }
    }

    /// The poll of a project's ticket tool, under the connection's name and the repository 0.
    pub fn of_tool(project: ProjectId, integration: IntegrationId, now: Timestamp) -> Self {
        Self {
            project,
            integration,
            repository: 0,
            ingress: Ingress::Both,
            gone_at: None,
            next: now,
            look: PollProgress::starting_at(now),
            tries: 0,
            not_before: None,
            rev: 0,
        }
    }

    /// Records a report at `since` that the repository is gone; `None` if a later report is stored. The latest report
    /// counts, so that an older answer of the forge cannot clear it.
    pub fn mark_gone(self, since: Timestamp) -> Option<Self> {
        self.gone_at.is_none_or(|gone_at| gone_at < since).then_some(Self { gone_at: Some(since), ..self })
    }

    /// Records that the forge, polled at `requested_at`, showed the repository. `None`: not gone, or reported later.
    pub fn mark_present(self, requested_at: Timestamp, now: Timestamp) -> Option<Self> {
        let gone_at = self.gone_at?;
        (gone_at <= requested_at).then_some(Self { gone_at: None, next: now, ..self })
    }
}

/// Whether a polled review needs no further decision. A user repeats a fixable refusal by sending the review again.
pub fn is_decided(first: Option<&Reason>) -> bool {
    !matches!(first, None | Some(Reason::PermissionUnknown { .. } | Reason::Contended { .. }))
}

/// The same for a linked pull request. Its `no_linked_ticket` is decided again: a reviewer may precede the link.
pub fn is_decided_for_linked(first: Option<&Reason>) -> bool {
    is_decided(first) && !matches!(first, Some(Reason::NoLinkedTicket { .. }))
}

/// How long a review or comment is retried while the forge does not return its author's permission.
pub const RETRY_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Whether a review of this age must be decided again. The limit lets a comparison complete in the end.
pub fn should_retry_permission(answer: &Reason, age: Duration) -> bool {
    matches!(answer, Reason::PermissionUnknown { .. }) && age < RETRY_LIMIT
}

#[cfg(test)]
mod tests;
