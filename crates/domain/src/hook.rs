//! Our webhooks at forges, and how connected repositories are polled for what no webhook told.

pub mod look;

use crate::decision::Reason;
use crate::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName};
use crate::project::{ForgeKind, Repository};
use crate::time::Timestamp;
use look::Look;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a hook of ours at this kind of forge is told, and nothing else.
pub fn events(kind: ForgeKind) -> &'static [&'static str] {
    match kind {
        ForgeKind::GitHub => &["issue_comment", "pull_request", "pull_request_review", "repository"],
        ForgeKind::Bitbucket => &[
            "pullrequest:changes_request_created",
            "pullrequest:changes_request_removed",
            "pullrequest:comment_created",
            "pullrequest:fulfilled",
            "pullrequest:push",
            "pullrequest:rejected",
            "repo:deleted",
            "repo:transfer",
            "repo:updated",
        ],
    }
}

/// The longest secret that a hook at this kind of forge has; none where everything that we store fits. Units:
/// characters.
pub fn longest_secret(kind: ForgeKind) -> Option<usize> {
    match kind {
        ForgeKind::GitHub => None,
        ForgeKind::Bitbucket => Some(128),
    }
}

/// Why a hook at this kind of forge can't have this value as its secret, which people call `name`; none where it can.
/// Has nothing of the value.
pub fn unfit_secret(kind: ForgeKind, name: &SecretName, value: &str) -> Option<String> {
    let most = longest_secret(kind)?;
    (value.chars().count() > most).then(|| {
        format!(
            "the value of the secret {name} is longer than the {most} characters that {} takes; set a shorter one with \
             `pullyard secrets rotate {name}`",
            kind.words()
        )
    })
}

/// Why nothing at this kind of forge is the hook of an App, with what works instead; none where Apps have hooks.
/// `integration` is connected with it.
pub fn no_apps(kind: ForgeKind, integration: &IntegrationId) -> Option<String> {
    match kind {
        ForgeKind::GitHub => None,
        ForgeKind::Bitbucket => Some(format!(
            "{integration} is on Bitbucket, which has no Apps; install the webhook of a repository (--repo) or of a \
             workspace (--org)"
        )),
    }
}

/// How often a repository is polled whose webhook tells what happens.
pub const RECOVER_EVERY: Duration = Duration::from_secs(300);

/// How often a repository without a webhook is polled, where its forge allows that.
pub const POLL_EVERY: Duration = Duration::from_secs(60);

/// About how many pull requests one round of looks compares at most at this kind of forge. One is two calls of GitHub's
/// API: itself and its reviews. Of Bitbucket's it is four: itself, its commit, who asks for changes, and since when.
pub fn most_compared(kind: ForgeKind) -> u16 {
    match kind {
        ForgeKind::GitHub => 20,
        ForgeKind::Bitbucket => 10,
    }
}

/// How often at most it is noted that a hook's deliveries come, and how many were not let in.
pub const NOTED_EVERY: Duration = Duration::from_secs(60);

/// One of our webhook addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The last part of its address.
    pub name: HookName,
    /// The forge that calls it.
    pub integration: IntegrationId,
    /// What kind of forge that is: each has its own address, headers and bodies.
    #[serde(default = "github", skip_serializing_if = "ForgeKind::is_github")]
    pub forge: ForgeKind,
    /// The project that is told of what belongs to none.
    pub home: ProjectId,
    /// Further projects it serves.
    pub others: Vec<ProjectId>,
    /// What it is of.
    pub kind: HookKind,
    /// The name that people gave its secret.
    pub secret: SecretName,
    /// Our address without the hook's own part, as the forge was told it; none for one that was made by hand.
    pub base_url: Option<String>,
    /// The forge's id of it, once it is known.
    pub forge_id: Option<u64>,
    /// When it was made.
    pub created: Timestamp,
    /// Raised by every write.
    pub rev: u64,
}

/// Of hooks that were stored before there was another kind.
fn github() -> ForgeKind {
    ForgeKind::GitHub
}

/// What a hook is of.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum HookKind {
    /// One repository.
    Repository {
        /// As it was named when the hook was made.
        name: RepositoryName,
        /// The forge's id of it.
        id: u64,
    },
    /// All repositories of an organisation, or of a workspace on Bitbucket.
    Organisation {
        /// Its name.
        login: String,
    },
    /// All installations of an App; the integration's own credential speaks for it.
    App {},
}

