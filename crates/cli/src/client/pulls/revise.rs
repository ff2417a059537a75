//! `pullyard revise`: requests a revision of a pull request.

use super::request::RequestArgs;
use crate::client::jobs::print_decision;
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{DeliveryId, JobId};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::pull_request::{PullRequestQuery, RevisePullRequest};
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
    request: RequestArgs,
}

impl Revise {
    pub(in crate::client) async fn run(self, session: &Session) -> Result<(), CliError> {
        let RequestArgs { pull_request, wait, .. } = &self.request;
        let (message, key) = (self.request.message()?, self.request.key());
        request_revision(session, pull_request.resolve(session).await?, message, &key, *wait).await
    }
}

pub(super) async fn request_revision(
    session: &Session,
    which: PullRequestQuery,
    message: Option<String>,
    key: &str,
    wait: bool,
) -> Result<(), CliError> {
    let PullRequestQuery { project, repository, number, integration } = which;
    let request = RevisePullRequest { project, repository, number, integration, message };
    let decision = session.api.revise_pull_request(&request, Some(key)).await?;
    if decision.verdict == Verdict::Held {
        return follow_held_request(session, &decision, wait).await;
    }
    print_decision(session, &decision, wait).await
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
