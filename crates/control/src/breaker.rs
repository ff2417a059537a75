//! The accounts of models that are left alone for a while: who may ask them, who tries first, and whose word shuts
//! them.
//!
//! Each is written by itself, before or after the job that it is about: a breaker that was not written costs one
//! more attempt, one that was written for nothing is over by itself.

use crate::tally::Count;
use crate::{Context, Error};
use pullyard_domain::breaker::{Breaker, BreakerId, By, Gate, Shown, Trouble, asked, gate};
use pullyard_domain::id::{JobId, RunnerId};
use pullyard_domain::job::{AttemptEnd, Job, Work};
use pullyard_domain::time::Timestamp;
use pullyard_store::{Error as StoreError, Write};
use std::collections::BTreeMap;

/// Breakers that were read for one decision, each once.
#[derive(Default)]
pub(crate) struct Breakers(BTreeMap<BreakerId, Option<Breaker>>);

impl Breakers {
    /// Those of these accounts that stand.
    pub(crate) async fn of(&mut self, ctx: &Context, ids: &[BreakerId]) -> Result<Vec<Breaker>, Error> {
        let mut standing = Vec::new();
        for id in ids {
            if !self.0.contains_key(id) {
                self.0.insert(id.clone(), ctx.store.breaker(id).await?);
            }
            standing.extend(self.0.get(id).cloned().flatten());
        }
        Ok(standing)
    }
}

/// These breakers as they are where an attempt that tried first was lost without a word: nobody tries. The sweeper,
/// which takes such an attempt's job away, writes no breaker; whoever takes the turn does, over what was read.
///
/// One read more for each account that is being tried. It is made after the breaker's, and strongly: a claim is noted
/// there once it is made, so that no job that tries looks as if it did not. One that can't be read is waited for, as if
/// nobody had looked: who asks another account is kept back by none of it.
pub(crate) async fn without_lost(ctx: &Context, breakers: Vec<Breaker>) -> Result<Vec<Breaker>, Error> {
    let now = ctx.clock.now();
    let mut standing = Vec::with_capacity(breakers.len());
    for breaker in breakers {
        let first = match breaker.waits_for(now) {
            Some(first) => match ctx.store.job(first).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(job.id = %first, error = %error, "the job that tries an account could not be read");
                    None
                }
                read => read?,
            },
            None => None,
        };
        let left = first.and_then(|first| breaker.left_by(&first, now));
        standing.push(left.unwrap_or(breaker));
    }
    Ok(standing)
}

/// Whether a job is the first that tries accounts which were left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is as any other.
    Any,
    /// It is, and that is written down.
    First,
    /// Another one was quicker: look again.
    Lost,
}

/// Writes down that a job tries these accounts first, where one has to. One that only adopts asks none of them, so that
/// its end would say nothing of them.
///
/// Writes: BREAKER as `Store::put_breaker` does.
/// Idempotent: by the job.
pub(crate) async fn take_turn(ctx: &Context, breakers: &[Breaker], job: &Job) -> Result<Turn, Error> {
    let now = ctx.clock.now();
    if job.adopts.is_some() || gate(breakers, &job.id, now) != Gate::First {
        return Ok(Turn::Any);
    }
    let tried = breakers.iter().filter_map(|seen| Some((seen, seen.tried_by(&job.id, now)?)));
    for (seen, tried) in tried {
        if ctx.store.put_breaker(&tried, Some(seen)).await? == Write::Stale {
            return Ok(Turn::Lost);
        }
        tracing::info!(job.id = %job.id, account = %tried.id, "a job tries an account that was left alone");
    }
    Ok(Turn::First)
}

/// The job that tries first is claimed. Best effort: unheard, another one tries ten minutes after it was let go.
pub(crate) async fn note_claimed(ctx: &Context, job: &Job) {
    note(ctx, job, Breaker::claimed_by).await;
}

/// The agent of the job that tries first begins to work. Best effort: unheard, its silence proves nothing, and another
/// one tries an hour after its claim.
pub(crate) async fn note_working(ctx: &Context, job: &Job) {
    note(ctx, job, Breaker::worked_by).await;
}

/// What is heard of a job that tries first: nothing of a breaker that it does not try, or that knows it.
type Heard = fn(&Breaker, &JobId, Timestamp) -> Option<Breaker>;

