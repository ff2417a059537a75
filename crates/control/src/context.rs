//! The context of every use case: store, services, clock.

use crate::review::Permissions;
use crate::tally::{Count, Tally};
use crate::webhook::Strangers;
use crate::{Clock, Error, ForgeTokens, Keys};
use pullyard_cloud::{DeadLetters, Objects, Secrets, Tasks, Wakeups};
use pullyard_domain::id::{JobId, ProjectId, SecretName, TicketKey};
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::secret::SecretKind;
use pullyard_domain::wakeup::{JobWakeup, PullRequestWakeup, TicketWakeup};
use pullyard_forge::Connections;
use pullyard_store::Store;
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: u32 = 5;

#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    permissions: Permissions,
    strangers: Strangers,
    tally: Tally,
}

#[derive(Debug)]
pub struct Parts {
    pub store: Store,
    pub wakeups: Wakeups,
    pub dead_letters: DeadLetters,
    pub tasks: Tasks,
    pub secrets: Secrets,
    pub objects: Objects,
    pub forges: Connections,
    pub forge_tokens: ForgeTokens,
    pub clock: Clock,
    pub key_secret: String,
    /// Prefix of this deployment's secret names. In names of users' secrets, the folder of their kind follows.
    pub secret_root: String,
    pub api_url: String,
    pub task_isolation: String,
    /// The deployment named in metrics. Without it no metrics are written.
    pub deployment: Option<String>,
}

/// Result of sending a hint. Most callers ignore it, because the sweeper repeats lost hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Sent,
    Lost,
}

impl std::ops::Deref for Context {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl Context {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            permissions: Permissions::default(),
            strangers: Strangers::default(),
            tally: Tally::default(),
        }))
    }

    pub(crate) fn secret_name(&self, kind: SecretKind, name: &SecretName) -> String {
        format!("{}{}{name}", self.secret_root, kind.path_prefix())
    }

    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    pub(crate) fn permissions(&self) -> &Permissions {
        &self.0.permissions
    }

    pub(crate) fn strangers(&self) -> &Strangers {
        &self.0.strangers
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.parts.forges
    }

    pub async fn keys(&self) -> Result<Keys, Error> {
        let secret = self.secrets.get(&self.key_secret).await?;
        Keys::new(&secret)
    }

    /// Sends a hint to start a job's task, or to stop the tasks of a cancelled job.
    pub(crate) async fn wake_job(&self, job: &JobId) {
        let wakeup = JobWakeup { job: job.clone() };
        if let Err(error) = self.hint(self.wakeups.wake_job(&wakeup)).await {
            self.tally().add(Count::WakeupLost);
            tracing::warn!(job.id = %job, error = %error, "job wake-up not sent; the sweeper will start the job");
        }
    }

    pub(crate) async fn wake_ticket(&self, project: &ProjectId, ticket: &TicketKey) -> Hint {
        let wakeup = TicketWakeup { project: project.clone(), ticket: ticket.clone() };
        match self.hint(self.wakeups.wake_ticket(&wakeup)).await {
            Ok(()) => Hint::Sent,
            Err(error) => {
                self.tally().add(Count::WakeupLost);
                tracing::warn!(project = %project, ticket = %ticket, error = %error, "ticket wake-up not sent; the sweeper will settle the ticket");
                Hint::Lost
            }
        }
    }

    pub(crate) async fn admit_job(&self, job: &JobId) {
        let wakeup = JobWakeup { job: job.clone() };
        if let Err(error) = self.hint(self.wakeups.admit_job(&wakeup)).await {
            self.tally().add(Count::WakeupLost);
            tracing::warn!(job.id = %job, error = %error, "job admission not sent; the sweeper will send it");
        }
    }

    pub(crate) async fn wake_pull_request(&self, id: &PullRequestId) {
        let wakeup = PullRequestWakeup { pull_request: id.clone() };
        if let Err(error) = self.hint(self.wakeups.wake_pull_request(&wakeup)).await {
            self.tally().add(Count::WakeupLost);
            tracing::warn!(pull_request = %id, error = %error, "pull request wake-up not sent; the sweeper will send it");
        }
    }

    pub(crate) fn rounds(&self, subject: impl std::fmt::Display) -> Rounds {
        Rounds { subject: subject.to_string(), clock: self.clock.clone(), tried: 0 }
    }
}

/// Counts and delays the retries of a decision whose facts were stale.
pub(crate) struct Rounds {
    subject: String,
    clock: Clock,
    tried: u32,
}

impl Rounds {
    /// Backs off with jitter before the facts are read again.
    /// Errors: `Contended` after too many rounds. The final write was not made. Earlier writes, such as a ticket's
    /// text, a frozen context, a class or a non-final ledger entry, are harmless: a repeated call replaces them.
    pub(crate) async fn again(&mut self) -> Result<(), Error> {
        self.tried += 1;
        if self.tried >= ROUNDS {
            return Err(Error::Contended { subject: self.subject.clone() });
        }
        let most = 10u64 << self.tried;
        let pause = rand::rng().random_range(most / 4..=most);
        self.clock.pause(Duration::from_millis(pause)).await;
        Ok(())
    }
}
