//! `pullyard runs trace`: shows the times of a run's steps and attempts.

use crate::client::prelude::*;
use futures::{StreamExt, stream};
use pullyard_domain::run::StepState;
use pullyard_domain::text::capitalize;
use pullyard_domain::text::id::{JobId, RunId};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use pullyard_protocol::artifact::AttemptOutcome;
use pullyard_protocol::client::Error;
use serde_json::json;

/// A step may have hundreds of jobs.
const CONCURRENT_READS: usize = 10;

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
    // Retries and the turns of a manager are jobs of their own.
    let mut jobs = Vec::new();
    for step in &run.steps {
        jobs.extend((1..=step.jobs).map(|number| (step, JobId::for_step(&run.id, &step.name, number))));
    }
    let answers = jobs.into_iter().map(|(step, job)| async move {
        let answer = session.api.attempts(&job).await;
        (step, job, answer)
    });
    let answers: Vec<_> = stream::iter(answers).buffered(CONCURRENT_READS).collect().await;
    for (step, job, answer) in answers {
        let attempts = match answer {
            Ok(answer) => answer.attempts,
            // A lost job, which failed its step, or one that the server cannot decode.
            Err(Error::Problem(problem)) if matches!(problem.code.as_str(), "not_found" | "internal") => {
                session.screen.warn(&format!("the attempts of {job} are missing: {}", problem.detail));
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        // A step that failed with its newest job is only done if it may change nothing.
        let is_done = step.state == StepState::Done && step.job.as_ref() == Some(&job);
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
    for step in &run.steps {
        // A step that starts again has the time of its earlier job.
        let has_begun = !matches!(step.state, StepState::Waiting | StepState::Skipped);
        let started = step.started.filter(|_| has_begun);
        let ended = match step.state {
            // A manager waits for its added steps after the last attempt of its job.
            StepState::Spawning => spans.iter().rfind(|span| span.job == step.job).and_then(|span| span.ended),
            state => state.is_terminal().then_some(step.changed),
        };
        let state = step.state.as_str().to_owned();
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
