//! Writes the end of a job.

use crate::notify::notice_of_job;
use crate::review::set_job_of_unread_reviews;
use crate::{Context, Error};
use pullyard_domain::job::{AgentReport, AttemptEnd, AttemptRecord, Input, Job, JobKind, JobStatus};
use pullyard_domain::project::spending::Spending;
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::review::analysis::Analysis;
use pullyard_domain::review::outcome::{
    pull_request_after_review, pull_request_after_revision, ticket_after_close, ticket_after_job,
};
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::pull_request::PullRequest;
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_store::{Error as StoreError, JobWrite, RunnerCondition, Write};

/// Further parts of the write that ends a job. Empty if the runner did not report the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteParts<'a> {
    /// The runner's report on its work, for the attempt's record.
    pub(crate) work: Option<&'a AgentReport>,
    pub(crate) spent_usd_micros: Option<u64>,
    /// The output of a job that completes.
    pub(crate) output: Option<&'a JobOutput>,
    pub(crate) input: Option<&'a Input>,
    /// The closed pull request whose event ends the job, and the project's settings.
    pub(crate) closed: Option<(&'a PullRequest, &'a Settings)>,
    /// A condition on the runner's state; by default none.
    pub(crate) runner: Option<RunnerCondition>,
}

/// Writes an ended job with its ticket, attempt and pull request in one transaction.
pub(crate) async fn write_end(
    ctx: &Context,
    before: &Job,
    ended: &Job,
    parts: WriteParts<'_>,
    now: Timestamp,
) -> Result<Write, Error> {
    if before.status == JobStatus::Pending {
        set_job_of_unread_reviews(ctx, before).await?;
    }
    let attempt = ended_attempt(before, ended.attempt_end(), parts, now);
    let change_ticket = |ticket: &Ticket| {
        let ticket = ticket_after_job(ended, ticket);
        let moved = parts.closed.and_then(|(closed, settings)| ticket_after_close(closed, &ticket, &settings.statuses));
        Some(moved.unwrap_or(ticket))
    };
    let project = match ctx.store.load_project(&ended.project).await {
        // Settling reports it; the job ends without a notice.
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(job.id = %ended.id, error = %error, "no notice of a job's end");
            None
        }
        project => project?,
    };
    let ticket = load_changed_ticket(ctx, ended, project.as_ref(), change_ticket).await?;
    let notice = notice_of_job(ctx, project.as_ref(), before, ended);
    let pull_request = load_changed_pull_request(ctx, ended, parts, now).await?;
    let analysis = load_changed_analysis(ctx, ended, parts, now).await?;
    let refund = match ended.refund() {
        // The budget of a past day may be deleted already; it is not read again.
        Some(refund) if ctx.store.load_budget(&refund.project, refund.day).await?.is_some() => Some(refund),
        _ => None,
    };
    let spending = load_settled_spending(ctx, ended).await?;
    let write = ctx
        .store
        .write_job(&JobWrite {
            before,
            job: ended,
            attempt: attempt.as_ref(),
            output: parts.output,
            ticket: ticket.as_ref(),
            pull_request: pull_request.as_ref(),
            analysis: analysis.as_ref(),
            refund: refund.as_ref(),
            spending: spending.as_ref(),
            input: None,
            notice: notice.as_ref(),
            runner: parts.runner.unwrap_or(RunnerCondition::Exists),
        })
        .await?;
    if write == Write::Applied {
        if let Some(key) = ended.ticket.as_ref().filter(|_| ticket.is_none()) {
            // An earlier end would have changed the ticket's revision and refused the write, so this job locks it.
            tracing::warn!(job.id = %ended.id, ticket = %key, "ticket of a finished job not locked by it");
        }
        ctx.counters().count_end(ended.status);
        tracing::info!(
            job.id = %ended.id,
            attempt = ended.attempt,
            status = ended.status.label(),
            failure = ended.failure.as_ref().map(Failure::code),
            "job finished"
        );
        ctx.send_hints(async {
            if let Some(ticket) = ticket.as_ref().filter(|ticket| needs_settling(ticket, now)) {
                ctx.wake_ticket(&ticket.project, &ticket.key).await;
            }
            if let Some(pull_request) = pull_request.as_ref().filter(|linked| linked.is_note_outdated()) {
                ctx.wake_pull_request(&pull_request.id).await;
            }
            if let Some(notice) = &notice {
                ctx.wake_notice(notice).await;
            }
            if let Some(run) = ended.unnoted_run() {
                ctx.wake_run(run).await;
            }
            if ended.may_have_orphaned_task() || ended.has_left_its_place() {
                // Only the dispatcher stops tasks and assigns places. If the hint is lost, the sweeper sends it.
                ctx.wake_job(&ended.id).await;
            }
        })
        .await;
    }
    Ok(write)
}

/// Loads the spending that the ended job counted in, and replaces its reservation by its cost.
async fn load_settled_spending(ctx: &Context, ended: &Job) -> Result<Option<Spending>, Error> {
    let Some(charge) = ended.ended_charge() else { return Ok(None) };
    let stored = ctx.store.load_spending(&ended.project, &charge.of).await?;
    Ok(stored.map(|spending| spending.settle(ended, charge)))
}

