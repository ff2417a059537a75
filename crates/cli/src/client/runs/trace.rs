//! `pullyard runs trace`: shows the times of a run's steps and attempts.

use crate::client::prelude::*;
use pullyard_domain::id::{JobId, RunId};
use pullyard_domain::run::StepState;
use pullyard_domain::text::capitalize;
use pullyard_domain::time::{Timestamp, rfc3339};
use pullyard_protocol::artifact::Attempt;
use pullyard_protocol::run::RunStep;
use serde_json::json;

#[derive(serde::Serialize)]
struct Span<'a> {
    step: &'a str,
    /// Absent for the step itself.
    attempt: Option<u32>,
    job: Option<&'a JobId>,
    state: String,
    #[serde(with = "rfc3339::option")]
    started: Option<Timestamp>,
    #[serde(with = "rfc3339::option")]
    ended: Option<Timestamp>,
}

impl<'a> Span<'a> {
    fn of_step(step: &'a RunStep) -> Self {
        // A step that starts again has the time of its earlier job.
        let has_begun = !matches!(step.state, StepState::Waiting | StepState::Skipped);
        Self {
            step: &step.name,
            attempt: None,
            job: step.job.as_ref(),
            state: step.state.as_str().to_owned(),
            started: step.started.filter(|_| has_begun),
            ended: step.state.is_terminal().then_some(step.changed),
        }
    }

    fn of_attempt(step: &'a RunStep, attempt: &Attempt) -> Self {
        let (started, state) = (Some(attempt.started), format::to_code(&attempt.how));
        Self { attempt: Some(attempt.attempt), state, started, ended: attempt.ended, ..Self::of_step(step) }
    }
}

pub(super) async fn trace(session: &Session, id: &RunId) -> Result<(), CliError> {
    let run = session.api.run(id).await?;
    let mut spans = Vec::new();
    for step in &run.steps {
        spans.push(Span::of_step(step));
        if let Some(job) = &step.job {
            let attempts = session.api.attempts(job).await?.attempts;
            spans.extend(attempts.iter().map(|attempt| Span::of_attempt(step, attempt)));
        }
    }
    // Steps that have not begun are last.
    spans.sort_by_key(|span| (span.started.is_none(), span.started));
    let mut table = Table::new([Fixed("AFTER"), Fixed("STATE"), Flexible("STEP"), Right("ATTEMPT"), Right("TOOK")]);
    for span in &spans {
        let after = |at: Timestamp| Cell::new(format::format_duration(at.since(run.created)), at);
        let took = |at: Timestamp| format::duration_cell(span.ended.unwrap_or_else(format::now).since(at));
        table.row([
            span.started.map_or_else(Cell::none, after),
            Cell::new(capitalize(&span.state), &span.state),
            Cell::text(span.step),
            Cell::optional(span.attempt),
            span.started.map_or_else(Cell::none, took),
        ]);
    }
    table.show_answer(&session.screen, &json!({ "run": id, "spans": spans }), "")
}
