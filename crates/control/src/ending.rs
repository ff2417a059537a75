//! Writing the end of a job, whoever decided it, and putting one back.

use crate::tally::Count;
use crate::{Context, Error};
use pullyard_domain::failure::Failure;
use pullyard_domain::job::{Attempt, AttemptEnd, Job, Place, Status};
use pullyard_domain::outcome::{pull_request_after, ticket_after};
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Ended, Proof, Write};

/// Writes an ended job: with its ticket, its attempt and its pull request, or not at all.
///
/// `proof` is what must still be so of its self-hosted runner.
pub(crate) async fn write_end(
    ctx: &Context,
    before: &Job,
    ended: &Job,
    proof: Proof,
    now: Timestamp,
) -> Result<Write, Error> {
    let attempt = attempt_of(before, ended.attempt_end(), now);
    let ticket = match &ended.ticket {
        None => None,
        Some(key) => {
            let ticket = ctx.store.ticket(&ended.project, key).await?;
            let ticket = ticket.filter(|ticket| ticket.active_job.as_ref() == Some(&ended.id));
            ticket.map(|ticket| ticket_after(ended, &ticket))
        }
    };
    let pull_request = match ended.pull_request() {
        // It exists since before the job did, whatever became of that.
        Some(id) => {
            let stored = pull_request_of(ctx, ended).await?;
            let stored = if stored.is_some() { stored } else { ctx.store.pull_request(&id).await? };
            stored.map(|stored| pull_request_after(ended, &stored))
        }
        None => pull_request_of(ctx, ended).await?,
    };
    let returned = match ended.returned() {
        // A day that is long ago is forgotten; nobody asks for it any more.
        Some(returned) if ctx.store.budget(&returned.project, returned.day).await?.is_some() => Some(returned),
        _ => None,
    };
    let written = ctx
        .store
        .end(&Ended {
            before,
            job: ended,
            attempt: attempt.as_ref(),
            ticket: ticket.as_ref(),
            pull_request: pull_request.as_ref(),
            returned: returned.as_ref(),
            proof,
        })
        .await?;
    if written == Write::Applied {
        if let Some(key) = ended.ticket.as_ref().filter(|_| ticket.is_none()) {
            // The invariant says that it is locked by this job. Had the job been ended between our two
            // reads, its revision would have refused the write.
            tracing::warn!(job.id = %ended.id, ticket = %key, "the ticket of a job that ended was not locked by it");
        }
        ctx.tally().ended(ended.status);
        tracing::info!(
            job.id = %ended.id,
            attempt = ended.attempt,
            status = ended.status.words(),
            failure = ended.failure.as_ref().map(Failure::code),
            "a job ended"
        );
        if let Some(ticket) = &ticket {
            ctx.wake_ticket(&ticket.project, &ticket.key).await;
        }
        if let Some(pull_request) = pull_request.as_ref().filter(|told| told.is_untold()) {
            ctx.wake_pull_request(&pull_request.id).await;
        }
        if ended.status == Status::Cancelled && ended.ended_by.as_ref().is_some_and(|by| by.finish.is_none()) {
            stop_tasks(ctx, before).await;
        }
    }
    Ok(written)
}

/// Writes a job that goes back to Ready, and wakes it where somebody has to start it. One that its people
/// want to stop has ended instead.
pub(crate) async fn write_requeue(
    ctx: &Context,
    before: &Job,
    job: &Job,
    failure: Failure,
    proof: Proof,
    now: Timestamp,
) -> Result<Write, Error> {
    if job.status.is_terminal() {
        return write_end(ctx, before, job, proof, now).await;
    }
    let Some(attempt) = attempt_of(before, AttemptEnd::Requeued { failure: failure.clone() }, now) else {
        return Err(Error::Inconsistent("a job that nobody holds can't go back".into()));
    };
    let written = ctx.store.requeue(before, job, &attempt, proof).await?;
    if written == Write::Applied {
        ctx.tally().add(Count::JobRequeued);
        tracing::warn!(job.id = %job.id, attempt = before.attempt, failure = failure.code(), "a job was put back");
        if job.place == Place::Fargate {
            ctx.wake_job(&job.id).await;
        }
    }
    Ok(written)
}

/// Stops the tasks of a job that was cancelled, as far as they can be named. Best effort: one that goes on
/// loses its claim or its lease at its next call, and ends by itself.
pub(crate) async fn stop_tasks(ctx: &Context, job: &Job) {
    if job.place != Place::Fargate {
        return;
    }
    let held = job.run.as_ref().filter(|_| job.status.is_active()).and_then(|run| run.task.clone());
    let named = [held, job.dispatch.task.clone()].into_iter().flatten().collect::<Vec<_>>();
    let tasks = if named.is_empty() && job.dispatch.starting {
        // Asked for and not named yet: ECS knows for which job.
        ctx.tasks.of(&job.id).await
    } else {
        Ok(named)
    };
    let stopped = match tasks {
        Ok(tasks) => {
            let mut stopped = Ok(());
            for task in tasks {
                stopped = stopped.and(ctx.tasks.stop(&task, "its job was cancelled").await);
            }
            stopped
        }
        Err(error) => Err(error),
    };
    if let Err(error) = stopped {
        tracing::warn!(job.id = %job.id, error = %error, "the task of a cancelled job was not stopped; it will be refused");
    }
}

fn attempt_of(before: &Job, ended: AttemptEnd, now: Timestamp) -> Option<Attempt> {
    let run = before.run.clone().filter(|_| before.status.is_active())?;
    Some(Attempt { job: before.id.clone(), number: before.attempt, run, ended_at: now, ended })
}

/// The link of the pull request a job left behind. One that belongs to another ticket is left alone:
/// losing the link must not keep the job from ending.
pub(crate) async fn pull_request_of(ctx: &Context, job: &Job) -> Result<Option<PullRequest>, Error> {
    let Some(result) = &job.result else { return Ok(None) };
    let id = result.pull_request(&job.integration, job.repository);
    let stored = ctx.store.pull_request(&id).await?;
    let foreign = stored.as_ref().is_some_and(|stored| stored.project != job.project || stored.ticket != job.ticket);
    if foreign {
        tracing::warn!(job.id = %job.id, number = id.number, "the pull request belongs to another ticket and stays there");
        return Ok(None);
    }
    let mut pull_request =
        stored.unwrap_or_else(|| PullRequest::linked(id, job.project.clone(), job.ticket.clone(), None));
    pull_request.job = Some(job.id.clone());
    if pull_request.repository_name.is_none() {
        let repository = ctx.store.repository(&job.project, &job.integration, job.repository).await?;
        pull_request.repository_name = repository.map(|repository| repository.name);
    }
    pull_request.url.clone_from(&result.url);
    pull_request.branch.clone_from(&result.branch);
    pull_request.head.clone_from(&result.head);
    Ok(Some(pull_request))
}
