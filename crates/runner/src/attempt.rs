//! The state of an attempt that its phases share.

use crate::agent::attempt_usage::AttemptUsage;
use crate::agent::drivers::DRIVERS;
use crate::agent::environment::Environment;
use crate::agent::model_keys::ModelKeys;
use crate::agent_files;
use crate::api::calls::Calls;
use crate::artifacts::Artifacts;
use crate::checkpoint::state::CheckpointState;
use crate::git::workspace::Workspace;
use crate::inputs::messages::input_counts::InputCounts;
use crate::inputs::orders::Order;
use crate::secrets::redact::is_secret_file_name;
use crate::stop::Stop;
use pullyard_domain::job::AgentReport;
use pullyard_domain::text::untrusted;
use pullyard_protocol::attempt::{YieldAnswer, YieldRequest};
use std::ffi::OsString;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) const LAST_EVENTS_TIMEOUT: Duration = Duration::from_secs(15);
const YIELD_ARTIFACTS_TIMEOUT: Duration = Duration::from_secs(120);

const TOKEN_READ_INTERVAL: Duration = Duration::from_secs(1);
/// Larger files are no token files. Units: bytes.
const MAX_TOKEN_FILE_BYTES: u64 = 256 * 1024;

/// An attempt with its calls and everything that it has gathered so far.
pub(crate) struct Attempt<'a> {
    pub(crate) calls: Calls<'a>,
    pub(crate) input_counts: &'a InputCounts,
    /// How long to wait for an unavailable forge.
    pub(crate) forge_away: Duration,
    pub(crate) artifacts: &'a Artifacts,
    pub(crate) usage: AttemptUsage,
    pub(crate) checkpoint_state: CheckpointState,
}

impl<'a> Deref for Attempt<'a> {
    type Target = Calls<'a>;

    fn deref(&self) -> &Calls<'a> {
        &self.calls
    }
}

impl Attempt<'_> {
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
        self.calls.post_yield(request).await
    }
}
