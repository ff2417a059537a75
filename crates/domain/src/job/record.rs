//! The record of an ended attempt.

use super::Run;
use crate::checks::CheckRun;
use crate::failure::Failure;
use crate::id::{JobId, Sha256Hex};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An ended attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub job: JobId,
    pub number: u32,
    pub run: Run,
    pub ended_at: Timestamp,
    pub ended: AttemptEnd,
    /// Agent and usage. `None` if no agent began, or the runner did not report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// Its cost, if known, or estimated (`Work::about_usd_micros`). Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
}

impl Attempt {
    /// Whether it has the agent's usage and cost. Otherwise only its log has an estimate.
    pub fn says_what_it_took(&self) -> bool {
        self.work.is_some() && self.spent_usd_micros.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum AttemptEnd {
    /// Its work is in a pull request.
    Completed {},
    /// It failed with its job.
    Failed { failure: Failure },
    /// It searched for the push of a lost attempt and found none; the job failed by that loss. An attempt that could not
    /// search is `Failed`, and the job fails by the loss as well.
    FoundNothing {},
    /// It was cancelled with its job.
    Cancelled {},
    /// Its agent asked something, and the job waits for the answer.
    Asked {},
    /// It stopped for a pause.
    Paused {},
    /// A platform fault ended it, and the job was requeued.
    Requeued { failure: Failure },
}

/// In a failed job: what is known about the push of a lost attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Looked {
    /// Somebody searched and found none.
    FoundNothing {},
    /// Unknown: the push may exist.
    Failed {
        /// What prevented or ended the search.
        failure: Failure,
    },
}

/// Which agent worked in an attempt, under what, and what it took: its usage, session and provenance.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// `claude_code`, `codex` or `command`.
    pub agent: String,
    /// The version the agent's program said it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model the agent said it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The agent's own id of the session, by which it can go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What stood between the agent and the machine: `none`, `external`.
    pub isolation: String,
    /// How often its program was started: once, and once for each transient fault.
    pub starts: u32,
    /// Requests to the model.
    #[serde(default)]
    pub turns: u32,
    /// Tokens read, those from a cache among them.
    #[serde(default)]
    pub input_tokens: u64,
    /// Of these, from a cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Tokens written, those of its reasoning among them.
    #[serde(default)]
    pub output_tokens: u64,
    /// What of the attempt's cost the agent did not come to say: about what that part cost, by public prices; none
    /// where it said all of it. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_usd_micros: Option<u64>,
    /// When the table of prices that its cost is by was last compared with the public list: `2026-06`. None where the
    /// agent said itself what it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_of: Option<String>,
    /// The SHA-256 of its job's frozen prompt, as its runner got that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_sha256: Option<Sha256Hex>,
    /// The commit that its work began at: the base branch's, or the head of the pull request that it goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    /// The commit that was made of its work, pushed or not; where others had pushed meanwhile, the one that was put on
    /// top of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What came of the checks on what it made, in the order in which they were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
}

impl Work {
    /// Cuts the runner's texts, so that the item stays small.
    #[must_use]
    pub fn clipped(self) -> Self {
        let cut = |text: String| crate::text::clipped(&text, 200);
        Self {
            agent: cut(self.agent),
            version: self.version.map(cut),
            model: self.model.map(cut),
            session: self.session.map(cut),
            isolation: cut(self.isolation),
            prices_of: self.prices_of.map(cut),
            base_commit: self.base_commit.map(cut),
            commit: self.commit.map(cut),
            checks: CheckRun::kept(self.checks),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckOutcome;
    use crate::job::Status;
    use crate::story::{active, at, work};

    #[test]
    fn a_record_says_what_its_attempt_took_where_it_has_its_work_and_its_cost() {
        let work = work("codex");
        let job = active(Status::Executing);
        let check = |work: Option<&Work>, spent_usd_micros: Option<u64>, expected: bool| {
            let attempt = Attempt {
                job: job.id.clone(),
                number: job.attempt,
                run: job.run.clone().unwrap(),
                ended_at: at(9),
                ended: AttemptEnd::Cancelled {},
                work: work.cloned(),
                spent_usd_micros,
            };
            assert_eq!(attempt.says_what_it_took(), expected, "{attempt:?}");
        };
        check(Some(&work), Some(0), true);
        check(Some(&work), None, false);
        check(None, Some(7), false);
        check(None, None, false);
    }

    #[test]
    fn a_record_of_before_it_said_what_its_work_was_made_of_is_read() {
        let stored = serde_json::json!({
            "agent": "codex", "isolation": "none", "starts": 1, "turns": 3, "input_tokens": 300,
            "cached_input_tokens": 0, "output_tokens": 30,
        });
        let read: Work = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(read, work("codex"));
        // A missing value looks the same to earlier versions.
        assert_eq!(serde_json::to_value(read).unwrap(), stored);
    }

    #[test]
    fn what_a_runner_says_its_work_was_made_of_stays_small() {
        let word = || "x".repeat(9_000);
        let said = Work {
            agent: word(),
            version: Some(word()),
            model: Some(word()),
            session: Some(word()),
            isolation: word(),
            prices_of: Some(word()),
            base_commit: Some(word()),
            commit: Some(word()),
            ..work("codex")
        };
        let stored = serde_json::to_value(said.clipped()).unwrap();
        let kept = stored.as_object().unwrap().values().filter_map(|value| value.as_str());
        assert_eq!(kept.map(|words| words.chars().count()).collect::<Vec<_>>(), [200; 8]);
    }

    #[test]
    fn what_a_runner_says_of_its_checks_stays_small_too() {
        let run = |command: usize, artifact: usize| CheckRun {
            command: "x".repeat(command),
            round: 0,
            outcome: CheckOutcome::Passed,
            exit_code: Some(0),
            signal: None,
            took_ms: 7,
            truncated: false,
            artifact: Some("x".repeat(artifact)),
        };
        let said = Work { checks: vec![run(201, 101), run(200, 100)], ..work("codex") };
        let expected = CheckRun::kept(said.checks.clone());
        assert_ne!(expected, said.checks);
        let kept = said.clipped().checks;
        assert_eq!(kept, expected);
        assert_eq!(kept.last(), Some(&run(200, 100)), "what just fits is kept as it is");
        let many = Work { checks: vec![run(1, 1); 1_000], ..work("codex") };
        assert!(many.clipped().checks.len() < 1_000);
    }
}
