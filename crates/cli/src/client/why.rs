//! `pullyard why`: explains a job, a run or its step, a ticket, a pull request or a delivery in one sentence.

use super::explain_job::explain_job;
use super::fault::NOTHING_TO_DO;
use super::{pulls, runs};
use crate::client::prelude::*;
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{DeliveryId, ProjectId, TicketKey};
use pullyard_protocol::delivery::{Delivery, DeliveryQuery};
use pullyard_protocol::job::Job;
use pullyard_protocol::pull_request::PullRequestName;
use pullyard_protocol::ticket::Ticket;

/// How far back a ticket's deliveries are searched. Units: pages, each of 500 searched deliveries.
const MAX_PAGES: usize = 4;

/// Explain the state of a job, run, step of a run, ticket, pull request or delivery in one sentence.
///
/// If a job and a run have the same last characters, the job is explained; `pullyard runs why` explains the run.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard why DEMO-2
  pullyard why https://github.com/acme/app/pull/7
  pullyard why K3TZ/review
  pullyard why @last")]
pub(crate) struct Why {
    /// Ticket key, job id, run id, RUN/STEP, delivery id, or pull request (URL, OWNER/NAME#7 or #7).
    #[arg(value_name = "JOB|RUN[/STEP]|TICKET|PR|DELIVERY")]
    subject: String,
}

impl Why {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let subject = self.subject.as_str();
        if let Ok(delivery) = subject.parse::<DeliveryId>() {
            explain_delivery(session, "", &session.api.delivery(&delivery).await?)
        } else if PullRequestName::parse(subject).is_some_and(|name| name.host.is_some()) {
            pulls::explain(session, subject).await
        } else if subject.to_lowercase().starts_with("run_") || subject.starts_with("@last/") {
            runs::explain(session, subject).await
        } else if subject == "@last" || subject.to_lowercase().starts_with("job_") {
            explain_job(session, "", &session.resolve_job(subject).await?).await
        } else {
            explain_ticket_or_job(session, subject).await
        }
    }
}

/// Tries the ticket first, because a ticket's key may have any form, and the run last.
async fn explain_ticket_or_job(session: &Session, subject: &str) -> Result<(), CliError> {
    let project = session.project().await?;
    if let Ok(key) = subject.parse::<TicketKey>() {
        match session.api.ticket(&project, &key).await.map_err(CliError::from) {
            Ok(ticket) => return explain_ticket(session, &project, &ticket).await,
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
    }
    if PullRequestName::is_unambiguous(subject) {
        return pulls::explain(session, subject).await;
    }
    if !subject.contains('/') {
        match session.resolve_job(subject).await {
            Ok(id) => return explain_job(session, "", &id).await,
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
    }
    let run = subject.split('/').next().unwrap_or_default();
    match session.resolve_run(run).await {
        Ok(id) => runs::explain(session, &subject.replacen(run, id.as_str(), 1)).await,
        Err(fault) if fault.is_not_found() => Err(CliError::not_found(format!(
            "there is no ticket, job, run, pull request or delivery {subject} in project {project}"
        ))
        .with_help("`pullyard tickets list`, `pullyard jobs`, `pullyard runs` and `pullyard deliveries` list them")),
        Err(fault) => Err(fault),
    }
}

/// Explains the first that applies: the active job, the wait, a later refusal, the last job, the last decision.
async fn explain_ticket(session: &Session, project: &ProjectId, ticket: &Ticket) -> Result<(), CliError> {
    if let Some(active) = &ticket.active_job {
        return explain_job(session, &format!("Job {}: ", active.short()), active).await;
    }
    if let Some(waits) = &ticket.waits {
        let sentence = format!("{} waits: {}", ticket.key, waits.sentence);
        return session.screen.explain(ticket, &sentence, &waits.help);
    }
    if let Some(note) = &ticket.sync_note {
        return session.screen.explain(ticket, note, &format!("`pullyard tickets sync {}` tries again.", ticket.key));
    }
    let newest = newest_delivery(session, project, &ticket.key, None).await?;
    let Some(last) = last_job(session, project, ticket, newest.as_ref()).await? else {
        return match newest {
            Some(delivery) => explain_no_job(session, ticket, &delivery),
            None => {
                let sentence = format!("No event of the last 30 days requested a job for {}.", ticket.key);
                session.screen.explain(ticket, &sentence, NOTHING_TO_DO)
            }
        };
    };
    let is_refused = |delivery: &Delivery| matches!(delivery.verdict, Verdict::Refused | Verdict::Held);
    if let Some(delivery) = newest.filter(is_refused)
        && last.ended.is_some_and(|ended| delivery.at > ended)
    {
        return explain_no_job(session, ticket, &delivery);
    }
    explain_job(session, &format!("Job {}: ", last.id.short()), &last.id).await
}

async fn last_job(
    session: &Session,
    project: &ProjectId,
    ticket: &Ticket,
    newest: Option<&Delivery>,
) -> Result<Option<Job>, CliError> {
    let accepted = match newest {
        None => None,
        Some(newest) if newest.verdict == Verdict::Accepted => newest.job.clone(),
        Some(_) => newest_delivery(session, project, &ticket.key, Some(Verdict::Accepted))
            .await?
            .and_then(|accepted| accepted.job),
    };
    let accepted = accepted.filter(|accepted| ticket.last_job.as_ref() != Some(accepted));
    let mut last: Option<Job> = None;
    for id in [accepted, ticket.last_job.clone()].into_iter().flatten() {
        let job = session.api.job(&id).await?;
        if last.as_ref().is_none_or(|last| job.created > last.created) {
            last = Some(job);
        }
    }
    Ok(last)
}

fn explain_no_job(session: &Session, ticket: &Ticket, delivery: &Delivery) -> Result<(), CliError> {
    let description = match &delivery.review {
        Some(subject) if subject.review.is_some() => format!("the last request to revise {}", subject.pull_request),
        _ => ticket.key.to_string(),
    };
    explain_delivery(session, &format!("No job was started for {description}: "), delivery)
}

async fn newest_delivery(
    session: &Session,
    project: &ProjectId,
    key: &TicketKey,
    verdict: Option<Verdict>,
) -> Result<Option<Delivery>, CliError> {
    let verdicts = verdict.into_iter().collect();
    let mut query = DeliveryQuery { ticket: Some(key.clone()), verdicts, limit: Some(1), ..DeliveryQuery::default() };
    for _ in 0..MAX_PAGES {
        let page = session.api.list_deliveries_matching(project, &query).await?;
        if let Some(delivery) = page.deliveries.into_iter().next() {
            return Ok(Some(delivery));
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    Ok(None)
}

fn explain_delivery(session: &Session, prefix: &str, delivery: &Delivery) -> Result<(), CliError> {
    session.screen.explain(delivery, &format!("{prefix}{}", delivery.sentence), &delivery.help)
}
