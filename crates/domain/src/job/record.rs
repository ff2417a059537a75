//! The record of an ended attempt.

use super::ActiveAttempt;
use crate::agent::checks::CheckRun;
use crate::text::failure::Failure;
use crate::text::id::{JobId, Sha256Hex};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    pub job: JobId,
    pub number: u32,
    pub run: ActiveAttempt,
    pub ended_at: Timestamp,
    pub ended: AttemptEnd,
    /// Agent and usage. `None` if no agent started, or the runner did not report.
    pub work: Option<AgentReport>,
    /// Its cost, if known, or estimated (`AgentReport::about_usd_micros`). Units: millionths of a US dollar.
    pub spent_usd_micros: Option<u64>,
}

impl AttemptRecord {
    /// Whether it has the agent's usage and cost. Otherwise only its log has an estimate.
    pub fn has_usage_and_cost(&self) -> bool {
        self.work.is_some() && self.spent_usd_micros.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum AttemptEnd {
    Completed {},
    Failed { failure: Failure },
    Cancelled {},
    Asked {},
    Paused {},
    Requeued { failure: Failure },
}

/// The agent of an attempt, with its usage, session and provenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Work")]
#[serde(deny_unknown_fields)]
pub struct AgentReport {
    /// The code of the agent; docs/agents.md lists them.
    pub agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The agent's own id of the session, to resume it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Isolation of the agent from the machine: `bubblewrap`, `external`, `none`.
    pub isolation: String,
    /// Result of the check of the isolation: `16 of 16 attacks stopped; limits: per process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_check: Option<String>,
    /// The first hosts to which the sandbox refused connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_hosts: Vec<String>,
    /// Starts of its program: one, and one more after each transient fault.
    pub starts: u32,
    /// Requests to the model.
    #[serde(default)]
    pub turns: u32,
    /// Input tokens, including cached ones.
    #[serde(default)]
    pub input_tokens: u64,
    /// Input tokens from a cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Output tokens, including reasoning.
    #[serde(default)]
    pub output_tokens: u64,
    /// Estimated cost by public prices, for the part whose cost the agent did not report; absent if it reported all.
    /// Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_usd_micros: Option<u64>,
    /// The SHA-256 of the job's frozen prompt, as received by the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_sha256: Option<Sha256Hex>,
    /// The commit from which the work started: of the base branch, or the head of the continued pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    /// The commit with the work, pushed or not; if the branch had moved, the commit on top of the new head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Results of the checks on the work, in order of execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
}

/// The attempt's log has further hosts.
const MAX_REFUSED_HOSTS: usize = 20;

impl AgentReport {
    /// Isolation and its check: `bubblewrap: 16 of 16 attacks stopped; limits: per process`.
    pub fn describe_isolation(&self) -> String {
        let check = self.isolation_check.as_ref().map(|check| format!(": {check}")).unwrap_or_default();
        format!("{}{check}", self.isolation)
    }

    /// Cuts the runner's texts, so that the item stays small.
    #[must_use]
    pub fn truncate_texts(self) -> Self {
        let cut = |text: String| crate::text::truncate(&text, 200);
        Self {
            agent: cut(self.agent),
            version: self.version.map(cut),
            model: self.model.map(cut),
            session: self.session.map(cut),
            isolation: cut(self.isolation),
            isolation_check: self.isolation_check.map(cut),
            refused_hosts: self.refused_hosts.into_iter().take(MAX_REFUSED_HOSTS).map(cut).collect(),
            base_commit: self.base_commit.map(cut),
            commit: self.commit.map(cut),
            checks: CheckRun::limit_for_storage(self.checks),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::checks::CheckOutcome;
    use crate::fixtures::{active, time_at, work};
    use crate::job::JobStatus;

    #[test]
    fn attempt_usage_is_known_with_work_and_cost() {
        let job = active(JobStatus::Executing);
        for (has_work, cost, expected) in [(true, true, true), (true, false, false), (false, true, false)] {
            let attempt = AttemptRecord {
                job: job.id.clone(),
                number: job.attempt,
                run: job.run.clone().unwrap(),
                ended_at: time_at(9),
                ended: AttemptEnd::Cancelled {},
                work: has_work.then(|| work("codex")),
                spent_usd_micros: cost.then_some(0),
            };
            assert_eq!(attempt.has_usage_and_cost(), expected, "{attempt:?}");
        }
    }

    #[test]
    fn stored_work_is_clipped() {
        let word = || "x".repeat(9_000);
        let report = AgentReport {
            agent: word(),
            version: Some(word()),
            model: Some(word()),
            session: Some(word()),
            isolation: word(),
            isolation_check: Some(word()),
            refused_hosts: vec![word(); 50],
            base_commit: Some(word()),
            commit: Some(word()),
            ..work("codex")
        };
        let stored = serde_json::to_value(report.truncate_texts()).unwrap();
        assert_eq!(stored["refused_hosts"], serde_json::json!(vec![format!("{}…", "x".repeat(199)); 20]));
        let texts = stored.as_object().unwrap().values().filter_map(|value| value.as_str());
        assert_eq!(texts.map(|text| text.chars().count()).collect::<Vec<_>>(), [200; 8]);
    }

    #[test]
    fn stored_checks_are_clipped() {
        let run = CheckRun {
            command: "x".repeat(201),
            round: 0,
            outcome: CheckOutcome::Passed,
            exit_code: Some(0),
            signal: None,
            took_ms: 7,
            truncated: false,
            artifact: None,
        };
        let report = AgentReport { checks: vec![run; 100], ..work("codex") };
        let expected = CheckRun::limit_for_storage(report.checks.clone());
        assert_ne!(expected, report.checks);
        assert_eq!(report.truncate_texts().checks, expected);
    }
}
