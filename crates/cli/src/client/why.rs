//! `pullyard why`: explains a job, a ticket, a pull request or a delivery in one sentence.

use super::fault::Fault;
use super::fault::NOTHING;
use super::pulls;
use super::screen::tame;
use super::session::Session;
use super::words;
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{DeliveryId, JobId, ProjectId, TicketKey};
use pullyard_protocol::delivery::{Delivery, DeliveryQuery};
use pullyard_protocol::job::Job;
use pullyard_protocol::pull::PullRequestName;
use pullyard_protocol::ticket::Ticket;
use serde::Serialize;
use std::process::ExitCode;

/// How far back a ticket's deliveries are searched. Units: pages, each of 500 searched deliveries.
const PAGES: usize = 4;

/// Explain the state of a job, ticket, pull request or delivery in one sentence.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard why DEMO-2
  pullyard why https://github.com/acme/app/pull/7
  pullyard why @last")]
pub(crate) struct Why {
    /// Ticket key, job id, delivery id, or pull request (URL, OWNER/NAME#7 or #7).
    #[arg(value_name = "JOB|TICKET|PR|DELIVERY")]
    what: String,
}

impl Why {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let what = self.what.as_str();
        if let Ok(delivery) = what.parse::<DeliveryId>() {
            delivery_said(session, "", &session.api.delivery(&delivery).await?)?;
        } else if PullRequestName::parse(what).is_some_and(|name| name.host.is_some()) {
            pulls::why(session, what).await?;
        } else if what == "@last" || what.to_lowercase().starts_with("job_") {
            job(session, "", &session.job(what).await?).await?;
        } else {
            ticket_or_job(session, what).await?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Tries the ticket first, because a ticket's key may have any form.
async fn ticket_or_job(session: &Session, what: &str) -> Result<(), Fault> {
    let project = session.project().await?;
    if let Ok(key) = what.parse::<TicketKey>() {
        match session.api.ticket(&project, &key).await.map_err(Fault::from) {
            Ok(found) => return ticket(session, &project, &found).await,
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
    }
    if PullRequestName::is_plain(what) {
        return pulls::why(session, what).await;
    }
    match session.job(what).await {
        Ok(id) => job(session, "", &id).await,
        Err(fault) if fault.is_not_found() => Err(Fault::not_found(format!(
            "there is no ticket, job, pull request or delivery {what} in project {project}"
        ))
        .help("`pullyard tickets list`, `pullyard jobs` and `pullyard deliveries` list them")),
        Err(fault) => Err(fault),
    }
}

async fn job(session: &Session, before: &str, id: &JobId) -> Result<(), Fault> {
    let why = session.api.why(id).await?;
    say(session, &format!("{before}{}", why.sentence), &words::about_job(&why.help, id), &why)
}

/// Explains the first that applies: the active job, the wait, a later refusal, the last job, the last decision.
async fn ticket(session: &Session, project: &ProjectId, ticket: &Ticket) -> Result<(), Fault> {
    if let Some(active) = &ticket.active_job {
        return job(session, &format!("Job {}: ", active.short()), active).await;
    }
    if let Some(waits) = &ticket.waits {
        return say(session, &format!("{} waits: {}", ticket.key, waits.sentence), &waits.help, ticket);
    }
    let newest = newest_about(session, project, &ticket.key, None).await?;
    let Some(last) = last_made(session, project, ticket, newest.as_ref()).await? else {
        return match newest {
            Some(delivery) => no_job(session, ticket, &delivery),
            None => say(
                session,
                &format!("No event of the last 30 days requested a job for {}.", ticket.key),
                NOTHING,
                ticket,
            ),
        };
    };
    let refused = |delivery: &Delivery| matches!(delivery.verdict, Verdict::Refused | Verdict::Held);
    if let Some(delivery) = newest.filter(refused)
        && last.ended.is_some_and(|ended| delivery.at > ended)
    {
        return no_job(session, ticket, &delivery);
    }
    job(session, &format!("Job {}: ", last.id.short()), &last.id).await
}

async fn last_made(
    session: &Session,
    project: &ProjectId,
    ticket: &Ticket,
    newest: Option<&Delivery>,
) -> Result<Option<Job>, Fault> {
    let made = match newest {
        None => None,
        Some(newest) if newest.verdict == Verdict::Accepted => newest.job.clone(),
        Some(_) => {
            newest_about(session, project, &ticket.key, Some(Verdict::Accepted)).await?.and_then(|made| made.job)
        }
    };
    let made = made.filter(|made| ticket.last_job.as_ref() != Some(made));
    let mut last: Option<Job> = None;
    for id in [made, ticket.last_job.clone()].into_iter().flatten() {
        let job = session.api.job(&id).await?;
        if last.as_ref().is_none_or(|last| job.created > last.created) {
            last = Some(job);
        }
    }
    Ok(last)
}

fn no_job(session: &Session, ticket: &Ticket, delivery: &Delivery) -> Result<(), Fault> {
    let asked = match &delivery.review {
        Some(subject) if subject.review.is_some() => format!("the last request to revise {}", subject.pull_request),
        _ => ticket.key.to_string(),
    };
    delivery_said(session, &format!("No job was started for {asked}: "), delivery)
}

async fn newest_about(
    session: &Session,
    project: &ProjectId,
    key: &TicketKey,
    verdict: Option<Verdict>,
) -> Result<Option<Delivery>, Fault> {
    let verdicts = verdict.into_iter().collect();
    let mut query = DeliveryQuery { ticket: Some(key.clone()), verdicts, limit: Some(1), ..DeliveryQuery::default() };
    for _ in 0..PAGES {
        let page = session.api.deliveries_asked(project, &query).await?;
        if let Some(found) = page.deliveries.into_iter().next() {
            return Ok(Some(found));
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    Ok(None)
}

fn delivery_said(session: &Session, before: &str, delivery: &Delivery) -> Result<(), Fault> {
    say(session, &format!("{before}{}", delivery.sentence), &delivery.help, delivery)
}

fn say(session: &Session, sentence: &str, help: &str, body: &impl Serialize) -> Result<(), Fault> {
    if session.screen.is_json() {
        return session.screen.json(body);
    }
    session.screen.out(&tame(sentence))?;
    session.screen.hint(help);
    Ok(())
}
