//! `pullyard jobs`: parses the subcommands, each in a file of its own.

pub(super) mod answer;
mod artifacts;
mod cancel;
mod checks;
mod create;
mod job_arg;
mod list;
mod logs;
mod output;
mod pause;
mod provenance;
mod retry;
mod show;

pub(super) use artifacts::list_artifacts;
pub(super) use checks::show_run_checks;
pub(super) use create::print_decision;
pub(super) use list::parse_time;
pub(super) use logs::{print_events, print_logs};
pub(super) use output::print_end;
pub(super) use provenance::provenance;

use super::{open, watch};
use crate::client::prelude::*;
use job_arg::JobArg;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::job::Job;

/// List, create, follow, pause, answer, cancel and retry jobs, and get their artifacts.
///
/// Name a job by its id, by the id's last (7F2K) or first characters, or by @last.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs
  pullyard jobs --status failed --since 1d
  pullyard jobs watch @last")]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Subcommand)]
enum Command {
    List(list::List),
    /// Show a job.
    #[command(after_help = "Examples:\n  pullyard jobs show 7F2K\n  pullyard jobs show @last --json")]
    Show(JobArg),
    Create(create::Create),
    /// Follow a job until it ends; exits with 6 if it failed or was cancelled.
    #[command(after_help = "Examples:\n  pullyard jobs watch 7F2K\n  pullyard jobs watch @last --quiet")]
    Watch(JobArg),
    /// Open a job's page in a browser, signed in.
    #[command(after_help = "Examples:\n  pullyard jobs open 7F2K\n  pullyard jobs open @last")]
    Open(JobArg),
    Logs(logs::Logs),
    /// Print what a job reports: its answer, or the findings of its review.
    #[command(after_help = "Examples:\n  pullyard jobs output 7F2K\n  pullyard jobs output @last --json")]
    Output(JobArg),
    Artifacts(artifacts::List),
    Diff(artifacts::Diff),
    Checks(checks::Show),
    /// Print the exact prompt that the agent received.
    #[command(after_help = "Examples:\n  pullyard jobs context 7F2K\n  pullyard jobs context @last --json")]
    Context(JobArg),
    /// Show agent, model, session and usage of each attempt.
    #[command(after_help = "Examples:\n  pullyard jobs provenance 7F2K\n  pullyard jobs provenance @last --json")]
    Provenance(JobArg),
    Cancel(cancel::Cancel),
    /// Pause a job and free its slot; `pullyard jobs continue` resumes it.
    #[command(after_help = "Examples:\n  pullyard jobs pause 7F2K\n  pullyard jobs pause @last --json")]
    Pause(JobArg),
    /// Resume a paused job.
    #[command(after_help = "Examples:\n  pullyard jobs continue 7F2K\n  pullyard jobs continue @last --json")]
    Continue(JobArg),
    /// Answer the agent's question; the job then resumes.
    #[command(after_help = "Examples:
  pullyard jobs answer 7F2K 'use an empty list'
  pullyard jobs answer @last - < answer.md")]
    Answer(answer::Message),
    /// Send a message to a job's agent, even while it works.
    ///
    /// The agent reads it before its next model request or at the end of its turn. A `command` agent gets it when it
    /// starts again or after its next question.
    #[command(after_help = "Examples:
  pullyard jobs send 7F2K 'leave the database alone'
  pullyard jobs send @last 'and keep the old name as an alias'
  git diff | pullyard jobs send 7F2K -")]
    Send(answer::Message),
    Retry(retry::Retry),
}

impl Jobs {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if self.command.is_some() && self.list != list::List::default() {
            return Err(CliError::usage("a flag of `jobs list` precedes another command")
                .with_help("write it after the command: `pullyard jobs list --status failed`"));
        }
        match self.command.unwrap_or(Command::List(self.list)) {
            Command::List(list) => list.run(session).await,
            Command::Show(job) => show::show(session, &job.resolve(session).await?).await,
            Command::Create(create) => create.run(session).await,
            Command::Watch(job) => watch::watch(session, &job.resolve(session).await?).await,
            Command::Open(job) => open::open_job(session, &job.resolve(session).await?).await,
            Command::Logs(logs) => logs.run(session).await,
            Command::Output(job) => output::print_output(session, &job.resolve(session).await?).await,
            Command::Artifacts(artifacts) => artifacts.run(session).await,
            Command::Diff(diff) => diff.run(session).await,
            Command::Checks(checks) => checks.run(session).await,
            Command::Context(job) => provenance::context(session, &job.resolve(session).await?).await,
            Command::Provenance(job) => provenance(session, &job.resolve(session).await?).await,
            Command::Cancel(cancel) => cancel.run(session).await,
            Command::Pause(job) => pause::pause(session, &job.resolve(session).await?).await,
            Command::Continue(job) => pause::continue_job(session, &job.resolve(session).await?).await,
            Command::Answer(message) | Command::Send(message) => message.run(session).await,
            Command::Retry(retry) => retry.run(session).await,
        }
    }
}

async fn ensure_attempt_exists(session: &Session, id: &JobId, attempt: Option<u32>) -> Result<(), CliError> {
    match attempt {
        Some(attempt) => check_attempt(&session.api.job(id).await?, attempt),
        None => Ok(()),
    }
}

fn check_attempt(job: &Job, attempt: u32) -> Result<(), CliError> {
    let attempts = match job.attempt {
        newest if attempt <= newest => return Ok(()),
        0 => "it has none".to_owned(),
        1 => "it has attempt 1 only".to_owned(),
        newest => format!("it has attempts 1 to {newest}"),
    };
    Err(CliError::not_found(format!("job {} has no attempt {attempt}; {attempts}", job.id.short())))
}

fn describe_subject(id: &JobId, attempt: Option<u32>) -> String {
    match attempt {
        Some(attempt) => format!("attempt {attempt} of job {}", id.short()),
        None => format!("job {}", id.short()),
    }
}