async fn note(ctx: &Context, job: &Job, heard: Heard) {
    if let Err(error) = write(ctx, job, heard).await {
        tracing::warn!(job.id = %job.id, error = %error, "that an account is tried was not noted: {error}");
    }
}

async fn write(ctx: &Context, job: &Job, heard: Heard) -> Result<(), Error> {
    let Some(ids) = tried_first(ctx, job).await? else { return Ok(()) };
    for breaker in Breakers::default().of(ctx, &ids).await? {
        if let Some(next) = heard(&breaker, &job.id, ctx.clock.now()) {
            // Stale: somebody else had something to say of it.
            ctx.store.put_breaker(&next, Some(&breaker)).await?;
        }
    }
    Ok(())
}

/// The attempt of a job that tried first is over: everybody may ask its accounts again, or the next job tries at once.
/// Best effort: unheard, they are free twenty minutes after its agent began, or tried an hour after its claim.
pub(crate) async fn note_ended(ctx: &Context, job: &Job, ended: &AttemptEnd, work: Option<&Work>) {
    let noted = match Shown::by(job.status, ended, work) {
        Shown::Answers => let_go(ctx, job).await,
        Shown::Nothing => write(ctx, job, Breaker::untried_by).await,
    };
    if let Err(error) = noted {
        tracing::warn!(job.id = %job.id, error = %error, "what was seen of an account was not noted: {error}");
    }
}

async fn let_go(ctx: &Context, job: &Job) -> Result<(), Error> {
    let Some(ids) = tried_first(ctx, job).await? else { return Ok(()) };
    for breaker in Breakers::default().of(ctx, &ids).await? {
        if breaker.is_proven_by(&job.id, ctx.clock.now()) && ctx.store.close_breaker(&breaker).await? == Write::Applied
        {
            tracing::info!(job.id = %job.id, account = %breaker.id, "an account works again");
        }
    }
    Ok(())
}

/// The accounts that the job asks, if it asks them as the first.
async fn tried_first(ctx: &Context, job: &Job) -> Result<Option<Vec<BreakerId>>, Error> {
    let Some(run) = job.run.as_ref().filter(|run| run.first) else { return Ok(None) };
    let capability = capability_of(ctx, job).await?;
    Ok(Some(asked(job.policy.key(), &capability, &job.project, run.runner.as_ref())))
}

/// What the job asks of a runner.
pub(crate) async fn capability_of(ctx: &Context, job: &Job) -> Result<String, Error> {
    if let Some(capability) = &job.policy.model_of {
        return Ok(capability.clone());
    }
    let context = ctx.store.context(&job.id, &job.context).await?;
    let context = context.ok_or_else(|| Error::Inconsistent(format!("{} has no context", job.id)))?;
    Ok(context.repository.agent.capability)
}

/// An attempt met trouble with its model: its account is left alone. Until when, also where nobody else asks it.
///
/// Writes: BREAKER as `Store::put_breaker` does.
/// Idempotent: by job and attempt.
pub(crate) async fn shut(
    ctx: &Context,
    job: &Job,
    capability: &str,
    runner: Option<&RunnerId>,
    trouble: &Trouble,
) -> Result<Timestamp, Error> {
    let Some(account) = trouble.account(job.policy.key(), &job.project, runner) else {
        let times = job.model.as_ref().map_or(0, |model| model.times).saturating_add(1);
        return Ok(trouble.until(times, ctx.clock.now()));
    };
    let id = BreakerId { account, capability: capability.to_owned() };
    let by = By { job: job.id.clone(), attempt: job.attempt };
    let mut rounds = ctx.rounds(&id);
    loop {
        let before = ctx.store.breaker(&id).await?;
        let now = ctx.clock.now();
        match (Breaker::opened(before.as_ref(), &id, trouble, &by, now), before) {
            (Some(next), before) => {
                if ctx.store.put_breaker(&next, before.as_ref()).await? == Write::Applied {
                    if before.is_none_or(|before| before.opened != next.opened) {
                        ctx.tally().add(Count::ModelLeftAlone);
                    }
                    tracing::warn!(
                        job.id = %job.id, attempt = job.attempt, account = %id, cause = ?next.cause, times = next.times,
                        "a model's account is left alone for a while"
                    );
                    return Ok(next.until);
                }
                rounds.again().await?;
            }
            (None, Some(stands)) => return Ok(stands.until),
            (None, None) => return Ok(trouble.until(1, now)),
        }
    }
}