impl HookKind {
    /// As people read it.
    pub fn words(&self) -> String {
        match self {
            Self::Repository { name, .. } => name.to_string(),
            Self::Organisation { login } => format!("all of {login}"),
            Self::App {} => "the App".into(),
        }
    }
}

impl Hook {
    /// Every project it serves, its home first.
    pub fn projects(&self) -> impl Iterator<Item = &ProjectId> {
        std::iter::once(&self.home).chain(&self.others)
    }

    /// It may tell of this repository. Who administers one repository knows its hook's secret, and must not
    /// speak for another one by it.
    pub fn may_tell_of(&self, repository: u64) -> bool {
        match &self.kind {
            HookKind::Repository { id, .. } => *id == repository,
            HookKind::Organisation { .. } | HookKind::App {} => true,
        }
    }

    /// Its path at our address.
    pub fn path(&self) -> String {
        format!("/webhooks/{}/{}", self.forge.code(), self.name)
    }

    /// Where the forge should call it; none while our address is not known.
    pub fn url(&self) -> Option<String> {
        let base = self.base_url.as_ref()?;
        Some(format!("{}{}", base.trim_end_matches('/'), self.path()))
    }
}

/// How what happens in a repository is heard of.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ingress {
    /// The forge calls a hook; it is asked every five minutes what the hook missed.
    #[default]
    Webhook,
    /// The forge is asked every minute: for who has no public address.
    Poll,
    /// Both: whichever is sooner.
    Both,
}

/// How a connected repository is polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// Whose.
    pub project: ProjectId,
    /// At which forge.
    pub integration: IntegrationId,
    /// The forge's id of it.
    pub repository: u64,
    /// How it is heard of.
    pub ingress: Ingress,
    /// When its forge last said that it was deleted, or we may not see it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// When it is looked at next.
    pub next: Timestamp,
    /// How far the last looks got.
    #[serde(default)]
    pub look: Look,
    /// Failed looks since the last success.
    #[serde(default)]
    pub tries: u32,
    /// It is not to be looked at before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Raised by every write.
    pub rev: u64,
}

impl Poll {
    /// Of a repository that is connected now.
    pub fn new(repository: &Repository, now: Timestamp) -> Self {
        Self {
            project: repository.project.clone(),
            integration: repository.integration.clone(),
            repository: repository.id,
            ingress: Ingress::Webhook,
            gone_at: None,
            next: now.plus(RECOVER_EVERY),
            look: Look::from(now),
            tries: 0,
            not_before: None,
            rev: 0,
        }
    }

    /// How it is once it was told at `since` that it is gone; none where that was noted then or later. What was noted
    /// before is told anew: an answer of its forge that is older than this must not take it back.
    pub fn gone(self, since: Timestamp) -> Option<Self> {
        self.gone_at.is_none_or(|noted| noted < since).then_some(Self { gone_at: Some(since), ..self })
    }

    /// How it is looked at once its forge, which was asked at `asked`, said that it is there; none where that is
    /// nothing new, or where it was noted later that it is gone: that is newer than the answer.
    pub fn back(self, asked: Timestamp, now: Timestamp) -> Option<Self> {
        let noted = self.gone_at?;
        (noted <= asked).then_some(Self { gone_at: None, next: now, ..self })
    }
}

/// Whether a review that is found by looking has been answered already. Only what could not be decided then
/// is decided again: what a person may repair is theirs to send again.
pub fn is_answered(first: Option<&Reason>) -> bool {
    !matches!(first, None | Some(Reason::PermissionUnknown { .. } | Reason::Contended { .. }))
}

/// The same of a review whose pull request is linked to a ticket: that it was not is no answer any more. A job that
/// opens one links it when it ends, and a quick reviewer may be sooner.
pub fn is_answered_when_linked(first: Option<&Reason>) -> bool {
    is_answered(first) && !matches!(first, Some(Reason::NoLinkedTicket { .. }))
}

/// How long a review is looked at anew whose author its forge does not vouch for.
const UNDECIDED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Whether a review that was submitted so long ago, and was looked at now, has to be looked at again. Where a forge
/// never says whose it is, that ends after a day: no look would be whole again.
pub fn is_undecided(answer: &Reason, age: Duration) -> bool {
    matches!(answer, Reason::PermissionUnknown { .. }) && age < UNDECIDED_FOR
}

#[cfg(test)]
mod tests;
