//! The record of an attempt: how it went, and which agent worked in it, kept after it.

use super::Run;
use crate::checks::CheckRun;
use crate::failure::Failure;
use crate::id::{JobId, Sha256Hex};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How one attempt went, kept after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its job.
    pub job: JobId,
    /// Its number.
    pub number: u32,
    /// Who ran it.
    pub run: Run,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub ended: AttemptEnd,
    /// Which agent worked and what it took; none when none began, or its runner did not come to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// What it cost, as far as that is known, or about (`Work::about_usd_micros`). Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
}

impl Attempt {
    /// Whether it says what its agent used and what that cost. Where it does not, about that stands in its log alone.
    pub fn says_what_it_took(&self) -> bool {
        self.work.is_some() && self.spent_usd_micros.is_some()
    }
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum AttemptEnd {
    /// Its work is in a pull request.
    Completed {},
    /// It failed, and its job with it.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It looked for what a lost attempt may have pushed, and there was nothing: its job failed by that loss. One that
    /// could not look has failed, and its job by the loss all the same.
    FoundNothing {},
    /// It was cancelled, and its job with it.
    Cancelled {},
    /// Its agent asked something; its job waits for the answer.
    Asked {},
    /// It stopped for a pause; its job can go on.
    Paused {},
    /// A platform fault ended it; its job went back.
    Requeued {
        /// Why.
        failure: Failure,
    },
}

/// What is known of what a lost attempt may have pushed, once its job has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Looked {
    /// Somebody looked, and there was nothing.
    FoundNothing {},
    /// Nobody came to say what became of it: it may be there.
    Failed {
        /// What ended the look, or what was to follow it, or kept everybody from it.
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
    /// The same with every word of the runner's cut, so that what is stored stays small.
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
        // Nor does one that says nothing of it look otherwise to who read it before.
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
