//! `pullyard runs trace`: shows the times of a run's steps and attempts.

use crate::client::prelude::*;
use pullyard_domain::id::{JobId, RunId};
use pullyard_domain::run::StepState;
use pullyard_domain::text::capitalize;
use pullyard_domain::time::{OptionalWireTime, Timestamp};
use pullyard_protocol::artifact::AttemptOutcome;
use serde_json::json;

#[derive(serde::Serialize)]
struct Span<'a> {
    step: &'a str,
    job: Option<JobId>,
    /// Null for the step itself.
    attempt: Option<u32>,
    state: String,
    #[serde(with = "OptionalWireTime")]
    started: Option<Timestamp>,
    #[serde(with = "OptionalWireTime")]
    ended: Option<Timestamp>,
}

pub(super) async fn trace(session: &Session, id: &RunId) -> Result<(), CliError> {
    let (run, mut spans) = (session.api.run(id).await?, Vec::new());
    for step in &run.steps {
        // A step that starts again has the time of its earlier job.
        let has_begun = !matches!(step.state, StepState::Waiting | StepState::Skipped);
        let started = step.started.filter(|_| has_begun);
        let (state, ended) = (step.state.as_str().to_owned(), step.state.is_terminal().then_some(step.changed));
        // Retries and the turns of a manager are jobs of their own.
        for number in 1..=step.jobs {
            let job = JobId::for_step(&run.id, &step.name, number);
            // A step that failed with its newest job is only done if it may change nothing.
            let is_done = step.state == StepState::Done && step.job.as_ref() == Some(&job);
            let attempts = match session.api.attempts(&job).await.map_err(CliError::from) {
                // A lost job, which failed its step.
                Err(fault) if fault.is_not_found() => Vec::new(),
                answer => answer?.attempts,
            };
            for attempt in attempts {
                let is_allowed = is_done && attempt.how == AttemptOutcome::Failed;
                let state = format::to_code(if is_allowed { &AttemptOutcome::Completed } else { &attempt.how });
                spans.push(Span {
                    step: &step.name,
                    job: Some(job.clone()),
                    attempt: Some(attempt.attempt),
                    state,
                    started: Some(attempt.started),
                    ended: attempt.ended,
                });
            }
        }
        spans.push(Span { step: &step.name, job: step.job.clone(), attempt: None, state, started, ended });
    }
    // A step precedes the attempts of its newest job; steps that have not begun are last.
    spans.sort_by_key(|span| (span.started.is_none(), span.started, span.attempt));
    let columns = [Fixed("AFTER"), Fixed("STATE"), Flexible("STEP"), Fixed("JOB"), Right("ATTEMPT"), Right("TOOK")];
    let mut table = Table::new(columns);
    for span in &spans {
        let after = |at: Timestamp| Cell::new(format::format_duration(at.since(run.created)), at);
        let took = |at: Timestamp| format::duration_cell(span.ended.unwrap_or_else(format::now).since(at));
        table.row([
            span.started.map_or_else(Cell::none, after),
            Cell::new(capitalize(&span.state), &span.state),
            Cell::text(span.step),
            format::job_cell(span.job.as_ref()),
            Cell::optional(span.attempt),
            span.started.map_or_else(Cell::none, took),
        ]);
    }
    table.show_answer(&session.screen, &json!({ "run": id, "spans": spans }), "")
}
