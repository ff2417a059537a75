//! Records the agent and the usage of an attempt while it works, so that every finish can report them.

use super::agent_event::{Tokens, UsageTotal};
use super::run_state::RunState;
use crate::Isolation;
use crate::process::refused_hosts::RefusedHosts;
use pullyard_domain::agent::checks::CheckRun;
use pullyard_domain::job::AgentReport;
use pullyard_domain::text::id::Sha256Hex;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Empty until an agent begins.
#[derive(Debug, Default)]
pub(crate) struct AttemptUsage {
    state: Mutex<UsageState>,
    pub(crate) refused_hosts: Arc<RefusedHosts>,
}

#[derive(Clone, Debug, Default)]
struct UsageState {
    report: Option<AgentReport>,
    total: UsageTotal,
    base_commit: Option<String>,
    prompt_sha256: Option<Sha256Hex>,
    is_new_session: bool,
    earlier_session_tokens: Tokens,
    restart_count: usize,
    /// The first denied tool since `begin_work`.
    denied_tool: Option<String>,
}

impl AttemptUsage {
    pub(crate) fn begin_work(&self, base_commit: &str, prompt_sha256: Option<Sha256Hex>) {
        let mut state = self.lock();
        state.base_commit = Some(base_commit.to_owned());
        state.prompt_sha256 = prompt_sha256;
        state.denied_tool = None;
    }

    pub(super) fn note_start(
        &self,
        (agent, version): (&str, Option<String>),
        isolation: Isolation,
        check: Option<String>,
        session: Option<&str>,
    ) {
        let mut state = self.lock();
        state.is_new_session = session.is_none();
        let UsageState { report, base_commit, prompt_sha256, .. } = &mut *state;
        let report = report.get_or_insert_with(|| AgentReport {
            agent: agent.into(),
            version,
            model: None,
            session: None,
            isolation: isolation.as_str().into(),
            isolation_check: check,
            refused_hosts: Vec::new(),
            starts: 0,
            turns: 0,
            input_tokens: 0,
            cached_input_tokens: 0,
            output_tokens: 0,
            about_usd_micros: None,
            prompt_sha256: prompt_sha256.clone(),
            base_commit: base_commit.clone(),
            commit: None,
            checks: Vec::new(),
        });
        report.starts = report.starts.saturating_add(1);
    }

    pub(super) fn note_usage(&self, record: &RunState, total: &UsageTotal) {
        let mut state = self.lock();
        if state.is_new_session && record.session.is_some() {
            state.earlier_session_tokens = state.total.tokens;
        }
        state.total = *total;
        if let Some(report) = &mut state.report {
            report.model = record.model.clone().or_else(|| report.model.take());
            report.session = record.session.clone().or_else(|| report.session.take());
            report.turns = total.turns;
            report.input_tokens = total.tokens.input;
            report.cached_input_tokens = total.tokens.cached;
            report.output_tokens = total.tokens.output;
            report.about_usd_micros = Some(total.estimated_cost).filter(|about| *about > 0);
        }
    }

    pub(super) fn restart_count(&self) -> usize {
        self.lock().restart_count
    }

    pub(super) fn count_restart(&self) {
        self.lock().restart_count += 1;
    }

    /// Returns the first denied tool since `begin_work`, including the start that just ended. Neither a later start nor
    /// a user's answer resets it.
    pub(super) fn note_denied_tool(&self, start_denial: Option<String>) -> Option<String> {
        let mut state = self.lock();
        state.denied_tool = state.denied_tool.take().or(start_denial);
        state.denied_tool.clone()
    }

    pub(super) fn forget_session(&self, session: &str) {
        if let Some(report) = &mut self.lock().report {
            report.session.take_if(|own| own.as_str() == session);
        }
    }

    pub(super) fn usage(&self) -> UsageTotal {
        self.lock().total
    }

    pub(crate) fn session_tokens(&self) -> Tokens {
        let state = self.lock();
        state.total.tokens - state.earlier_session_tokens
    }

    pub(crate) fn set_commit(&self, commit: &str) {
        if let Some(report) = &mut self.lock().report {
            report.commit = Some(commit.to_owned());
        }
    }

    pub(crate) fn add_check(&self, run: CheckRun) {
        if let Some(report) = &mut self.lock().report {
            report.checks.push(run);
        }
    }

    /// The agent and its cost for the finish, including estimates. Units: millionths of a US dollar.
    pub(crate) fn report(&self) -> (Option<AgentReport>, Option<u64>) {
        let mut state = self.lock().clone();
        if let Some(report) = &mut state.report {
            report.refused_hosts = self.refused_hosts.list();
        }
        (state.report, state.total.cost)
    }

    fn lock(&self) -> MutexGuard<'_, UsageState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_denied_tool_is_known_until_the_next_task() {
        let usage = AttemptUsage::default();
        usage.begin_work("main", None);
        assert_eq!(usage.note_denied_tool(None), None);
        assert_eq!(usage.note_denied_tool(Some("Bash".into())).as_deref(), Some("Bash"));
        for later in [Some("Write".into()), None] {
            assert_eq!(usage.note_denied_tool(later).as_deref(), Some("Bash"));
        }
        usage.begin_work("main", None);
        assert_eq!(usage.note_denied_tool(None), None);
    }
}
