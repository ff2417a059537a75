//! Checks the agent's work before it is published: runs the project's checks and decides about failures.
//!
//! `beside` runs a command, `made` lets the agent repair its work.

use crate::agent;
use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::git::commit::Verdict;
use crate::job::beside::{Beside, Line, Ran};
use crate::process::enclosure::Exit;
use crate::stop::Stop;
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::checks::{CheckOutcome, CheckRun, Checks, FailedChecksPolicy};
use pullyard_domain::failure::Failure;
use pullyard_domain::prompt::repair::{FailedCheck, repair_prompt};
use pullyard_domain::text::{self, Span};
use pullyard_protocol::event::EventKind;
use std::time::Duration;

pub(crate) enum Checked {
    Publish(Results),
    /// The agent repairs the work, with this prompt.
    Repair(String),
}

/// How often an attempt's work was checked, and returned to the agent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) checked: u32,
    pub(crate) repaired: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Results(Vec<CheckRun>);

impl Results {
    pub(crate) fn runs(&self) -> &[CheckRun] {
        &self.0
    }

    /// The verdict for the commit; `None` without checks.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if self.0.is_empty() {
            return None;
        }
        Some(if self.0.iter().all(CheckRun::passed) { Verdict::Passed } else { Verdict::Failed })
    }
}

/// Runs every check and decides the next step. `goes_on`: the work is for a pull request that is open.
///
/// Errors: `ChecksFailed`, `ChecksTimedOut`, and everything else that ends the attempt.
pub(crate) async fn check(
    beside: &Beside<'_>,
    checks: &Checks,
    rounds: Rounds,
    goes_on: bool,
) -> Result<Checked, Stop> {
    if checks.commands.is_empty() {
        return Ok(Checked::Publish(Results::default()));
    }
    let this = beside.this;
    this.events.add(Said::phase("checking"));
    let limit = Duration::from_secs(checks.limit_secs);
    let most = usize::try_from(checks.output_kib.saturating_mul(1024)).unwrap_or(usize::MAX);
    let (mut runs, mut failed) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(&checks.commands) {
        let call = match rounds.checked {
            0 => format!("check-{number}"),
            1 => format!("check-{number}-again"),
            before => format!("check-{number}-again-{before}"),
        };
        let ran = beside.run(Line { line, call: &call, limit, most }).await?;
        if let Some(stop) = &ran.stopped {
            // A stopped check has no result.
            keep(this, &call, &ran);
            return Err(stop.clone());
        }
        let run = told(this, line, (rounds.checked, &call), &ran);
        if !run.passed() {
            failed.push(FailedCheck { command: run.command.clone(), exit: run.end_phrase(), output: ran.output });
        }
        this.tally.checked(run.clone());
        runs.push(run);
    }
    let Some(first) = runs.iter().find(|run| !run.passed()) else { return Ok(Checked::Publish(Results(runs))) };
    let failure = failure(first, rounds.repaired, limit);
    let said = |words: String| this.events.add(Said::words(EventKind::Log, words));
    if checks.repair && rounds.repaired == 0 {
        // Without budget the agent is not started: its limit would end the attempt. The work is judged unrepaired.
        let Some(limit) = agent::used_up(&this.tally, this.assignment) else {
            said(format!("{} The agent gets what the checks printed, and mends its work.", failure.sentence()));
            return Ok(Checked::Repair(repair_prompt(&failed)));
        };
        said(format!("{} The agent has nothing left to mend it with. {}", failure.sentence(), limit.sentence()));
    }
    if checks.failed == FailedChecksPolicy::Draft && !goes_on {
        said(format!("{} The work is published as a draft.", failure.sentence()));
        return Ok(Checked::Publish(Results(runs)));
    }
    Err(failure.into())
}

/// Stores a check's output. Returns the name of the artifact, if stored.
fn keep(this: &Attempt<'_>, call: &str, ran: &Ran) -> Option<String> {
    let name = format!("{call}.txt");
    this.artifacts.keep(ArtifactKind::CheckOutput, &name, &ran.output).then_some(name)
}

/// The result of a check that ended by itself or at its limit. Stores its output.
fn told(this: &Attempt<'_>, line: &str, (round, call): (u32, &str), ran: &Ran) -> CheckRun {
    let (outcome, exit_code, signal) = match ran.exit {
        None => (CheckOutcome::TimedOut, None, None),
        Some(Exit::Code(0)) => (CheckOutcome::Passed, Some(0), None),
        Some(Exit::Code(code)) => (CheckOutcome::Failed, Some(code), None),
        Some(Exit::Signal(signal)) => (CheckOutcome::Failed, None, Some(signal)),
        Some(Exit::Unknown) => (CheckOutcome::Failed, None, None),
    };
    CheckRun {
        command: this.redactor.text(line).into_owned(),
        round,
        outcome,
        exit_code,
        signal,
        took_ms: u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX),
        truncated: ran.truncated,
        artifact: keep(this, call, ran),
    }
}

fn failure(run: &CheckRun, repaired: u32, limit: Duration) -> Failure {
    let command = run.command.clone();
    match run.outcome {
        CheckOutcome::TimedOut => Failure::ChecksTimedOut { command, limit: Span::from(limit) },
        CheckOutcome::Passed | CheckOutcome::Failed => {
            Failure::ChecksFailed { command, exit: run.end_phrase(), rounds: text::Rounds(u64::from(repaired)) }
        }
    }
}
