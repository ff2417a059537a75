//! Checks the agent's work before it is published: runs the project's checks and decides about failures.

use crate::agent;
use crate::api::event_draft::EventDraft;
use crate::attempt::Attempt;
use crate::git::commit::Verdict;
use crate::job::project_command::{CommandLine, CommandResult, CommandRunner};
use crate::process::pid_namespace::Exit;
use crate::process::sandbox::TreeAccess;
use crate::stop::Stop;
use pullyard_domain::agent::checks::{CheckOutcome, CheckRun, Checks, FailedChecksPolicy};
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_domain::kinds::prompt::repair::{FailedCheck, repair_prompt};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::{self, Span};
use std::time::Duration;

pub(crate) enum CheckDecision {
    Publish(CheckResults),
    Repair(String),
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) check_rounds: u32,
    pub(crate) repair_rounds: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CheckResults(Vec<CheckRun>);

impl CheckResults {
    /// Results of an earlier attempt, which ran on the same tree.
    pub(crate) fn from_earlier(runs: Vec<CheckRun>) -> Self {
        Self(runs)
    }

    pub(crate) fn runs(&self) -> &[CheckRun] {
        &self.0
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if self.0.is_empty() {
            return None;
        }
        Some(if self.0.iter().all(CheckRun::is_success) { Verdict::Passed } else { Verdict::Failed })
    }
}

/// Runs every check and decides the next step. `has_pull_request`: the work continues an open pull request.
/// Errors: `ChecksFailed`, `ChecksTimedOut`, and everything else that ends the attempt.
pub(crate) async fn run_checks(
    command_runner: &CommandRunner<'_>,
    (checks, tree): (&Checks, TreeAccess<'_>),
    rounds: Rounds,
    has_pull_request: bool,
) -> Result<CheckDecision, Stop> {
    if checks.commands.is_empty() {
        return Ok(CheckDecision::Publish(CheckResults::default()));
    }
    let attempt = command_runner.attempt;
    attempt.events.add(EventDraft::phase("checking"));
    let limit = Duration::from_secs(checks.limit_secs);
    let max_output_bytes = usize::try_from(checks.output_kib.saturating_mul(1024)).unwrap_or(usize::MAX);
    let (mut runs, mut failed) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(&checks.commands) {
        let call = match rounds.check_rounds {
            0 => format!("check-{number}"),
            1 => format!("check-{number}-again"),
            round => format!("check-{number}-again-{round}"),
        };
        let result = command_runner.run(CommandLine { line, call: &call, limit, max_output_bytes, tree }).await?;
        if let Some(stop) = &result.stop {
            store_output(attempt, &call, &result);
            return Err(stop.clone());
        }
        let run = to_check_run(attempt, line, (rounds.check_rounds, &call), &result);
        if !run.is_success() {
            failed.push(FailedCheck { command: run.command.clone(), exit: run.end_phrase(), output: result.output });
        }
        attempt.usage.add_check(run.clone());
        runs.push(run);
    }
    let Some(first) = runs.iter().find(|run| !run.is_success()) else {
        return Ok(CheckDecision::Publish(CheckResults(runs)));
    };
    let failure = check_failure(first, rounds.repair_rounds, limit);
    let log = |text: String| attempt.events.log(text);
    if checks.repair && rounds.repair_rounds == 0 {
        // Without budget, decide about the unrepaired work: starting the agent would exceed its limit and end the
        // attempt.
        let Some(limit) = agent::exhausted_limit(attempt) else {
            log(format!("{} The agent receives the output of the checks and repairs its work.", failure.sentence()));
            return Ok(CheckDecision::Repair(repair_prompt(&failed)));
        };
        log(format!("{} The agent has no budget left for a repair. {}", failure.sentence(), limit.sentence()));
    }
    if checks.failed == FailedChecksPolicy::Draft && !has_pull_request {
        log(format!("{} The work is published as a draft.", failure.sentence()));
        return Ok(CheckDecision::Publish(CheckResults(runs)));
    }
    Err(failure.into())
}

fn store_output(attempt: &Attempt<'_>, call: &str, result: &CommandResult) -> Option<String> {
    let name = format!("{call}.txt");
    attempt.artifacts.store_text(ArtifactKind::CheckOutput, &name, &result.output).then_some(name)
}

fn to_check_run(attempt: &Attempt<'_>, line: &str, (round, call): (u32, &str), result: &CommandResult) -> CheckRun {
    let (outcome, exit_code, signal) = match result.exit {
        None => (CheckOutcome::TimedOut, None, None),
        Some(Exit::Code(0)) => (CheckOutcome::Passed, Some(0), None),
        Some(Exit::Code(code)) => (CheckOutcome::Failed, Some(code), None),
        Some(Exit::Signal(signal)) => (CheckOutcome::Failed, None, Some(signal)),
        Some(Exit::Unknown) => (CheckOutcome::Failed, None, None),
    };
    CheckRun {
        command: attempt.redactor.redact_text(line).into_owned(),
        round,
        outcome,
        exit_code,
        signal,
        took_ms: u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX),
        truncated: result.truncated,
        artifact: store_output(attempt, call, result),
    }
}

fn check_failure(run: &CheckRun, repair_rounds: u32, limit: Duration) -> Failure {
    let command = run.command.clone();
    match run.outcome {
        CheckOutcome::TimedOut => Failure::ChecksTimedOut { command, limit: Span::from(limit) },
        CheckOutcome::Passed | CheckOutcome::Failed => {
            Failure::ChecksFailed { command, exit: run.end_phrase(), rounds: text::Rounds(u64::from(repair_rounds)) }
        }
    }
}
