//! The state of an attempt that its phases share: calls to the control plane, and limits.

use crate::agent::environment::Environment;
use crate::agent::given::Given as Secrets;
use crate::agent::tally::Tally;
use crate::api::reporter::Events;
use crate::api::retry::{BackOff, Refusal, refusal};
use crate::api::said::Said;
use crate::artifacts::Artifacts;
use crate::checkpoint::working::Working;
use crate::git::password_of;
use crate::git::workspace::Workspace;
use crate::inputs::orders::{Order, Orders};
use crate::inputs::people::given::Given;
use crate::left;
use crate::secrets::minted::Minted;
use crate::secrets::redact::{Redactor, is_name_of_file_of_secrets};
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::job::AgentReport;
use pullyard_domain::prompt::untrusted;
use pullyard_domain::text::Span;
use pullyard_protocol::attempt::{
    Assignment, CheckpointAnswer, Credentials, Input, Phase, StatusAnswer, StatusRequest, YieldAnswer, YieldRequest,
};
use pullyard_protocol::client::{AttemptClient, Error};
use pullyard_protocol::event::EventKind;
use std::ffi::OsString;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long the last events may delay the end of an attempt.
pub(crate) const LAST_EVENTS_LIMIT: Duration = Duration::from_secs(15);
/// How long artifacts may delay a yield.
const REST_ARTIFACTS_LIMIT: Duration = Duration::from_secs(120);

/// Token files of signed-in agents, below their home.
const SIGNED_IN: [&str; 2] = ["codex/auth.json", "claude/.credentials.json"];
const LEARN_EVERY: Duration = Duration::from_secs(1);
/// Larger files are no token files. Units: bytes.
const LARGEST_SIGNED_IN: u64 = 256 * 1024;

pub(crate) struct Attempt<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) client: &'a AttemptClient,
    pub(crate) events: &'a Events,
    pub(crate) orders: &'a Orders,
    pub(crate) given: &'a Given,
    pub(crate) until: Instant,
    pub(crate) artifacts: &'a Artifacts,
    /// Tokens of this attempt, revoked at its end.
    pub(crate) minted: Minted,
    /// Removes secrets from everything that leaves this machine.
    pub(crate) redactor: Redactor,
    pub(crate) tally: Tally,
    pub(crate) working: Working,
}

