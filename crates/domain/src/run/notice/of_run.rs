//! The notices of runs: their end, and steps that ask a user.

use super::{Endpoint, Notice, NoticeData, NoticeEvent};
use crate::project::plan::{OnComplete, Plan};
use crate::run::{Run, RunState, RunStep, StepState};
use crate::text::id::NoticeId;
use crate::text::time::Timestamp;

impl Notice {
    /// The notice of a run's move from `before`, if it ends the run or asks a user. `url` is the page of the run.
    pub fn of_run(
        (before, run): (&Run, &Run),
        plan: &Plan,
        endpoints: &[Endpoint],
        url: String,
        now: Timestamp,
    ) -> Option<Self> {
        let name = run.id.short();
        let resume = || format!("`pullyard runs resume {name}` starts the plan's steps that are not done.");
        let is_asked = |step: &&RunStep| step.state == StepState::Asked;
        let is_new = |step: &&RunStep| before.find_step(&step.name).is_none_or(|before| !is_asked(&before));
        let asks = run.steps.iter().filter(is_asked).filter(is_new);
        let asks: Vec<&str> = asks.map(|step| step.name.as_str()).collect();
        let first = asks.first().copied().unwrap_or_default();
        let cause = run.explain_failure();
        let (event, sentence, help) = match (run.state, &cause) {
            (RunState::Running, _) if asks.is_empty() => return None,
            (RunState::Completed, _) if plan.on_complete != Some(OnComplete::Notify) => return None,
            (RunState::Running, _) => (
                NoticeEvent::RunAsked,
                format!("Run {name} waits for approval: {}.", asks.join(", ")),
                format!(
                    "Answer on its page, or with `pullyard runs approve {name}/{first}`; `pullyard runs refuse` fails \
                     the step."
                ),
            ),
            (RunState::Completed, _) => (
                NoticeEvent::RunCompleted,
                format!("Run {name} completed."),
                format!("`pullyard runs show {name}` shows its steps."),
            ),
            (RunState::Cancelled, _) => (NoticeEvent::RunCancelled, format!("Run {name} was cancelled."), resume()),
            (RunState::Failed, Some(cause)) => {
                (NoticeEvent::RunFailed, format!("Run {name} failed. {}", cause.sentence()), cause.help())
            }
            (RunState::Failed, None) => (NoticeEvent::RunFailed, format!("Run {name} failed."), resume()),
        };
        let data = NoticeData {
            run: Some(run.id.clone()),
            code: cause.as_ref().map(|cause| cause.code().into()),
            spent_usd_micros: Some(run.spent_usd_micros),
            pull_request: run.result.as_ref().map(|result| result.url.clone()),
            ..NoticeData::new(run.project.clone(), &sentence, &help, url)
        };
        Self::new(NoticeId::for_run(&run.id, run.rev, event.as_str()), event, data, endpoints, now)
    }
}
