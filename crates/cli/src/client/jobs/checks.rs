//! `pullyard jobs checks` and `runs checks`: show the results of the checks of a job, or of a run's steps.

use super::job_arg::JobArg;
use super::{describe_subject, ensure_attempt_exists};
use crate::client::prelude::*;
use crate::client::table::Column;
use pullyard_domain::agent::checks::CheckRun;
use pullyard_domain::text::id::RunId;
use serde_json::json;
use std::time::Duration;

const COLUMNS: [Column; 7] = [
    Flexible("CHECK"),
    Fixed("RESULT"),
    Fixed("EXIT"),
    Right("TOOK"),
    Right("ATTEMPT"),
    Fixed("ROUND"),
    Fixed("OUTPUT"),
];

/// Show the results of the checks on a job's work.
///
/// Results appear once an attempt has ended; while it runs, see `pullyard jobs logs`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs checks 7F2K
  pullyard jobs checks @last --json
  pullyard jobs checks 7F2K --output check-1.txt")]
pub(super) struct Show {
    #[command(flatten)]
    job: JobArg,
    /// Only this attempt.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Print the output of one check, by its name in the last column.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
}

impl Show {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let id = self.job.resolve(session).await?;
        if let Some(name) = self.output {
            return super::artifacts::List::for_artifact(self.job, name, self.attempt).run(session).await;
        }
        ensure_attempt_exists(session, &id, self.attempt).await?;
        let attempts = session.api.attempts(&id).await?.attempts.into_iter();
        let (mut table, mut with_checks) = (Table::new(COLUMNS), Vec::new());
        for (attempt, work) in attempts.filter_map(|record| Some((record.attempt, record.work?))) {
            if self.attempt.is_none_or(|only| only == attempt) && !work.checks.is_empty() {
                work.checks.iter().for_each(|run| table.row(row(attempt, run)));
                with_checks.push(json!({ "attempt": attempt, "checks": work.checks }));
            }
        }
        let document = json!({ "job": id, "attempts": with_checks });
        let empty = format!("No checks ran in {}.", describe_subject(&id, self.attempt));
        table.show_answer(&session.screen, &document, &empty)
    }
}

/// The results of the newest job of each step.
pub(in crate::client) async fn show_run_checks(session: &Session, id: &RunId) -> Result<(), CliError> {
    let (mut table, mut steps) = (Table::new([&[Fixed("STEP")][..], &COLUMNS].concat()), Vec::new());
    for step in session.api.run(id).await?.steps {
        let Some(job) = step.job else { continue };
        let attempts = session.api.attempts(&job).await?.attempts.into_iter();
        for (attempt, work) in attempts.filter_map(|record| Some((record.attempt, record.work?))) {
            for run in &work.checks {
                let mut cells = vec![Cell::text(&step.name)];
                cells.extend(row(attempt, run));
                table.row(cells);
            }
            if !work.checks.is_empty() {
                steps.push(json!({ "step": step.name, "job": job, "attempt": attempt, "checks": work.checks }));
            }
        }
    }
    let document = json!({ "run": id, "steps": steps });
    table.show_answer(&session.screen, &document, &format!("No checks ran in run {}.", id.short()))
}

fn row(attempt: u32, run: &CheckRun) -> [Cell; 7] {
    [
        Cell::text(&run.command),
        Cell::new(run.outcome.label(), format::to_code(&run.outcome)),
        Cell::text(run.end_phrase()),
        format::duration_cell(Duration::from_millis(run.took_ms)),
        Cell::text(attempt),
        Cell::text(if run.round == 0 { "work" } else { "again" }),
        Cell::optional(run.artifact.as_ref()),
    ]
}
