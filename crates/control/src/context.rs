//! Everything a use case needs to reach the world.

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

/// How often a decision whose facts were stale is made again.
const ROUNDS: u32 = 5;

/// The table, the services, the time.
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
    /// The name of the secret that tokens of attempts are signed with.
    pub key_secret: String,
    /// What the names of this deployment's secrets begin with; those of people go on with their kind's folder, and
    /// nothing else does.
    pub secret_root: String,
    pub api_url: String,
    /// What tasks are told about their isolation: a container of their own, or none.
    pub task_isolation: String,
    /// The deployment that metrics are of; without one none are written.
    pub deployment: Option<String>,
}

/// What became of a hint. Most callers need not know: the sweeper gives a lost one again.
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

    /// The whole name of a secret that people named so.
    pub(crate) fn secret_name(&self, kind: SecretKind, name: &SecretName) -> String {
        format!("{}{}{name}", self.secret_root, kind.folder())
    }

    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// What forges said lately of who may write where.
    pub(crate) fn permissions(&self) -> &Permissions {
        &self.0.permissions
    }

    /// What this process noted lately of deliveries that were not let in.
    pub(crate) fn strangers(&self) -> &Strangers {
        &self.0.strangers
    }

    /// The connections to forges of this process.
    pub(crate) fn connections(&self) -> &Connections {
        &self.0.parts.forges
    }

    /// The keys that tokens of attempts are signed with.
    pub async fn keys(&self) -> Result<Keys, Error> {
        let secret = self.secrets.get(&self.key_secret).await?;
        Keys::new(&secret)
    }

    /// Says that a job may need a task, or left one. A hint: when it is lost, the sweeper starts what waits, and a
    /// task that was left loses its claim or its lease at its next call.
    pub(crate) async fn wake_job(&self, job: &JobId) {
        let wakeup = JobWakeup { job: job.clone() };
        if let Err(error) = self.hint(self.wakeups.wake_job(&wakeup)).await {
            self.tally().add(Count::WakeupLost);
            tracing::warn!(job.id = %job, error = %error, "the wake-up of a job was not sent; the sweeper starts what waits, and a task that was left is refused");
        }
    }

    /// Says that a ticket may need settling. A hint: when it is lost, the sweeper says it again.
    pub(crate) async fn wake_ticket(&self, project: &ProjectId, ticket: &TicketKey) -> Hint {
        let wakeup = TicketWakeup { project: project.clone(), ticket: ticket.clone() };
        match self.hint(self.wakeups.wake_ticket(&wakeup)).await {
            Ok(()) => Hint::Sent,
            Err(error) => {
                self.tally().add(Count::WakeupLost);
                tracing::warn!(project = %project, ticket = %ticket, error = %error, "the wake-up of a ticket was not sent; the sweeper will");
                Hint::Lost
            }
        }
    }

    /// Says that a job's review may be read from its forge. A hint, as above.
    pub(crate) async fn admit_job(&self, job: &JobId) {
        let wakeup = JobWakeup { job: job.clone() };
        if let Err(error) = self.hint(self.wakeups.admit_job(&wakeup)).await {
            self.tally().add(Count::WakeupLost);
            tracing::warn!(job.id = %job, error = %error, "the admission of a job was not sent; the sweeper will");
        }
    }

    /// Says that what people read on a pull request may have to be written. A hint, as above.
    pub(crate) async fn wake_pull_request(&self, id: &PullRequestId) {
        let wakeup = PullRequestWakeup { pull_request: id.clone() };
        if let Err(error) = self.hint(self.wakeups.wake_pull_request(&wakeup)).await {
            self.tally().add(Count::WakeupLost);
            tracing::warn!(pull_request = %id, error = %error, "the wake-up of a pull request was not sent; the sweeper will");
        }
    }

    /// The rounds of deciding and writing about `subject`, until the facts hold.
    pub(crate) fn rounds(&self, subject: impl std::fmt::Display) -> Rounds {
        Rounds { subject: subject.to_string(), clock: self.clock.clone(), tried: 0 }
    }
}

/// Counts how often a decision was made again because its facts were stale.
pub(crate) struct Rounds {
    subject: String,
    clock: Clock,
    tried: u32,
}

impl Rounds {
    /// Backs off, with jitter, before the facts are read again.
    ///
    /// Errors: `Contended` after too many rounds. The write that was to end them is not made then; what stands before it
    /// may be: a ticket's text, a frozen context, a class, an entry of the ledger that is not final. None of it leads to
    /// anything by itself, and the same call again finds it or writes over it.
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
