//! The checks of a run's steps, with the results of their newest jobs.

use crate::job::attempts::{CheckRow, to_check_row};
use crate::prelude::*;
use pullyard_control::RunView;
use pullyard_domain::agent::checks::CheckRun;

pub(super) struct StepChecks {
    pub(super) name: SafeText,
    /// Address of the log of the attempt that ran them.
    pub(super) log: Option<String>,
    pub(super) checks: Vec<CheckRow>,
}

/// Reads the attempts of the job of each step that may have checks.
pub(super) async fn load_checks(visit: &PageContext, view: &RunView) -> Result<Vec<StepChecks>, Fault> {
    let (plan, mut all) = (&view.frozen.plan, Vec::new());
    for step in &view.run.steps {
        let keys = step.keys(plan);
        let is_question = plan.find_step(&step.name).is_some_and(|step| step.approve.is_some());
        if is_question || keys.is_read_only() {
            continue;
        }
        let attempts = match &step.job {
            Some(job) => control::list_attempts(&visit.ctx, job).await?,
            None => Vec::new(),
        };
        let newest = attempts.iter().rev().find_map(|attempt| {
            let runs = attempt.work.as_ref().map(|work| &work.checks).filter(|runs| !runs.is_empty())?;
            Some((attempt.number, runs))
        });
        let runs = newest.map(|(_, runs)| runs.as_slice()).unwrap_or_default();
        let mut checks: Vec<_> = CheckRun::find_newest(runs).into_iter().map(to_check_row).collect();
        // The repository's checks are unknown until they have run.
        let commands = keys.checks.unwrap_or_default();
        let others = commands.iter().filter(|command| runs.iter().all(|run| run.command != **command));
        let not_run = |command: &String| CheckRow { command: line(command), passed: true, result: "Not run".into() };
        checks.extend(others.map(not_run));
        if !checks.is_empty() {
            let at = newest.map(|(number, _)| format!("?at={number}.1")).unwrap_or_default();
            let log = step.job.as_ref().map(|job| format!("/jobs/{job}/log{at}"));
            all.push(StepChecks { name: line(&step.name), log, checks });
        }
    }
    Ok(all)
}
