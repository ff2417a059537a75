//! The calls of an attempt to the control plane, within its orders and its time limit.

use crate::agent::environment::Environment;
use crate::api::event_draft::EventDraft;
use crate::api::reporter::EventSink;
use crate::api::retry::{AttemptCallFailure, BackOff, classify_error};
use crate::deadline::Deadline;
use crate::inputs::orders::{Order, Orders};
use crate::secrets::forge_tokens::ForgeTokens;
use crate::secrets::own_token::own_forge_token;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::{Quoted, Span};
use pullyard_forge::git_login;
use pullyard_protocol::attempt::{
    Assignment, CheckpointAnswer, Credentials, Input, Phase, StatusAnswer, StatusRequest, YieldAnswer, YieldRequest,
};
use pullyard_protocol::client::{AttemptClient, Error};
use tokio::time::sleep;

/// Calls the control plane for each part of an attempt.
pub(crate) struct Calls<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) client: &'a AttemptClient,
    pub(crate) events: &'a EventSink,
    pub(crate) orders: &'a Orders,
    pub(crate) deadline: Deadline,
    pub(crate) minted_tokens: ForgeTokens,
    pub(crate) redactor: Redactor,
}

impl Calls<'_> {
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

    /// Reports the current phase again, with the reason of a wait or without one. In `syncing` this renews the push
    /// window.
    pub(crate) async fn repeat_phase(&self, phase: Phase, waits_for: Option<&str>) -> Result<StatusAnswer, Stop> {
        let request = StatusRequest { status: phase, inputs: None, waits_for: waits_for.map(str::to_owned) };
        self.retry_until_answered(async || self.client.status(&request).await).await
    }

    /// Fetches the attempt's secrets. Forge tokens that expire are new with every call.
    pub(crate) async fn get_credentials(&self) -> Result<Credentials, Stop> {
        let repository = &self.assignment.repository;
        let denied = |reason: String| {
            let (forge, repo) = (repository.forge_name(), repository.name.clone());
            Failure::SourceDenied { forge, repo, reason: Quoted(Some(reason)) }
        };
        let detail = |error: &Error| match error {
            Error::Problem(problem) => problem.detail.clone(),
            other => other.to_string(),
        };
        let to_failure = |error: &Error| match error.code() {
            // The forge refuses a token, or the secret is missing. The job did nothing wrong.
            Some("forge_refused" | "secret_missing") => denied(detail(error)),
            Some("not_listed") => {
                self.events.log(error.to_string());
                denied(detail(error))
            }
            Some("model_secret_missing") => Failure::ModelSecretMissing { reason: error.to_string() },
            Some("signing_secret_missing") => Failure::SigningFailed { reason: error.to_string() },
            _ => Failure::Unknown { last_words: error.to_string() },
        };
        let mut credentials = self.retry_or_fail(async || self.client.credentials().await, to_failure).await?;
        if credentials.forge_token.is_empty() {
            let own = own_forge_token(repository, &Environment::from_process());
            credentials.forge_token = own.ok_or_else(|| {
                let api_url = &repository.api_url;
                self.events
                    .log(format!("The repository uses the runner's token, and the runner has none for {api_url}."));
                denied(format!("the runner has no token for {api_url}"))
            })?;
        }
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

    pub(crate) async fn get_inputs(&self, after: u32) -> Result<Vec<Input>, Stop> {
        let request = self.retry_until_answered(async || self.client.inputs(after).await);
        Ok(self.unless_ordered(request).await?.inputs)
    }

    /// Returns the newest checkpoint of an earlier attempt, and whether a newer one is missing.
    /// Errors: `Failed` if the control plane cannot provide it.
    pub(crate) async fn get_checkpoint(&self) -> Result<CheckpointAnswer, Stop> {
        self.retry_until_answered(async || self.client.checkpoint().await).await
    }

    pub(crate) async fn post_yield(&self, request: &YieldRequest) -> Result<YieldAnswer, Stop> {
        let request = self.retry_until_answered(async || self.client.yield_job(request).await);
        self.unless(Order::LeaseLost, request).await
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