/// Loads the ticket that the job locks, and applies `change`. Also updates its card, because the board is in the table
/// and settling has no tool to call.
pub(crate) async fn load_changed_ticket(
    ctx: &Context,
    job: &Job,
    project: Option<&Project>,
    change: impl FnOnce(&Ticket) -> Option<Ticket>,
) -> Result<Option<Ticket>, Error> {
    let Some(key) = &job.ticket else { return Ok(None) };
    let is_locked = |ticket: &Ticket| ticket.active_job.as_ref() == Some(&job.id);
    let ticket = ctx.store.load_ticket(&job.project, key).await?.filter(is_locked);
    let Some(ticket) = ticket.and_then(|ticket| change(&ticket)) else { return Ok(None) };
    if !ticket.is_unsynced() {
        return Ok(Some(ticket));
    }
    // The write has no condition on the settings: a concurrent change may count or not.
    Ok(Some(match project {
        Some(project) => ticket.mark_synced(&project.settings),
        // The ticket stays due, and settling reports the missing project.
        None => ticket,
    }))
}

fn needs_settling(ticket: &Ticket, now: Timestamp) -> bool {
    match due::ticket(ticket) {
        Some(Due::At(at)) => at <= now,
        Some(Due::Held { .. } | Due::Ready { .. } | Due::Limited { .. }) => true,
        None => false,
    }
}

pub(crate) fn ended_attempt(
    before: &Job,
    ended: AttemptEnd,
    parts: WriteParts<'_>,
    now: Timestamp,
) -> Option<AttemptRecord> {
    Some(AttemptRecord {
        run: before.run.clone().filter(|_| before.status.is_active())?,
        job: before.id.clone(),
        number: before.attempt,
        ended_at: now,
        ended,
        work: parts.work.cloned(),
        spent_usd_micros: parts.spent_usd_micros,
    })
}

async fn load_changed_pull_request(
    ctx: &Context,
    ended: &Job,
    parts: WriteParts<'_>,
    now: Timestamp,
) -> Result<Option<PullRequest>, Error> {
    let Some(id) = ended.pull_request() else { return load_linked_pull_request(ctx, ended).await };
    if ended.kind.reviews() {
        let posted = match parts.output {
            Some(JobOutput::Review(posted)) => Some(posted),
            Some(JobOutput::Read(_) | JobOutput::Analysis(_)) | None => None,
        };
        let stored = match parts.closed {
            Some((current, _)) => Some(current.clone()),
            // Another project may have linked it since.
            None => ctx.store.load_pull_request(&id).await?.filter(|stored| stored.project == ended.project),
        };
        return Ok(stored.map(|stored| pull_request_after_review(ended, posted, &stored, now)));
    }
    if let Some((current, _)) = parts.closed {
        return Ok(Some(pull_request_after_revision(ended, current)));
    }
    let linked = load_linked_pull_request(ctx, ended).await?;
    // The pull request is older than the job, so it exists even if the job has no result.
    let stored = if linked.is_some() { linked } else { ctx.store.load_pull_request(&id).await? };
    // Another project may have linked it since.
    let stored = stored.filter(|stored| stored.project == ended.project);
    Ok(stored.map(|stored| pull_request_after_revision(ended, &stored)))
}

/// Loads the analyses of the repository that the job analyses. A removed repository has none.
async fn load_changed_analysis(
    ctx: &Context,
    ended: &Job,
    parts: WriteParts<'_>,
    now: Timestamp,
) -> Result<Option<Analysis>, Error> {
    if ended.kind != JobKind::Analysis {
        return Ok(None);
    }
    let report = match parts.output {
        Some(JobOutput::Analysis(report)) => Some(report),
        Some(JobOutput::Read(_) | JobOutput::Review(_)) | None => None,
    };
    let stored = ctx.store.load_analysis(&ended.project, &ended.integration, ended.repository).await?;
    let active = stored.filter(|stored| stored.active_job.as_ref() == Some(&ended.id));
    Ok(active.map(|stored| stored.end(ended, report, now)))
}

/// Returns the link of a job's pull request. Another ticket's link does not change and does not block the job's end.
pub(crate) async fn load_linked_pull_request(ctx: &Context, job: &Job) -> Result<Option<PullRequest>, Error> {
    let Some(result) = &job.result else { return Ok(None) };
    let id = result.pull_request(&job.integration, job.repository);
    let is_foreign = |stored: &PullRequest| {
        // A review may have stored the pull request before the job that opened it ended.
        let is_new = stored.is_only_reviewed() && job.revises.is_none() && job.continues.is_none();
        stored.project != job.project || !is_new && stored.ticket != job.ticket
    };
    let mut stored = ctx.store.load_pull_request(&id).await?;
    // Another project that connects the repository only wanted to review it.
    if let Some(other) = stored.as_mut().filter(|stored| stored.project != job.project && stored.is_never_reviewed()) {
        let rev = other.rev;
        *other = PullRequest { rev, ..PullRequest::new(id.clone(), job.project.clone(), None, None) };
    }
    if stored.as_ref().is_some_and(is_foreign) {
        tracing::warn!(job.id = %job.id, number = id.number, "pull request already linked to another ticket");
        return Ok(None);
    }
    let mut pull_request =
        stored.unwrap_or_else(|| PullRequest::new(id, job.project.clone(), job.ticket.clone(), None));
    pull_request.ticket.clone_from(&job.ticket);
    pull_request.job = Some(job.id.clone());
    if pull_request.repository_name.is_none() {
        // A link without a name could not be listed.
        pull_request.repository_name = ctx.load_repository_of(job).await?.map(|repository| repository.name);
    }
    pull_request.url.clone_from(&result.url);
    pull_request.branch.clone_from(&result.branch);
    pull_request.head.clone_from(&result.head);
    Ok(Some(pull_request))
}