impl Attempt<'_> {
    /// Runs a step that any order and the time limit interrupt.
    pub(crate) async fn bounded<T>(&self, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            order = self.orders.any() => Err(Stop::Ordered(order)),
            () = sleep_until(self.until) => {
                let limit = Span(self.assignment.limits.wall_secs);
                Err(Failure::TimeLimit { limit }.into())
            }
            done = step => done,
        }
    }

    /// Runs a step that a pause must not interrupt, because its outcome would be unknown.
    pub(crate) async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            order = self.orders.at_least(Order::Cancel) => Err(Stop::Ordered(order)),
            () = sleep_until(self.until) => {
                let limit = Span(self.assignment.limits.wall_secs);
                Err(Failure::TimeLimit { limit }.into())
            }
            done = step => done,
        }
    }

    /// Runs a step after the push was granted. A cancel comes too late, and the step has a limit of its own.
    pub(crate) async fn unless_grave<T>(&self, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            order = self.orders.grave() => Err(Stop::Ordered(order)),
            done = step => done,
        }
    }

    pub(crate) async fn begin(&self, phase: Phase) -> Result<StatusAnswer, Stop> {
        self.begins(phase, None, None).await
    }

    pub(crate) async fn begins_to_work(&self, agent: Option<String>) -> Result<StatusAnswer, Stop> {
        self.begins(Phase::Executing, None, agent).await
    }

    /// Requests the right to push, for an agent that has read this many inputs.
    pub(crate) async fn begins_to_push(&self, told: Option<u32>) -> Result<StatusAnswer, Stop> {
        self.begins(Phase::Syncing, told, None).await
    }

    async fn begins(&self, phase: Phase, inputs: Option<u32>, words: Option<String>) -> Result<StatusAnswer, Stop> {
        let name = match phase {
            Phase::Preparing => "preparing",
            Phase::Executing => "executing",
            Phase::Syncing => "syncing",
        };
        tracing::info!(job.id = %self.assignment.job, attempt = self.assignment.attempt, phase = name, "{name} started");
        let request = StatusRequest { status: phase, inputs };
        let answer = self.insist(async || self.client.status(&request).await).await?;
        if !answer.goes_on {
            self.events.add(Said { text: words, ..Said::phase(name) });
        }
        Ok(answer)
    }

    /// Fetches the attempt's secrets. Forge tokens that expire are new with every call.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Stop> {
        let repository = &self.assignment.repository;
        let refused = |error: &Error| match error.code() {
            // The forge refuses a token, or its secret is missing: the job is not at fault.
            Some("forge_refused" | "secret_missing") => {
                Failure::SourceDenied { forge: repository.forge_name(), repo: repository.name.clone() }
            }
            Some("model_secret_missing") => Failure::ModelSecretMissing { reason: error.to_string() },
            Some("signing_secret_missing") => Failure::SigningFailed { reason: error.to_string() },
            _ => Failure::Unknown { last_words: error.to_string() },
        };
        let credentials = self.insist_or(async || self.client.credentials().await, refused).await?;
        let model = credentials.model.iter().map(|model| model.value.as_str());
        let signing_key = credentials.signing_key.as_deref();
        let token = credentials.forge_token.as_str();
        // In the forms for REST and for git.
        let of_forge = [token, password_of(repository.forge, token)];
        let secrets = of_forge.into_iter().chain(model).chain(signing_key);
        secrets.for_each(|secret| self.redactor.learn(secret));
        if credentials.expires_in_secs.is_some() {
            self.minted.note(&credentials.forge_token);
        }
        Ok(credentials)
    }

    /// Agent and usage for a report. Names come from the agent, so secrets and invisible characters are removed.
    pub(crate) fn told(&self) -> (Option<AgentReport>, Option<u64>) {
        let (mut work, spent) = self.tally.told();
        if let Some(work) = &mut work {
            for said in [&mut work.model, &mut work.version, &mut work.prices_of].into_iter().flatten() {
                *said = self.redactor.text(&untrusted::remove_hidden(said)).into_owned();
            }
            // A redacted session id would identify no session.
            work.session =
                work.session.take().filter(|id| self.redactor.text(&untrusted::remove_hidden(id)) == id.as_str());
        }
        (work, spent)
    }

    /// A variable of the job's environment, or of the runner's. If it names a file of tokens, the redactor learns them.
    pub(crate) fn reads(&self, given: &Secrets, name: &str) -> Option<OsString> {
        let value = given.read(name, |name| Environment::ours().get(name));
        let named = value.as_ref().filter(|_| is_name_of_file_of_secrets(name));
        // The driver reports a file that cannot be read.
        if let Some(text) = named.and_then(|path| std::fs::read_to_string(path).ok()) {
            self.redactor.learn_file(&text);
        }
        value
    }

    /// Waits for the agent's work, and learns tokens that the agent renews until then.
    pub(crate) async fn learning<T>(&self, workspace: &Workspace, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let done = loop {
            match timeout(LEARN_EVERY, &mut work).await {
                Ok(done) => break done,
                Err(_) => self.learn_changed(workspace),
            }
        };
        // Before its results are reported or published.
        self.learn_changed(workspace);
        done
    }

    /// Learns the agent's current tokens: a subscription renews them.
    pub(crate) fn learn_changed(&self, workspace: &Workspace) {
        for path in SIGNED_IN {
            // The agent owns the file, so links are not followed.
            if let Ok(text) = left::read(&workspace.home(), path, LARGEST_SIGNED_IN) {
                self.redactor.learn_file_of_agent(&text);
            }
        }
    }

    /// Yields the job after storing events and artifacts, because the lease ends then. A cancel interrupts the storing.
    pub(crate) async fn give_back(&self, request: &YieldRequest) -> Result<YieldAnswer, Stop> {
        tokio::select! {
            biased;
            _ = self.orders.at_least(Order::Cancel) => {}
            () = sleep_until(self.until) => {}
            lost = self.artifacts.flush(REST_ARTIFACTS_LIMIT) => {
                lost.into_iter().for_each(|words| self.events.add(Said::words(EventKind::Log, words)));
            }
        }
        // The results of the uploads are events as well.
        tokio::select! {
            biased;
            _ = self.orders.grave() => {}
            () = self.events.flush(LAST_EVENTS_LIMIT) => {}
        }
        tokio::select! {
            biased;
            order = self.orders.grave() => Err(Stop::Ordered(order)),
            () = sleep_until(self.until) => {
                let limit = Span(self.assignment.limits.wall_secs);
                Err(Failure::TimeLimit { limit }.into())
            }
            answer = self.insist(async || self.client.give_back(request).await) => answer,
        }
    }

    pub(crate) async fn inputs(&self, after: u32) -> Result<Vec<Input>, Stop> {
        let asked = self.insist(async || self.client.inputs(after).await);
        Ok(self.bounded(asked).await?.inputs)
    }

    /// The newest checkpoint of an earlier attempt, and whether a newer one is missing.
    ///
    /// Errors: `Failed` if the control plane cannot provide it.
    pub(crate) async fn checkpoint(&self) -> Result<CheckpointAnswer, Stop> {
        self.insist(async || self.client.checkpoint().await).await
    }

    async fn insist<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Stop> {
        self.insist_or(call, |error| Failure::Unknown { last_words: error.to_string() }).await
    }

    /// Like `insist`, with a failure for a final refusal.
    async fn insist_or<T>(
        &self,
        call: impl AsyncFn() -> Result<T, Error>,
        refused: impl Fn(&Error) -> Failure,
    ) -> Result<T, Stop> {
        let mut back_off = BackOff::new();
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match refusal(&error) {
                Refusal::LeaseLost => {
                    tracing::warn!(error = %error, "lease lost: {error}");
                    self.orders.give(Order::LeaseLost);
                    return Err(Stop::Ordered(Order::LeaseLost));
                }
                Refusal::Unwanted => return Err(Stop::Ordered(Order::Cancel)),
                Refusal::Final => {
                    tracing::error!(error = %error, "call refused: {error}");
                    return Err(refused(&error).into());
                }
                Refusal::Transient => {
                    tracing::warn!(error = %error, "call failed, retrying: {error}");
                    sleep(back_off.next()).await;
                }
            }
        }
    }
}
