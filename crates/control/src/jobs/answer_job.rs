//! Stores a user's input for a job's agent, such as the answer to its question.

use crate::jobs::finish_job::WriteParts;
use crate::jobs::places::await_place;
use crate::jobs::suspension::write_suspension;
use crate::requester::Requester;
use crate::{Context, Error};
use pullyard_domain::job::{AttemptEnd, Job};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{EventId, JobId};
use pullyard_store::Write;

/// Stores an input of a job, for the API and the page of a job. A job in AwaitingInput or Paused becomes Ready; in any
/// other status, only its number of inputs rises.
/// Idempotent: with a key, by caller and key; a repeat stores no second input.
/// Errors: `NotFound`; `KeyReused`; `Contended`; `Denied` if the job has ended, is being cancelled or accepts no more, or if
/// its agent would not read the input.
pub async fn answer_job(
    ctx: &Context,
    id: &JobId,
    text: &str,
    caller: &Requester,
    key: Option<EventId>,
) -> Result<Job, Error> {
    // A generated key lets a later round find the input of a write whose answer was lost.
    let key = format!("{}#{}", caller.id, key.map_or_else(|| ctx.clock.ulid(), |key| key.to_string()));
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let job = ctx.load_job(id).await?;
        let input = job.new_input(&caller.name, text, Some(key.clone()), now);
        // Listed after the job is loaded: an input that is stored later raises the job's rev, so the write below fails.
        let inputs = ctx.store.list_inputs(id, 0).await?;
        if let Some(existing) = inputs.iter().find(|existing| existing.key.as_ref() == Some(&key)) {
            return if existing.text == input.text { Ok(job) } else { Err(Error::KeyReused) };
        }
        if job.status.is_active() {
            // A start raises the job's rev, so that an agent which starts meanwhile makes the write below stale.
            let agent = ctx.load_context_of(&job).await?.repository.agent;
            if let Some(denial) = Denial::for_message(&job, &agent.capability) {
                return Err(Error::Denied(denial));
            }
        }
        let next = match job.resume_with_input(now) {
            Ok(next) => await_place(ctx, &job, next).await?,
            Err(refusal) => return Err(Error::from_denial(Denial::for_continue(&job, &refusal), refusal, now)),
        };
        let parts = WriteParts { input: Some(&input), ..WriteParts::default() };
        // An input never ends an attempt, so the attempt's end is unused.
        if write_suspension(ctx, &job, &next, AttemptEnd::Paused {}, parts, now).await? == Write::Applied {
            tracing::info!(job.id = %id, caller = caller.id, input = input.seq, "input added to job");
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}
