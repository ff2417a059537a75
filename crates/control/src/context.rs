//! The context of every use case: store, services, clock.

use crate::caches::{MachineQueue, PermissionCache, RejectedDeliveries, ToolClients};
use crate::counters::Counters;
use crate::{Clock, Disk, Error, ForgeTokens, SigningKey};
use pullyard_cloud::{DeadLetters, Objects, Secrets, Tasks, Wakeups};
use pullyard_domain::agent::runner::Runner;
use pullyard_domain::job::Job;
use pullyard_domain::kinds::prompt;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::project::template::{Template, TemplateId};
use pullyard_domain::project::tracker::Tracker;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::text::id::{HookName, IntegrationId, JobId, ProjectId, RunnerId, SecretName, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_forge::Connections;
use pullyard_outbound as outbound;
use pullyard_store::Store;
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

const MAX_RETRIES: u32 = 5;

#[derive(Clone, Debug)]
pub struct Context(Arc<ContextInner>);

#[derive(Debug)]
struct ContextInner {
    parts: ContextParts,
    permissions: PermissionCache,
    rejected_deliveries: RejectedDeliveries,
    tool_clients: ToolClients,
    counters: Counters,
    machine_queue: MachineQueue,
}

#[derive(Debug)]
pub struct ContextParts {
    pub store: Store,
    pub wakeups: Wakeups,
    pub dead_letters: DeadLetters,
    pub tasks: Tasks,
    pub secrets: Secrets,
    pub objects: Objects,
    pub forges: Connections,
    pub forge_tokens: ForgeTokens,
    pub outbound: outbound::Client,
    pub clock: Clock,
    pub key_secret: String,
    /// Prefix of this deployment's secret names. In names of users' secrets, the folder of their kind follows.
    pub secret_root: String,
    pub api_url: String,
    pub public_url: Option<String>,
    pub task_isolation: String,
    /// Whether one process serves everything, as `pullyard up` does. Its tasks are processes of the same machine.
    pub on_one_machine: bool,
    pub disk: Disk,
    /// The deployment named in metrics. Without it no metrics are written.
    pub deployment: Option<String>,
}

impl std::ops::Deref for Context {
    type Target = ContextParts;
    fn deref(&self) -> &ContextParts {
        &self.0.parts
    }
}

impl Context {
    pub fn new(parts: ContextParts) -> Self {
        Self(Arc::new(ContextInner {
            parts,
            permissions: PermissionCache::default(),
            rejected_deliveries: RejectedDeliveries::default(),
            tool_clients: ToolClients::default(),
            counters: Counters::default(),
            machine_queue: MachineQueue::default(),
        }))
    }

    /// The address for users, without a slash at the end.
    pub fn pages_url(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.api_url).trim_end_matches('/')
    }

    /// `None` if readers at the forge do not reach this machine.
    pub fn pages_url_for(&self, integration: &Integration) -> Option<&str> {
        let is_reachable = |url: &&str| url.starts_with("https://") || integration.api_url.starts_with("http://");
        Some(self.pages_url()).filter(is_reachable)
    }

    pub(crate) fn secret_name(&self, kind: SecretKind, name: &SecretName) -> String {
        format!("{}{}{name}", self.secret_root, kind.path_prefix())
    }

    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn machine_queue(&self) -> &MachineQueue {
        &self.0.machine_queue
    }

    pub(crate) fn permissions(&self) -> &PermissionCache {
        &self.0.permissions
    }

    pub(crate) fn rejected_deliveries(&self) -> &RejectedDeliveries {
        &self.0.rejected_deliveries
    }

    pub(crate) fn tool_clients(&self) -> &ToolClients {
        &self.0.tool_clients
    }

    pub async fn load_signing_key(&self) -> Result<SigningKey, Error> {
        let secret = self.secrets.get(&self.key_secret).await?;
        SigningKey::new(&secret)
    }

    pub(crate) async fn load_project(&self, id: &ProjectId) -> Result<Project, Error> {
        self.store.load_project(id).await?.ok_or_else(|| Error::not_found("project", id))
    }

    pub(crate) async fn load_integration(&self, id: &IntegrationId) -> Result<Integration, Error> {
        self.store.load_integration(id).await?.ok_or_else(|| Error::not_found("integration", id))
    }

    pub(crate) async fn load_tracker(&self, id: &IntegrationId) -> Result<Tracker, Error> {
        self.store.load_tracker(id).await?.ok_or_else(|| Error::not_found("ticket tool", id))
    }

    pub(crate) async fn load_template(&self, id: &TemplateId) -> Result<Template, Error> {
        self.store.load_template(id).await?.ok_or_else(|| Error::not_found("template", &id.name))
    }

    pub(crate) async fn load_hook(&self, name: &HookName) -> Result<Webhook, Error> {
        self.store.load_hook(name).await?.ok_or_else(|| Error::not_found("hook", name))
    }

    pub(crate) async fn load_ticket(&self, project: &ProjectId, key: &TicketKey) -> Result<Ticket, Error> {
        self.store.load_ticket(project, key).await?.ok_or_else(|| Error::not_found("ticket", key))
    }

    pub(crate) async fn load_job(&self, id: &JobId) -> Result<Job, Error> {
        self.store.load_job(id).await?.ok_or_else(|| Error::not_found("job", id))
    }

    /// Errors: `Inconsistent` for a job without a frozen context.
    pub(crate) async fn load_context_of(&self, job: &Job) -> Result<prompt::Context, Error> {
        let context = self.store.load_context(&job.id, &job.context).await?;
        context.ok_or_else(|| Error::Inconsistent(format!("{} has no context", job.id)))
    }

    /// If the repository was removed while the job was created, returns the job's frozen copy.
    pub(crate) async fn load_repository_of(&self, job: &Job) -> Result<Option<Repository>, Error> {
        match self.store.load_repository(&job.project, &job.integration, job.repository).await? {
            Some(repository) => Ok(Some(repository)),
            None => Ok(self.store.load_context(&job.id, &job.context).await?.map(|context| context.repository)),
        }
    }

    pub(crate) async fn load_runner(&self, id: &RunnerId) -> Result<Runner, Error> {
        self.store.load_runner(id).await?.ok_or_else(|| Error::not_found("runner", id))
    }

    pub(crate) fn retries(&self, subject: impl std::fmt::Display) -> Retries {
        Retries { subject: subject.to_string(), clock: self.clock.clone(), attempts: 0, max: MAX_RETRIES }
    }
}

/// Counts and delays the retries of a decision whose facts were stale.
pub(crate) struct Retries {
    subject: String,
    clock: Clock,
    attempts: u32,
    max: u32,
}

impl Retries {
    /// Allows more rounds, for an item that many calls change at the same time.
    pub(crate) fn up_to(self, max: u32) -> Self {
        Self { max, ..self }
    }

    /// Backs off with jitter before the facts are read again.
    /// Errors: `Contended` after too many rounds. The final write was not made. Earlier writes, such as a ticket's
    /// text, a frozen context, a class or a non-final ledger entry, are harmless: a repeated call replaces them.
    pub(crate) async fn backoff(&mut self) -> Result<(), Error> {
        self.attempts += 1;
        if self.attempts >= self.max {
            return Err(Error::Contended { subject: self.subject.clone() });
        }
        let limit = 10u64 << self.attempts.min(MAX_RETRIES);
        let pause = rand::rng().random_range(limit / 4..=limit);
        self.clock.pause(Duration::from_millis(pause)).await;
        Ok(())
    }
}
