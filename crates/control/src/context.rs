//! Everything a use case needs to reach the world.

use crate::{Clock, Error, Keys};
use pullyard_cloud::{Secrets, Tasks, Wakeup, Wakeups};
use pullyard_domain::id::{JobId, ProjectId, TicketKey};
use pullyard_store::Store;
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

/// How often a decision whose facts were stale is made again.
const ROUNDS: u32 = 5;

/// The table, the services, the time.
#[derive(Clone, Debug)]
pub struct Context(Arc<Parts>);

/// What a context is made of.
#[derive(Debug)]
pub struct Parts {
    /// The table.
    pub store: Store,
    /// The queues.
    pub wakeups: Wakeups,
    /// ECS.
    pub tasks: Tasks,
    /// Secrets Manager.
    pub secrets: Secrets,
    /// The time.
    pub clock: Clock,
    /// The name of the secret that tokens of attempts are signed with.
    pub key_secret: String,
    /// Where runners reach the API.
    pub api_url: String,
    /// What tasks are told about their isolation: a container of their own, or none.
    pub task_isolation: String,
}

impl std::ops::Deref for Context {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What one round of deciding and writing led to.
pub(crate) enum Round<T> {
    /// It stands.
    Done(T),
    /// The facts were stale: read and decide again.
    Again,
}

impl Context {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The keys that tokens of attempts are signed with.
    pub async fn keys(&self) -> Result<Keys, Error> {
        let secret = self.secrets.get(&self.key_secret).await?;
        Keys::new(&secret)
    }

    /// Says that a job may need a task. A hint: when it is lost, the sweeper says it again.
    pub(crate) async fn wake_job(&self, job: &JobId) {
        if let Err(error) = self.wakeups.send(&Wakeup::Job { job: job.clone() }).await {
            tracing::warn!(job.id = %job, error = %error, "the wake-up of a job was not sent; the sweeper will");
        }
    }

    /// Says that a ticket may need settling. A hint: when it is lost, the sweeper says it again.
    pub(crate) async fn wake_ticket(&self, project: &ProjectId, ticket: &TicketKey) {
        let wakeup = Wakeup::Ticket {
            project: project.clone(),
            ticket: ticket.clone(),
        };
        if let Err(error) = self.wakeups.send(&wakeup).await {
            tracing::warn!(project = %project, ticket = %ticket, error = %error, "the wake-up of a ticket was not sent; the sweeper will");
        }
    }

    /// Decides and writes until the facts hold, a few times, backing off with jitter.
    ///
    /// Errors: `Contended` when they never do; nothing is stored then.
    pub(crate) async fn rounds<T>(
        &self,
        subject: &str,
        mut round: impl AsyncFnMut() -> Result<Round<T>, Error>,
    ) -> Result<T, Error> {
        for tried in 1..=ROUNDS {
            if let Round::Done(done) = round().await? {
                return Ok(done);
            }
            let most = 10u64 << tried;
            let pause = rand::rng().random_range(most / 4..=most);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Err(Error::Contended {
            subject: subject.to_owned(),
        })
    }
}
