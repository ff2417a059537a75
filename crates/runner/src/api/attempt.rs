//! The state of an attempt that its phases share: calls to the control plane, and limits.

use crate::agent::attempt_usage::AttemptUsage;
use crate::agent::drivers::DRIVERS;
use crate::agent::environment::Environment;
use crate::agent::model_keys::ModelKeys;
use crate::agent_files;
use crate::api::event_draft::EventDraft;
use crate::api::reporter::EventSink;
use crate::api::retry::{AttemptCallFailure, BackOff, classify_error};
use crate::artifacts::Artifacts;
use crate::checkpoint::state::CheckpointState;
use crate::deadline::Deadline;
use crate::git::workspace::Workspace;
use crate::inputs::messages::input_counts::InputCounts;
use crate::inputs::orders::{Order, Orders};
use crate::secrets::forge_tokens::ForgeTokens;
use crate::secrets::redact::{Redactor, is_secret_file_name};
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::job::AgentReport;
use pullyard_domain::prompt::untrusted;
use pullyard_domain::text::Span;
use pullyard_forge::git_login;
use pullyard_protocol::attempt::{
    Assignment, CheckpointAnswer, Credentials, Input, Phase, StatusAnswer, StatusRequest, YieldAnswer, YieldRequest,
};
use pullyard_protocol::client::{AttemptClient, Error};
use std::ffi::OsString;
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub(crate) const LAST_EVENTS_TIMEOUT: Duration = Duration::from_secs(15);
const YIELD_ARTIFACTS_TIMEOUT: Duration = Duration::from_secs(120);

const TOKEN_READ_INTERVAL: Duration = Duration::from_secs(1);
/// Larger files are no token files. Units: bytes.
const MAX_TOKEN_FILE_BYTES: u64 = 256 * 1024;

pub(crate) struct Attempt<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) client: &'a AttemptClient,
    pub(crate) events: &'a EventSink,
    pub(crate) orders: &'a Orders,
    pub(crate) input_counts: &'a InputCounts,
    pub(crate) deadline: Deadline,
    /// How long to wait for an unavailable forge.
    pub(crate) forge_away: Duration,
    pub(crate) artifacts: &'a Artifacts,
    pub(crate) minted_tokens: ForgeTokens,
    pub(crate) redactor: Redactor,
    pub(crate) usage: AttemptUsage,
    pub(crate) checkpoint_state: CheckpointState,
}

