//! `pullyard revise`: requests a revision of a pull request.

use super::PullRequestArgs;
use crate::client::jobs::print_decision;
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{DeliveryId, JobId};
use pullyard_domain::review::MAX_MESSAGE_CHARS;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::pull_request::{PullRequestQuery, RevisePullRequest};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Request a revision of an open pull request; prints the job's id.
///
/// Works like a review that requests changes, also on your own pull request, and does not wait for the hour between two
/// revisions. While a job works on the ticket, the request waits for its end.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard revise https://github.com/acme/app/pull/7 -m 'Say it in French, too.'
  pullyard revise acme/app#7 --message-file notes.md --wait
  echo 'Add a test.' | pullyard revise '#7' --message-file -")]
pub(crate) struct Revise {
    #[command(flatten)]
    pull_request: PullRequestArgs,
    /// Instructions, in addition to the reviews.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "message_file")]
    message: Option<String>,
    /// Read the instructions from a file; - is stdin.
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// Follow the job until it ends; exits with 6 if it failed or was cancelled.
    #[arg(long, visible_alias = "watch")]
    wait: bool,
    /// Key of this request; repeating it returns the same job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Revise {
    pub(in crate::client) async fn run(self, session: &Session) -> Result<(), CliError> {
        let message = match (self.message, &self.message_file) {
            (Some(message), _) => Some(message),
            (None, Some(file)) => Some(read_message(file)?),
            (None, None) => None,
        };
        let PullRequestQuery { project, repository, number, integration } = self.pull_request.resolve(session).await?;
        let request = RevisePullRequest { project, repository, number, integration, message };
        let key = self.idempotency_key.unwrap_or_else(format::new_idempotency_key);
        let decision = session.api.revise_pull_request(&request, Some(&key)).await?;
        if decision.verdict == Verdict::Held {
            return follow_held_request(session, &decision, self.wait).await;
        }
        print_decision(session, &decision, self.wait).await
    }
}

/// Waits for the job of a held request, if wanted. The active job is another, so its id is not printed.
async fn follow_held_request(session: &Session, decision: &Decision, wait: bool) -> Result<(), CliError> {
    let screen = &session.screen;
    screen.note(&decision.sentence);
    if !wait {
        if screen.is_json() {
            screen.json(decision)?;
        }
        return Ok(());
    }
    let job = tokio::select! {
        job = wait_for_job(session, &decision.delivery) => job?,
        _ = tokio::signal::ctrl_c() => return Err(CliError::interrupted(screen, "the request keeps waiting")),
    };
    if !screen.is_json() {
        screen.print_line(job.as_str())?;
    }
    watch::watch(session, &job).await
}

async fn wait_for_job(session: &Session, request: &DeliveryId) -> Result<JobId, CliError> {
    loop {
        let entry = session.api.delivery(request).await?;
        match (entry.job, entry.verdict) {
            (Some(job), _) => return Ok(job),
            (None, Verdict::Held | Verdict::Accepted) => tokio::time::sleep(POLL_INTERVAL).await,
            (None, _) => {
                let sentence = entry.sentence.trim_end_matches('.').to_owned();
                return Err(CliError::new(Exit::Refused, format!("{sentence} ({})", entry.code)).with_help(entry.help));
            }
        }
    }
}

fn read_message(file: &Path) -> Result<String, CliError> {
    let path = file.display();
    let failed = |error: std::io::Error| CliError::failed(format!("can't read {path}: {error}"));
    let mut bytes = Vec::new();
    // At most four bytes per character, and one more to detect excess.
    let limit = MAX_MESSAGE_CHARS as u64 * 4 + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(file).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    let text = String::from_utf8(bytes).map_err(|_| CliError::usage(format!("{path} is not UTF-8 text")))?;
    let text = text.trim_end();
    if text.trim().is_empty() {
        return Err(CliError::usage(format!("{path} is empty")));
    }
    if text.chars().count() > MAX_MESSAGE_CHARS {
        return Err(CliError::usage(format!("{path} has more than {MAX_MESSAGE_CHARS} characters")));
    }
    Ok(text.to_owned())
}
