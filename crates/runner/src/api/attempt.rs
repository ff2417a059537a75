//! What the steps of one attempt share: its calls to the control plane, and what bounds every step.

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
use pullyard_domain::job::Work;
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

/// How long the last events may hold up the end of an attempt.
pub(crate) const LAST_EVENTS_LIMIT: Duration = Duration::from_secs(15);
/// How long what an attempt leaves may hold up its rest, where nothing presses.
const REST_ARTIFACTS_LIMIT: Duration = Duration::from_secs(120);

/// Where agents that are signed in keep their tokens, below their home.
const SIGNED_IN: [&str; 2] = ["codex/auth.json", "claude/.credentials.json"];
/// How soon what an agent gets in their place is known.
const LEARN_EVERY: Duration = Duration::from_secs(1);
/// A larger file holds something else. Units: bytes.
const LARGEST_SIGNED_IN: u64 = 256 * 1024;

pub(crate) struct Attempt<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) client: &'a AttemptClient,
    pub(crate) events: &'a Events,
    pub(crate) orders: &'a Orders,
    pub(crate) given: &'a Given,
    pub(crate) until: Instant,
    pub(crate) artifacts: &'a Artifacts,
    /// Tokens of its own, taken back at its end.
    pub(crate) minted: Minted,
    /// Takes its secrets out of what leaves this machine.
    pub(crate) redactor: Redactor,
    pub(crate) tally: Tally,
    pub(crate) working: Working,
}

