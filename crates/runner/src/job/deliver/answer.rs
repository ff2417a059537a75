//! Cleans and checks the answer of an agent.

use crate::attempt::Attempt;
use pullyard_domain::review::output::{Answer, JobOutput, OutputFault};
use pullyard_domain::run::{SpawnRequest, check_spawn_form};
use pullyard_domain::text::untrusted;

pub(super) fn clean(attempt: &Attempt<'_>, text: &str) -> String {
    attempt.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned()
}

/// Removes secrets and invisible characters from an answer, and checks its outcome and its added steps.
pub(super) fn check_answer(attempt: &Attempt<'_>, answer: Answer) -> Result<JobOutput, OutputFault> {
    answer.check_outcome(&attempt.assignment.outcomes)?;
    let step = attempt.assignment.step.as_ref();
    let faults = match step.and_then(|step| Some((step.spawn.as_ref()?, &step.taken))) {
        Some((limits, taken)) => check_spawn_form(limits, taken, &answer.spawn),
        None if answer.spawn.is_empty() => Vec::new(),
        None => vec![OutputFault::new("/spawn", "this job can add no steps: leave it out")],
    };
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    let clean_step = |step: SpawnRequest| SpawnRequest { prompt: clean(attempt, &step.prompt), ..step };
    let (text, spawn) = (clean(attempt, &answer.text), answer.spawn.into_iter().map(clean_step).collect());
    let output = JobOutput::Read(Answer { text, spawn, ..answer });
    output.check()?;
    Ok(output)
}