impl Attempt<'_> {
    pub(crate) async fn unless_ordered<T>(&self, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        self.unless(Order::Pause, step).await
    }

    /// Runs a step that an order of at least this urgency and the time limit interrupt.
    pub(crate) async fn unless<T>(&self, min: Order, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            order = self.orders.wait_at_least(min) => Err(Stop::Order(order)),
            () = self.deadline.reached() => {
                let limit = Span(self.assignment.limits.wall_secs);
                Err(Failure::TimeLimit { limit }.into())
            }
            result = step => result,
        }
    }

    /// Runs a step after the push was granted. A cancel comes too late, and the step has a limit of its own.
    pub(crate) async fn unless_aborted<T>(&self, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            order = self.orders.wait_abort() => Err(Stop::Order(order)),
            result = step => result,
        }
    }

    pub(crate) async fn report_phase(&self, phase: Phase) -> Result<StatusAnswer, Stop> {
        self.post_status(phase, None, None).await
    }

    pub(crate) async fn report_executing(&self, agent: Option<String>) -> Result<StatusAnswer, Stop> {
        self.post_status(Phase::Executing, None, agent).await
    }

    pub(crate) async fn request_push(&self, input_count: Option<u32>) -> Result<StatusAnswer, Stop> {
        self.post_status(Phase::Syncing, input_count, None).await
    }

    async fn post_status(&self, phase: Phase, inputs: Option<u32>, text: Option<String>) -> Result<StatusAnswer, Stop> {
        let name = match phase {
            Phase::Preparing => "preparing",
            Phase::Executing => "executing",
            Phase::Syncing => "syncing",
        };
        tracing::info!(job.id = %self.assignment.job, attempt = self.assignment.attempt, phase = name, "{name} started");
        let request = StatusRequest { status: phase, inputs, waits_for: None };
        let answer = self.retry_until_answered(async || self.client.status(&request).await).await?;
        if !answer.has_unread_inputs {
            self.events.add(EventDraft { text, ..EventDraft::phase(name) });
        }
        Ok(answer)
    }

    /// Repeats the current phase: reports what the attempt waits for, or that it waits no more. In `syncing` this renews
    /// the push window.
    pub(crate) async fn repeat_phase(&self, phase: Phase, waits_for: Option<&str>) -> Result<StatusAnswer, Stop> {
        let request = StatusRequest { status: phase, inputs: None, waits_for: waits_for.map(str::to_owned) };
        self.retry_until_answered(async || self.client.status(&request).await).await
    }

    /// Fetches the attempt's secrets. Forge tokens that expire are new with every call.
    pub(crate) async fn get_credentials(&self) -> Result<Credentials, Stop> {
        let repository = &self.assignment.repository;
        let to_failure = |error: &Error| match error.code() {
            // The forge refuses a token, or its secret is missing: the job is not at fault.
            Some("forge_refused" | "secret_missing") => {
                Failure::SourceDenied { forge: repository.forge_name(), repo: repository.name.clone() }
            }
            Some("model_secret_missing") => Failure::ModelSecretMissing { reason: error.to_string() },
            Some("signing_secret_missing") => Failure::SigningFailed { reason: error.to_string() },
            _ => Failure::Unknown { last_words: error.to_string() },
        };
        let credentials = self.retry_or_fail(async || self.client.credentials().await, to_failure).await?;
        let model = credentials.model.iter().map(|model| model.value.as_str());
        let signing_key = credentials.signing_key.as_deref();
        let token = credentials.forge_token.as_str();
        let forge_secrets = [token, git_login(repository.forge, token).password];
        let secrets = forge_secrets.into_iter().chain(model).chain(signing_key);
        secrets.for_each(|secret| self.redactor.add_secret(secret));
        if credentials.expires_in_secs.is_some() {
            self.minted_tokens.add(&credentials.forge_token);
        }
        Ok(credentials)
    }

    /// Agent and usage for a report. Names come from the agent, so secrets and invisible characters are removed.
    pub(crate) fn work_report(&self) -> (Option<AgentReport>, Option<u64>) {
        let (mut report, spent_usd_micros) = self.usage.report();
        if let Some(report) = &mut report {
            let clean = |text: &str| self.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned();
            for text in [&mut report.model, &mut report.version].into_iter().flatten().chain(&mut report.refused_hosts)
            {
                *text = clean(text);
            }
            // A redacted session id would identify no session.
            report.session = report.session.take().filter(|id| clean(id) == *id);
        }
        (report, spent_usd_micros)
    }

    /// A variable of the job's environment, or of the runner's. If it names a file of tokens, the redactor learns them.
    pub(crate) fn agent_variable(&self, keys: &ModelKeys, name: &str) -> Option<OsString> {
        let value = keys.variable(name, |name| Environment::from_process().get(name));
        let path = value.as_ref().filter(|_| is_secret_file_name(name));
        if let Some(text) = path.and_then(|path| std::fs::read_to_string(path).ok()) {
            self.redactor.add_file_tokens(&text);
        }
        value
    }

    pub(crate) async fn learn_tokens_during<T>(&self, workspace: &Workspace, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let result = loop {
            match timeout(TOKEN_READ_INTERVAL, &mut work).await {
                Ok(result) => break result,
                Err(_) => self.learn_current_tokens(workspace),
            }
        };
        self.learn_current_tokens(workspace);
        result
    }

    pub(crate) fn learn_current_tokens(&self, workspace: &Workspace) {
        for path in DRIVERS.map(|driver| driver.token_file) {
            // The agent owns the file, so links are not followed.
            if let Ok(text) = agent_files::read(&workspace.home(), path, MAX_TOKEN_FILE_BYTES) {
                self.redactor.add_agent_file_tokens(&text);
            }
        }
    }

    /// Yields the job. First stores events and artifacts, because the lease ends then; a cancel, a more urgent order or
    /// the time limit interrupts the storing.
    pub(crate) async fn yield_job(&self, request: &YieldRequest) -> Result<YieldAnswer, Stop> {
        tokio::select! {
            biased;
            _ = self.orders.wait_at_least(Order::Cancel) => {}
            () = self.deadline.reached() => {}
            lost_checkpoint = self.artifacts.flush(YIELD_ARTIFACTS_TIMEOUT) => {
                lost_checkpoint.into_iter().for_each(|text| self.events.log(text));
            }
        }
        // The results of the uploads are events as well.
        tokio::select! {
            biased;
            _ = self.orders.wait_abort() => {}
            () = self.events.flush(LAST_EVENTS_TIMEOUT) => {}
        }
        let request = self.retry_until_answered(async || self.client.yield_job(request).await);
        self.unless(Order::LeaseLost, request).await
    }

    pub(crate) async fn get_inputs(&self, after: u32) -> Result<Vec<Input>, Stop> {
        let request = self.retry_until_answered(async || self.client.inputs(after).await);
        Ok(self.unless_ordered(request).await?.inputs)
    }

    /// The newest checkpoint of an earlier attempt, and whether a newer one is missing.
    /// Errors: `Failed` if the control plane cannot provide it.
    pub(crate) async fn get_checkpoint(&self) -> Result<CheckpointAnswer, Stop> {
        self.retry_until_answered(async || self.client.checkpoint().await).await
    }

    async fn retry_until_answered<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Stop> {
        self.retry_or_fail(call, |error| Failure::Unknown { last_words: error.to_string() }).await
    }

    async fn retry_or_fail<T>(
        &self,
        call: impl AsyncFn() -> Result<T, Error>,
        to_failure: impl Fn(&Error) -> Failure,
    ) -> Result<T, Stop> {
        let mut back_off = BackOff::new();
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match classify_error(&error) {
                AttemptCallFailure::LeaseLost => {
                    tracing::warn!(error = %error, "lease lost: {error}");
                    self.orders.set(Order::LeaseLost);
                    return Err(Stop::Order(Order::LeaseLost));
                }
                AttemptCallFailure::JobCancelled => return Err(Stop::Order(Order::Cancel)),
                AttemptCallFailure::Final => {
                    tracing::error!(error = %error, "call refused: {error}");
                    return Err(to_failure(&error).into());
                }
                AttemptCallFailure::Transient => {
                    tracing::warn!(error = %error, "call failed, retrying: {error}");
                    sleep(back_off.next()).await;
                }
            }
        }
    }
}