impl Attempt<'_> {
    /// Does a step that any order and the end of the time cut off.
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

    /// Does a step that a pause comes too late for: whether it took effect would not be known.
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

    /// Does a step after the push was granted: a cancellation comes too late for it, and it has a limit
    /// of its own.
    pub(crate) async fn unless_grave<T>(&self, step: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            order = self.orders.grave() => Err(Stop::Ordered(order)),
            done = step => done,
        }
    }

    /// Says that a phase begins.
    pub(crate) async fn begin(&self, phase: Phase) -> Result<StatusAnswer, Stop> {
        self.begins(phase, None, None).await
    }

    /// Says that an agent is about to work, which one, and what stands between it and this machine.
    pub(crate) async fn begins_to_work(&self, agent: Option<String>) -> Result<StatusAnswer, Stop> {
        self.begins(Phase::Executing, None, agent).await
    }

    /// Asks for the right to push what was made by an agent that was told so many inputs.
    pub(crate) async fn begins_to_push(&self, told: Option<u32>) -> Result<StatusAnswer, Stop> {
        self.begins(Phase::Syncing, told, None).await
    }

    async fn begins(&self, phase: Phase, inputs: Option<u32>, words: Option<String>) -> Result<StatusAnswer, Stop> {
        let name = match phase {
            Phase::Preparing => "preparing",
            Phase::Executing => "executing",
            Phase::Syncing => "syncing",
        };
        tracing::info!(job.id = %self.assignment.job, attempt = self.assignment.attempt, phase = name, "{name} begins");
        let request = StatusRequest { status: phase, inputs };
        let answer = self.insist(async || self.client.status(&request).await).await?;
        if !answer.goes_on {
            self.events.add(Said { text: words, ..Said::phase(name) });
        }
        Ok(answer)
    }

    /// Fetches the secrets of the attempt: where the forge's tokens end, new ones at each call.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Stop> {
        let repository = &self.assignment.repository;
        let refused = |error: &Error| match error.code() {
            // The forge gives no token, or its secret is gone: nothing is wrong with the job.
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
        // Whole, as REST has it, and as git has it.
        let of_forge = [token, password_of(repository.forge, token)];
        let secrets = of_forge.into_iter().chain(model).chain(signing_key);
        secrets.for_each(|secret| self.redactor.learn(secret));
        if credentials.expires_in_secs.is_some() {
            self.minted.note(&credentials.forge_token);
        }
        Ok(credentials)
    }

    /// What the agent was and took, as it is told: an agent says its model and its session itself. A secret in a name is
    /// taken out while it is whole, and once nothing invisible stands in it.
    pub(crate) fn told(&self) -> (Option<Work>, Option<u64>) {
        let (mut work, spent) = self.tally.told();
        if let Some(work) = &mut work {
            for said in [&mut work.model, &mut work.version, &mut work.prices_of].into_iter().flatten() {
                *said = self.redactor.text(&untrusted::visible(said)).into_owned();
            }
            // Without a part of it, it would be the id of no session; none has anything invisible in it.
            work.session = work.session.take().filter(|id| self.redactor.text(&untrusted::visible(id)) == id.as_str());
        }
        (work, spent)
    }

    /// A variable of the environment that the job is given, or else ours. Where it names a file of tokens, these are
    /// learned.
    pub(crate) fn reads(&self, given: &Secrets, name: &str) -> Option<OsString> {
        let value = given.read(name, |name| Environment::ours().get(name));
        let named = value.as_ref().filter(|_| is_name_of_file_of_secrets(name));
        // One that can't be read is the driver's to tell of.
        if let Some(text) = named.and_then(|path| std::fs::read_to_string(path).ok()) {
            self.redactor.learn_file(&text);
        }
        value
    }

    /// Waits for the agent's work, and learns the tokens that it gets meanwhile.
    pub(crate) async fn learning<T>(&self, workspace: &Workspace, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let done = loop {
            match timeout(LEARN_EVERY, &mut work).await {
                Ok(done) => break done,
                Err(_) => self.learn_changed(workspace),
            }
        };
        // Before what its end leaves is told or published.
        self.learn_changed(workspace);
        done
    }

    /// Learns the tokens that the agent has by now: signed in by a subscription, it changes them as it works.
    pub(crate) fn learn_changed(&self, workspace: &Workspace) {
        for path in SIGNED_IN {
            // The file is the agent's: whatever it is, nothing else is read in its place.
            if let Ok(text) = left::read(&workspace.home(), path, LARGEST_SIGNED_IN) {
                self.redactor.learn_file_of_agent(&text);
            }
        }
    }

    /// Gives the job back before its work is done, once what its agent said is on record and what it leaves is kept:
    /// afterwards the lease is gone. A cancel is answered by that, too, and at once.
    pub(crate) async fn give_back(&self, request: &YieldRequest) -> Result<YieldAnswer, Stop> {
        tokio::select! {
            biased;
            _ = self.orders.at_least(Order::Cancel) => {}
            () = sleep_until(self.until) => {}
            lost = self.artifacts.flush(REST_ARTIFACTS_LIMIT) => {
                lost.into_iter().for_each(|words| self.events.add(Said::words(EventKind::Log, words)));
            }
        }
        // What became of those is among them.
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
    /// Errors: `Failed` when the control plane has none to give.
    pub(crate) async fn checkpoint(&self) -> Result<CheckpointAnswer, Stop> {
        self.insist(async || self.client.checkpoint().await).await
    }

    /// Makes a call until it is answered for good.
    async fn insist<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Stop> {
        self.insist_or(call, |error| Failure::Unknown { last_words: error.to_string() }).await
    }

    /// The same, with what it means when it will never be accepted.
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
                    tracing::warn!(error = %error, "the attempt was taken away: {error}");
                    self.orders.give(Order::LeaseLost);
                    return Err(Stop::Ordered(Order::LeaseLost));
                }
                Refusal::Unwanted => return Err(Stop::Ordered(Order::Cancel)),
                Refusal::Final => {
                    tracing::error!(error = %error, "a call was refused for good: {error}");
                    return Err(refused(&error).into());
                }
                Refusal::Transient => {
                    tracing::warn!(error = %error, "a call was not answered yet: {error}");
                    sleep(back_off.next()).await;
                }
            }
        }
    }
}
